//! Counters.

use crate::Fault;

/// What a node has done since it was made. Counters only grow; gauges are named as such.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Frames that arrived.
    pub messages_received: u64,
    /// Bytes of frames that arrived.
    pub bytes_received: u64,
    /// Frames given to the driver.
    pub messages_sent: u64,
    /// Bytes of frames given to the driver.
    pub bytes_sent: u64,
    /// Frames dropped because a lane was full, or replaced by newer ones while they waited.
    pub messages_dropped: u64,
    /// Dials of streams begun.
    pub dials: u64,
    /// Connections authenticated, whoever dialled.
    pub connections_opened: u64,
    /// Gauge: connections authenticated and open.
    pub connections: u64,
    /// Signatures given out to be made.
    pub signs: u64,
    /// Signatures given out to be checked: signed messages, secret envelopes and blocks.
    pub verifies: u64,
    /// Identities given out to be validated.
    pub validations: u64,
    /// Different signed statements, secrets and blocks that were verified and were news.
    pub unique_messages: u64,
    /// Block copies that arrived.
    pub block_copies: u64,
    /// Blocks that arrived for the first time and verified.
    pub blocks_received: u64,
    /// Blocks among them that we had asked for.
    pub blocks_pulled: u64,
    /// Blocks among them that came by state transfer.
    pub blocks_transferred: u64,
    /// Requests for ranges of blocks sent.
    pub state_requests: u64,
    /// Requests for ranges of blocks answered.
    pub state_responses: u64,
    /// Identities that we had asked for, verified and serve to others.
    pub identities_pulled: u64,
    /// Rounds of pulling begun, with somebody to ask.
    pub pull_rounds: u64,
    /// Messages passed on.
    pub forwarded: u64,
    faults: [u64; Fault::ALL.len()],
}

impl Stats {
    /// Returns how often a fault was seen.
    #[must_use]
    pub fn faults(&self, fault: Fault) -> u64 {
        self.faults[fault as usize]
    }

    pub(crate) fn count(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }
}
