//! What a subsystem is given with every call.

use alloc::{collections::VecDeque, vec::Vec};

use crate::{
    Action, Config, Instant, Notice, OrgId, PkiId, Stats, UnixTime, identity::Identities, rng::Rng,
};

/// The world as a subsystem may see it, and where it puts what it wants done.
pub(crate) struct Cx<'a, E> {
    pub(crate) now: Instant,
    pub(crate) wall: UnixTime,
    pub(crate) config: &'a Config,
    pub(crate) identities: &'a Identities,
    pub(crate) rng: &'a mut Rng,
    pub(crate) stats: &'a mut Stats,
    /// What the driver is to do: for what no other subsystem has a say in.
    pub(crate) actions: &'a mut VecDeque<Action>,
    pub(crate) effects: &'a mut Vec<E>,
}

impl<E> Cx<'_, E> {
    /// Wants something done.
    pub(crate) fn emit(&mut self, effect: E) {
        self.effects.push(effect);
    }

    /// Wants the driver to do something.
    pub(crate) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    /// Tells whom it concerns.
    pub(crate) fn notify(&mut self, notice: Notice) {
        self.act(Action::Notify(notice));
    }

    /// Returns the organisation that vouches for a peer.
    pub(crate) fn org(&self, pki_id: &PkiId) -> Option<&OrgId> {
        self.identities.org(pki_id)
    }
}
