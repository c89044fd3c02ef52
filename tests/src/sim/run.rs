//! A whole run: faults strike, all is healed, and what must come true does, or the run fails.

use std::{collections::BTreeMap, time::Duration};

use gossip_core::{Config, Endpoint, Identity, OrgId, PkiId};
use serde::Serialize;

use super::{
    check::{Unmet, Violation, bound, is_well, unmet},
    options::{FaultClass, Options},
    samples::Samples,
    world::World,
};

/// What came of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The number of peers.
    pub peers: usize,
    /// The simulated time, in seconds.
    pub simulated_secs: f64,
    /// What happened, counted.
    pub events: u64,
    /// Frames that nodes sent.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How often a block came to a peer, for each that it took from gossip.
    pub copies_per_block: f64,
    /// Signatures that were checked, for each statement that was news.
    pub checks_per_statement: f64,
    /// How long it took until everybody first knew everybody.
    pub full_membership_secs: Option<f64>,
    /// How long blocks took from the orderers to a ledger: for half, 99 % and all of them.
    pub delivery_ms: [f64; 3],
    /// How long it took after the end of the faults until all was as it must be.
    pub healed_secs: Option<f64>,
    /// How often each class of faults struck.
    pub faults: Vec<(&'static str, u64)>,
    /// How many messages of each kind honest peers sent.
    pub messages_by_kind: Vec<(&'static str, u64)>,
    /// How the requests of honest peers ended that had to be acknowledged.
    pub requests: Vec<(&'static str, u64)>,
    /// The hash of everything that the nodes did.
    pub digest: String,
    /// What pictures are made of, if it was kept.
    #[serde(skip)]
    pub samples: Option<Samples>,
    /// The logs of the peer that was recorded, one for each time that it started.
    #[serde(skip)]
    pub logs: Vec<Vec<u8>>,
    /// What was not as it must be.
    pub failure: Option<Failure>,
}

/// Why a run failed.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Which checker objected.
    pub checker: &'static str,
    /// To what.
    pub what: String,
    /// The command that repeats the run.
    pub command: String,
    /// What the peers involved last did.
    pub trace: Vec<String>,
}

/// Runs a world to its end.
///
/// `progress` is told the simulated time now and then.
///
/// # Errors
///
/// If the options make no sense. A run that fails is reported, not an error; it is run once more
/// for the trace of what happened, which would cost too much to keep of all that do not fail.
pub fn run(options: &Options, mut progress: impl FnMut(Duration)) -> Result<Report, String> {
    let mut world = World::new(options.clone())?;
    world.forgo_trace();
    let healed = live(&mut world, options, &mut progress);
    let (samples, logs) = (world.samples.take(), world.recorder.finish());
    let mut report = Report { samples, logs, ..report(&world, options, healed) };
    if let Some(failure) = &mut report.failure {
        let seen = (world.violation().cloned(), world.digest());
        drop(world);
        failure.trace = trace(&seen, options, &mut progress)?;
    }
    Ok(report)
}

/// Runs again what ended in this violation with this digest, for what the peers last did.
fn trace(
    seen: &(Option<Violation>, u64),
    options: &Options,
    progress: &mut impl FnMut(Duration),
) -> Result<Vec<String>, String> {
    let mut again = World::new(Options { record: None, ..options.clone() })?;
    live(&mut again, options, progress);
    let is_same = again.violation() == seen.0.as_ref() && again.digest() == seen.1;
    let note = || "** the run did not repeat: this is of another one".to_owned();
    let hosts = again.violation().map_or(&[][..], |violation| &violation.hosts);
    let trace = again.trace(hosts, options.trace);
    Ok((!is_same).then(note).into_iter().chain(trace).collect())
}

/// Lets faults strike for a while, and then all become well. Returns how long that took.
fn live(
    world: &mut World,
    options: &Options,
    progress: &mut impl FnMut(Duration),
) -> Option<Duration> {
    if options.is_static {
        meet(world, progress);
    }
    if options.faults.iter().all(|class| class == FaultClass::Latency) {
        world.be_calm(world.now());
    }
    let (step, end) = (Duration::from_secs(5), world.elapsed() + options.duration);
    while world.elapsed() < end && world.violation().is_none() {
        world.run_for(step.min(end - world.elapsed()));
        progress(world.elapsed());
    }
    heal(world, options, progress)
}

/// Waits until everybody knows all whom it may know, and lets blocks come from then on.
fn meet(world: &mut World, progress: &mut impl FnMut(Duration)) {
    while world.violation().is_none() {
        if world.metrics().is_membership_full() && is_well(world) {
            return world.begin_blocks();
        }
        if world.elapsed() > MEETING_MAX {
            let lacking = unmet(world);
            world.object("all meet at the start", involved(&lacking), summary(&lacking));
        }
        world.run_for(Duration::from_secs(1));
        progress(world.elapsed());
    }
}

/// Ends all faults and waits until all is as it must be, and for a while longer.
fn heal(
    world: &mut World,
    options: &Options,
    progress: &mut impl FnMut(Duration),
) -> Option<Duration> {
    if world.violation().is_some() {
        return None;
    }
    world.heal();
    let start = world.elapsed();
    let bound = patience(options);
    while world.violation().is_none() {
        if is_well(world) {
            let after = world.elapsed() - start;
            stay(world, start);
            return Some(after);
        }
        if world.elapsed() - start > bound {
            let lacking = unmet(world);
            let what = format!("after {bound:?}: {}", summary(&lacking));
            world.object("all is well after healing", involved(&lacking), what);
        }
        world.run_for(Duration::from_secs(1));
        progress(world.elapsed());
    }
    None
}

/// Returns how long after the end of all faults all must be well.
#[must_use]
pub fn patience(options: &Options) -> Duration {
    options.bound.unwrap_or_else(|| bound(&defaults()))
}

/// What has come true stays true, for as long as it takes to notice that somebody is silent.
fn stay(world: &mut World, healed: Duration) {
    let lags = healed + LAG;
    world.be_calm(world.now() + lags.saturating_sub(world.elapsed()));
    world.run_for(defaults().alive_expiration_timeout + Duration::from_secs(5));
    let lacking = unmet(world);
    if !lacking.is_empty() {
        world.object("all stays well", involved(&lacking), summary(&lacking));
    }
}

fn summary(lacking: &[Unmet]) -> String {
    let first: Vec<_> = lacking.iter().take(6).map(|unmet| unmet.what.as_str()).collect();
    format!("{} ({} more)", first.join("; "), lacking.len() - first.len())
}

/// Finds the two peers that most of it is about.
fn involved(lacking: &[Unmet]) -> Vec<usize> {
    let mut counts = BTreeMap::<usize, usize>::new();
    for Unmet { host, of, .. } in lacking {
        *counts.entry(*host).or_default() += 1;
        *counts.entry(*of).or_default() += 1;
    }
    let mut hosts: Vec<_> = counts.into_iter().collect();
    hosts.sort_by_key(|(_, count)| usize::MAX - count);
    hosts.into_iter().map(|(host, _)| host).take(2).collect()
}

fn report(world: &World, options: &Options, healed: Option<Duration>) -> Report {
    let metrics = world.metrics();
    let totals = world.totals();
    let ratio = |a: u64, b: u64| if b == 0 { 0.0 } else { a as f64 / b as f64 };
    let millis = |per_mille| metrics.delivery(per_mille).map_or(0.0, |at| at.as_secs_f64() * 1e3);
    Report {
        seed: options.seed,
        peers: options.peers,
        simulated_secs: world.elapsed().as_secs_f64(),
        events: world.events(),
        messages: metrics.messages,
        bytes: metrics.bytes,
        copies_per_block: ratio(totals.block_copies, totals.blocks_received),
        checks_per_statement: ratio(totals.verifies, totals.unique_messages),
        full_membership_secs: metrics.full_membership.map(|at| at.as_secs_f64()),
        delivery_ms: [500, 990, 1000].map(millis),
        healed_secs: healed.map(|after| after.as_secs_f64()),
        faults: world.fired().iter().map(|(class, count)| (class.as_str(), count)).collect(),
        messages_by_kind: world.messages().into_iter().collect(),
        requests: world.ends().into_iter().collect(),
        digest: format!("{:016x}", world.digest()),
        samples: None,
        logs: Vec::new(),
        failure: world.violation().map(|violation| failure(violation, options)),
    }
}

fn failure(violation: &Violation, options: &Options) -> Failure {
    let Options { seed, peers, orgs, duration, faults, scheme, .. } = options;
    let is_static = if options.is_static { " --static" } else { "" };
    let minutes = duration.as_secs_f64() / 60.0;
    let pause = options.block_interval.as_secs_f64();
    Failure {
        checker: violation.checker,
        what: violation.to_string(),
        command: format!(
            "cargo run --release -p gossip-tests --bin sim -- --seed {seed} --peers {peers} \
             --orgs {orgs} --minutes {minutes} --block-seconds {pause} --faults {faults} \
             --crypto {scheme}{is_static}"
        ),
        trace: Vec::new(),
    }
}

/// After what time it is noticed that a connection leads nowhere.
const LAG: Duration = Duration::from_secs(30);
/// By when all must know each other where membership is learnt once.
const MEETING_MAX: Duration = Duration::from_secs(120);

/// The configuration that every node has but for who it is.
fn defaults() -> Config {
    let nobody = PkiId::new([0; 32]);
    let identity = Identity::new(Vec::new());
    Config::new(identity, nobody, OrgId::from(""), Endpoint::new(""))
}
