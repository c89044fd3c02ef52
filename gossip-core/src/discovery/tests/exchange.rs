//! Membership requests and responses.

use super::*;

/// D-25.
#[test]
fn every_valid_request_is_answered_with_its_nonce_also_when_it_is_repeated() {
    let mut world = World::new();
    for _ in 0..2 {
        world.request(said(1).by(1), 42);
        let sent = world.sent();
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].to, sent[0].message.nonce), (pki(1), 42));
        assert_eq!(sent[0].endpoint, Some("peer1:7051".into()), "what it advertises");
    }
}

/// D-26.
#[test]
fn a_request_makes_the_requester_known() {
    let mut world = World::new();
    world.request(said(1).by(3), 1);
    assert!(world.is_alive(1));
    // It was not pushed: a pushed copy is passed on.
    assert!(world.discovery.would_accept_pushed(&said(1).by(3)));
}

/// D8.1: a request that is newer than the table but not than the store changes nothing.
#[test]
fn a_request_older_than_what_was_pushed_changes_nothing_and_is_answered() {
    let mut world = World::new();
    world.push(said(1).by(5));
    world.request(said(1).metadata(b"old").by(4), 1);
    assert_eq!(world.discovery.peer(&pki(1)).unwrap().metadata.len(), 0);
    assert_eq!(world.sent().len(), 1);
}

/// D-27.
#[test]
fn a_response_is_unsigned_with_an_empty_tag_and_our_own_message_last() {
    let mut world = World::new();
    world.learn([1, 2, 3]);
    world.request(said(1).by(2), 1);
    let sent = world.sent();
    assert_eq!(sent[0].message.tag, wire::Tag::Empty as i32);
    assert!(sent[0].message.channel.is_empty());
    assert!(sent[0].envelope.signature.is_empty());
    let (alive, _) = sent[0].response();
    assert_eq!(ids(&alive), [1, 2, 3, 0]);
}

/// Peers 1, 2, 21 and 41 are alive, as are 4 and 23 without an external endpoint; 3, 22 and 42
/// are dead.
fn crowd() -> World {
    let mut world = World::new();
    world.learn([1, 2, 21, 41]);
    world.response_alive(said(4).external("").by(1));
    world.response_alive(said(23).external("").by(1));
    for id in [3, 22, 42] {
        world.response_dead(said(id).by(1));
    }
    world.drain();
    world
}

/// D-28.
#[test]
fn our_organisation_is_told_of_its_own_peers_with_their_secrets_and_of_no_others() {
    let mut world = crowd();
    world.request(said(1).external("").by(2), 1);
    let (alive, dead) = world.sent()[0].response();
    assert_eq!((ids(&alive), ids(&dead)), (vec![1, 2, 4, 0], vec![3]));
    let has_secret = |alive: &Alive| alive.internal_endpoint.is_some();
    assert!(alive.iter().chain(&dead).all(has_secret));
}

/// D-29.
#[test]
fn another_organisation_is_told_of_its_own_peers_and_our_public_ones_without_secrets() {
    let mut world = crowd();
    world.request(said(21).by(2), 1);
    let (alive, dead) = world.sent()[0].response();
    assert_eq!((ids(&alive), ids(&dead)), (vec![1, 2, 21, 23, 0], vec![3, 22]));
    let has_secret = |alive: &Alive| alive.envelope.secret_envelope.is_some();
    assert!(!alive.iter().chain(&dead).any(has_secret));
}

/// Requests that are answered by the end of the connection.
fn assert_refused(world: &mut World, alive: Alive) {
    let id = alive.pki_id;
    world.drain();
    let signs = world.signs;
    world.request(alive, 1);
    assert_eq!(world.signs, signs);
    let effects = world.drain();
    let is_refusal = |effect: &Effect| {
        matches!(effect, Effect::Disconnect { pki_id, reason: CloseReason::NotDisclosed }
            if *pki_id == id)
    };
    assert_eq!(effects.iter().filter(|effect| is_refusal(effect)).count(), 1, "{effects:?}");
    let is_send = |effect: &Effect| matches!(effect, Effect::Send { .. });
    assert!(!effects.iter().any(is_send), "{effects:?}");
}

/// D-30.
#[test]
fn between_organisations_both_sides_must_have_an_external_endpoint() {
    assert_refused(&mut World::new(), said(21).external("").by(1));
    let mut hidden = World::with(|config| config.external_endpoint = None);
    assert_refused(&mut hidden, said(21).by(1));
    hidden.request(said(1).external("").by(1), 1);
    assert_eq!(hidden.sent().len(), 1, "our own organisation needs none");
}

/// D-31.
#[test]
fn whose_organisation_is_unknown_is_told_nothing() {
    assert_refused(&mut World::new(), said(200).by(1));
}

/// D-31: while the response waited for a signature, the requester's identity was lost.
#[test]
fn disclosure_is_decided_when_the_response_is_sent() {
    let mut world = World::new();
    world.signer = Signer::Waits;
    world.request(said(1).by(1), 1);
    world.drain();
    world.identities.remove(&pki(1));
    world.act(|discovery, cx| discovery.on_identity_removed(&pki(1), cx));
    world.sign();
    let effects = world.drain();
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Send { .. })), "{effects:?}");
}

/// D15.d.
#[test]
fn a_peer_whose_identity_is_gone_is_not_disclosed() {
    let mut world = crowd();
    world.identities.remove(&pki(2));
    world.request(said(1).by(2), 1);
    assert_eq!(ids(&world.sent()[0].response().0), [1, 4, 0]);
}

/// D-32.
#[test]
fn the_living_of_a_response_are_learned_and_not_passed_on() {
    let mut world = World::new();
    world.drain();
    assert!(world.discovery.would_accept_element(&said(1).by(2), false));
    world.response_alive(said(1).by(2));
    assert!(world.is_alive(1));
    assert!(!world.discovery.would_accept_element(&said(1).by(2), false));
    assert!(world.discovery.would_accept_element(&said(1).by(3), false));
    let effects = world.drain();
    let is_forward = |effect: &Effect| matches!(effect, Effect::Forward { .. });
    assert!(!effects.iter().any(is_forward), "{effects:?}");
}

/// D-34.
#[test]
fn the_dead_of_a_response_are_learned_if_unknown_and_kill_nobody() {
    let mut world = World::new();
    world.learn([1]);
    for sequence in [1, 100] {
        let alive = said(1).by(sequence);
        assert!(!world.discovery.would_accept_element(&alive, true));
        world.response_dead(alive);
    }
    assert!(world.is_alive(1));
    assert_eq!(world.discovery.peer(&pki(1)).unwrap().stamp().sequence, 1, "D8.3.c");
    assert!(world.discovery.would_accept_element(&said(2).by(1), true));
    world.response_dead(said(2).by(1));
    assert!(world.is_dead(2));
}

/// D-37, D-38, D14.b.
#[test]
fn requests_carry_our_secret_to_our_own_organisation_alone() {
    let mut world = World::with(|config| config.pull_peer_num = 10);
    world.learn([1, 21, 200]);
    world.act(|discovery, cx| discovery.on_timer(Timer::Sync, cx));
    let sent = world.sent();
    let told: BTreeMap<_, _> =
        sent.iter().map(|sent| (sent.to, sent.request().internal_endpoint)).collect();
    assert_eq!(told[&pki(1)], Some("peer0:7051".into()));
    assert_eq!(told[&pki(21)], None);
    assert_eq!(told[&pki(200)], None, "of unknown organisation");
    assert!(sent.iter().all(|sent| sent.message.nonce == 0 && sent.envelope.signature.is_empty()));
    assert!(sent.iter().all(|sent| sent.message.tag == wire::Tag::Empty as i32));
}

#[test]
fn a_response_is_never_larger_than_a_frame() {
    let mut world = World::with(|config| config.limits.sent_frame_bytes_max = 2000);
    world.learn(1..19);
    world.response_dead(said(19).by(1));
    world.request(said(1).by(2), 1);
    let sent = world.sent();
    assert!((500..2000).contains(&sent[0].frame.len()), "{}", sent[0].frame.len());
    assert_eq!(ids(&sent[0].response().0).last(), Some(&0));
}

/// D-47.
#[test]
fn after_stop_nothing_is_sent_or_known() {
    let mut world = World::with(|config| config.bootstrap = vec!["peer9:7051".into()]);
    world.learn([1, 2]);
    world.signer = Signer::Waits;
    world.request(said(1).by(2), 1);
    world.act(|discovery, cx| discovery.on_presumed_dead(&pki(2), cx));
    world.drain();
    world.discovery.stop();
    assert_eq!(world.drain().len(), 0);
    assert_eq!(world.discovery.alive().count(), 0);
    world.signer = Signer::Works;
    world.sign();
    world.push(said(3).by(1));
    world.request(said(3).by(1), 1);
    world.response_alive(said(3).by(1));
    world.response_dead(said(3).by(1));
    world.act(|discovery, cx| {
        discovery.on_ping(pki(2), true, cx);
        discovery.on_handshake(0, Some((pki(9), org(9))), cx);
        discovery.connect("peer8:7051".into(), Claimed::OwnOrg, cx);
    });
    world.run(100 * SECOND);
    assert_eq!(world.drain().len(), 0);
    assert_eq!(world.discovery.alive_len(), 0);
    assert!(!world.discovery.knows(&pki(3)));
}
