//! What hostile peers send: for each the counter, whether it is held against somebody, and whether
//! the connection ends.

use alloc::{format, vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;
use gossip_proto::gossip::{
    AliveMessage, Envelope, GossipMessage, Member, MembershipRequest, MembershipResponse,
    PeerIdentity, PeerTime, SecretEnvelope, gossip_message::Content,
};
use prost::Message as _;

use crate::{ChannelId, CloseReason, Fault, Notice, wire};

use super::{
    hand::{Hand, frame, snapshot_of},
    net::{Fate, Net, block},
    unsigned,
};

const SECOND: Duration = Duration::from_secs(1);

/// A node of `a` in a channel, and a remote of `a` that it knows and holds alive.
fn attacked() -> (Net, Hand) {
    let mut net = Net::new();
    let node = net.add("a", "node", |config| config.limits.frame_bytes_max = 100_000);
    net.join(node, "ch", &["a", "b"], 1);
    let hand = net.hand("a", "hand", node);
    net.send(hand.conn, frame(&hand.alive(10)));
    net.run_for(SECOND);
    assert_eq!(net.peers[node].members().len(), 1);
    net.received(&hand);
    (net, hand)
}

/// What becomes of a frame.
struct Case {
    name: &'static str,
    frame: Bytes,
    fault: Fault,
    is_blamed: bool,
    is_closed: bool,
}

fn case(name: &'static str, frame: Bytes, fault: Fault) -> Case {
    Case { name, frame, fault, is_blamed: true, is_closed: false }
}

impl Case {
    /// Nobody is to blame: honest peers do it too, or pass it on.
    const fn blameless(mut self) -> Self {
        self.is_blamed = false;
        self
    }

    const fn closes(mut self) -> Self {
        self.is_closed = true;
        self
    }

    fn check(self) {
        let Self { name, frame, fault, is_blamed, is_closed } = self;
        let (mut net, hand) = attacked();
        let members = net.peers[0].members();
        let forwarded = net.peers[0].node.stats().forwarded;
        net.send(hand.conn, frame);
        net.run_for(SECOND);
        let peer = &net.peers[0];
        assert_eq!(peer.node.stats().faults(fault), 1, "{name}");
        let others = Fault::ALL.iter().filter(|other| **other != fault);
        assert!(others.clone().all(|other| peer.node.stats().faults(*other) == 0), "{name}");
        let is_blame = |notice: &Notice| {
            matches!(notice, Notice::PeerMisbehaved { conn, pki_id, fault: seen }
                if *conn == hand.theirs && *pki_id == Some(hand.pki_id) && *seen == fault)
        };
        assert_eq!(peer.has_noticed(is_blame), is_blamed, "{name}: {:?}", peer.notices);
        let reason = is_closed.then_some(CloseReason::Misbehaved);
        assert_eq!(net.close_reason(&hand), reason, "{name}");
        let is_same = net.peers[0].members() == members;
        assert!(is_same || is_closed, "{name}: nothing is learned");
        assert_eq!(net.peers[0].node.stats().forwarded, forwarded, "{name}: nothing is passed on");
    }
}

fn message(tag: wire::Tag, content: Content) -> GossipMessage {
    GossipMessage { nonce: 0, channel: Bytes::new(), tag: tag as i32, content: Some(content) }
}

fn stranger() -> Hand {
    Hand::named("a", "stranger")
}

/// W-39, C-28, W-6.
#[test]
fn bytes_that_mean_nothing_end_the_connection() {
    let hand = Hand::named("a", "hand");
    let garbage = Envelope { payload: vec![0xff; 20].into(), ..Envelope::default() };
    case("no envelope", vec![0xff; 20].into(), Fault::Undecodable).closes().check();
    case("no message in it", frame(&garbage), Fault::Undecodable).closes().check();
    let mut large = hand.alive(11);
    large.signature = vec![0; 100_000].into();
    case("too large", frame(&large), Fault::Oversized).closes().check();
}

/// W-24, N-10, CH-1, W-39: an empty payload is a message without a tag.
#[test]
fn a_tag_that_does_not_fit_drops_the_message_alone() {
    let hand = Hand::named("a", "hand");
    let empty = frame(&Envelope::default());
    case("empty payload", empty, Fault::IllegalTag).check();
    let payload = hand.alive_payload(11, None, None);
    let mut alive = GossipMessage::decode(payload).expect("an alive message");
    alive.tag = wire::Tag::ChanOrOrg as i32;
    let sealed = hand.seal(alive.encode_to_vec().into());
    case("another tag", frame(&sealed), Fault::IllegalTag).check();
    alive.tag = 99;
    let sealed = hand.seal(alive.encode_to_vec().into());
    case("an unknown tag", frame(&sealed), Fault::IllegalTag).check();
}

/// W-16, W-17, D-7.
#[test]
fn a_message_without_a_good_signature_is_dropped() {
    let hand = Hand::named("a", "hand");
    let change = |change: fn(&mut Envelope)| {
        let mut alive = hand.alive(11);
        alive.secret_envelope = Some(hand.secret("hand.a:7051"));
        change(&mut alive);
        frame(&alive)
    };
    case("unsigned", change(|e| e.signature = Bytes::new()), Fault::Unsigned).check();
    case("forged", change(|e| e.signature = "forged".into()), Fault::BadSignature).check();
    let empty = change(|e| e.secret_envelope = Some(SecretEnvelope::default()));
    case("empty secret", empty, Fault::Unsigned).check();
    let forged = change(|e| {
        let payload = "x".into();
        e.secret_envelope = Some(SecretEnvelope { payload, signature: "forged".into() });
    });
    case("forged secret", forged, Fault::BadSignature).check();
}

/// D-9, D-15, CH-28.
#[test]
fn a_replay_is_dropped_before_its_signature_is_looked_at() {
    let hand = Hand::named("a", "hand");
    case("the same", frame(&hand.alive(10)), Fault::Stale).blameless().check();
    let mut old = hand.alive(9);
    old.signature = "not even signed".into();
    case("older", frame(&old), Fault::Stale).blameless().check();
}

/// D-5, D-6, C-15.
#[test]
fn a_message_of_somebody_unknown_needs_a_good_identity() {
    let third = stranger();
    case("no identity", frame(&third.alive(1)), Fault::UnknownIdentity).blameless().check();
    let payload = third.alive_payload(1, None, Some(&Hand::named("a", "another").identity));
    case("another's identity", frame(&third.seal(payload)), Fault::BadIdentity).check();
    let invalid = crate::Identity::new("no zero in here");
    let payload = third.alive_payload(1, None, Some(&invalid));
    case("an invalid identity", frame(&third.seal(payload)), Fault::BadIdentity).check();
    let large = crate::Identity::new(vec![b'x'; 70_000]);
    let payload = third.alive_payload(1, None, Some(&large));
    case("a huge identity", frame(&third.seal(payload)), Fault::BadIdentity).check();
    let mut forged = third.alive_with_identity(1);
    forged.signature = "forged".into();
    case("a forged message", frame(&forged), Fault::BadSignature).check();
}

/// D-8, W-36, O-23, P-62.
#[test]
fn a_message_that_lacks_a_part_is_dropped() {
    let hand = Hand::named("a", "hand");
    let alive = |membership, timestamp| {
        let alive = AliveMessage { membership, timestamp, ..AliveMessage::default() };
        let message = message(wire::Tag::Empty, Content::AliveMsg(alive));
        frame(&hand.seal(message.encode_to_vec().into()))
    };
    let time = Some(PeerTime { inc_num: u64::MAX, seq_num: 1 });
    let member = Member { pki_id: hand.pki_id.to_wire(), ..Member::default() };
    case("no time", alive(Some(member), None), Fault::Malformed).check();
    case("no member", alive(None, time), Fault::Malformed).check();
    case("no PKI-ID", alive(Some(Member::default()), time), Fault::Malformed).check();
    let member = Member { pki_id: vec![1; 31].into(), ..Member::default() };
    case("a short PKI-ID", alive(Some(member), time), Fault::Malformed).check();
    let metadata = vec![0; 20_000].into();
    let member = Member { pki_id: hand.pki_id.to_wire(), metadata, ..Member::default() };
    case("much metadata", alive(Some(member), time), Fault::Malformed).check();
    let mut padded = hand.alive(11);
    padded.secret_envelope =
        Some(SecretEnvelope { payload: vec![0; 20_000].into(), signature: "x".into() });
    case("a huge secret", frame(&padded), Fault::Malformed).check();
}

/// D-23, D-24, N-15.
#[test]
fn a_membership_request_must_speak_for_its_sender() {
    let hand = Hand::named("a", "hand");
    let other = wire::membership_request(stranger().alive_with_identity(1), 1);
    case("another's", other, Fault::NotTheSender).check();
    let request = |self_information| {
        let content = MembershipRequest { self_information, known: Vec::new() };
        unsigned(message(wire::Tag::Empty, Content::MemReq(content)))
    };
    case("nobody's", request(None), Fault::Malformed).check();
    let garbage = Envelope { payload: vec![0xff; 9].into(), ..Envelope::default() };
    case("garbage", request(Some(garbage)), Fault::Undecodable).check();
    let info = hand.state_info("ch", 1, 1);
    case("a StateInfo", request(Some(info)), Fault::Undecodable).check();
    let mut forged = hand.alive(11);
    forged.signature = "forged".into();
    case("a forged one", request(Some(forged)), Fault::BadSignature).check();
}

/// N-13, CH-7, CH-39, W-27, CH-11, S-10.
#[test]
fn messages_for_other_channels_are_dropped() {
    let hand = Hand::named("a", "hand");
    let other = ChannelId::from("other");
    let pushed = wire::block(&other, 1, block("other", 1, "honest"));
    case("a block", pushed, Fault::WrongChannel).blameless().check();
    let snapshot = snapshot_of("other", &[]);
    case("a snapshot", snapshot, Fault::WrongChannel).blameless().check();
    let request = hand.state_info_request("other");
    case("a request", request, Fault::WrongChannel).blameless().check();
    let request = stranger().state_info_request("ch");
    case("another's request", request, Fault::WrongChannel).blameless().check();
}

/// N-11, CH-2, CH-3, W-36.
#[test]
fn a_state_info_needs_a_known_author_and_its_signature() {
    let hand = Hand::named("a", "hand");
    let unknown = frame(&stranger().state_info("ch", 1, 1));
    case("unknown author", unknown, Fault::UnknownIdentity).blameless().check();
    let elsewhere = frame(&stranger().state_info("other", 1, 1));
    case("the same elsewhere", elsewhere, Fault::UnknownIdentity).blameless().check();
    for channel in ["ch", "other"] {
        let mut info = hand.state_info(channel, 1, 1);
        info.signature = Bytes::new();
        case("unsigned", frame(&info), Fault::Unsigned).check();
        info.signature = "forged".into();
        case("forged", frame(&info), Fault::BadSignature).check();
    }
    let mut padded = hand.state_info("ch", 1, 1);
    padded.secret_envelope =
        Some(SecretEnvelope { payload: vec![0; 70_000].into(), signature: "x".into() });
    case("a huge secret", frame(&padded), Fault::Malformed).check();
}

/// N-9, N-16, W-41.
#[test]
fn messages_that_do_not_belong_here_are_ignored() {
    let hand = Hand::named("a", "hand");
    let identity = PeerIdentity {
        pki_id: hand.pki_id.to_wire(),
        cert: hand.identity.as_bytes().clone(),
        metadata: Bytes::new(),
    };
    let identity = unsigned(message(wire::Tag::OrgOnly, Content::PeerIdentity(identity)));
    case("an identity by itself", identity, Fault::Unexpected).check();
    let (mut net, hand) = attacked();
    let before = net.peers[0].node.stats().clone();
    net.send(hand.conn, hand.introduction());
    let ack = gossip_proto::gossip::Acknowledgement::default();
    net.send(hand.conn, unsigned(message(wire::Tag::Undefined, Content::Ack(ack))));
    let empty = gossip_proto::gossip::Empty::default();
    net.send(hand.conn, unsigned(message(wire::Tag::Undefined, Content::Empty(empty))));
    net.run_for(SECOND);
    let after = net.peers[0].node.stats();
    assert!(Fault::ALL.iter().all(|fault| before.faults(*fault) == after.faults(*fault)));
    assert!(net.is_open(hand.conn));
}

/// D-33, D-35.
#[test]
fn an_element_that_is_no_alive_message_ends_the_list_of_members() {
    let (mut net, hand) = attacked();
    let [one, two] = ["one", "two"].map(|name| Hand::named("a", name));
    let mut forged = Hand::named("a", "three").alive_with_identity(1);
    forged.signature = "forged".into();
    let alive = vec![
        forged,
        one.alive_with_identity(1),
        hand.state_info("ch", 1, 1),
        two.alive_with_identity(1),
    ];
    let response = MembershipResponse { alive, dead: Vec::new() };
    net.send(hand.conn, unsigned(message(wire::Tag::Empty, Content::MemRes(response))));
    net.run_for(Duration::from_millis(10));
    let members = net.peers[0].members();
    assert!(members.contains(&one.pki_id) && !members.contains(&two.pki_id));
    let stats = net.peers[0].node.stats();
    assert_eq!((stats.faults(Fault::Undecodable), stats.faults(Fault::BadSignature)), (1, 1));
    assert!(net.is_open(hand.conn));
}

/// However many statements one peer makes, only so many wait for a verdict.
#[test]
fn a_flood_of_statements_waits_in_bounded_memory() {
    let mut net = Net::new();
    net.add("a", "node", |config| config.limits.claims_per_connection_max = 50);
    let (hand, other) = (net.hand("a", "hand", 0), net.hand("a", "other", 0));
    net.peers[0].jobs = |_| Fate::Held;
    for number in 0..1000 {
        net.send(hand.conn, frame(&Hand::named("a", &format!("n{number}")).alive_with_identity(1)));
    }
    for sequence in 1..1000 {
        net.send(hand.conn, frame(&hand.alive(sequence)));
    }
    net.send(other.conn, frame(&other.alive(1)));
    net.run_for(SECOND);
    let is_check = |job: &&crate::Job| !matches!(job.kind(), crate::JobKind::Sign { .. });
    assert_eq!(net.peers[0].held.iter().filter(is_check).count(), 51, "the other gets its turn");
    assert_eq!(net.peers[0].node.stats().faults(Fault::Overflow), 1999 - 50);
    net.peers[0].jobs = |_| Fate::Answered;
    net.answer_held(0);
    net.run_for(SECOND);
    net.send(hand.conn, frame(&hand.alive(1000)));
    net.run_for(SECOND);
    assert!(net.peers[0].members().contains(&hand.pki_id), "the room is free again");
}

/// A remote that does not read costs so much and no more, and nobody else anything (O-24).
#[test]
fn answers_that_nobody_reads_do_not_pile_up() {
    let mut net = Net::new();
    net.add("a", "node", |config| config.limits.frame_bytes_max = 1 << 20);
    net.join(0, "ch", &["a", "b"], 1);
    let hand = net.hand("a", "hand", 0);
    net.stop_reading(&hand);
    for _ in 0..10_000 {
        net.send(hand.conn, hand.state_info_request("ch"));
    }
    net.run_for(SECOND);
    let limits = &net.peers[0].config.limits;
    let stats = net.peers[0].node.stats();
    let most = (limits.reply_frames_max + limits.frames_in_flight_max) as u64;
    assert!(stats.messages_dropped >= 10_000 - most, "{}", stats.messages_dropped);
    assert!(stats.messages_sent <= limits.frames_in_flight_max as u64 + 1);
    let other = net.hand("a", "other", 0);
    net.send(other.conn, other.state_info_request("ch"));
    net.run_for(SECOND);
    assert_eq!(net.received(&other).len(), 1);
}
