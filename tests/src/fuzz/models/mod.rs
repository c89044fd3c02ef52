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
