//! Probes of dead peers.

use alloc::collections::BTreeSet;

use crate::{Instant, PkiId, timers::Timers};

/// When each dead peer is probed next, and which probes are under way.
#[derive(Debug)]
pub(super) struct Probes {
    due: Timers<PkiId>,
    in_flight: BTreeSet<PkiId>,
}

impl Probes {
    pub(super) const fn new() -> Self {
        Self { due: Timers::new(), in_flight: BTreeSet::new() }
    }

    /// Counts the peers that are to be probed.
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    /// Probes a peer at a time.
    pub(super) fn schedule(&mut self, pki_id: PkiId, at: Instant) {
        self.due.set(pki_id, at);
    }

    /// Probes a peer no more.
    pub(super) fn cancel(&mut self, pki_id: &PkiId) {
        self.due.cancel(*pki_id);
    }

    /// Takes the next peer that is to be probed now.
    ///
    /// None if as many probes are under way as may be: a network that falls apart must not set off
    /// thousands of dials.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<PkiId> {
        while self.in_flight.len() < IN_FLIGHT_MAX {
            let pki_id = self.due.pop_due(now)?;
            // Its answer schedules the next one.
            if !self.in_flight.contains(&pki_id) {
                return Some(pki_id);
            }
        }
        None
    }

    pub(super) fn begin(&mut self, pki_id: PkiId) {
        self.in_flight.insert(pki_id);
    }

    /// Ends a probe: `false` if there was none.
    pub(super) fn end(&mut self, pki_id: &PkiId) -> bool {
        self.in_flight.remove(pki_id)
    }

    /// Returns when the next probe may begin, `None` if an answer must come first.
    pub(super) fn next(&self) -> Option<Instant> {
        let is_free = self.in_flight.len() < IN_FLIGHT_MAX;
        self.due.next().filter(|_| is_free).map(|(at, _)| at)
    }
}

/// How many probes may be under way.
const IN_FLIGHT_MAX: usize = 32;
