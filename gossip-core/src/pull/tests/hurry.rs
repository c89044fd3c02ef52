//! Rounds out of turn.

use super::*;

/// Takes the times of hellos.
fn times(world: &mut World) -> Vec<u128> {
    world.take().into_iter().map(|(at, ..)| at.as_millis()).collect()
}

impl World {
    fn hurry(&mut self, peer: u8) {
        self.call(|engine, cx| engine.hurry(pki(peer), cx));
    }
}

#[test]
fn what_is_needed_now_is_asked_for_now_but_of_each_peer_with_growing_pauses() {
    let mut world = World::new();
    world.peers.clear();
    for _ in 0..10_000 {
        world.hurry(1);
        world.run_for(MS);
    }
    // 200 ms, then twice as long each time, and never longer than the usual interval.
    assert_eq!(times(&mut world), [0, 200, 600, 1400, 3000, 6200]);
    world.hurry(2);
    assert_eq!(times(&mut world).len(), 1, "another peer at once");
}

#[test]
fn a_wish_that_comes_too_early_is_granted_later_and_once() {
    let mut world = World::new();
    world.peers.clear();
    for _ in 0..5 {
        world.hurry(1);
    }
    world.run_to(10 * SECOND);
    assert_eq!(times(&mut world), [0, 200]);
}

#[test]
fn the_pause_is_short_again_after_success_and_after_a_while() {
    let mut world = World::new();
    world.peers.clear();
    for at in [0, 200, 600] {
        world.run_to(at * MS);
        world.hurry(1);
    }
    let nonce = world.hellos()[&1];
    world.digest(1, nonce, &["a"]).unwrap();
    world.update(1, nonce, &["a"]);
    world.take();
    // The pause that runs is not cut short; those after it are.
    for at in [1400, 1600] {
        world.run_to(at * MS);
        world.hurry(1);
    }
    assert_eq!(times(&mut world), [1400, 1600]);
    for at in [10_000, 10_200] {
        world.run_to(at * MS);
        world.hurry(1);
    }
    assert_eq!(times(&mut world), [10_000, 10_200]);
}

#[test]
fn a_hurried_round_of_one_peer_takes_two_round_trips() {
    let mut world = World::new();
    world.hurry(4);
    let nonce = world.hellos()[&4];
    world.run_for(10 * MS);
    world.digest(4, nonce, &["a"]).unwrap();
    assert_eq!(world.requests()[&4], (nonce, ids(&["a"])));
    world.run_for(10 * MS);
    assert_eq!(world.update(4, nonce, &["a"]), Arrival::InTime);
}

/// [`members_max`](crate::Limits::members_max).
#[test]
fn the_peers_whose_pauses_are_known_are_bounded() {
    let mut world = World::with(Family::identities(), |config| config.limits.members_max = 2);
    world.peers.clear();
    for peer in 1..=3 {
        world.hurry(peer);
    }
    assert_eq!(world.hellos().into_keys().collect::<Vec<_>>(), [1, 2]);
    world.run_for(10 * SECOND);
    world.hurry(3);
    assert_eq!(world.hellos().into_keys().collect::<Vec<_>>(), [3]);
}
