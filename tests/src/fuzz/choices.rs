//! Bytes as a finite source of choices: when they are used up, every choice is the first.

use bytes::Bytes;

/// What is left of some bytes.
#[derive(Debug)]
pub(super) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    pub(super) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Chooses from `0..bound`, at most 256; zero if `bound` is zero.
    pub(super) fn index(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { usize::from(self.byte()) % bound }
    }

    /// Chooses from `0..bound`; zero if `bound` is zero.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let number = [(); 6].iter().fold(0, |number: u64, ()| number << 8 | u64::from(self.byte()));
        if bound == 0 { 0 } else { number % bound }
    }

    /// Takes bytes, with their length in two bytes before them; as many as there are.
    pub(super) fn bytes(&mut self) -> Bytes {
        let length = usize::from(self.byte()) << 8 | usize::from(self.byte());
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        Bytes::copy_from_slice(taken)
    }
}
