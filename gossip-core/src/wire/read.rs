//! Messages read in place, as long as they are plain.
//!
//! What is not plain reads as `None` and is left to `prost`: fields in another order than that of
//! their numbers, in which everybody writes them; a field twice, one that the schema does not know,
//! another wire type than the schema's. What is plain reads as `prost` reads it.

use bytes::Bytes;
use gossip_proto::gossip::{Envelope, SecretEnvelope};
use prost::encoding::{WireType, decode_varint};

use crate::Stamp;

/// A field of a message: its number and its value.
pub(super) type Field<'a> = (u32, Value<'a>);

#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Gives each field to `take`, until it refuses one.
#[inline(always)]
pub(super) fn each<'a>(
    mut rest: &'a [u8],
    mut take: impl FnMut(Field<'a>) -> Option<()>,
) -> Option<()> {
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number > 0)?;
        let value = varint(&mut rest)?;
        let value = match key & 7 {
            VARINT => Value::Number(value),
            LENGTH_DELIMITED => {
                let (bytes, after) = rest.split_at_checked(usize::try_from(value).ok()?)?;
                rest = after;
                Value::Bytes(bytes)
            }
            _ => return None,
        };
        take((number, value))?;
    }
    Some(())
}

/// Reads a number; most have one byte.
#[inline(always)]
fn varint(rest: &mut &[u8]) -> Option<u64> {
    match *rest {
        [byte @ ..0x80, after @ ..] => {
            *rest = after;
            Some(u64::from(*byte))
        }
        _ => decode_varint(rest).ok(),
    }
}

/// The fields of a message, taken one by one in the order of their numbers.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) const fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// Takes the field with this number, 15 at most, if it comes next and holds bytes; it is empty
    /// if it does not. `None` if it is broken.
    #[inline(always)]
    pub(super) fn bytes(&mut self, number: u8) -> Option<&'a [u8]> {
        match *self.0 {
            [key, ref after @ ..] if u64::from(key) == key_of(number, LENGTH_DELIMITED) => {
                self.0 = after;
                self.slice()
            }
            _ => Some(&[]),
        }
    }

    /// Takes the field with this number, 15 at most, if it comes next and is a number; it is 0 if
    /// it does not. `None` if it is broken.
    #[inline(always)]
    pub(super) fn number(&mut self, number: u8) -> Option<u64> {
        match *self.0 {
            [key, ref after @ ..] if u64::from(key) == key_of(number, VARINT) => {
                self.0 = after;
                varint(&mut self.0)
            }
            _ => Some(0),
        }
    }

    /// Takes the next field, whatever its number, which holds bytes.
    #[inline(always)]
    pub(super) fn any_bytes(&mut self) -> Option<(u32, &'a [u8])> {
        let key = varint(&mut self.0)?;
        let number = u32::try_from(key >> 3).ok().filter(|_| key & 7 == LENGTH_DELIMITED)?;
        Some((number, self.slice()?))
    }

    /// Takes the next field, whatever its number, which is a number; `None` if there is none.
    pub(super) fn any_number(&mut self) -> Option<(u32, u64)> {
        let key = varint(&mut self.0)?;
        let number = u32::try_from(key >> 3).ok().filter(|_| key & 7 == VARINT)?;
        Some((number, varint(&mut self.0)?))
    }

    /// Says whether all were taken.
    pub(super) const fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    #[inline(always)]
    fn slice(&mut self) -> Option<&'a [u8]> {
        let size = varint(&mut self.0)?;
        let (bytes, after) = self.0.split_at_checked(usize::try_from(size).ok()?)?;
        self.0 = after;
        Some(bytes)
    }
}

const fn key_of(number: u8, wire_type: u64) -> u64 {
    (number as u64) << 3 | wire_type
}

/// Sets what was not set before.
pub(super) fn set<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// The parts of a serialized envelope.
#[derive(Clone, Copy)]
pub(super) struct Sealed<'a> {
    pub(super) payload: &'a [u8],
    signature: &'a [u8],
    secret: Option<[&'a [u8]; 2]>,
}

impl<'a> Sealed<'a> {
    pub(super) fn read(envelope: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::of(envelope);
        let (payload, signature) = (fields.bytes(1)?, fields.bytes(2)?);
        if fields.is_over() {
            return Some(Self { payload, signature, secret: None });
        }
        // It may be there and empty.
        let (number, secret) = fields.any_bytes()?;
        let mut parts = Fields::of(secret);
        let secret = Some([parts.bytes(1)?, parts.bytes(2)?]);
        let is_plain = number == 3 && parts.is_over() && fields.is_over();
        is_plain.then_some(Self { payload, signature, secret })
    }

    /// Returns the envelope, which shares the memory of the frame that it was read from.
    pub(super) fn envelope(&self, frame: &Bytes) -> Envelope {
        let share = |part: &[u8]| frame.slice_ref(part);
        let secret = |[payload, signature]: [&[u8]; 2]| SecretEnvelope {
            payload: share(payload),
            signature: share(signature),
        };
        Envelope {
            payload: share(self.payload),
            signature: share(self.signature),
            secret_envelope: self.secret.map(secret),
        }
    }

    /// Returns the internal endpoint that the secret names, in its serialized form.
    pub(super) fn internal_endpoint(&self) -> Option<Option<&'a str>> {
        let Some([payload, _]) = self.secret else {
            return Some(None);
        };
        let mut fields = Fields::of(payload);
        let endpoint = fields.bytes(1)?;
        fields.is_over().then_some(Some(core::str::from_utf8(endpoint).ok()?))
    }
}

/// The fields of a `GossipMessage`.
#[derive(Clone, Copy)]
pub(super) struct Outline<'a> {
    pub(super) nonce: u64,
    pub(super) channel: &'a [u8],
    pub(super) tag: i32,
    /// The number of the field that says what the message is, and what it holds.
    pub(super) kind: u32,
    pub(super) content: &'a [u8],
}

impl<'a> Outline<'a> {
    pub(super) fn read(payload: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::of(payload);
        let (nonce, channel) = (fields.number(1)?, fields.bytes(2)?);
        let tag = i32::try_from(fields.number(3)?).ok()?;
        let (kind, content) = fields.any_bytes()?;
        let is_plain = (5..=25).contains(&kind) && fields.is_over();
        is_plain.then_some(Self { nonce, channel, tag, kind, content })
    }
}

/// Reads a serialized `PeerTime`.
pub(super) fn stamp(time: &[u8]) -> Option<Stamp> {
    let mut fields = Fields::of(time);
    let (incarnation, sequence) = (fields.number(1)?, fields.number(2)?);
    fields.is_over().then_some(Stamp { incarnation, sequence })
}

const VARINT: u64 = WireType::Varint as u64;
const LENGTH_DELIMITED: u64 = WireType::LengthDelimited as u64;

pub(super) const ALIVE_MSG: u32 = 5;
pub(super) const MEM_RES: u32 = 7;
pub(crate) const DATA_DIG: u32 = 10;
pub(super) const STATE_INFO: u32 = 15;
pub(super) const STATE_SNAPSHOT: u32 = 16;
