//! Nodes that find each other.

use alloc::{collections::BTreeSet, format, vec, vec::Vec};
use core::time::Duration;

use crate::{ChannelConfig, ChannelId, Command, Fault, Notice, OrgId, PkiId};

use super::{
    hand::frame,
    net::{Net, at, outside},
};

const SECOND: Duration = Duration::from_secs(1);

/// Nodes `p0`, `p1`, … of each organisation in a channel, whose first ones are anchors, and the
/// bootstrap peers of their own.
pub(super) fn network(orgs: &[&str], each: usize) -> Net {
    let mut net = Net::new();
    let anchors: Vec<_> =
        orgs.iter().map(|org| (OrgId::from(*org), vec![outside(org, "p0")])).collect();
    for org in orgs {
        for name in 0..each {
            let peer = net.add(org, &format!("p{name}"), |config| {
                config.bootstrap = vec![at(org, "p0")];
            });
            let config = ChannelConfig { sequence: 1, orgs: anchors.clone() };
            let channel = ChannelId::from("ch");
            net.command(peer, Command::JoinChannel { channel, config, height: Some(1) });
        }
    }
    net
}

/// Says whether every node holds every other alive.
pub(super) fn is_membership_full(net: &Net) -> bool {
    net.peers.iter().all(|peer| peer.members() == others(net, &peer.config.pki_id))
}

/// Says whether every node knows every other in the channel.
pub(super) fn is_channel_full(net: &Net) -> bool {
    net.peers.iter().all(|peer| peer.channel_peers("ch") == others(net, &peer.config.pki_id))
}

fn others(net: &Net, own: &PkiId) -> BTreeSet<PkiId> {
    net.peers.iter().map(|peer| peer.config.pki_id).filter(|pki_id| pki_id != own).collect()
}

/// Fails if a node holds something against another: all are honest.
pub(super) fn assert_no_faults(net: &Net) {
    for (ix, peer) in net.peers.iter().enumerate() {
        for fault in Fault::ALL {
            let count = peer.node.stats().faults(*fault);
            // What is known where, and what came twice, is a matter of timing.
            let is_normal = matches!(fault, Fault::Stale | Fault::UnknownIdentity);
            assert!(count == 0 || is_normal, "peer {ix} saw {count} times: {fault}");
        }
        let is_blame = |notice: &Notice| {
            matches!(notice, Notice::PeerMisbehaved { .. } | Notice::HandshakeFailed { .. })
        };
        assert!(!peer.has_noticed(is_blame), "peer {ix} blames somebody: {:?}", peer.notices);
    }
}

#[test]
fn two_nodes_connect_authenticate_and_see_each_other() {
    let mut net = Net::new();
    let a = net.add("org", "a", |_| {});
    let b = net.add("org", "b", |config| config.bootstrap = vec![at("org", "a")]);
    let time = net.run_until(SECOND, is_membership_full);
    assert!(time < Duration::from_millis(200), "{time:?}");
    for (own, other) in [(a, b), (b, a)] {
        let seen = &net.peers[own].node.members()[0];
        let theirs = &net.peers[other].config;
        assert_eq!(seen.internal_endpoint.as_ref(), Some(&theirs.endpoint));
        assert_eq!(seen.external_endpoint, theirs.external_endpoint);
        assert_eq!(seen.org.as_ref(), Some(&theirs.org));
    }
    net.run_for(20 * SECOND);
    assert!(is_membership_full(&net));
    assert_eq!((net.connections(a).len(), net.connections(b).len()), (1, 1));
    assert_no_faults(&net);
}

#[test]
fn four_nodes_of_two_organisations_know_all_and_what_they_have_within_200_ms() {
    let mut net = network(&["a", "b"], 2);
    let members = net.run_until(5 * SECOND, is_membership_full);
    let channel = net.run_until(5 * SECOND, is_channel_full);
    assert!(members + channel < SECOND / 5, "members {members:?}, then channel {channel:?}");
    net.run_for(60 * SECOND);
    assert!(is_membership_full(&net) && is_channel_full(&net));
    assert_no_faults(&net);
}

/// D-44: anchors and bootstrap peers are never forgotten, so that an organisation that was away for
/// a day is back by itself.
#[test]
fn a_partition_of_a_day_heals() {
    let mut net = network(&["a", "b"], 2);
    net.run_until(10 * SECOND, is_channel_full);
    net.cut_off(&[2, 3], true);
    net.run_for(24 * 3600 * SECOND);
    for (peer, mate) in [(0, 1), (1, 0), (2, 3), (3, 2)] {
        assert_eq!(net.peers[peer].members(), [net.peers[mate].config.pki_id].into());
    }
    net.cut_off(&[2, 3], false);
    let time = net.run_until(120 * SECOND, is_membership_full);
    assert!(time < 60 * SECOND, "{time:?}");
    net.run_until(60 * SECOND, is_channel_full);
}

/// A secret is of its author's organisation. Fabric lets some out, and whoever is hostile may let
/// out any: its endpoint is not for us, and dialling it would make the peer look dead.
#[test]
fn the_internal_endpoint_of_another_organisations_peer_is_not_used() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    for (org, is_ours) in [("a", true), ("b", false)] {
        let hand = net.hand(org, "hand", 0);
        let mut alive = hand.alive(1);
        alive.secret_envelope = Some(hand.secret("hand.internal:7051"));
        net.send(hand.conn, frame(&alive));
        net.run_for(SECOND);
        let members = net.peers[0].node.members();
        let member = members.iter().find(|member| member.pki_id == hand.pki_id);
        let member = member.expect("it is alive");
        assert_eq!(member.internal_endpoint.is_some(), is_ours, "{member:?}");
        assert!(member.external_endpoint.is_some());
    }
}
