//! Bootstrap and anchor peers.

use super::*;

/// What a contact made us do.
#[derive(Debug, PartialEq)]
enum Did {
    Handshake(String),
    Send(PkiId),
}

fn did(world: &mut World) -> Vec<Did> {
    let did = world.drain().into_iter().filter_map(|effect| match effect {
        Effect::Handshake { endpoint, .. } => Some(Did::Handshake(endpoint.as_str().into())),
        Effect::Send { to, .. } => Some(Did::Send(to)),
        _ => None,
    });
    did.collect()
}

fn connect(world: &mut World, endpoint: &str, claimed: Claimed) {
    world.act(|discovery, cx| discovery.connect(endpoint.into(), claimed, cx));
}

fn found(world: &mut World, contact: u32, peer: Option<u8>) {
    let found = peer.map(|id| (pki(id), org(id)));
    world.act(|discovery, cx| discovery.on_handshake(contact, found, cx));
}

/// D-39.
#[test]
fn our_own_endpoints_are_not_contacted() {
    let mut world = World::new();
    for endpoint in ["127.0.0.1:7051", "localhost:7051", "peer0:7051", "peer0.example:7051"] {
        connect(&mut world, endpoint, Claimed::OwnOrg);
        connect(&mut world, endpoint, Claimed::Foreign);
    }
    assert_eq!(did(&mut world), []);
    for endpoint in ["127.0.0.1:7052", "localhost:70510", "peer0:7052", "other:7051"] {
        connect(&mut world, endpoint, Claimed::OwnOrg);
        assert_eq!(did(&mut world), [Did::Handshake(endpoint.into())]);
    }
}

#[test]
fn an_endpoint_that_turns_out_to_be_ours_is_contacted_no_more() {
    let mut world = World::with(|config| config.bootstrap = vec!["alias:7051".into()]);
    did(&mut world);
    found(&mut world, 0, Some(0));
    world.run(100 * SECOND);
    assert_eq!(did(&mut world), []);
}

#[test]
fn an_endpoint_is_contacted_once_at_a_time() {
    let mut world = World::with(|config| config.bootstrap = vec!["peer1:7051".into()]);
    connect(&mut world, "peer1:7051", Claimed::OwnOrg);
    assert_eq!(did(&mut world).len(), 1);
    found(&mut world, 0, Some(1));
    let nonce = world.sent()[0].message.nonce;
    world.act(|discovery, cx| discovery.on_response(nonce, cx));
    connect(&mut world, "peer1:7051", Claimed::OwnOrg);
    assert_eq!(did(&mut world).len(), 1, "again, when it was done");
}

/// A bootstrap or anchor peer may be back with another certificate: nobody else may know the way.
#[test]
fn an_endpoint_is_contacted_anew_when_the_identity_there_holds_no_longer() {
    let mut world = World::with(|config| config.bootstrap = vec!["peer1:7051".into()]);
    let anchor = said(21).external.into();
    let channel = crate::ChannelId::from("ch");
    world.act(|discovery, _| discovery.set_anchors(channel, [anchor].into()));
    world.learn([1, 2, 21]);
    found(&mut world, 0, Some(1));
    let nonce = world.sent()[0].message.nonce;
    world.act(|discovery, cx| discovery.on_response(nonce, cx));
    let mut removed = |id| {
        did(&mut world);
        world.act(|discovery, cx| discovery.on_identity_removed(&pki(id), cx));
        did(&mut world)
    };
    assert_eq!(removed(1), [Did::Handshake("peer1:7051".into())]);
    assert_eq!(removed(2), [], "it is neither");
    assert_eq!(removed(21), [Did::Handshake(said(21).external)]);
}

/// N10.2.
#[test]
fn foreign_anchors_are_left_alone_while_we_have_no_endpoint_for_them() {
    let mut world = World::with(|config| config.external_endpoint = None);
    connect(&mut world, "peer21:7051", Claimed::Foreign);
    assert_eq!(did(&mut world), []);
}

/// N10.1.
#[test]
fn a_bootstrap_peer_of_another_organisation_is_never_sent_a_request() {
    let mut world = World::with(|config| config.bootstrap = vec!["peer21:7051".into()]);
    world.drain();
    found(&mut world, 0, Some(21));
    assert_eq!(did(&mut world), []);
    world.run(SECOND);
    assert_eq!(did(&mut world), [Did::Handshake("peer21:7051".into())], "it is tried again");
}

/// N10.2.a, D-37.
#[test]
fn a_foreign_anchor_may_be_of_any_organisation_and_gets_no_secret() {
    let mut world = World::new();
    for (contact, id) in [(0, 21), (1, 41), (2, 1)] {
        connect(&mut world, &format!("anchor{id}:7051"), Claimed::Foreign);
        world.drain();
        found(&mut world, contact, Some(id));
        let sent = world.sent();
        assert_eq!(sent[0].to, pki(id));
        assert_eq!(sent[0].endpoint, Some(Endpoint::from(format!("anchor{id}:7051"))));
        assert_eq!(sent[0].request().internal_endpoint.is_some(), org(id) == "org-a".into());
    }
}

/// D-40; the first retries come sooner than Fabric's.
#[test]
fn identification_is_tried_120_times_soon_at_first_then_every_25_seconds() {
    let mut world = World::with(|config| config.bootstrap = vec!["peer1:7051".into()]);
    let mut pauses = Vec::new();
    loop {
        assert_eq!(did(&mut world), [Did::Handshake("peer1:7051".into())]);
        found(&mut world, 0, None);
        let Some(at) = world.timers.get(&Timer::Contact(0)) else { break };
        let pause = *at - world.now;
        pauses.push(pause.as_millis());
        world.run(pause);
    }
    assert_eq!(pauses.len(), 119);
    assert!((900..=1100).contains(&pauses[..5].iter().sum::<u128>()), "{pauses:?}");
    assert!(pauses[5..10].windows(2).all(|pair| pair[1] * 2 > pair[0] * 3), "{pauses:?}");
    assert!(pauses[10..].iter().all(|pause| (22_500..=27_500).contains(pause)), "{pauses:?}");
    world.run(1000 * SECOND);
    assert_eq!(did(&mut world), []);
}

/// D-40.
#[test]
fn the_identical_request_is_sent_again_until_any_response_has_its_nonce() {
    let mut world = World::with(|config| config.bootstrap = vec!["peer1:7051".into()]);
    world.drain();
    found(&mut world, 0, Some(1));
    let first = world.sent().remove(0);
    assert_ne!(first.message.nonce, 0);
    for _ in 0..5 {
        world.run(5 * SECOND);
        let again = world.sent();
        assert_eq!(again.len(), 1);
        assert_eq!((again[0].to, &again[0].frame), (pki(1), &first.frame));
    }
    world.act(|discovery, cx| discovery.on_response(first.message.nonce ^ 1, cx));
    world.run(5 * SECOND);
    assert_eq!(world.sent().len(), 1, "another nonce");
    world.act(|discovery, cx| discovery.on_response(first.message.nonce, cx));
    world.run(100 * SECOND);
    assert_eq!(did(&mut world), []);
}

/// D-40.
#[test]
fn a_request_is_given_up_after_120_times_however_long_identification_took() {
    let mut world = World::with(|config| config.bootstrap = vec!["peer1:7051".into()]);
    for _ in 0..100 {
        found(&mut world, 0, None);
        world.run(28 * SECOND);
    }
    world.drain();
    found(&mut world, 0, Some(1));
    world.run(3600 * SECOND);
    assert_eq!(world.sent().len(), 120);
    connect(&mut world, "peer1:7051", Claimed::OwnOrg);
    assert_eq!(did(&mut world), [Did::Handshake("peer1:7051".into())]);
}

/// A certificate may be replaced while its owner is being asked: whoever is there now is asked.
#[test]
fn who_is_at_an_endpoint_is_found_out_anew_when_its_identity_is_gone() {
    let mut world = World::with(|config| config.bootstrap = vec!["peer1:7051".into()]);
    world.drain();
    found(&mut world, 0, Some(1));
    assert_eq!(did(&mut world), [Did::Send(pki(1))]);
    world.identities.remove(&pki(1));
    world.run(5 * SECOND);
    assert_eq!(did(&mut world), [Did::Handshake("peer1:7051".into())]);
    found(&mut world, 0, Some(2));
    assert_eq!(did(&mut world), [Did::Send(pki(2))]);
}

#[test]
fn a_request_that_could_not_be_signed_is_made_at_the_next_attempt() {
    let mut world = World::with(|config| config.bootstrap = vec!["peer1:7051".into()]);
    world.signer = Signer::Fails;
    world.drain();
    found(&mut world, 0, Some(1));
    assert_eq!(did(&mut world), []);
    world.signer = Signer::Works;
    world.run(5 * SECOND);
    assert_eq!(did(&mut world), [Did::Send(pki(1))]);
}

#[test]
fn no_more_are_contacted_than_the_bound_allows() {
    let mut world = World::with(|config| config.limits.contacts_max = 2);
    for port in 1..5 {
        connect(&mut world, &format!("peer1:{port}"), Claimed::OwnOrg);
    }
    assert_eq!(did(&mut world).len(), 2);
    assert_eq!(world.stats.faults(Fault::Overflow), 2);
}
