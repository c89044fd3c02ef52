//! A channel's blocks in a file.

use std::{
    collections::BTreeSet,
    fmt, fs,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use gossip_msp::{BlockVerifier, header_hash, is_config_block};
use gossip_proto::common::Block;
use prost::Message;

use super::ledger::learn_config;

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
    pub(crate) fn open(path: &Path, last: u64) -> Result<Self, ChainError> {
        let mut blocks = Blocks::open(path)?;
        let Some(genesis) = blocks.next().transpose()? else {
            return Err(blocks.fault("block 0, found the end of the file"));
        };
        let verifier = BlockVerifier::new();
        let expected = |error| blocks.fault(format!("block 0, a channel's configuration: {error}"));
        let channel = learn_config(&verifier, &genesis).map_err(expected)?;
        let mut previous = check_link(&genesis, 0, None).map_err(|text| blocks.fault(text))?;
        let mut chain = Self {
            channel,
            genesis,
            count: 0,
            bytes_max: 0,
            config_blocks: BTreeSet::new(),
            path: path.to_owned(),
        };
        while chain.count < last {
            let Some(block) = blocks.next().transpose()? else { break };
            let number = chain.count + 1;
            previous =
                check_link(&block, number, Some(previous)).map_err(|text| blocks.fault(text))?;
            verifier.verify(&chain.channel, number, &block).map_err(|error| {
                blocks.fault(format!("block {number} as signed by its orderers: {error}"))
            })?;
            if is_config_block(&block) {
                learn_config(&verifier, &block).map_err(|error| {
                    blocks.fault(format!("block {number}, a channel's configuration: {error}"))
                })?;
                chain.config_blocks.insert(number);
            }
            chain.bytes_max = chain.bytes_max.max(block.len());
            chain.count = number;
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
    ) -> Result<impl Iterator<Item = Result<Bytes, ChainError>> + use<>, ChainError> {
        let count = usize::try_from(self.count).unwrap_or(usize::MAX);
        Ok(Blocks::open(&self.path)?.skip(1).take(count))
    }
}

/// A file of blocks that cannot be used.
#[derive(Debug)]
pub(crate) struct ChainError {
    path: PathBuf,
    /// Where the block that is wrong begins, in bytes from the start of the file.
    offset: u64,
    expected: String,
}

impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, offset, expected } = self;
        write!(f, "{}: at byte {offset}: expected {expected}", path.display())
    }
}

impl std::error::Error for ChainError {}

/// The blocks of a file, one after the other. After an error it is of no use.
struct Blocks {
    file: BufReader<fs::File>,
    path: PathBuf,
    /// Where the block that was read last begins.
    offset: u64,
    /// Where the next one begins.
    position: u64,
}

impl Blocks {
    fn open(path: &Path) -> Result<Self, ChainError> {
        let open = || {
            let file = fs::File::open(path)?;
            match file.metadata()?.is_dir() {
                true => Err(io::Error::from(io::ErrorKind::IsADirectory)),
                false => Ok(file),
            }
        };
        match open() {
            Ok(file) => Ok(Self {
                file: BufReader::new(file),
                path: path.to_owned(),
                offset: 0,
                position: 0,
            }),
            Err(error) => Err(ChainError {
                path: path.to_owned(),
                offset: 0,
                expected: format!("a file of blocks: {error}"),
            }),
        }
    }

    fn fault(&self, expected: impl Into<String>) -> ChainError {
        ChainError { path: self.path.clone(), offset: self.offset, expected: expected.into() }
    }

    fn read(&mut self) -> Result<Option<Bytes>, ChainError> {
        self.offset = self.position;
        let Some(length) = self.read_length()? else { return Ok(None) };
        if length > BLOCK_BYTES_MAX {
            return Err(self.fault(format!(
                "the length of a block, at most {BLOCK_BYTES_MAX} bytes, found {length}"
            )));
        }
        // Grows with what is there, not with what the length claims.
        let mut block = Vec::new();
        let read = self.file.by_ref().take(length).read_to_end(&mut block);
        let read = read.map_err(|error| self.fault(format!("a block: {error}")))?;
        if (read as u64) < length {
            return Err(self.fault(format!("a block of {length} bytes, found only {read}")));
        }
        self.position += length;
        Ok(Some(block.into()))
    }

    /// Reads an unsigned varint; `None` at the end of the file.
    fn read_length(&mut self) -> Result<Option<u64>, ChainError> {
        let mut length = 0_u64;
        for index in 0..VARINT_BYTES_MAX {
            let mut byte = [0];
            match self.file.read_exact(&mut byte) {
                Ok(()) => self.position += 1,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return match index {
                        0 => Ok(None),
                        _ => Err(self.fault("the length of a block, found the end of the file")),
                    };
                }
                Err(error) => return Err(self.fault(format!("the length of a block: {error}"))),
            }
            length |= u64::from(byte[0] & 0x7f) << (7 * index);
            if byte[0] & 0x80 == 0 {
                return Ok(Some(length));
            }
        }
        Err(self.fault("the length of a block as a varint of at most 5 bytes"))
    }
}

impl Iterator for Blocks {
    type Item = Result<Bytes, ChainError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// Checks a block's place and returns its header's hash; the error says what was expected.
fn check_link(block: &Bytes, number: u64, previous: Option<[u8; 32]>) -> Result<[u8; 32], String> {
    let block = Block::decode(block.clone())
        .map_err(|error| format!("block {number}, a serialized common.Block: {error}"))?;
    let header = block.header.ok_or_else(|| format!("block {number}, found one without header"))?;
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

/// What a gossip frame can carry.
const BLOCK_BYTES_MAX: u64 = 99 << 20;

/// Five groups of seven bits hold every allowed length.
const VARINT_BYTES_MAX: u32 = 5;

#[cfg(test)]
mod tests;
