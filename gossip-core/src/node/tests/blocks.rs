//! Blocks that spread, are checked once and committed in order.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use crate::{ChannelId, Command, CommandError, Fault, JobKind, Notice, wire};

use super::{
    hand::Hand,
    membership::{assert_no_faults, is_channel_full, network},
    net::{Fate, Net, block},
};

const SECOND: Duration = Duration::from_secs(1);

/// A network of one organisation that knows itself and has no blocks yet but the first.
fn settled(each: usize) -> Net {
    let mut net = network(&["a", "b"], each);
    net.run_until(5 * SECOND, is_channel_full);
    net.run_for(SECOND);
    net
}

/// A node in a channel, and a remote of its organisation that is in it too.
fn node_and_hand() -> (Net, Hand) {
    let mut net = Net::new();
    let node = net.add("a", "node", |_| {});
    net.join(node, "ch", &["a", "b"], 1);
    let hand = net.hand("a", "hand", node);
    (net, hand)
}

fn pushed(number: u64, body: &str) -> Bytes {
    wire::block(&ChannelId::from("ch"), number, block("ch", number, body))
}

/// Counts the blocks that a node has told of, by number.
fn received(net: &Net, peer: usize) -> Vec<u64> {
    let number = |notice: &Notice| match notice {
        Notice::BlockReceived { number, .. } => Some(*number),
        _ => None,
    };
    net.peers[peer].notices.iter().filter_map(|(_, notice)| number(notice)).collect()
}

#[test]
fn blocks_reach_all_of_the_own_organisation_and_nobody_else() {
    let mut net = settled(5);
    for number in 1..=50 {
        net.gossip_block(0, "ch", number);
        net.run_for(Duration::from_millis(20));
    }
    net.run_for(SECOND);
    for peer in 1..5 {
        assert_eq!(net.peers[peer].blocks(), (1..=50).collect::<Vec<_>>(), "peer {peer}");
        let height = net.peers[peer].node.ledger_height(&ChannelId::from("ch"));
        assert_eq!(height, Some(51));
    }
    for peer in 5..10 {
        assert_eq!(net.peers[peer].node.stats().block_copies, 0, "peer {peer}");
    }
    assert_no_faults(&net);
}

#[test]
fn hardly_a_block_arrives_twice() {
    let mut net = settled(16);
    for number in 1..=100 {
        net.gossip_block(0, "ch", number);
        net.run_for(Duration::from_millis(20));
    }
    net.run_for(SECOND);
    let copies: u64 = (1..16).map(|peer| net.peers[peer].node.stats().block_copies).sum();
    assert!(copies < 15 * 100 * 16 / 10, "{copies} copies of 100 blocks at 15 peers");
}

/// S-11.
#[test]
fn blocks_that_come_in_any_order_are_committed_in_order() {
    let mut net = settled(3);
    for number in [4, 3, 1, 2, 6, 5] {
        net.gossip_block(0, "ch", number);
    }
    net.run_for(SECOND);
    for peer in 1..3 {
        assert_eq!(net.peers[peer].blocks(), [1, 2, 3, 4, 5, 6]);
        let mut told = received(&net, peer);
        told.sort_unstable();
        assert_eq!(told, [1, 2, 3, 4, 5, 6], "each is told of once");
    }
}

/// However many copies arrive of whatever, its signature is checked once (design: single flight).
#[test]
fn no_signature_is_checked_twice_by_the_same_node() {
    let mut net = settled(4);
    for number in 1..=20 {
        net.gossip_block(0, "ch", number);
        net.run_for(Duration::from_millis(500));
    }
    net.run_for(60 * SECOND);
    for (ix, peer) in net.peers.iter().enumerate() {
        for ((payload, _), count) in &peer.checks {
            assert_eq!(*count, 1, "peer {ix} checked {payload:?}");
        }
        let stats = peer.node.stats();
        assert_eq!(stats.verifies, peer.checks.len() as u64, "peer {ix}");
        assert_eq!(stats.unique_messages, stats.verifies, "peer {ix}");
    }
}

/// CH-41: forwarded, but not to where it came from; told of and committed once. CH-42, S-19: a copy
/// does nothing.
#[test]
fn a_new_block_is_told_of_once_and_a_copy_of_it_does_nothing() {
    let (mut net, hand) = node_and_hand();
    net.send(hand.conn, frame_of(&hand.alive_with_identity(1)));
    net.send(hand.conn, frame_of(&hand.state_info("ch", 1, 1)));
    net.run_for(SECOND);
    net.received(&hand);
    net.send(hand.conn, pushed(1, "honest"));
    net.run_for(SECOND);
    let before = net.peers[0].node.stats().clone();
    net.send(hand.conn, pushed(1, "honest"));
    net.run_for(SECOND);
    assert_eq!((net.peers[0].blocks(), received(&net, 0)), (vec![1], vec![1]));
    let after = net.peers[0].node.stats();
    assert_eq!((before.blocks_received, after.blocks_received), (1, 1));
    assert_eq!(before.verifies, after.verifies, "the copy costs no check");
    let is_block = |content: &_| matches!(content, super::Content::DataMsg(_));
    assert!(!net.contents(&hand).iter().any(is_block), "nothing goes back to the sender");
}

/// CH-43, 11.2: the window follows the highest block; what the ledger lacks is taken all the same.
#[test]
fn a_block_below_the_window_is_taken_only_if_the_ledger_lacks_it() {
    let (mut net, hand) = node_and_hand();
    net.send(hand.conn, pushed(20, "honest"));
    net.send(hand.conn, pushed(9, "honest"));
    net.send(hand.conn, pushed(0, "honest"));
    net.run_for(SECOND);
    assert_eq!(received(&net, 0), [20, 9]);
    assert_eq!(net.peers[0].node.stats().faults(Fault::Stale), 1, "block 0 is in the ledger");
}

/// CH-44: nothing of an invalid block is kept; a valid one with its number is taken afterwards.
#[test]
fn a_forged_block_leaves_room_for_the_honest_one() {
    let (mut net, hand) = node_and_hand();
    net.send(hand.conn, pushed(1, "forged"));
    net.run_for(SECOND);
    assert_eq!(net.peers[0].node.stats().faults(Fault::BadBlock), 1);
    assert!(net.peers[0].blocks().is_empty());
    net.send(hand.conn, pushed(1, "honest"));
    net.run_for(SECOND);
    assert_eq!(net.peers[0].blocks(), [1]);
    assert!(net.is_open(hand.conn), "a bad block does not end the connection");
}

/// A forged copy that is being checked does not take the honest one down that comes meanwhile.
#[test]
fn an_honest_block_that_meets_a_forged_one_under_check_is_taken() {
    let (mut net, forger) = node_and_hand();
    let honest = net.hand("a", "honest", 0);
    net.peers[0].jobs = |job| match job {
        JobKind::VerifyBlock { .. } => Fate::Held,
        _ => Fate::Answered,
    };
    net.send(forger.conn, pushed(1, "forged"));
    net.send(honest.conn, pushed(1, "honest"));
    net.run_for(SECOND);
    assert_eq!(net.peers[0].held.len(), 1, "one check at a time");
    net.answer_held(0);
    net.run_for(SECOND);
    net.answer_held(0);
    net.run_for(SECOND);
    assert_eq!(net.peers[0].blocks(), [1]);
}

/// CH-45, P-62.
#[test]
fn a_block_message_without_a_block_is_dropped() {
    use gossip_proto::gossip::{DataMessage, GossipMessage, gossip_message::Content};
    let (mut net, hand) = node_and_hand();
    let content = Some(Content::DataMsg(DataMessage { payload: None }));
    let tag = wire::Tag::ChanAndOrg as i32;
    net.send(
        hand.conn,
        super::unsigned(GossipMessage { nonce: 0, channel: "ch".into(), tag, content }),
    );
    net.run_for(SECOND);
    assert_eq!(net.peers[0].node.stats().faults(Fault::Malformed), 1);
    assert!(net.is_open(hand.conn));
}

/// CH-49, N-45.
#[test]
fn an_own_block_is_pushed_even_if_it_is_known_and_not_told_of_when_it_comes_back() {
    let mut net = settled(3);
    net.gossip_block(0, "ch", 1);
    net.run_for(SECOND);
    let copies =
        |net: &Net| (1..3).map(|peer| net.peers[peer].node.stats().block_copies).sum::<u64>();
    let before = copies(&net);
    net.gossip_block(0, "ch", 1);
    net.run_for(SECOND);
    assert!(copies(&net) > before);
    assert!(received(&net, 0).is_empty());
    let unknown = ChannelId::from("other");
    let gossip = Command::GossipBlock { channel: unknown.clone(), number: 1, block: Bytes::new() };
    let now = net.now;
    let refused = net.peers[0].node.command(now, gossip);
    assert_eq!(refused, Err(CommandError::NotJoined(unknown)));
}

#[test]
fn an_own_block_that_no_frame_takes_is_refused() {
    let mut net = Net::new();
    let node = net.add("a", "node", |config| config.limits.sent_frame_bytes_max = 1000);
    net.join(node, "ch", &["a"], 1);
    let channel = ChannelId::from("ch");
    let gossip = Command::GossipBlock { channel, number: 1, block: vec![0; 1000].into() };
    let now = net.now;
    let refused = net.peers[node].node.command(now, gossip);
    assert_eq!(refused, Err(CommandError::BlockTooLarge { size: 1000, max: 1000 }));
}

/// CH-48, N-17: peers that are not in the channel, or have left it, get no blocks.
#[test]
fn blocks_go_to_members_of_the_channel_alone() {
    let mut net = settled(4);
    let channel = ChannelId::from("ch");
    net.command(3, Command::LeaveChannel { channel });
    net.run_for(10 * SECOND);
    let stranger = net.add("a", "stranger", |config| {
        config.bootstrap = vec![super::net::at("a", "p0")];
    });
    net.run_for(10 * SECOND);
    for number in 1..=10 {
        net.gossip_block(0, "ch", number);
        net.run_for(Duration::from_millis(100));
    }
    let copies = |peer: usize| net.peers[peer].node.stats().block_copies;
    assert_eq!((copies(3), copies(stranger)), (0, 0));
    assert!(net.peers[1].blocks().len() == 10 && net.peers[2].blocks().len() == 10);
}

/// CH-47: a block is refused for 800 s, then taken anew if it comes.
#[test]
fn a_block_is_remembered_for_800_seconds() {
    let (mut net, hand) = node_and_hand();
    net.send(hand.conn, pushed(1, "honest"));
    net.run_for(795 * SECOND);
    net.send(hand.conn, pushed(1, "honest"));
    net.run_for(10 * SECOND);
    assert_eq!(received(&net, 0), [1]);
    net.send(hand.conn, pushed(1, "honest"));
    net.run_for(SECOND);
    assert_eq!(received(&net, 0), [1, 1]);
    assert_eq!(net.peers[0].blocks(), [1], "the ledger has it");
}

fn frame_of(envelope: &gossip_proto::gossip::Envelope) -> Bytes {
    super::hand::frame(envelope)
}
