//! What can be seen of a node, and what it tells of who comes and goes.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use crate::{ChannelConfig, ChannelId, Command, Identity, Notice, OrgId, PeerEndpoints, Signed};

use super::{
    hand::{Hand, frame},
    net::{Net, at, identity, outside, pki, sign},
};

const SECOND: Duration = Duration::from_secs(1);

/// Nodes of `a` and `b` in a channel, who know each other.
fn crowd(names: &[(&str, &str)]) -> Net {
    let mut net = Net::new();
    for (org, name) in names {
        let peer = net.add(org, name, |_| {});
        let anchors = vec![outside("a", "one")];
        let orgs = vec![(OrgId::from("a"), anchors), (OrgId::from("b"), vec![])];
        let config = ChannelConfig { sequence: 1, orgs };
        net.command(peer, Command::JoinChannel { channel: ch(), config, height: Some(7) });
    }
    let others = names.len() - 1;
    let all_know = |net: &Net| net.peers.iter().all(|p| p.channel_peers("ch").len() == others);
    net.run_until(60 * SECOND, all_know);
    net
}

fn ch() -> ChannelId {
    ChannelId::from("ch")
}

/// What a node told of who came to a channel and who went: PKI-IDs and endpoints.
fn told(net: &Net, peer: usize) -> Vec<(Vec<PeerEndpoints>, Vec<PeerEndpoints>)> {
    let notices = net.peers[peer].notices.iter().filter_map(|(_, notice)| match notice {
        Notice::ChannelMembership { online, offline, .. } => {
            Some((online.clone(), offline.clone()))
        }
        _ => None,
    });
    notices.collect()
}

fn node_and_hand() -> (Net, Hand) {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    net.join(0, "ch", &["a", "b"], 1);
    let hand = net.hand("a", "hand", 0);
    let mut alive = hand.alive(1);
    alive.secret_envelope = Some(hand.secret("hand.a:7051"));
    net.send(hand.conn, frame(&alive));
    net.run_for(Duration::from_millis(10));
    net.send(hand.conn, frame(&hand.state_info("ch", 1, 1)));
    net.run_for(Duration::from_millis(10));
    (net, hand)
}

/// 40-emitter-and-node.md §11: `SelfMembershipInfo`, without D4.b.
#[test]
fn to_look_at_ourselves_costs_no_signature_and_no_version() {
    let mut net = crowd(&[("a", "one"), ("a", "two")]);
    net.command(0, Command::SetMetadata { metadata: "new".into() });
    let node = &net.peers[0].node;
    let (before, own) = (node.stats().clone(), node.self_membership());
    assert_eq!(node.self_membership(), own);
    assert_eq!(*node.stats(), before);
    assert_eq!((own.pki_id, own.org), (pki("a", "one"), Some(OrgId::from("a"))));
    assert_eq!(own.internal_endpoint, Some(at("a", "one")));
    assert_eq!(own.external_endpoint, Some(outside("a", "one")));
    assert_eq!(own.metadata, "new");
}

/// `SelfChannelInfo`; CH-21: nothing before there is anything to say.
#[test]
fn we_know_what_we_last_said_on_a_channel() {
    let (mut net, _hand) = node_and_hand();
    assert_eq!(net.peers[0].node.channels(), [ch()]);
    let unknown = ChannelId::from("other");
    assert_eq!(net.peers[0].node.self_channel(&unknown), None);
    net.command(0, Command::SetLedgerHeight { channel: ch(), height: 9 });
    net.run_for(10 * SECOND);
    let said = net.peers[0].node.self_channel(&ch()).expect("it was published");
    assert_eq!((said.ledger_height, said.left), (9, false));
    let Signed { payload, signature } = said.signed;
    assert_eq!(signature, sign(&identity("a", "node"), &payload));
    let mut alone = Net::new();
    alone.add("a", "alone", |_| {});
    alone.join(0, "ch", &["a"], 1);
    assert_eq!(alone.peers[0].node.self_channel(&ch()), None);
}

/// `IsInMyOrg`, `IdentityInfo`.
#[test]
fn identities_and_organisations_can_be_asked_for_one_by_one() {
    let net = crowd(&[("a", "one"), ("a", "two"), ("b", "three")]);
    let node = &net.peers[0].node;
    let ids = [("a", "one"), ("a", "two"), ("b", "three"), ("a", "nobody")];
    assert_eq!(
        ids.map(|(org, name)| node.is_in_my_org(&pki(org, name))),
        [true, true, false, false]
    );
    let known: Vec<Option<(Identity, OrgId)>> = ids
        .iter()
        .map(|(org, name)| node.identity(&pki(org, name)))
        .map(|known| known.map(|(identity, org)| (identity.clone(), org.clone())))
        .collect();
    let expected = |(org, name): &(&str, &str)| Some((identity(org, name), OrgId::from(*org)));
    let mut all: Vec<_> = ids.iter().map(expected).collect();
    all[3] = None;
    assert_eq!(known, all);
}

#[test]
fn the_dead_are_known_with_the_time_of_their_death() {
    let mut net = crowd(&[("a", "one"), ("a", "two")]);
    let met = net.peers[0].node.known_peers();
    let [two] = &*met else { panic!("{met:?}") };
    assert!(two.is_alive && two.connection.is_some(), "{two:?}");
    assert_eq!(two.member.pki_id, pki("a", "two"));
    net.switch_off(1);
    net.run_for(60 * SECOND);
    let [dead] = &*net.peers[0].node.known_peers() else { panic!("it is not forgotten yet") };
    assert!(!dead.is_alive && dead.connection.is_none(), "{dead:?}");
    assert!(dead.since > two.since, "{dead:?}");
    assert!(net.peers[0].node.members().is_empty());
}

/// 60-channel.md §16.1: a policy can be evaluated over each of these.
#[test]
fn every_member_of_a_channel_comes_with_a_signature_of_its_own() {
    let mut net = crowd(&[("a", "one"), ("a", "two"), ("b", "three")]);
    let proofs = net.peers[0].node.channel_proofs(&ch()).expect("it was joined");
    assert_eq!(proofs.len(), 2);
    for proof in &proofs {
        let Signed { payload, signature } = &proof.signed;
        assert_eq!(*signature, sign(&proof.identity, payload));
        assert!(net.peers[0].channel_peers("ch").contains(&proof.pki_id));
    }
    assert_eq!(net.peers[0].node.channel_size(&ch()), Some(2));
    let unknown = ChannelId::from("other");
    assert_eq!(net.peers[0].node.channel_proofs(&unknown), None);
    assert_eq!(net.peers[0].node.channel_size(&unknown), None);
    net.command(0, Command::LeaveChannel { channel: ch() });
    assert_eq!(net.peers[0].node.channel_proofs(&ch()), Some(vec![]), "CH-67");
    assert_eq!(net.peers[0].node.channels(), []);
}

/// CH-68.
#[test]
fn who_comes_and_who_goes_is_told_at_intervals() {
    let (mut net, hand) = node_and_hand();
    assert!(told(&net, 0).is_empty(), "not before its time");
    net.run_for(5 * SECOND);
    let peer = PeerEndpoints {
        pki_id: hand.pki_id,
        endpoints: vec!["hand.example.com:443".into(), "hand.a:7051".into()],
    };
    assert_eq!(told(&net, 0), [(vec![peer.clone()], vec![])]);
    net.send(hand.conn, frame(&hand.alive(2)));
    net.run_for(10 * SECOND);
    assert_eq!(told(&net, 0).len(), 1, "nothing has changed");
    net.send(hand.conn, frame(&hand.state_info_with("ch", 2, 1, true)));
    net.run_for(5 * SECOND);
    let Some((online, offline)) = told(&net, 0).pop() else { panic!("it left") };
    assert_eq!((online, offline.len(), offline[0].pki_id), (vec![], 1, peer.pki_id));
}

/// CH-68.
#[test]
fn the_dead_are_told_to_have_gone() {
    let (mut net, _hand) = node_and_hand();
    net.run_for(60 * SECOND);
    let told = told(&net, 0);
    let counts: Vec<_> = told.iter().map(|(came, went)| (came.len(), went.len())).collect();
    assert_eq!((counts, net.peers[0].node.channel_size(&ch())), (vec![(1, 0), (0, 1)], Some(0)));
}

#[test]
fn what_peers_make_grow_is_counted_with_its_bound() {
    let mut net = Net::new();
    net.add("a", "node", |config| {
        config.limits.identities_max = 3;
        config.limits.members_max = 2;
    });
    net.join(0, "ch", &["a", "b"], 1);
    let size = |net: &Net, name: &str| {
        let tables = net.peers[0].node.tables();
        let mut named = tables.iter().filter(|table| table.name == name);
        let table = named.next().unwrap_or_else(|| panic!("no table of {name}: {tables:?}"));
        assert_eq!(named.next(), None, "one of each kind");
        (table.size, table.max)
    };
    assert_eq!(size(&net, "identities"), (1, 3), "ours");
    assert_eq!(size(&net, "channels"), (1, 256));
    for name in ["one", "two"] {
        let hand = net.hand("a", name, 0);
        net.send(hand.conn, frame(&hand.alive(1)));
        net.send(hand.conn, frame(&hand.state_info("ch", 1, 1)));
        net.run_for(Duration::from_millis(100));
    }
    assert_eq!(size(&net, "identities"), (3, 3));
    assert_eq!(size(&net, "members"), (2, 2));
    assert_eq!(size(&net, "inbound connections"), (2, 4096));
    net.run_for(5 * SECOND);
    assert_eq!(size(&net, "StateInfo of one channel"), (3, 3), "ours finds room in any case");
    assert_eq!(size(&net, "claims"), (0, 16_384), "none waits");
}
