//! Who is in a channel and what they have: StateInfo, snapshots, joining and leaving.

use alloc::{collections::BTreeSet, format, vec, vec::Vec};
use core::time::Duration;

use gossip_proto::gossip::{Envelope, GossipMessage, StateInfo, gossip_message::Content};

use crate::{
    Chaincode, ChannelConfig, ChannelId, Command, CommandError, Endpoint, Event, Fault, Notice,
    OrgId, UnixTime, wire,
};

use super::{
    hand::{Hand, frame, snapshot_of},
    net::{Net, START, at, outside, sign},
};

const SECOND: Duration = Duration::from_secs(1);

/// A node of `a` in a channel of `a` and `b`, and a remote of `a` that it holds alive.
fn node_and_hand() -> (Net, Hand) {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    net.join(0, "ch", &["a", "b"], 1);
    let hand = enter(&mut net, "a", "hand");
    net.run_for(5 * SECOND);
    net.received(&hand);
    (net, hand)
}

/// A block may be small enough to be taken and too large to be sent.
#[test]
fn what_is_too_large_to_be_sent_is_taken_and_not_passed_on() {
    let mut net = Net::new();
    net.add("a", "node", |config| config.limits.sent_frame_bytes_max = 2000);
    net.join(0, "ch", &["a", "b"], 1);
    let [source, other] = ["source", "other"].map(|name| enter(&mut net, "a", name));
    net.send(other.conn, frame(&other.state_info("ch", 1, 1)));
    net.run_for(5 * SECOND);
    net.received(&other);
    let large = format!("honest{}", "x".repeat(3000));
    for (number, body) in [(1, &*large), (2, "honest")] {
        let block = super::net::block("ch", number, body);
        net.send(source.conn, wire::block(&ChannelId::from("ch"), number, block));
    }
    net.run_for(SECOND);
    assert_eq!(net.peers[0].blocks(), [1, 2]);
    let passed_on = net.contents(&other).into_iter().filter_map(|content| match content {
        Content::DataMsg(data) => Some(data.payload.expect("a payload").seq_num),
        _ => None,
    });
    assert_eq!(passed_on.collect::<Vec<_>>(), [2]);
}

/// Connects a remote that the node then holds alive.
fn enter(net: &mut Net, org: &str, name: &str) -> Hand {
    let hand = net.hand(org, name, 0);
    net.send(hand.conn, frame(&hand.alive(1)));
    net.run_for(Duration::from_millis(10));
    hand
}

/// Takes the node's own StateInfo messages that a remote was sent.
fn infos(net: &mut Net, hand: &Hand) -> Vec<(Envelope, GossipMessage, StateInfo)> {
    let own = net.peers[0].config.pki_id.to_wire();
    let messages = net.received(hand).into_iter().filter_map(|(envelope, message)| {
        let Some(Content::StateInfo(info)) = message.content.clone() else { return None };
        (info.pki_id == own).then_some((envelope, message, info))
    });
    messages.collect()
}

fn set_height(net: &mut Net, height: u64) {
    net.command(0, Command::SetLedgerHeight { channel: ChannelId::from("ch"), height });
}

/// Keeps a remote alive for a while; returns what heights the node has told of.
fn heights(net: &mut Net, hand: &Hand, seconds: u64) -> Vec<u64> {
    let mut heights = Vec::new();
    for _ in 0..seconds {
        net.run_for(SECOND);
        let sequence = net.now.as_nanos();
        net.send(hand.conn, frame(&hand.alive(sequence)));
        let infos = infos(net, hand).into_iter();
        heights.extend(infos.map(|(_, _, info)| info.properties.unwrap_or_default().ledger_height));
    }
    heights
}

/// The driver keeps the incarnation above those of earlier runs; a clock that went back does not
/// make what we say of a channel older than what we said then.
#[test]
fn what_is_said_of_a_channel_is_never_older_than_the_start() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    net.handle(0, Event::WallClock(UnixTime::from_secs(1_600_000_000)));
    net.join(0, "ch", &["a", "b"], 1);
    let hand = enter(&mut net, "a", "hand");
    set_height(&mut net, 7);
    net.run_for(5 * SECOND);
    let times = infos(&mut net, &hand).into_iter().filter_map(|(_, _, info)| info.timestamp);
    let times: Vec<_> = times.collect();
    assert!(!times.is_empty());
    assert!(times.iter().all(|time| time.inc_num >= START.as_nanos()), "{times:?}");
    assert!(times.iter().all(|time| time.seq_num >= START.as_nanos()), "{times:?}");
}

/// CH-22, CH-27, N-49.
#[test]
fn a_change_is_published_once() {
    let (mut net, hand) = node_and_hand();
    set_height(&mut net, 7);
    assert_eq!(heights(&mut net, &hand, 5), [7]);
    assert!(heights(&mut net, &hand, 60).is_empty(), "no change, no push");
    set_height(&mut net, 7);
    assert!(heights(&mut net, &hand, 10).is_empty(), "the same height is no change");
    for height in 8..12 {
        set_height(&mut net, height);
    }
    assert_eq!(*heights(&mut net, &hand, 5).last().expect("a push"), 11);
}

/// CH-22: changes in quick succession share a push.
#[test]
fn many_changes_within_an_interval_are_published_together() {
    let (mut net, hand) = node_and_hand();
    for height in 2..402 {
        set_height(&mut net, height);
        net.run_for(Duration::from_millis(10));
    }
    let told = heights(&mut net, &hand, 5);
    assert!(told.len() <= 3 && told.last() == Some(&401), "{told:?}");
}

/// A ledger never shrinks: an old height that comes late is not told of.
#[test]
fn the_height_never_falls() {
    let (mut net, hand) = node_and_hand();
    set_height(&mut net, 7);
    net.run_for(5 * SECOND);
    set_height(&mut net, 6);
    assert_eq!(net.peers[0].node.ledger_height(&ChannelId::from("ch")), Some(7));
    assert_eq!(*heights(&mut net, &hand, 5).last().unwrap_or(&7), 7);
}

/// CH-21, CH-23.
#[test]
fn nothing_is_published_without_a_height_or_without_company() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    let orgs = vec![(OrgId::from("a"), vec![])];
    let (channel, config) = (ChannelId::from("ch"), ChannelConfig { sequence: 0, orgs });
    net.command(0, Command::JoinChannel { channel: channel.clone(), config, height: None });
    assert_eq!(net.peers[0].node.ledger_height(&channel), Some(1));
    net.run_for(60 * SECOND);
    let signs = net.peers[0].node.stats().signs;
    let hand = enter(&mut net, "a", "hand");
    assert!(heights(&mut net, &hand, 10).is_empty());
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    net.join(0, "ch", &["a"], 5);
    net.run_for(60 * SECOND);
    assert_eq!(net.peers[0].node.stats().signs, signs, "nobody is there to be told");
    let hand = enter(&mut net, "a", "hand");
    assert_eq!(heights(&mut net, &hand, 10), [5]);
}

/// CH-24, N-49.
#[test]
fn chaincodes_are_published_at_once_even_alone() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    net.join(0, "ch", &["a"], 5);
    let signs = net.peers[0].node.stats().signs;
    let chaincodes = vec![Chaincode { name: "cc".into(), version: "1".into() }];
    net.command(0, Command::SetChaincodes { channel: ChannelId::from("ch"), chaincodes });
    assert_eq!(net.peers[0].node.stats().signs, signs + 1);
    let hand = enter(&mut net, "a", "hand");
    net.send(hand.conn, hand.state_info_request("ch"));
    net.run_for(SECOND);
    let snapshot = snapshot(&mut net, &hand).expect("an answer");
    assert_eq!(snapshot.len(), 1);
    let info = wire::StateInfo::parse_nested(snapshot[0].clone(), 10_000).expect("a StateInfo");
    assert_eq!((info.height, info.chaincodes[0].name.as_str()), (5, "cc"), "the height is kept");
}

/// CH-25, CH-9, W-26, W-28.
#[test]
fn our_state_info_has_the_form_of_fabrics() {
    let (mut net, hand) = node_and_hand();
    set_height(&mut net, 7);
    net.run_for(5 * SECOND);
    let (envelope, message, info) = infos(&mut net, &hand).pop().expect("a push");
    let config = &net.peers[0].config;
    assert_eq!((message.tag, message.nonce), (wire::Tag::ChanOrOrg as i32, 0));
    assert!(message.channel.is_empty(), "outsiders must not learn its name");
    assert_eq!(info.channel_mac[..], wire::channel_mac(&config.pki_id, &ChannelId::from("ch")));
    let time = info.timestamp.expect("a time");
    assert_eq!(time.inc_num, START.as_nanos() + 1_000);
    assert!(time.seq_num > time.inc_num);
    assert_eq!(envelope.signature, sign(&config.identity, &envelope.payload));
}

/// CH-26, Q60-3.
#[test]
fn a_clock_that_steps_back_does_not_make_news_old() {
    let (mut net, hand) = node_and_hand();
    let mut last = 0;
    for height in 2..6 {
        set_height(&mut net, height);
        net.run_for(5 * SECOND);
        let (_, _, info) = infos(&mut net, &hand).pop().expect("a push");
        let sequence = info.timestamp.expect("a time").seq_num;
        assert!(sequence > last);
        last = sequence;
        net.handle(0, crate::Event::WallClock(UnixTime::from_secs(1)));
    }
}

/// CH-28.
#[test]
fn newer_replaces_older_and_older_does_nothing() {
    let (mut net, hand) = node_and_hand();
    for (sequence, height) in [(5, 50), (4, 40), (5, 51), (6, 30)] {
        net.send(hand.conn, frame(&hand.state_info("ch", sequence, height)));
        net.run_for(Duration::from_millis(10));
    }
    let told: Vec<_> = net.peers[0]
        .notices
        .iter()
        .filter_map(|(_, notice)| match notice {
            Notice::ChannelPeer { height, .. } => Some(*height),
            _ => None,
        })
        .collect();
    assert_eq!(told, [50, 30]);
    let peers = net.peers[0].node.channel_peers(&ChannelId::from("ch")).expect("joined");
    assert_eq!(peers[0].ledger_height, 30);
}

/// CH-29, CH-30.
#[test]
fn an_author_must_be_of_the_channel_and_a_reader() {
    let (mut net, hand) = node_and_hand();
    let third = enter(&mut net, "c", "third");
    net.send(hand.conn, frame(&third.state_info("ch", 1, 1)));
    net.run_for(Duration::from_millis(10));
    assert_eq!(net.peers[0].node.stats().faults(Fault::WrongOrg), 1);
    net.peers[0].backend.no_readers.insert(hand.identity.as_bytes().clone());
    net.send(hand.conn, frame(&hand.state_info("ch", 1, 1)));
    net.run_for(Duration::from_millis(10));
    assert_eq!(net.peers[0].node.stats().faults(Fault::BadSignature), 1);
    assert!(net.peers[0].channel_peers("ch").is_empty());
}

/// CH-31, P-60: the dead stay, the forgotten go.
#[test]
fn a_state_info_lives_as_long_as_its_author_is_known() {
    let (mut net, hand) = node_and_hand();
    net.send(hand.conn, frame(&hand.state_info("ch", 1, 9)));
    net.run_for(60 * SECOND);
    assert!(net.peers[0].members().is_empty(), "it is dead");
    assert!(net.peers[0].channel_peers("ch").is_empty(), "N-52");
    let other = net.hand("a", "other", 0);
    let has_it = |net: &mut Net| {
        net.send(other.conn, other.state_info_request("ch"));
        net.run_for(Duration::from_millis(10));
        let snapshot = snapshot(net, &other).expect("an answer");
        snapshot.iter().any(|envelope| *envelope == hand.state_info("ch", 1, 9))
    };
    assert!(has_it(&mut net));
    net.run_for(530 * SECOND);
    assert!(!has_it(&mut net));
}

/// Takes the last snapshot that a remote was sent.
fn snapshot(net: &mut Net, hand: &Hand) -> Option<Vec<Envelope>> {
    let snapshot = |content| match content {
        Content::StateSnapshot(snapshot) => Some(snapshot.elements),
        _ => None,
    };
    net.contents(hand).into_iter().filter_map(snapshot).last()
}

/// CH-32, as far as it is followed: while nothing is missed, one is asked ever less often.
#[test]
fn members_of_the_channel_are_asked_for_what_they_know() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    net.join(0, "ch", &["a", "b"], 1);
    let mut hands: Vec<_> = [("a", "1"), ("a", "2"), ("b", "3"), ("b", "4"), ("c", "5")]
        .map(|(org, name)| enter(&mut net, org, name))
        .into();
    for hand in &hands[..4] {
        net.send(hand.conn, frame(&hand.state_info("ch", 1, 1)));
    }
    net.run_for(SECOND);
    let asked = requests(&mut net, &hands, 1, 20);
    assert_eq!(asked[4], 0, "not of the channel");
    let sum: usize = asked.iter().sum();
    assert!((4..=5).contains(&sum), "one each 4 s beside peers that follow no trees: {asked:?}");
    hands.iter_mut().for_each(|hand| hand.extensions = wire::extension::BLOCK_TREE);
    requests(&mut net, &hands, 21, 30);
    let sum: usize = requests(&mut net, &hands, 51, 100).iter().sum();
    assert!((3..=4).contains(&sum), "one each 32 s else: {sum}");
}

#[test]
fn what_others_said_is_asked_for_at_the_interval_while_the_answers_are_news() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    net.join(0, "ch", &["a"], 1);
    let mut hands: Vec<_> = ["1", "2"].map(|name| enter(&mut net, "a", name)).into();
    for hand in &mut hands {
        hand.extensions = wire::extension::BLOCK_TREE;
        net.send(hand.conn, frame(&hand.state_info("ch", 1, 1)));
    }
    net.run_for(SECOND);
    requests(&mut net, &hands, 1, 100);
    let mut asked = 0;
    for version in 2..12 {
        let news = hands[1].state_info("ch", version, 1);
        net.send(hands[0].conn, snapshot_of("ch", &[news]));
        asked += requests(&mut net, &hands, 100 + 4 * version, 4).iter().sum::<usize>();
    }
    assert!((8..=10).contains(&asked), "each 4 s: {asked}");
}

/// Counts how often each of some remotes is asked for StateInfo in some seconds, while all are
/// alive.
fn requests(net: &mut Net, hands: &[Hand], version: u64, seconds: u64) -> Vec<usize> {
    net.inboxes.clear();
    let mac = wire::channel_mac(&net.peers[0].config.pki_id, &ChannelId::from("ch"));
    let mut asked = vec![0; hands.len()];
    for second in 0..seconds {
        for hand in hands {
            net.send(hand.conn, frame(&hand.alive_with_identity(version + second)));
        }
        net.run_for(SECOND);
        for (count, hand) in asked.iter_mut().zip(hands) {
            for (_, message) in net.received(hand) {
                if let Some(Content::StateInfoPullReq(request)) = message.content {
                    assert_eq!(request.channel_mac[..], mac);
                    assert!(message.channel.is_empty() && message.nonce == 0);
                    *count += 1;
                }
            }
        }
    }
    asked
}

/// CH-32: also while others come all the time.
#[test]
fn a_stream_of_newcomers_does_not_put_off_what_the_first_are_asked() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    net.join(0, "ch", &["a"], 1);
    let first = enter(&mut net, "a", "first");
    for number in 0..20 {
        enter(&mut net, "a", &format!("n{number}"));
        net.run_for(Duration::from_millis(40));
    }
    let is_request = |content: &Content| matches!(content, Content::StateInfoPullReq(_));
    assert!(net.contents(&first).iter().any(is_request));
}

/// CH-33, CH-34, CH-35, CH-36.
#[test]
fn a_snapshot_tells_the_asker_what_it_may_know() {
    let (mut net, hand) = node_and_hand();
    let foreign = enter(&mut net, "b", "foreign");
    let third = enter(&mut net, "c", "third");
    let private = net.hand("a", "private", 0);
    net.send(private.conn, frame(&private.seal(private.alive_payload(1, None, None))));
    net.run_for(Duration::from_millis(10));
    let ask = |net: &mut Net, asker: &Hand| {
        net.send(asker.conn, asker.state_info_request("ch"));
        net.run_for(Duration::from_millis(10));
        let elements = snapshot(net, asker)?;
        let author = |envelope: &Envelope| {
            wire::StateInfo::parse_nested(envelope.clone(), 10_000).expect("a StateInfo").pki_id
        };
        Some(elements.iter().map(author).collect::<BTreeSet<_>>())
    };
    let own = net.peers[0].config.pki_id;
    for hand in [&hand, &foreign, &private] {
        net.send(hand.conn, frame(&hand.state_info("ch", 1, 1)));
    }
    net.run_for(5 * SECOND);
    let all = BTreeSet::from([own, hand.pki_id, foreign.pki_id, private.pki_id]);
    assert_eq!(ask(&mut net, &hand), Some(all.clone()));
    let public = BTreeSet::from([own, hand.pki_id, foreign.pki_id]);
    assert_eq!(ask(&mut net, &foreign), Some(public));
    assert_eq!(ask(&mut net, &third), None, "not of the channel");
    let orgs = vec![(OrgId::from("a"), vec![])];
    let (channel, config) = (ChannelId::from("empty"), ChannelConfig { sequence: 0, orgs });
    net.command(0, Command::JoinChannel { channel, config, height: None });
    net.send(hand.conn, hand.state_info_request("empty"));
    net.run_for(Duration::from_millis(10));
    assert_eq!(snapshot(&mut net, &hand), Some(vec![]), "CH-35");
}

/// CH-37, CH-38.
#[test]
fn a_bad_element_ends_a_snapshot_and_an_unknown_author_does_not() {
    let (mut net, hand) = node_and_hand();
    let others: Vec<_> = (0..3).map(|n| enter(&mut net, "a", &format!("other{n}"))).collect();
    net.run_for(Duration::from_millis(100));
    net.inboxes.clear();
    let elements = vec![
        others[0].state_info("ch", 1, 1),
        Hand::named("a", "unknown").state_info("ch", 1, 1),
        others[1].state_info("ch", 1, 1),
        others[2].alive(7),
        others[2].state_info("ch", 1, 1),
    ];
    net.send(hand.conn, snapshot_of("ch", &elements));
    net.run_for(Duration::from_millis(100));
    let known = BTreeSet::from([others[0].pki_id, others[1].pki_id]);
    assert_eq!(net.peers[0].channel_peers("ch"), known);
    for other in &others {
        let pushed = |content: &Content| matches!(content, Content::StateInfo(_));
        assert!(!net.contents(other).iter().any(pushed), "elements are not passed on");
    }
}

/// CH-39: who sends matters, not only who is spoken of.
#[test]
fn a_sender_that_is_not_of_the_channel_is_not_listened_to() {
    let (mut net, hand) = node_and_hand();
    let third = enter(&mut net, "c", "third");
    let faults = |net: &Net| net.peers[0].node.stats().faults(Fault::WrongOrg);
    net.send(third.conn, frame(&hand.state_info("ch", 1, 1)));
    let elements = vec![hand.state_info("ch", 1, 1)];
    net.send(third.conn, snapshot_of("ch", &elements));
    let block = super::net::block("ch", 1, "honest");
    net.send(third.conn, wire::block(&ChannelId::from("ch"), 1, block));
    net.run_for(Duration::from_millis(10));
    assert_eq!(faults(&net), 3);
    assert!(net.peers[0].channel_peers("ch").is_empty() && net.peers[0].blocks().is_empty());
}

/// Q60-5: a block from a foreign peer of the channel is as good as any.
#[test]
fn a_block_from_another_organisation_of_the_channel_is_taken() {
    let (mut net, _) = node_and_hand();
    let foreign = enter(&mut net, "b", "foreign");
    let block = super::net::block("ch", 1, "honest");
    net.send(foreign.conn, wire::block(&ChannelId::from("ch"), 1, block));
    net.run_for(Duration::from_millis(10));
    assert_eq!(net.peers[0].blocks(), [1]);
}

/// CH-12, CH-13, CH-14, N-42.
#[test]
fn a_configuration_that_is_empty_or_old_changes_nothing() {
    let (mut net, hand) = node_and_hand();
    let foreign = enter(&mut net, "b", "foreign");
    for hand in [&hand, &foreign] {
        net.send(hand.conn, frame(&hand.state_info("ch", 1, 1)));
    }
    net.run_for(Duration::from_millis(10));
    let configure = |net: &mut Net, sequence, orgs: &[&str]| {
        let orgs = orgs.iter().map(|org| (OrgId::from(*org), vec![])).collect();
        let config = ChannelConfig { sequence, orgs };
        let channel = ChannelId::from("ch");
        net.command(0, Command::JoinChannel { channel, config, height: None });
        net.peers[0].channel_peers("ch").len()
    };
    assert_eq!(configure(&mut net, 9, &[]), 2);
    assert_eq!(configure(&mut net, 0, &["a"]), 2);
    assert_eq!(configure(&mut net, 1, &["a"]), 1, "an equal sequence is applied");
    net.send(foreign.conn, foreign.state_info_request("ch"));
    net.run_for(Duration::from_millis(10));
    assert_eq!(snapshot(&mut net, &foreign), None);
}

/// CH-20.
#[test]
fn a_channel_without_our_organisation_is_not_joined() {
    let (mut net, _) = node_and_hand();
    let channel = ChannelId::from("other");
    let config = ChannelConfig { sequence: 0, orgs: vec![(OrgId::from("b"), vec![])] };
    let join = Command::JoinChannel { channel: channel.clone(), config, height: None };
    let now = net.now;
    let node = &mut net.peers[0].node;
    assert_eq!(node.command(now, join), Err(CommandError::NotAMember(channel.clone())));
    assert_eq!(node.channel_peers(&channel), None);
}

/// CH-16, CH-17, CH-18, N-41.
#[test]
fn anchors_that_cannot_be_dialled_or_are_us_are_skipped() {
    let dials = |external: Option<Endpoint>| {
        let mut net = Net::new();
        net.add("a", "node", |config| config.external_endpoint = external);
        let ours = [":7051", "host:0", "host", "ours:1"].map(Endpoint::from).to_vec();
        let ours = [ours, vec![at("a", "node"), outside("a", "node")]].concat();
        let orgs =
            vec![(OrgId::from("a"), ours), (OrgId::from("b"), vec![Endpoint::from("theirs:1")])];
        let config = ChannelConfig { sequence: 0, orgs };
        let channel = ChannelId::from("ch");
        net.command(0, Command::JoinChannel { channel, config, height: None });
        net.peers[0].dials.iter().map(|(_, to, _)| to.clone()).collect::<BTreeSet<_>>()
    };
    let all = |names: [&str; 2]| names.map(Endpoint::from).into();
    assert_eq!(dials(Some(outside("a", "node"))), all(["ours:1", "theirs:1"]));
    // Without an external endpoint of ours that is anybody's.
    assert_eq!(dials(None), all(["node.a.example.com:443", "ours:1"]));
}

/// CH-66, CH-67, N-43, N-52, Q60-8.
#[test]
fn who_leaves_says_so_and_sees_nobody() {
    let (mut net, hand) = node_and_hand();
    assert!(net.peers[0].members().contains(&hand.pki_id));
    assert!(net.peers[0].channel_peers("ch").is_empty(), "it has said nothing yet");
    net.send(hand.conn, frame(&hand.state_info("ch", 1, 1)));
    net.run_for(Duration::from_millis(10));
    assert_eq!(net.peers[0].channel_peers("ch").len(), 1);
    net.send(hand.conn, frame(&hand.state_info_with("ch", 2, 1, true)));
    net.run_for(Duration::from_millis(10));
    assert!(net.peers[0].channel_peers("ch").is_empty(), "it has left");
    net.send(hand.conn, frame(&hand.state_info("ch", 3, 1)));
    net.run_for(5 * SECOND);
    net.received(&hand);
    net.command(0, Command::LeaveChannel { channel: ChannelId::from("ch") });
    assert!(net.peers[0].channel_peers("ch").is_empty(), "we have");
    net.run_for(5 * SECOND);
    let left = |net: &mut Net| {
        let (_, _, info) = infos(net, &hand).pop().expect("a push");
        info.properties.expect("properties").left_channel
    };
    assert!(left(&mut net));
    net.send(hand.conn, hand.state_info_request("ch"));
    net.run_for(Duration::from_millis(10));
    assert!(snapshot(&mut net, &hand).is_some(), "it is still answered");
    net.join(0, "ch", &["a", "b"], 1);
    net.run_for(5 * SECOND);
    assert!(!left(&mut net), "back again");
    let unknown = ChannelId::from("other");
    let now = net.now;
    let leave = Command::LeaveChannel { channel: unknown.clone() };
    assert_eq!(net.peers[0].node.command(now, leave), Err(CommandError::NotJoined(unknown)));
}

#[test]
fn no_more_channels_are_joined_than_the_limit_allows() {
    let mut net = Net::new();
    net.add("a", "node", |config| config.limits.channels_max = 2);
    net.join(0, "one", &["a"], 1);
    net.join(0, "two", &["a"], 1);
    net.join(0, "two", &["a"], 1);
    let orgs = vec![(OrgId::from("a"), vec![])];
    let config = ChannelConfig { sequence: 0, orgs };
    let channel = ChannelId::from("three");
    let join = Command::JoinChannel { channel, config, height: None };
    let now = net.now;
    assert_eq!(net.peers[0].node.command(now, join), Err(CommandError::TooManyChannels));
}
