//! The proof that a signature held.

use core::ops::Deref;

/// A message whose signature held. Made only in `node`, from a completed job.
#[derive(Clone, Debug)]
pub(crate) struct Verified<T>(T);

impl<T> Verified<T> {
    /// Attests that the message's signature held.
    pub(super) const fn attest(message: T) -> Self {
        Self(message)
    }

    /// Attests what no job has checked, in tests of a subsystem alone.
    #[cfg(test)]
    pub(crate) const fn for_test(message: T) -> Self {
        Self(message)
    }

    /// Takes the message out.
    pub(crate) fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
