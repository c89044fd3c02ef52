//! The orderers, and what applications do around their nodes: one peer of each organisation takes
//! blocks from the orderers.

use std::time::Duration;

use bytes::Bytes;
use gossip_core::{Command, Instant};

use super::{faults::Control, world::World};

/// The chains.
#[derive(Debug)]
pub(super) struct Orderer {
    chains: Vec<Vec<(Bytes, Instant)>>,
    is_closed: bool,
}

impl Orderer {
    /// Makes empty chains.
    #[must_use]
    pub(super) fn new(channels: usize) -> Self {
        Self { chains: vec![Vec::new(); channels], is_closed: false }
    }

    /// Returns the number of blocks of a channel.
    #[must_use]
    pub(super) fn height(&self, channel: usize) -> u64 {
        self.chains[channel].len() as u64
    }

    /// Returns when a block was made.
    #[must_use]
    pub(super) fn made_at(&self, channel: usize, number: u64) -> Option<Instant> {
        Some(self.chains[channel].get(number as usize)?.1)
    }

    /// Returns a block.
    #[must_use]
    pub(super) fn block(&self, channel: usize, number: u64) -> Option<Bytes> {
        Some(self.chains[channel].get(number as usize)?.0.clone())
    }
}

impl World {
    /// Makes the next block of some channel and plans the one after it.
    pub(super) fn order_block(&mut self) {
        let draws = &mut self.draws.orderer;
        let channel = draws.index(self.layout.channels.len());
        let pause = draws.between(Duration::ZERO, self.options.block_interval * 2);
        let size = 100 + draws.index(900);
        if self.is_healed || self.orderer.is_closed {
            return;
        }
        let (id, number) = (self.channel_id(channel), self.orderer.height(channel));
        let body = body(number, size);
        let block = self.authority.block(&id, number, &body);
        self.orderer.chains[channel].push((block, self.now));
        if let Some(samples) = &mut self.samples {
            let hosts = 0..self.hosts.len();
            let honest = hosts.filter(|host| !self.hosts[*host].is_byzantine);
            let wanted = honest.filter(|host| self.layout.is_in(*host, channel)).count();
            samples.published(channel, number, wanted);
        }
        for org in self.layout.channels[channel].orgs.clone() {
            let Some(leader) = self.leader(org, channel) else { continue };
            self.deliver(leader, channel);
            if number % DECLARATION_INTERVAL == 0 {
                let (channel, is_declaration) = (id.clone(), true);
                self.command(leader, Command::SendLeadership { channel, is_declaration });
            }
        }
        self.plan_control(pause, Control::Block);
    }

    /// Begins the making of blocks, where it has not begun by itself.
    pub(super) fn begin_blocks(&mut self) {
        self.plan_control(Duration::ZERO, Control::Block);
    }

    /// Ends the making of blocks.
    pub fn close_orderers(&mut self) {
        self.orderer.is_closed = true;
    }

    /// Gives all leaders what they lack.
    pub fn deliver_all(&mut self) {
        for channel in 0..self.layout.channels.len() {
            for org in self.layout.channels[channel].orgs.clone() {
                if let Some(leader) = self.leader(org, channel) {
                    self.deliver(leader, channel);
                }
            }
        }
    }

    /// Finds the peer that leads an organisation in a channel: the first that runs and is honest.
    fn leader(&self, org: usize, channel: usize) -> Option<usize> {
        let hosts = (org..self.hosts.len()).step_by(self.layout.orgs.len());
        let mut fit = hosts.filter(|ix| self.hosts[*ix].is_running());
        fit.find(|ix| !self.hosts[*ix].is_byzantine && self.is_member(*ix, channel))
    }

    /// Lets a leader take all blocks that its ledger lacks.
    fn deliver(&mut self, leader: usize, channel: usize) {
        let id = self.channel_id(channel);
        while let Some(block) = self.orderer.block(channel, self.hosts[leader].heights[channel]) {
            let number = self.hosts[leader].heights[channel];
            self.append(leader, channel, number);
            let (height, channel) = (number + 1, id.clone());
            self.command(leader, Command::SetLedgerHeight { channel, height });
            let channel = id.clone();
            self.command(leader, Command::GossipBlock { channel, number, block });
        }
    }

    /// Appends a block to a host's ledger.
    pub(super) fn append(&mut self, host: usize, channel: usize, number: u64) {
        let state = &mut self.hosts[host];
        state.heights[channel] = number + 1;
        let is_first = number >= state.reached[channel];
        state.reached[channel] = state.reached[channel].max(number + 1);
        if let Some(made_at) = self.orderer.made_at(channel, number).filter(|_| is_first) {
            let after = self.now - made_at;
            self.metrics.delivered(after);
            let is_honest = !self.hosts[host].is_byzantine;
            if let Some(samples) = self.samples.as_mut().filter(|_| is_honest) {
                samples.delivered(channel, number, host, after);
            }
        }
    }
}

/// After how many blocks of a channel its leaders say again that they lead.
const DECLARATION_INTERVAL: u64 = 4;

fn body(number: u64, size: usize) -> Vec<u8> {
    format!("block {number} ").into_bytes().into_iter().cycle().take(size).collect()
}
