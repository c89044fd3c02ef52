//! What the jobs that were given out are for.

use alloc::collections::VecDeque;

use bytes::Bytes;
use hashbrown::HashMap;

use crate::{Identity, Instant, Job, JobId, JobKind, PkiId, Stamp, comm::OwnConnKey};

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
    Handshake { pki_id: PkiId, proof: Proof },
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
}

impl Jobs {
    pub(super) fn begin(&mut self, kind: JobKind, purpose: Purpose, deadline: Instant) -> Job {
        let id = JobId::new(self.next);
        self.next += 1;
        self.pending.insert(id, purpose);
        self.deadlines.push_back((deadline, id));
        Job::new(id, kind)
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
        purpose
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
