//! Messages that are lists, read in place: most of their elements are known already, and are told
//! from those that are not without decoding them.

use alloc::vec::Vec;

use crate::{PkiId, Stamp};

use super::{
    alive,
    read::{
        ALIVE_MSG, DATA_DIG, MEM_RES, Outline, STATE_INFO, STATE_SNAPSHOT, Sealed, Value, each,
        set, stamp,
    },
    state_info,
};

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

/// Reads a message that is a list.
pub(super) fn list<'a>(outline: &Outline<'a>) -> Option<List<'a>> {
    let content = outline.content;
    let items = match outline.kind {
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
    let Outline { nonce, channel, tag, .. } = *outline;
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
    plain_name(envelope).or_else(|| any_name(envelope))
}

fn plain_name(envelope: &[u8]) -> Option<Name> {
    let Outline { kind, content, .. } = Outline::read(Sealed::read(envelope)?.payload)?;
    let (pki_id, mac, time) = match kind {
        ALIVE_MSG => {
            let alive = alive::Parts::read(content)?;
            (alive.pki_id, None, alive.time)
        }
        STATE_INFO => {
            let info = state_info::Parts::read(content)?;
            (info.pki_id, Some(info.mac.try_into().ok()?), info.time)
        }
        _ => return None,
    };
    Some(Name { pki_id: PkiId::from_wire(pki_id)?, mac, stamp: stamp(time)? })
}

fn any_name(envelope: &[u8]) -> Option<Name> {
    let mut payload = None;
    each(envelope, |field| match field {
        (1, Value::Bytes(bytes)) => set(&mut payload, bytes),
        _ => Some(()),
    })?;
    let Outline { kind, content, .. } = Outline::read(payload?)?;
    let (mut pki_id, mut mac, mut time) = (None, None, None);
    each(content, |field| match (kind, field) {
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
    if mac.is_some() != (kind == STATE_INFO) {
        return None;
    }
    Some(Name { pki_id: PkiId::from_wire(pki_id?)?, mac, stamp: stamp(time?)? })
}

fn put<T>(list: &mut Vec<T>, item: T) -> Option<()> {
    list.push(item);
    Some(())
}

#[cfg(test)]
mod tests;
