//! Messages that we make.

use alloc::vec::Vec;

use bytes::Bytes;
use gossip_proto::gossip::{
    Acknowledgement, ConnEstablish, DataMessage, Envelope, GossipMessage, MembershipRequest,
    Payload, RemoteStateRequest, RemoteStateResponse, StateInfoPullRequest,
    gossip_message::Content,
};
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};

use crate::{ChannelId, Identity, PkiId};

use super::{
    Tag,
    read::{MEM_RES, STATE_SNAPSHOT},
};

/// Serializes a message, to be signed or to be put into an envelope.
fn message(nonce: u64, tag: Tag, channel: Option<&ChannelId>, content: Content) -> Bytes {
    let channel = channel.map(|channel| channel.as_bytes().clone()).unwrap_or_default();
    let message = GossipMessage { nonce, channel, tag: tag as i32, content: Some(content) };
    message.encode_to_vec().into()
}

/// Puts a serialized message into an envelope without a signature (W-20).
pub(super) fn unsigned(payload: Bytes) -> Bytes {
    let envelope = Envelope { payload, ..Default::default() };
    envelope.encode_to_vec().into()
}

/// Makes a message in an envelope without a signature; the nonce of the message is 0.
pub(crate) fn unsigned_message(tag: Tag, channel: Option<&ChannelId>, content: Content) -> Bytes {
    unsigned(message(0, tag, channel, content))
}

/// Puts serialized content of the kind with this field number into a message and an envelope
/// without a signature.
pub(crate) fn pack(
    nonce: u64,
    tag: Tag,
    channel: Option<&ChannelId>,
    number: u32,
    content: &[u8],
) -> Bytes {
    let channel = channel.map(|channel| channel.as_bytes().clone()).unwrap_or_default();
    let head = GossipMessage { nonce, channel, tag: tag as i32, ..Default::default() };
    let payload = head.encoded_len() + field_len(number, content.len());
    let mut frame = Vec::with_capacity(field_len(PAYLOAD, payload));
    begin_field(PAYLOAD, payload, &mut frame);
    head.encode_raw(&mut frame);
    put_field(number, content, &mut frame);
    frame.into()
}

fn field_len(number: u32, len: usize) -> usize {
    key_len(number) + encoded_len_varint(len as u64) + len
}

fn begin_field(number: u32, len: usize, buffer: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, buffer);
    encode_varint(len as u64, buffer);
}

/// Writes a field of bytes.
pub(crate) fn put_field(number: u32, bytes: &[u8], buffer: &mut Vec<u8>) {
    begin_field(number, bytes.len(), buffer);
    buffer.extend_from_slice(bytes);
}

/// Serialized envelopes, gathered into a list as they are.
#[derive(Debug, Default)]
pub(crate) struct Elements(Vec<u8>);

impl Elements {
    /// Appends an envelope.
    pub(crate) fn push(&mut self, kind: Element, frame: &[u8]) {
        put_field(kind as u32, frame, &mut self.0);
    }

    /// Appends an envelope without its secret.
    pub(crate) fn push_public(&mut self, kind: Element, envelope: &Envelope) {
        let Envelope { payload, signature, secret_envelope: _ } = envelope;
        let len = field_len(PAYLOAD, payload.len()) + field_len(SIGNATURE, signature.len());
        begin_field(kind as u32, len, &mut self.0);
        put_field(PAYLOAD, payload, &mut self.0);
        put_field(SIGNATURE, signature, &mut self.0);
    }

    /// Returns how many bytes the list has so far.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Where an envelope stands in a message that lists envelopes: the number of the field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Element {
    /// The living of a membership response, or what a snapshot is made of.
    First = 1,
    /// The dead of a membership response.
    Dead = 2,
}

/// Serializes our connection message, to be signed (C-9).
pub(crate) fn conn_establish(
    pki_id: &PkiId,
    identity: &Identity,
    tls_cert_hash: Option<[u8; 32]>,
    probe: bool,
) -> Bytes {
    let content = Content::Conn(ConnEstablish {
        pki_id: pki_id.to_wire(),
        identity: identity.as_bytes().clone(),
        tls_cert_hash: tls_cert_hash.map(|hash| Bytes::copy_from_slice(&hash)).unwrap_or_default(),
        probe,
    });
    message(0, Tag::Empty, None, content)
}

/// Makes a membership request around our signed alive message; `known` stays empty (D-38).
pub(crate) fn membership_request(self_information: Envelope, nonce: u64) -> Bytes {
    let self_information = Some(self_information);
    let content = Content::MemReq(MembershipRequest { self_information, known: Vec::new() });
    unsigned(message(nonce, Tag::Empty, None, content))
}

/// Makes a membership response; our own alive message is the last of the living (D-27).
pub(crate) fn membership_response(elements: &Elements, nonce: u64) -> Bytes {
    pack(nonce, Tag::Empty, None, MEM_RES, &elements.0)
}

/// Makes a request for StateInfo; the channel is named by our MAC alone (W-26).
pub(crate) fn state_info_request(mac: &[u8; 32]) -> Bytes {
    let channel_mac = Bytes::copy_from_slice(mac);
    let content = Content::StateInfoPullReq(StateInfoPullRequest { channel_mac });
    unsigned(message(0, Tag::ChanOrOrg, None, content))
}

/// Makes a snapshot of StateInfo messages.
pub(crate) fn snapshot(channel: &ChannelId, elements: &Elements) -> Bytes {
    pack(0, Tag::ChanOrOrg, Some(channel), STATE_SNAPSHOT, &elements.0)
}

/// Makes an acknowledgement; it has no tag (W-30, CH-65). A text says why not, an empty one that
/// all is well.
pub(crate) fn ack(nonce: u64, error: &str) -> Bytes {
    let content = Content::Ack(Acknowledgement { error: error.into() });
    unsigned(message(nonce, Tag::Undefined, None, content))
}

/// Makes a block message, unsigned: the orderers signed what is inside (N-44).
pub(crate) fn block(channel: &ChannelId, number: u64, block: Bytes) -> Bytes {
    let payload = Payload { seq_num: number, data: block, private_data: Vec::new() };
    let content = Content::DataMsg(DataMessage { payload: Some(payload) });
    unsigned(message(0, Tag::ChanAndOrg, Some(channel), content))
}

/// Makes a request for the blocks `first..=last` (70-state-transfer.md §1.1).
pub(crate) fn state_request(channel: &ChannelId, nonce: u64, first: u64, last: u64) -> Bytes {
    let content =
        Content::StateRequest(RemoteStateRequest { start_seq_num: first, end_seq_num: last });
    unsigned(message(nonce, Tag::ChanOrOrg, Some(channel), content))
}

/// Makes the answer to that, with numbered blocks; its nonce is that of the request (S-27).
pub(crate) fn state_response(channel: &ChannelId, nonce: u64, blocks: Vec<(u64, Bytes)>) -> Bytes {
    let payload = |(seq_num, data)| Payload { seq_num, data, private_data: Vec::new() };
    let payloads = blocks.into_iter().map(payload).collect();
    let content = Content::StateResponse(RemoteStateResponse { payloads });
    unsigned(message(nonce, Tag::ChanOrOrg, Some(channel), content))
}

/// The fields of an envelope that hold the message and its signature.
const PAYLOAD: u32 = 1;
const SIGNATURE: u32 = 2;
