//! Random choices, all from the seed, one stream for each use: streams do not shift each other.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

/// One stream of random choices.
#[derive(Clone, Debug)]
pub(super) struct Draws(ChaCha8Rng);

impl Draws {
    /// Forks the stream that `name` has under `seed`.
    #[must_use]
    pub(super) fn fork(seed: u64, name: &str) -> Self {
        let hash = Sha256::new().chain_update(seed.to_be_bytes()).chain_update(name).finalize();
        Self(ChaCha8Rng::from_seed(hash.into()))
    }

    /// Draws 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Draws 32 bytes.
    pub(super) fn bytes32(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// Draws from `0..bound`; zero if `bound` is zero.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        scale(self.bits(), bound)
    }

    /// Draws from `0..bound`; zero if `bound` is zero.
    pub(super) fn index(&mut self, bound: usize) -> usize {
        self.below(bound as u64) as usize
    }

    /// Draws a duration from `low..high`.
    pub(super) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let (low, high) = (low.as_nanos() as u64, high.as_nanos() as u64);
        Duration::from_nanos(low + self.below(high.saturating_sub(low)))
    }

    /// Says yes in `per_mille` of 1000 draws.
    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

/// Maps 64 random bits to `0..bound`, without bias that anybody could notice.
#[must_use]
pub(super) fn scale(bits: u64, bound: u64) -> u64 {
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}
