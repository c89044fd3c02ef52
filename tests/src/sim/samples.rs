//! What pictures of a run are made of: who had which block when, and how complete views were.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use gossip_core::PkiId;

/// Samples of a run. Hostile peers are left out.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    blocks: BTreeMap<(usize, u64), Spread>,
    views: Vec<View>,
    healed_at: Option<Duration>,
    next: Duration,
}

/// When peers got a block.
#[derive(Clone, Debug)]
pub struct Spread {
    /// How many peers were to get it.
    wanted: usize,
    /// How long after it was made each host first had it.
    had: BTreeMap<usize, Duration>,
}

/// How complete the views of running peers were at some moment: the share of the other running
/// peers that they held alive.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Seconds since the beginning.
    pub at: f64,
    /// Of all views together.
    pub mean: f64,
    /// Of the view that had the fewest.
    pub worst: f64,
}

impl Samples {
    /// Returns how each block spread, by channel and number.
    pub fn blocks(&self) -> impl Iterator<Item = &Spread> {
        self.blocks.values()
    }

    /// Returns the views, in the order of time.
    #[must_use]
    pub fn views(&self) -> &[View] {
        &self.views
    }

    /// Returns when faults ended, in seconds since the beginning, if they did.
    #[must_use]
    pub fn healed_at(&self) -> Option<f64> {
        self.healed_at.map(|at| at.as_secs_f64())
    }

    pub(super) fn published(&mut self, channel: usize, number: u64, wanted: usize) {
        self.blocks.insert((channel, number), Spread { wanted, had: BTreeMap::new() });
    }

    /// A host that lost its ledger may get a block again: the first time counts.
    pub(super) fn delivered(&mut self, channel: usize, number: u64, host: usize, after: Duration) {
        if let Some(spread) = self.blocks.get_mut(&(channel, number)) {
            spread.had.entry(host).or_insert(after);
        }
    }

    pub(super) fn healed(&mut self, at: Duration) {
        self.healed_at.get_or_insert(at);
    }

    /// Returns when views are to be looked at next, since the beginning.
    pub(super) fn next(&self) -> Duration {
        self.next
    }

    /// Takes the views of all hosts whose node runs, with who they are.
    pub(super) fn looked(&mut self, at: Duration, views: &[(PkiId, &BTreeSet<PkiId>)]) {
        self.next = at + if at < BEGINNING { OFTEN } else { SELDOM };
        let running: BTreeSet<PkiId> = views.iter().map(|(pki_id, _)| *pki_id).collect();
        let others = (running.len().max(2) - 1) as f64;
        let shares = views.iter().map(|(own, alive)| {
            let known = alive.intersection(&running).filter(|pki_id| *pki_id != own);
            known.count() as f64 / others
        });
        let (sum, worst) =
            shares.fold((0.0, 1.0), |(sum, worst), share| (sum + share, f64::min(worst, share)));
        if !views.is_empty() {
            let at = at.as_secs_f64();
            self.views.push(View { at, mean: sum / views.len() as f64, worst });
        }
    }
}

impl Spread {
    /// Returns how long the block took to each peer that got it, in seconds.
    pub fn latencies(&self) -> impl Iterator<Item = f64> {
        self.had.values().map(Duration::as_secs_f64)
    }

    /// Returns the share of peers that had it so many seconds after it was made.
    #[must_use]
    pub fn share(&self, secs: f64) -> f64 {
        let had = self.latencies().filter(|latency| *latency <= secs).count();
        had as f64 / self.wanted.max(1) as f64
    }

    /// Says whether all peers got it.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.had.len() >= self.wanted
    }
}

/// How long the beginning is, in which much happens.
const BEGINNING: Duration = Duration::from_secs(60);
const OFTEN: Duration = Duration::from_millis(100);
const SELDOM: Duration = Duration::from_secs(1);
