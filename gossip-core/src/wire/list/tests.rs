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

/// What was read of a list, its elements serialized.
#[derive(Debug, PartialEq)]
struct Read {
    nonce: u64,
    channel: Bytes,
    tag: i32,
    /// The nonce and the type of a pull.
    pull: Option<(u64, i32)>,
    items: Vec<Vec<Vec<u8>>>,
}

/// What `prost` reads.
fn in_full(payload: &[u8]) -> Option<Read> {
    let GossipMessage { nonce, channel, tag, content } = GossipMessage::decode(payload).ok()?;
    let (pull, items) = match content? {
        Content::MemRes(list) => (None, vec![serialized(&list.alive), serialized(&list.dead)]),
        Content::StateSnapshot(list) => (None, vec![serialized(&list.elements)]),
        Content::DataDig(list) => {
            let ids = list.digests.iter().map(|id| id.to_vec()).collect();
            (Some((list.nonce, list.msg_type)), vec![ids])
        }
        _ => return None,
    };
    Some(Read { nonce, channel, tag, pull, items })
}

/// What was read in place; `None` if an element is no envelope.
fn in_place(list: &List<'_>) -> Option<Read> {
    let envelopes = |elements: &[&[u8]]| {
        let whole = |element: &&[u8]| Some(Envelope::decode(*element).ok()?.encode_to_vec());
        elements.iter().map(whole).collect::<Option<Vec<_>>>()
    };
    let (pull, items) = match &list.items {
        Items::Members { alive, dead } => (None, vec![envelopes(alive)?, envelopes(dead)?]),
        Items::Infos(infos) => (None, vec![envelopes(infos)?]),
        Items::Digest { nonce, msg_type, ids } => {
            (Some((*nonce, *msg_type)), vec![ids.iter().map(|id| id.to_vec()).collect()])
        }
    };
    let channel = Bytes::copy_from_slice(list.channel);
    Some(Read { nonce: list.nonce, channel, tag: list.tag, pull, items })
}

/// With every byte changed in turn, left out or doubled.
#[test]
fn what_is_read_in_place_is_what_is_read_in_full() {
    let members = MembershipResponse { alive: vec![alive(1), alive(2)], dead: vec![alive(3)] };
    let infos = StateInfoSnapshot { elements: vec![info(&[4; 32]), info(&[5; 32])] };
    let digest = DataDigest { nonce: 9, digests: vec!["17".into(), "18".into()], msg_type: 1 };
    let mut read = 0;
    for content in
        [Content::MemRes(members), Content::StateSnapshot(infos), Content::DataDig(digest)]
    {
        let payload = message(content).encode_to_vec();
        for at in 0..payload.len() {
            let (head, rest) = payload.split_at(at);
            let flipped = [1, 8, 0x80].map(|bit| [head, &[rest[0] ^ bit], &rest[1..]].concat());
            let others = [[head, &rest[1..]].concat(), [head, &rest[..1], rest].concat()];
            for changed in flipped.into_iter().chain(others) {
                if let Some(list) = list(&changed) {
                    read += 1;
                    assert_eq!(in_place(&list), in_full(&changed), "{changed:?}");
                }
            }
        }
    }
    assert!(read > 1000, "{read}");
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
