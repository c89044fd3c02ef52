//! What a log holds and what came of its second run, for people.

use std::{collections::BTreeMap, fmt, time::Duration};

use gossip_core::Config;

use super::{
    file::Ending,
    rerun::{Counts, Difference, Verdict},
    text::utc,
};

/// What a log holds, up to where it was re-run, and what came of that.
#[derive(Clone, Debug)]
pub struct Report {
    /// Who wrote it: the version of the core.
    pub version: String,
    /// Whose it is.
    pub peer: String,
    /// When the node was made, by the wall clock, in nanoseconds since the Unix epoch.
    pub made_at: u64,
    /// From the making of the node to the last event or command.
    pub duration: Duration,
    /// Records that were read, the header among them.
    pub records: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// How the log ends, if it was read to its end.
    pub ending: Option<Ending>,
    /// What it holds.
    pub counts: Counts,
    /// The hash of all actions that are the same.
    pub digest: u64,
    /// What came of the second run.
    pub verdict: Verdict,
    /// What happened last.
    pub trace: Vec<String>,
}

impl Report {
    pub(super) fn new(version: String, config: &Config) -> Self {
        let Config { pki_id, org, endpoint, wall_clock, .. } = config;
        Self {
            version,
            peer: format!("{pki_id} of {org} at {endpoint}"),
            made_at: wall_clock.as_nanos(),
            duration: Duration::ZERO,
            records: 0,
            bytes: 0,
            ending: None,
            counts: Counts::default(),
            digest: 0,
            verdict: Verdict::Same,
            trace: Vec::new(),
        }
    }

    /// Says whether the second run was the same as the first.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.verdict == Verdict::Same
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { events, commands, refused, bytes_received, actions } = &self.counts;
        writeln!(f, "peer       {}", self.peer)?;
        writeln!(f, "made       {}, gossip-core {}", utc(self.made_at), self.version)?;
        writeln!(f, "ran        {:.3} s", self.duration.as_secs_f64())?;
        writeln!(f, "told       {}; {bytes_received} bytes in frames", table(events))?;
        writeln!(f, "commanded  {}; {refused} refused", table(commands))?;
        writeln!(f, "did        {}", table(actions))?;
        write!(f, "log        {} records, {} bytes", self.records, self.bytes)?;
        match self.ending {
            Some(Ending::Complete) => writeln!(f, ", complete")?,
            Some(Ending::Open) => {
                writeln!(f, "; it ends before the run did: its writer was killed or still writes")?;
            }
            Some(Ending::Torn { offset, bytes }) => writeln!(
                f,
                "; the last {bytes} bytes, from {offset}, are a part of a record: its writer was \
                 killed or still writes"
            )?,
            None => writeln!(f, ", read no further")?,
        }
        match &self.verdict {
            Verdict::Same => writeln!(f, "re-run     the same, {:016x}", self.digest),
            Verdict::Differs(difference) => write!(f, "re-run     DIFFERS\n{difference}"),
            Verdict::Panics(difference) => write!(f, "re-run     PANICS\n{difference}"),
            Verdict::Unreadable(error) => {
                writeln!(f, "re-run     the same as far as it goes: {error}")
            }
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, record, input, action, expected, found } = self;
        writeln!(f, "  at        {at}, action {action}")?;
        writeln!(f, "  after     record {record}: {input}")?;
        writeln!(f, "  expected  {expected}")?;
        writeln!(f, "  found     {found}")
    }
}

fn table(counts: &BTreeMap<&'static str, u64>) -> String {
    let all: u64 = counts.values().sum();
    let each: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    match all {
        0 => "nothing".to_owned(),
        all => format!("{all}: {}", each.join(", ")),
    }
}
