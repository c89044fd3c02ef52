//! Random damage: whatever arrives, in whatever order, nothing panics and nothing grows.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use gossip_proto::gossip::{Envelope, MembershipResponse, gossip_message::Content};
use prost::Message as _;

use crate::{ChannelId, Event, Message, MessageKind, Stamp, rng::Rng, wire};

use super::{
    hand::{Hand, frame, snapshot_of},
    membership::network,
    net::{Fate, block},
    unsigned,
};

/// Frames of all kinds that a peer may send, most of them in order.
fn corpus(hand: &Hand, sequence: u64) -> Vec<Bytes> {
    let channel = ChannelId::from("ch");
    let infos = [hand.state_info("ch", sequence, sequence), hand.state_info("other", sequence, 1)];
    let mut alive = hand.alive_with_identity(sequence);
    alive.secret_envelope = Some(hand.secret("hand:1"));
    let response =
        MembershipResponse { alive: [alive.clone()].into(), dead: [hand.alive(1)].into() };
    let response = gossip_proto::gossip::GossipMessage {
        tag: wire::Tag::Empty as i32,
        content: Some(Content::MemRes(response)),
        ..Default::default()
    };
    let leadership =
        wire::leadership_payload(&channel, &hand.pki_id, Stamp { incarnation: 1, sequence }, true);
    let private_data = Message {
        channel: channel.clone(),
        kind: MessageKind::PrivateData,
        body: Bytes::from_static(&[10, 3, 34, 1, 1]),
    };
    let blocks = [1, 2].map(|number| (number, block("ch", number, "honest")));
    [
        frame(&hand.seal(leadership)),
        wire::state_request(&channel, sequence, 1, 2),
        wire::state_response(&channel, sequence, blocks.to_vec()),
        wire::carry(&private_data, sequence),
        wire::ack(sequence, "no"),
        hand.introduction(),
        frame(&alive),
        frame(&infos[0]),
        frame(&infos[1]),
        hand.state_info_request("ch"),
        wire::membership_request(alive, sequence),
        snapshot_of("ch", &infos),
        wire::block(&channel, sequence, block("ch", sequence, "honest")),
        unsigned(response),
    ]
    .into()
}

fn damaged(frame: &Bytes, other: &Bytes, rng: &mut Rng) -> Bytes {
    let mut bytes = frame.to_vec();
    for _ in 0..=rng.below(3) {
        let at = rng.below(bytes.len().max(1));
        match rng.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            1 => bytes.truncate(at),
            2 => bytes.insert(at.min(bytes.len()), rng.next_u64() as u8),
            3 => bytes.extend_from_slice(&other[rng.below(other.len())..]),
            4 if at < bytes.len() => bytes[at] = 0xff,
            _ => {}
        }
    }
    bytes.into()
}

/// Damages what is inside an envelope, and seals it again: it passes all checks of signatures.
fn sealed(frame: &Bytes, hand: &Hand, rng: &mut Rng) -> Bytes {
    let Ok(envelope) = Envelope::decode(frame.clone()) else { return frame.clone() };
    let payload = damaged(&envelope.payload, &envelope.payload, rng);
    let mut sealed = hand.seal(payload);
    sealed.secret_envelope = envelope.secret_envelope;
    sealed.encode_to_vec().into()
}

fn storm(seed: u8, rounds: u64) {
    let mut rng = Rng::fork(&[seed; 32], "noise");
    let mut net = network(&["a"], 2);
    net.run_for(Duration::from_secs(1));
    net.peers[0].jobs = |_| Fate::Answered;
    for round in 1..=rounds {
        let name = ["x", "y", "z"][rng.below(3)];
        let hand = net.connect(["a", "b"][rng.below(2)], name, 0);
        if rng.below(8) > 0 {
            net.send(hand.conn, hand.introduction());
        }
        let frames = corpus(&hand, round);
        for _ in 0..rng.below(12) {
            let [one, other] = [0; 2].map(|_| &frames[rng.below(frames.len())]);
            let frame = match rng.below(3) {
                0 => one.clone(),
                1 => damaged(one, other, &mut rng),
                _ => sealed(one, &hand, &mut rng),
            };
            net.send(hand.conn, frame);
        }
        net.run_for(Duration::from_millis(rng.below(50) as u64));
        if rng.below(2) == 0 {
            net.close(hand.conn, false);
        }
        if rng.below(20) == 0 {
            net.handle(0, Event::Tick);
        }
        net.inboxes.clear();
        net.accepted.clear();
    }
    net.run_for(Duration::from_secs(60));
    let node = &net.peers[0].node;
    assert!(node.members().len() <= 7, "all are of three names and two organisations");
    // A few may have damaged names: this backend takes any for an identity.
    assert!(node.identities().len() <= 12);
    assert!(net.connections(0).len() <= 7);
    assert!(!net.peers[1].members().is_empty(), "the honest one is still there");
}

#[test]
fn damaged_messages_do_no_harm() {
    for seed in 0..8 {
        storm(seed, 400);
    }
}
