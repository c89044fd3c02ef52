//! What is read in place is what `prost` reads, or nothing.

use alloc::{vec, vec::Vec};

use bytes::Bytes;
use gossip_proto::gossip::{
    AliveMessage, DataDigest, Envelope, GossipMessage, Member, MembershipResponse, PeerTime,
    SecretEnvelope, StateInfo, StateInfoSnapshot, gossip_message::Content,
};
use prost::Message as _;

use crate::wire::Tag;

use super::*;

fn list(payload: &[u8]) -> Option<List<'_>> {
    super::list(&Outline::read(payload)?)
}

fn message(content: Content) -> GossipMessage {
    GossipMessage { nonce: 7, channel: "ch".into(), tag: Tag::Empty as i32, content: Some(content) }
}

fn envelope(payload: impl Into<Bytes>) -> Envelope {
    Envelope { payload: payload.into(), signature: "signature".into(), secret_envelope: None }
}

fn alive(sequence: u64) -> Envelope {
    let membership = Member {
        endpoint: "host:7051".into(),
        metadata: "metadata".into(),
        pki_id: Bytes::from_static(&[3; 32]),
    };
    let timestamp = Some(PeerTime { inc_num: 9, seq_num: sequence });
    let alive = AliveMessage {
        membership: Some(membership),
        timestamp,
        identity: "certificate".into(),
        extensions: 1,
    };
    let secret = SecretEnvelope { payload: "secret".into(), signature: "signature".into() };
    Envelope {
        secret_envelope: Some(secret),
        ..envelope(message(Content::AliveMsg(alive)).encode_to_vec())
    }
}

fn info(mac: &[u8]) -> Envelope {
    let info = StateInfo {
        timestamp: Some(PeerTime { inc_num: 9, seq_num: 8 }),
        pki_id: Bytes::from_static(&[3; 32]),
        channel_mac: Bytes::copy_from_slice(mac),
        properties: None,
    };
    envelope(message(Content::StateInfo(info)).encode_to_vec())
}

fn serialized(envelopes: &[Envelope]) -> Vec<Vec<u8>> {
    envelopes.iter().map(Envelope::encode_to_vec).collect()
}

#[test]
fn lists_are_read_as_they_were_written() {
    let (living, dead) = (vec![alive(1), alive(2)], vec![alive(3)]);
    let response = MembershipResponse { alive: living.clone(), dead: dead.clone() };
    let payload = message(Content::MemRes(response)).encode_to_vec();
    let read = list(&payload).expect("a list");
    assert_eq!((read.nonce, read.channel, read.tag), (7, &b"ch"[..], Tag::Empty as i32));
    let Items::Members { alive, dead: buried } = read.items else { panic!("members") };
    assert_eq!(
        (alive, buried),
        (
            serialized(&living).iter().map(Vec::as_slice).collect(),
            serialized(&dead).iter().map(Vec::as_slice).collect(),
        )
    );

    let elements = vec![info(&[4; 32]), info(&[5; 32])];
    let snapshot = StateInfoSnapshot { elements: elements.clone() };
    let payload = message(Content::StateSnapshot(snapshot)).encode_to_vec();
    let elements = serialized(&elements);
    let expected = Items::Infos(elements.iter().map(Vec::as_slice).collect());
    assert_eq!(list(&payload).expect("a list").items, expected);

    let digests = vec!["17".into(), Bytes::new(), "18".into()];
    let pull = DataDigest { nonce: u64::MAX, digests, msg_type: 1 };
    let payload = message(Content::DataDig(pull)).encode_to_vec();
    let ids = vec![&b"17"[..], b"", b"18"];
    let expected = Items::Digest { nonce: u64::MAX, msg_type: 1, ids };
    assert_eq!(list(&payload).expect("a list").items, expected);
}

#[test]
fn statements_are_named_without_being_decoded() {
    let (pki_id, stamp) = (PkiId::new([3; 32]), Stamp { incarnation: 9, sequence: 8 });
    let read = name(&alive(8).encode_to_vec());
    assert_eq!(read, Some(Name { pki_id, mac: None, stamp }));
    let read = name(&info(&[4; 32]).encode_to_vec());
    assert_eq!(read, Some(Name { pki_id, mac: Some([4; 32]), stamp }));
    assert_eq!(name(&info(&[4; 31]).encode_to_vec()), None);
}

#[test]
fn what_is_not_plain_is_left_to_others() {
    let pull = DataDigest { nonce: 1, digests: vec!["17".into()], msg_type: 1 };
    let plain = message(Content::DataDig(pull)).encode_to_vec();
    assert!(list(&plain).is_some());
    let odd = [
        // A second nonce, a second list, a field that nobody knows, an end that is missing.
        &[0x08, 1][..],
        &[0x52, 2, 0x08, 1],
        &[0xf2, 0x07, 1, b'x'],
        &[0x52, 5, 0x08],
        // A number where bytes belong, and other wire types.
        &[0x10, 1],
        &[0x0d, 0, 0, 0, 0],
    ];
    for end in odd {
        assert_eq!(list(&[&plain, end].concat()), None, "{end:?}");
    }
    for cut in 1..plain.len() {
        assert_ne!(list(&plain[..cut]), list(&plain), "{cut}");
    }
    let whole = alive(8).encode_to_vec();
    assert!(
        (0..whole.len())
            .all(|cut| name(&whole[..cut]).is_none_or(|read| { Some(read) == name(&whole) }))
    );
    assert_eq!(list(&message(Content::AliveMsg(AliveMessage::default())).encode_to_vec()), None);
}
