//! Ranges of blocks for peers that catch up (docs/protocol/70-state-transfer.md §8): served one
//! after the other, to whom the channel's Readers policy lets read.

use alloc::{collections::VecDeque, vec::Vec};

use bytes::Bytes;
use gossip_proto::gossip::RemoteStateRequest;

use crate::{
    Fault, JobKind, Limits, Outcome,
    comm::{Frame, Lane},
    wire,
};

use super::{ChannelIx, Node, inbound::Origin, jobs::Purpose};

/// The requests of a channel that wait, one of each peer.
#[derive(Debug, Default)]
pub(super) struct Serving {
    waiting: VecDeque<StateRequest>,
    /// Whether one is being answered.
    is_busy: bool,
}

/// A request for the blocks `first..=last`.
#[derive(Clone, Copy, Debug)]
pub(super) struct StateRequest {
    origin: Origin,
    nonce: u64,
    first: u64,
    last: u64,
}

impl Serving {
    /// Counts the requests that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

impl Node {
    /// Takes a request. Its tag is not checked (S-21). A newer one of the same peer takes the place
    /// of one that waits: a peer asks once at a time.
    pub(super) fn on_state_request(
        &mut self,
        origin: Origin,
        channel: &Bytes,
        nonce: u64,
        request: RemoteStateRequest,
    ) -> Result<(), Fault> {
        let ix = self.channel_of_name(channel).ok_or(Fault::WrongChannel)?;
        let RemoteStateRequest { start_seq_num: first, end_seq_num: last } = request;
        if first > last {
            return Err(Fault::Malformed);
        }
        let serving = &mut self.servings[ix.0 as usize];
        serving.waiting.retain(|waiting| waiting.origin.from != origin.from);
        if serving.waiting.len() >= self.config.state.channel_size {
            return Err(Fault::Overflow);
        }
        // Fabric is silent if it is asked for more; whoever asks goes on after a shorter answer.
        let last = last.min(first.saturating_add(self.config.state.batch_size));
        serving.waiting.push_back(StateRequest { origin, nonce, first, last });
        self.serve_next(ix);
        Ok(())
    }

    /// Asks whether the next one who waits may read.
    fn serve_next(&mut self, ix: ChannelIx) {
        while !self.servings[ix.0 as usize].is_busy
            && let Some(request) = self.servings[ix.0 as usize].waiting.pop_front()
        {
            let Origin { conn, from } = request.origin;
            // What it showed when it came proves who it is (§7).
            let proof = self.comm.auth(conn).cloned();
            let identity = self.identities.use_of(&from, self.clock.now).cloned();
            let Some((message, identity)) = proof.zip(identity) else {
                continue;
            };
            self.servings[ix.0 as usize].is_busy = true;
            let channel = self.channels[ix.0 as usize].id().clone();
            let kind = JobKind::CheckAccess { channel, identity, message, secret: None };
            self.begin_job(kind, Purpose::StateAccess { channel: ix, request });
        }
    }

    /// Has blocks read for a peer that may have them; from any other there is no reaction (S-20).
    pub(super) fn on_state_access(
        &mut self,
        ix: ChannelIx,
        request: StateRequest,
        outcome: &Outcome,
    ) {
        match outcome {
            Outcome::Accepted => {}
            Outcome::Rejected(_) => {
                self.stats.count(Fault::WrongOrg);
                return self.serve_on(ix);
            }
            _ => {
                self.stats.count(Fault::JobFailed);
                return self.serve_on(ix);
            }
        }
        let channel = &self.channels[ix.0 as usize];
        let StateRequest { first, last, .. } = request;
        if first >= channel.height() {
            return self.answer_state_request(ix, request, Vec::new());
        }
        let (channel, last) = (channel.id().clone(), last.min(channel.height() - 1));
        let bytes_max = self.state_bytes_max();
        let kind = JobKind::ReadBlocks { channel, first, last, bytes_max };
        self.begin_job(kind, Purpose::ReadBlocks { channel: ix, request });
    }

    /// Answers with the blocks that could be read, with none if none could (S-26, S-28).
    pub(super) fn on_blocks_read(
        &mut self,
        ix: ChannelIx,
        request: StateRequest,
        outcome: Outcome,
    ) {
        let blocks = match outcome {
            Outcome::Blocks(blocks) => blocks,
            _ => {
                self.stats.count(Fault::JobFailed);
                Vec::new()
            }
        };
        self.answer_state_request(ix, request, blocks);
    }

    fn answer_state_request(
        &mut self,
        ix: ChannelIx,
        request: StateRequest,
        mut blocks: Vec<(u64, Bytes)>,
    ) {
        let StateRequest { origin, nonce, first, last } = request;
        // The ledger may not care how many bytes are of use.
        let mut room = self.state_bytes_max();
        let mut fits = |block: &Bytes| {
            let has_room = room > 0;
            room = room.saturating_sub(block.len());
            has_room
        };
        blocks.retain(|(number, block)| (first..=last).contains(number) && fits(block));
        let channel = self.channels[ix.0 as usize].id();
        let mut frame = wire::state_response(channel, nonce, blocks);
        if frame.len() > self.config.limits.frame_bytes_max {
            frame = wire::state_response(channel, nonce, Vec::new());
        }
        self.stats.state_responses += 1;
        self.comm(|comm, cx| comm.respond(origin.conn, Lane::Reply, Frame::new(frame), cx));
        self.serve_on(ix);
    }

    /// How many bytes of blocks go into an answer, but for one block.
    fn state_bytes_max(&self) -> usize {
        let Limits { state_response_bytes_max, frame_bytes_max, .. } = self.config.limits;
        state_response_bytes_max.min(frame_bytes_max / 2)
    }

    fn serve_on(&mut self, ix: ChannelIx) {
        self.servings[ix.0 as usize].is_busy = false;
        self.serve_next(ix);
    }
}
