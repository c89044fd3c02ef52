//! Who is let in, and what becomes of those who are not.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;
use gossip_proto::gossip::Envelope;
use prost::Message as _;

use crate::{
    ChannelId, CloseReason, Command, Event, Fault, Message, MessageKind, Notice, TlsBinding,
    UnixTime, wire,
};

use super::{
    hand::{Hand, frame},
    net::{Fate, Net, START, at, identity},
};

const SECOND: Duration = Duration::from_secs(1);

/// What the node makes of somebody whose first frame this is.
fn refused(first: impl FnOnce(&Hand) -> Bytes, fault: Fault) {
    let mut net = Net::new();
    net.add("a", "node", |config| config.limits.frame_bytes_max = 100_000);
    let hand = net.connect("a", "hand", 0);
    net.send(hand.conn, first(&hand));
    net.run_for(SECOND);
    assert_refused(&net, &hand, fault);
}

fn assert_refused(net: &Net, hand: &Hand, fault: Fault) {
    let peer = &net.peers[0];
    assert_eq!(peer.node.stats().faults(fault), 1, "{fault}");
    let others = Fault::ALL.iter().filter(|other| **other != fault);
    assert!(others.clone().all(|other| peer.node.stats().faults(*other) == 0), "{fault}");
    let is_it = |notice: &Notice| {
        matches!(notice, Notice::HandshakeFailed { conn, remote, fault: seen }
            if *conn == hand.theirs && remote == "hand:50000" && *seen == fault)
    };
    assert!(peer.has_noticed(is_it), "{fault}: {:?}", peer.notices);
    assert_eq!(net.close_reason(hand), Some(CloseReason::AuthenticationFailed), "{fault}");
    let stats = peer.node.stats();
    assert_eq!((stats.connections, stats.connections_opened), (0, 0));
}

/// C-13.
#[test]
fn the_first_message_must_be_a_connection_message() {
    refused(|hand| frame(&hand.alive(1)), Fault::NoHandshake);
    refused(|_| vec![0xff; 10].into(), Fault::Undecodable);
    refused(|_| vec![0; 100_001].into(), Fault::Oversized);
    let garbage = Envelope { payload: vec![0xff; 10].into(), ..Envelope::default() };
    refused(|_| frame(&garbage), Fault::Undecodable);
    refused(|_| Bytes::new(), Fault::NoHandshake);
}

/// C-15, C2.f.
#[test]
fn the_identity_must_hold_and_have_the_pki_id_that_is_claimed() {
    let with = |hand: &Hand, identity: &[u8]| {
        let identity = crate::Identity::new(identity.to_vec());
        let tls = super::net::tls_of(&hand.pki_id, true);
        let payload = wire::conn_establish(&hand.pki_id, &identity, Some(tls), false);
        let signature = super::net::sign(&identity, &payload);
        frame(&Envelope { payload, signature, secret_envelope: None })
    };
    refused(|hand| with(hand, b"a\0another"), Fault::BadIdentity);
    refused(|hand| with(hand, b"no zero in here"), Fault::BadIdentity);
    refused(|hand| with(hand, b""), Fault::BadIdentity);
    refused(|hand| with(hand, &[b'x'; 70_000]), Fault::BadIdentity);
}

/// C-15: an expired identity that is not known yet.
#[test]
fn an_expired_identity_is_refused() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    let bytes = identity("a", "hand").as_bytes().clone();
    net.peers[0].backend.expiries.insert(bytes, UnixTime::from_secs(1));
    let hand = net.connect("a", "hand", 0);
    net.send(hand.conn, hand.introduction());
    net.run_for(SECOND);
    assert_refused(&net, &hand, Fault::BadIdentity);
}

/// C-16.
#[test]
fn the_connection_message_must_be_signed() {
    let change = |hand: &Hand, change: fn(&mut Envelope)| {
        let mut envelope = Envelope::decode(hand.introduction()).expect("an envelope");
        change(&mut envelope);
        frame(&envelope)
    };
    refused(|hand| change(hand, |e| e.signature = Bytes::new()), Fault::Unsigned);
    refused(|hand| change(hand, |e| e.signature = "forged".into()), Fault::BadSignature);
    let append = |e: &mut Envelope| e.signature = [&e.signature[..], &[0]].concat().into();
    refused(|hand| change(hand, append), Fault::BadSignature);
}

/// C-12.
#[test]
fn the_tls_certificate_must_be_the_one_that_was_signed_for() {
    refused(|hand| hand.introduction_with(None, false), Fault::TlsMismatch);
    refused(|hand| hand.introduction_with(Some([7; 32]), false), Fault::TlsMismatch);
}

/// C-12, C5.d: without TLS of our own the hash is ignored, whatever it is.
#[test]
fn without_tls_the_certificate_is_not_looked_at() {
    for tls in [None, Some([7; 32])] {
        let mut net = Net::new();
        net.add("a", "node", |config| config.tls = false);
        let hand = net.connect("a", "hand", 0);
        net.send(hand.conn, hand.introduction_with(tls, false));
        net.run_for(SECOND);
        assert_eq!(net.peers[0].node.stats().connections, 1);
    }
}

/// C-11: nothing is sent to somebody who shows no certificate.
#[test]
fn a_remote_without_a_certificate_is_told_nothing() {
    for tls in [None, Some(TlsBinding { local: [1; 32], remote: None })] {
        let mut net = Net::new();
        net.add("a", "node", |_| {});
        let (conn, theirs) = net.wire(None, Some(0));
        let remote = "hand:50000".into();
        net.handle(0, Event::Connected { conn: theirs, dial: None, remote, tls });
        net.run_for(SECOND);
        assert!(!net.inboxes.contains_key(&conn));
        assert_eq!(net.peers[0].node.stats().faults(Fault::NoTlsCertificate), 1);
        assert_eq!(net.closed.get(&theirs), Some(&CloseReason::AuthenticationFailed));
    }
}

/// C-14.
#[test]
fn a_remote_that_says_nothing_is_let_go_after_two_seconds() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    let hand = net.connect("a", "hand", 0);
    net.run_for(Duration::from_millis(1999));
    assert!(net.is_open(hand.conn));
    net.run_for(Duration::from_millis(1));
    assert_refused(&net, &hand, Fault::HandshakeTimeout);
}

/// C-14: 1.5 s late is in time (O-1); what counts is that the message came, not its verification.
#[test]
fn a_remote_that_speaks_in_time_may_take_long_to_verify() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    let hand = net.connect("a", "hand", 0);
    net.run_for(Duration::from_millis(1500));
    net.peers[0].jobs = |_| Fate::Held;
    net.send(hand.conn, hand.introduction());
    net.run_for(5 * SECOND);
    net.peers[0].jobs = |_| Fate::Answered;
    net.answer_held(0);
    net.run_for(SECOND);
    assert_eq!(net.peers[0].node.stats().connections, 1);
}

/// C-17, W-3, C-9, C-10.
#[test]
fn both_sides_introduce_themselves_without_waiting() {
    use gossip_proto::gossip::gossip_message::Content;
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    let hand = net.connect("a", "hand", 0);
    net.run_for(SECOND);
    let (envelope, message) = net.received(&hand).pop().expect("a connection message");
    let Some(Content::Conn(conn)) = message.content else { panic!("another message") };
    let config = &net.peers[0].config;
    assert_eq!(conn.pki_id, config.pki_id.to_wire());
    assert_eq!(conn.identity, config.identity.as_bytes());
    assert_eq!(conn.tls_cert_hash[..], super::net::tls_of(&config.pki_id, false));
    assert!(!conn.probe && message.nonce == 0 && message.channel.is_empty());
    assert_eq!(message.tag, wire::Tag::Empty as i32);
    assert_eq!(envelope.signature, super::net::sign(&config.identity, &envelope.payload));
}

/// C-6, C-7: the stream of a probe ends, and it is a connection on neither side.
#[test]
fn a_probe_is_answered_and_no_connection() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    let hand = net.connect("a", "hand", 0);
    let tls = super::net::tls_of(&hand.pki_id, true);
    net.send(hand.conn, hand.introduction_with(Some(tls), true));
    net.run_for(SECOND);
    assert_eq!(net.received(&hand).len(), 1);
    assert_eq!(net.close_reason(&hand), Some(CloseReason::ProbeAnswered));
    assert_eq!(net.peers[0].node.stats().connections_opened, 0);
    let knows = net.peers[0].node.identities().iter().any(|(id, ..)| *id == hand.pki_id);
    assert!(knows, "its identity was learned");
}

/// C-8.
#[test]
fn an_answer_that_is_a_probe_is_refused() {
    let mut net = Net::new();
    net.listeners.insert(at("a", "hand"));
    net.add("a", "node", |config| config.bootstrap = vec![at("a", "hand")]);
    net.run_for(Duration::from_millis(10));
    let hand = net.answer("a", "hand");
    net.send(hand.conn, hand.introduction_with(Some(super::net::tls_at(&at("a", "hand"))), true));
    net.run_for(Duration::from_millis(10));
    assert_eq!(net.peers[0].node.stats().faults(Fault::ProbeFlag), 1);
    assert_eq!(net.close_reason(&hand), Some(CloseReason::AuthenticationFailed));
}

/// C-6: the remote may close the stream of a probe before its signature is checked here.
#[test]
fn a_probe_that_the_remote_ends_first_still_tells_who_is_there() {
    let mut net = Net::new();
    net.listeners.insert(at("a", "hand"));
    net.add("a", "node", |config| config.bootstrap = vec![at("a", "hand")]);
    net.run_for(Duration::from_millis(10));
    let hand = net.answer("a", "hand");
    net.peers[0].jobs = |_| Fate::Held;
    net.send(hand.conn, hand.introduction());
    net.close(hand.conn, false);
    net.run_for(Duration::from_millis(10));
    net.peers[0].jobs = |_| Fate::Answered;
    net.answer_held(0);
    net.run_for(Duration::from_millis(50));
    assert_eq!(net.accepted.len(), 1, "the node dials to ask for members");
    assert_eq!(net.peers[0].node.stats().faults(Fault::NoHandshake), 0);
}

/// What comes before the sender is verified is taken after it, in order, up to a bound.
#[test]
fn what_follows_a_connection_message_waits_for_its_verdict() {
    let mut net = Net::new();
    net.add("a", "node", |config| config.limits.handshake_frames_max = 5);
    let hand = net.connect("a", "hand", 0);
    net.run_for(Duration::from_millis(10));
    net.peers[0].jobs = |_| Fate::Held;
    net.send(hand.conn, hand.introduction());
    for sequence in 1..=8 {
        net.send(hand.conn, frame(&hand.alive(sequence)));
    }
    net.run_for(Duration::from_millis(10));
    assert_eq!(net.peers[0].node.stats().faults(Fault::Overflow), 3);
    net.peers[0].jobs = |_| Fate::Answered;
    net.answer_held(0);
    net.run_for(SECOND);
    let members = net.peers[0].node.members();
    assert_eq!(members.iter().map(|member| member.stamp.sequence).collect::<Vec<_>>(), [5]);
    assert_eq!(net.peers[0].node.stats().messages_received, 9, "each counts once");
}

/// An authenticated peer that dials again does not have to be verified again: a key in use.
#[test]
fn connections_beyond_the_limit_are_closed() {
    let mut net = Net::new();
    net.add("a", "node", |config| config.limits.connections_max = 10);
    let hands: Vec<_> = (0..20).map(|_| net.connect("a", "hand", 0)).collect();
    let refused = |hand: &&Hand| net.close_reason(hand) == Some(CloseReason::Overflow);
    assert_eq!(hands.iter().filter(refused).count(), 10);
    net.run_for(3 * SECOND);
    let hand = net.hand("a", "hand", 0);
    assert!(net.is_open(hand.conn), "those that said nothing have made room");
}

/// C-37: an identity that expires takes its connection and its membership with it.
#[test]
fn a_peer_whose_identity_expires_is_forgotten_at_once() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    let expiry = START + 100 * SECOND;
    net.peers[0].backend.expiries.insert(identity("a", "hand").as_bytes().clone(), expiry);
    let hand = net.hand("a", "hand", 0);
    for sequence in 1..20 {
        net.send(hand.conn, frame(&hand.alive(sequence)));
        net.run_for(5 * SECOND);
    }
    assert_eq!(net.peers[0].members().len(), 1);
    net.run_for(5 * SECOND);
    assert_eq!(net.close_reason(&hand), Some(CloseReason::IdentityRemoved));
    assert!(net.peers[0].members().is_empty());
    let gone = |notice: &Notice| match notice {
        Notice::IdentityRemoved { pki_id } => *pki_id == hand.pki_id,
        _ => false,
    };
    assert!(net.peers[0].has_noticed(gone));
}

/// C-39, N-50, C-40.
#[test]
fn suspicion_removes_those_alone_who_hold_no_longer() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    let [good, bad] = ["good", "bad"].map(|name| net.hand("a", name, 0));
    for hand in [&good, &bad] {
        net.send(hand.conn, frame(&hand.alive(1)));
    }
    net.run_for(SECOND);
    net.peers[0].backend.revoked.insert(bad.identity.as_bytes().clone());
    net.command(0, crate::Command::SuspectPeers);
    net.run_for(SECOND);
    assert!(net.is_open(good.conn) && !net.is_open(bad.conn));
    assert_eq!(net.peers[0].members(), [good.pki_id].into());
    net.peers[0].backend.revoked.clear();
    net.hand("a", "bad", 0);
}

/// C-38: our peers use theirs all the time; a visitor's goes after an hour.
#[test]
fn an_identity_that_nobody_uses_is_forgotten_after_an_hour() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    net.add("a", "other", |config| config.bootstrap = vec![at("a", "node")]);
    let hand = net.hand("a", "hand", 0);
    net.close(hand.conn, false);
    net.run_for(3600 * SECOND);
    assert_eq!(net.peers[0].node.identities().len(), 3);
    net.run_for(3600 * SECOND);
    let known = net.peers[0].node.identities();
    assert_eq!(known.len(), 2, "ours, and the other's");
    assert_eq!(net.peers[0].members().len(), 1);
}

/// C-33: also those that came before the remote was known.
#[test]
fn the_messages_of_a_connection_are_handed_on_in_order() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    net.join(0, "ch", &["a"], 1);
    let kind = MessageKind::PrivateRequest;
    net.command(0, Command::Accept { kinds: vec![kind] });
    net.peers[0].jobs = |_| Fate::Held;
    let hands = ["one", "two"].map(|name| net.connect("a", name, 0));
    let message = Message { channel: ChannelId::from("ch"), kind, body: Bytes::new() };
    for nonce in 0..50 {
        for hand in &hands {
            if nonce == 0 {
                net.send(hand.conn, hand.introduction());
            } else {
                net.send(hand.conn, wire::carry(&message, nonce));
            }
        }
        if nonce == 25 {
            net.run_for(SECOND);
            net.peers[0].jobs = |_| Fate::Answered;
            net.answer_held(0);
        }
    }
    net.run_for(SECOND);
    for hand in &hands {
        let nonces = net.peers[0].notices.iter().filter_map(|(_, notice)| match notice {
            Notice::Message { conn, nonce, .. } if *conn == hand.theirs => Some(*nonce),
            _ => None,
        });
        assert!(nonces.eq(1..50), "{:?}", net.peers[0].notices);
    }
}
