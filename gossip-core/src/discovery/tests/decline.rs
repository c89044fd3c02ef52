//! Silence, probes and forgetting.

use super::*;

/// D-19, D-20.
#[test]
fn a_peer_is_dead_after_more_than_25_seconds_of_silence_and_is_disconnected() {
    let mut world = World::new();
    world.push(said(1).by(1));
    world.drain();
    world.run(25 * SECOND);
    assert!(world.is_alive(1), "exactly 25 s");
    world.run(SECOND * 5 / 2);
    assert!(world.is_dead(1));
    let effects = world.drain();
    let is_end = |effect: &Effect| {
        matches!(effect, Effect::Disconnect { pki_id, reason: CloseReason::PeerDead }
            if *pki_id == pki(1))
    };
    assert_eq!(effects.iter().filter(|effect| is_end(effect)).count(), 1);
}

fn pinged(world: &mut World) -> Vec<(Instant, u8)> {
    let pings = world.log.drain(..).filter_map(|(at, effect)| match effect {
        Effect::Ping { pki_id, .. } => Some((at, pki_id.as_bytes()[0])),
        _ => None,
    });
    pings.collect()
}

fn pong(world: &mut World, id: u8, alive: bool) {
    world.act(|discovery, cx| discovery.on_ping(pki(id), alive, cx));
}

/// D-42.
#[test]
fn a_dead_peer_is_probed_at_once_and_then_every_25_seconds() {
    let mut world = World::new();
    world.learn([1]);
    world.drain();
    world.act(|discovery, cx| discovery.on_presumed_dead(&pki(1), cx));
    let mut last = world.now;
    assert_eq!(pinged(&mut world), [(last, 1)]);
    for _ in 0..10 {
        pong(&mut world, 1, false);
        assert_eq!(world.drain().len(), 0);
        world.run(28 * SECOND);
        let pings = pinged(&mut world);
        assert_eq!(pings.len(), 1);
        let pause = pings[0].0 - last;
        assert!(pause >= SECOND * 225 / 10, "{pause:?}");
        last = world.now;
    }
}

/// D-42.
#[test]
fn a_dead_peer_that_answers_is_asked_with_a_message_it_cannot_have_seen() {
    let mut world = World::new();
    world.learn([1]);
    world.run(SECOND);
    let seen = world.gossiped().last().unwrap().stamp;
    world.act(|discovery, cx| discovery.on_presumed_dead(&pki(1), cx));
    world.drain();
    pong(&mut world, 1, true);
    let sent = world.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].to, sent[0].message.nonce), (pki(1), 0));
    assert_eq!(sent[0].endpoint, Some("peer1:7051".into()));
    assert!(sent[0].request().stamp > seen);
    pong(&mut world, 1, true);
    assert_eq!(world.sent().len(), 0, "an answer to no probe");
}

/// D-42.
#[test]
fn a_peer_that_came_alive_is_probed_no_more() {
    let mut world = World::new();
    world.learn([1]);
    world.act(|discovery, cx| discovery.on_presumed_dead(&pki(1), cx));
    pong(&mut world, 1, false);
    world.drain();
    for sequence in 2..20 {
        world.push(said(1).by(sequence));
        world.run(10 * SECOND);
    }
    assert_eq!(pinged(&mut world), []);
}

/// D-42.
#[test]
fn a_peer_that_dies_again_is_not_probed_twice_at_a_time() {
    let mut world = World::new();
    for sequence in 1..4 {
        world.push(said(1).by(sequence));
        world.act(|discovery, cx| discovery.on_presumed_dead(&pki(1), cx));
    }
    assert_eq!(pinged(&mut world).len(), 1);
    pong(&mut world, 1, false);
    world.run(28 * SECOND);
    assert_eq!(pinged(&mut world).len(), 1);
}

#[test]
fn at_most_32_probes_are_under_way() {
    let mut world = World::new();
    world.learn(1..60);
    world.drain();
    for id in 1..60 {
        world.act(|discovery, cx| discovery.on_presumed_dead(&pki(id), cx));
    }
    let first = pinged(&mut world);
    assert_eq!(first.len(), 32);
    world.run(100 * SECOND);
    assert_eq!(pinged(&mut world), [], "none was answered");
    for (_, id) in first {
        pong(&mut world, id, false);
    }
    assert_eq!(pinged(&mut world).len(), 27);
}

/// D-43; P-58, W-38: told of once, by the first look after its time.
#[test]
fn a_peer_is_forgotten_after_500_seconds_of_silence() {
    let mut world = World::new();
    world.push(said(1).by(1));
    world.run(500 * SECOND);
    assert!(world.is_dead(1));
    world.run(6 * SECOND);
    assert!(!world.discovery.knows(&pki(1)));
    let effects = world.drain();
    let is_forgotten = |effect: &&Effect| matches!(effect, Effect::MemberForgotten { .. });
    assert_eq!(effects.iter().filter(is_forgotten).count(), 1);
}

/// D-43, D16.c: unlike in Fabric.
#[test]
fn what_counts_is_the_last_proof_of_life_by_any_way() {
    let mut world = World::new();
    world.push(said(1).by(1));
    world.response_dead(said(2).by(1));
    for round in 0..60 {
        world.run(10 * SECOND);
        world.response_alive(said(1).by(2 + round));
        assert!(world.is_alive(1), "alive by membership exchange alone");
    }
    assert!(!world.discovery.knows(&pki(2)), "known by responses alone");
}

/// D-44.
#[test]
fn bootstrap_and_anchor_peers_are_never_forgotten() {
    let mut world = World::with(|config| config.bootstrap = vec!["peer1:7051".into()]);
    let anchors = ["peer2.example:7051".into(), "::1:7051".into()];
    world.discovery.set_anchors("channel".into(), anchors.into());
    world.push(said(1).by(1));
    world.push(said(2).without_secret().by(1));
    world.push(said(3).external("[::1]:7051").by(1));
    world.push(said(4).by(1));
    world.run(2000 * SECOND);
    assert!(world.is_dead(1) && world.is_dead(2) && world.is_dead(3));
    assert!(!world.discovery.knows(&pki(4)));
    world.discovery.set_anchors("channel".into(), BTreeSet::new());
    world.run(6 * SECOND);
    assert!(!world.discovery.knows(&pki(2)), "an anchor no more");
}

/// D-36.
#[test]
fn what_a_forgotten_peer_said_stays_refused_for_another_500_seconds() {
    let mut world = World::new();
    world.push(said(1).by(5));
    world.response_alive(said(1).by(7));
    world.run(506 * SECOND);
    for alive in [said(1).by(6), said(1).by(7)] {
        assert!(!world.discovery.would_accept_pushed(&alive));
        assert!(!world.discovery.would_accept_element(&alive, false));
        assert!(!world.discovery.would_accept_element(&alive, true));
        world.response_dead(alive.clone());
        world.response_alive(alive);
        assert!(!world.discovery.knows(&pki(1)));
    }
    assert!(world.discovery.would_accept_element(&said(1).by(8), true));
    world.run(500 * SECOND);
    assert!(world.discovery.would_accept_element(&said(1).by(7), true));
}

/// D-36.
#[test]
fn what_was_refused_before_a_newer_statement_stays_refused_after_it() {
    let mut world = World::new();
    world.push(said(1).by(7));
    world.run(506 * SECOND);
    world.response_alive(said(1).by(9));
    assert!(!world.discovery.would_accept_pushed(&said(1).by(7)));
    assert!(world.discovery.would_accept_pushed(&said(1).by(8)));
}

#[test]
fn the_memory_of_the_forgotten_is_bounded_and_loses_the_oldest() {
    let mut world = World::with(|config| config.limits.members_max = 2);
    for id in 1..5 {
        world.push(said(id).by(1));
        world.now += SECOND;
        world.act(|discovery, cx| discovery.on_identity_removed(&pki(id), cx));
    }
    let refused: Vec<_> =
        (1..5).filter(|id| !world.discovery.would_accept_pushed(&said(*id).by(1))).collect();
    assert_eq!(refused, [3, 4]);
}
