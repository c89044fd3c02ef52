//! A running hash of everything that the nodes did: two runs that differ anywhere differ in it.

use gossip_core::{Action, Instant};

/// A hash of what was fed to it, in order. Not one that withstands an attacker.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Digest(u64);

impl Digest {
    /// Takes an action of a host.
    pub(super) fn action(&mut self, now: Instant, host: usize, action: &Action) {
        self.word(now.as_nanos());
        self.word(host as u64);
        match action {
            Action::Dial { dial, endpoint, purpose } => {
                self.word(1);
                self.word(dial.get());
                self.bytes(endpoint.as_str().as_bytes());
                self.word(*purpose as u64);
            }
            Action::Send { conn, frame } => {
                self.word(2);
                self.word(conn.get());
                self.bytes(frame);
            }
            Action::Close { conn, reason } => {
                self.word(3);
                self.word(conn.get());
                self.word(*reason as u64);
            }
            Action::Job(job) => {
                self.word(4);
                self.word(job.id().get());
                self.word(job.class() as u64);
            }
            Action::Notify(notice) => {
                self.word(5);
                self.bytes(format!("{notice:?}").as_bytes());
            }
        }
    }

    /// Takes 64 bits.
    pub(super) fn word(&mut self, word: u64) {
        // A product's upper half mixes all bits of both factors into the lower ones.
        let product = u128::from(self.0 ^ word ^ 0x243f_6a88_85a3_08d3) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64).rotate_left(29) ^ (product >> 64) as u64;
    }

    /// Takes bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }

    /// Returns the hash of all that was taken.
    #[must_use]
    pub(super) fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_depends_on_every_bit_and_on_the_order() {
        let of = |bytes: &[u8]| {
            let mut digest = Digest::default();
            digest.bytes(bytes);
            digest.value()
        };
        assert_eq!(of(b"twelve bytes"), of(b"twelve bytes"));
        for bit in 0..96 {
            let mut changed = *b"twelve bytes";
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(of(&changed), of(b"twelve bytes"), "bit {bit}");
        }
        assert_ne!(of(b"ab"), of(b"ba"));
        assert_ne!(of(b"a"), of(b"a\0"));
    }
}
