//! Files of blocks: each a `common.Block` with its length before it as an unsigned varint.

use std::{
    fmt, fs,
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use bytes::Bytes;

/// The blocks of a file, one after the other. After an error it is of no use.
pub(crate) struct Blocks {
    file: BufReader<fs::File>,
    path: PathBuf,
    /// Where the block that was read last begins.
    offset: u64,
    /// Where the next one begins.
    position: u64,
}

impl Blocks {
    /// Opens a file, of which nothing is read yet.
    ///
    /// # Errors
    ///
    /// If there is none that can be read.
    pub(crate) fn open(path: &Path) -> Result<Self, FileError> {
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
            Err(error) => Err(FileError {
                path: path.to_owned(),
                offset: 0,
                expected: format!("a file of blocks: {error}"),
            }),
        }
    }

    /// Makes an error about the block that was read last.
    pub(crate) fn fault(&self, expected: impl Into<String>) -> FileError {
        FileError { path: self.path.clone(), offset: self.offset, expected: expected.into() }
    }

    fn read(&mut self) -> Result<Option<Bytes>, FileError> {
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
    fn read_length(&mut self) -> Result<Option<u64>, FileError> {
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
    type Item = Result<Bytes, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// A file of blocks that cannot be used.
#[derive(Debug)]
pub(crate) struct FileError {
    path: PathBuf,
    /// Where the block that is wrong begins, in bytes from the start of the file.
    offset: u64,
    expected: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, offset, expected } = self;
        write!(f, "{}: at byte {offset}: expected {expected}", path.display())
    }
}

impl std::error::Error for FileError {}

/// What a gossip frame can carry.
const BLOCK_BYTES_MAX: u64 = 99 << 20;

/// Five groups of seven bits hold every allowed length.
const VARINT_BYTES_MAX: u32 = 5;
