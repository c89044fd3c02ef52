//! Messages that are lists, read in place: most of their elements are known already, and are told
//! from those that are not without decoding them.
//!
//! What is not plain reads as `None` and is left to `prost`: a field twice, one that the schema
//! does not know, another wire type than the schema's.

use alloc::vec::Vec;

use prost::encoding::{WireType, decode_key, decode_varint};

use crate::{PkiId, Stamp};

/// A message that is a list.
#[derive(Debug, PartialEq)]
pub(crate) struct List<'a> {
    pub(crate) nonce: u64,
    pub(crate) channel: &'a [u8],
    pub(crate) tag: i32,
    pub(crate) items: Items<'a>,
}

/// What is listed.
#[derive(Debug, PartialEq)]
pub(crate) enum Items<'a> {
    /// A membership response: serialized envelopes of alive messages.
    Members { alive: Vec<&'a [u8]>, dead: Vec<&'a [u8]> },
    /// A snapshot: serialized envelopes of StateInfo messages.
    Infos(Vec<&'a [u8]>),
    /// A digest of a pull: names of items.
    Digest { nonce: u64, msg_type: i32, ids: Vec<&'a [u8]> },
}

/// What tells one statement from another: who says it, in what channel (in all of them if it is an
/// alive message), and how new it is.
#[derive(Debug, PartialEq)]
pub(crate) struct Name {
    pub(crate) pki_id: PkiId,
    pub(crate) mac: Option<[u8; 32]>,
    pub(crate) stamp: Stamp,
}

/// Reads a serialized `GossipMessage` that is a plain list.
pub(crate) fn list(payload: &[u8]) -> Option<List<'_>> {
    let mut outline = Outline::default();
    each(payload, |field| outline.take(field))?;
    let (number, content) = outline.content?;
    let items = match number {
        MEM_RES => {
            let (mut alive, mut dead) = (Vec::new(), Vec::new());
            each(content, |field| match field {
                (1, Value::Bytes(element)) => put(&mut alive, element),
                (2, Value::Bytes(element)) => put(&mut dead, element),
                _ => None,
            })?;
            Items::Members { alive, dead }
        }
        STATE_SNAPSHOT => {
            let mut infos = Vec::new();
            each(content, |field| match field {
                (1, Value::Bytes(element)) => put(&mut infos, element),
                _ => None,
            })?;
            Items::Infos(infos)
        }
        DATA_DIG => digest(content)?,
        _ => return None,
    };
    let (nonce, channel) = (outline.nonce.unwrap_or(0), outline.channel.unwrap_or_default());
    let tag = i32::try_from(outline.tag.unwrap_or(0)).ok()?;
    Some(List { nonce, channel, tag, items })
}

fn digest(content: &[u8]) -> Option<Items<'_>> {
    let (mut nonce, mut msg_type, mut ids) = (None, None, Vec::new());
    each(content, |field| match field {
        (1, Value::Number(number)) => set(&mut nonce, number),
        (2, Value::Bytes(id)) => put(&mut ids, id),
        (3, Value::Number(number)) => set(&mut msg_type, i32::try_from(number).ok()?),
        _ => None,
    })?;
    Some(Items::Digest { nonce: nonce.unwrap_or(0), msg_type: msg_type.unwrap_or(0), ids })
}

/// Reads the name of the statement in a serialized envelope. The rest of it may be anything.
pub(crate) fn name(envelope: &[u8]) -> Option<Name> {
    let mut payload = None;
    each(envelope, |field| match field {
        (1, Value::Bytes(bytes)) => set(&mut payload, bytes),
        _ => Some(()),
    })?;
    let mut outline = Outline::default();
    each(payload?, |field| outline.take(field))?;
    let (number, content) = outline.content?;
    let (mut pki_id, mut mac, mut time) = (None, None, None);
    each(content, |field| match (number, field) {
        (ALIVE_MSG, (1, Value::Bytes(member))) => each(member, |field| match field {
            (3, Value::Bytes(id)) => set(&mut pki_id, id),
            _ => Some(()),
        }),
        (ALIVE_MSG, (2, Value::Bytes(stamp))) => set(&mut time, stamp),
        (STATE_INFO, (2, Value::Bytes(stamp))) => set(&mut time, stamp),
        (STATE_INFO, (3, Value::Bytes(id))) => set(&mut pki_id, id),
        (STATE_INFO, (4, Value::Bytes(bytes))) => set(&mut mac, bytes),
        (ALIVE_MSG | STATE_INFO, _) => Some(()),
        _ => None,
    })?;
    let mac = mac.map(TryInto::try_into).transpose().ok()?;
    if mac.is_some() != (number == STATE_INFO) {
        return None;
    }
    Some(Name { pki_id: PkiId::from_wire(pki_id?)?, mac, stamp: stamp(time?)? })
}

fn stamp(time: &[u8]) -> Option<Stamp> {
    let (mut incarnation, mut sequence) = (None, None);
    each(time, |field| match field {
        (1, Value::Number(number)) => set(&mut incarnation, number),
        (2, Value::Number(number)) => set(&mut sequence, number),
        _ => None,
    })?;
    let (incarnation, sequence) = (incarnation.unwrap_or(0), sequence.unwrap_or(0));
    Some(Stamp { incarnation, sequence })
}

/// The fields of a `GossipMessage`.
#[derive(Default)]
struct Outline<'a> {
    nonce: Option<u64>,
    channel: Option<&'a [u8]>,
    tag: Option<u64>,
    content: Option<(u32, &'a [u8])>,
}

impl<'a> Outline<'a> {
    fn take(&mut self, field: Field<'a>) -> Option<()> {
        match field {
            (1, Value::Number(number)) => set(&mut self.nonce, number),
            (2, Value::Bytes(bytes)) => set(&mut self.channel, bytes),
            (3, Value::Number(number)) => set(&mut self.tag, number),
            (number @ 5..=25, Value::Bytes(bytes)) => set(&mut self.content, (number, bytes)),
            _ => None,
        }
    }
}

type Field<'a> = (u32, Value<'a>);

#[derive(Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Gives each field to `take`, until it refuses one.
fn each<'a>(mut rest: &'a [u8], mut take: impl FnMut(Field<'a>) -> Option<()>) -> Option<()> {
    while !rest.is_empty() {
        let (number, wire_type) = decode_key(&mut rest).ok()?;
        let value = decode_varint(&mut rest).ok()?;
        let value = match wire_type {
            WireType::Varint => Value::Number(value),
            WireType::LengthDelimited => {
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

fn put<T>(list: &mut Vec<T>, item: T) -> Option<()> {
    list.push(item);
    Some(())
}

/// Sets what was not set before.
fn set<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

const ALIVE_MSG: u32 = 5;
const MEM_RES: u32 = 7;
const DATA_DIG: u32 = 10;
const STATE_INFO: u32 = 15;
const STATE_SNAPSHOT: u32 = 16;

#[cfg(test)]
mod tests;
