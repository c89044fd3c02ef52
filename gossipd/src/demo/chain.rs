//! A channel's blocks in a file.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::ledger::{Blocks, Chain, FileError, header};

/// A file of blocks that was read through and found in order.
#[derive(Debug)]
pub(crate) struct ChainFile {
    /// The channel's name.
    pub(crate) channel: String,
    /// Block 0, a configuration.
    pub(crate) genesis: Bytes,
    /// The number of blocks after block 0.
    pub(crate) count: u64,
    /// The size of the largest block.
    pub(crate) bytes_max: usize,
    /// Blocks after block 0 that replace the channel's configuration.
    pub(crate) config_blocks: BTreeSet<u64>,
    path: PathBuf,
}

impl ChainFile {
    /// Reads a file through up to block `last` and checks all that peers will: that blocks follow
    /// each other, and that those signed them whom the configuration before them asks for.
    ///
    /// # Errors
    ///
    /// Names the file, where in it the trouble is, and what was expected there.
    pub(crate) fn open(path: &Path, last: u64) -> Result<Self, FileError> {
        let mut blocks = Blocks::open(path)?;
        let Some(genesis) = blocks.next().transpose()? else {
            return Err(blocks.fault("block 0, found the end of the file"));
        };
        let number = header(&genesis).map_err(|expected| blocks.fault(expected))?.number;
        if number != 0 {
            return Err(blocks.fault(format!("block 0, found block {number}")));
        }
        let mut followed = Chain::begin(&genesis).map_err(|expected| blocks.fault(expected))?;
        let mut chain = Self {
            channel: followed.channel().to_owned(),
            genesis,
            count: 0,
            bytes_max: 0,
            config_blocks: BTreeSet::new(),
            path: path.to_owned(),
        };
        while chain.count < last {
            let Some(block) = blocks.next().transpose()? else { break };
            followed.push(&block).map_err(|expected| blocks.fault(expected))?;
            chain.count += 1;
            chain.bytes_max = chain.bytes_max.max(block.len());
            if followed.config_block() == chain.count {
                chain.config_blocks.insert(chain.count);
            }
        }
        match chain.count {
            0 => Err(blocks.fault("block 1, found the end of the file")),
            _ => Ok(chain),
        }
    }

    /// Reads the blocks again, from block 1 to the last that was asked for.
    ///
    /// # Errors
    ///
    /// If the file cannot be read any more.
    pub(crate) fn blocks(
        &self,
    ) -> Result<impl Iterator<Item = Result<Bytes, FileError>> + use<>, FileError> {
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        Ok(Blocks::open(&self.path)?.skip(1).take(count))
    }
}

#[cfg(test)]
mod tests;
