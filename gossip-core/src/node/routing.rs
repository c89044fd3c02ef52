//! To whom a message is pushed (docs/protocol/40-emitter-and-node.md §6).

use crate::{
    ChannelId, Config, OrgId, PkiId,
    comm::{Frame, Lane, Topic},
    emitter::{Block, Entry, Item, Sources, TURNS},
    rng::Rng,
    tree::{self, Cargo, Receivers},
    wire::{Alive, StateInfo},
};

use super::{
    ChannelIx, Node,
    roster::{self, Audience, Crowd, OrgIx, Roster},
};

/// What a peer says about itself.
struct Statement<'a> {
    author: PkiId,
    version: u64,
    sources: &'a Sources,
    /// Nobody of our organisation brought it.
    is_source: bool,
}

impl Node {
    /// Sends what was gathered, each kind in its turn.
    pub(super) fn send_batch(&mut self, batch: &[Entry]) {
        for turn in 0..TURNS {
            for Entry { item, sources, .. } in batch.iter().filter(|it| it.item.turn() == turn) {
                match item {
                    Item::Block(block) => self.send_block(block, sources),
                    Item::Leadership(leadership) => {
                        let (channel, frame) = &**leadership;
                        self.send_leadership(channel, frame);
                    }
                    Item::StateInfo(info) => self.send_state_info(info, sources),
                    Item::Alive(alive) => self.send_alive(alive, sources),
                }
            }
        }
    }

    /// Sends a block to peers of our organisation that are in its channel (CH-48).
    fn send_block(&mut self, block: &Block, sources: &Sources) {
        let Some(ix) = self.channel_ix(&block.channel) else {
            return;
        };
        if !self.channels[ix.0 as usize].has_org(&self.config.org) {
            return;
        }
        self.refresh_crowd(ix);
        for peer in self.block_receivers(ix, block, sources) {
            self.comm.lose_patience(&peer);
            self.push(peer, Lane::Gossip, Frame::new(block.frame.clone()));
        }
    }

    /// Chooses who gets a block from us: those below us in its tree, and some by chance.
    fn block_receivers(&mut self, ix: ChannelIx, block: &Block, sources: &Sources) -> Receivers {
        let (own, fanout) = (&self.config.pki_id, self.config.propagate_peer_num);
        let Crowd { tree, others, .. } = &self.crowds[ix.0 as usize];
        // What comes from outside the tree enters it here.
        let is_inside = |source: &PkiId| source == own || tree.binary_search(source).is_ok();
        let is_source = !sources.iter().any(is_inside);
        let cargo = Cargo { author: None, number: block.number };
        let mut receivers = match self.config.block_tree {
            true => tree::receivers(tree, own, cargo, fanout, is_source),
            false => Receivers::new(),
        };
        receivers.retain(|peer| !sources.contains(peer));
        if block.is_pulled {
            return receivers;
        }
        let rng = &mut self.rngs.routing;
        let lists = [&tree[..], &others[..]];
        if others.is_empty() && self.config.block_tree {
            if fanout > 0 && rng.below(LUCK) == 0 {
                // Not all may know the same members: now and then one more gets the block.
                let has_it = |peer: &PkiId| sources.contains(peer) || receivers.contains(peer);
                let lucky = roster::choose(&lists, 1, has_it, rng);
                receivers.extend(lucky);
            }
            return receivers;
        }
        // The others are served as by peers like them: by their share of a choice among all.
        let mut chosen = roster::choose(&lists, fanout, |peer| sources.contains(peer), rng);
        chosen.retain(|peer| others.binary_search(peer).is_ok());
        receivers.extend(chosen);
        receivers
    }

    /// Sends a StateInfo to any organisation of its channel, if we are in it and its author can be
    /// reached from outside; else to our own organisation (N-19, CH-62).
    fn send_state_info(&mut self, info: &StateInfo, sources: &Sources) {
        self.refresh_roster();
        let author = info.pki_id;
        let is_public = self.discovery.has_external_endpoint(&author);
        let ix = self.channel_of_mac(&author, &info.mac).filter(|_| is_public);
        let statement = self.statement(author, info.stamp.sequence, sources);
        let channel = ix.map(|ix| &self.channels[ix.0 as usize]);
        let has_org = |ix, org: &OrgId| match channel {
            Some(channel) => channel.has_org(org),
            None => ix == OrgIx::OURS,
        };
        let audience = Audience { is_public: false, has_org };
        let rng = &mut self.rngs.routing;
        for peer in spread(&statement, &audience, &self.roster, &self.config, rng) {
            self.push(peer, Lane::Gossip, Frame::about(Topic::StateInfo(info.mac), info.frame()));
        }
    }

    /// Sends an alive message to whom it may concern; the secret stays in the organisation
    /// (N-20 to N-24, N-53).
    fn send_alive(&mut self, alive: &Alive, sources: &Sources) {
        self.refresh_roster();
        let subject = alive.pki_id;
        let Some(org) = self.identities.org(&subject) else {
            return;
        };
        let is_ours = *org == self.config.org;
        let org = self.roster.find(org);
        let has_org = |ix, _: &OrgId| match is_ours {
            // Ours without an external endpoint stays among us (N-20).
            true => alive.endpoint.is_some() || ix == OrgIx::OURS,
            // Another organisation's goes to us and to it, and only where it can be answered
            // (N-22).
            false => ix == OrgIx::OURS || Some(ix) == org,
        };
        let audience = Audience { is_public: !is_ours, has_org };
        let statement = self.statement(subject, alive.stamp.sequence, sources);
        let rng = &mut self.rngs.routing;
        let mut public = None;
        for peer in spread(&statement, &audience, &self.roster, &self.config, rng) {
            let frame = match self.is_own_org(&peer) {
                true => alive.frame(),
                false => public.get_or_insert_with(|| alive.frame_without_secret()).clone(),
            };
            self.push(peer, Lane::Gossip, Frame::about(Topic::Alive(subject), frame));
        }
    }

    fn statement<'a>(&self, author: PkiId, version: u64, sources: &'a Sources) -> Statement<'a> {
        let is_source = !sources.iter().any(|source| self.is_own_org(source));
        Statement { author, version, sources, is_source }
    }

    pub(super) fn refresh_roster(&mut self) {
        self.roster.refresh(&mut self.discovery, &mut self.identities, &self.config);
    }

    pub(super) fn refresh_crowd(&mut self, ix: ChannelIx) {
        self.refresh_roster();
        let channel = &self.channels[ix.0 as usize];
        self.crowds[ix.0 as usize].refresh(&self.roster, channel, &self.config);
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

/// Chooses who of an audience gets a statement from us.
///
/// Where all of them follow trees: those below us in that of our organisation, and for our own
/// statement the first of that of each other organisation, who get it there in any case: each lets
/// it begin at the top, so that one whom we cannot reach does no harm. Else some at random.
fn spread<F>(
    statement: &Statement<'_>,
    audience: &Audience<F>,
    roster: &Roster,
    config: &Config,
    rng: &mut Rng,
) -> Receivers
where
    F: Fn(OrgIx, &OrgId) -> bool,
{
    let Statement { author, version, sources, is_source } = statement;
    let (own, fanout) = (&config.pki_id, config.propagate_peer_num);
    if !roster.all_follow(audience, author) {
        let is_excluded = |peer: &PkiId| peer == author || sources.contains(peer);
        return roster.choose(audience, fanout, is_excluded, rng);
    }
    let cargo = Cargo { author: Some(author), number: *version };
    let mut receivers = match audience.has_ours(config) {
        true => tree::receivers(roster.ours(audience.is_public), own, cargo, fanout, *is_source),
        false => Receivers::new(),
    };
    receivers.retain(|peer| !sources.contains(peer));
    if author == own {
        receivers.extend(roster.first_abroad(audience, own, cargo, ENTRIES));
    }
    receivers
}

/// One block in so many goes to one more peer than those below us in its tree.
const LUCK: usize = 16;

/// How many peers of each other organisation get our own statement from us.
const ENTRIES: usize = 2;
