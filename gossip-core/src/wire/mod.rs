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

use alloc::sync::Arc;

use bytes::Bytes;
use gossip_proto::gossip::{Envelope, GossipMessage, PeerTime};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::{ChannelId, Fault, PkiId, Signed, Stamp};

use self::read::{Outline, Sealed};

pub(crate) use self::{
    alive::{Alive, NewAlive, secret_payload},
    build::{
        Element, Elements, ack, block, conn_establish, membership_request, membership_response,
        pack, put_field, snapshot, state_info_request, state_request, state_response,
        unsigned_message,
    },
    carried::{carried, carry, is_body},
    leadership::{Leadership, leadership_payload},
    list::{Items, List, Name, name},
    read::DATA_DIG,
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
    Alive { alive: Arc<Alive>, tag: i32 },
    /// A StateInfo with this tag.
    Info { info: Arc<StateInfo>, tag: i32 },
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

/// Checks that all that must be signed in an envelope is there, and signed.
///
/// # Errors
///
/// If a part that must be there is empty (W-16, W-17).
pub(crate) fn check_signed(envelope: &Envelope) -> Result<(), Fault> {
    let is_there =
        |payload: &Bytes, signature: &Bytes| !payload.is_empty() && !signature.is_empty();
    let secret = envelope.secret_envelope.as_ref();
    let is_whole = is_there(&envelope.payload, &envelope.signature)
        && secret.is_none_or(|secret| is_there(&secret.payload, &secret.signature));
    is_whole.then_some(()).ok_or(Fault::Unsigned)
}

/// Returns what must be verified of a signed envelope: the message, and the secret if there is one.
///
/// # Errors
///
/// As [`check_signed`].
pub(crate) fn claims(envelope: &Envelope) -> Result<(Signed, Option<Signed>), Fault> {
    check_signed(envelope)?;
    let signed = |payload: &Bytes, signature: &Bytes| Signed {
        payload: payload.clone(),
        signature: signature.clone(),
    };
    let secret = envelope.secret_envelope.as_ref();
    let secret = secret.map(|secret| signed(&secret.payload, &secret.signature));
    Ok((signed(&envelope.payload, &envelope.signature), secret))
}

fn stamp(time: Option<PeerTime>) -> Result<Stamp, Fault> {
    let PeerTime { inc_num, seq_num } = time.ok_or(Fault::Malformed)?;
    Ok(Stamp { incarnation: inc_num, sequence: seq_num })
}

#[cfg(test)]
mod tests;
