//! Messages that we make.

use alloc::vec::Vec;

use bytes::Bytes;
use gossip_proto::gossip::{
    Acknowledgement, ConnEstablish, DataMessage, Envelope, GossipMessage, MembershipRequest,
    MembershipResponse, Payload, RemoteStateRequest, RemoteStateResponse, StateInfoPullRequest,
    StateInfoSnapshot, gossip_message::Content,
};
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};

use crate::{ChannelId, Identity, PkiId};

use super::Tag;

/// Serializes a message, to be signed or to be sent as it is.
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

/// Puts serialized content of the kind with this field number into a message and an envelope
/// without a signature; the nonce of the message is 0.
pub(crate) fn pack(tag: Tag, channel: Option<&ChannelId>, number: u32, content: &[u8]) -> Bytes {
    let channel = channel.map(|channel| channel.as_bytes().clone()).unwrap_or_default();
    let head = GossipMessage { channel, tag: tag as i32, ..Default::default() };
    let field = key_len(number) + encoded_len_varint(content.len() as u64) + content.len();
    let payload = head.encoded_len() + field;
    let whole = key_len(PAYLOAD) + encoded_len_varint(payload as u64) + payload;
    let mut frame = Vec::with_capacity(whole);
    encode_key(PAYLOAD, WireType::LengthDelimited, &mut frame);
    encode_varint(payload as u64, &mut frame);
    head.encode_raw(&mut frame);
    encode_key(number, WireType::LengthDelimited, &mut frame);
    encode_varint(content.len() as u64, &mut frame);
    frame.extend_from_slice(content);
    frame.into()
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

/// Makes a membership response; our own alive message is the last of `alive` (D-27).
pub(crate) fn membership_response(alive: Vec<Envelope>, dead: Vec<Envelope>, nonce: u64) -> Bytes {
    unsigned(message(nonce, Tag::Empty, None, Content::MemRes(MembershipResponse { alive, dead })))
}

/// Makes a request for StateInfo; the channel is named by our MAC alone (W-26).
pub(crate) fn state_info_request(mac: &[u8; 32]) -> Bytes {
    let channel_mac = Bytes::copy_from_slice(mac);
    let content = Content::StateInfoPullReq(StateInfoPullRequest { channel_mac });
    unsigned(message(0, Tag::ChanOrOrg, None, content))
}

/// Makes a snapshot of StateInfo messages.
pub(crate) fn snapshot(channel: &ChannelId, elements: Vec<Envelope>) -> Bytes {
    let content = Content::StateSnapshot(StateInfoSnapshot { elements });
    unsigned(message(0, Tag::ChanOrOrg, Some(channel), content))
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

/// The field of an envelope that holds the message.
const PAYLOAD: u32 = 1;
