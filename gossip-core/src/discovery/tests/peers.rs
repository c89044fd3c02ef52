//! The table of peers, and what pushed messages do to it.

use super::*;

fn forwarded(world: &mut World) -> Vec<(u8, Vec<PkiId>)> {
    let forwarded = world.drain().into_iter().filter_map(|effect| match effect {
        Effect::Forward { alive, sources } => {
            Some((alive.pki_id.as_bytes()[0], sources.into_vec()))
        }
        _ => None,
    });
    forwarded.collect()
}

/// D-9.
#[test]
fn a_copy_of_what_was_pushed_before_is_not_worth_a_signature_check() {
    let mut world = World::new();
    assert!(world.discovery.would_accept_pushed(&said(1).by(4)));
    world.push(said(1).by(4));
    assert!(!world.discovery.would_accept_pushed(&said(1).by(4)), "a duplicate");
    assert!(!world.discovery.would_accept_pushed(&said(1).by(3)), "an older one");
    assert!(world.discovery.would_accept_pushed(&said(1).by(5)));
}

/// D-10.
#[test]
fn our_own_messages_change_nothing_and_are_not_passed_on() {
    let mut world = World::new();
    world.drain();
    let own = said(0).external("peer0.example:7051").internal("peer0:7051").by(1);
    assert!(!world.discovery.would_accept_pushed(&own));
    assert!(!world.discovery.would_accept_element(&own, false));
    assert!(!world.discovery.would_accept_element(&own, true));
    world.push(own.clone());
    world.response_alive(own.clone());
    world.response_dead(own.clone());
    world.request(own.clone(), 1);
    world.act(|discovery, cx| discovery.on_own_alive(&own, cx));
    assert_eq!(world.drain().len(), 0);
    assert_eq!(world.discovery.alive_len(), 0);
}

/// §8.4.
#[test]
fn another_process_with_our_identity_is_noticed_once_for_each_pair_of_endpoints() {
    let mut world = World::new();
    world.drain();
    let mut notice = |own: Said| {
        let own = own.by(1);
        world.act(|discovery, cx| discovery.on_own_alive(&own, cx));
        let is_notice =
            |action: &Action| matches!(action, Action::Notify(Notice::OwnIdentityElsewhere { .. }));
        let notices = core::mem::take(&mut world.actions);
        assert!(notices.iter().all(is_notice), "{notices:?}");
        assert_eq!(world.drain().len(), 0);
        notices.len()
    };
    let own = said(0).external("peer0.example:7051").internal("peer0:7051");
    assert_eq!(notice(own.clone().without_secret()), 0, "our own, stripped");
    assert_eq!(notice(own.clone().internal("other:7051")), 1);
    assert_eq!(notice(own.clone().internal("other:7051")), 0);
    assert_eq!(notice(own.external("other.example:7051")), 1);
    let many = (0..100).map(|port| notice(said(0).external(&format!("other:{port}"))));
    assert!(many.sum::<usize>() < 10, "anybody can name any endpoint");
}

/// D-11, D-13.
#[test]
fn a_new_message_makes_its_peer_alive_and_is_passed_on_once() {
    let mut world = World::new();
    world.push_from(said(1).by(1), &[2, 3]);
    assert!(world.is_alive(1));
    assert_eq!(forwarded(&mut world), [(1, vec![pki(2), pki(3)])]);
    // Another copy was verified at the same time.
    world.push_from(said(1).by(1), &[4]);
    assert_eq!(forwarded(&mut world), []);
    assert_eq!(world.stats.faults(Fault::Stale), 1);
}

/// D-12.
#[test]
fn a_pushed_message_that_a_response_has_overtaken_is_passed_on_and_changes_nothing() {
    let mut world = World::new();
    world.push(said(1).by(1));
    world.response_alive(said(1).metadata(b"new").by(5));
    world.drain();
    world.now += SECOND;
    world.push(said(1).metadata(b"old").by(3));
    assert_eq!(forwarded(&mut world).len(), 1);
    let peer = world.discovery.peer(&pki(1)).unwrap();
    assert_eq!((peer.stamp().sequence, &peer.metadata[..]), (5, &b"new"[..]));
    assert_eq!(peer.last_seen, Instant::from_nanos(5));
    // The same message that the response brought is passed on as well, when it is pushed.
    world.push(said(1).metadata(b"new").by(5));
    assert_eq!(forwarded(&mut world).len(), 1);
    world.push(said(1).by(4));
    assert_eq!(forwarded(&mut world).len(), 0);
}

/// D-14.
#[test]
fn a_newer_message_replaces_what_is_known_of_a_peer() {
    let mut world = World::new();
    world.push(said(1).by(1));
    world.now += SECOND;
    world.push(said(1).external("elsewhere:1").metadata(b"m").by(2));
    let peer = world.discovery.peer(&pki(1)).unwrap();
    assert_eq!(peer.endpoint, Some("elsewhere:1".into()));
    assert_eq!(&peer.metadata[..], b"m");
    assert_eq!(peer.stamp(), Stamp { incarnation: 1, sequence: 2 });
    assert_eq!(peer.last_seen, world.now);
}

/// D-15.
#[test]
fn an_equal_or_older_message_does_not_refresh_a_peer() {
    let mut world = World::new();
    world.learn([1]);
    let before = world.now;
    world.now += SECOND;
    for alive in [said(1).metadata(b"x").by(1), said(1).metadata(b"x").by(0)] {
        assert!(!world.discovery.would_accept_element(&alive, false));
        world.push(alive.clone());
        world.response_alive(alive.clone());
        world.request(alive, 1);
        let peer = world.discovery.peer(&pki(1)).unwrap();
        assert_eq!((peer.last_seen, peer.metadata.len()), (before, 0));
    }
}

/// D-16.
#[test]
fn a_dead_peer_comes_alive_with_a_strictly_newer_message_only() {
    let mut world = World::new();
    world.push(said(1).by(2));
    world.act(|discovery, cx| discovery.on_presumed_dead(&pki(1), cx));
    world.response_alive(said(1).by(2));
    world.request(said(1).by(1), 7);
    assert!(world.is_dead(1));
    world.drain();
    world.push(said(1).by(3));
    assert!(world.is_alive(1));
    let came_alive = |effect: &Effect| matches!(effect, Effect::MemberAlive { .. });
    assert_eq!(world.drain().iter().filter(|effect| came_alive(effect)).count(), 1);
}

/// D-17.
#[test]
fn the_incarnation_decides_before_the_sequence_number() {
    let mut world = World::new();
    world.push(said(1).incarnation(5).by(100));
    let next = said(1).incarnation(6).by(1);
    assert!(world.discovery.would_accept_pushed(&next));
    world.push(next);
    let previous = said(1).incarnation(5).by(u64::MAX);
    assert!(!world.discovery.would_accept_pushed(&previous));
    assert_eq!(world.discovery.peer(&pki(1)).unwrap().stamp().incarnation, 6);
}

/// D-18.
#[test]
fn the_internal_endpoint_outlives_copies_without_a_secret() {
    let mut world = World::new();
    let internal = |world: &World| {
        let peer = world.discovery.peer(&pki(1)).unwrap();
        peer.internal_endpoint.as_ref().map(|endpoint| String::from(endpoint.as_str()))
    };
    world.push(said(1).internal("one:1").by(1));
    world.push(said(1).without_secret().by(2));
    assert_eq!(internal(&world).as_deref(), Some("one:1"));
    world.push(said(1).internal("two:2").by(3));
    assert_eq!(internal(&world).as_deref(), Some("two:2"));
    world.act(|discovery, cx| discovery.on_presumed_dead(&pki(1), cx));
    world.push(said(1).without_secret().by(4));
    assert_eq!(internal(&world).as_deref(), Some("two:2"), "after a resurrection");
    world.push(said(1).internal("").by(5));
    assert_eq!(internal(&world), None, "a secret that names none");
}

/// D-21.
#[test]
fn only_a_living_peer_can_be_presumed_dead() {
    let mut world = World::new();
    world.response_dead(said(2).by(1));
    world.drain();
    for id in [2, 3, 0] {
        world.act(|discovery, cx| discovery.on_presumed_dead(&pki(id), cx));
    }
    assert_eq!(world.drain().len(), 0);
    world.learn([1]);
    world.drain();
    world.act(|discovery, cx| discovery.on_presumed_dead(&pki(1), cx));
    assert!(world.is_dead(1));
    let effects = world.drain();
    assert!(effects.iter().any(|effect| matches!(effect, Effect::MemberDead { .. })));
}

/// D-22.
#[test]
fn a_peer_without_a_valid_identity_is_forgotten_alive_or_dead() {
    let mut world = World::new();
    world.learn([1]);
    world.response_dead(said(2).by(1));
    for id in [1, 2] {
        world.drain();
        world.act(|discovery, cx| discovery.on_identity_removed(&pki(id), cx));
        assert!(!world.discovery.knows(&pki(id)));
        let effects = world.drain();
        let is_forgotten = |effect: &Effect| matches!(effect, Effect::MemberForgotten { .. });
        assert!(effects.iter().any(is_forgotten), "{effects:?}");
    }
    assert_eq!(world.discovery.alive_len(), 0);
    assert!(!world.discovery.would_accept_pushed(&said(1).by(1)), "what it said stays refused");
    world.push(said(1).by(2));
    assert!(world.is_alive(1));
}

/// D-45.
#[test]
fn the_living_are_listed_in_order_and_the_dead_are_only_looked_up() {
    let mut world = World::new();
    world.learn([3, 1, 2]);
    world.act(|discovery, cx| discovery.on_presumed_dead(&pki(2), cx));
    let listed: Vec<_> = world.discovery.alive().map(|(id, _)| *id).collect();
    assert_eq!(listed, [pki(1), pki(3)]);
    assert_eq!(world.discovery.alive_len(), 2);
    assert!(world.discovery.peer(&pki(2)).is_some());
    assert!(world.discovery.knows(&pki(2)) && world.discovery.knows(&pki(0)));
    assert!(!world.discovery.knows(&pki(4)));
    assert!(world.discovery.has_external_endpoint(&pki(0)));
    assert_eq!(world.discovery.preferred_endpoint(&pki(0)), Some("peer0:7051".into()));
}

/// D-46.
#[test]
fn the_internal_endpoint_is_dialled_if_it_is_known() {
    let mut world = World::new();
    world.push(said(1).by(1));
    world.push(said(2).without_secret().by(1));
    world.push(said(3).external("").without_secret().by(1));
    let preferred = |id| world.discovery.preferred_endpoint(&pki(id));
    assert_eq!(preferred(1), Some("peer1:7051".into()));
    assert_eq!(preferred(2), Some("peer2.example:7051".into()));
    assert_eq!(preferred(3), None);
    assert!(world.discovery.has_external_endpoint(&pki(2)));
    assert!(!world.discovery.has_external_endpoint(&pki(3)));
}

/// D-49.
#[test]
fn a_restarted_peer_is_taken_at_once_by_those_who_remember_its_last_run() {
    let mut world = World::new();
    world.push(said(1).incarnation(10).by(5000));
    world.run(60 * SECOND);
    assert!(world.is_dead(1));
    world.request(said(1).incarnation(11).by(1), 1);
    assert!(world.is_alive(1));
}

/// D-50.
#[test]
fn a_peer_is_never_both_alive_and_dead() {
    let mut world = World::new();
    for step in 0..500_u64 {
        let id = 1 + u8::try_from(world.rng.below(4)).unwrap();
        let said = said(id).by(world.rng.below(50) as u64);
        match world.rng.below(7) {
            0 => world.push(said),
            1 => world.response_alive(said),
            2 => world.response_dead(said),
            3 => world.request(said, step),
            4 => world.act(|discovery, cx| discovery.on_presumed_dead(&pki(id), cx)),
            5 => world.act(|discovery, cx| discovery.on_identity_removed(&pki(id), cx)),
            _ => world.run(3 * SECOND),
        }
        let alive: Vec<_> = world.discovery.alive().map(|(id, _)| *id).collect();
        assert_eq!(alive.len(), world.discovery.alive_len());
        for id in 1..5 {
            assert!(!(world.is_alive(id) && world.is_dead(id)));
            assert_eq!(world.is_alive(id), alive.contains(&pki(id)));
        }
    }
}

#[test]
fn a_copy_is_known_if_the_signed_bytes_are_those_that_are_stored() {
    let mut world = World::new();
    let is_known = |world: &World, alive| world.discovery.is_known_statement(&alive);
    assert!(!is_known(&world, said(1).by(1)));
    world.push(said(1).by(1));
    assert!(is_known(&world, said(1).by(1)));
    assert!(is_known(&world, said(1).without_secret().by(1)));
    assert!(is_known(&world, said(1).internal("other:1").by(1)), "the secret is a statement apart");
    assert!(!is_known(&world, said(1).by(2)));
    assert!(!is_known(&world, said(1).metadata(b"m").by(1)));
}

#[test]
fn when_the_table_is_full_a_new_peer_takes_the_place_of_the_one_dead_longest() {
    let mut world = World::with(|config| {
        config.limits.members_max = 3;
        config.bootstrap = vec!["peer1:7051".into()];
    });
    for id in [1, 2, 3] {
        world.push(said(id).by(1));
        world.now += SECOND;
    }
    world.drain();
    world.push(said(4).by(1));
    assert!(!world.discovery.knows(&pki(4)));
    assert_eq!(world.stats.faults(Fault::Overflow), 1);
    assert_eq!(forwarded(&mut world), [], "what cannot be told from its next copy ends here");
    for id in [3, 1, 2] {
        world.act(|discovery, cx| discovery.on_presumed_dead(&pki(id), cx));
    }
    world.push(said(4).by(1));
    assert!(world.is_alive(4) && !world.discovery.knows(&pki(2)));
    world.response_dead(said(5).by(1));
    assert!(world.is_dead(5) && !world.discovery.knows(&pki(3)));
    assert!(world.discovery.knows(&pki(1)), "a bootstrap peer");
}
