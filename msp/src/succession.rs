//! Blocks of a channel, each the successor of the one before.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use gossip_proto::common::{Block, BlockHeader};

use crate::block::{self, BlockError, Rules, header_hash};
use crate::channel_config::{BLOCK_VALIDATION, ChannelConfig};
use crate::error::ConfigError;
use crate::transaction::channel_header;

/// Verifies the blocks of a channel in their order, as one does who takes them from a source that
/// is not believed (§13.5).
///
/// Unlike a [`BlockVerifier`](crate::BlockVerifier), to which any block may come, it knows the
/// number and the hash that the next block must have. Names of channels in ordinary blocks are not
/// looked at: the hashes imply them.
#[derive(Clone)]
pub struct Succession {
    rules: Arc<ChannelConfig>,
    number: u64,
    hash: [u8; 32],
}

impl Succession {
    /// Goes on after the block with this header, by the configuration that the channel had then.
    ///
    /// # Errors
    ///
    /// [`BlockError::NoPolicy`] when the configuration has no policy on blocks, so that none could
    /// verify (SV-61).
    pub fn new(config: Arc<ChannelConfig>, last: &BlockHeader) -> Result<Self, BlockError> {
        match config.has_policy(BLOCK_VALIDATION) {
            true => Ok(Self { rules: config, number: last.number, hash: header_hash(last) }),
            false => Err(BlockError::NoPolicy),
        }
    }

    /// The number of the last block.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The hash of the last block's header.
    #[must_use]
    pub fn header_hash(&self) -> [u8; 32] {
        self.hash
    }

    /// Verifies the next block, serialized, which is the last one from then on.
    ///
    /// After one that carries a configuration, [`configure`](Self::configure) goes by it.
    ///
    /// # Errors
    ///
    /// The first check that fails; the last block is the same as before then.
    pub fn verify(&mut self, block: &Bytes) -> Result<(), BlockError> {
        self.take(block, |header, transactions| {
            let first = transactions.first().ok_or(BlockError::NoTransactions)?;
            let is_config = channel_header(first).is_some_and(|first| first.is_config);
            block::check_transactions(header, transactions, is_config)
        })
    }

    /// Verifies the next block, serialized, of whose transactions nothing is known: the last one
    /// from then on.
    ///
    /// Its signatures prove that orderers made a block with this header.
    ///
    /// # Errors
    ///
    /// As [`verify`](Self::verify).
    pub fn verify_attestation(&mut self, block: &Bytes) -> Result<(), BlockError> {
        self.take(block, |_, _| Ok(()))
    }

    /// Goes by the configuration in a serialized block, which must have been verified and is the
    /// last one from then on.
    ///
    /// # Errors
    ///
    /// When the block carries no usable configuration, or one of another channel (SV-62), or one
    /// without a policy on blocks; nothing is changed then.
    pub fn configure(&mut self, block: &Bytes) -> Result<(), ConfigError> {
        let config = ChannelConfig::from_block(block)?;
        if config.channel() != self.rules.channel() {
            let problem = format!("is {:?}, expected {:?}", config.channel(), self.rules.channel());
            return Err(ConfigError::new("channel", problem));
        }
        let fail = |error| ConfigError::new("block", error);
        let header = block::decode(block).and_then(header_of).map_err(fail)?;
        *self = Self::new(Arc::new(config), &header).map_err(fail)?;
        Ok(())
    }

    fn take(
        &mut self,
        block: &Bytes,
        check: impl FnOnce(&BlockHeader, &[Bytes]) -> Result<(), BlockError>,
    ) -> Result<(), BlockError> {
        let mut block = block::decode(block)?;
        let transactions = block.data.take().unwrap_or_default().data;
        let metadata = block.metadata.take().unwrap_or_default().metadata;
        let header = header_of(block)?;
        if Some(header.number) != self.number.checked_add(1) {
            return Err(BlockError::WrongNumber(header.number));
        }
        if header.previous_hash != self.hash[..] {
            return Err(BlockError::WrongPreviousHash);
        }
        if metadata.len() < SLOTS_MIN {
            return Err(BlockError::TooFewSlots(metadata.len()));
        }
        check(&header, &transactions)?;
        Rules::Configured(Arc::clone(&self.rules)).check_signatures(&header, &metadata[0])?;
        (self.number, self.hash) = (header.number, header_hash(&header));
        Ok(())
    }
}

impl fmt::Debug for Succession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channel = self.rules.channel();
        f.debug_struct("Succession")
            .field("channel", &channel)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

fn header_of(block: Block) -> Result<BlockHeader, BlockError> {
    block.header.ok_or(BlockError::NoHeader)
}

/// How many slots of metadata orderers make.
const SLOTS_MIN: usize = 5;
