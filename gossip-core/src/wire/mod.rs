//! Messages: what arrives parsed into types that cannot be malformed, what leaves built in one
//! place.

mod alive;
mod build;
mod carried;
pub(crate) mod extension;
mod leadership;
mod list;
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
    list::{Items, List, Name, list, name},
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

/// Copies an envelope into an allocation of its own, which it shares with nothing else.
///
/// What is stored for long must not keep a large receive buffer alive.
fn compact(frame: &[u8]) -> Result<(Bytes, Envelope), Fault> {
    let frame = Bytes::copy_from_slice(frame);
    let envelope = Envelope::decode(frame.clone()).map_err(|_| Fault::Undecodable)?;
    Ok((frame, envelope))
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

fn stamp(time: Option<PeerTime>) -> Result<Stamp, Fault> {
    let PeerTime { inc_num, seq_num } = time.ok_or(Fault::Malformed)?;
    Ok(Stamp { incarnation: inc_num, sequence: seq_num })
}

#[cfg(test)]
mod tests;
