//! Who the living peers are to routing. It is gathered from what the subsystems know, and anew only
//! after something in it has changed: a message asks no more than who of a list is meant.

use alloc::vec::Vec;

use crate::{
    Config, OrgId, PkiId, channel::Channel, discovery::Discovery, identity::Identities,
    wire::extension,
};

/// The living peers whose organisation is known.
#[derive(Debug, Default)]
pub(super) struct Roster {
    basis: Option<Basis>,
    /// Those of our organisation first; each part by PKI-ID.
    seats: Vec<Seat>,
    /// How many of them are ours.
    ours: usize,
    /// Ours first, then the others in order.
    orgs: Vec<OrgId>,
    /// How many of each organisation choose at random to whom they pass things on.
    strays: Vec<usize>,
}

/// Names an organisation of a roster; it holds until that is gathered anew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct OrgIx(usize);

impl OrgIx {
    pub(super) const OURS: Self = Self(0);
}

/// A living peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    pub(super) pki_id: PkiId,
    pub(super) org: OrgIx,
    /// Other organisations can reach it.
    pub(super) is_public: bool,
    /// It follows trees, and so do we.
    pub(super) follows_tree: bool,
}

/// What a roster was gathered from: the changes of the living and of the identities.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Basis(u64, u64);

impl Roster {
    /// Gathers it anew if anything has changed.
    pub(super) fn refresh(&mut self, discovery: &Discovery, ids: &Identities, config: &Config) {
        let basis = Basis(discovery.changes(), ids.changes());
        if self.basis == Some(basis) {
            return;
        }
        self.basis = Some(basis);
        self.orgs.clear();
        self.orgs.extend(discovery.alive().filter_map(|(pki_id, _)| ids.org(pki_id)).cloned());
        self.orgs.push(config.org.clone());
        self.orgs.sort_unstable_by(|a, b| (*a != config.org, a).cmp(&(*b != config.org, b)));
        self.orgs.dedup();
        self.seats.clear();
        for (pki_id, peer) in discovery.alive() {
            let Some(org) = ids.org(pki_id).and_then(|org| self.find(org)) else {
                continue;
            };
            let can_follow = peer.message.extensions & extension::BLOCK_TREE != 0;
            self.seats.push(Seat {
                pki_id: *pki_id,
                org,
                is_public: peer.endpoint.is_some(),
                follows_tree: config.block_tree && can_follow,
            });
        }
        // Stable: each part stays in order.
        self.seats.sort_by_key(|seat| seat.org != OrgIx::OURS);
        self.ours = self.seats.partition_point(|seat| seat.org == OrgIx::OURS);
        self.strays.clear();
        self.strays.resize(self.orgs.len(), 0);
        for seat in self.seats.iter().filter(|seat| !seat.follows_tree) {
            self.strays[seat.org.0] += 1;
        }
    }

    /// Returns the living, ours first.
    pub(super) fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// Returns the living of our organisation.
    pub(super) fn ours(&self) -> &[Seat] {
        &self.seats[..self.ours]
    }

    /// Finds an organisation; one that nobody alive is of has no number.
    pub(super) fn find(&self, org: &OrgId) -> Option<OrgIx> {
        self.orgs.iter().position(|known| known == org).map(OrgIx)
    }

    /// Iterates over the organisations but ours, in order.
    pub(super) fn other_orgs(&self) -> impl Iterator<Item = OrgIx> + use<> {
        (1..self.orgs.len()).map(OrgIx)
    }

    /// Says whether all of an audience follow trees.
    pub(super) fn all_follow(&self, is_meant: impl Fn(&Seat) -> bool) -> bool {
        // As a rule everybody does, and nobody has to be looked at.
        self.strays.iter().all(|strays| *strays == 0)
            || self.seats.iter().all(|seat| seat.follows_tree || !is_meant(seat))
    }
}

/// The living members of a channel that are of our organisation.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    basis: Option<(Basis, u64)>,
    /// Those that follow its trees.
    pub(super) tree: Vec<PkiId>,
    /// Those that choose at random.
    pub(super) others: Vec<PkiId>,
    /// Whether each organisation of the roster is in the channel.
    orgs: Vec<bool>,
}

impl Crowd {
    /// Gathers it anew if anything has changed since, in a roster that is up to date.
    pub(super) fn refresh(&mut self, roster: &Roster, channel: &Channel) {
        let basis = roster.basis.map(|basis| (basis, channel.changes()));
        if self.basis == basis {
            return;
        }
        self.basis = basis;
        self.orgs.clear();
        self.orgs.extend(roster.orgs.iter().map(|org| channel.has_org(org)));
        self.tree.clear();
        self.others.clear();
        if !self.has(OrgIx::OURS) {
            return;
        }
        for seat in roster.ours().iter().filter(|seat| channel.is_eligible(&seat.pki_id)) {
            let side = if seat.follows_tree { &mut self.tree } else { &mut self.others };
            side.push(seat.pki_id);
        }
    }

    /// Says whether an organisation is in the channel.
    pub(super) fn has(&self, org: OrgIx) -> bool {
        self.orgs.get(org.0).is_some_and(|has| *has)
    }
}
