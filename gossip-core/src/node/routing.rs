//! To whom a message is pushed (docs/protocol/40-emitter-and-node.md §6).

use alloc::vec::Vec;
use core::mem;

use bytes::Bytes;

use crate::{
    ChannelId, PkiId,
    comm::{Frame, Lane, Topic},
    emitter::{Item, Sources},
    tree::{self, Receivers},
    wire::{Alive, StateInfo},
};

use super::{
    ChannelIx, Node,
    roster::{Crowd, OrgIx, Seat},
};

/// A block of a batch.
struct Block {
    number: u64,
    frame: Bytes,
    sources: Sources,
    is_pulled: bool,
}

impl Node {
    /// Sends what was gathered: blocks, then leadership, then StateInfo, then alive messages.
    pub(super) fn send_batch(&mut self, batch: Vec<(Item, Sources)>) {
        let mut blocks: Vec<(ChannelIx, Vec<Block>)> = Vec::new();
        let mut leaderships = Vec::new();
        let mut infos = Vec::new();
        let mut alives = Vec::new();
        for (item, sources) in batch {
            match item {
                Item::Block { channel, number, frame, is_pulled } => {
                    let Some(ix) = self.channel_ix(&channel) else {
                        continue;
                    };
                    let block = Block { number, frame, sources, is_pulled };
                    match blocks.iter_mut().find(|(known, _)| *known == ix) {
                        Some((_, blocks)) => blocks.push(block),
                        None => blocks.push((ix, alloc::vec![block])),
                    }
                }
                Item::Leadership { channel, frame } => leaderships.push((channel, frame)),
                Item::StateInfo(info) => infos.push((info, sources)),
                Item::Alive(alive) => alives.push((alive, sources)),
            }
        }
        for (ix, blocks) in blocks {
            self.send_blocks(ix, &blocks);
        }
        for (channel, frame) in leaderships {
            self.send_leadership(&channel, &frame);
        }
        for (info, sources) in infos {
            self.send_state_info(&info, &sources);
        }
        for (alive, sources) in alives {
            self.send_alive(&alive, &sources);
        }
    }

    /// Sends blocks of one channel to peers of our organisation that are in it (CH-48).
    fn send_blocks(&mut self, ix: ChannelIx, blocks: &[Block]) {
        self.refresh_crowd(ix);
        if !self.channels[ix.0 as usize].has_org(&self.config.org) {
            return;
        }
        for block in blocks {
            for peer in self.block_receivers(ix, block) {
                self.comm.lose_patience(&peer);
                self.push(peer, Lane::Gossip, Frame::new(block.frame.clone()));
            }
        }
    }

    /// Chooses who gets a block from us: those below us in its tree, and some by chance.
    fn block_receivers(&mut self, ix: ChannelIx, block: &Block) -> Receivers {
        let (own, fanout) = (&self.config.pki_id, self.config.propagate_peer_num);
        let Crowd { tree, others, .. } = &self.crowds[ix.0 as usize];
        // What comes from outside the tree enters it here.
        let is_inside = |source: &PkiId| source == own || tree.binary_search(source).is_ok();
        let is_source = !block.sources.iter().any(is_inside);
        let mut receivers = match self.config.block_tree {
            true => tree::receivers(tree.iter(), own, block.number, fanout, is_source),
            false => Receivers::new(),
        };
        receivers.retain(|peer| !block.sources.contains(peer));
        if block.is_pulled {
            return receivers;
        }
        let rng = &mut self.rngs.routing;
        let all_follow = others.is_empty() && self.config.block_tree;
        if all_follow && (fanout == 0 || rng.below(LUCK) > 0) {
            return receivers;
        }
        let is_candidate = |peer: &&PkiId| !block.sources.contains(peer);
        let mut chosen: Vec<_> = tree.iter().chain(others).filter(is_candidate).copied().collect();
        if all_follow {
            // Not all may know the same members: now and then one more gets the block.
            chosen.retain(|peer| !receivers.contains(peer));
            rng.choose(&mut chosen, 1);
        } else {
            // The others are served as by peers like them: by their share of a choice among all.
            rng.choose(&mut chosen, fanout);
            chosen.retain(|peer| others.contains(peer));
        }
        receivers.extend(chosen);
        receivers
    }

    /// Sends a StateInfo to any organisation of its channel, if we are in it and its author can be
    /// reached from outside; else to our own organisation (N-19, CH-62).
    fn send_state_info(&mut self, info: &StateInfo, sources: &Sources) {
        let author = info.pki_id;
        let is_public = self.discovery.has_external_endpoint(&author);
        let channel = self.channel_of_mac(&author, &info.mac).filter(|_| is_public);
        let receivers = match channel {
            Some(ix) => {
                self.refresh_crowd(ix);
                let crowd = mem::take(&mut self.crowds[ix.0 as usize]);
                let is_meant = |seat: &Seat| crowd.has(seat.org) && seat.pki_id != author;
                let receivers = self.spread(is_meant, author, info.stamp.sequence, sources);
                self.crowds[ix.0 as usize] = crowd;
                receivers
            }
            None => {
                let is_meant = |seat: &Seat| seat.org == OrgIx::OURS && seat.pki_id != author;
                self.spread(is_meant, author, info.stamp.sequence, sources)
            }
        };
        for peer in receivers {
            self.push(peer, Lane::Gossip, Frame::about(Topic::StateInfo(info.mac), info.frame()));
        }
    }

    /// Sends an alive message to whom it may concern; the secret stays in the organisation
    /// (N-20 to N-24, N-53).
    fn send_alive(&mut self, alive: &Alive, sources: &Sources) {
        let subject = alive.pki_id;
        self.refresh_roster();
        let Some(org) = self.identities.org(&subject) else {
            return;
        };
        let org = self.roster.find(org);
        let is_ours = org == Some(OrgIx::OURS);
        let may_hear = |seat: &Seat| match is_ours {
            // Ours without an external endpoint stays among us (N-20).
            true => alive.endpoint.is_some() || seat.org == OrgIx::OURS,
            // Another organisation's goes to us and to it, and only where it can be answered
            // (N-22).
            false => seat.is_public && (seat.org == OrgIx::OURS || Some(seat.org) == org),
        };
        let is_meant = |seat: &Seat| seat.pki_id != subject && may_hear(seat);
        let mut public = None;
        for peer in self.spread(is_meant, subject, alive.stamp.sequence, sources) {
            let frame = match self.is_own_org(&peer) {
                true => alive.frame(),
                false => public.get_or_insert_with(|| alive.frame_without_secret()).clone(),
            };
            self.push(peer, Lane::Gossip, Frame::about(Topic::Alive(subject), frame));
        }
    }

    /// Chooses who gets a statement of `author` from us, among the living that are meant.
    ///
    /// Where all of them follow trees: those below us in that of our organisation, and for our own
    /// statement a few of each other organisation, where it goes down a tree again. Else some at
    /// random.
    fn spread(
        &mut self,
        is_meant: impl Fn(&Seat) -> bool,
        author: PkiId,
        version: u64,
        sources: &Sources,
    ) -> Receivers {
        self.refresh_roster();
        let (own, fanout) = (self.config.pki_id, self.config.propagate_peer_num);
        let (roster, rng) = (&self.roster, &mut self.rngs.routing);
        let is_candidate = |seat: &&Seat| is_meant(seat) && !sources.contains(&seat.pki_id);
        let pki_id = |seat: &Seat| seat.pki_id;
        if !roster.all_follow(&is_meant) {
            let mut all: Vec<_> = roster.seats().iter().filter(is_candidate).map(pki_id).collect();
            rng.choose(&mut all, fanout);
            return all.into();
        }
        let is_own_org = |source: &PkiId| self.identities.org(source) == Some(&self.config.org);
        let is_source = !sources.iter().any(is_own_org);
        let members = roster.ours().iter().filter(|seat| is_meant(seat)).map(|seat| &seat.pki_id);
        let mut receivers = tree::receivers(members, &own, version, fanout, is_source);
        receivers.retain(|peer| !sources.contains(peer));
        if author == own {
            for org in roster.other_orgs() {
                let entries = roster.seats().iter().filter(is_candidate);
                let mut entries: Vec<_> =
                    entries.filter(|seat| seat.org == org).map(pki_id).collect();
                rng.choose(&mut entries, ENTRIES);
                receivers.extend(entries);
            }
        }
        receivers
    }

    fn refresh_roster(&mut self) {
        self.roster.refresh(&self.discovery, &self.identities, &self.config);
    }

    fn refresh_crowd(&mut self, ix: ChannelIx) {
        self.refresh_roster();
        self.crowds[ix.0 as usize].refresh(&self.roster, &self.channels[ix.0 as usize]);
    }

    /// Sends a frame to a peer by whatever way there is; false if it was dropped at once.
    pub(super) fn push(&mut self, peer: PkiId, lane: Lane, frame: Frame) -> bool {
        let endpoint = match self.comm.is_connected(&peer) {
            true => None,
            false => self.discovery.preferred_endpoint(&peer),
        };
        self.comm(|comm, cx| comm.send(peer, endpoint, lane, frame, cx))
    }

    pub(super) fn channel_ix(&self, channel: &ChannelId) -> Option<ChannelIx> {
        self.channel_index.get(channel).copied()
    }
}

/// One block in so many goes to one more peer than those below us in its tree.
const LUCK: usize = 16;

/// How many peers of each other organisation get our own statement from us.
const ENTRIES: usize = 2;
