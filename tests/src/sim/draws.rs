//! Random choices, all from the seed, one stream for each use: streams do not shift each other.

use std::{collections::BTreeMap, time::Duration};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

use super::{
    options::Options,
    patch::{Patch, Stream},
};

/// One stream of random choices.
#[derive(Clone, Debug)]
pub(super) struct Draws {
    chance: ChaCha8Rng,
    drawn: u32,
    /// The upper bits of the draws with these numbers.
    patches: BTreeMap<u32, u16>,
}

/// One stream of random choices for each use.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) applications: Draws,
    pub(super) byzantine: Draws,
    pub(super) frames: Draws,
    pub(super) hosts: Draws,
    pub(super) jobs: Draws,
    pub(super) orderer: Draws,
    pub(super) plan: Draws,
}

impl Streams {
    /// Forks all of them.
    #[must_use]
    pub(super) fn new(options: &Options) -> Self {
        let fork = |stream| Draws::patched(options.seed, stream, &options.patches);
        Self {
            applications: fork(Stream::Applications),
            byzantine: fork(Stream::Byzantine),
            frames: fork(Stream::Frames),
            hosts: fork(Stream::Hosts),
            jobs: fork(Stream::Jobs),
            orderer: fork(Stream::Orderer),
            plan: fork(Stream::Plan),
        }
    }
}

impl Draws {
    /// Forks the stream that `name` has under `seed`.
    #[must_use]
    pub(super) fn fork(seed: u64, name: &str) -> Self {
        let hash = Sha256::new().chain_update(seed.to_be_bytes()).chain_update(name).finalize();
        let chance = ChaCha8Rng::from_seed(hash.into());
        Self { chance, drawn: 0, patches: BTreeMap::new() }
    }

    /// Forks a stream whose draws are `patches` where these say so; the last of the same wins.
    #[must_use]
    pub(super) fn patched(seed: u64, stream: Stream, patches: &[Patch]) -> Self {
        let of_stream = patches.iter().filter(|patch| patch.stream == stream);
        let patches = of_stream.map(|patch| (patch.draw, patch.top)).collect();
        Self { patches, ..Self::fork(seed, stream.as_str()) }
    }

    /// Draws 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        let bits = self.chance.next_u64();
        let top = self.patches.remove(&self.drawn);
        self.drawn = self.drawn.saturating_add(1);
        top.map_or(bits, |top| bits & (u64::MAX >> 16) | u64::from(top) << 48)
    }

    /// Draws 32 bytes.
    pub(super) fn bytes32(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.chance.fill_bytes(&mut bytes);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_the_upper_bits_of_one_draw_of_its_stream() {
        let patch = Patch { stream: Stream::Jobs, draw: 2, top: 0xabcd };
        let draws = |stream, patches: &[Patch]| {
            let mut draws = Draws::patched(7, stream, patches);
            [(); 4].map(|()| draws.bits())
        };
        let mut expected = draws(Stream::Jobs, &[]);
        expected[2] = expected[2] & 0xffff_ffff_ffff | 0xabcd << 48;
        assert_eq!(draws(Stream::Jobs, &[patch]), expected);
        assert_eq!(draws(Stream::Plan, &[patch]), draws(Stream::Plan, &[]));
        let mut unpatched = Draws::fork(7, "plan");
        assert_eq!(draws(Stream::Plan, &[]), [(); 4].map(|()| unpatched.bits()));
    }
}
