//! Leadership messages: who is believed, and to whom ours go.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;
use gossip_proto::gossip::{
    Envelope, GossipMessage, LeadershipMessage, PeerTime, SecretEnvelope, gossip_message::Content,
};
use prost::Message as _;

use crate::{ChannelId, Command, CommandError, Event, Fault, JobKind, Notice, Stamp, wire};

use super::{
    hand::{Hand, frame},
    net::{Fate, Net, START, at, block, pki},
};

const SECOND: Duration = Duration::from_secs(1);

/// A node of `a` in a channel of `a` and `b`, and remotes that it holds alive and in the channel.
fn node_and_hands<const N: usize>(names: [(&str, &str); N]) -> (Net, [Hand; N]) {
    let mut net = Net::new();
    net.add("a", "node", |config| config.propagate_peer_num = 1);
    net.join(0, "ch", &["a", "b"], 1);
    let hands = names.map(|(org, name)| {
        let hand = net.hand(org, name, 0);
        net.send(hand.conn, frame(&hand.alive(1)));
        net.run_for(Duration::from_millis(10));
        net.send(hand.conn, frame(&hand.state_info("ch", 1, 1)));
        hand
    });
    net.run_for(Duration::from_millis(100));
    net.inboxes.clear();
    (net, hands)
}

fn stamp(sequence: u64) -> Stamp {
    Stamp { incarnation: START.as_nanos(), sequence }
}

fn leadership(author: &Hand, channel: &str, sequence: u64, is_declaration: bool) -> Envelope {
    let channel = ChannelId::from(channel);
    let stamp = stamp(sequence);
    author.seal(wire::leadership_payload(&channel, &author.pki_id, stamp, is_declaration))
}

/// Takes what the node has told of leadership.
fn told(net: &Net) -> Vec<(&[u8; 32], u64, bool)> {
    let notices = net.peers[0].notices.iter().filter_map(|(_, notice)| match notice {
        Notice::Leadership { pki_id, stamp, is_declaration, .. } => {
            Some((pki_id.as_bytes(), stamp.sequence, *is_declaration))
        }
        _ => None,
    });
    notices.collect()
}

fn declare(net: &mut Net, is_declaration: bool) {
    let channel = ChannelId::from("ch");
    net.command(0, Command::SendLeadership { channel, is_declaration });
    net.run_for(Duration::from_millis(30));
}

fn messages(net: &mut Net, hand: &Hand) -> Vec<(Envelope, wire::Tag, LeadershipMessage)> {
    let received = net.received(hand).into_iter().filter_map(|(envelope, message)| {
        let tag = message.tag();
        assert_eq!(message.nonce, 0, "W-28");
        match message.content {
            Some(Content::LeadershipMsg(leadership)) => Some((envelope, tag, leadership)),
            _ => None,
        }
    });
    received.collect()
}

/// N-14, CH-60.
#[test]
fn a_newer_message_is_told_once_and_passed_on_to_nobody() {
    let (mut net, [one, two]) = node_and_hands([("a", "one"), ("a", "two")]);
    for (sequence, is_declaration) in [(5, false), (6, true), (6, true), (4, true)] {
        net.send(one.conn, frame(&leadership(&one, "ch", sequence, is_declaration)));
        net.run_for(SECOND);
    }
    let author = one.pki_id;
    assert_eq!(told(&net), [(author.as_bytes(), 5, false), (author.as_bytes(), 6, true)]);
    assert_eq!(net.peers[0].node.stats().faults(Fault::Stale), 2);
    assert!(messages(&mut net, &one).is_empty() && messages(&mut net, &two).is_empty());
}

/// 80-election.md 3.4: the sender need not be the author. CH-60: its count is the author's.
#[test]
fn a_colleague_may_bring_anothers_message() {
    let (mut net, [one, two]) = node_and_hands([("a", "one"), ("a", "two")]);
    let message = frame(&leadership(&one, "ch", 5, true));
    net.send(two.conn, message.clone());
    net.send(one.conn, message);
    net.send(two.conn, frame(&leadership(&two, "ch", 1, true)));
    net.run_for(SECOND);
    let mut authors = told(&net);
    authors.sort_unstable();
    let mut expected = vec![(one.pki_id.as_bytes(), 5, true), (two.pki_id.as_bytes(), 1, true)];
    expected.sort_unstable();
    assert_eq!(authors, expected);
}

/// N-14, CH-8, CH-59, W-16, W-17, W-36.
#[test]
fn a_message_that_is_forged_foreign_or_malformed_is_dropped() {
    let (mut net, [ours, foreign]) = node_and_hands([("a", "one"), ("b", "two")]);
    let mut unsigned = leadership(&ours, "ch", 5, true);
    unsigned.signature = Bytes::new();
    let mut forged = leadership(&ours, "ch", 5, true);
    forged.signature = "forged".into();
    let mut with_secret = leadership(&ours, "ch", 5, true);
    with_secret.secret_envelope =
        Some(SecretEnvelope { payload: "x".into(), signature: "forged".into() });
    let mut large = leadership(&ours, "ch", 5, true);
    large.signature = vec![0; 70_000].into();
    let timeless = Content::LeadershipMsg(LeadershipMessage {
        pki_id: ours.pki_id.to_wire(),
        ..LeadershipMessage::default()
    });
    let nameless = Content::LeadershipMsg(LeadershipMessage {
        timestamp: Some(PeerTime { inc_num: 1, seq_num: 1 }),
        ..LeadershipMessage::default()
    });
    let seal = |content| {
        let message = GossipMessage {
            nonce: 0,
            channel: "ch".into(),
            tag: wire::Tag::ChanAndOrg as i32,
            content: Some(content),
        };
        ours.seal(message.encode_to_vec().into())
    };
    let stranger = Hand::named("a", "stranger");
    let cases = [
        ("unsigned", &ours, unsigned, Fault::Unsigned),
        ("forged", &ours, forged, Fault::BadSignature),
        ("forged secret", &ours, with_secret, Fault::BadSignature),
        ("too large", &ours, large, Fault::Malformed),
        ("no timestamp", &ours, seal(timeless), Fault::Malformed),
        ("no author", &ours, seal(nameless), Fault::Malformed),
        ("unknown author", &ours, leadership(&stranger, "ch", 5, true), Fault::UnknownIdentity),
        ("foreign author", &ours, leadership(&foreign, "ch", 5, true), Fault::WrongOrg),
        ("foreign sender", &foreign, leadership(&ours, "ch", 5, true), Fault::WrongOrg),
        ("unknown channel", &ours, leadership(&ours, "other", 5, true), Fault::WrongChannel),
    ];
    for (name, sender, message, fault) in cases {
        let before = net.peers[0].node.stats().faults(fault);
        net.send(sender.conn, frame(&message));
        net.run_for(Duration::from_millis(10));
        assert_eq!(net.peers[0].node.stats().faults(fault), before + 1, "{name}");
        assert!(told(&net).is_empty() && net.is_open(sender.conn), "{name}");
    }
    net.send(ours.conn, frame(&leadership(&ours, "ch", 5, true)));
    net.run_for(SECOND);
    assert_eq!(told(&net).len(), 1, "nothing of all that stands in the way of the honest one");
}

/// Two messages with one stamp: the forged one does not take the honest one down.
#[test]
fn of_two_with_the_same_stamp_the_one_that_is_signed_is_told() {
    let (mut net, [ours]) = node_and_hands([("a", "one")]);
    let mut forged = leadership(&ours, "ch", 5, false);
    forged.signature = "forged".into();
    net.send(ours.conn, frame(&forged));
    let second = net.hand("a", "two", 0);
    net.send(ours.conn, frame(&forged));
    net.send(second.conn, frame(&leadership(&ours, "ch", 5, true)));
    net.run_for(SECOND);
    assert_eq!(told(&net), [(ours.pki_id.as_bytes(), 5, true)]);
}

/// 80-election.md 2.2.
#[test]
fn our_own_message_means_nothing_to_us() {
    let (mut net, [ours]) = node_and_hands([("a", "one")]);
    let us = Hand::named("a", "node");
    net.send(ours.conn, frame(&leadership(&us, "ch", u64::MAX, true)));
    net.run_for(SECOND);
    assert!(told(&net).is_empty());
    assert_eq!(net.peers[0].node.stats().faults(Fault::Stale), 1);
}

/// The world is looked up again when the verdict is in.
#[test]
fn an_author_that_goes_while_its_message_is_checked_is_not_told_of() {
    let (mut net, [one, two]) = node_and_hands([("a", "one"), ("a", "two")]);
    net.peers[0].jobs = |kind| match kind {
        JobKind::Verify { .. } => Fate::Held,
        _ => Fate::Answered,
    };
    net.send(two.conn, frame(&leadership(&one, "ch", 5, true)));
    net.run_for(SECOND);
    net.peers[0].backend.revoked.insert(one.identity.as_bytes().clone());
    net.command(0, Command::SuspectPeers);
    net.run_for(Duration::from_millis(10));
    net.answer_held(0);
    net.run_for(SECOND);
    assert!(told(&net).is_empty());
}

/// N-18, CH-61, N-44, W-28: however few a message is usually pushed to.
#[test]
fn our_message_goes_to_all_of_us_in_the_channel_and_to_nobody_else() {
    let names = [("a", "one"), ("a", "two"), ("a", "three"), ("b", "foreign")];
    let (mut net, [one, two, three, foreign]) = node_and_hands(names);
    let outside = net.hand("a", "outside", 0);
    net.send(outside.conn, frame(&outside.alive(1)));
    net.send(three.conn, frame(&three.state_info_with("ch", 2, 1, true)));
    net.run_for(SECOND);
    net.inboxes.clear();
    declare(&mut net, false);
    declare(&mut net, true);
    let own = pki("a", "node");
    for hand in [&one, &two] {
        let messages = messages(&mut net, hand);
        assert_eq!(messages.len(), 2);
        for (index, (envelope, tag, message)) in messages.into_iter().enumerate() {
            assert_eq!(message.pki_id, own.to_wire());
            assert_eq!(message.is_declaration, index == 1);
            let time = message.timestamp.expect("a timestamp");
            let is_start = time.inc_num >= START.as_nanos();
            assert!(is_start && time.seq_num == index as u64 + 1, "{time:?}");
            assert_eq!(tag, wire::Tag::ChanAndOrg);
            let us = Hand::named("a", "node");
            assert_eq!(us.seal(envelope.payload.clone()), envelope, "signed by us");
        }
    }
    for hand in [three, foreign, outside] {
        assert!(messages(&mut net, &hand).is_empty(), "left, foreign or not in the channel");
    }
}

#[test]
fn nodes_hear_of_each_other() {
    let mut net = Net::new();
    for name in ["one", "two", "three"] {
        let bootstrap = at("a", "one");
        net.add("a", name, |config| config.bootstrap = vec![bootstrap]);
        let peer = net.peers.len() - 1;
        net.join(peer, "ch", &["a"], 1);
    }
    net.run_until(60 * SECOND, |net| net.peers.iter().all(|p| p.channel_peers("ch").len() == 2));
    net.command(2, Command::SendLeadership { channel: "ch".into(), is_declaration: true });
    net.run_for(SECOND);
    let leader = pki("a", "three");
    for peer in &net.peers[..2] {
        assert!(peer.has_noticed(|notice| matches!(notice, Notice::Leadership { pki_id, .. }
            if *pki_id == leader)));
    }
}

#[test]
fn no_leadership_where_we_are_not() {
    let (mut net, _) = node_and_hands([("a", "one")]);
    let channel = ChannelId::from("other");
    let command = Command::SendLeadership { channel: channel.clone(), is_declaration: true };
    let refused = net.peers[0].node.command(net.now, command);
    assert_eq!(refused, Err(CommandError::NotJoined(channel)));
}

/// 40-emitter-and-node.md §6.2: leadership goes before other news, but not before control.
#[test]
fn leadership_does_not_wait_behind_blocks() {
    let (mut net, [one]) = node_and_hands([("a", "one")]);
    net.stop_reading(&one);
    for number in 0..100 {
        let block = block("ch", number, "body");
        net.command(0, Command::GossipBlock { channel: "ch".into(), number, block });
    }
    declare(&mut net, true);
    let before = net.received(&one).len();
    assert!(before < 100, "some wait: {before}");
    net.handle(0, Event::Sent { conn: one.theirs, frames: 1 });
    assert_eq!(messages(&mut net, &one).len(), 1);
}

/// CH-60: signatures come in any order; what is no longer so is not sent after what is.
#[test]
fn a_message_whose_signature_comes_after_that_of_a_newer_one_is_not_sent() {
    let (mut net, [hand]) = node_and_hands([("a", "one")]);
    net.peers[0].jobs = |kind| match kind {
        JobKind::Sign { payload } if is_leadership(payload) => Fate::Held,
        _ => Fate::Answered,
    };
    declare(&mut net, true);
    declare(&mut net, false);
    let held = core::mem::take(&mut net.peers[0].held);
    assert_eq!(held.len(), 2);
    for job in held.into_iter().rev() {
        let completion = net.peers[0].run(job);
        net.handle(0, Event::JobDone(completion));
        net.run_for(Duration::from_millis(30));
    }
    let sent: Vec<_> =
        messages(&mut net, &hand).into_iter().map(|(_, _, message)| message).collect();
    assert_eq!(sent.len(), 1);
    assert!(!sent[0].is_declaration, "the newer one");
}

fn is_leadership(payload: &Bytes) -> bool {
    let message = GossipMessage::decode(payload.clone()).expect("a message");
    matches!(message.content, Some(Content::LeadershipMsg(_)))
}
