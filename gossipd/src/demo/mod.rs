//! A network of peers in one process, and how well it does.

mod args;
mod blocks;
mod chain;
mod ledger;
mod measure;
mod membership;
mod network;
mod peers;
mod publish;
mod report;
mod view;

use std::{
    error::Error,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use gossip_core::ChannelId;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{runtime::Runtime, signal, sync::mpsc, time::sleep};

pub(crate) use self::args::Args;
use self::{
    blocks::Supply,
    measure::{Deliveries, Totals, cpu_time, faults, rss_mib},
    peers::Peer,
    report::{Measured, Report, Rest, lacking_blocks, lacking_peers, seen_faults},
    view::{Progress, View},
};

/// Why something could not be made or done, for people.
type Failure = dyn Error + Send + Sync;

/// How a run ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ending {
    /// Every peer has every block.
    Complete,
    /// Peers did not find each other, or blocks did not reach them.
    Missing,
    /// Somebody pressed Ctrl-C.
    Interrupted,
}

/// Runs a demonstration and prints its report.
///
/// # Errors
///
/// If the network cannot be set up, or breaks.
pub(crate) fn run(args: &Args) -> Result<Ending, Box<Failure>> {
    raise_open_files_limit();
    let seed = args.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
    let supply = Supply::new(args, seed)?;
    let runtime = Runtime::new()?;
    let ending = runtime.block_on(run_network(args, seed, supply));
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    ending
}

async fn run_network(args: &Args, seed: u64, supply: Supply) -> Result<Ending, Box<Failure>> {
    let (peers, started) = peers::start(args, seed, &supply).await?;
    let progress = Progress::new(args, &peers, supply.count());
    let view = View::start(&progress, args.json);
    let run = Run {
        args,
        seed,
        channel: supply.channel(),
        blocks: supply.start()?,
        peers: &peers,
        started,
        progress: &progress,
    };
    let result = tokio::select! {
        result = run.measure() => result,
        interrupted = signal::ctrl_c() => {
            interrupted.map(|()| Said::interrupted()).map_err(Into::into)
        }
    };
    view.finish().await;
    let ending = result.map(|said| {
        print!("{}", said.report);
        eprint!("{}", said.complaint);
        said.ending
    });
    peers::stop(peers).await;
    ending
}

/// What is to be printed in the end.
struct Said {
    ending: Ending,
    report: String,
    complaint: String,
}

impl Said {
    fn interrupted() -> Self {
        Self { ending: Ending::Interrupted, report: String::new(), complaint: String::new() }
    }
}

/// A network that was started, and what is to be done with it.
struct Run<'a> {
    args: &'a Args,
    seed: u64,
    channel: ChannelId,
    blocks: mpsc::Receiver<Result<Bytes, String>>,
    peers: &'a [Peer],
    started: Instant,
    progress: &'a Arc<Progress>,
}

impl Run<'_> {
    async fn measure(self) -> Result<Said, Box<Failure>> {
        let Self { args, seed, channel, blocks, peers, started, progress } = self;
        progress.set_phase("finding each other");
        let deadline = started + args.timeout;
        let unknown = membership::wait(peers, &channel, deadline, progress).await?;
        let membership = started.elapsed();
        let complaint = lacking_peers(peers, &unknown);
        if !complaint.is_empty() {
            let waited = args.timeout;
            let complaint = format!(
                "membership is not complete after {waited:?}:\n{complaint}{}",
                seen_faults(&faults(peers).await?)
            );
            return Ok(Said { ending: Ending::Missing, report: String::new(), complaint });
        }
        let cpu_before = cpu_time();
        progress.set_phase("publishing");
        let published = publish::publish(peers, &channel, blocks, args.rate, progress).await?;
        progress.set_phase("waiting for the last blocks");
        let last = published.count();
        let complete = publish::follow(peers, last + 1, args.timeout).await;
        let cpu = cpu_time().saturating_sub(cpu_before);
        sleep(LATE_COPIES_TIME).await;
        let measured = Measured {
            membership,
            deliveries: Deliveries::of(peers, &published),
            totals: Totals::of(peers).await?,
            cpu,
            rss_mib: rss_mib(),
            rest: rest(peers, args.idle, progress).await?,
        };
        let report = Report::new(args, seed, &published, &measured);
        let report = match args.json {
            true => serde_json::to_string(&report)? + "\n",
            false => report.to_string(),
        };
        Ok(match complete {
            true => Said { ending: Ending::Complete, report, complaint: String::new() },
            false => {
                let waited = args.timeout;
                let lacking = lacking_blocks(peers, last) + &seen_faults(&faults(peers).await?);
                let complaint = format!("blocks are missing after {waited:?}:\n{lacking}");
                Said { ending: Ending::Missing, report, complaint }
            }
        })
    }
}

/// Measures the network while nothing is published; `None` if that is to take no time.
async fn rest(
    peers: &[Peer],
    time: Duration,
    progress: &Progress,
) -> Result<Option<Rest>, Box<Failure>> {
    if time.is_zero() {
        return Ok(None);
    }
    progress.set_phase("coming to rest");
    sleep(CALM_TIME).await;
    progress.set_phase("measuring at rest");
    let (before, cpu_before, since) = (Totals::of(peers).await?, cpu_time(), Instant::now());
    sleep(time).await;
    let (cpu, time) = (cpu_time().saturating_sub(cpu_before), since.elapsed());
    Ok(Some(Rest { time, cpu, before, after: Totals::of(peers).await? }))
}

/// Lets this process have as many sockets as it may: each connection has both its ends here.
fn raise_open_files_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Where the system refuses, a smaller network still runs.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// How long after the last delivery copies of blocks that nobody needs are still counted.
const LATE_COPIES_TIME: Duration = Duration::from_millis(250);

/// How long the last heights take to be told: peers publish them every 4 s.
const CALM_TIME: Duration = Duration::from_secs(5);

/// How long threads may take to end.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);
