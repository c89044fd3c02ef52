//! Recorded certificates, blocks and configurations and damaged copies of them, given to the
//! targets that read them.

use gossip_tests::fuzz::{TARGETS, mutate::mutate, seeds};

#[test]
fn recorded_trust_and_damaged_copies_do_no_harm() {
    let seeds = seeds::trust();
    for name in ["certificate", "identity", "msp", "block", "configuration"] {
        let target = TARGETS.iter().find(|target| target.name == name).expect("a target");
        let of_target = seeds.iter().filter(|seed| seed.0 == name).map(|seed| &seed.1);
        assert!(of_target.clone().count() >= 4, "{name}");
        for bytes in of_target {
            (target.run)(bytes);
            let cut = bytes.len().div_ceil(CUTS);
            (0..bytes.len()).step_by(cut).for_each(|len| (target.run)(&bytes[..len]));
            // The first byte says what the others are: it stays where there is one.
            let kept = usize::from(!matches!(name, "identity" | "block"));
            for seed in 0..COPIES {
                let mutant = mutate(&bytes[kept..], seed, bytes.len() + 64);
                (target.run)(&[&bytes[..kept], &mutant].concat());
            }
        }
    }
}

/// How many damaged copies of each are tried.
const COPIES: u64 = 40;

/// At how many places each is cut.
const CUTS: usize = 40;
