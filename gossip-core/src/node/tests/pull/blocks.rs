//! Blocks of a channel.

use alloc::{string::ToString as _, vec};
use core::time::Duration;

use crate::{
    ChannelId, Command, Fault, Notice,
    node::tests::{
        hand::frame,
        membership::{is_channel_full, network},
        net::{at, block},
    },
    wire,
};

use super::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A node in a channel with this height, and a remote of its organisation that is in it too, alive
/// and with as many blocks.
fn node_and_hand(height: u64) -> (Net, Hand) {
    let mut net = Net::new();
    let node = net.add("a", "node", |_| {});
    net.join(node, "ch", &["a", "b"], height);
    let hand = join(&mut net, "a", "hand", height);
    (net, hand)
}

/// Connects a remote that is alive and in the channel.
fn join(net: &mut Net, org: &str, name: &str, height: u64) -> Hand {
    let hand = net.hand(org, name, 0);
    net.send(hand.conn, frame(&hand.alive_with_identity(1)));
    net.round_trip();
    net.send(hand.conn, frame(&hand.state_info("ch", 1, height)));
    net.round_trip();
    net.contents(&hand);
    hand
}

fn item(number: u64) -> Envelope {
    item_of("ch", number, "honest")
}

fn item_of(channel: &str, number: u64, body: &str) -> Envelope {
    let frame = wire::block(&ChannelId::from(channel), number, block("ch", number, body));
    prost::Message::decode(frame).unwrap()
}

fn ids(numbers: impl IntoIterator<Item = u64>) -> Vec<Bytes> {
    numbers.into_iter().map(|number| number.to_string().into()).collect()
}

fn received(net: &Net) -> Vec<u64> {
    let number = |notice: &Notice| match notice {
        Notice::BlockReceived { number, .. } => Some(*number),
        _ => None,
    };
    net.peers[0].notices.iter().filter_map(|(_, notice)| number(notice)).collect()
}

fn gossip(net: &mut Net, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        net.gossip_block(0, "ch", number);
    }
    net.run_for(100 * MS);
}

/// Makes a node ask a remote for blocks: the remote has more than it.
fn provoke(net: &mut Net, hand: &Hand, height: u64) -> u64 {
    net.contents(hand);
    net.send(hand.conn, frame(&hand.state_info("ch", height, height)));
    net.run_for(100 * MS);
    net.asked(hand, What::Blocks).expect("a hello")
}

/// P-21, P-23, P-32, P-33; CH-46, P-55: the window is served, and what left it is not.
#[test]
fn the_last_eleven_blocks_are_served_as_they_came() {
    let (mut net, hand) = node_and_hand(1);
    gossip(&mut net, 1..=5);
    assert_eq!(net.ask(&hand, What::Blocks), Some(ids(1..=5)));
    gossip(&mut net, 6..=20);
    assert_eq!(net.ask(&hand, What::Blocks), Some(ids(10..=20)));
    let items = net.fetch(&hand, What::Blocks, &ids([9, 10, 20]));
    assert_eq!(items, Some(vec![item(10), item(20)]));
    let odd = [id("010"), id("+10"), id(""), id("x"), id("18446744073709551616")];
    assert_eq!(net.fetch(&hand, What::Blocks, &odd), None, "an id is its bytes");
}

/// P-30, P-36: a block that expires is served no more.
#[test]
fn a_block_is_served_for_400_seconds() {
    let (mut net, hand) = node_and_hand(1);
    gossip(&mut net, [1]);
    net.run_for(399 * SECOND);
    let hand = match net.is_open(hand.conn) {
        true => hand,
        false => join(&mut net, "a", "hand", 1),
    };
    assert_eq!(net.fetch(&hand, What::Blocks, &ids([1])), Some(vec![item(1)]));
    assert_eq!(net.ask(&hand, What::Blocks), Some(ids([1])));
    net.run_for(SECOND);
    let (digests, msg_type) = (ids([1]), What::Blocks.msg_type());
    net.say(&hand, What::Blocks, Content::DataReq(DataRequest { nonce: 7, digests, msg_type }));
    let is_update = |content: &Content| matches!(content, Content::DataUpdate(_));
    assert!(!net.contents(&hand).iter().any(is_update), "P-30: gone since the digest");
    assert_eq!(net.ask(&hand, What::Blocks), None);
    assert_eq!(net.fetch(&hand, What::Blocks, &ids([1])), None);
}

/// N-44: blocks are not signed, and kept to be pulled; all other news is signed.
#[test]
fn of_what_is_spread_blocks_alone_are_unsigned_and_can_be_pulled() {
    let (mut net, hand) = node_and_hand(1);
    net.run_for(SECOND);
    net.contents(&hand);
    gossip(&mut net, [1]);
    net.command(0, Command::SetLedgerHeight { channel: ChannelId::from("ch"), height: 2 });
    net.send(hand.conn, frame(&hand.alive(2)));
    net.run_for(10 * SECOND);
    let (mut blocks, mut alive, mut infos) = (0, 0, 0);
    for (envelope, message) in net.received(&hand) {
        let kind = match message.content {
            Some(Content::DataMsg(_)) => &mut blocks,
            Some(Content::AliveMsg(_)) => &mut alive,
            Some(Content::StateInfo(_)) => &mut infos,
            _ => continue,
        };
        *kind += 1;
        let is_block = envelope == item(1);
        assert_eq!(envelope.signature.is_empty(), is_block, "{envelope:?}");
    }
    assert!(blocks == 1 && alive > 0 && infos > 0, "{blocks} {alive} {infos}");
    assert_eq!(net.fetch(&hand, What::Blocks, &ids([1])), Some(vec![item(1)]));
}

/// CH-52, CH-53, CH-54.
#[test]
fn blocks_are_shown_to_members_of_the_own_organisation_that_said_so() {
    let (mut net, _) = node_and_hand(1);
    gossip(&mut net, [1]);
    let foreign = join(&mut net, "b", "foreign", 1);
    assert_eq!(net.ask(&foreign, What::Blocks), None, "CH-52");
    let stranger = net.hand("c", "stranger", 0);
    assert_eq!(net.ask(&stranger, What::Blocks), None, "not in the channel");
    let ours = net.hand("a", "ours", 0);
    assert_eq!(net.ask(&ours, What::Blocks), None, "CH-53");
    net.send(ours.conn, frame(&ours.state_info("ch", 1, 1)));
    net.round_trip();
    assert_eq!(net.ask(&ours, What::Blocks), Some(ids([1])), "CH-54");
}

/// CH-55, N-43.
#[test]
fn after_leaving_nobody_is_asked_or_answered() {
    let (mut net, hand) = node_and_hand(1);
    gossip(&mut net, [1]);
    net.run_for(10 * SECOND);
    net.send(hand.conn, frame(&hand.alive_with_identity(2)));
    assert!(net.asked(&hand, What::Blocks).is_some(), "at the interval");
    net.command(0, Command::LeaveChannel { channel: ChannelId::from("ch") });
    net.round_trip();
    assert_eq!(net.ask(&hand, What::Blocks), None);
    net.send(hand.conn, frame(&hand.state_info("ch", 9, 9)));
    net.run_for(10 * SECOND);
    assert_eq!(net.asked(&hand, What::Blocks), None);
}

/// P-39, P-40, P-41.
#[test]
fn of_a_digest_the_numbers_that_the_ledger_lacks_are_asked_for() {
    let (mut net, hand) = node_and_hand(5);
    let nonce = provoke(&mut net, &hand, 9);
    let mut offer: Vec<_> =
        ["x", "", "-1", "+6", "1_0", "18446744073709551616", " 7", "6 "].map(id).to_vec();
    offer.extend(ids([0, 4, 5, 8, u64::MAX]));
    let mut wanted = net.offer(&hand, What::Blocks, nonce, &offer).expect("a request");
    wanted.sort_unstable_by_key(|id| id.len());
    assert_eq!(wanted, ids([5, 8, u64::MAX]));

    let (mut net, hand) = {
        let mut net = Net::new();
        let node = net.add("a", "node", |_| {});
        net.join(node, "ch", &["a"], 1);
        let hand = join(&mut net, "a", "hand", 1);
        (net, hand)
    };
    let nonce = provoke(&mut net, &hand, 2);
    assert_eq!(net.offer(&hand, What::Blocks, nonce, &ids([0, 1])), Some(ids([1])), "P-41");
}

/// Where Fabric waits for the next round: the digest and the request follow within 60 ms.
#[test]
fn a_peer_that_says_it_has_more_is_asked_soon() {
    let (mut net, hand) = node_and_hand(1);
    net.send(hand.conn, frame(&hand.state_info("ch", 2, 4)));
    net.run_for(60 * MS);
    let nonce = net.asked(&hand, What::Blocks).expect("a hello");
    assert_eq!(net.offer(&hand, What::Blocks, nonce, &ids([1, 2, 3])), Some(ids([1, 2, 3])));
    net.give(&hand, What::Blocks, nonce, vec![item(3), item(1), item(2)]);
    net.round_trip();
    assert_eq!(net.peers[0].blocks(), [1, 2, 3]);
    assert_eq!(net.peers[0].node.stats().blocks_pulled, 3);
}

/// The same when a later block shows that one was lost.
#[test]
fn who_sent_a_block_too_early_is_asked_for_the_one_before() {
    let (mut net, hand) = node_and_hand(1);
    net.send(hand.conn, frame(&item(2)));
    net.run_for(40 * MS);
    assert_eq!(net.asked(&hand, What::Blocks), None, "it may be on its way");
    net.run_for(20 * MS);
    let nonce = net.asked(&hand, What::Blocks).expect("a hello");
    net.offer(&hand, What::Blocks, nonce, &ids([1, 2])).expect("a request");
    net.give(&hand, What::Blocks, nonce, vec![item(1)]);
    net.round_trip();
    assert_eq!(net.peers[0].blocks(), [1, 2]);
}

/// Most likely it has that one too.
#[test]
fn of_many_peers_the_sender_of_the_later_block_is_asked_first() {
    for sender in 0..5 {
        let (mut net, _) = node_and_hand(1);
        let names = ["p0", "p1", "p2", "p3", "p4"];
        let hands = names.map(|name| join(&mut net, "a", name, 1));
        net.send(hands[sender].conn, frame(&item(2)));
        net.run_for(60 * MS);
        assert!(net.asked(&hands[sender], What::Blocks).is_some(), "{sender}");
    }
}

/// A ledger may be slower than the network: then what lacks shows only when it has caught up.
#[test]
fn what_lacks_behind_a_block_under_way_into_the_ledger_is_asked_for_afterwards() {
    use crate::{JobKind, node::tests::net::Fate};
    let (mut net, hand) = node_and_hand(1);
    net.peers[0].jobs = |job| match job {
        JobKind::Commit { .. } => Fate::Held,
        _ => Fate::Answered,
    };
    net.send(hand.conn, frame(&item(1)));
    net.send(hand.conn, frame(&item(3)));
    net.run_for(SECOND);
    assert_eq!(net.asked(&hand, What::Blocks), None, "block 2 is not yet due");
    net.answer_held(0);
    net.run_for(60 * MS);
    assert!(net.asked(&hand, What::Blocks).is_some());
}

/// Those that are too far ahead serve it no more: that is for state transfer.
#[test]
fn a_peer_that_is_far_ahead_is_not_asked_in_a_hurry() {
    let (mut net, hand) = node_and_hand(1);
    net.send(hand.conn, frame(&hand.state_info("ch", 2, 13)));
    net.run_for(SECOND);
    assert_eq!(net.asked(&hand, What::Blocks), None);
    net.send(hand.conn, frame(&hand.state_info("ch", 3, 12)));
    net.run_for(SECOND);
    assert!(net.asked(&hand, What::Blocks).is_some());
}

/// While nobody can help, it is asked ever more rarely.
#[test]
fn a_block_that_nobody_has_is_asked_for_with_growing_pauses() {
    let (mut net, hand) = node_and_hand(1);
    for name in ["p0", "p1", "p2", "p3", "p4", "p5"] {
        join(&mut net, "a", name, 1);
    }
    net.send(hand.conn, frame(&item(2)));
    let rounds = |net: &Net| net.peers[0].node.stats().pull_rounds;
    let before = rounds(&net);
    net.run_for(SECOND);
    // Two peers after 50, 150, 350 and 750 ms.
    assert!(rounds(&net) - before <= 8, "{}", rounds(&net) - before);
    net.run_for(9 * SECOND);
    // Of these four are the periodic ones, of blocks and of identities.
    assert!(rounds(&net) - before <= 20, "{}", rounds(&net) - before);
}

/// When the block comes in the usual way, nobody is asked.
#[test]
fn a_block_that_was_just_on_its_way_is_not_asked_for() {
    let (mut net, hand) = node_and_hand(1);
    net.send(hand.conn, frame(&item(2)));
    net.run_for(20 * MS);
    net.send(hand.conn, frame(&item(1)));
    net.run_for(SECOND);
    assert_eq!(net.asked(&hand, What::Blocks), None);
}

/// CH-57, CH-58.
#[test]
fn of_an_update_the_new_blocks_are_told_of_once_and_not_pushed() {
    let (mut net, hand) = node_and_hand(1);
    let other = join(&mut net, "a", "other", 1);
    net.send(other.conn, frame(&item(1)));
    net.run_for(100 * MS);
    net.contents(&other);
    let nonce = provoke(&mut net, &hand, 4);
    net.offer(&hand, What::Blocks, nonce, &ids([1, 2, 3])).expect("a request");
    net.give(&hand, What::Blocks, nonce, vec![item(1), item(2), item(3), item(2)]);
    net.run_for(100 * MS);
    assert_eq!(received(&net), [1, 2, 3]);
    assert_eq!(net.peers[0].blocks(), [1, 2, 3]);
    let is_block = |content: &Content| matches!(content, Content::DataMsg(_));
    assert!(!net.contents(&other).iter().any(is_block), "not forwarded");
    assert_eq!(net.ask(&other, What::Blocks), Some(ids([1, 2, 3])), "but served");
}

/// CH-56, P-35, P-62.
#[test]
fn an_update_with_something_else_in_it_is_discarded_without_a_check() {
    use gossip_proto::gossip::DataMessage;
    let empty = |channel: &'static str| GossipMessage {
        nonce: 0,
        channel: channel.into(),
        tag: Tag::ChanAndOrg as i32,
        content: Some(Content::DataMsg(DataMessage { payload: None })),
    };
    let envelope = |message| prost::Message::decode(unsigned(message)).unwrap();
    let (mut net, hand) = node_and_hand(1);
    let garbage = Envelope { payload: id("\u{7f}"), ..Envelope::default() };
    let bad = [
        (item_of("other", 2, "honest"), Fault::WrongChannel),
        (envelope(empty("ch")), Fault::Malformed),
        (hand.alive(1), Fault::WrongChannel),
        (garbage, Fault::Undecodable),
    ];
    let nonce = provoke(&mut net, &hand, 9);
    net.offer(&hand, What::Blocks, nonce, &ids(1..=8)).expect("a request");
    for (bad, fault) in bad {
        let before = net.peers[0].node.stats().clone();
        net.give(&hand, What::Blocks, nonce, vec![item(1), bad]);
        let after = net.peers[0].node.stats();
        assert_eq!(after.faults(fault), before.faults(fault) + 1, "{fault}");
        assert_eq!((after.verifies, net.peers[0].blocks()), (before.verifies, vec![]), "{fault}");
    }
}

/// CH-56, as far as the others are not accepted yet.
#[test]
fn a_bad_block_spoils_those_of_its_update_that_are_checked_after_it() {
    let (mut net, hand) = node_and_hand(1);
    let nonce = provoke(&mut net, &hand, 4);
    net.offer(&hand, What::Blocks, nonce, &ids([1, 2, 3])).expect("a request");
    let update = vec![item(1), item_of("ch", 2, "forged"), item(3)];
    net.give(&hand, What::Blocks, nonce, update);
    net.round_trip();
    assert_eq!((received(&net), net.peers[0].blocks()), (vec![1], vec![1]));
    assert_eq!(net.peers[0].node.stats().faults(Fault::BadBlock), 1);

    net.run_for(300 * MS);
    let nonce = net.asked(&hand, What::Blocks).expect("a hello");
    assert_eq!(net.offer(&hand, What::Blocks, nonce, &ids([2, 3])), Some(ids([2, 3])));
    net.give(&hand, What::Blocks, nonce, vec![item(2), item(3)]);
    net.round_trip();
    assert_eq!(net.peers[0].blocks(), [1, 2, 3], "good copies are welcome");
}

/// A pushed copy is not spoiled by the company that another travelled in, and is passed on.
#[test]
fn a_block_that_is_pushed_while_it_is_pulled_is_passed_on() {
    use crate::{JobKind, node::tests::net::Fate};
    for company in ["forged", "honest"] {
        let (mut net, hand) = node_and_hand(1);
        let other = join(&mut net, "a", "other", 1);
        let nonce = provoke(&mut net, &hand, 3);
        net.offer(&hand, What::Blocks, nonce, &ids([1, 2])).expect("a request");
        net.peers[0].jobs = |job| match job {
            JobKind::VerifyBlock { .. } => Fate::Held,
            _ => Fate::Answered,
        };
        net.give(&hand, What::Blocks, nonce, vec![item_of("ch", 2, company), item(1)]);
        net.send(other.conn, frame(&item(1)));
        net.round_trip();
        net.contents(&hand);
        net.answer_held(0);
        net.run_for(100 * MS);
        assert_eq!(net.peers[0].blocks()[0], 1);
        let is_block = |content: &Content| matches!(content, Content::DataMsg(_));
        assert!(net.contents(&hand).iter().any(is_block), "to the one who did not push it");
    }
}

/// N-28, as far as it is on its way to be held.
#[test]
fn a_block_that_is_being_verified_is_not_asked_for_again() {
    use crate::{JobKind, node::tests::net::Fate};
    let (mut net, hand) = node_and_hand(1);
    let other = join(&mut net, "a", "other", 1);
    net.peers[0].jobs = |job| match job {
        JobKind::VerifyBlock { .. } => Fate::Held,
        _ => Fate::Answered,
    };
    let nonce = provoke(&mut net, &hand, 3);
    net.offer(&hand, What::Blocks, nonce, &ids([1])).expect("a request");
    let nonce_of_other = provoke(&mut net, &other, 3);
    net.give(&hand, What::Blocks, nonce, vec![item(1)]);
    assert_eq!(net.peers[0].held.len(), 1);
    let wanted = net.offer(&other, What::Blocks, nonce_of_other, &ids([1, 2]));
    assert_eq!(wanted, Some(ids([2])));
}

/// P-14, N8.3.a: over a slow line blocks come late, but not in vain.
#[test]
fn a_block_that_comes_late_is_committed_but_not_served() {
    let (mut net, hand) = node_and_hand(1);
    let nonce = provoke(&mut net, &hand, 2);
    net.offer(&hand, What::Blocks, nonce, &ids([1])).expect("a request");
    net.run_for(2 * SECOND);
    net.give(&hand, What::Blocks, nonce, vec![item(1)]);
    assert_eq!(net.peers[0].blocks(), [1]);
    assert_eq!(net.ask(&hand, What::Blocks), None);
    net.give(&hand, What::Blocks, 77, vec![item(2)]);
    assert_eq!(net.peers[0].blocks(), [1], "P-13: nobody asked for this one");
}

/// 10.2: large blocks come in several updates, one after the other.
#[test]
fn what_does_not_fit_into_one_update_comes_in_the_next() {
    let mut net = Net::new();
    let change = |config: &mut crate::Config| config.limits.pull_update_bytes_max = 50;
    let node = net.add("a", "p0", change);
    net.join(node, "ch", &["a"], 1);
    gossip(&mut net, 1..=8);
    net.command(node, Command::SetLedgerHeight { channel: ChannelId::from("ch"), height: 9 });
    let late = net.add("a", "p1", |config| {
        change(config);
        config.bootstrap = vec![at("a", "p0")];
    });
    net.join(late, "ch", &["a"], 1);
    let time = net.run_until(5 * SECOND, |net| net.peers[late].blocks().len() == 8);
    assert!(time < SECOND, "{time:?}");
    let stats = net.peers[late].node.stats();
    assert_eq!((stats.blocks_pulled, stats.block_copies), (8, 0));
}

/// N-17 turned around: where nothing is pushed, all comes by pull.
#[test]
fn blocks_reach_all_even_if_nothing_is_pushed() {
    let mut net = Net::new();
    for name in ["p0", "p1", "p2", "p3"] {
        let peer = net.add("a", name, |config| {
            config.propagate_peer_num = 0;
            config.block_tree = false;
            config.bootstrap = vec![at("a", "p0")];
        });
        net.join(peer, "ch", &["a"], 1);
    }
    net.run_until(20 * SECOND, is_channel_full);
    gossip(&mut net, 1..=5);
    net.command(0, Command::SetLedgerHeight { channel: ChannelId::from("ch"), height: 6 });
    let has_all = |net: &Net| net.peers[1..].iter().all(|peer| peer.blocks().len() == 5);
    let time = net.run_until(20 * SECOND, has_all);
    assert!(time < 10 * SECOND, "{time:?}");
    assert!(net.peers[1..].iter().all(|peer| peer.node.stats().block_copies == 0));
}

/// A peer that was away has the recent blocks as soon as it knows that there are any.
#[test]
fn a_newcomer_has_the_recent_blocks_within_a_second() {
    let mut net = network(&["a"], 4);
    net.run_until(5 * SECOND, is_channel_full);
    gossip(&mut net, 1..=8);
    net.command(0, Command::SetLedgerHeight { channel: ChannelId::from("ch"), height: 9 });
    net.run_for(10 * SECOND);
    let late = net.add("a", "p9", |config| config.bootstrap = vec![at("a", "p0")]);
    net.join(late, "ch", &["a"], 1);
    let time = net.run_until(10 * SECOND, |net| net.peers[late].blocks().len() == 8);
    assert!(time < SECOND, "{time:?}");
}
