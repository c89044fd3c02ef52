//! Each checker of what applications do objects to what it is there for: its violation is planted
//! in a world in which everything is in order.

use std::time::Duration;

use bytes::Bytes;
use gossip_core::{
    Acks, Chaincode, ChannelId, Command, ConnId, Criteria, Message, MessageKind, Notice, PkiId,
    RequestId, TooFewAcks, UnixTime,
};
use gossip_proto::gossip::{
    self, AliveMessage, Envelope, GossipMessage, Member, PeerTime, PrivateDataMessage,
    PrivatePayload, Properties, StateInfo,
    gossip_message::{Content, Tag},
};
use gossip_tests::sim::{
    Manner, Options, World,
    check::{Seen, unmet},
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

const REQUEST: RequestId = RequestId::new(7_000);
const CONN: ConnId = ConnId::new(1_000_000);
const NONCE: u64 = 77;
const SECOND: Duration = Duration::from_secs(1);

/// Peers 0 and 2 are of one organisation, 1 and 3 of the other; 3 is hostile.
fn world() -> World {
    let quiet = Options { has_applications: false, ..Options::new(3) };
    let mut world = World::new(Options { peers: 4, ..quiet }).expect("a world");
    world.run_for(20 * SECOND);
    assert_eq!(world.violation(), None);
    world.turn(3, Manner::Boasts);
    (0..4).for_each(|host| accept(&mut world, host, MessageKind::ALL));
    world
}

/// Shows something to the checkers as if a peer had done it; returns who objects.
fn objection(world: &mut World, host: usize, seen: &Seen<'_>) -> Option<&'static str> {
    world.observe(host, seen);
    world.violation().map(|violation| violation.checker)
}

fn commanded(world: &mut World, host: usize, command: &Command) {
    assert_eq!(objection(world, host, &Seen::Commanded(command)), None);
}

fn accept(world: &mut World, host: usize, kinds: &[MessageKind]) {
    commanded(world, host, &Command::Accept { kinds: kinds.to_vec() });
}

fn data() -> PrivateDataMessage {
    let payload = PrivatePayload { tx_id: "7000".into(), ..PrivatePayload::default() };
    PrivateDataMessage { payload: Some(payload) }
}

fn message() -> Message {
    let (channel, kind) = (ChannelId::from("all"), MessageKind::PrivateData);
    Message { channel, kind, body: data().encode_to_vec().into() }
}

fn frame() -> Bytes {
    let content = Some(Content::PrivateData(data()));
    let (channel, tag) = (Bytes::from_static(b"all"), Tag::ChanOnly as i32);
    let payload = GossipMessage { nonce: NONCE, channel, tag, content }.encode_to_vec().into();
    Envelope { payload, ..Envelope::default() }.encode_to_vec().into()
}

/// Lets peer 0 ask two peers, of whom some must acknowledge the message.
fn ask(world: &mut World, min_ack: usize, timeout: Duration) {
    let criteria = Criteria { channel: None, to: None, max_peers: 2, min_ack, timeout };
    send(world, criteria);
}

fn send(world: &mut World, criteria: Criteria) {
    let command = Command::SendByCriteria { request: REQUEST, message: message(), criteria };
    commanded(world, 0, &command);
}

/// Lets a peer hear of the message as one of another.
fn hear(world: &mut World, host: usize, from: PkiId) -> Option<&'static str> {
    let told = Notice::Message { conn: CONN, from, nonce: NONCE, message: message() };
    objection(world, host, &Seen::Noticed(&told))
}

fn acknowledge(world: &mut World, host: usize) {
    let asker = world.pki_id(0);
    assert_eq!(hear(world, host, asker), None);
    commanded(world, host, &Command::Acknowledge { conn: CONN, nonce: NONCE, error: None });
}

/// Ends the request of peer 0 with who acknowledged it and who did not answer.
fn finish(
    world: &mut World,
    is_met: bool,
    accepted: &[usize],
    unanswered: &[usize],
) -> Option<&'static str> {
    let ids = |hosts: &[usize]| hosts.iter().map(|host| world.pki_id(*host)).collect();
    let (accepted, unanswered) = (ids(accepted), ids(unanswered));
    let acks = Acks { accepted, refused: Vec::new(), unanswered };
    let result = if is_met { Ok(acks) } else { Err(TooFewAcks { wanted: 1, acks }) };
    objection(world, 0, &Seen::Noticed(&Notice::SendFinished { request: REQUEST, result }))
}

const REQUESTS: Option<&str> = Some("requests end once, in time, as they were answered");

#[test]
fn a_request_that_ends_though_nobody_made_it_or_twice() {
    assert_eq!(finish(&mut world(), true, &[3], &[]), REQUESTS);
    let mut world = world();
    ask(&mut world, 1, SECOND);
    assert_eq!(finish(&mut world, true, &[3], &[]), None);
    assert_eq!(finish(&mut world, true, &[3], &[]), REQUESTS);
}

#[test]
fn a_request_that_ends_too_late_or_never() {
    let timeout = Duration::from_millis(2);
    for (after, objects) in [(2, None), (3, REQUESTS)] {
        let mut world = world();
        ask(&mut world, 1, timeout);
        world.run_for(Duration::from_millis(after));
        assert_eq!(finish(&mut world, false, &[], &[1]), objects);
    }
    let mut endless = world();
    ask(&mut endless, 1, timeout);
    endless.run_for(2 * SECOND);
    assert_eq!(endless.violation().map(|violation| violation.checker), REQUESTS);
    // Who stood still may be late.
    let mut resumed = world();
    ask(&mut resumed, 1, timeout);
    resumed.run_for(timeout * 2);
    assert_eq!(objection(&mut resumed, 0, &Seen::Resumed), None);
    assert_eq!(finish(&mut resumed, false, &[], &[1]), None);
}

#[test]
fn a_request_that_ends_otherwise_than_it_was_answered() {
    for (is_met, accepted, unanswered, what) in [
        (true, &[][..], &[3][..], "too few are enough"),
        (false, &[3], &[], "enough are too few"),
        (false, &[], &[3], "one could still answer"),
        (true, &[3], &[3], "one answered and did not"),
        (true, &[3], &[1, 2], "one was asked too many"),
    ] {
        let mut world = world();
        ask(&mut world, 1, SECOND);
        assert_eq!(finish(&mut world, is_met, accepted, unanswered), REQUESTS, "{what}");
    }
}

/// A hostile peer may take a message or not, but for itself alone.
#[test]
fn an_acknowledgement_that_nobody_gave_and_one_that_is_missed() {
    let mut lied = world();
    ask(&mut lied, 1, SECOND);
    assert_eq!(finish(&mut lied, true, &[3, 2], &[]), REQUESTS);
    let mut given = world();
    ask(&mut given, 1, SECOND);
    acknowledge(&mut given, 2);
    assert_eq!(finish(&mut given, true, &[3, 2], &[]), None);
    // To another who repeats the message, it says nothing of this request.
    let mut elsewhere = world();
    ask(&mut elsewhere, 1, SECOND);
    let hostile = elsewhere.pki_id(3);
    assert_eq!(hear(&mut elsewhere, 2, hostile), None);
    let given = Command::Acknowledge { conn: CONN, nonce: NONCE, error: None };
    commanded(&mut elsewhere, 2, &given);
    assert_eq!(finish(&mut elsewhere, true, &[2], &[]), REQUESTS);
    for (is_calm, objects) in [(false, None), (true, REQUESTS)] {
        let mut missed = world();
        let now = missed.now();
        if is_calm {
            missed.be_calm(now);
        }
        ask(&mut missed, 1, 3 * SECOND);
        acknowledge(&mut missed, 2);
        missed.run_for(3 * SECOND);
        assert_eq!(finish(&mut missed, false, &[], &[2]), objects);
    }
}

const MESSAGES: Option<&str> = Some("messages are for those who hear them");

#[test]
fn a_message_that_goes_to_whom_it_is_not_for() {
    let asked = |channel: Option<&str>, to: Option<&[usize]>, max_peers| {
        let mut world = world();
        let to = to.map(|to| to.iter().map(|host| world.pki_id(*host)).collect());
        let channel = channel.map(ChannelId::from);
        send(&mut world, Criteria { channel, to, max_peers, min_ack: 0, timeout: SECOND });
        world
    };
    let sent = |world: &mut World, to| {
        let frame = &frame();
        objection(world, 0, &Seen::Sent { to, unwritten: 1, frame })
    };
    assert_eq!(sent(&mut world(), 2), MESSAGES, "its application said nothing");
    let mut some = asked(None, Some(&[1]), 2);
    assert_eq!((sent(&mut some, 1), sent(&mut some, 2)), (None, MESSAGES));
    let mut of_a = asked(Some("only-a"), None, 2);
    assert_eq!((sent(&mut of_a, 2), sent(&mut of_a, 1)), (None, MESSAGES));
    let mut one = asked(None, None, 1);
    assert_eq!((sent(&mut one, 1), sent(&mut one, 1)), (None, None));
    assert_eq!(sent(&mut one, 2), MESSAGES, "one was to have it");
}

#[test]
fn a_message_that_is_heard_by_whom_it_is_not_for() {
    let asked = |to: usize| {
        let mut world = world();
        let to = vec![world.pki_id(to)];
        commanded(&mut world, 0, &Command::Send { message: message(), nonce: NONCE, to });
        let asker = world.pki_id(0);
        (world, asker)
    };
    let (mut right, asker) = asked(2);
    assert_eq!(hear(&mut right, 2, asker), None);
    let (mut other, asker) = asked(2);
    assert_eq!(hear(&mut other, 1, asker), MESSAGES);
    let (mut refused, asker) = asked(2);
    accept(&mut refused, 2, &[MessageKind::PrivateRequest]);
    assert_eq!(hear(&mut refused, 2, asker), MESSAGES);
    let (mut mistaken, _) = asked(2);
    let another = mistaken.pki_id(1);
    assert_eq!(hear(&mut mistaken, 2, another), MESSAGES);
    let (mut unknown, _) = asked(2);
    assert_eq!(hear(&mut unknown, 2, PkiId::new([9; 32])), MESSAGES);
    let (mut changed, from) = asked(2);
    let payload = PrivatePayload { namespace: "n".into(), ..data().payload.unwrap_or_default() };
    let body = PrivateDataMessage { payload: Some(payload) }.encode_to_vec().into();
    let message = Message { body, ..message() };
    let told = Notice::Message { conn: CONN, from, nonce: NONCE, message };
    assert_eq!(objection(&mut changed, 2, &Seen::Noticed(&told)), MESSAGES);
}

#[test]
fn a_message_that_does_not_arrive() {
    let later = |is_calm: bool, is_heard: bool, kinds: &[MessageKind]| {
        let mut world = world();
        accept(&mut world, 2, kinds);
        let (now, asker, to) = (world.now(), world.pki_id(0), vec![world.pki_id(2)]);
        if is_calm {
            world.be_calm(now);
        }
        commanded(&mut world, 0, &Command::Send { message: message(), nonce: NONCE, to });
        if is_heard {
            assert_eq!(hear(&mut world, 2, asker), None);
        }
        world.run_for(10 * SECOND);
        world.violation().map(|violation| violation.checker)
    };
    let arrivals = Some("messages arrive where nothing is in the way");
    assert_eq!(later(true, false, MessageKind::ALL), arrivals);
    assert_eq!(later(true, true, MessageKind::ALL), None);
    assert_eq!(later(false, false, MessageKind::ALL), None, "something may be in the way");
    assert_eq!(later(true, false, &[MessageKind::PrivateRequest]), None, "nobody listens");
}

const WORDS: Option<&str> = Some("peers say what their applications say");

fn chaincodes() -> Vec<Chaincode> {
    vec![Chaincode { name: "assets".into(), version: "1".into() }]
}

/// What peer 0 signs of itself, later than all before.
fn signed(world: &mut World, content: Content) -> Option<&'static str> {
    let (channel, tag) = (Bytes::new(), Tag::Empty as i32);
    let message = GossipMessage { nonce: 0, channel, tag, content: Some(content) };
    objection(world, 0, &Seen::Signed { payload: &message.encode_to_vec().into() })
}

fn timestamp(seq_num: u64) -> Option<PeerTime> {
    Some(PeerTime { inc_num: u64::MAX, seq_num })
}

#[test]
fn metadata_that_is_signed_or_shown_otherwise_than_said() {
    let alive = |seq_num, metadata: &'static [u8]| {
        let metadata = Bytes::from_static(metadata);
        let membership = Some(Member { metadata, ..Member::default() });
        Content::AliveMsg(AliveMessage {
            membership,
            timestamp: timestamp(seq_num),
            ..AliveMessage::default()
        })
    };
    let mut world = world();
    world.set_metadata(0, "new".into());
    assert_eq!(signed(&mut world, alive(1, b"new")), None);
    assert_eq!(signed(&mut world, alive(2, b"")), WORDS);
    let view = |metadata: &'static str| {
        let mut world = self::world();
        world.set_metadata(1, "new".into());
        world.run_for(10 * SECOND);
        let mut members = world.node(0).expect("it runs").members();
        let member = members.iter_mut().find(|member| member.pki_id == world.pki_id(1));
        let member = member.expect("they have met");
        assert_eq!(member.metadata, "new");
        member.metadata = metadata.into();
        let members: &Vec<_> = &members.iter().map(gossip_core::Member::view).collect();
        let wall = UnixTime::from_secs(1_700_000_030);
        let seen = Seen::View { wall, members, expiring: &[], connections: 3, tables: &[] };
        objection(&mut world, 0, &seen)
    };
    let views = Some("views tell what was signed");
    assert_eq!(["", "new", "old"].map(view), [None, None, views]);
}

#[test]
fn chaincodes_that_are_signed_or_shown_otherwise_than_said() {
    let mut world = world();
    world.set_chaincodes(0, 0, chaincodes());
    let pki_id = Bytes::copy_from_slice(world.pki_id(0).as_bytes());
    let mac = Sha256::new().chain_update(&pki_id).chain_update("all").finalize();
    let info = |seq_num, version: &str| {
        let (name, version) = ("assets".into(), version.into());
        let chaincode = gossip::Chaincode { name, version, metadata: Bytes::new() };
        let properties = Properties { chaincodes: vec![chaincode], ..Properties::default() };
        Content::StateInfo(StateInfo {
            timestamp: timestamp(seq_num),
            pki_id: pki_id.clone(),
            channel_mac: Bytes::copy_from_slice(&mac),
            properties: Some(properties),
        })
    };
    assert_eq!(signed(&mut world, info(1, "1")), None);
    assert_eq!(signed(&mut world, info(2, "2")), WORDS);
    let view = |version: &str| {
        let mut world = self::world();
        world.set_chaincodes(1, 0, chaincodes());
        world.run_for(10 * SECOND);
        let channel = &ChannelId::from("all");
        let node = world.node(0).expect("it runs");
        let mut peers = node.channel_peers(channel).expect("it is there");
        let peer = peers.iter_mut().find(|peer| peer.member.pki_id == world.pki_id(1));
        let peer = peer.expect("they have met");
        assert_eq!(peer.chaincodes, chaincodes());
        peer.chaincodes[0].version = version.into();
        objection(&mut world, 0, &Seen::Channel { channel, peers: &peers })
    };
    assert_eq!(["1", "2"].map(view), [None, WORDS]);
}

#[test]
fn words_that_do_not_become_known() {
    let mut world = world();
    world.heal();
    world.run_for(30 * SECOND);
    assert_eq!(unmet(&world), []);
    world.set_metadata(0, "new".into());
    world.set_chaincodes(2, 0, chaincodes());
    let what: Vec<_> = unmet(&world).into_iter().map(|unmet| unmet.what).collect();
    for lacks in
        ["b0 does not know the metadata of a0", "a0 does not know the chaincodes of a1 in all"]
    {
        assert!(what.iter().any(|what| what == lacks), "{what:?}");
    }
    world.run_for(10 * SECOND);
    assert_eq!(unmet(&world), []);
}
