//! A log, read piece by piece: never more of it is in memory than one record.

use std::{
    fmt,
    io::{self, Read},
};

use gossip_core::record::{Damage, HEAD_LEN, Header, PREFACE_LEN, Reader, Record};

/// A log that is being read.
#[derive(Debug)]
pub struct Log<R> {
    input: R,
    reader: Reader,
    offset: u64,
    ending: Option<Ending>,
}

/// How a log ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// With the end of the node's run.
    Complete,
    /// After a record, but before the end of the run.
    Open,
    /// In the middle of a record: whoever wrote it was killed, or still writes.
    Torn {
        /// Where that record begins.
        offset: u64,
        /// How many bytes of it there are.
        bytes: u64,
    },
}

impl<R: Read> Log<R> {
    /// Reads what a log begins with.
    ///
    /// # Errors
    ///
    /// If it does not begin so.
    pub fn open(mut input: R) -> Result<(Header, Self), LogError> {
        let preface = read(&mut input, PREFACE_LEN as u64, 0)?;
        let preface = preface.first_chunk().ok_or(LogError::at(0, 0, Damage::NotALog))?;
        let reader = Reader::new(preface).map_err(|damage| LogError::at(0, 0, damage))?;
        let mut log = Self { input, reader, offset: PREFACE_LEN as u64, ending: None };
        let header = log.piece(Reader::header)?.ok_or(LogError::NoHeader)?;
        Ok((header, log))
    }

    /// Reads the next record; `None` at the end, of which [`ending`](Self::ending) then tells.
    ///
    /// # Errors
    ///
    /// If the input cannot be read, or something in it is not what was written. The rest of the
    /// log is lost then.
    pub fn next_record(&mut self) -> Result<Option<Record>, LogError> {
        if self.ending.is_some() {
            return Ok(None);
        }
        let record = self.piece(Reader::record)?;
        if matches!(record, Some(Record::End)) {
            if !read(&mut self.input, 1, self.offset)?.is_empty() {
                return Err(LogError::AfterTheEnd { offset: self.offset });
            }
            self.ending = Some(Ending::Complete);
        }
        Ok(record)
    }

    /// Says how the log ends, once it was read that far.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Returns how many bytes were read.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the number of the next record; the header has number 0.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.reader.number()
    }

    fn piece<T>(&mut self, decode: Decode<T>) -> Result<Option<T>, LogError> {
        let (start, number) = (self.offset, self.reader.number());
        let damaged = |damage| LogError::at(start, number, damage);
        let head = read(&mut self.input, HEAD_LEN as u64, start)?;
        let Some(whole) = head.first_chunk::<HEAD_LEN>() else {
            return Ok(self.ends(head.len() as u64));
        };
        let len = self.reader.payload_len(whole).map_err(damaged)?;
        let payload = read(&mut self.input, len as u64, start)?;
        if payload.len() < len {
            return Ok(self.ends((HEAD_LEN + payload.len()) as u64));
        }
        let value = decode(&mut self.reader, whole, payload.into()).map_err(damaged)?;
        self.offset += (HEAD_LEN + len) as u64;
        Ok(Some(value))
    }

    /// Notes that the input has ended, after so many bytes of a record.
    fn ends<T>(&mut self, bytes: u64) -> Option<T> {
        let offset = self.offset;
        self.ending = Some(if bytes == 0 { Ending::Open } else { Ending::Torn { offset, bytes } });
        None
    }
}

type Decode<T> = fn(&mut Reader, &[u8; HEAD_LEN], bytes::Bytes) -> Result<T, Damage>;

/// Reads so many bytes, or fewer if the input ends; grows with what is there, not with `len`.
fn read(input: &mut impl Read, len: u64, offset: u64) -> Result<Vec<u8>, LogError> {
    let mut bytes = Vec::new();
    match input.take(len).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(LogError::Unreadable { offset, error }),
    }
}

/// A log that cannot be read, or not further.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogError {
    /// The input fails.
    Unreadable {
        /// Where the record begins that was being read.
        offset: u64,
        /// What the system says.
        error: io::Error,
    },
    /// A record is not what was written.
    Damaged {
        /// Where it begins.
        offset: u64,
        /// Which it is, counted from the header, which is 0.
        number: u64,
        /// What is wrong.
        damage: Damage,
    },
    /// The log ends within its header.
    NoHeader,
    /// Something follows the end.
    AfterTheEnd {
        /// Where.
        offset: u64,
    },
}

impl LogError {
    fn at(offset: u64, number: u64, damage: Damage) -> Self {
        Self::Damaged { offset, number, damage }
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { offset, error } => write!(f, "byte {offset}: {error}"),
            Self::Damaged {
                damage: damage @ (Damage::NotALog | Damage::OtherFormat { .. }),
                ..
            } => damage.fmt(f),
            Self::Damaged { offset, number, damage } => {
                write!(f, "record {number}, from byte {offset}: {damage}")
            }
            Self::NoHeader => f.write_str("the log ends within its header: nothing can be re-run"),
            Self::AfterTheEnd { offset } => {
                write!(f, "byte {offset}: expected nothing after the end of the run")
            }
        }
    }
}

impl std::error::Error for LogError {}
