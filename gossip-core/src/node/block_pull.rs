//! Block pull: what pushing did not bring (docs/protocol/60-channel.md §13).
//!
//! Where Fabric waits for the next round, a block that others have and we do not is asked for as
//! soon as it is clear that it is not just on its way.

use alloc::{sync::Arc, vec::Vec};
use core::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use gossip_proto::gossip::{Envelope, gossip_message::Content};
use prost::Message as _;
use smallvec::SmallVec;

use crate::{
    ChannelId, Fault, PkiId,
    pull::{Digest, Engine, Family},
    wire,
};

use super::{
    ChannelIx, Node, TimerKey,
    flights::{BlockRole, FlightKey, What},
    inbound::Origin,
    pull::Puller,
    roster::Crowd,
};

/// The engine of a channel, and how urgent its matter is.
#[derive(Debug)]
pub(super) struct BlockPull {
    pub(super) engine: Engine,
    /// The pause before peers are asked once more for what lacks; `None` if nothing does.
    pause: Option<Duration>,
    /// Who sent the last block that had to wait for an earlier one.
    hint: Option<PkiId>,
}

/// The update that a block came in, shared by its blocks: one bad block spoils those that are not
/// accepted yet (CH-56).
#[derive(Clone, Debug, Default)]
pub(super) struct Batch(Arc<AtomicBool>);

impl Batch {
    pub(super) fn spoil(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_spoiled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl BlockPull {
    pub(super) const fn new(channel: ChannelId) -> Self {
        Self { engine: Engine::new(Family::blocks(channel)), pause: None, hint: None }
    }
}

impl Node {
    /// Finds the channel whose blocks a peer may ask us for, and we it (CH-52 to CH-55).
    pub(super) fn admit_block_pull(
        &self,
        origin: &Origin,
        channel: &[u8],
    ) -> Result<ChannelIx, Fault> {
        let ix = self.channel_of_name(channel).ok_or(Fault::WrongChannel)?;
        self.check_sender(ix, &origin.from)?;
        let channel = &self.channels[ix.0 as usize];
        if channel.has_left() {
            return Err(Fault::WrongChannel);
        }
        // It may have said that it is here, but not to us yet.
        if channel.info(&origin.from).is_none() {
            return Err(Fault::Stale);
        }
        self.is_own_org(&origin.from).then_some(ix).ok_or(Fault::WrongOrg)
    }

    pub(super) fn begin_block_round(&mut self, ix: ChannelIx) {
        let channel = &self.channels[ix.0 as usize];
        if channel.best_height() > channel.height() {
            self.pull(Puller::Blocks(ix), Engine::stir);
        }
        let count = self.block_pulls[ix.0 as usize].engine.count(&self.config);
        let mut peers = self.block_peers(ix);
        self.rngs.pull.choose(&mut peers, count);
        self.pull(Puller::Blocks(ix), |engine, cx| engine.on_round(&peers, cx));
    }

    /// Lists the living peers of our organisation that are in the channel; nobody once we left.
    fn block_peers(&mut self, ix: ChannelIx) -> Vec<PkiId> {
        if self.channels[ix.0 as usize].has_left() {
            return Vec::new();
        }
        self.refresh_crowd(ix);
        let Crowd { tree, others, .. } = &self.crowds[ix.0 as usize];
        [&tree[..], &others[..]].concat()
    }

    pub(super) fn visible_blocks(&self, ix: ChannelIx) -> Digest {
        self.channels[ix.0 as usize].served().map(id).collect()
    }

    pub(super) fn served_block(&self, ix: ChannelIx, wanted: &Bytes) -> Option<Envelope> {
        // Ids are compared byte for byte: "007" is not "7".
        let number = number(wanted).filter(|number| id(*number)[..] == **wanted)?;
        let frame = self.channels[ix.0 as usize].served_frame(number)?;
        Envelope::decode(frame).ok()
    }

    /// Says whether a digest names a block that lacks here (P-39, P-40).
    pub(super) fn wants_block(&self, ix: ChannelIx, id: &[u8]) -> bool {
        number(id).is_some_and(|number| {
            let is_checked = self.flights.is_checked(&FlightKey::Block(ix, number));
            !is_checked && self.channels[ix.0 as usize].wants(number)
        })
    }

    /// Takes blocks that we asked for. If one is no block of this channel, none is looked at.
    pub(super) fn on_block_update(
        &mut self,
        origin: Origin,
        ix: ChannelIx,
        nonce: u64,
        items: Vec<Envelope>,
    ) -> Result<(), Fault> {
        self.check_update(Puller::Blocks(ix), &origin.from, nonce)?;
        let mut blocks = Vec::new();
        for item in items.into_iter().take(self.config.limits.pull_items_max) {
            let message = wire::open(&item)?;
            if self.channel_of_name(&message.channel) != Some(ix) {
                return Err(Fault::WrongChannel);
            }
            let Some(Content::DataMsg(data)) = message.content else {
                return Err(Fault::Malformed);
            };
            blocks.push((data.payload.ok_or(Fault::Malformed)?.seq_num, item));
        }
        let name = |number: u64| Bytes::copy_from_slice(&id(number));
        let ids: Vec<_> = blocks.iter().map(|(number, _)| name(*number)).collect();
        let is_late = self.on_update(Puller::Blocks(ix), &origin.from, nonce, &ids);
        let batch = Batch::default();
        for (number, item) in blocks {
            if !self.channels[ix.0 as usize].wants(number) {
                continue;
            }
            // A copy of its own: it would keep the whole update in memory.
            let frame = Bytes::from(item.encode_to_vec());
            let Some(block) = body(&frame) else {
                continue;
            };
            let batch = batch.clone();
            let role = if is_late { BlockRole::Late(batch) } else { BlockRole::Pulled(batch) };
            self.admit_element(origin.claim(What::Block {
                channel: ix,
                number,
                block,
                frame,
                role,
            }));
        }
        Ok(())
    }

    // What lacks.

    /// Takes note that a block came; if an earlier one lacks, its sender may have it.
    pub(super) fn on_block_from(&mut self, ix: ChannelIx, from: PkiId) {
        if self.channels[ix.0 as usize].has_gap() {
            self.block_pulls[ix.0 as usize].hint = Some(from);
            self.watch_lag(ix);
        }
    }

    /// Takes note that a peer has this many blocks, which may be more than came here.
    pub(super) fn on_height_of(&mut self, ix: ChannelIx, height: u64) {
        if self.channels[ix.0 as usize].missing().is_some_and(|next| next < height) {
            self.watch_lag(ix);
        }
    }

    /// Takes note that the ledger moved on, perhaps to a block that never came.
    pub(super) fn on_commit(&mut self, ix: ChannelIx) {
        if self.channels[ix.0 as usize].has_gap() {
            self.watch_lag(ix);
        }
        self.on_transfer_progress(ix);
    }

    /// Looks soon whether a block lacks: it may be on its way.
    fn watch_lag(&mut self, ix: ChannelIx) {
        let pull = &mut self.block_pulls[ix.0 as usize];
        if pull.pause.is_none() {
            pull.pause = Some(FIRST_PAUSE);
            self.set_timer(TimerKey::Lag(ix), self.clock.now + FIRST_PAUSE);
        }
    }

    /// Asks for the block that lacks, of two who may have it; then again with growing pauses.
    pub(super) fn on_lag_timer(&mut self, ix: ChannelIx) {
        if !self.channels[ix.0 as usize].is_behind() {
            self.block_pulls[ix.0 as usize].pause = None;
            return;
        }
        self.pull(Puller::Blocks(ix), Engine::stir);
        let mut owners = self.owners_of_next(ix);
        if owners.is_empty() {
            self.hurry_transfer(ix);
            // What they last said may be old: somebody has sent us a later block.
            if self.channels[ix.0 as usize].has_gap() {
                owners = self.block_peers(ix);
            }
        }
        let pull = &mut self.block_pulls[ix.0 as usize];
        if owners.is_empty() {
            pull.pause = None;
            return;
        }
        let pause = pull.pause.unwrap_or(FIRST_PAUSE) * 2;
        let pause = pause.min(self.config.pull_interval.max(FIRST_PAUSE));
        pull.pause = Some(pause);
        let hint = pull.hint.take().filter(|hint| owners.contains(hint));
        owners.retain(|owner| Some(*owner) != hint);
        self.rngs.pull.choose(&mut owners, 2 - usize::from(hint.is_some()));
        for owner in hint.into_iter().chain(owners) {
            self.pull(Puller::Blocks(ix), |engine, cx| engine.hurry(owner, cx));
        }
        self.set_timer(TimerKey::Lag(ix), self.clock.now + pause);
    }

    /// Lists who serves the block that the ledger waits for; nobody if it does not wait, or if all
    /// are too far ahead.
    fn owners_of_next(&mut self, ix: ChannelIx) -> Vec<PkiId> {
        let Some(next) = self.channels[ix.0 as usize].missing() else {
            return Vec::new();
        };
        let reach = self.config.max_block_count_to_store.saturating_add(1);
        let mut owners = self.block_peers(ix);
        let channel = &self.channels[ix.0 as usize];
        owners.retain(|peer| {
            let height = channel.info(peer).map_or(0, |info| info.height);
            next < height && height - next <= reach
        });
        owners
    }
}

/// Names a block in digests and requests: its number in decimal digits.
fn id(mut number: u64) -> SmallVec<[u8; 20]> {
    let mut digits = SmallVec::new();
    loop {
        digits.push(b'0' + (number % 10) as u8);
        number /= 10;
        if number == 0 {
            digits.reverse();
            return digits;
        }
    }
}

/// Reads a number as Fabric does: digits and nothing else (4.1).
fn number(id: &[u8]) -> Option<u64> {
    let digit = |number: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    };
    (!id.is_empty()).then(|| id.iter().try_fold(0, digit))?
}

/// Returns the block in a serialized envelope.
fn body(frame: &Bytes) -> Option<Bytes> {
    let envelope = Envelope::decode(frame.clone()).ok()?;
    match wire::open(&envelope).ok()?.content? {
        Content::DataMsg(data) => Some(data.payload?.data),
        _ => None,
    }
}

/// Longer than a pushed block takes from one peer to the next.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    /// P-39, 4.1.
    #[test]
    fn numbers_of_blocks_are_digits_and_nothing_else() {
        for number in [0, 7, 10, 1234, u64::MAX] {
            assert_eq!(super::number(&id(number)), Some(number));
        }
        assert_eq!(id(10)[..], *b"10");
        assert_eq!(super::number(b"007"), Some(7));
        for text in ["", "+1", "-1", " 1", "1 ", "0x1", "18446744073709551616"] {
            assert_eq!(super::number(text.as_bytes()), None, "{text:?}");
        }
    }
}
