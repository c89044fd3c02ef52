//! Blocks are verified, and committed in order and once.

use std::collections::BTreeMap;

use gossip_core::{ChannelId, Notice};

use super::{Check, Facts, Seen};

/// Blocks commit in order, once, verified; only verified ones are told of.
#[derive(Debug)]
pub(super) struct Blocks {
    /// The height after the last commit that each host's node told of, by channel.
    told: Vec<BTreeMap<ChannelId, u64>>,
}

impl Blocks {
    pub(super) fn new(hosts: usize) -> Self {
        Self { told: vec![BTreeMap::new(); hosts] }
    }
}

impl Check for Blocks {
    fn name(&self) -> &'static str {
        "blocks in order, once, verified"
    }

    fn see(&mut self, host: usize, seen: &Seen<'_>, facts: &Facts<'_>) -> Result<(), String> {
        match *seen {
            Seen::Started { .. } => self.told[host].clear(),
            Seen::Committed { channel, number, height, block } => {
                if number > height {
                    return Err(format!("block {number} of {channel} committed at {height}"));
                }
                verified(facts, channel, number, block)?;
            }
            Seen::Noticed(Notice::BlockReceived { channel, number, block, .. }) => {
                verified(facts, channel, *number, block)?;
            }
            Seen::Noticed(Notice::BlockCommitted { channel, number }) => {
                let told = self.told[host].insert(channel.clone(), number + 1);
                if told.is_some_and(|told| *number < told) {
                    return Err(format!("block {number} of {channel} committed again"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn verified(
    facts: &Facts<'_>,
    channel: &ChannelId,
    number: u64,
    block: &[u8],
) -> Result<(), String> {
    match facts.authority.is_block(channel, number, block) {
        true => Ok(()),
        false => Err(format!("took block {number} of {channel}, which no orderer made")),
    }
}
