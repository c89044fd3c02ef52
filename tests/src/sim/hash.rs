//! Maps that are searched all the time, by keys that nobody makes to collide.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use gossip_core::record::Digest;

/// A map whose keys are hashed fast, and the same in all runs.
pub(crate) type Map<K, V> = HashMap<K, V, BuildHasherDefault<Quick>>;

/// A hash that does not withstand an attacker.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quick(Digest);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        self.0.bytes(bytes);
    }

    fn write_u64(&mut self, number: u64) {
        self.0.word(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.0.word(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0.value()
    }
}
