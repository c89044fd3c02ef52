//! Rounds of our own.

use super::*;

/// Lets `seconds` pass, while peer 1 has something new whenever it is asked, or nothing; returns
/// when each round began and how many were asked.
fn rounds(world: &mut World, seconds: u32, finds: bool) -> Vec<(Duration, usize)> {
    let mut rounds: BTreeMap<Duration, usize> = BTreeMap::new();
    for _ in 0..seconds * 10 {
        world.run_for(SECOND / 10);
        for (at, to, said) in world.take() {
            let Said::Hello(nonce) = said else { continue };
            *rounds.entry(at).or_default() += 1;
            if finds && to == 1 {
                let id = Bytes::copy_from_slice(&nonce.to_be_bytes());
                let found = world.call(|engine, cx| engine.on_digest(&pki(1), nonce, [id], cx));
                found.expect("it is waited for");
            }
        }
    }
    rounds.into_iter().collect()
}

/// P-1; P-17, as far as it is followed: first after a whole interval, then at the interval.
#[test]
fn rounds_that_find_something_begin_every_interval() {
    let mut world = World::new();
    let rounds = rounds(&mut world, 40, true);
    assert!(rounds[0].0 >= 4 * SECOND);
    assert!((8..=9).contains(&rounds.len()), "{rounds:?}");
    for pair in rounds.windows(2) {
        assert!((4000..=4600).contains(&(pair[1].0 - pair[0].0).as_millis()), "{rounds:?}");
    }
    assert!(rounds.iter().all(|(_, asked)| *asked == 3), "{rounds:?}");
}

/// P-17: what is not followed.
#[test]
fn rounds_that_find_nothing_rest_and_then_ask_one_peer() {
    let mut world = World::new();
    let rounds = rounds(&mut world, 200, false);
    let pauses = rounds.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs() / 4);
    assert_eq!(pauses.collect::<Vec<_>>(), [2, 4, 8, 8, 8, 8]);
    assert_eq!(rounds.iter().map(|(_, asked)| *asked).collect::<Vec<_>>(), [3, 1, 1, 1, 1, 1, 1]);
}

#[test]
fn a_sign_that_something_lacks_ends_the_rest_at_once() {
    let mut world = World::new();
    rounds(&mut world, 80, false);
    let at = world.now - Instant::ZERO;
    world.call(|engine, cx| engine.stir(cx));
    let rounds = rounds(&mut world, 8, false);
    let (next, asked) = rounds[0];
    assert!(next - at <= SECOND / 2, "{:?}", next - at);
    assert_eq!(asked, 3);
}

/// P-3; that the nonce is inside alone is checked wherever a frame is read.
#[test]
fn each_peer_of_a_round_gets_a_nonce_of_its_own() {
    let mut world = World::new();
    let mut nonces = BTreeSet::new();
    for _ in 0..10 {
        nonces.extend(world.round(&[1, 2, 3]).into_values());
    }
    assert_eq!(nonces.len(), 30);
    assert_eq!(world.stats.pull_rounds, 10);
}

/// P-18.
#[test]
fn without_peers_a_round_is_silent() {
    let mut world = World::new();
    world.peers.clear();
    world.run_to(20 * SECOND);
    assert_eq!(world.take(), []);
    assert_eq!(world.stats.pull_rounds, 0);
}

/// P-6, N-27: nor has one of another peer than the hello went to (Q50-1).
#[test]
fn a_digest_with_an_unknown_nonce_has_no_effect() {
    let mut world = World::new();
    let nonces = world.round(&[1, 2]);
    assert_eq!(world.digest(1, 77, &["a"]), Err(Fault::Stale));
    assert_eq!(world.digest(1, nonces[&2], &["a"]), Err(Fault::Stale));
    assert!(!world.engine.awaits_digest(&pki(3), nonces[&1]));
    world.run_for(2 * SECOND);
    assert_eq!(world.requests(), BTreeMap::new());
}

/// P-7, N-27.
#[test]
fn a_digest_after_the_wait_has_no_effect() {
    let mut world = World::new();
    let nonces = world.round(&[1, 2]);
    world.digest(1, nonces[&1], &["a"]).unwrap();
    world.run_for(SECOND);
    assert_eq!(world.requests().into_keys().collect::<Vec<_>>(), [1]);
    assert_eq!(world.digest(2, nonces[&2], &["b"]), Err(Fault::Stale));
    world.run_for(SECOND);
    assert_eq!(world.requests(), BTreeMap::new());
}

/// N-26: hello at 0, requests after `digest_wait_time` if a peer is silent.
#[test]
fn requests_go_out_after_the_wait_if_a_peer_is_silent() {
    let mut world = World::new();
    let nonces = world.round(&[1, 2]);
    world.digest(1, nonces[&1], &["a"]).unwrap();
    world.run_for(999 * MS);
    assert_eq!(world.take(), []);
    world.run_for(MS);
    assert_eq!(world.requests(), BTreeMap::from([(1, (nonces[&1], ids(&["a"])))]));
}

/// Where Fabric waits for a second, nothing is waited for that cannot come.
#[test]
fn requests_go_out_at_once_when_all_have_answered() {
    let mut world = World::new();
    let nonces = world.round(&[1, 2]);
    world.digest(1, nonces[&1], &["a"]).unwrap();
    world.digest(1, nonces[&1], &["a"]).unwrap();
    assert_eq!(world.take(), []);
    world.digest(2, nonces[&2], &["b"]).unwrap();
    assert_eq!(world.requests().len(), 2);
}

/// P-9, P-10, N-28.
#[test]
fn an_item_of_several_owners_is_asked_of_one_and_of_each_sometimes() {
    let mut chosen = BTreeMap::new();
    let mut world = World::new();
    for _ in 0..200 {
        let nonces = world.round(&[1, 2, 3]);
        for (peer, nonce) in &nonces {
            world.digest(*peer, *nonce, &["a", "b"]).unwrap();
        }
        let requests = world.requests();
        let all: Vec<_> = requests.values().flat_map(|(_, ids)| ids.clone()).collect();
        assert_eq!(all.len(), 2, "each once: {requests:?}");
        for (peer, (nonce, _)) in requests {
            assert_eq!(nonce, nonces[&peer]);
            *chosen.entry(peer).or_insert(0) += 1;
            world.update(peer, nonce, &["a", "b"]);
        }
    }
    assert!(chosen.values().all(|times| *times > 60), "{chosen:?}");
    assert_eq!(chosen.len(), 3);
}

/// P-11.
#[test]
fn without_anything_wanted_there_is_no_request_and_no_update_is_taken() {
    let mut world = World::new();
    let nonces = world.round(&[1]);
    world.digest(1, nonces[&1], &[]).unwrap();
    assert_eq!(world.update(1, nonces[&1], &["a"]), Arrival::Unasked);
    world.run_for(3 * SECOND);
    assert_eq!(world.take(), []);
}

/// P-12, P-13, P-15.
#[test]
fn updates_are_taken_for_the_nonce_of_a_request_alone_and_several_of_them() {
    let mut world = World::new();
    let nonces = world.round(&[1, 2]);
    assert_eq!(world.update(1, nonces[&1], &["a"]), Arrival::Unasked, "before the request");
    world.digest(1, nonces[&1], &["a", "b"]).unwrap();
    world.digest(2, nonces[&2], &[]).unwrap();
    assert_eq!(world.update(1, 77, &["a"]), Arrival::Unasked);
    assert_eq!(world.update(2, nonces[&1], &["a"]), Arrival::Unasked, "of another peer");
    assert_eq!(world.update(1, nonces[&1], &["a"]), Arrival::InTime);
    assert_eq!(world.update(1, nonces[&1], &["b"]), Arrival::InTime);
    assert_eq!(world.update(1, nonces[&1], &["b"]), Arrival::InTime);
}

/// P-14, N8.3.a: whoever sends much over a slow line does not do so in vain.
#[test]
fn an_update_after_the_wait_is_late_and_much_later_is_unasked() {
    let mut world = World::new();
    let nonces = world.round(&[1]);
    world.digest(1, nonces[&1], &["a", "b"]).unwrap();
    world.run_for(1999 * MS);
    assert_eq!(world.update(1, nonces[&1], &["a"]), Arrival::InTime);
    world.run_for(MS);
    assert_eq!(world.update(1, nonces[&1], &["b"]), Arrival::Late);
    world.run_for(20 * SECOND);
    assert_eq!(world.update(1, nonces[&1], &["b"]), Arrival::Unasked);
}

/// P-16.
#[test]
fn after_the_end_nothing_is_left_of_a_round() {
    let mut world = World::new();
    let nonces = world.round(&[1]);
    world.peers.clear();
    world.digest(1, nonces[&1], &["a"]).unwrap();
    world.update(1, nonces[&1], &["a"]);
    world.run_for(2 * SECOND);
    assert_eq!(world.digest(1, nonces[&1], &["a"]), Err(Fault::Stale));
    assert_eq!(world.update(1, nonces[&1], &["a"]), Arrival::Unasked);
    assert!(world.engine.rounds.is_empty());
}

/// P-20: a round may begin before the last has ended.
#[test]
fn rounds_overlap_without_harm_and_ask_for_nothing_twice() {
    let mut world = World::with(Family::identities(), |config| config.pull_interval = SECOND);
    let first = world.round(&[1]);
    world.digest(1, first[&1], &["a"]).unwrap();
    assert_eq!(world.requests().len(), 1);
    let second = world.round(&[2]);
    world.digest(2, second[&2], &["a", "b"]).unwrap();
    assert_eq!(world.requests(), BTreeMap::from([(2, (second[&2], ids(&["b"])))]));
    assert_eq!(world.update(1, first[&1], &["a"]), Arrival::InTime);
    assert_eq!(world.update(2, second[&2], &["b"]), Arrival::InTime);
}

/// Better than N8.1.b: what one owner does not deliver another is asked for.
#[test]
fn what_an_owner_leaves_out_another_is_asked_for_at_once() {
    let mut world = World::new();
    let nonces = world.round(&[1, 2]);
    world.digest(1, nonces[&1], &["a", "b"]).unwrap();
    world.digest(2, nonces[&2], &[]).unwrap();
    assert_eq!(world.requests().len(), 1);
    world.update(1, nonces[&1], &["a"]);
    assert_eq!(
        world.requests(),
        BTreeMap::from([(1, (nonces[&1], ids(&["b"])))]),
        "the same, which had no room for more"
    );
    world.update(1, nonces[&1], &[]);
    assert_eq!(world.requests(), BTreeMap::new(), "it has nothing more to give");

    let nonces = world.round(&[3, 4]);
    world.digest(3, nonces[&3], &["c"]).unwrap();
    world.digest(4, nonces[&4], &["c"]).unwrap();
    let first = *world.requests().keys().next().unwrap();
    let second = 7 - first;
    world.update(first, nonces[&first], &[]);
    assert_eq!(world.requests(), BTreeMap::from([(second, (nonces[&second], ids(&["c"])))]));
}

#[test]
fn what_a_silent_owner_has_another_is_asked_for_while_its_nonce_is_honoured() {
    let mut world = World::new();
    let nonces = world.round(&[1, 2]);
    for (peer, nonce) in &nonces {
        world.digest(*peer, *nonce, &["a"]).unwrap();
    }
    let first = *world.requests().keys().next().unwrap();
    world.run_for(499 * MS);
    assert_eq!(world.take(), []);
    world.run_for(MS);
    assert_eq!(world.requests().into_keys().collect::<Vec<_>>(), [3 - first]);
    world.run_for(4 * SECOND);
    assert!(world.requests().is_empty(), "nobody else has it");
    assert_eq!(world.update(first, nonces[&first], &["a"]), Arrival::Late);
}

/// P-24 from the other side: a request that nobody would honour is not sent.
#[test]
fn nothing_is_asked_again_when_nonces_have_lapsed() {
    let mut world = World::new();
    let nonces = world.round(&[1, 2, 3]);
    world.digest(1, nonces[&1], &["a"]).unwrap();
    world.digest(2, nonces[&2], &["a"]).unwrap();
    world.run_for(SECOND);
    assert_eq!(world.requests().len(), 1);
    world.run_for(2 * SECOND);
    assert_eq!(world.take(), []);
}

/// [`pull_rounds_max`](crate::Limits::pull_rounds_max),
/// [`pull_ids_max`](crate::Limits::pull_ids_max).
#[test]
fn rounds_and_what_they_ask_for_are_bounded() {
    let mut world = World::with(Family::identities(), |config| {
        config.limits.pull_rounds_max = 2;
        config.limits.pull_ids_max = 3;
    });
    let oldest = world.round(&[1]);
    world.round(&[2]);
    let newest = world.round(&[3]);
    assert_eq!(world.engine.rounds.len(), 2);
    assert_eq!(world.digest(1, oldest[&1], &["a"]), Err(Fault::Stale));
    world.digest(3, newest[&3], &["a", "b", "c", "d"]).unwrap();
    assert_eq!(world.requests()[&3].1, ids(&["a", "b", "c"]));
}

/// [`pull_ids_max`](crate::Limits::pull_ids_max),
/// [`pull_id_bytes_max`](crate::Limits::pull_id_bytes_max).
#[test]
fn of_a_digest_the_first_ids_of_moderate_length_are_looked_at() {
    let world = World::with(Family::identities(), |config| {
        config.limits.pull_ids_max = 4;
        config.limits.pull_id_bytes_max = 2;
    });
    let ids = ids(&["ab", "abc", "", "ab", "cd"]);
    let seen: Vec<_> = distinct(&ids, &world.config.limits).into_iter().collect();
    assert_eq!(seen, ["", "ab"]);
}
