//! When heartbeats and synchronisation happen, and who is asked.

use super::*;

fn times(world: &World, is_it: impl Fn(&Effect) -> bool) -> Vec<Instant> {
    let mut times: Vec<_> =
        world.log.iter().filter(|(_, effect)| is_it(effect)).map(|(at, _)| *at).collect();
    times.dedup();
    times
}

fn syncs(world: &World) -> Vec<Instant> {
    times(world, |effect| matches!(effect, Effect::Send { .. }))
}

fn beats(world: &World) -> Vec<Instant> {
    times(world, |effect| matches!(effect, Effect::Gossip(_)))
}

/// Lets time pass while all members stay alive.
fn run(world: &mut World, time: Duration) {
    let alive: Vec<_> = world.discovery.alive().map(|(id, _)| id.as_bytes()[0]).collect();
    run_with(world, time, &alive);
}

/// Lets time pass while only these members are heard of.
fn run_with(world: &mut World, time: Duration, heard: &[u8]) {
    let end = world.now + time;
    while world.now < end {
        world.run(SECOND.min(end - world.now));
        let sequence = world.now.as_nanos();
        heard.iter().for_each(|id| world.push(said(*id).by(sequence)));
    }
}

/// Returns the pauses between synchronisations, in intervals and rounded.
fn pauses(world: &World) -> Vec<u64> {
    let pairs = |times: Vec<Instant>| -> Vec<_> {
        times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs() / 4).collect()
    };
    pairs(syncs(world))
}

/// D-41, as far as it is followed: three while there is news, then one, ever less often.
#[test]
fn members_are_asked_while_somebody_is_new_and_ever_less_often_while_nobody_is() {
    let mut world = World::new();
    world.learn(1..11);
    run(&mut world, 30 * SECOND);
    world.drain();
    run(&mut world, 400 * SECOND);
    let times = syncs(&world);
    assert!((11..=14).contains(&times.len()), "{}", times.len());
    assert_eq!(pauses(&world)[2..], vec![8; times.len() - 3]);
    let sent = world.sent();
    assert_eq!(sent.len(), times.len());
    world.drain();
    world.learn([11, 12]);
    run(&mut world, SECOND);
    let asked: Vec<_> = world.sent().iter().map(|sent| sent.to).collect();
    assert!(asked.len() >= 9, "{}", asked.len());
    for round in asked.chunks(3) {
        assert_eq!(round.iter().collect::<BTreeSet<_>>().len(), 3);
    }
}

/// Heartbeats that do not find the way to us must not make us take a peer for dead.
#[test]
fn others_are_asked_at_the_interval_about_a_member_that_is_not_heard_of() {
    let mut world = World::new();
    world.learn(1..11);
    run(&mut world, 200 * SECOND);
    world.drain();
    let others: Vec<_> = (2..11).collect();
    run_with(&mut world, 10 * SECOND, &others);
    assert!(syncs(&world).len() <= 1, "two heartbeats may be late");
    world.drain();
    run_with(&mut world, 14 * SECOND, &others);
    assert!(world.is_alive(1));
    assert!(syncs(&world).len() >= 3, "{:?}", syncs(&world));
    world.push(said(1).by(world.now.as_nanos()));
    run(&mut world, 60 * SECOND);
    world.drain();
    run(&mut world, 100 * SECOND);
    assert!(pauses(&world).iter().all(|pause| *pause == 8), "{:?}", pauses(&world));
}

#[test]
fn others_are_asked_soon_about_a_member_that_is_taken_for_dead() {
    let mut world = World::new();
    world.learn(1..11);
    run(&mut world, 203 * SECOND);
    world.drain();
    world.act(|discovery, cx| discovery.on_presumed_dead(&pki(1), cx));
    run(&mut world, 5 * SECOND);
    assert!(!syncs(&world).is_empty());
}

/// D-41.
#[test]
fn nobody_is_asked_again_before_everybody_was() {
    let mut world = World::new();
    world.learn(1..10);
    run(&mut world, 30 * SECOND);
    world.drain();
    run(&mut world, 1000 * SECOND);
    let asked: Vec<_> = world.sent().iter().map(|sent| sent.to).collect();
    // Wherever a round begins, nine in a row are at most two turns of the rota.
    for part in asked.chunks_exact(18) {
        let different: BTreeSet<_> = part.iter().collect();
        assert_eq!(different.len(), 9, "{part:?}");
    }
}

/// D-41.
#[test]
fn with_fewer_members_than_that_all_are_asked() {
    let mut world = World::new();
    world.learn([1, 2]);
    world.act(|discovery, cx| discovery.on_timer(Timer::Sync, cx));
    let sent = world.sent();
    assert!(sent.len() == 2 && sent.iter().all(|sent| sent.message.nonce == 0));
    let asked: BTreeSet<_> = sent.iter().map(|sent| sent.to).collect();
    assert_eq!(asked, [pki(1), pki(2)].into());
}

#[test]
fn the_dead_are_not_asked() {
    let mut world = World::new();
    world.learn(1..4);
    world.act(|discovery, cx| discovery.on_presumed_dead(&pki(2), cx));
    for _ in 0..5 {
        world.act(|discovery, cx| discovery.on_timer(Timer::Sync, cx));
    }
    assert!(world.sent().iter().all(|sent| sent.to != pki(2)));
}

#[test]
fn the_first_heartbeat_follows_the_first_members_at_once() {
    let mut world = World::new();
    world.run(SECOND);
    let start = world.now;
    world.learn([1, 2, 3]);
    world.run(SECOND);
    assert_eq!(beats(&world), [start + Duration::from_millis(50)], "one for all");
}

#[test]
fn after_new_members_synchronisation_is_repeated_with_doubling_pauses() {
    let mut world = World::new();
    world.learn([1]);
    let start = world.now;
    run(&mut world, 20 * SECOND);
    let since: Vec<_> = syncs(&world).iter().map(|at| (*at - start).as_millis()).collect();
    assert_eq!(since[..6], [100, 300, 700, 1500, 3100, 6300]);
    assert!((10_300..=10_800).contains(&since[6]), "then an interval: {since:?}");
    assert!((18_300..=19_800).contains(&since[7]), "then two: {since:?}");
}

/// 63 peers appear one by one within two seconds.
#[test]
fn a_network_that_starts_costs_a_handful_of_extra_messages() {
    let mut world = World::new();
    for id in 1..60 {
        world.run(Duration::from_millis(33));
        world.learn([id]);
    }
    run(&mut world, 18 * SECOND);
    let (syncs, beats) = (syncs(&world).len(), beats(&world).len());
    assert!(syncs <= 20 / 4 + 8, "{syncs}");
    assert!(beats <= 20 / 5 + 7, "{beats}");
}

#[test]
fn a_single_newcomer_does_not_set_a_large_network_astir() {
    let mut world = World::new();
    world.learn(1..50);
    run(&mut world, 30 * SECOND);
    let (sync, beat) = (world.timer(Timer::Sync), world.timer(Timer::Heartbeat));
    world.learn([50]);
    assert_eq!((world.timer(Timer::Sync), world.timer(Timer::Heartbeat)), (sync, beat));
    world.learn(51..60);
    assert!(world.timer(Timer::Sync) < sync && world.timer(Timer::Heartbeat) < beat);
}

impl World {
    fn timer(&self, timer: Timer) -> Instant {
        self.timers[&timer]
    }
}

/// The heartbeat's period, ± 10 %.
#[test]
fn heartbeats_repeat_every_five_seconds() {
    let mut world = World::new();
    world.learn([1]);
    run(&mut world, 10 * SECOND);
    world.drain();
    run(&mut world, 500 * SECOND);
    let times = beats(&world);
    assert!((95..=105).contains(&times.len()), "{}", times.len());
    let pauses: BTreeSet<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let (least, most) = (SECOND * 9 / 2, SECOND * 11 / 2);
    assert!(pauses.iter().all(|pause| (least..=most).contains(pause)), "{pauses:?}");
    assert!(pauses.len() > 50, "they vary");
}
