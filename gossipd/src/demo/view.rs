//! What people see while a demonstration runs.

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinHandle, time};

use super::{args::Args, ledger::MemoryLedger, membership::Unknown, peers::Peer};

/// How far a run is: written by those who do the work, read by the view.
#[derive(Debug)]
pub(crate) struct Progress {
    phase: Mutex<&'static str>,
    peers_per_org: usize,
    /// For each peer how many others it lists as alive and as members of the channel.
    known: Vec<[AtomicUsize; 2]>,
    ledgers: Vec<Arc<MemoryLedger>>,
    published: AtomicU64,
    blocks: u64,
}

impl Progress {
    /// Begins with peers that know nobody, and `blocks` to publish.
    pub(crate) fn new(args: &Args, peers: &[Peer], blocks: u64) -> Arc<Self> {
        Arc::new(Self {
            phase: Mutex::new("starting"),
            peers_per_org: args.peers_per_org,
            known: peers.iter().map(|_| Default::default()).collect(),
            ledgers: peers.iter().map(|peer| Arc::clone(&peer.ledger)).collect(),
            published: AtomicU64::new(0),
            blocks,
        })
    }

    /// Names what is being done.
    pub(crate) fn set_phase(&self, phase: &'static str) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    /// Says whom a peer does not know.
    pub(crate) fn set_known(&self, peer: usize, unknown: &Unknown) {
        let others = self.known.len() - 1;
        let [alive, channel] = &self.known[peer];
        alive.store(others - unknown.alive.len(), Ordering::Relaxed);
        channel.store(others - unknown.channel.len(), Ordering::Relaxed);
    }

    /// Says how many blocks were published.
    pub(crate) fn set_published(&self, blocks: u64) {
        self.published.store(blocks, Ordering::Relaxed);
    }

    fn phase(&self) -> &'static str {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws the whole view, a line each.
    fn picture(&self) -> Vec<String> {
        let others = self.known.len() - 1;
        let know_all = self
            .known
            .iter()
            .filter(|known| known.iter().all(|count| count.load(Ordering::Relaxed) == others));
        let (know_all, peers) = (know_all.count(), self.known.len());
        let (published, blocks) = (self.published.load(Ordering::Relaxed), self.blocks);
        let complete = self.complete();
        let mut lines = vec![
            self.phase().to_owned(),
            format!("membership {} {know_all}/{peers}", bar(know_all as u64, peers as u64)),
            format!("published  {} {published}/{blocks}", bar(published, blocks)),
            format!("everywhere {} {complete}/{blocks}", bar(complete, blocks)),
        ];
        let orgs = self.known.chunks(self.peers_per_org);
        let orgs = orgs.zip(self.ledgers.chunks(self.peers_per_org)).enumerate();
        lines.extend(orgs.take(ORGS_SHOWN_MAX).map(|(org, (known, ledgers))| {
            let counts = |which: usize| {
                counts(known.iter().map(|known| known[which].load(Ordering::Relaxed) as u64))
            };
            let heights = self::counts(ledgers.iter().map(|ledger| ledger.height()));
            let (alive, channel) = (counts(0), counts(1));
            let name = format!("org{}", org + 1);
            format!("{name:<7} alive {alive}   channel {channel}   height {heights}")
        }));
        if let Some(more @ 1..) = (peers / self.peers_per_org).checked_sub(ORGS_SHOWN_MAX) {
            lines.push(format!("… and {more} more"));
        }
        lines
    }

    /// Says the same in one line.
    fn summary(&self) -> String {
        let published = self.published.load(Ordering::Relaxed);
        let (phase, blocks, complete) = (self.phase(), self.blocks, self.complete());
        format!("{phase}: {published}/{blocks} blocks published, {complete} of them everywhere")
    }

    /// Returns how many blocks all peers have, block 0 apart.
    fn complete(&self) -> u64 {
        let lowest = self.ledgers.iter().map(|ledger| ledger.height()).min();
        lowest.unwrap_or_default().saturating_sub(1)
    }
}

/// Shows the progress on stderr: a moving picture on a terminal, else a line now and then.
#[derive(Debug)]
pub(crate) struct View {
    task: Option<JoinHandle<()>>,
    drawn: Arc<Mutex<Screen>>,
}

impl View {
    /// Begins to show; nothing at all if `quiet`.
    pub(crate) fn start(progress: &Arc<Progress>, quiet: bool) -> Self {
        let drawn = Arc::<Mutex<Screen>>::default();
        let task = (!quiet).then(|| {
            let (progress, screen) = (Arc::clone(progress), Arc::clone(&drawn));
            match io::stderr().is_terminal() {
                true => tokio::spawn(draw(progress, screen)),
                false => tokio::spawn(tell(progress)),
            }
        });
        Self { task, drawn }
    }

    /// Stops, and clears away what moves.
    pub(crate) async fn finish(self) {
        if let Some(task) = self.task {
            task.abort();
            let _ = task.await;
            self.drawn.lock().unwrap_or_else(PoisonError::into_inner).show(&[]);
        }
    }
}

async fn draw(progress: Arc<Progress>, screen: Arc<Mutex<Screen>>) {
    let mut interval = time::interval(DRAW_INTERVAL);
    loop {
        interval.tick().await;
        let picture = progress.picture();
        screen.lock().unwrap_or_else(PoisonError::into_inner).show(&picture);
    }
}

async fn tell(progress: Arc<Progress>) {
    let mut interval = time::interval(DRAW_INTERVAL);
    let (mut told, mut ticks_since) = ("", 0);
    loop {
        interval.tick().await;
        ticks_since += 1;
        if told != progress.phase() || ticks_since == TELL_TICKS {
            (told, ticks_since) = (progress.phase(), 0);
            let _ = writeln!(io::stderr(), "{}", progress.summary());
        }
    }
}

/// The lines that were drawn last on the terminal.
#[derive(Debug, Default)]
struct Screen {
    lines: usize,
}

impl Screen {
    /// Replaces what was drawn last. A terminal that is gone is none of our business.
    fn show(&mut self, lines: &[String]) {
        let _ = io::stderr().lock().write_all(self.replace(lines).as_bytes());
    }

    fn replace(&mut self, lines: &[String]) -> String {
        if self.lines == 0 && lines.is_empty() {
            return String::new();
        }
        let mut text = String::from(WRAP_OFF);
        if self.lines > 0 {
            text += &format!("\x1b[{}F\x1b[J", self.lines);
        }
        for line in lines {
            text += line;
            text.push('\n');
        }
        text += WRAP_ON;
        self.lines = lines.len();
        text
    }
}

fn bar(part: u64, whole: u64) -> String {
    let filled = match whole {
        0 => BAR_WIDTH,
        whole => (part.min(whole) as f64 / whole as f64 * BAR_WIDTH as f64) as usize,
    };
    format!("[{}{}]", "#".repeat(filled), "-".repeat(BAR_WIDTH - filled))
}

/// Shows few counts one by one, many by their extremes.
fn counts(counts: impl ExactSizeIterator<Item = u64> + Clone) -> String {
    if counts.len() <= COUNTS_SHOWN_MAX {
        return counts.map(|count| count.to_string()).collect::<Vec<_>>().join(" ");
    }
    let (low, high) = (counts.clone().min(), counts.max());
    format!("{}..{}", low.unwrap_or_default(), high.unwrap_or_default())
}

/// Lines that do not fit are cut: a wrapped one would not be cleared away again.
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";

const DRAW_INTERVAL: Duration = Duration::from_millis(250);
const TELL_TICKS: u32 = 20;
const BAR_WIDTH: usize = 30;
const COUNTS_SHOWN_MAX: usize = 4;
const ORGS_SHOWN_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_shows_who_knows_how_many_and_how_high_everybody_is() {
        let ledger = || Arc::new(MemoryLedger::new(Arc::default(), Arc::default()));
        let progress = Progress {
            phase: Mutex::new("publishing"),
            peers_per_org: 1,
            known: (0..2).map(|_| Default::default()).collect(),
            ledgers: vec![ledger(), ledger()],
            published: AtomicU64::new(0),
            blocks: 4,
        };
        progress.set_known(0, &Unknown::default());
        progress.set_known(1, &Unknown { alive: vec![], channel: vec![0] });
        progress.set_published(2);
        let picture = progress.picture();
        assert!(picture[1].ends_with("1/2"), "{}", picture[1]);
        assert!(picture[2].ends_with(&format!("{}{}] 2/4", "#".repeat(15), "-".repeat(15))));
        assert_eq!(picture[5], "org2    alive 1   channel 0   height 1");
    }

    #[test]
    fn a_picture_replaces_the_one_before() {
        let mut screen = Screen::default();
        let lines = ["a".to_owned(), "b".to_owned()];
        assert_eq!(screen.replace(&lines), "\x1b[?7la\nb\n\x1b[?7h");
        assert_eq!(screen.replace(&[]), "\x1b[?7l\x1b[2F\x1b[J\x1b[?7h");
        assert_eq!(screen.replace(&[]), "");
    }

    #[test]
    fn many_counts_are_shown_by_their_extremes() {
        assert_eq!(counts([3, 1, 2].into_iter()), "3 1 2");
        assert_eq!(counts([3, 1, 2, 9, 4].into_iter()), "1..9");
    }
}
