//! What makes blocks a chain: each follows the one before, signed as its configuration asks.

use std::sync::Arc;

use bytes::Bytes;
use gossip_msp::{BlockVerifier, ChannelConfig, ConfigError, header_hash, is_config_block};
use gossip_proto::common::{Block, BlockHeader, ChannelHeader, Envelope, Payload};
use prost::Message;

/// A channel's chain, followed block by block as its peers follow it.
#[derive(Debug)]
pub(crate) struct Chain {
    config: Arc<ChannelConfig>,
    config_block: u64,
    height: u64,
    tip: [u8; 32],
    verifier: BlockVerifier,
}

impl Chain {
    /// Begins with a configuration block, which is trusted as it is.
    ///
    /// # Errors
    ///
    /// Says what was expected of the block.
    pub(crate) fn begin(block: &Bytes) -> Result<Self, String> {
        let number = header(block)?.number;
        let config = config(number, ChannelConfig::from_block(block))?;
        let tip = check_link(block, number, None)?;
        Ok(Self::resume(config, number, number.saturating_add(1), tip))
    }

    /// Goes on after block `height - 1`, whose header has the hash `tip`, where the configuration
    /// of block `config_block` holds.
    pub(crate) fn resume(
        config: ChannelConfig,
        config_block: u64,
        height: u64,
        tip: [u8; 32],
    ) -> Self {
        let config = Arc::new(config);
        let verifier = BlockVerifier::new();
        verifier.set_config(Arc::clone(&config));
        Self { config, config_block, height, tip, verifier }
    }

    /// Takes the next block, if it follows the last one and is signed as the configuration asks.
    ///
    /// # Errors
    ///
    /// Says what was expected of the block. The chain is as before.
    pub(crate) fn push(&mut self, block: &Bytes) -> Result<(), String> {
        let number = self.height;
        let tip = check_link(block, number, Some(self.tip))?;
        self.verifier
            .verify(self.config.channel(), number, block)
            .map_err(|error| format!("block {number} as signed by its orderers: {error}"))?;
        if is_config_block(block) {
            self.config = Arc::new(config(number, self.config.update(block))?);
            self.config_block = number;
            self.verifier.set_config(Arc::clone(&self.config));
        }
        (self.height, self.tip) = (number.saturating_add(1), tip);
        Ok(())
    }

    /// Returns the channel's name.
    pub(crate) fn channel(&self) -> &str {
        self.config.channel()
    }

    /// Returns the number of the last configuration block.
    pub(crate) const fn config_block(&self) -> u64 {
        self.config_block
    }

    /// Returns the number of the next block.
    pub(crate) const fn height(&self) -> u64 {
        self.height
    }

    /// Returns the hash of the last block's header.
    pub(crate) const fn tip(&self) -> [u8; 32] {
        self.tip
    }
}

fn config(
    number: u64,
    config: Result<ChannelConfig, ConfigError>,
) -> Result<ChannelConfig, String> {
    config.map_err(|error| format!("block {number}, a channel's configuration: {error}"))
}

/// Checks a block's place and returns its header's hash; the error says what was expected.
pub(crate) fn check_link(
    block: &Bytes,
    number: u64,
    previous: Option<[u8; 32]>,
) -> Result<[u8; 32], String> {
    let header = header(block)?;
    if header.number != number {
        return Err(format!("block {number}, found block {}", header.number));
    }
    match previous {
        Some(previous) if header.previous_hash != previous[..] => {
            Err(format!("block {number} that follows the one before, found another previous hash"))
        }
        Some(_) | None => Ok(header_hash(&header)),
    }
}

/// Whether two serialized blocks are the same block. Orderers sign each for itself and peers add
/// metadata of their own, so that only the headers must agree.
pub(crate) fn is_same_block(one: &Bytes, other: &Bytes) -> bool {
    header(one).is_ok_and(|one| header(other).is_ok_and(|other| one == other))
}

/// Reads a block's header; the error says what was expected.
pub(crate) fn header(block: &Bytes) -> Result<BlockHeader, String> {
    let block = Block::decode(block.clone());
    let block = block.map_err(|error| format!("a serialized common.Block: {error}"))?;
    block.header.ok_or_else(|| "a block with a header".to_owned())
}

/// Reads the name of the channel that a block says it belongs to.
pub(crate) fn channel_name(block: &Bytes) -> Option<String> {
    let transactions = Block::decode(block.clone()).ok()?.data?.data;
    let envelope = Envelope::decode(transactions.first()?.clone()).ok()?;
    let header = Payload::decode(envelope.payload).ok()?.header?;
    Some(ChannelHeader::decode(header.channel_header).ok()?.channel_id)
}

#[cfg(test)]
mod tests;
