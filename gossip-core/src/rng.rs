//! Random choices, all from the seed.

use alloc::vec::Vec;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

/// One stream of random choices.
#[derive(Clone, Debug)]
pub(crate) struct Rng(ChaCha8Rng);

impl Rng {
    /// Forks the stream that `name` has under `seed`: streams do not shift each other.
    pub(crate) fn fork(seed: &[u8; 32], name: &str) -> Self {
        let hash = Sha256::new().chain_update(seed).chain_update(name).finalize();
        Self(ChaCha8Rng::from_seed(hash.into()))
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Draws from `0..bound`, without bias that anybody could notice (bound ≪ 2⁶⁴).
    ///
    /// # Panics
    ///
    /// If `bound` is zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        assert!(bound > 0, "nothing can be drawn below zero");
        let wide = u128::from(self.next_u64()) * bound as u128;
        usize::try_from(wide >> 64).expect("below bound")
    }

    /// Keeps `count` of the items, each as likely as any, in random order.
    pub(crate) fn choose<T>(&mut self, items: &mut Vec<T>, count: usize) {
        let count = count.min(items.len());
        for index in 0..count {
            let other = index + self.below(items.len() - index);
            items.swap(index, other);
        }
        items.truncate(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ_by_name() {
        let draw = |name| Rng::fork(&[7; 32], name).next_u64();
        assert_eq!(draw("a"), draw("a"));
        assert_ne!(draw("a"), draw("b"));
    }

    #[test]
    fn every_item_is_chosen_sometimes_and_none_twice() {
        let mut rng = Rng::fork(&[1; 32], "test");
        let mut seen = [0_u32; 5];
        for _ in 0..1000 {
            let mut items = alloc::vec![0, 1, 2, 3, 4];
            rng.choose(&mut items, 2);
            assert!(items.len() == 2 && items[0] != items[1]);
            items.iter().for_each(|item| seen[*item] += 1);
        }
        assert!(seen.iter().all(|count| (300..500).contains(count)), "{seen:?}");
    }
}
