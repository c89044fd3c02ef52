//! Measurements of a run.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use gossip_core::PkiId;

/// What is measured while a run goes on.
#[derive(Debug)]
pub struct Metrics {
    /// Frames that nodes sent.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How long after the beginning everybody first knew everybody.
    pub full_membership: Option<Duration>,
    /// Whom each host's node holds alive, as its notices say.
    pub alive: Vec<BTreeSet<PkiId>>,
    /// How many each may hold alive.
    acquaintances: Vec<usize>,
    /// How many hosts' nodes hold all of them alive.
    complete: usize,
    /// How long blocks took to each ledger, counted in steps that grow by an eighth.
    delivery: Vec<u64>,
    slowest: Duration,
}

impl Metrics {
    /// Begins to measure, where each host may know so many others.
    #[must_use]
    pub fn new(acquaintances: Vec<usize>) -> Self {
        Self {
            messages: 0,
            bytes: 0,
            full_membership: None,
            alive: vec![BTreeSet::new(); acquaintances.len()],
            complete: acquaintances.iter().filter(|others| **others == 0).count(),
            acquaintances,
            delivery: vec![0; STEPS],
            slowest: Duration::ZERO,
        }
    }

    pub(super) fn sent(&mut self, frame: &Bytes) {
        self.messages += 1;
        self.bytes += frame.len() as u64;
    }

    pub(super) fn started(&mut self, host: usize) {
        self.change(host, BTreeSet::clear);
    }

    pub(super) fn came_alive(&mut self, host: usize, pki_id: PkiId) {
        self.change(host, |alive| alive.insert(pki_id));
    }

    pub(super) fn died(&mut self, host: usize, pki_id: &PkiId) {
        self.change(host, |alive| alive.remove(pki_id));
    }

    fn change<R>(&mut self, host: usize, change: impl FnOnce(&mut BTreeSet<PkiId>) -> R) {
        let (alive, others) = (&mut self.alive[host], self.acquaintances[host]);
        let was_complete = alive.len() >= others;
        change(alive);
        self.complete -= usize::from(was_complete);
        self.complete += usize::from(alive.len() >= others);
    }

    /// Says whether everybody's node holds everybody alive whom it may know.
    #[must_use]
    pub fn is_membership_full(&self) -> bool {
        self.complete == self.alive.len()
    }

    pub(super) fn delivered(&mut self, latency: Duration) {
        self.slowest = self.slowest.max(latency);
        self.delivery[step(latency)] += 1;
    }

    /// Returns a bound that `per_mille` of 1000 deliveries kept, at most an eighth too high;
    /// `None` if nothing was delivered.
    #[must_use]
    pub fn delivery(&self, per_mille: u64) -> Option<Duration> {
        let all: u64 = self.delivery.iter().sum();
        let wanted = (all * per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        let reached = self.delivery.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        reached.map(|step| end_of(step).min(self.slowest))
    }
}

/// Finds the step of a latency: eight to each doubling, in microseconds.
fn step(latency: Duration) -> usize {
    let micros = (latency.as_micros() as u64).max(8);
    let doublings = micros.ilog2() - 3;
    let eighth = (micros >> doublings) - 8;
    (doublings as usize * 8 + eighth as usize).min(STEPS - 1)
}

fn end_of(step: usize) -> Duration {
    let (doublings, eighth) = (step / 8, step as u64 % 8);
    Duration::from_micros((9 + eighth) << doublings)
}

/// Enough for a year.
const STEPS: usize = 8 * 44;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_at_most_an_eighth_too_high() {
        let mut metrics = Metrics::new(Vec::new());
        assert_eq!(metrics.delivery(500), None);
        for micros in 1..=1000 {
            metrics.delivered(Duration::from_micros(micros * 100));
        }
        let median = metrics.delivery(500).expect("deliveries").as_micros();
        assert!((50_000..=56_300).contains(&median), "{median}");
        assert_eq!(metrics.delivery(1000), Some(Duration::from_micros(100_000)));
    }
}
