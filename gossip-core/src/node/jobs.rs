//! What the jobs that were given out are for.

use alloc::{boxed::Box, collections::VecDeque};

use bytes::Bytes;
use hashbrown::HashMap;

use crate::{Identity, Instant, JobId, PkiId, Stamp, comm::OwnConnKey};

use super::{
    ChannelIx,
    flights::{FlightKey, Proof},
    state_serving::StateRequest,
};

/// What to do with a job's answer.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Our connection message.
    SignConn { key: OwnConnKey, payload: Bytes },
    /// Our alive message.
    SignAlive { payload: Bytes },
    /// The secret of our alive messages.
    SignSecret { payload: Bytes },
    /// Our StateInfo on a channel.
    SignInfo { channel: ChannelIx, payload: Bytes },
    /// Our leadership message on a channel.
    SignLeadership { channel: ChannelIx, stamp: Stamp, payload: Bytes },
    /// Our identity message.
    SignIdentity { payload: Bytes },
    /// The signature of a remote's connection message.
    Handshake { pki_id: PkiId, proof: Box<Proof> },
    /// An identity that somebody waits for.
    Identity { identity: Identity },
    /// A stored identity that is under suspicion.
    Suspect { pki_id: PkiId },
    /// A statement of a peer, or a block.
    Claim { key: FlightKey },
    /// A block on its way into the ledger.
    Commit { channel: ChannelIx, number: u64 },
    /// Whether a peer may read the blocks that it asks for.
    StateAccess { channel: ChannelIx, request: StateRequest },
    /// The blocks that a peer asks for.
    ReadBlocks { channel: ChannelIx, request: StateRequest },
}

/// The jobs that were given out and not answered.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    next: u64,
    pending: HashMap<JobId, Purpose>,
    /// When each is given up, in the order in which they were given out; answered ones too, until
    /// they come first.
    deadlines: VecDeque<(Instant, JobId)>,
    /// Whether the timer is set that looks at them.
    is_armed: bool,
}

impl Jobs {
    /// Names a job, to be given up at a time that is no earlier than those of the others.
    pub(super) fn begin(&mut self, purpose: Purpose, deadline: Instant) -> JobId {
        let id = JobId::new(self.next);
        self.next += 1;
        self.pending.insert(id, purpose);
        self.deadlines.push_back((deadline, id));
        id
    }

    /// Takes what a job was for; late, unknown and second answers fall out here.
    pub(super) fn end(&mut self, id: JobId) -> Option<Purpose> {
        let purpose = self.pending.remove(&id);
        while let Some((_, oldest)) = self.deadlines.front() {
            if self.pending.contains_key(oldest) {
                break;
            }
            self.deadlines.pop_front();
        }
        // One that is lost holds up the others' times for long: they must not pile up behind it.
        if self.deadlines.len() > 2 * self.pending.len() + ANSWERED_MAX {
            self.deadlines.retain(|(_, id)| self.pending.contains_key(id));
        }
        purpose
    }

    /// Takes note that the timer is being set; false if it was.
    pub(super) const fn arm(&mut self) -> bool {
        !core::mem::replace(&mut self.is_armed, true)
    }

    /// Takes note that the timer has gone.
    pub(super) const fn disarm(&mut self) {
        self.is_armed = false;
    }

    /// Returns when the oldest job is given up, and which it is.
    pub(super) fn next_deadline(&self) -> Option<(Instant, JobId)> {
        self.deadlines.front().copied()
    }

    pub(super) fn clear(&mut self) {
        self.pending.clear();
        self.deadlines.clear();
    }
}

/// How many answered jobs' times may wait, beside as many as there are jobs.
const ANSWERED_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    /// An answer that never comes must not keep the time of every later job.
    #[test]
    fn one_lost_job_does_not_let_the_others_pile_up() {
        let mut jobs = Jobs::default();
        let begin = |jobs: &mut Jobs, second| {
            let purpose = Purpose::SignAlive { payload: Bytes::new() };
            jobs.begin(purpose, Instant::ZERO + Duration::from_secs(second))
        };
        let lost = begin(&mut jobs, 30);
        for second in 31..10_000 {
            let done = begin(&mut jobs, second);
            assert!(jobs.end(done).is_some());
            assert!(jobs.deadlines.len() < 1000, "{} wait", jobs.deadlines.len());
        }
        let late = begin(&mut jobs, 20_000);
        let first = Instant::ZERO + Duration::from_secs(30);
        assert_eq!(jobs.next_deadline(), Some((first, lost)));
        assert!(jobs.end(lost).is_some());
        assert_eq!(jobs.next_deadline().map(|(_, id)| id), Some(late));
    }
}
