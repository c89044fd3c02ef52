//! Bootstrap and anchor peers: who is asked for members, and who is not.

use alloc::collections::BTreeSet;
use core::time::Duration;

use crate::{ChannelConfig, ChannelId, Command, Endpoint, OrgId};

use super::net::{Net, at, outside, pki};

const SECOND: Duration = Duration::from_secs(1);

/// Configures a channel of a node, and returns whom it dialled because of that.
fn configure(net: &mut Net, sequence: u64, orgs: &[(&str, &[Endpoint])]) -> BTreeSet<Endpoint> {
    let orgs = orgs.iter().map(|(org, anchors)| (OrgId::from(*org), anchors.to_vec())).collect();
    let (channel, config) = (ChannelId::from("ch"), ChannelConfig { sequence, orgs });
    net.peers[0].dials.clear();
    net.command(0, Command::JoinChannel { channel, config, height: None });
    net.run_for(SECOND);
    net.peers[0].dials.iter().map(|(_, endpoint, _)| endpoint.clone()).collect()
}

/// CH-15, CH-16.
#[test]
fn all_anchors_are_contacted_when_one_is_new_and_none_when_the_sequence_alone_is() {
    let mut net = Net::new();
    for (org, name) in [("a", "node"), ("a", "p1"), ("a", "p2"), ("b", "p3")] {
        net.add(org, name, |_| {});
    }
    let [p1, p2, p3] =
        [("a", "p1"), ("a", "p2"), ("b", "p3")].map(|(org, name)| outside(org, name));
    let all = |anchors: &[&Endpoint]| anchors.iter().copied().cloned().collect::<BTreeSet<_>>();
    let ours = [p1.clone(), p2.clone()];
    let both: &[(&str, &[Endpoint])] = &[("a", &ours), ("b", core::slice::from_ref(&p3))];
    assert_eq!(configure(&mut net, 1, &both[..1]), all(&[&p1, &p2]));
    assert_eq!(configure(&mut net, 2, both), all(&[&p1, &p2, &p3]), "another organisation");
    assert_eq!(net.peers[0].members().len(), 3, "all have answered");
    assert_eq!(configure(&mut net, 3, both), all(&[]));
    let swapped = [p2.clone(), p1.clone()];
    assert_eq!(configure(&mut net, 3, &[both[1], ("a", &swapped)]), all(&[]), "another order");
    let fewer: &[(&str, &[Endpoint])] = &[("a", &ours[..1]), both[1]];
    assert_eq!(configure(&mut net, 2, fewer), all(&[]), "an old configuration");
    assert_eq!(configure(&mut net, 4, fewer), all(&[&p1, &p3]));
}

/// A node of `a` with a bootstrap peer, and another node.
fn pair(org: &str, bootstrap: Option<Endpoint>) -> Net {
    let mut net = Net::new();
    net.add("a", "node", |config| config.bootstrap = bootstrap.into_iter().collect());
    net.add(org, "other", |_| {});
    net.run_for(10 * SECOND);
    net
}

/// Says whether the other was asked for members, which makes the asker known to it.
fn was_asked(net: &mut Net) -> bool {
    net.run_for(10 * SECOND);
    assert!(!net.peers[0].dials.is_empty(), "it was contacted");
    net.peers[1].members().contains(&pki("a", "node"))
}

/// N-39.
#[test]
fn a_bootstrap_peer_that_is_of_another_organisation_is_not_asked() {
    assert!(was_asked(&mut pair("a", Some(at("a", "other")))));
    assert!(!was_asked(&mut pair("b", Some(outside("b", "other")))));
}

/// CH-19, N-40: what is claimed of a foreign anchor is not compared, and what it is counts.
#[test]
fn an_anchor_that_is_claimed_as_ours_must_be_and_another_may_be_of_any_organisation() {
    let anchored = |claimed: &'static str, org: &str| {
        let mut net = pair(org, None);
        let anchor = outside(org, "other");
        let orgs: &[(&str, &[Endpoint])] = &[("a", &[]), ("b", &[]), (claimed, &[anchor])];
        configure(&mut net, 1, orgs);
        net
    };
    let mut refused = anchored("a", "b");
    assert!(!was_asked(&mut refused));
    assert!(refused.peers[0].members().is_empty());
    for org in ["a", "b", "c"] {
        let mut net = anchored("b", org);
        assert!(was_asked(&mut net), "{org}");
        let other = &net.peers[0].node.members()[0];
        assert_eq!(other.org, Some(OrgId::from(org)));
        let node = &net.peers[1].node.members()[0];
        assert_eq!(node.internal_endpoint.is_some(), org == "a", "inside alone: {org}");
    }
}
