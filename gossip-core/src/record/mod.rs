//! The log of what a node was told and what it did, from which its run can be repeated.
//!
//! This is the format, no more: buffers in, buffers out. Whoever runs a node gives a [`Writer`]
//! each event and command before the node gets it and each action as the node gives it, and puts
//! the bytes somewhere; a [`Reader`] makes them events and commands again. The same configuration
//! and the same inputs must give the same actions: a log keeps an outline of each action and a
//! running [hash](Digest), so that the first that differs can be named.
//!
//! ```text
//! log    = "gossip\r\n" format:u32 record*                          numbers little-endian
//! record = length:u32 check(number, length):u32 check(payload):u32 payload
//! ```
//!
//! Records are numbered from 0, which is the [`Header`]. A log whose writer was killed ends in the
//! middle of a record; what comes before is whole.
//!
//! **A log is as confidential as the peer's traffic**: it has every frame that came, private data
//! and identities among them, and the seed of the node's random choices. Keys are never in it.

mod code;
mod digest;
mod outline;
mod values;

use alloc::{
    string::{String, ToString as _},
    vec::Vec,
};
use core::fmt;

use bytes::Bytes;

use self::code::{Named as _, Put, Sink as _, Source, Take, Told, fields, take};
pub use self::{
    code::Malformed,
    digest::Digest,
    outline::{Acted, Outline},
};
use crate::{Action, Command, CommandError, Config, Event, Instant};

/// The version of the format.
pub const FORMAT: u32 = 1;

/// How long what stands before the first record is.
pub const PREFACE_LEN: usize = MAGIC.len() + 4;

/// How long what stands before each record's payload is.
pub const HEAD_LEN: usize = 12;

/// The longest payload.
pub const PAYLOAD_BYTES_MAX: usize = 512 << 20;

/// With which set-up a node was made.
#[derive(Clone, Debug)]
pub struct Header {
    /// The version of this crate that wrote the log.
    pub version: String,
    /// The configuration, seed and all.
    pub config: Config,
    /// When the node was made.
    pub start: Instant,
}

/// One record of a log, after its header.
#[derive(Debug)]
pub enum Record {
    /// The node was given an event.
    Event {
        /// When.
        at: Instant,
        /// Which.
        event: Event,
    },
    /// The node was given a command.
    Command {
        /// When.
        at: Instant,
        /// Which.
        command: Command,
    },
    /// The command in the record before was refused, with these words.
    Refused(String),
    /// The node wanted this, and then nothing more.
    Actions(Vec<Acted>),
    /// The node was let go: the log is complete.
    End,
}

impl Record {
    /// Returns the name of what the node was told, or of the record.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Event { event, .. } => event.name(),
            Self::Command { command, .. } => command.name(),
            Self::Refused(_) => "Refused",
            Self::Actions(_) => "Actions",
            Self::End => "End",
        }
    }
}

fields!(Header { version, config, start });

take!(Record {
    1 Event { at, event },
    2 Command { at, command },
    3 Refused(error),
    4 Actions(acted),
    5 End,
});

/// Writes a log into buffers that the caller empties.
///
/// One writer serves one node, from its making to its end. An error means that the record was not
/// written, and that the log ends before it.
#[derive(Clone, Debug)]
pub struct Writer {
    /// The next record's number.
    number: u64,
    digest: Digest,
    /// The actions of the next record, and how many.
    acted: (Vec<u8>, u64),
}

impl Writer {
    /// Begins the log of a node that is made with this configuration.
    ///
    /// # Errors
    ///
    /// If the configuration is too large for a record.
    pub fn new(config: &Config, start: Instant, out: &mut Vec<u8>) -> Result<Self, RecordTooLarge> {
        let mut writer = Self { number: 0, digest: Digest::default(), acted: (Vec::new(), 0) };
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        writer.record(out, |payload| {
            env!("CARGO_PKG_VERSION").put(payload);
            config.put(payload);
            start.put(payload);
        })?;
        Ok(writer)
    }

    /// Writes an event, before the node is given it: what makes a node panic must stand in the log.
    ///
    /// # Errors
    ///
    /// If it is too large for a record.
    pub fn event(
        &mut self,
        at: Instant,
        event: &Event,
        out: &mut Vec<u8>,
    ) -> Result<(), RecordTooLarge> {
        self.record(out, |payload| {
            payload.number(1);
            at.put(payload);
            event.put(payload);
        })
    }

    /// Writes a command, before the node is given it.
    ///
    /// # Errors
    ///
    /// If it is too large for a record.
    pub fn command(
        &mut self,
        at: Instant,
        command: &Command,
        out: &mut Vec<u8>,
    ) -> Result<(), RecordTooLarge> {
        self.record(out, |payload| {
            payload.number(2);
            at.put(payload);
            command.put(payload);
        })
    }

    /// Writes that the node refused the command before, at once after it did.
    ///
    /// # Errors
    ///
    /// If it is too large for a record.
    pub fn refused(
        &mut self,
        error: &CommandError,
        out: &mut Vec<u8>,
    ) -> Result<(), RecordTooLarge> {
        self.record(out, |payload| {
            payload.number(3);
            error.to_string().put(payload);
        })
    }

    /// Notes an action; [`actions`](Self::actions) writes it.
    pub fn action(&mut self, action: &Action) {
        let acted = self.digest.acted(action);
        acted.put(&mut self.acted.0);
        self.acted.1 += 1;
    }

    /// Writes the actions that were noted, if there are any, once the node has no more.
    ///
    /// # Errors
    ///
    /// If they are too large for a record.
    pub fn actions(&mut self, out: &mut Vec<u8>) -> Result<(), RecordTooLarge> {
        let (mut acted, count) = core::mem::take(&mut self.acted);
        if count > 0 {
            self.record(out, |payload| {
                payload.number(4);
                payload.number(count);
                payload.extend_from_slice(&acted);
            })?;
        }
        // The buffer is used again.
        acted.clear();
        self.acted.0 = acted;
        Ok(())
    }

    /// Ends the log: nothing may be written after.
    ///
    /// # Errors
    ///
    /// If the actions that were noted are too large for a record.
    pub fn end(mut self, out: &mut Vec<u8>) -> Result<(), RecordTooLarge> {
        self.actions(out)?;
        self.record(out, |payload| payload.number(5))
    }

    /// Writes one record whose payload the caller writes; leaves nothing behind if it is too large.
    fn record(
        &mut self,
        out: &mut Vec<u8>,
        payload: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), RecordTooLarge> {
        let start = out.len();
        out.resize(start + HEAD_LEN, 0);
        payload(out);
        let (head, payload) = out[start..].split_at_mut(HEAD_LEN);
        let bytes = payload.len();
        let Some(len) = u32::try_from(bytes).ok().filter(|_| bytes <= PAYLOAD_BYTES_MAX) else {
            out.truncate(start);
            return Err(RecordTooLarge { bytes });
        };
        head[..4].copy_from_slice(&len.to_le_bytes());
        head[4..8].copy_from_slice(&check_of_head(self.number, len).to_le_bytes());
        head[8..].copy_from_slice(&check_of_payload(payload).to_le_bytes());
        self.number += 1;
        Ok(())
    }
}

/// A record would be larger than [`PAYLOAD_BYTES_MAX`]; it was not written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordTooLarge {
    /// How large its payload would be.
    pub bytes: usize,
}

impl fmt::Display for RecordTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a record of {} bytes; at most {PAYLOAD_BYTES_MAX} are written", self.bytes)
    }
}

impl core::error::Error for RecordTooLarge {}

/// Reads a log from the pieces that the caller cuts it into: the preface, and then the head and the
/// payload of one record after the other, the [header](Self::header) first.
#[derive(Clone, Debug)]
pub struct Reader {
    number: u64,
}

impl Reader {
    /// Begins with the first [`PREFACE_LEN`] bytes.
    ///
    /// # Errors
    ///
    /// If they do not begin a log of this format.
    pub fn new(preface: &[u8; PREFACE_LEN]) -> Result<Self, Damage> {
        let (magic, format) = preface.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(Damage::NotALog);
        }
        match u32::from_le_bytes(format.try_into().expect("four bytes")) {
            FORMAT => Ok(Self { number: 0 }),
            format => Err(Damage::OtherFormat { format }),
        }
    }

    /// Returns the number of the next record.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Reads how long the payload is that follows this head.
    ///
    /// # Errors
    ///
    /// If the head is not that of the record of this number.
    pub fn payload_len(&self, head: &[u8; HEAD_LEN]) -> Result<usize, Damage> {
        let len = word(head, 0);
        match word(head, 4) == check_of_head(self.number, len) {
            true => usize::try_from(len).ok().filter(|len| *len <= PAYLOAD_BYTES_MAX),
            false => None,
        }
        .ok_or(Damage::Head)
    }

    /// Reads the header, which is the first record, and goes on to the next.
    ///
    /// # Errors
    ///
    /// As [`record`](Self::record).
    pub fn header(&mut self, head: &[u8; HEAD_LEN], payload: Bytes) -> Result<Header, Damage> {
        self.read(head, payload)
    }

    /// Reads a record, and goes on to the next.
    ///
    /// # Errors
    ///
    /// If the payload is not the one that was written, or not understood. The reader stays where
    /// it is.
    pub fn record(&mut self, head: &[u8; HEAD_LEN], payload: Bytes) -> Result<Record, Damage> {
        self.read(head, payload)
    }

    fn read<T: Take>(&mut self, head: &[u8; HEAD_LEN], payload: Bytes) -> Result<T, Damage> {
        let is_whole = self.payload_len(head)? == payload.len();
        if !is_whole || word(head, 8) != check_of_payload(&payload) {
            return Err(Damage::Payload);
        }
        let value = Source::new(payload).only().map_err(Damage::Malformed)?;
        self.number += 1;
        Ok(value)
    }
}

/// A part of a log that cannot be read.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Damage {
    /// The first bytes are not those of a log.
    NotALog,
    /// A log of a format that this version does not read.
    OtherFormat {
        /// Its format.
        format: u32,
    },
    /// The checksum of a record's number and length does not hold.
    Head,
    /// The checksum of a record's payload does not hold.
    Payload,
    /// The checksums hold, but the payload is not understood.
    Malformed(Malformed),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotALog => f.write_str("not the log of a node"),
            Self::OtherFormat { format } => {
                write!(f, "a log of format {format}; this version reads format {FORMAT}")
            }
            Self::Head => f.write_str("damaged: the checksum of the record's length is wrong"),
            Self::Payload => f.write_str("damaged: the checksum of the record is wrong"),
            Self::Malformed(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Damage {}

impl Digest {
    /// Takes an action, with all that is in it.
    pub fn action(&mut self, action: &Action) {
        action.put(self);
    }

    /// Takes an action, with all that is in it, but of each [`Bytes`] what `hash_of` says of them:
    /// for those who see the same bytes in many actions. The hash is another than that of
    /// [`action`](Self::action).
    pub fn action_told(&mut self, action: &Action, hash_of: impl FnMut(&Bytes) -> u64) {
        action.put(&mut Told { digest: self, hash_of });
    }

    /// Takes an action, and returns what a log says of it.
    pub fn acted(&mut self, action: &Action) -> Acted {
        self.action(action);
        Acted { outline: Outline::of(action), digest: self.value() }
    }
}

fn word(head: &[u8; HEAD_LEN], at: usize) -> u32 {
    u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"))
}

fn check_of_head(number: u64, len: u32) -> u32 {
    let mut digest = Digest::default();
    digest.word(number);
    digest.word(u64::from(len));
    digest.value() as u32
}

fn check_of_payload(payload: &[u8]) -> u32 {
    let mut digest = Digest::default();
    digest.bytes(payload);
    digest.value() as u32
}

const MAGIC: &[u8; 8] = b"gossip\r\n";

#[cfg(test)]
mod tests;
