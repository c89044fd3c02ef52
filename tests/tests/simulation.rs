//! Runs of the simulator from fixed seeds, and stories.

use std::time::Duration;

use gossip_core::Config;
use gossip_tests::sim::{
    FaultClass, Faults, Options, World,
    check::{bound, unmet},
    run,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

fn options(seed: u64, faults: Faults) -> Options {
    let peers = 8 + seed as usize % 5;
    let orgs = 1 + seed as usize % 3;
    Options { peers, orgs, duration: MINUTE, faults, ..Options::new(seed) }
}

/// Runs seeds to their end.
///
/// # Panics
///
/// If one fails, with the command that repeats it.
fn all_is_well(seeds: std::ops::Range<u64>, faults: Faults) {
    for seed in seeds {
        let report = run(&options(seed, faults), |_| {}).expect("options that make sense");
        if let Some(failure) = report.failure {
            let trace = failure.trace.join("\n");
            panic!("{trace}\nseed {seed}: {}\nrepeat with: {}", failure.what, failure.command);
        }
    }
}

#[test]
fn without_faults_all_is_well() {
    all_is_well(0..3, Faults::NONE);
}

#[test]
fn with_all_faults_all_is_well_afterwards() {
    all_is_well(100..110, Faults::all());
}

#[test]
fn with_all_faults_but_hostile_peers_all_is_well_afterwards() {
    let faults = Faults::all().iter().filter(|class| *class != FaultClass::Byzantine).collect();
    all_is_well(200..208, faults);
}

#[test]
fn among_hostile_peers_all_is_well() {
    all_is_well(300..303, [FaultClass::Byzantine].into_iter().collect());
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let digest = |seed| {
        let options = Options { duration: MINUTE / 2, ..options(seed, Faults::all()) };
        run(&options, |_| {}).expect("options that make sense").digest
    };
    assert_eq!(digest(7), digest(7));
    assert_ne!(digest(7), digest(8));
}

/// A class that is switched off strikes nobody, and the others strike when they would have.
#[test]
fn a_mask_does_not_shift_other_faults() {
    let strikes = |faults: &[FaultClass]| {
        let faults = faults.iter().copied().collect();
        let mut world = World::new(options(5, faults)).expect("options that make sense");
        world.run_for(3 * MINUTE);
        world.fired().count(FaultClass::Crash)
    };
    let alone = strikes(&[FaultClass::Crash]);
    assert!(alone > 0);
    assert_eq!(strikes(&[FaultClass::Crash, FaultClass::Clock]), alone);
    assert_eq!(strikes(&[FaultClass::Clock]), 0);
}

/// A quiet world of two organisations, after half a minute: peers of even numbers are of one, those
/// of odd numbers of the other.
fn quiet(seed: u64, peers: usize) -> World {
    let block_interval = Duration::from_secs(20);
    let options = Options { peers, block_interval, ..Options::new(seed) };
    let mut world = World::new(options).expect("options that make sense");
    world.run_for(MINUTE / 2);
    world
}

/// Waits until all is well.
///
/// # Panics
///
/// If that takes longer than it may.
fn settle(world: &mut World) {
    let config = Config::new(
        gossip_core::Identity::new(Vec::new()),
        gossip_core::PkiId::new([0; 32]),
        "".into(),
        "".into(),
    );
    let until = world.elapsed() + bound(&config);
    while !unmet(world).is_empty() {
        assert!(
            world.elapsed() < until,
            "{:#?}\n{}",
            unmet(world),
            world.trace(&[], 50).join("\n")
        );
        world.run_for(Duration::from_secs(1));
        assert_eq!(world.violation(), None);
    }
}

fn alive(world: &World, host: usize) -> usize {
    world.node(host).map_or(0, |node| node.members().len())
}

fn holds_alive(world: &World, host: usize, other: usize) -> bool {
    let members = world.node(host).map(|node| node.members()).unwrap_or_default();
    members.iter().any(|member| member.pki_id == world.pki_id(other))
}

#[test]
fn organisations_that_were_apart_for_an_hour_find_each_other_again() {
    let mut world = quiet(1, 6);
    assert_eq!(alive(&world, 0), 5);
    world.separate(&[0, 2, 4], &[1, 3, 5], false, HOUR);
    world.run_for(2 * MINUTE);
    assert_eq!((alive(&world, 0), alive(&world, 1)), (2, 2));
    world.run_for(HOUR - 2 * MINUTE);
    settle(&mut world);
    assert_eq!((alive(&world, 0), alive(&world, 1)), (5, 5));
}

#[test]
fn a_rolling_restart_loses_nobody_and_no_block() {
    let mut world = quiet(2, 6);
    for host in 0..6 {
        world.crash(host, true);
        world.run_for(Duration::from_secs(5));
        world.restart(host);
        world.run_for(Duration::from_secs(20));
        assert!((0..6).all(|other| alive(&world, other) == 5), "after the restart of {host}");
    }
    world.heal();
    settle(&mut world);
}

#[test]
fn an_expired_certificate_is_in_no_view_and_its_renewal_in_all() {
    let mut world = quiet(3, 6);
    world.certify(5, Some(MINUTE));
    world.run_for(MINUTE - Duration::from_secs(2));
    assert!((0..5).all(|host| holds_alive(&world, host, 5)));
    world.run_for(Duration::from_secs(5));
    assert!((0..5).all(|host| !holds_alive(&world, host, 5)));
    world.certify(5, None);
    settle(&mut world);
    assert!((0..5).all(|host| holds_alive(&world, host, 5)));
}

#[test]
fn a_revoked_certificate_is_in_no_view() {
    let mut world = quiet(4, 6);
    world.revoke(5);
    world.run_for(Duration::from_secs(10));
    assert!((0..5).all(|host| !holds_alive(&world, host, 5)));
    assert!((0..5).all(|host| alive(&world, host) == 4));
}

#[test]
fn a_slow_reader_delays_nobody_else() {
    let mut world = quiet(5, 6);
    for _ in 0..30 {
        world.stall_all(5, Duration::from_secs(1));
        world.run_for(Duration::from_secs(1));
        let lags = |host| world.heights(host, 0).1 - world.heights(host, 0).0;
        assert!((0..5).map(lags).sum::<u64>() <= 5, "at most the newest block is under way");
    }
    assert!((0..5).all(|host| alive(&world, host) >= 4));
    world.heal();
    settle(&mut world);
}

#[test]
fn a_clock_that_was_set_back_during_a_restart_makes_nobody_a_stranger() {
    let mut world = quiet(6, 6);
    world.crash(4, false);
    world.step_clock(4, -3_600_000_000_000);
    world.run_for(Duration::from_secs(3));
    world.restart(4);
    world.run_for(MINUTE);
    assert!((0..4).all(|host| holds_alive(&world, host, 4)));
    world.heal();
    settle(&mut world);
}

#[test]
fn a_peer_that_lost_its_ledger_gets_all_blocks_again() {
    let mut world = quiet(7, 6);
    world.run_for(5 * MINUTE);
    world.crash(3, true);
    world.lose_ledger(3);
    world.restart(3);
    world.heal();
    settle(&mut world);
    assert_eq!(world.heights(3, 0).0, world.heights(3, 0).1);
}

#[test]
fn a_peer_that_stood_still_for_long_is_back_at_once() {
    let mut world = quiet(8, 6);
    world.crash(2, false);
    world.run_for(2 * MINUTE);
    assert!((0..6).filter(|host| *host != 2).all(|host| alive(&world, host) == 4));
    world.restart(2);
    world.run_for(Duration::from_secs(10));
    assert!((0..6).all(|host| alive(&world, host) == 5));
}
