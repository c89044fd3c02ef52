//! Of whom something has changed, for those who keep what follows from it.

use alloc::vec::Vec;

use crate::PkiId;

/// The peers of whom something has changed since somebody last asked.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Changed {
    /// These, some perhaps more than once.
    Some(Vec<PkiId>),
    /// So many that looking at everybody costs less.
    All,
}

impl Changed {
    /// Notes that something has changed of a peer.
    pub(crate) fn note(&mut self, peer: PkiId) {
        match self {
            Self::Some(peers) if peers.len() < MAX => peers.push(peer),
            Self::Some(_) => *self = Self::All,
            Self::All => {}
        }
    }

    /// Begins to note anew; `None` if there was nothing.
    pub(crate) fn take(&mut self) -> Option<Self> {
        (*self != Self::default()).then(|| core::mem::take(self))
    }
}

impl Default for Changed {
    fn default() -> Self {
        Self::Some(Vec::new())
    }
}

/// How many are told apart.
const MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_told_apart_and_of_many_it_is_known_that_they_are_many() {
        let mut changed = Changed::default();
        assert_eq!(changed.take(), None);
        let peer = |byte| PkiId::new([byte; 32]);
        changed.note(peer(1));
        changed.note(peer(2));
        assert_eq!(changed.take(), Some(Changed::Some(alloc::vec![peer(1), peer(2)])));
        assert_eq!(changed.take(), None);
        (0..=64).for_each(|byte| changed.note(peer(byte)));
        assert_eq!(changed.take(), Some(Changed::All));
        assert_eq!(changed.take(), None);
    }
}
