//! Runs of a few simulated peers whose chance is changed here and there.

use gossip_tests::fuzz::TARGETS;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

#[test]
fn a_few_peers_get_well_again_whatever_is_drawn() {
    let target = TARGETS.iter().find(|target| target.name == "cluster").expect("a target");
    for seed in 0..RUNS {
        let mut chance = ChaCha8Rng::seed_from_u64(seed.into());
        let mut input = [0; 4 + 5 * PATCHES];
        chance.fill_bytes(&mut input);
        input[..4].copy_from_slice(&seed.to_be_bytes());
        // Early draws: few are drawn from some streams.
        input[4..].as_chunks_mut::<5>().0.iter_mut().for_each(|patch| patch[1] = 0);
        (target.run)(&input);
        (target.run)(&input[..4]);
    }
}

/// How many seeds there are; a run takes a fraction of a second.
const RUNS: u32 = 3;

/// How many draws are changed in each.
const PATCHES: usize = 32;
