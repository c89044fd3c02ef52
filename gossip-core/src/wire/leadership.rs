//! Leadership messages.

use bytes::Bytes;
use gossip_proto::gossip::{
    Envelope, GossipMessage, LeadershipMessage, PeerTime, gossip_message::Content,
};
use prost::Message as _;

use crate::{ChannelId, Fault, PkiId, Stamp};

use super::Tag;

/// A well-formed leadership message in its envelope; whether it is true is for a signature to show.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Leadership {
    pub(crate) pki_id: PkiId,
    pub(crate) stamp: Stamp,
    /// "I lead", as opposed to "I would lead".
    pub(crate) is_declaration: bool,
    pub(crate) envelope: Envelope,
}

impl Leadership {
    /// Takes a leadership message out of its envelope.
    ///
    /// # Errors
    ///
    /// [`Fault::Malformed`] if a part is missing (W-36) or it is larger than `bytes_max`.
    pub(crate) fn parse(
        envelope: Envelope,
        message: &LeadershipMessage,
        bytes_max: usize,
    ) -> Result<Self, Fault> {
        if envelope.encoded_len() > bytes_max {
            return Err(Fault::Malformed);
        }
        Ok(Self {
            pki_id: PkiId::from_wire(&message.pki_id).ok_or(Fault::Malformed)?,
            stamp: super::stamp(message.timestamp)?,
            is_declaration: message.is_declaration,
            envelope,
        })
    }
}

/// Serializes a leadership message of our own, to be signed.
pub(crate) fn leadership_payload(
    channel: &ChannelId,
    pki_id: &PkiId,
    stamp: Stamp,
    is_declaration: bool,
) -> Bytes {
    let timestamp = PeerTime { inc_num: stamp.incarnation, seq_num: stamp.sequence };
    let content = Content::LeadershipMsg(LeadershipMessage {
        pki_id: pki_id.to_wire(),
        timestamp: Some(timestamp),
        is_declaration,
    });
    let (channel, tag) = (channel.as_bytes().clone(), Tag::ChanAndOrg as i32);
    GossipMessage { nonce: 0, channel, tag, content: Some(content) }.encode_to_vec().into()
}
