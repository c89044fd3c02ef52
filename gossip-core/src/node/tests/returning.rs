//! Peers that start again with a clock that was set back: all that they say is older than what the
//! others remember, until they hear of it.

use alloc::vec;
use core::time::Duration;

use bytes::Bytes;
use gossip_proto::gossip::gossip_message::Content;

use crate::{ChannelConfig, ChannelId, Command, Fault, OrgId, Stamp, UnixTime, wire::NewAlive};

use super::{
    hand::{Hand, frame},
    membership::{is_channel_full, is_membership_full, network},
    net::{Net, START, outside},
};

const SECOND: Duration = Duration::from_secs(1);

/// Starts a node again, an hour before its first start, as far as it knows.
fn restart_in_the_past(net: &mut Net, peer: usize, height: u64) {
    let past = UnixTime::from_nanos(START.as_nanos() - 3_600_000_000_000);
    net.switch_on(peer, |config| config.wall_clock = past);
    let orgs = ["a", "b"].map(|org| (OrgId::from(org), vec![outside(org, "p0")])).into();
    let (channel, config) = (ChannelId::from("ch"), ChannelConfig { sequence: 1, orgs });
    net.command(peer, Command::JoinChannel { channel, config, height: Some(height) });
}

/// Says whether all know what a peer now says of its ledger.
fn is_height_known(net: &Net, of: usize, height: u64) -> bool {
    let of = net.peers[of].config.pki_id;
    let others = net.peers.iter().filter(|peer| peer.config.pki_id != of);
    others.into_iter().all(|peer| {
        let peers = peer.node.channel_peers(&ChannelId::from("ch")).expect("it was joined");
        peers.iter().any(|peer| peer.member.pki_id == of && peer.ledger_height == height)
    })
}

/// §3: without a record of its last incarnation, it takes one after what the others remember.
#[test]
fn a_peer_whose_clock_was_set_back_over_a_restart_is_soon_back_with_what_it_says() {
    for peer in 0..4 {
        for silence in [3 * SECOND, 40 * SECOND, 700 * SECOND] {
            let mut net = network(&["a", "b"], 2);
            net.run_until(10 * SECOND, is_channel_full);
            net.switch_off(peer);
            net.run_for(silence);
            restart_in_the_past(&mut net, peer, 7);
            let time = net.run_until(120 * SECOND, |net| {
                is_membership_full(net) && is_channel_full(net) && is_height_known(net, peer, 7)
            });
            assert!(time < 30 * SECOND, "peer {peer} after {silence:?}: {time:?}");
            net.run_for(60 * SECOND);
            assert!(is_membership_full(&net), "peer {peer} after {silence:?}");
        }
    }
}

/// §8.4: nobody else can make us do it, and two processes with one identity do not drive each
/// other on without a pause.
#[test]
fn only_what_we_signed_makes_us_take_another_incarnation_and_not_twice_at_once() {
    let mut net = Net::new();
    let node = net.add("org", "node", |_| {});
    let (hand, twin) = (net.hand("org", "hand", node), Hand::named("org", "node"));
    net.send(hand.conn, frame(&hand.alive_with_identity(1)));
    let start = net.peers[node].config.wall_clock.as_nanos();
    let incarnation = |net: &Net| net.peers[node].node.self_membership().stamp.incarnation;
    let words = |incarnation| {
        let stamp = Stamp { incarnation, sequence: 5 };
        let (pki_id, metadata) = (twin.pki_id, &Bytes::new());
        let endpoint = Some(&outside("org", "node"));
        NewAlive { pki_id, stamp, endpoint, metadata, identity: None, extensions: 0 }.payload()
    };
    net.send(hand.conn, frame(&hand.seal(words(start + 7))));
    net.run_for(10 * SECOND);
    assert_eq!(net.peers[node].node.stats().faults(Fault::BadSignature), 1);
    assert_eq!(incarnation(&net), start);
    for _ in 0..2 {
        net.send(hand.conn, frame(&twin.seal(words(start + 60_000_000_000))));
        net.run_for(SECOND);
        assert_eq!(incarnation(&net), start + 60_000_000_001);
    }
    let heard = net.contents(&hand).into_iter().filter_map(|content| match content {
        Content::AliveMsg(alive) => alive.timestamp,
        _ => None,
    });
    assert_eq!(heard.last().map(|time| time.inc_num), Some(start + 60_000_000_001));
    net.send(hand.conn, frame(&twin.seal(words(start + 90_000_000_000))));
    net.run_for(10 * SECOND);
    assert_eq!(incarnation(&net), start + 60_000_000_001, "so soon after the last time");
    net.run_for(20 * SECOND);
    let hand = net.hand("org", "hand", node);
    net.send(hand.conn, frame(&twin.seal(words(u64::MAX))));
    net.run_for(SECOND);
    assert_eq!(incarnation(&net), start + 60_000_000_001, "there is none after the last");
    net.send(hand.conn, frame(&twin.seal(words(start + 90_000_000_000))));
    net.run_for(SECOND);
    assert_eq!(incarnation(&net), start + 90_000_000_001);
}
