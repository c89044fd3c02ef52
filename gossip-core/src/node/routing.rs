//! To whom a message is pushed (docs/protocol/40-emitter-and-node.md §6).

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};

use bytes::Bytes;

use crate::{
    ChannelId, OrgId, PkiId,
    comm::{Frame, Lane, Topic},
    emitter::{Item, Sources},
    tree,
    wire::{Alive, StateInfo, extension},
};

use super::{ChannelIx, Node};

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
        let channel = &self.channels[ix.0 as usize];
        if !channel.has_org(&self.config.org) {
            return;
        }
        // Those that follow the tree, we among them, and those that choose at random.
        let (mut tree, mut others) = (Vec::new(), Vec::new());
        for (peer, _) in self.discovery.alive() {
            if channel.is_eligible(peer) && self.is_own_org(peer) {
                if self.follows_tree(peer) { &mut tree } else { &mut others }.push(*peer);
            }
        }
        tree.push(self.config.pki_id);
        for block in blocks {
            for peer in self.receivers(&mut tree, &others, block) {
                self.comm.lose_patience(&peer);
                self.push(peer, Lane::Gossip, Frame::new(block.frame.clone()));
            }
        }
    }

    /// Chooses who gets a block from us: those below us in its tree, and some by chance.
    fn receivers(&mut self, tree: &mut [PkiId], others: &[PkiId], block: &Block) -> Vec<PkiId> {
        let (own, fanout) = (self.config.pki_id, self.config.propagate_peer_num);
        // What comes from outside the tree enters it here.
        let is_source = block.sources.iter().all(|source| !tree.contains(source));
        let mut receivers = match self.config.block_tree {
            true => tree::receivers(tree, &own, block.number, fanout, is_source),
            false => Vec::new(),
        };
        receivers.retain(|peer| !block.sources.contains(peer));
        if block.is_pulled {
            return receivers;
        }
        let is_candidate = |peer: &&PkiId| **peer != own && !block.sources.contains(peer);
        let mut chosen: Vec<_> = tree.iter().chain(others).filter(is_candidate).copied().collect();
        let rng = &mut self.rngs.routing;
        if others.is_empty() && self.config.block_tree {
            // Not all may know the same members: now and then one more gets the block.
            chosen.retain(|peer| !receivers.contains(peer));
            let chances = usize::from(fanout > 0 && rng.below(LUCK) == 0);
            rng.choose(&mut chosen, chances);
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
    fn send_state_info(&mut self, info: &Arc<StateInfo>, sources: &Sources) {
        let author = info.pki_id;
        let is_public = self.discovery.has_external_endpoint(&author);
        let channel = self.channels.iter().find(|channel| {
            is_public && crate::wire::channel_mac(&author, channel.id()) == info.mac
        });
        let mut receivers = self.alive_peers();
        receivers.retain(|peer| {
            let may_know = match channel {
                Some(channel) => self.identities.org(peer).is_some_and(|org| channel.has_org(org)),
                None => self.is_own_org(peer),
            };
            may_know && !sources.contains(peer) && *peer != author
        });
        self.rngs.routing.choose(&mut receivers, self.config.propagate_peer_num);
        for peer in receivers {
            self.push(peer, Lane::Gossip, Frame::about(Topic::StateInfo(info.mac), info.frame()));
        }
    }

    /// Sends an alive message to whom it may concern; the secret stays in the organisation
    /// (N-20 to N-24, N-53).
    fn send_alive(&mut self, alive: &Arc<Alive>, sources: &Sources) {
        let subject = alive.pki_id;
        let Some(org) = self.identities.org(&subject).cloned() else {
            return;
        };
        let mut receivers = self.alive_peers();
        receivers.retain(|peer| *peer != subject && self.may_hear_of(peer, alive, &org));
        if receivers.iter().all(|peer| self.follows_tree(peer)) {
            receivers = self.alive_tree(receivers, alive, sources);
            receivers.retain(|peer| !sources.contains(peer));
        } else {
            receivers.retain(|peer| !sources.contains(peer));
            self.rngs.routing.choose(&mut receivers, self.config.propagate_peer_num);
        }
        let mut public = None;
        for peer in receivers {
            let frame = match self.is_own_org(&peer) {
                true => alive.frame(),
                false => public.get_or_insert_with(|| alive.frame_without_secret()).clone(),
            };
            self.push(peer, Lane::Gossip, Frame::about(Topic::Alive(subject), frame));
        }
    }

    /// Chooses receivers where all follow trees: those below us in that of our organisation, and
    /// for our own message a few of each other organisation, where it goes down a tree again.
    fn alive_tree(&mut self, peers: Vec<PkiId>, alive: &Alive, sources: &Sources) -> Vec<PkiId> {
        let (own, fanout) = (self.config.pki_id, self.config.propagate_peer_num);
        let (mut members, others): (Vec<_>, Vec<_>) =
            peers.into_iter().partition(|peer| self.is_own_org(peer));
        members.push(own);
        let is_source = !sources.iter().any(|source| self.is_own_org(source));
        let version = alive.stamp.sequence;
        let mut receivers = tree::receivers(&mut members, &own, version, fanout, is_source);
        if alive.pki_id == own {
            let mut entries: BTreeMap<OrgId, Vec<PkiId>> = BTreeMap::new();
            for peer in others {
                if let Some(org) = self.identities.org(&peer) {
                    entries.entry(org.clone()).or_default().push(peer);
                }
            }
            for (_, mut peers) in entries {
                self.rngs.routing.choose(&mut peers, ENTRIES);
                receivers.extend(peers);
            }
        }
        receivers
    }

    fn follows_tree(&self, peer: &PkiId) -> bool {
        let peer = self.discovery.peer(peer);
        self.config.block_tree
            && peer.is_some_and(|peer| peer.message.extensions & extension::BLOCK_TREE != 0)
    }

    /// Says whether a peer may be told that the subject of an alive message exists.
    fn may_hear_of(&self, peer: &PkiId, alive: &Alive, org: &OrgId) -> bool {
        let own = &self.config.org;
        let Some(theirs) = self.identities.org(peer) else {
            return false;
        };
        if org == own {
            // Ours without an external endpoint stays among us (N-20).
            return alive.endpoint.is_some() || theirs == own;
        }
        // Another organisation's goes to us and to it, and only where it can be answered (N-22).
        (theirs == own || theirs == org) && self.discovery.has_external_endpoint(peer)
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

/// How many peers of each other organisation get our own alive message from us.
const ENTRIES: usize = 2;
