//! What the application asks for.

use alloc::collections::BTreeSet;

use bytes::Bytes;

use crate::{
    ChannelConfig, ChannelId, Command, CommandError, Endpoint, JobKind,
    channel::Channel,
    discovery::Claimed,
    emitter::{Block, Item, Sources},
    wire,
};

use super::{
    ChannelIx, Effect, Node, block_pull::BlockPull, jobs::Purpose, pull::Puller, roster::Crowd,
    state_serving::Serving, state_transfer::Transfer, tracker::Tracker,
};

impl Node {
    pub(super) fn on_command(&mut self, command: Command) -> Result<(), CommandError> {
        match command {
            Command::JoinChannel { channel, config, height } => {
                self.join_channel(channel, &config, height)
            }
            Command::LeaveChannel { channel } => {
                let ix = self.joined(&channel)?;
                self.channel(ix, |channel, cx| channel.leave(cx));
                Ok(())
            }
            Command::GossipBlock { channel, number, block } => {
                self.gossip_block(channel, number, block)
            }
            Command::SetLedgerHeight { channel, height } => {
                let ix = self.joined(&channel)?;
                self.channel(ix, |channel, cx| channel.set_height(height, cx));
                Ok(())
            }
            Command::SetChaincodes { channel, chaincodes } => {
                let ix = self.joined(&channel)?;
                self.channel(ix, |channel, cx| channel.set_chaincodes(chaincodes, cx));
                Ok(())
            }
            Command::SendLeadership { channel, is_declaration } => {
                self.sign_leadership(&channel, is_declaration)
            }
            Command::SetMetadata { metadata } => {
                self.discovery.set_metadata(metadata);
                Ok(())
            }
            Command::SendByCriteria { request, message, criteria } => {
                self.send_by_criteria(request, &message, criteria)
            }
            Command::Send { message, nonce, to } => self.send_to(&message, nonce, &to),
            Command::Accept { kinds } => {
                self.accepted = kinds.into_iter().collect();
                Ok(())
            }
            Command::Acknowledge { conn, nonce, error } => {
                self.acknowledge(conn, nonce, error.as_deref())
            }
            Command::Respond { conn, nonce, message } => self.respond(conn, nonce, &message),
            Command::Connect { endpoint } => {
                self.discovery(|discovery, cx| discovery.connect(endpoint, Claimed::OwnOrg, cx));
                Ok(())
            }
            Command::SuspectPeers => {
                self.suspect_peers();
                Ok(())
            }
            Command::Stop => {
                self.stop();
                Ok(())
            }
        }
    }

    /// Joins a channel or reconfigures it; contacts its anchor peers if that changed anything
    /// (CH-15, CH-16).
    fn join_channel(
        &mut self,
        channel: ChannelId,
        config: &ChannelConfig,
        height: Option<u64>,
    ) -> Result<(), CommandError> {
        if !config.orgs.is_empty() && !config.orgs.iter().any(|(org, _)| *org == self.config.org) {
            return Err(CommandError::NotAMember(channel));
        }
        let ix = match self.channel_ix(&channel) {
            Some(ix) => {
                self.channel(ix, |channel, cx| channel.rejoin(cx));
                if let Some(height) = height {
                    self.channel(ix, |channel, cx| channel.set_height(height, cx));
                }
                ix
            }
            None => self.open_channel(channel.clone(), height)?,
        };
        let is_changed = self.channel(ix, |channel, cx| channel.configure(config, cx));
        let has_company = self.discovery.alive_len() > 0;
        self.channel(ix, |channel, cx| channel.on_company(has_company, has_company, cx));
        if is_changed {
            self.contact_anchors(channel, config);
        }
        Ok(())
    }

    fn open_channel(
        &mut self,
        id: ChannelId,
        height: Option<u64>,
    ) -> Result<ChannelIx, CommandError> {
        if self.channels.len() >= self.config.limits.channels_max {
            return Err(CommandError::TooManyChannels);
        }
        let ix = ChannelIx(u32::try_from(self.channels.len()).unwrap_or(u32::MAX));
        let mut effects = alloc::vec::Vec::new();
        let mut cx = lend!(self, channel, effects);
        let channel = Channel::new(id.clone(), height, &mut cx);
        self.channels.push(channel);
        self.channel_index.insert(id.clone(), ix);
        self.queue.extend(effects.into_iter().map(|effect| Effect::Channel(ix, effect)));
        self.block_pulls.push(BlockPull::new(id));
        self.trackers.push(Tracker::default());
        self.transfers.push(Transfer::new(self.clock.now));
        self.servings.push(Serving::default());
        self.crowds.push(Crowd::default());
        self.arm_tracker(ix);
        self.start_transfer(ix);
        self.pull(Puller::Blocks(ix), |engine, cx| engine.start(cx));
        Ok(ix)
    }

    /// Contacts the anchor peers of a channel, as far as they are not us and may know us (N-41).
    fn contact_anchors(&mut self, channel: ChannelId, config: &ChannelConfig) {
        let anchors =
            || config.orgs.iter().flat_map(|(org, all)| all.iter().map(move |a| (org, a)));
        let endpoints: BTreeSet<Endpoint> = anchors().map(|(_, anchor)| anchor.clone()).collect();
        self.discovery.set_anchors(channel, endpoints);
        for (org, anchor) in anchors() {
            let has_host = !anchor.as_str().starts_with(':');
            if !has_host || anchor.port().is_none_or(|port| port == 0) {
                continue;
            }
            let claimed = if *org == self.config.org { Claimed::OwnOrg } else { Claimed::Foreign };
            if claimed == Claimed::Foreign && self.config.external_endpoint.is_none() {
                continue;
            }
            let endpoint = anchor.clone();
            self.discovery(|discovery, cx| discovery.connect(endpoint, claimed, cx));
        }
    }

    /// Pushes a block of ours, whether or not it is still in the window (CH-49).
    fn gossip_block(
        &mut self,
        channel: ChannelId,
        number: u64,
        block: Bytes,
    ) -> Result<(), CommandError> {
        let ix = self.joined(&channel)?;
        let size = block.len();
        let frame = wire::block(&channel, number, block);
        let max = self.config.limits.sent_frame_bytes_max;
        if frame.len() > max {
            return Err(CommandError::BlockTooLarge { size, max });
        }
        let copy = frame.clone();
        self.channel(ix, |channel, cx| channel.on_own_block(number, copy, cx));
        let item = Item::Block(Block { channel, number, frame, is_pulled: false }.into());
        self.emitter.add(item, Sources::new());
        Ok(())
    }

    /// Has every identity but ours validated anew (C-39).
    fn suspect_peers(&mut self) {
        for pki_id in self.identities.others() {
            let Some(identity) = self.identities.use_of(&pki_id, self.clock.now).cloned() else {
                continue;
            };
            self.begin_job(JobKind::ValidateIdentity { identity }, Purpose::Suspect { pki_id });
        }
    }

    /// Closes everything and forgets what was under way (N-51).
    fn stop(&mut self) {
        self.abandon_requests();
        self.discovery.stop();
        self.emitter.stop();
        self.comm(|comm, cx| comm.stop(cx));
        self.drain();
        self.jobs.clear();
        self.flights.clear();
        self.timers.clear();
        self.stopped = true;
    }

    pub(super) fn joined(&self, channel: &ChannelId) -> Result<ChannelIx, CommandError> {
        self.channel_ix(channel).ok_or_else(|| CommandError::NotJoined(channel.clone()))
    }
}
