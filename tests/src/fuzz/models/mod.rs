//! Parts of a node against models of them: what a node may and must do is worked out a second time,
//! from the rules of `docs/protocol` alone and as plainly as can be, and compared after each step.
//!
//! Where the rules leave a span of time, the model takes over what the node did in it.

mod bounds;
mod membership;
mod pull;
mod rig;
mod stores;

pub(super) use self::{bounds::bounds, membership::membership, pull::pull, stores::stores};

/// Compares a node with a model that goes by rules; an error says where they differ.
#[cfg(test)]
type Compare<R> = fn(&[u8], &R) -> Result<(), String>;

/// Checks that a node does as a model says.
#[cfg(test)]
fn assert_agreement<R: Default>(compare: Compare<R>) {
    for script in scripts(100) {
        assert_eq!(compare(&script, &R::default()), Ok(()), "{script:?}");
    }
}

/// Checks that a model that goes by other rules differs from the node, as if the node broke each.
#[cfg(test)]
fn assert_notices<R>(compare: Compare<R>, flaws: &[R]) {
    for (number, flaw) in flaws.iter().enumerate() {
        let differs = scripts(100).any(|script| compare(&script, flaw).is_err());
        assert!(differs, "nobody notices flaw {number}");
    }
}

/// Makes inputs of no meaning, the same each time.
#[cfg(test)]
fn scripts(count: u64) -> impl Iterator<Item = Vec<u8>> {
    use rand_core::{Rng as _, SeedableRng as _};

    (0..count).map(|seed| {
        let mut chance = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut script = vec![0; 100 + 20 * seed as usize % 1500];
        chance.fill_bytes(&mut script);
        script
    })
}
