//! The orderers, and what applications do around their nodes: one peer of each organisation takes
//! blocks from the orderers; who has fallen far behind fetches what no window holds.

use std::time::Duration;

use bytes::Bytes;
use gossip_core::{Command, Instant};

use super::{faults::Control, world::World};

/// The chains.
#[derive(Debug)]
pub(super) struct Orderer {
    chains: Vec<Vec<(Bytes, Instant)>>,
}

impl Orderer {
    /// Makes empty chains.
    #[must_use]
    pub(super) fn new(channels: usize) -> Self {
        Self { chains: vec![Vec::new(); channels] }
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

    fn block(&self, channel: usize, number: u64) -> Option<Bytes> {
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
        if self.is_healed {
            return;
        }
        let (id, number) = (self.channel_id(channel), self.orderer.height(channel));
        let body = body(number, size);
        let block = self.authority.block(&id, number, &body);
        self.orderer.chains[channel].push((block, self.now));
        for org in self.layout.channels[channel].orgs.clone() {
            if let Some(leader) = self.leader(org) {
                self.deliver(leader, channel);
            }
        }
        self.plan_control(pause, Control::Block);
    }

    /// Gives all leaders what they lack.
    pub(super) fn deliver_all(&mut self) {
        for channel in 0..self.layout.channels.len() {
            for org in self.layout.channels[channel].orgs.clone() {
                if let Some(leader) = self.leader(org) {
                    self.deliver(leader, channel);
                }
            }
        }
    }

    /// Finds the peer that leads an organisation: the first that runs and is honest.
    fn leader(&self, org: usize) -> Option<usize> {
        let hosts = (org..self.hosts.len()).step_by(self.layout.orgs.len());
        let mut fit = hosts.filter(|ix| self.hosts[*ix].is_running());
        fit.find(|ix| !self.hosts[*ix].is_byzantine)
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
        self.hosts[host].heights[channel] = number + 1;
        if let Some(made_at) = self.orderer.made_at(channel, number) {
            self.metrics.delivered(self.now - made_at);
        }
    }

    /// Lets the application of a host fetch the blocks that are in no peer's window any more,
    /// which stands for state transfer, and plans when it looks again.
    pub(super) fn catch_up(&mut self, host: usize) {
        self.plan_control(CATCH_UP_INTERVAL, Control::CatchUp { host });
        if !self.hosts[host].is_running() {
            return;
        }
        for channel in self.layout.channels_of(host) {
            let id = self.channel_id(channel);
            let node = self.hosts[host].node.as_ref();
            let peers = node.and_then(|node| node.channel_peers(&id)).unwrap_or_default();
            let highest = peers.iter().map(|peer| peer.ledger_height).max().unwrap_or(0);
            // A hostile peer may claim any height.
            let highest = highest.min(self.orderer.height(channel));
            let own = self.hosts[host].heights[channel];
            let is_stuck = self.hosts[host].progress[channel].is_stuck(own, self.now);
            // What is in a window is left to gossip, for as long as it gets on.
            let height = if is_stuck { highest } else { highest.saturating_sub(WINDOW) };
            if height > own {
                self.hosts[host].heights[channel] = height;
                self.command(host, Command::SetLedgerHeight { channel: id, height });
            }
        }
    }
}

/// Since when a ledger has not grown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Progress {
    height: u64,
    since: Instant,
}

impl Progress {
    fn is_stuck(&mut self, height: u64, now: Instant) -> bool {
        if height != self.height || self.since == Instant::ZERO {
            *self = Self { height, since: now };
        }
        now - self.since >= PATIENCE
    }
}

fn body(number: u64, size: usize) -> Vec<u8> {
    format!("block {number} ").into_bytes().into_iter().cycle().take(size).collect()
}

/// How long a ledger may stand still before the application fetches what others have: no window
/// may hold the next block any more.
const PATIENCE: Duration = Duration::from_secs(60);
/// How far behind the blocks of the default window begin.
const WINDOW: u64 = 10;
/// How often an application looks whether its peer is far behind.
pub(super) const CATCH_UP_INTERVAL: Duration = Duration::from_secs(5);
