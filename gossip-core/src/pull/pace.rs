//! How often one peer is asked out of turn.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use crate::{Instant, PkiId};

/// Pauses between hurried rounds, by peer: they grow as long as nothing comes of the rounds.
#[derive(Debug)]
pub(super) struct Paces(BTreeMap<PkiId, Pace>);

#[derive(Debug)]
struct Pace {
    /// Not before this is the peer asked again.
    next: Instant,
    pause: Duration,
    /// Whether it is to be asked then.
    is_due: bool,
}

impl Paces {
    pub(super) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Counts the peers that are remembered.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Says whether a peer may be asked now. If not, it is [due](Self::take_due) later; beyond
    /// `max` peers it is not remembered.
    pub(super) fn may_ask(
        &mut self,
        peer: PkiId,
        interval: Duration,
        max: usize,
        now: Instant,
    ) -> bool {
        if self.0.len() >= max && !self.0.contains_key(&peer) {
            self.sweep(interval, now);
            if self.0.len() >= max {
                return false;
            }
        }
        let fresh = Pace { next: Instant::ZERO, pause: PAUSE_MIN, is_due: false };
        let pace = self.0.entry(peer).or_insert(fresh);
        if now < pace.next {
            pace.is_due = true;
            return false;
        }
        pace.next = now + pace.pause;
        pace.pause = pace.pause.saturating_mul(2).min(interval.max(PAUSE_MIN));
        pace.is_due = false;
        true
    }

    /// Takes the peers whose pause is over and that are still to be asked.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<PkiId> {
        let mut due = Vec::new();
        for (peer, pace) in &mut self.0 {
            if pace.is_due && pace.next <= now {
                pace.is_due = false;
                due.push(*peer);
            }
        }
        due
    }

    /// Returns when the next peer is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().filter(|pace| pace.is_due).map(|pace| pace.next).min()
    }

    /// Takes note that it was worth asking a peer.
    pub(super) fn on_success(&mut self, peer: &PkiId) {
        if let Some(pace) = self.0.get_mut(peer) {
            pace.pause = PAUSE_MIN;
        }
    }

    /// Forgets the peers that were not asked for an interval: their pause is short again.
    pub(super) fn sweep(&mut self, interval: Duration, now: Instant) {
        self.0.retain(|_, pace| pace.is_due || now < pace.next + interval);
    }
}

/// The first pause.
const PAUSE_MIN: Duration = Duration::from_millis(200);
