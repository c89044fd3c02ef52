//! Messages read in place, as long as they are plain.
//!
//! What is not plain reads as `None` and is left to `prost`: a field twice, one that the schema
//! does not know, another wire type than the schema's. What is plain reads as `prost` reads it.

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
        let (mut payload, mut signature, mut secret) = (None, None, None);
        each(envelope, |field| match field {
            (1, Value::Bytes(bytes)) => set(&mut payload, bytes),
            (2, Value::Bytes(bytes)) => set(&mut signature, bytes),
            (3, Value::Bytes(bytes)) => set(&mut secret, bytes),
            _ => None,
        })?;
        let secret = match secret {
            None => None,
            Some(secret) => {
                let (mut payload, mut signature) = (None, None);
                each(secret, |field| match field {
                    (1, Value::Bytes(bytes)) => set(&mut payload, bytes),
                    (2, Value::Bytes(bytes)) => set(&mut signature, bytes),
                    _ => None,
                })?;
                Some([payload.unwrap_or_default(), signature.unwrap_or_default()])
            }
        };
        let (payload, signature) = (payload.unwrap_or_default(), signature.unwrap_or_default());
        Some(Self { payload, signature, secret })
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
        let mut endpoint = None;
        each(payload, |field| match field {
            (1, Value::Bytes(bytes)) => set(&mut endpoint, bytes),
            _ => None,
        })?;
        Some(Some(core::str::from_utf8(endpoint?).ok()?))
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
        let (mut nonce, mut channel, mut tag, mut content) = (None, None, None, None);
        each(payload, |field| match field {
            (1, Value::Number(number)) => set(&mut nonce, number),
            (2, Value::Bytes(bytes)) => set(&mut channel, bytes),
            (3, Value::Number(number)) => set(&mut tag, number),
            (number @ 5..=25, Value::Bytes(bytes)) => set(&mut content, (number, bytes)),
            _ => None,
        })?;
        let (kind, content) = content?;
        let tag = i32::try_from(tag.unwrap_or(0)).ok()?;
        let (nonce, channel) = (nonce.unwrap_or(0), channel.unwrap_or_default());
        Some(Self { nonce, channel, tag, kind, content })
    }
}

/// Reads a serialized `PeerTime`.
pub(super) fn stamp(time: &[u8]) -> Option<Stamp> {
    let (mut incarnation, mut sequence) = (None, None);
    each(time, |field| match field {
        (1, Value::Number(number)) => set(&mut incarnation, number),
        (2, Value::Number(number)) => set(&mut sequence, number),
        _ => None,
    })?;
    let (incarnation, sequence) = (incarnation.unwrap_or(0), sequence.unwrap_or(0));
    Some(Stamp { incarnation, sequence })
}

const VARINT: u64 = WireType::Varint as u64;
const LENGTH_DELIMITED: u64 = WireType::LengthDelimited as u64;

pub(super) const ALIVE_MSG: u32 = 5;
pub(super) const MEM_RES: u32 = 7;
pub(crate) const DATA_DIG: u32 = 10;
pub(super) const STATE_INFO: u32 = 15;
pub(super) const STATE_SNAPSHOT: u32 = 16;
