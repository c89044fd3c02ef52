//! Runs of the simulator from fixed seeds.

use std::{process::Command, time::Duration};

use gossip_core::Limits;
use gossip_tests::sim::{FaultClass, Faults, Options, Scheme, World, run};

const MINUTE: Duration = Duration::from_secs(60);

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

/// Of 60 peers of six organisations, each knows its own ten and an anchor ten more.
#[test]
fn on_a_static_membership_all_blocks_reach_all_and_nothing_else_goes_on() {
    let messages = |duration| {
        let (peers, orgs, block_interval) = (60, 6, Duration::from_millis(500));
        let static_options = Options { peers, orgs, is_static: true, ..Options::new(1) };
        let options = Options { duration, block_interval, ..static_options };
        let report = run(&options, |_| {}).expect("options that make sense");
        assert!(report.failure.is_none(), "{:?}", report.failure);
        assert!(report.full_membership_secs.is_some_and(|secs| secs < 15.0), "{report:?}");
        let of = |kind| report.messages_by_kind.iter().find(|(name, _)| *name == kind);
        let count = |kind| of(kind).map_or(0, |(_, count)| *count);
        let kinds = ["alive message", "state info", "handshake", "pull hello"];
        (kinds.map(count), count("block"))
    };
    let ((short, few), (long, many)) = (messages(MINUTE / 6), messages(MINUTE));
    assert_eq!(short, long);
    assert!(few >= 10 * 59 && many > 4 * few, "{few} and {many} blocks");
}

/// Peers that want more than there is room for miss much, but nothing grows beyond its bound.
#[test]
fn with_narrow_limits_everything_stays_within_them() {
    let limits = Limits {
        frames_in_flight_max: 3,
        control_frames_max: 8,
        reply_frames_max: 2,
        gossip_frames_max: 4,
        claims_per_connection_max: 4,
        claims_max: 10,
        rivals_max: 1,
        identities_max: 10,
        members_max: 7,
        leaders_max: 1,
        foreign_state_info_max: 2,
        buffered_blocks_max: 3,
        pull_ids_max: 6,
        pull_rounds_max: 2,
        pull_hellos_max: 1,
        ..Limits::default()
    };
    for seed in 500..504 {
        let limits = limits.clone();
        let options = Options { peers: 10, limits, ..options(seed, Faults::all()) };
        let mut world = World::new(options).expect("options that make sense");
        world.run_for(2 * MINUTE);
        assert_eq!(world.violation(), None, "seed {seed}");
    }
}

#[test]
fn with_certificates_and_all_faults_all_is_well_and_the_same_in_every_process() {
    let report = run(&in_any_process(400, Scheme::P256), |_| {}).expect("options that make sense");
    if let Some(failure) = report.failure {
        panic!("{}\nrepeat with: {}", failure.what, failure.command);
    }
    assert!(report.faults.iter().any(|(class, count)| *class == "byzantine" && *count > 0));
    assert_eq!(in_another_process(400, Scheme::P256), report.digest);
}

/// Its trace is of the same run, done again.
#[test]
fn a_run_that_fails_tells_what_happened_last() {
    let duration = Duration::from_secs(20);
    let options = Options { duration, bound: Some(Duration::ZERO), ..options(1, Faults::all()) };
    let report = run(&options, |_| {}).expect("options that make sense");
    let failure = report.failure.expect("nobody is well at once");
    assert_eq!(failure.checker, "all is well after healing");
    assert!(failure.trace.len() >= options.trace, "{:#?}", failure.trace);
    let repeats = |line: &String| !line.contains("did not repeat");
    assert!(failure.trace.iter().all(repeats), "{:#?}", failure.trace);
    assert!(failure.trace.iter().any(|line| line.contains('→')), "{:#?}", failure.trace);
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

/// Nothing that differs between processes, such as addresses, gets into a run.
#[test]
fn the_same_seed_gives_the_same_run_in_every_process() {
    let here = run(&in_any_process(9, Scheme::Mac), |_| {}).expect("options that make sense");
    let there = [(); 2].map(|()| in_another_process(9, Scheme::Mac));
    assert_eq!(there, [here.digest.clone(), here.digest]);
}

fn in_any_process(seed: u64, scheme: Scheme) -> Options {
    let (duration, faults) = (MINUTE / 2, Faults::all());
    Options { peers: 6, duration, faults, scheme, ..Options::new(seed) }
}

/// Returns the digest of a run in a process of its own.
fn in_another_process(seed: u64, scheme: Scheme) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(["--peers", "6", "--minutes", "0.5", "--faults", "all", "--json"])
        .args(["--seed", &seed.to_string(), "--crypto", &scheme.to_string()])
        .output()
        .expect("a program that runs");
    assert!(run.status.success(), "{run:?}");
    let report: serde_json::Value = serde_json::from_slice(&run.stdout).expect("JSON");
    report["digest"].as_str().expect("a digest").to_owned()
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
