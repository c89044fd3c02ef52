//! Catching up by ranges of blocks: docs/protocol/70-state-transfer.md.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;
use gossip_proto::gossip::{
    DataMessage, GossipMessage, Payload, RemoteStateRequest, RemoteStateResponse,
    gossip_message::Content,
};

use crate::{
    ChannelId, Command, Config, Fault, JobKind, Notice,
    wire::{self, Tag},
};

use super::{
    hand::{Hand, frame},
    net::{Fate, Net, block},
    unsigned,
};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn channel() -> ChannelId {
    ChannelId::from("ch")
}

/// A node with blocks `0..height` in its ledger.
fn node(net: &mut Net, org: &str, name: &str, height: u64, change: impl FnOnce(&mut Config)) {
    let ix = net.add(org, name, |config| {
        config.state.enabled = true;
        change(config);
    });
    net.peers[ix].ledger.extend((0..height).map(|n| (channel(), n, block("ch", n, "honest"))));
    net.join(ix, "ch", &["a", "b"], height);
}

/// A node and remotes of both organisations that claim these heights.
fn node_and_hands<const N: usize>(
    height: u64,
    hands: [(&str, &str, u64); N],
    change: impl FnOnce(&mut Config),
) -> (Net, [Hand; N]) {
    let mut net = Net::new();
    node(&mut net, "a", "node", height, change);
    let hands = hands.map(|(org, name, height)| {
        let hand = net.hand(org, name, 0);
        net.send(hand.conn, frame(&hand.alive_with_identity(1)));
        net.run_for(4 * MS);
        net.send(hand.conn, frame(&hand.state_info("ch", 1, height)));
        net.run_for(4 * MS);
        hand
    });
    (net, hands)
}

/// Takes what a remote was asked for since the last look: nonce, first, last.
fn asked(net: &mut Net, hand: &Hand) -> Vec<(u64, u64, u64)> {
    let request = |message: GossipMessage| match message.content {
        Some(Content::StateRequest(RemoteStateRequest { start_seq_num, end_seq_num })) => {
            assert_eq!((message.tag, message.channel), (Tag::ChanOrOrg as i32, "ch".into()));
            Some((message.nonce, start_seq_num, end_seq_num))
        }
        _ => None,
    };
    net.received(hand).into_iter().filter_map(|(_, message)| request(message)).collect()
}

/// Takes the answers that a remote got since the last look: nonce and numbers.
fn answers(net: &mut Net, hand: &Hand) -> Vec<(u64, Vec<u64>)> {
    let answer = |message: GossipMessage| match message.content {
        Some(Content::StateResponse(response)) => {
            assert_eq!((message.tag, message.channel), (Tag::ChanOrOrg as i32, "ch".into()));
            let numbers = response.payloads.iter().map(|payload| {
                assert_eq!(payload.data, block("ch", payload.seq_num, "honest"));
                payload.seq_num
            });
            Some((message.nonce, numbers.collect()))
        }
        _ => None,
    };
    net.received(hand).into_iter().filter_map(|(_, message)| answer(message)).collect()
}

/// Waits for a request of a node, and returns it.
fn await_request(net: &mut Net, hand: &Hand) -> (u64, u64, u64) {
    for _ in 0..15_000 {
        net.run_for(MS);
        if let Some(request) = asked(net, hand).pop() {
            return request;
        }
    }
    panic!("nothing was asked for")
}

fn give(net: &mut Net, hand: &Hand, nonce: u64, numbers: impl IntoIterator<Item = u64>) {
    let blocks = numbers.into_iter().map(|number| (number, block("ch", number, "honest")));
    net.send(hand.conn, wire::state_response(&channel(), nonce, blocks.collect()));
    net.run_for(2 * MS);
}

fn ask(net: &mut Net, hand: &Hand, nonce: u64, first: u64, last: u64) {
    net.send(hand.conn, wire::state_request(&channel(), nonce, first, last));
}

/// What was asked and answered, for as long as a remote is given time.
fn answered(net: &mut Net, hand: &Hand, first: u64, last: u64) -> Vec<(u64, Vec<u64>)> {
    answers(net, hand);
    ask(net, hand, 7, first, last);
    net.run_for(10 * MS);
    answers(net, hand)
}

fn height(net: &Net, peer: usize) -> Option<u64> {
    net.peers[peer].node.ledger_height(&channel())
}

/// S-11, S-15, S-34, S-37: from genesis to far behind the window, over another organisation, in
/// order and once.
#[test]
fn a_newcomer_fetches_the_whole_chain() {
    let mut net = Net::new();
    node(&mut net, "b", "old", 500, |config| config.state.enabled = false);
    node(&mut net, "a", "new", 1, |config| config.bootstrap = vec!["old.b.example.com:443".into()]);
    net.command(1, Command::Connect { endpoint: "old.b.example.com:443".into() });
    let hand = net.hand("b", "guide", 0);
    net.send(hand.conn, frame(&hand.alive_with_identity(1)));
    introduce(&mut net, 0, 1);
    let took = net.run_until(60 * SECOND, |net| height(net, 1) == Some(500));
    assert!(took < 20 * SECOND, "{took:?}");
    assert_eq!(net.peers[1].blocks(), (0..500).collect::<Vec<_>>());
    let stats = net.peers[1].node.stats();
    assert_eq!((stats.blocks_transferred, stats.state_requests), (499, 46));
    let is_end =
        |notice: &Notice| matches!(notice, Notice::StateTransferEnded { is_complete: true, .. });
    assert!(net.peers[1].has_noticed(is_end));
    assert_eq!(net.peers[0].node.stats().state_responses, 46, "S-31: not enabled there");
}

/// Makes two nodes of different organisations meet: one is the other's anchor peer.
fn introduce(net: &mut Net, one: usize, other: usize) {
    for (peer, to) in [(one, other), (other, one)] {
        let anchor = net.peers[to].config.external_endpoint.clone().expect("an endpoint");
        let org = net.peers[to].config.org.clone();
        let own = net.peers[peer].config.org.clone();
        let orgs = vec![(own, vec![]), (org, vec![anchor])];
        let config = crate::ChannelConfig { sequence: 2, orgs };
        net.command(peer, Command::JoinChannel { channel: channel(), config, height: None });
    }
}

/// S-34, S-35: eleven at a time, the last ones with what is left.
#[test]
fn ranges_follow_each_other() {
    let (mut net, [hand]) = node_and_hands(1, [("a", "one", 17)], |_| {});
    let (nonce, first, last) = await_request(&mut net, &hand);
    assert_eq!((first, last), (1, 11));
    give(&mut net, &hand, nonce, 1..=11);
    let (next, first, last) = await_request(&mut net, &hand);
    assert!(next != nonce, "each range has a nonce of its own");
    assert_eq!((first, last), (12, 16));
    give(&mut net, &hand, next, 12..=16);
    net.run_for(60 * SECOND);
    assert_eq!((height(&net, 0), asked(&mut net, &hand)), (Some(17), vec![]), "S-33");
}

/// S-2: others are told of our height when we join.
#[test]
fn a_height_is_told_when_a_channel_is_joined() {
    let (mut net, [hand]) = node_and_hands(7, [("b", "one", 1)], |_| {});
    net.run_for(SECOND);
    let heights: Vec<u64> = net.contents(&hand).into_iter().filter_map(told_height).collect();
    assert_eq!(heights, [7]);
}

fn told_height(content: Content) -> Option<u64> {
    match content {
        Content::StateInfo(info) => Some(info.properties?.ledger_height),
        _ => None,
    }
}

/// S-17: private data beside a block is signed by nobody; it neither costs the block nor more.
#[test]
fn rubbish_beside_a_block_does_no_harm() {
    let (mut net, [hand]) = node_and_hands(1, [("a", "one", 12)], |_| {});
    let rubbish = vec![Bytes::from_static(&[0xff; 9])];
    let payload = |seq_num| Payload {
        seq_num,
        data: block("ch", seq_num, "honest"),
        private_data: rubbish.clone(),
    };
    let message = |nonce, tag: Tag, content| {
        let (channel, tag) = (Bytes::from_static(b"ch"), tag as i32);
        unsigned(GossipMessage { nonce, channel, tag, content: Some(content) })
    };
    let pushed = Content::DataMsg(DataMessage { payload: Some(payload(1)) });
    net.send(hand.conn, message(0, Tag::ChanAndOrg, pushed));
    let (nonce, first, last) = await_request(&mut net, &hand);
    let payloads = (first..=last).map(payload).collect();
    let answer = Content::StateResponse(RemoteStateResponse { payloads });
    net.send(hand.conn, message(nonce, Tag::ChanOrOrg, answer));
    net.run_for(SECOND);
    assert_eq!((first, last, height(&net, 0)), (2, 11, Some(12)));
}

/// S-32, S-33: nobody is asked at once if all is well, and the window serves who is little behind.
#[test]
fn who_is_not_far_behind_asks_for_no_range_before_the_interval_is_over() {
    let (mut net, [hand]) = node_and_hands(1, [("a", "one", 12)], |_| {});
    net.run_for(9 * SECOND);
    assert_eq!(asked(&mut net, &hand), []);
    let (_, first, last) = await_request(&mut net, &hand);
    assert_eq!((first, last), (1, 11));
}

/// S-3: what is off is off, but for serving.
#[test]
fn nothing_is_fetched_if_it_is_turned_off() {
    let (mut net, [hand]) =
        node_and_hands(5, [("a", "one", 100)], |config| config.state.enabled = false);
    net.run_for(22 * SECOND);
    assert_eq!(asked(&mut net, &hand), []);
    assert_eq!(answered(&mut net, &hand, 0, 3), [(7, vec![0, 1, 2, 3])], "S-31");
}

/// S-38: four requests with one nonce, three seconds apart, then a rest.
#[test]
fn a_silent_peer_is_asked_four_times() {
    let (mut net, [hand]) = node_and_hands(1, [("a", "one", 100)], |_| {});
    let (nonce, ..) = await_request(&mut net, &hand);
    let begun = net.now;
    let mut later = Vec::new();
    for _ in 0..3 {
        assert_eq!(await_request(&mut net, &hand), (nonce, 1, 11));
        later.push((net.now - begun).as_millis() / 100);
    }
    assert_eq!(later, [30, 60, 90]);
    let is_end =
        |notice: &Notice| matches!(notice, Notice::StateTransferEnded { is_complete: false, .. });
    net.run_for(4 * SECOND);
    assert!(net.peers[0].has_noticed(is_end));
    let (next, ..) = await_request(&mut net, &hand);
    assert!(next != nonce);
    assert!(net.now - begun >= 19 * SECOND, "it rests for an interval");
}

/// S-36: those who have all of it come first; each is asked once before anybody is asked twice.
#[test]
fn another_peer_is_asked_if_one_is_silent() {
    let hands = [("a", "one", 100), ("b", "two", 100), ("b", "three", 5)];
    let (mut net, hands) = node_and_hands(1, hands, |_| {});
    net.run_for(5 * SECOND);
    let counts = hands.each_ref().map(|hand| asked(&mut net, hand).len());
    assert_eq!(counts, [1, 1, 0]);
    net.run_for(3 * SECOND);
    let rest = asked(&mut net, &hands[2]);
    assert!(matches!(rest[..], [(_, 1, 4)]), "only what it has: {rest:?}");
}

/// S-39, S-40, S-41, S-22.
#[test]
fn only_what_was_asked_for_counts() {
    let hands = [("a", "one", 100), ("a", "two", 100)];
    let (mut net, hands) = node_and_hands(1, hands, |_| {});
    net.run_for(SECOND);
    let requests = hands.each_ref().map(|hand| asked(&mut net, hand).pop());
    let (nonce, first) = match requests {
        [Some((nonce, ..)), None] => (nonce, 0),
        [None, Some((nonce, ..))] => (nonce, 1),
        both => panic!("{both:?}"),
    };
    let (first, second) = (&hands[first], &hands[1 - first]);
    give(&mut net, first, nonce + 1, 1..=11);
    give(&mut net, second, nonce, 1..=11);
    assert_eq!((height(&net, 0), asked(&mut net, second)), (Some(1), vec![]), "S-40");
    give(&mut net, first, nonce, []);
    assert_eq!(asked(&mut net, second), [(nonce, 1, 11)], "S-39: at once");
    give(&mut net, first, nonce, 1..=11);
    assert_eq!(height(&net, 0), Some(12), "S-41: late is better than never");
}

/// S-42.
#[test]
fn after_a_short_answer_the_rest_is_asked_for() {
    let (mut net, [hand]) = node_and_hands(1, [("a", "one", 100)], |_| {});
    let (nonce, ..) = await_request(&mut net, &hand);
    give(&mut net, &hand, nonce, 1..=4);
    let (_, first, last) = await_request(&mut net, &hand);
    assert_eq!((height(&net, 0), first, last), (Some(5), 5, 15));
}

/// A gap ends what an answer is good for; what comes after it is kept all the same.
#[test]
fn a_gap_in_an_answer_is_asked_for() {
    let (mut net, [hand]) = node_and_hands(1, [("a", "one", 100)], |_| {});
    let (nonce, ..) = await_request(&mut net, &hand);
    give(&mut net, &hand, nonce, (1..=11).filter(|number| *number != 5));
    let (nonce, first, last) = await_request(&mut net, &hand);
    assert_eq!((height(&net, 0), first, last), (Some(5), 5, 15));
    give(&mut net, &hand, nonce, [5]);
    assert_eq!(height(&net, 0), Some(12));
}

/// S-43.
#[test]
fn of_an_answer_with_a_bad_block_the_good_ones_stay() {
    let (mut net, [hand]) = node_and_hands(1, [("a", "one", 100)], |_| {});
    let (nonce, ..) = await_request(&mut net, &hand);
    let body = |number| if number == 5 { "forged" } else { "honest" };
    let blocks = (1..=11).map(|number| (number, block("ch", number, body(number))));
    net.send(hand.conn, wire::state_response(&channel(), nonce, blocks.collect()));
    net.run_for(20 * MS);
    let requests = asked(&mut net, &hand);
    assert!(matches!(requests[..], [(_, 5, 15)]), "{requests:?}");
    assert_eq!(height(&net, 0), Some(5));
    assert_eq!(net.peers[0].node.stats().faults(Fault::BadBlock), 1);
}

/// S-44: numbers out of the range, and numbers that come twice.
#[test]
fn an_answer_with_other_numbers_is_none() {
    for numbers in [&[1, 2, 12][..], &[0, 1, 2], &[1, 2, 2], &[u64::MAX]] {
        let (mut net, [hand]) = node_and_hands(1, [("a", "one", 100)], |_| {});
        let (nonce, ..) = await_request(&mut net, &hand);
        give(&mut net, &hand, nonce, numbers.iter().copied());
        assert_eq!(asked(&mut net, &hand), [], "{numbers:?}: it is not asked twice for the same");
        assert_eq!(height(&net, 0), Some(1));
        assert_eq!(net.peers[0].node.stats().faults(Fault::Malformed), 1);
    }
}

/// S-45: with a ledger that does not move, no more than twice the buffer and one wait.
#[test]
fn a_slow_ledger_is_not_flooded() {
    let (mut net, [hand]) = node_and_hands(1, [("a", "one", 1000)], |_| {});
    net.peers[0].jobs = |kind| match kind {
        JobKind::Commit { .. } => Fate::Held,
        _ => Fate::Answered,
    };
    let mut last_asked = 0;
    for _ in 0..200 {
        net.run_for(100 * MS);
        for (nonce, first, last) in asked(&mut net, &hand) {
            last_asked = last;
            give(&mut net, &hand, nonce, first..=last);
        }
    }
    assert_eq!(last_asked, 22, "21 blocks are more than the buffer holds");
    net.peers[0].jobs = |_| Fate::Answered;
    net.answer_held(0);
    let (_, first, _) = await_request(&mut net, &hand);
    assert_eq!(first, 23);
}

/// What waits for a block that lacks does not count as what keeps the ledger busy: the block must
/// come first.
#[test]
fn blocks_behind_a_gap_do_not_stop_the_transfer() {
    let (mut net, [hand]) = node_and_hands(1, [("a", "one", 100)], |_| {});
    for number in 60..100 {
        net.send(hand.conn, wire::block(&channel(), number, block("ch", number, "honest")));
    }
    for _ in 0..50 {
        net.run_for(100 * MS);
        for (nonce, first, last) in asked(&mut net, &hand) {
            give(&mut net, &hand, nonce, first..=last);
        }
    }
    assert_eq!(height(&net, 0), Some(100));
}

/// A peer that claims more than anybody has costs time, but does not keep the others from being
/// asked (§9.1.2).
#[test]
fn a_liar_does_not_stop_the_transfer() {
    let hands = [("a", "liar", u64::MAX), ("b", "one", 31)];
    let (mut net, [liar, one]) = node_and_hands(1, hands, |_| {});
    for _ in 0..600 {
        net.run_for(100 * MS);
        for (nonce, first, last) in asked(&mut net, &one) {
            give(&mut net, &one, nonce, first..=last);
        }
    }
    assert_eq!(height(&net, 0), Some(31));
    assert!(!asked(&mut net, &liar).is_empty());
}

/// S-46.
#[test]
fn a_node_that_stops_asks_no_more() {
    let (mut net, [hand]) = node_and_hands(1, [("a", "one", 100)], |_| {});
    let (nonce, ..) = await_request(&mut net, &hand);
    net.command(0, Command::Stop);
    give(&mut net, &hand, nonce, 1..=11);
    net.run_for(60 * SECOND);
    assert_eq!((height(&net, 0), asked(&mut net, &hand)), (Some(1), vec![]));
    assert_eq!(net.peers[0].node.poll_timeout(), None);
}

/// S-24 to S-27, S-31.
#[test]
fn ranges_are_served_as_far_as_they_are_there() {
    let (mut net, [hand]) = node_and_hands(15, [("b", "one", 1)], |_| {});
    let numbers = |from: u64, to: u64| (from..=to).collect::<Vec<_>>();
    assert_eq!(answered(&mut net, &hand, 10, 5), [], "S-24");
    assert_eq!(answered(&mut net, &hand, 2, 12), [(7, numbers(2, 12))], "S-24");
    assert_eq!(answered(&mut net, &hand, 2, 13), [(7, numbers(2, 12))], "what fits a batch");
    assert_eq!(answered(&mut net, &hand, 10, 20), [(7, numbers(10, 14))], "S-25");
    assert_eq!(answered(&mut net, &hand, 15, 15), [(7, vec![])], "S-26");
    assert_eq!(answered(&mut net, &hand, u64::MAX, u64::MAX), [(7, vec![])]);
}

/// S-28: what the ledger does not have is left out; if it cannot be read, the answer is empty.
#[test]
fn blocks_that_cannot_be_read_are_left_out() {
    let (mut net, [hand]) = node_and_hands(9, [("b", "one", 1)], |_| {});
    net.peers[0].ledger.retain(|(_, number, _)| *number != 3);
    assert_eq!(answered(&mut net, &hand, 2, 4), [(7, vec![2, 4])]);
    net.peers[0].jobs = |kind| match kind {
        JobKind::ReadBlocks { .. } => Fate::Failed,
        _ => Fate::Answered,
    };
    assert_eq!(answered(&mut net, &hand, 2, 4), [(7, vec![])]);
}

/// A ledger that reads more than is of use does not make answers larger than their limit.
#[test]
fn an_answer_keeps_to_its_limit() {
    let (mut net, [hand]) =
        node_and_hands(9, [("b", "one", 1)], |config| config.limits.state_response_bytes_max = 12);
    assert_eq!(block("ch", 2, "honest").len(), 11);
    assert_eq!(answered(&mut net, &hand, 2, 8), [(7, vec![2, 3])]);
}

/// A response that would not fit a frame holds fewer blocks, never none.
#[test]
fn an_answer_fits_a_frame() {
    let (mut net, [hand]) =
        node_and_hands(9, [("b", "one", 1)], |config| config.limits.frame_bytes_max = 600);
    let long =
        |number| Bytes::from([block("ch", number, "honest"), vec![b'x'; 150].into()].concat());
    net.peers[0].ledger = (0..9).map(|number| (channel(), number, long(number))).collect();
    ask(&mut net, &hand, 7, 2, 8);
    net.run_for(10 * MS);
    let contents = net.contents(&hand);
    let response = contents.iter().find_map(|content| match content {
        Content::StateResponse(response) => Some(response),
        _ => None,
    });
    let numbers: Vec<_> =
        response.expect("an answer").payloads.iter().map(|payload| payload.seq_num).collect();
    assert_eq!(numbers, [2, 3]);
}

/// S-20, S-21; CH-40: it is asked elsewhere than the main path, whatever its tag.
#[test]
fn whom_the_policy_does_not_let_read_gets_no_answer() {
    let (mut net, [hand]) = node_and_hands(9, [("b", "one", 1)], |_| {});
    let request = |channel: &str, tag: Tag| {
        let range = RemoteStateRequest { start_seq_num: 1, end_seq_num: 1 };
        let content = Some(Content::StateRequest(range));
        let channel = Bytes::copy_from_slice(channel.as_bytes());
        unsigned(GossipMessage { nonce: 7, channel, tag: tag as i32, content })
    };
    for tag in [Tag::Undefined, Tag::Empty, Tag::ChanAndOrg] {
        net.send(hand.conn, request("ch", tag));
        net.run_for(10 * MS);
        assert_eq!(answers(&mut net, &hand), [(7, vec![1])], "S-21: {tag:?}");
    }
    net.send(hand.conn, request("other", Tag::ChanOrOrg));
    net.run_for(10 * MS);
    assert_eq!(answers(&mut net, &hand), [], "S-21");
    net.peers[0].backend.no_readers.insert(hand.identity.as_bytes().clone());
    assert_eq!(answered(&mut net, &hand, 1, 1), [], "S-20");
    assert!(net.is_open(hand.conn));
}

/// S-23: a hundred wait; of one peer only its last request does, so that nobody fills the queue
/// alone. Requests are answered one after another.
#[test]
fn one_request_of_each_peer_waits_and_no_more_than_a_hundred() {
    let (mut net, [one, two, three, four]) = node_and_hands(
        9,
        [("b", "one", 1), ("b", "two", 1), ("b", "three", 1), ("b", "four", 1)],
        |config| config.state.channel_size = 2,
    );
    net.peers[0].jobs = |kind| match kind {
        JobKind::ReadBlocks { .. } => Fate::Held,
        _ => Fate::Answered,
    };
    for (hand, first) in [(&one, 1), (&two, 2), (&two, 3), (&three, 4), (&four, 5)] {
        ask(&mut net, hand, 7, first, first);
        net.run_for(10 * MS);
    }
    assert_eq!(net.peers[0].held.len(), 1, "one at a time");
    assert_eq!(net.peers[0].node.stats().faults(Fault::Overflow), 1);
    net.peers[0].jobs = |_| Fate::Answered;
    net.answer_held(0);
    net.run_for(10 * MS);
    let got = [&one, &two, &three, &four].map(|hand| answers(&mut net, hand));
    assert_eq!(got, [vec![(7, vec![1])], vec![(7, vec![3])], vec![(7, vec![4])], vec![]]);
}

/// Blocks that were fetched are neither passed on nor offered: all others have them.
#[test]
fn what_was_fetched_is_not_spread() {
    let (mut net, [one, two]) = node_and_hands(1, [("a", "one", 30), ("a", "two", 1)], |_| {});
    let (nonce, first, last) = await_request(&mut net, &one);
    give(&mut net, &one, nonce, first..=last);
    net.run_for(SECOND);
    assert_eq!(height(&net, 0), Some(12));
    let is_block = |content: &Content| matches!(content, Content::DataMsg(_));
    assert!(!net.contents(&two).iter().any(is_block));
    assert_eq!(net.peers[0].node.stats().forwarded, 4, "alive messages and StateInfo");
}
