//! State transfer: blocks that are too far back to be pulled are fetched in ranges, from peers of
//! any organisation of the channel (docs/protocol/70-state-transfer.md §9, §10).
//!
//! What is asked for next follows from what the channel lacks, never from what an answer claimed.

use alloc::vec::Vec;
use core::{mem, time::Duration};

use bytes::Bytes;
use gossip_proto::gossip::{Payload, RemoteStateResponse};

use crate::{
    Fault, Instant, Notice, PkiId,
    comm::{Frame, Lane},
    wire,
};

use super::{
    ChannelIx, Node, TimerKey,
    flights::{BlockRole, What},
    inbound::Origin,
};

/// How far a channel is with catching up.
#[derive(Debug)]
pub(super) struct Transfer {
    phase: Phase,
    /// When the next look is due, while nothing is under way.
    due: Instant,
    /// Nothing is begun before this: the last attempt came to nothing.
    rest_until: Instant,
}

#[derive(Debug, Default)]
enum Phase {
    /// Nothing is under way.
    #[default]
    Idle,
    /// Blocks were asked for.
    Asked(Batch),
    /// The ledger must take some of what is here before more is asked for.
    Full,
}

/// A range of blocks that is asked for, perhaps of several peers one after the other.
#[derive(Debug)]
struct Batch {
    /// The same for all tries: a late answer to an earlier one is as good (S-38, S-41).
    nonce: u64,
    first: u64,
    last: u64,
    asked: Vec<PkiId>,
    /// Who among them has answered, and not with what is needed: it is not asked again.
    useless: Vec<PkiId>,
    /// The number after the last block of the answer without a gap, once there is one.
    until: Option<u64>,
}

impl Transfer {
    pub(super) fn new(now: Instant) -> Self {
        Self { phase: Phase::Idle, due: now, rest_until: now }
    }
}

impl Node {
    /// Schedules the first look, if we fetch blocks at all (S-3, S-32).
    pub(super) fn start_transfer(&mut self, ix: ChannelIx) {
        if self.config.state.enabled {
            self.look_after(ix, self.config.state.check_interval);
        }
    }

    /// Looks soon whether blocks lack that nobody of our organisation still offers to be pulled.
    ///
    /// Fabric finds out at intervals alone.
    pub(super) fn hurry_transfer(&mut self, ix: ChannelIx) {
        let transfer = &self.transfers[ix.0 as usize];
        let soon = self.clock.now + HURRY;
        let is_idle = matches!(transfer.phase, Phase::Idle) && soon < transfer.due;
        if self.config.state.enabled && is_idle && self.clock.now >= transfer.rest_until {
            self.look_after(ix, HURRY);
        }
    }

    fn look_after(&mut self, ix: ChannelIx, pause: Duration) {
        let at = self.clock.now + pause;
        self.transfers[ix.0 as usize].due = at;
        self.set_timer(TimerKey::Transfer(ix), at);
    }

    /// Looks whether we are behind, or gives the peer up that was asked.
    pub(super) fn on_transfer_timer(&mut self, ix: ChannelIx) {
        let first = self.channels[ix.0 as usize].first_lacking();
        match &self.transfers[ix.0 as usize].phase {
            // Part of it came: what lacks now is asked for as if it were new.
            Phase::Asked(batch) if first == Some(batch.first) => self.ask(ix),
            Phase::Asked(_) | Phase::Idle | Phase::Full => self.begin_batch(ix),
        }
    }

    /// Asks for the first blocks that lack; ends the transfer if none does (S-33 to S-35).
    fn begin_batch(&mut self, ix: ChannelIx) {
        let channel = &self.channels[ix.0 as usize];
        // As a rule nobody has more than we have: then it does not matter who is alive.
        let first = channel.first_lacking().filter(|first| *first < channel.best_height());
        let target = first.map_or(0, |_| self.best_height(ix));
        let Some(first) = first.filter(|first| *first < target) else {
            return self.end_transfer(ix, true);
        };
        if matches!(self.transfers[ix.0 as usize].phase, Phase::Idle) {
            let (channel, height) = (channel.id().clone(), channel.height());
            self.notify(Notice::StateTransferStarted { channel, height, target });
        }
        if !self.has_room(ix) {
            self.transfers[ix.0 as usize].phase = Phase::Full;
            return self.look_after(ix, self.config.state.check_interval);
        }
        let last = first.saturating_add(self.span()).min(target - 1);
        let nonce = self.rngs.state.next_u64();
        let batch =
            Batch { nonce, first, last, asked: Vec::new(), useless: Vec::new(), until: None };
        self.transfers[ix.0 as usize].phase = Phase::Asked(batch);
        self.ask(ix);
    }

    /// Asks the next peer for a batch, or gives up.
    fn ask(&mut self, ix: ChannelIx) {
        loop {
            let Some((peer, frame)) = self.next_request(ix) else {
                let pause = self.config.state.check_interval;
                self.transfers[ix.0 as usize].rest_until = self.clock.now + pause;
                return self.end_transfer(ix, false);
            };
            if self.push(peer, Lane::Control, Frame::new(frame)) {
                self.stats.state_requests += 1;
                let at = self.clock.now + self.config.state.response_timeout;
                return self.set_timer(TimerKey::Transfer(ix), at);
            }
        }
    }

    /// Chooses whom to ask next, and what: nobody if all tries are used up or nobody has it.
    ///
    /// Fabric asks only those who have all of it. A peer that claims too great a height would then
    /// be the only one that is asked.
    fn next_request(&mut self, ix: ChannelIx) -> Option<(PkiId, Bytes)> {
        let Phase::Asked(batch) = &mut self.transfers[ix.0 as usize].phase else {
            return None;
        };
        batch.until = None;
        let (first, last, nonce) = (batch.first, batch.last, batch.nonce);
        let (asked, useless) = (batch.asked.clone(), batch.useless.clone());
        if asked.len() > self.config.state.max_retries as usize {
            return None;
        }
        let members = self.living_members(ix).filter(|(.., info)| info.height > first);
        let members: Vec<_> = members.map(|(peer, _, info)| (*peer, info.height)).collect();
        let above = |number: u64, others: &[PkiId]| -> Vec<_> {
            let is_fit = |(peer, height): &&_| *height > number && !others.contains(peer);
            members.iter().filter(is_fit).copied().collect()
        };
        let choices = [(last, &asked), (first, &asked), (first, &useless)];
        let mut choices = choices.into_iter().map(|(number, others)| above(number, others));
        let mut choice = choices.find(|peers| !peers.is_empty())?;
        self.rngs.state.choose(&mut choice, 1);
        let (peer, height) = choice.pop()?;
        let last = last.min(height - 1);
        let frame = wire::state_request(self.channels[ix.0 as usize].id(), nonce, first, last);
        if let Phase::Asked(batch) = &mut self.transfers[ix.0 as usize].phase {
            batch.asked.push(peer);
        }
        Some((peer, frame))
    }

    fn end_transfer(&mut self, ix: ChannelIx, is_complete: bool) {
        let phase = mem::take(&mut self.transfers[ix.0 as usize].phase);
        if !matches!(phase, Phase::Idle) {
            let channel = &self.channels[ix.0 as usize];
            let (channel, height) = (channel.id().clone(), channel.height());
            self.notify(Notice::StateTransferEnded { channel, height, is_complete });
        }
        self.look_after(ix, self.config.state.check_interval);
    }

    /// Takes blocks that we asked for. What nobody waits for is dropped (S-22, S-40); an answer
    /// without the first block, or with others than those that were asked for, is as good as none
    /// (S-39, S-44): the next peer is asked at once.
    pub(super) fn on_state_response(
        &mut self,
        origin: Origin,
        channel: &Bytes,
        nonce: u64,
        response: RemoteStateResponse,
    ) -> Result<(), Fault> {
        let ix = self.channel_of_name(channel).ok_or(Fault::WrongChannel)?;
        let Phase::Asked(batch) = &mut self.transfers[ix.0 as usize].phase else {
            return Err(Fault::Stale);
        };
        let is_awaited = batch.nonce == nonce && batch.asked.contains(&origin.from);
        if !is_awaited || batch.until.is_some() {
            return Err(Fault::Stale);
        }
        let payloads = response.payloads;
        let range = batch.first..=batch.last;
        let mut numbers: Vec<u64> = payloads.iter().map(|payload| payload.seq_num).collect();
        numbers.sort_unstable();
        let is_legal = numbers.iter().all(|number| range.contains(number))
            && numbers.windows(2).all(|pair| pair[0] < pair[1]);
        let run = numbers.iter().zip(batch.first..).take_while(|(have, want)| *have == want);
        let until = batch.first + run.count() as u64;
        if !is_legal || until == batch.first {
            batch.useless.push(origin.from);
            self.ask(ix);
            return if is_legal { Ok(()) } else { Err(Fault::Malformed) };
        }
        batch.until = Some(until);
        for payload in payloads {
            self.admit_transferred(origin, ix, payload);
        }
        self.on_transfer_progress(ix);
        Ok(())
    }

    fn admit_transferred(&mut self, origin: Origin, ix: ChannelIx, payload: Payload) {
        let number = payload.seq_num;
        if !self.channels[ix.0 as usize].lacks(number) {
            return;
        }
        // A copy of its own: it would keep the whole answer in memory.
        let block = Bytes::copy_from_slice(&payload.data);
        let (frame, role) = (Bytes::new(), BlockRole::Transferred);
        let what = What::Block { channel: ix, number, block, frame, role };
        if let Err(fault) = self.admit(origin.claim(what)) {
            self.blame(origin.conn, Some(origin.from), fault);
            self.on_transfer_failed(ix, origin.from);
        }
    }

    /// Goes on with the next range once all of an answer is here, and there is room for more
    /// (S-42, S-45).
    pub(super) fn on_transfer_progress(&mut self, ix: ChannelIx) {
        let first = self.channels[ix.0 as usize].first_lacking();
        let goes_on = match &self.transfers[ix.0 as usize].phase {
            Phase::Idle => false,
            Phase::Asked(Batch { until, .. }) => until.is_some_and(|until| first >= Some(until)),
            Phase::Full => self.has_room(ix),
        };
        if goes_on {
            self.begin_batch(ix);
        }
    }

    /// Takes note that a block of an answer does not hold: the blocks before it stay, the rest is
    /// asked of another (S-43).
    pub(super) fn on_transfer_failed(&mut self, ix: ChannelIx, from: PkiId) {
        if let Phase::Asked(batch) = &mut self.transfers[ix.0 as usize].phase
            && batch.until.is_some()
            && batch.asked.contains(&from)
        {
            batch.useless.push(from);
            self.on_transfer_timer(ix);
        }
    }

    /// Takes note that a peer cannot be reached: it will not answer.
    pub(super) fn on_transfer_unreachable(&mut self, peer: PkiId) {
        for ix in self.channel_ixs() {
            if let Phase::Asked(batch) = &self.transfers[ix.0 as usize].phase
                && batch.until.is_none()
                && batch.asked.last() == Some(&peer)
            {
                self.on_transfer_timer(ix);
            }
        }
    }

    /// Returns the greatest height that a living member of a channel claims, 0 if there is none.
    fn best_height(&self, ix: ChannelIx) -> u64 {
        self.living_members(ix).map(|(.., info)| info.height).max().unwrap_or(0)
    }

    /// How many blocks follow the first of a request: with them no more than twice the buffer and
    /// one wait.
    fn span(&self) -> u64 {
        self.config.state.batch_size.min(self.config.state.block_buffer_size as u64)
    }

    /// Says whether the ledger keeps up. Blocks behind a gap do not count: it waits for the gap to
    /// be filled.
    fn has_room(&self, ix: ChannelIx) -> bool {
        let channel = &self.channels[ix.0 as usize];
        let first = channel.first_lacking().unwrap_or(0);
        first.saturating_sub(channel.height()) <= self.config.state.block_buffer_size as u64
    }
}

/// Long enough for a block to come that is only late.
const HURRY: Duration = Duration::from_millis(100);
