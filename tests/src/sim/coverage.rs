//! What a band of runs has seen: runs in which nothing happened prove nothing.

use std::{collections::BTreeMap, time::Duration};

use super::{
    check::{ENDS, MESSAGE_KINDS},
    options::{FaultClass, Faults},
    run::Report,
};

/// What happened in some runs together.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    runs: u64,
    failed: u64,
    simulated: Duration,
    /// Simulated time, once for each peer.
    peer_time: Duration,
    healed_secs: f64,
    faults: BTreeMap<&'static str, u64>,
    messages: BTreeMap<&'static str, u64>,
    requests: BTreeMap<&'static str, u64>,
}

impl Coverage {
    /// Adds a run.
    pub fn add(&mut self, report: &Report) {
        let simulated = Duration::from_secs_f64(report.simulated_secs);
        self.runs += 1;
        self.failed += u64::from(report.failure.is_some());
        self.simulated += simulated;
        self.peer_time += simulated * report.peers as u32;
        self.healed_secs = self.healed_secs.max(report.healed_secs.unwrap_or(0.0));
        for (class, count) in &report.faults {
            *self.faults.entry(class).or_default() += count;
        }
        for (kind, count) in &report.messages_by_kind {
            *self.messages.entry(kind).or_default() += count;
        }
        for (end, count) in &report.requests {
            *self.requests.entry(end).or_default() += count;
        }
    }

    /// Counts the runs that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Lists what should have happened with these faults and did not: classes that never struck,
    /// and with all faults, kinds of messages that nobody sent and ends that no request had.
    /// Nothing before there was time enough.
    #[must_use]
    pub fn missing(&self, faults: Faults) -> Vec<String> {
        if self.peer_time < ENOUGH || faults == Faults::NONE {
            return Vec::new();
        }
        let classes = faults.iter().filter(|class| *class != FaultClass::Latency);
        let idle = classes.map(FaultClass::as_str).filter(|class| !self.faults.contains_key(class));
        let kinds = MESSAGE_KINDS.iter().filter(|_| faults == Faults::all());
        let unsent = kinds.filter(|kind| !self.messages.contains_key(*kind));
        let ends = ENDS.iter().filter(|_| faults == Faults::all());
        let never = ends.filter(|end| !self.requests.contains_key(*end));
        idle.map(|class| format!("the fault {class} never struck"))
            .chain(unsent.map(|kind| format!("nobody sent a {kind}")))
            .chain(never.map(|end| format!("of no message can be said that {end}")))
            .collect()
    }

    /// Writes what happened, in a few lines.
    #[must_use]
    pub fn summary(&self, took: Duration) -> String {
        let list = |counts: &BTreeMap<&str, u64>| {
            let counts = counts.iter().map(|(what, count)| format!("{what} {count}"));
            counts.collect::<Vec<_>>().join(", ")
        };
        let times = self.simulated.as_secs_f64() / took.as_secs_f64().max(1e-9);
        format!(
            "{} runs, {} failed: {:.1} h simulated in {:.0} s, {times:.0} x real time; \
             all well {} s after the faults or sooner\nfaults: {}\nmessages: {}\n\
             requests: {}",
            self.runs,
            self.failed,
            self.simulated.as_secs_f64() / 3600.0,
            took.as_secs_f64(),
            self.healed_secs,
            list(&self.faults),
            list(&self.messages),
            list(&self.requests),
        )
    }
}

/// Two days of one peer: the rarest of what is expected happens a dozen times.
const ENOUGH: Duration = Duration::from_secs(2 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Options, run};

    /// A quarter of a minute without faults, told as if it had been much longer.
    #[test]
    fn what_never_happened_is_missing() {
        let options = Options { peers: 3, duration: Duration::from_secs(15), ..Options::new(1) };
        let report = run(&options, |_| {}).expect("options that make sense");
        let mut coverage = Coverage::default();
        coverage.add(&report);
        assert_eq!(coverage.missing(Faults::all()), [""; 0], "not yet");
        coverage.add(&Report { simulated_secs: 1e6, ..report });
        let missing = coverage.missing(Faults::all());
        assert!(missing.contains(&"the fault crash never struck".to_owned()), "{missing:?}");
        assert!(missing.contains(&"nobody sent a state request".to_owned()), "{missing:?}");
        assert!(!missing.contains(&"nobody sent a handshake".to_owned()), "{missing:?}");
        assert!(
            missing.iter().any(|what| what.ends_with("too few acknowledged it")),
            "{missing:?}"
        );
        let crash = [FaultClass::Crash].into_iter().collect();
        assert_eq!(coverage.missing(crash), ["the fault crash never struck"]);
        assert_eq!(coverage.missing(Faults::NONE), [""; 0]);
    }
}
