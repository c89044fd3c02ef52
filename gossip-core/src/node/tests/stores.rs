//! What is newer and what is old, for each kind of statement (docs/protocol/50-pull-and-stores.md
//! §6, §7), and for which channel it is.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use gossip_proto::gossip::{Envelope, gossip_message::Content};

use crate::{
    ChannelId, Config, Fault, Instant, OrgId, Stamp,
    node::foreign::ForeignInfos,
    wire::{self, NewAlive, NewStateInfo},
};

use super::{
    hand::{Hand, frame},
    net::{Net, at, identity, pki},
};

const SECOND: Duration = Duration::from_secs(1);

/// A node of `a` in channels `one` and `two`, and remotes that it holds alive.
fn node_and_hands<const N: usize>(names: [&str; N]) -> (Net, [Hand; N]) {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    net.join(0, "one", &["a"], 1);
    net.join(0, "two", &["a"], 1);
    let hands = names.map(|name| {
        let hand = net.hand("a", name, 0);
        net.send(hand.conn, frame(&hand.alive_with_identity(1)));
        hand
    });
    net.run_for(SECOND);
    net.inboxes.clear();
    (net, hands)
}

const fn stamp(incarnation: u64, sequence: u64) -> Stamp {
    Stamp { incarnation, sequence }
}

/// Statements in the order in which they come, and whether each is news.
const STATEMENTS: [(Stamp, bool); 8] = [
    (stamp(u64::MAX - 5, 5), true),
    (stamp(u64::MAX - 5, 5), false),
    (stamp(u64::MAX - 5, 4), false),
    (stamp(u64::MAX - 5, 6), true),
    (stamp(u64::MAX - 4, 1), true),
    (stamp(u64::MAX - 5, 100), false),
    (stamp(u64::MAX - 4, 1), false),
    (stamp(u64::MAX - 4, u64::MAX), true),
];

fn alive(hand: &Hand, stamp: Stamp) -> Envelope {
    let (pki_id, metadata) = (hand.pki_id, &Bytes::new());
    let new = NewAlive { pki_id, stamp, endpoint: None, metadata, identity: None, extensions: 0 };
    hand.seal(new.payload())
}

fn info(hand: &Hand, channel: &str, stamp: Stamp) -> Envelope {
    let mac = wire::channel_mac(&hand.pki_id, &ChannelId::from(channel));
    info_with(hand, mac, stamp)
}

fn info_with(hand: &Hand, mac: [u8; 32], stamp: Stamp) -> Envelope {
    let new = NewStateInfo { stamp, height: 1, left: false, chaincodes: Vec::new() };
    hand.seal(new.payload(&hand.pki_id, &mac))
}

/// Sends a statement; says whether it was news.
fn is_news(net: &mut Net, from: &Hand, envelope: &Envelope) -> bool {
    let count = |net: &Net| {
        let stats = net.peers[0].node.stats();
        (stats.unique_messages, stats.faults(Fault::Stale))
    };
    let before = count(net);
    net.send(from.conn, frame(envelope));
    net.run_for(Duration::from_millis(10));
    let after = count(net);
    assert_eq!((after.0 - before.0) + (after.1 - before.1), 1, "either news or stale");
    after.0 > before.0
}

/// P-52: the same for all that is stored; W-33, P-53: each author and each kind by itself.
#[test]
fn of_two_statements_of_a_kind_by_one_author_the_newer_counts() {
    let (mut net, [one, other]) = node_and_hands(["one", "other"]);
    type Make = fn(&Hand, Stamp) -> Envelope;
    let kinds: [Make; 4] = [
        alive,
        |hand, stamp| info(hand, "one", stamp),
        |hand, stamp| info(hand, "two", stamp),
        |hand, stamp| info(hand, "not joined", stamp),
    ];
    for (kind, make) in kinds.into_iter().enumerate() {
        for author in [&one, &other] {
            for (step, (stamp, expected)) in STATEMENTS.into_iter().enumerate() {
                let is_news = is_news(&mut net, &one, &make(author, stamp));
                assert_eq!(is_news, expected, "kind {kind}, statement {step}");
            }
        }
    }
    assert_eq!(net.peers[0].channel_peers("one").len(), 2);
    assert_eq!(net.peers[0].members().len(), 2);
}

/// P-57, W-37: StateInfo of a channel that we are not in is refused for twice 400 s.
#[test]
fn a_foreign_state_info_is_remembered_for_800_seconds() {
    let config =
        Config::new(identity("a", "node"), pki("a", "node"), OrgId::from("a"), at("a", "x"));
    let mut infos = ForeignInfos::new(&config);
    let (mac, stamp) = ([1; 32], stamp(1, 1));
    let after = |secs: u64| Instant::ZERO + Duration::from_secs(secs);
    assert!(infos.insert(mac, stamp, after(0)));
    for secs in [0, 399, 401, 800] {
        assert!(!infos.would_accept(&mac, stamp, after(secs)), "{secs}");
        assert!(!infos.insert(mac, stamp, after(secs)), "{secs}: a refusal does not refresh it");
    }
    assert!(infos.insert(mac, stamp, after(801)));
}

/// CH-10: who passes a StateInfo on does not matter, and who asks does.
#[test]
fn a_state_info_names_its_channel_by_its_author_and_a_request_by_its_sender() {
    let (mut net, [relayer, author]) = node_and_hands(["relayer", "author"]);
    let name = ChannelId::from("two");
    assert!(is_news(&mut net, &relayer, &info(&author, "two", stamp(1, 1))));
    assert!(net.peers[0].channel_peers("one").is_empty());
    assert!(net.peers[0].channel_peers("two").contains(&author.pki_id));
    let mac = wire::channel_mac(&relayer.pki_id, &ChannelId::from("one"));
    assert!(is_news(&mut net, &relayer, &info_with(&author, mac, stamp(1, 2))));
    assert!(net.peers[0].channel_peers("one").is_empty(), "another's name of a channel");
    net.inboxes.clear();
    let answers = |net: &mut Net, request: Bytes| {
        net.send(relayer.conn, request);
        net.run_for(Duration::from_millis(10));
        let channels = net.received(&relayer).into_iter().filter_map(|(_, message)| {
            let is_answer = matches!(message.content, Some(Content::StateSnapshot(_)));
            is_answer.then_some(message.channel)
        });
        channels.collect::<Vec<_>>()
    };
    assert!(answers(&mut net, author.state_info_request("two")).is_empty());
    assert_eq!(answers(&mut net, relayer.state_info_request("two")), [name.as_bytes().clone()]);
}
