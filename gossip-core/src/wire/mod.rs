//! Messages: what arrives parsed into types that cannot be malformed, what leaves built in one
//! place.

mod alive;
mod build;
mod carried;
pub(crate) mod extension;
mod leadership;
mod list;
mod read;
mod state_info;
mod tag;

use bytes::Bytes;
use gossip_proto::gossip::{Envelope, GossipMessage, PeerTime};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::{ChannelId, Fault, PkiId, Signed, Stamp};

pub(crate) use self::{
    alive::{Alive, NewAlive, secret_payload},
    build::{
        ack, block, conn_establish, membership_request, membership_response, pack, snapshot,
        state_info_request, state_request, state_response,
    },
    carried::{carried, carry, is_body},
    leadership::{Leadership, leadership_payload},
    list::{Items, List, Name, name},
    state_info::{NewStateInfo, StateInfo},
    tag::{Tag, is_legal, is_pull_legal},
};

/// Decodes the message in an envelope.
pub(crate) fn open(envelope: &Envelope) -> Result<GossipMessage, Fault> {
    GossipMessage::decode(envelope.payload.clone()).map_err(|_| Fault::Undecodable)
}

/// Returns the SHA-256 of PKI-ID and channel name that stands for a channel (W-25, CH-9).
pub(crate) fn channel_mac(pki_id: &PkiId, channel: &ChannelId) -> [u8; 32] {
    let hash = Sha256::new().chain_update(pki_id.as_bytes()).chain_update(channel.as_bytes());
    hash.finalize().into()
}

/// A message that was read in place.
#[derive(Debug)]
pub(crate) enum Plain<'a> {
    /// An alive message with this tag.
    Alive { alive: Alive, tag: i32 },
    /// A StateInfo with this tag.
    Info { info: StateInfo, tag: i32 },
    /// A message that is a list.
    List(List<'a>),
}

/// Reads what comes most in place; `None` if it is something else, is larger than a bound or not
/// plain: that is for [`open`], and for what follows from it.
pub(crate) fn plain(frame: &Bytes, member_max: usize, info_max: usize) -> Option<Plain<'_>> {
    let sealed = Sealed::read(frame)?;
    let outline = Outline::read(sealed.payload)?;
    let (tag, content) = (outline.tag, outline.content);
    Some(match outline.kind {
        read::ALIVE_MSG => {
            Plain::Alive { alive: Alive::read(frame, &sealed, content, member_max)?, tag }
        }
        read::STATE_INFO => {
            Plain::Info { info: StateInfo::read(frame, &sealed, content, info_max)?, tag }
        }
        _ => Plain::List(list::list(&outline)?),
    })
}

/// Copies an envelope into an allocation of its own, which it shares with nothing else but the
/// part of it that is returned.
///
/// What is stored for long must not keep a large receive buffer alive.
fn compact(frame: &mut Bytes, envelope: &mut Envelope, part: &Bytes) -> Bytes {
    let copy = Bytes::copy_from_slice(frame);
    let share = |part: &Bytes| match (part.as_ptr() as usize).checked_sub(frame.as_ptr() as usize) {
        Some(at) if at + part.len() <= copy.len() => copy.slice(at..at + part.len()),
        // It was serialized apart from its envelope.
        _ => Bytes::copy_from_slice(part),
    };
    envelope.payload = share(&envelope.payload);
    envelope.signature = share(&envelope.signature);
    if let Some(secret) = &mut envelope.secret_envelope {
        secret.payload = share(&secret.payload);
        secret.signature = share(&secret.signature);
    }
    let part = share(part);
    *frame = copy;
    part
}

/// Says whether bytes are a sequence of protobuf fields, whatever they mean.
///
/// A field of ours with another wire type is one that Fabric skips and `prost` refuses.
pub(crate) fn is_well_formed(mut payload: &[u8]) -> bool {
    use prost::encoding::{DecodeContext, decode_key, skip_field};
    while !payload.is_empty() {
        let skipped = decode_key(&mut payload).and_then(|(number, wire_type)| {
            skip_field(wire_type, number, &mut payload, DecodeContext::default())
        });
        if skipped.is_err() {
            return false;
        }
    }
    true
}

/// Returns what must be verified of a signed envelope: the message, and the secret if there is one.
///
/// # Errors
///
/// If a part that must be there is empty (W-16, W-17).
pub(crate) fn claims(envelope: &Envelope) -> Result<(Signed, Option<Signed>), Fault> {
    let part = |payload: &Bytes, signature: &Bytes| {
        let signed = Signed { payload: payload.clone(), signature: signature.clone() };
        (!payload.is_empty() && !signature.is_empty()).then_some(signed).ok_or(Fault::Unsigned)
    };
    let message = part(&envelope.payload, &envelope.signature)?;
    let secret = envelope.secret_envelope.as_ref();
    let secret = secret.map(|secret| part(&secret.payload, &secret.signature)).transpose()?;
    Ok((message, secret))
}

use self::read::{Outline, Sealed};

fn stamp(time: Option<PeerTime>) -> Result<Stamp, Fault> {
    let PeerTime { inc_num, seq_num } = time.ok_or(Fault::Malformed)?;
    Ok(Stamp { incarnation: inc_num, sequence: seq_num })
}

#[cfg(test)]
mod tests;
