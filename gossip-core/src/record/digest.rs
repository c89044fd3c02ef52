//! A running hash of what was written: two runs that differ anywhere differ in it.

/// A hash of what was fed to it, in order. Fast, and not one that withstands an attacker.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Digest(u64);

impl Digest {
    /// Takes 64 bits.
    pub const fn word(&mut self, word: u64) {
        // A product's upper half mixes all bits of both factors into the lower ones.
        let product = (self.0 ^ word ^ 0x243f_6a88_85a3_08d3) as u128 * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64).rotate_left(29) ^ (product >> 64) as u64;
    }

    /// Takes bytes, and how many they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let (words, rest) = bytes.as_chunks::<8>();
        let (blocks, words) = words.as_chunks::<LANES>();
        if !blocks.is_empty() {
            self.blocks(blocks);
        }
        words.iter().for_each(|word| self.word(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.word(u64::from_le_bytes(word));
        }
    }

    /// Takes blocks in lanes: a processor multiplies several numbers in the time of one, if none
    /// needs another's product.
    fn blocks(&mut self, blocks: &[[[u8; 8]; LANES]]) {
        let mut lanes: [Self; LANES] = core::array::from_fn(|lane| Self(self.0 ^ lane as u64));
        for block in blocks {
            for (lane, word) in lanes.iter_mut().zip(block) {
                lane.word(u64::from_le_bytes(*word));
            }
        }
        lanes.iter().for_each(|lane| self.word(lane.value()));
    }

    /// Returns the hash of all that was taken.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.0
    }
}

const LANES: usize = 4;
