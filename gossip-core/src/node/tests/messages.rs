//! Messages between applications: who is sent them, who hears of them, how they are answered.

use alloc::{collections::BTreeSet, string::ToString as _, vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;
use gossip_proto::gossip::{
    Acknowledgement, Envelope, GossipMessage, PrivateDataMessage, PrivatePayload,
    gossip_message::Content,
};
use prost::Message as _;

use crate::{
    Acks, ChannelId, Command, CommandError, ConnId, Criteria, Fault, Message, MessageKind, Notice,
    PkiId, RequestId, TooFewAcks, wire,
};

use super::{
    hand::{Hand, frame},
    net::{Net, at, pki},
    unsigned,
};

const SECOND: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(3);
const REQUEST: RequestId = RequestId::new(1);

/// A node of `a` in a channel of `a` and `b`, and remotes that it holds alive; all but one called
/// `outside` are in the channel.
fn node_and_hands<const N: usize>(names: [(&str, &str); N]) -> (Net, [Hand; N]) {
    let mut net = Net::new();
    net.add("a", "node", |config| config.limits.requests_max = 2);
    net.join(0, "ch", &["a", "b"], 1);
    let hands = names.map(|(org, name)| {
        let hand = net.hand(org, name, 0);
        net.send(hand.conn, frame(&hand.alive(1)));
        net.run_for(Duration::from_millis(10));
        if name != "outside" {
            net.send(hand.conn, frame(&hand.state_info("ch", 1, 1)));
        }
        hand
    });
    net.run_for(Duration::from_millis(100));
    net.inboxes.clear();
    (net, hands)
}

fn private_data() -> Message {
    let payload = PrivatePayload { private_rwset: "secret".into(), ..PrivatePayload::default() };
    let body = PrivateDataMessage { payload: Some(payload) }.encode_to_vec().into();
    Message { channel: ChannelId::from("ch"), kind: MessageKind::PrivateData, body }
}

fn criteria(max_peers: usize, min_ack: usize) -> Criteria {
    let channel = Some(ChannelId::from("ch"));
    Criteria { channel, to: None, max_peers, min_ack, timeout: TIMEOUT }
}

/// Asks the first node to send private data.
fn send(net: &mut Net, request: RequestId, criteria: Criteria) {
    let message = private_data();
    net.command(0, Command::SendByCriteria { request, message, criteria });
    net.run_for(Duration::from_millis(5));
}

fn refusal(net: &mut Net, command: Command) -> CommandError {
    let now = net.now;
    net.peers[0].node.command(now, command).expect_err("it makes no sense")
}

/// Takes the nonces under which a remote was sent private data.
fn nonces(net: &mut Net, hand: &Hand) -> Vec<u64> {
    let data = net.received(hand).into_iter().filter_map(|(envelope, message)| {
        assert!(envelope.signature.is_empty(), "C-29: unsigned");
        matches!(message.content, Some(Content::PrivateData(_))).then_some(message.nonce)
    });
    data.collect()
}

/// Returns how a request ended, if it has.
fn result(net: &Net, wanted: RequestId) -> Option<Result<Acks, TooFewAcks>> {
    let mut results = net.peers[0].notices.iter().filter_map(|(_, notice)| match notice {
        Notice::SendFinished { request, result } if *request == wanted => Some(result.clone()),
        _ => None,
    });
    let first = results.next();
    assert!(results.next().is_none(), "each request is answered once");
    first
}

fn accept(net: &mut Net, peer: usize, kinds: &[MessageKind]) {
    net.command(peer, Command::Accept { kinds: kinds.to_vec() });
}

/// A message of another application that a peer was told of.
type Told = (ConnId, PkiId, u64, Message);

fn told(net: &Net, peer: usize) -> Vec<Told> {
    let notices = net.peers[peer].notices.iter().filter_map(|(_, notice)| match notice {
        Notice::Message { conn, from, nonce, message } => {
            Some((*conn, *from, *nonce, message.clone()))
        }
        _ => None,
    });
    notices.collect()
}

fn acks(net: &mut Net, hand: &Hand) -> Vec<(u64, Acknowledgement)> {
    let acks = net.received(hand).into_iter().filter_map(|(_, message)| {
        let is_bare = message.tag() == wire::Tag::Undefined && message.channel.is_empty();
        match message.content {
            Some(Content::Ack(ack)) if is_bare => Some((message.nonce, ack)),
            _ => None,
        }
    });
    acks.collect()
}

/// N-46, CH-64: each of these sends nothing.
#[test]
fn criteria_that_cannot_be_met_are_refused() {
    let (mut net, [one, _]) = node_and_hands([("a", "one"), ("b", "two")]);
    let channel = ChannelId::from("other");
    let cases = [
        (Criteria { timeout: Duration::ZERO, ..criteria(2, 1) }, CommandError::NoTimeout),
        (
            Criteria { channel: Some(channel.clone()), ..criteria(2, 1) },
            CommandError::NotJoined(channel),
        ),
        (criteria(9, 3), CommandError::TooFewPeers { wanted: 3, known: 2 }),
        (criteria(1, 2), CommandError::TooFewPeers { wanted: 2, known: 1 }),
        (
            Criteria { to: Some(vec![pki("a", "nobody")]), ..criteria(2, 1) },
            CommandError::TooFewPeers { wanted: 1, known: 0 },
        ),
    ];
    for (criteria, error) in cases {
        let (request, message) = (REQUEST, private_data());
        let command = Command::SendByCriteria { request, message, criteria };
        assert_eq!(refusal(&mut net, command), error);
    }
    let message = Message { body: "\u{7f}".into(), ..private_data() };
    let command = Command::SendByCriteria { request: REQUEST, message, criteria: criteria(1, 1) };
    assert_eq!(refusal(&mut net, command), CommandError::NotOfItsKind(MessageKind::PrivateData));
    net.run_for(TIMEOUT);
    assert_eq!((nonces(&mut net, &one), result(&net, REQUEST)), (vec![], None));
}

/// N-46, CH-64: even without a timeout or with a need for acknowledgements.
#[test]
fn sending_to_nobody_succeeds_at_once() {
    let (mut net, [one]) = node_and_hands([("a", "one")]);
    send(&mut net, REQUEST, Criteria { timeout: Duration::ZERO, ..criteria(0, 7) });
    assert_eq!(result(&net, REQUEST), Some(Ok(Acks::default())));
    assert!(nonces(&mut net, &one).is_empty());
}

/// N-47, C-29: at most so many, in the channel and eligible, and all with one nonce.
#[test]
fn a_message_goes_to_as_many_of_the_eligible_as_may_get_it() {
    let names = [("a", "one"), ("a", "two"), ("b", "three"), ("a", "outside")];
    let (mut net, hands) = node_and_hands(names);
    let mut drawn = BTreeSet::new();
    for (max, eligible) in [(1, 3), (2, 3), (9, 3), (9, 2)] {
        let to = hands[..eligible].iter().map(|hand| hand.pki_id).collect();
        let request = RequestId::new(drawn.len() as u64);
        send(&mut net, request, Criteria { to: Some(to), ..criteria(max, 1) });
        let mut sent = Vec::new();
        for hand in &hands {
            for nonce in nonces(&mut net, hand) {
                sent.push((hand.clone(), nonce));
            }
        }
        let names: BTreeSet<PkiId> = sent.iter().map(|(hand, _)| hand.pki_id).collect();
        assert_eq!((sent.len(), names.len()), (max.min(eligible), max.min(eligible)));
        assert!(!names.contains(&hands[3].pki_id), "it is not in the channel");
        let nonce = sent[0].1;
        assert!(nonce != 0 && sent.iter().all(|(_, other)| *other == nonce));
        assert!(drawn.insert(nonce), "a fresh nonce each time");
        net.send(sent[0].0.conn, wire::ack(nonce, ""));
        net.run_for(Duration::from_millis(5));
        assert!(result(&net, request).is_some_and(|result| result.is_ok()));
    }
}

/// 40-emitter-and-node.md §11.1: without a channel all who are alive may get it.
#[test]
fn without_a_channel_all_who_are_alive_are_eligible() {
    let names = [("a", "one"), ("a", "outside"), ("c", "outside")];
    let (mut net, hands) = node_and_hands(names);
    send(&mut net, REQUEST, Criteria { channel: None, ..criteria(9, 1) });
    assert!(hands.iter().all(|hand| nonces(&mut net, hand).len() == 1));
}

/// C-30, C-31, C-32, CH-64, CH-65, W-31; W-9: an empty acknowledgement is one.
#[test]
fn acknowledgements_are_counted_by_nonce_and_peer() {
    let (mut net, [one, two, bystander]) =
        node_and_hands([("a", "one"), ("b", "two"), ("b", "outside")]);
    accept(&mut net, 0, MessageKind::ALL);
    send(&mut net, REQUEST, criteria(2, 2));
    let nonce = nonces(&mut net, &one)[0];
    let faults: Vec<u64> =
        Fault::ALL.iter().map(|fault| net.peers[0].node.stats().faults(*fault)).collect();
    for (hand, nonce) in [(&bystander, nonce), (&one, nonce ^ 1), (&one, nonce), (&one, nonce)] {
        net.send(hand.conn, wire::ack(nonce, ""));
    }
    net.run_for(Duration::from_millis(5));
    assert_eq!(result(&net, REQUEST), None, "one has acknowledged it");
    net.send(two.conn, wire::ack(nonce, ""));
    net.run_for(Duration::from_millis(5));
    let accepted = vec![one.pki_id, two.pki_id];
    assert_eq!(result(&net, REQUEST), Some(Ok(Acks { accepted, ..Acks::default() })));
    let after: Vec<u64> =
        Fault::ALL.iter().map(|fault| net.peers[0].node.stats().faults(*fault)).collect();
    assert_eq!((faults, told(&net, 0)), (after, vec![]), "nothing of this is seen above");
}

/// C-30, C-31, CH-64.
#[test]
fn a_refusal_with_a_reason_counts_as_a_failure() {
    let (mut net, [one, two]) = node_and_hands([("a", "one"), ("b", "two")]);
    send(&mut net, REQUEST, criteria(2, 1));
    let nonce = nonces(&mut net, &one)[0];
    net.send(one.conn, wire::ack(nonce, "disk full"));
    net.run_for(Duration::from_millis(5));
    assert_eq!(result(&net, REQUEST), None, "the other may still take it");
    net.send(two.conn, wire::ack(nonce, "disk full"));
    net.run_for(Duration::from_millis(5));
    let failure = result(&net, REQUEST).expect("all have answered").expect_err("none took it");
    assert_eq!(failure.acks.refused.len(), 2);
    assert!(failure.to_string().contains("disk full"), "{failure}");
}

/// C-31, C-32.
#[test]
fn a_peer_that_does_not_answer_in_time_counts_as_a_failure() {
    let (mut net, [one]) = node_and_hands([("a", "one")]);
    send(&mut net, REQUEST, criteria(1, 1));
    let nonce = nonces(&mut net, &one)[0];
    net.run_for(TIMEOUT - Duration::from_millis(6));
    assert_eq!(result(&net, REQUEST), None);
    net.run_for(Duration::from_millis(6));
    let acks = Acks { unanswered: vec![one.pki_id], ..Acks::default() };
    assert_eq!(result(&net, REQUEST), Some(Err(TooFewAcks { wanted: 1, acks })));
    net.send(one.conn, wire::ack(nonce, ""));
    net.run_for(SECOND);
    assert!(result(&net, REQUEST).is_some(), "a late one changes nothing");
}

/// Q90-7 is not reproduced.
#[test]
fn nobody_is_waited_for_where_no_acknowledgement_is_needed() {
    let (mut net, [one]) = node_and_hands([("a", "one")]);
    send(&mut net, REQUEST, criteria(1, 0));
    let acks = Acks { unanswered: vec![one.pki_id], ..Acks::default() };
    assert_eq!(result(&net, REQUEST), Some(Ok(acks)));
    assert_eq!(nonces(&mut net, &one).len(), 1);
}

/// Where Fabric waits for the end of the time (C9.4.c).
#[test]
fn a_peer_that_cannot_be_reached_fails_at_once() {
    let (mut net, [one, two]) = node_and_hands([("a", "one"), ("a", "two")]);
    net.close(one.conn, false);
    net.run_for(Duration::from_millis(5));
    send(&mut net, REQUEST, criteria(2, 2));
    let nonce = nonces(&mut net, &two)[0];
    net.send(two.conn, wire::ack(nonce, ""));
    net.run_for(SECOND);
    let failure = result(&net, REQUEST).expect("no need to wait").expect_err("one is too few");
    assert_eq!(failure.acks.accepted, [two.pki_id]);
    let [(peer, reason)] = &failure.acks.refused[..] else { panic!("{failure}") };
    assert!(*peer == one.pki_id && reason.contains("reached"), "{failure}");
}

#[test]
fn only_so_many_requests_wait_and_each_has_a_name_of_its_own() {
    let (mut net, [one]) = node_and_hands([("a", "one")]);
    send(&mut net, REQUEST, criteria(1, 1));
    let again = |request, min_ack| Command::SendByCriteria {
        request,
        message: private_data(),
        criteria: criteria(1, min_ack),
    };
    let in_use = CommandError::RequestInUse(REQUEST);
    assert_eq!(refusal(&mut net, again(REQUEST, 1)), in_use);
    send(&mut net, RequestId::new(2), criteria(1, 1));
    let third = RequestId::new(3);
    let full = CommandError::TooManyRequests { max: 2 };
    assert_eq!(refusal(&mut net, again(third, 1)), full);
    net.command(0, again(third, 0));
    for nonce in nonces(&mut net, &one) {
        net.send(one.conn, wire::ack(nonce, ""));
    }
    net.run_for(SECOND);
    net.command(0, again(RequestId::new(4), 1));
    let finished = |request| result(&net, RequestId::new(request)).is_some();
    assert_eq!([1, 2, 3, 4].map(finished), [true, true, true, false]);
}

/// C9.4: one failed result for each remote.
#[test]
fn a_node_that_stops_gives_its_requests_up() {
    let (mut net, [one]) = node_and_hands([("a", "one")]);
    send(&mut net, REQUEST, criteria(1, 1));
    net.command(0, Command::Stop);
    let failure = result(&net, REQUEST).expect("an answer").expect_err("a failure");
    assert_eq!(failure.acks.unanswered, [one.pki_id]);
}

/// N-9, N-48, W-22, PD-2: a message with any tag is handed to those alone who asked for its kind.
#[test]
fn an_application_hears_of_the_kinds_that_it_takes() {
    let (mut net, [one]) = node_and_hands([("c", "outside")]);
    let sent = private_data();
    let request = Message { kind: MessageKind::PrivateRequest, body: Bytes::new(), ..sent.clone() };
    accept(&mut net, 0, &[MessageKind::PrivateData]);
    net.send(one.conn, wire::carry(&sent, 7));
    net.send(one.conn, wire::carry(&request, 8));
    let data = PrivateDataMessage::decode(sent.body.clone()).expect("private data");
    let channel = Bytes::from_static(b"ch");
    let content = Some(Content::PrivateData(data));
    for tag in [wire::Tag::Undefined, wire::Tag::Empty] {
        let channel = channel.clone();
        let content = content.clone();
        net.send(one.conn, unsigned(GossipMessage { nonce: 7, channel, tag: tag as i32, content }));
    }
    net.run_for(SECOND);
    assert_eq!(told(&net, 0), vec![(one.theirs, one.pki_id, 7, sent.clone()); 3]);
    accept(&mut net, 0, &[]);
    net.send(one.conn, wire::carry(&sent, 9));
    net.run_for(SECOND);
    assert_eq!(told(&net, 0).len(), 3);
    let declined = acks(&mut net, &one);
    assert_eq!(declined.len(), 1, "what is taken is for the application to answer");
    assert!(declined[0].0 == 9 && !declined[0].1.error.is_empty(), "PD-4");
}

/// C-33: even where some wait for jobs, which these do not.
#[test]
fn messages_of_one_connection_are_told_in_order() {
    let (mut net, [one]) = node_and_hands([("a", "one")]);
    accept(&mut net, 0, MessageKind::ALL);
    for nonce in 1..100 {
        net.send(one.conn, frame(&one.state_info("ch", nonce, nonce)));
        let kind = MessageKind::ALL[nonce as usize % 2];
        let body = if nonce % 2 == 0 { private_data().body } else { Bytes::new() };
        net.send(one.conn, wire::carry(&Message { kind, body, ..private_data() }, nonce));
    }
    net.run_for(SECOND);
    let nonces: Vec<u64> = told(&net, 0).iter().map(|(_, _, nonce, _)| *nonce).collect();
    assert_eq!(nonces, (1..100).collect::<Vec<_>>());
}

/// W10.a, S-49.
#[test]
fn private_data_that_says_nothing_is_dropped_without_an_answer() {
    let (mut net, [one]) = node_and_hands([("a", "one")]);
    let hollow = PrivateDataMessage { payload: Some(PrivatePayload::default()) };
    for kinds in [&[MessageKind::PrivateData][..], &[]] {
        accept(&mut net, 0, kinds);
        for body in [Bytes::new(), hollow.encode_to_vec().into()] {
            net.send(one.conn, wire::carry(&Message { body, ..private_data() }, 7));
        }
        net.run_for(SECOND);
    }
    assert_eq!((told(&net, 0), acks(&mut net, &one)), (vec![], vec![]));
    assert_eq!(net.peers[0].node.stats().faults(Fault::Malformed), 4);
    assert!(net.is_open(one.conn));
}

/// W-30, CH-65.
#[test]
fn a_message_is_acknowledged_on_the_connection_that_it_came_on() {
    let (mut net, [one]) = node_and_hands([("a", "one")]);
    let conn = one.theirs;
    for (nonce, error) in [(1, None), (2, Some("disk full")), (3, Some(""))] {
        net.command(0, Command::Acknowledge { conn, nonce, error: error.map(Into::into) });
    }
    let answers = acks(&mut net, &one);
    let errors: Vec<_> = answers.iter().map(|(nonce, ack)| (*nonce, ack.error.as_str())).collect();
    let no_reason = "refused without a reason";
    assert_eq!(errors, [(1, ""), (2, "disk full"), (3, no_reason)]);
    let error = Some("x".repeat(200 << 20));
    let too_large = refusal(&mut net, Command::Acknowledge { conn, nonce: 1, error });
    assert!(matches!(too_large, CommandError::MessageTooLarge { .. }));
    net.close(one.conn, false);
    net.run_for(Duration::from_millis(5));
    let gone = CommandError::NotConnected(conn);
    let acknowledge = Command::Acknowledge { conn, nonce: 1, error: None };
    assert_eq!(refusal(&mut net, acknowledge), gone);
    let respond = Command::Respond { conn, nonce: 1, message: private_data() };
    assert_eq!(refusal(&mut net, respond), gone);
}

/// 40-emitter-and-node.md §11: `Send`.
#[test]
fn a_message_for_named_peers_goes_to_them_unsigned_with_its_nonce() {
    let (mut net, [one, two]) = node_and_hands([("a", "one"), ("c", "outside")]);
    let to = vec![two.pki_id, pki("a", "nobody")];
    let message = private_data();
    net.command(0, Command::Send { message: message.clone(), nonce: 7, to });
    assert_eq!((nonces(&mut net, &one), nonces(&mut net, &two)), (vec![], vec![7]));
    let mut large = message.clone();
    let payload =
        PrivatePayload { private_rwset: vec![0; 101 << 20].into(), ..PrivatePayload::default() };
    large.body = PrivateDataMessage { payload: Some(payload) }.encode_to_vec().into();
    let refused = refusal(&mut net, Command::Send { message: large, nonce: 7, to: Vec::new() });
    assert!(matches!(refused, CommandError::MessageTooLarge { max: 0x640_0000, .. }), "{refused}");
}

/// N-48: what one application sends another is told, acknowledged and counted; W-30, C-30.
#[test]
fn private_data_travels_between_nodes_and_is_acknowledged() {
    let mut net = Net::new();
    for name in ["one", "two", "three"] {
        let peer = net.add("a", name, |config| config.bootstrap = vec![at("a", "one")]);
        net.join(peer, "ch", &["a"], 1);
    }
    net.run_until(60 * SECOND, |net| net.peers.iter().all(|p| p.channel_peers("ch").len() == 2));
    accept(&mut net, 1, &[MessageKind::PrivateData]);
    send(&mut net, REQUEST, criteria(2, 1));
    let [(conn, from, nonce, message)] = &told(&net, 1)[..] else { panic!("two is told once") };
    assert_eq!((*from, message), (pki("a", "one"), &private_data()));
    net.command(1, Command::Acknowledge { conn: *conn, nonce: *nonce, error: None });
    net.run_for(SECOND);
    let acks = result(&net, REQUEST).expect("an answer").expect("one has taken it");
    assert_eq!(acks.accepted, [pki("a", "two")]);
    let [(declined, _)] = &acks.refused[..] else { panic!("three keeps none: {acks:?}") };
    assert_eq!(*declined, pki("a", "three"));
}

/// Envelopes with a signature are taken as well: nobody looks at it.
#[test]
fn a_signature_on_a_message_does_not_matter() {
    let (mut net, [one]) = node_and_hands([("a", "one")]);
    accept(&mut net, 0, MessageKind::ALL);
    let mut envelope = Envelope::decode(wire::carry(&private_data(), 7)).expect("an envelope");
    envelope.signature = "whatever".into();
    net.send(one.conn, frame(&envelope));
    net.run_for(SECOND);
    assert_eq!(told(&net, 0).len(), 1);
}
