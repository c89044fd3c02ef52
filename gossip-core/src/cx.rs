//! What a subsystem is given with every call.

use alloc::vec::Vec;

use crate::{Config, Instant, OrgId, PkiId, Stats, UnixTime, identity::Identities, rng::Rng};

/// The world as a subsystem may see it, and where it puts what it wants done.
pub(crate) struct Cx<'a, E> {
    pub(crate) now: Instant,
    pub(crate) wall: UnixTime,
    pub(crate) config: &'a Config,
    pub(crate) identities: &'a Identities,
    pub(crate) rng: &'a mut Rng,
    pub(crate) stats: &'a mut Stats,
    pub(crate) effects: &'a mut Vec<E>,
}

impl<E> Cx<'_, E> {
    /// Wants something done.
    pub(crate) fn emit(&mut self, effect: E) {
        self.effects.push(effect);
    }

    /// Returns the organisation that vouches for a peer.
    pub(crate) fn org(&self, pki_id: &PkiId) -> Option<&OrgId> {
        self.identities.org(pki_id)
    }
}
