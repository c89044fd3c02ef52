//! Who the living peers are to routing. It is kept from what the subsystems know, and moves on with
//! those of whom something has changed: a message asks no more than who of a list is meant.

use alloc::vec::Vec;

use crate::{
    Config, OrgId, PkiId,
    changed::Changed,
    channel::Channel,
    discovery::Discovery,
    identity::Identities,
    rng::Rng,
    tree::{Cargo, Receivers, receivers},
    wire::extension,
};

/// The living peers whose organisation is known.
#[derive(Debug)]
pub(super) struct Roster {
    /// Ours first.
    orgs: Vec<Org>,
    /// Grows whenever anybody comes, goes or changes.
    changes: u64,
}

/// Names an organisation of a roster.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct OrgIx(usize);

impl OrgIx {
    pub(super) const OURS: Self = Self(0);
}

#[derive(Debug, Eq, PartialEq)]
struct Org {
    id: OrgId,
    all: Seats,
    /// Those that other organisations can reach.
    public: Seats,
}

/// Some of the living of one organisation.
#[derive(Debug, Default, Eq, PartialEq)]
struct Seats {
    /// All of them, by PKI-ID.
    peers: Vec<PkiId>,
    /// Those that choose at random to whom they pass things on, by PKI-ID.
    strays: Vec<PkiId>,
}

/// Who may hear of something: peers of some organisations.
#[derive(Clone, Copy, Debug)]
pub(super) struct Audience<F> {
    /// None but those whom other organisations can reach.
    pub(super) is_public: bool,
    pub(super) has_org: F,
}

impl<F: Fn(OrgIx, &OrgId) -> bool> Audience<F> {
    /// Says whether those of our organisation are meant.
    pub(super) fn has_ours(&self, config: &Config) -> bool {
        (self.has_org)(OrgIx::OURS, &config.org)
    }
}

impl Roster {
    pub(super) fn new(config: &Config) -> Self {
        Self { orgs: alloc::vec![Org::new(config.org.clone())], changes: 0 }
    }

    /// Takes note of those of whom something has changed.
    pub(super) fn refresh(
        &mut self,
        discovery: &mut Discovery,
        ids: &mut Identities,
        config: &Config,
    ) {
        for changed in [discovery.take_changed(), ids.take_changed()].into_iter().flatten() {
            self.changes += 1;
            match changed {
                Changed::Some(peers) => {
                    peers.iter().for_each(|peer| self.update(peer, discovery, ids, config));
                }
                Changed::All => self.gather(discovery, ids, config),
            }
            debug_assert!(self.is_true(discovery, ids, config), "all changes were told of");
        }
    }

    /// Counts the changes: what was derived from who is alive holds until the next.
    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    /// Says whether everybody sits where gathering anew would seat them.
    fn is_true(&self, discovery: &Discovery, ids: &Identities, config: &Config) -> bool {
        let mut fresh = Self::new(config);
        fresh.gather(discovery, ids, config);
        let is_known = |org: &Org| fresh.orgs.contains(org) || org.all.peers.is_empty();
        self.orgs.iter().all(is_known)
            && fresh.orgs.iter().all(|org| org.all.peers.is_empty() || self.orgs.contains(org))
    }

    /// Seats everybody anew.
    fn gather(&mut self, discovery: &Discovery, ids: &Identities, config: &Config) {
        self.orgs.truncate(1);
        self.orgs[0] = Org::new(config.org.clone());
        for (peer, _) in discovery.alive() {
            self.seat(peer, discovery, ids, config);
        }
    }

    /// Seats one peer anew.
    fn update(&mut self, peer: &PkiId, discovery: &Discovery, ids: &Identities, config: &Config) {
        for org in &mut self.orgs {
            org.all.remove(peer);
            org.public.remove(peer);
        }
        self.seat(peer, discovery, ids, config);
    }

    /// Gives a peer its place, if it is alive and of a known organisation.
    fn seat(&mut self, peer: &PkiId, discovery: &Discovery, ids: &Identities, config: &Config) {
        let Some((living, org)) = discovery.living(peer).zip(ids.org(peer)) else {
            return;
        };
        let can_follow = living.message.extensions & extension::BLOCK_TREE != 0;
        let is_stray = !(config.block_tree && can_follow);
        let org = self.find(org).map_or_else(|| self.add(org.clone()), |org| org.0);
        self.orgs[org].all.insert(*peer, is_stray);
        if living.endpoint.is_some() {
            self.orgs[org].public.insert(*peer, is_stray);
        }
    }

    fn add(&mut self, org: OrgId) -> usize {
        self.orgs.push(Org::new(org));
        self.orgs.len() - 1
    }

    /// Returns those of our organisation, or those of them whom others can reach, by PKI-ID.
    pub(super) fn ours(&self, is_public: bool) -> &[PkiId] {
        &self.orgs[OrgIx::OURS.0].seats(is_public).peers
    }

    /// Finds an organisation that somebody was ever alive of.
    pub(super) fn find(&self, org: &OrgId) -> Option<OrgIx> {
        self.orgs.iter().position(|known| known.id == *org).map(OrgIx)
    }

    /// Says whether all of an audience follow trees, the author of what it is to hear aside.
    pub(super) fn all_follow<F>(&self, audience: &Audience<F>, author: &PkiId) -> bool
    where
        F: Fn(OrgIx, &OrgId) -> bool,
    {
        let is_author = |stray: &PkiId| stray == author;
        self.meant(audience).all(|(_, seats)| seats.strays.iter().all(is_author))
    }

    /// Chooses some of an audience at random, but none that is `excluded`.
    pub(super) fn choose<F>(
        &self,
        audience: &Audience<F>,
        count: usize,
        excluded: impl Fn(&PkiId) -> bool,
        rng: &mut Rng,
    ) -> Receivers
    where
        F: Fn(OrgIx, &OrgId) -> bool,
    {
        let lists: Vec<_> = self.meant(audience).map(|(_, seats)| &seats.peers[..]).collect();
        choose(&lists, count, excluded, rng)
    }

    /// Lists the first `count` of the tree that a statement of ours goes down in each organisation
    /// of an audience but ours, as far as we know its members.
    pub(super) fn first_abroad<F>(
        &self,
        audience: &Audience<F>,
        own: &PkiId,
        cargo: Cargo<'_>,
        count: usize,
    ) -> Receivers
    where
        F: Fn(OrgIx, &OrgId) -> bool,
    {
        let abroad = self.meant(audience).filter(|(org, _)| *org != OrgIx::OURS);
        abroad.flat_map(|(_, seats)| receivers(&seats.peers, own, cargo, count, true)).collect()
    }

    fn meant<F>(&self, audience: &Audience<F>) -> impl Iterator<Item = (OrgIx, &Seats)>
    where
        F: Fn(OrgIx, &OrgId) -> bool,
    {
        let orgs = self.orgs.iter().enumerate().map(|(ix, org)| (OrgIx(ix), org));
        let meant = orgs.filter(|(ix, org)| (audience.has_org)(*ix, &org.id));
        meant.map(|(ix, org)| (ix, org.seats(audience.is_public)))
    }
}

impl Org {
    fn new(id: OrgId) -> Self {
        Self { id, all: Seats::default(), public: Seats::default() }
    }

    const fn seats(&self, is_public: bool) -> &Seats {
        if is_public { &self.public } else { &self.all }
    }
}

impl Seats {
    fn insert(&mut self, peer: PkiId, is_stray: bool) {
        insert(&mut self.peers, peer);
        if is_stray {
            insert(&mut self.strays, peer);
        }
    }

    fn remove(&mut self, peer: &PkiId) {
        for list in [&mut self.peers, &mut self.strays] {
            if let Ok(at) = list.binary_search(peer) {
                list.remove(at);
            }
        }
    }
}

fn insert(sorted: &mut Vec<PkiId>, peer: PkiId) {
    if let Err(at) = sorted.binary_search(&peer) {
        sorted.insert(at, peer);
    }
}

/// The living members of a channel that are of our organisation.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// What it was gathered from: the changes of the living and of the channel.
    basis: Option<(u64, u64)>,
    /// Those that follow its trees, by PKI-ID.
    pub(super) tree: Vec<PkiId>,
    /// Those that choose at random, by PKI-ID.
    pub(super) others: Vec<PkiId>,
}

impl Crowd {
    /// Gathers it anew if anything has changed since, in a roster that is up to date.
    pub(super) fn refresh(&mut self, roster: &Roster, channel: &Channel, config: &Config) {
        let basis = (roster.changes, channel.changes());
        if self.basis == Some(basis) {
            return;
        }
        self.basis = Some(basis);
        self.tree.clear();
        self.others.clear();
        if !channel.has_org(&config.org) {
            return;
        }
        let Seats { peers, strays } = &roster.orgs[OrgIx::OURS.0].all;
        for peer in peers.iter().filter(|peer| channel.is_eligible(peer)) {
            let is_stray = strays.binary_search(peer).is_ok();
            let side = if is_stray { &mut self.others } else { &mut self.tree };
            side.push(*peer);
        }
    }
}

/// Chooses `count` peers of some lists, each as likely as any, but none that is `excluded`.
///
/// O(count) where few are excluded, however long the lists are.
pub(super) fn choose(
    lists: &[&[PkiId]],
    count: usize,
    excluded: impl Fn(&PkiId) -> bool,
    rng: &mut Rng,
) -> Receivers {
    let all: usize = lists.iter().map(|list| list.len()).sum();
    let mut chosen = Receivers::new();
    // As a rule hardly anybody is excluded or drawn twice.
    for _ in 0..count.saturating_mul(2) {
        if all <= count || chosen.len() == count {
            break;
        }
        let peer = nth(lists, rng.below(all));
        if !chosen.contains(peer) && !excluded(peer) {
            chosen.push(*peer);
        }
    }
    let lacking = count - chosen.len();
    if lacking > 0 && all > 0 {
        let is_free = |peer: &&PkiId| !chosen.contains(peer) && !excluded(peer);
        let mut rest: Vec<_> = lists.iter().copied().flatten().filter(is_free).copied().collect();
        rng.choose(&mut rest, lacking);
        chosen.extend(rest);
    }
    chosen
}

fn nth<'a>(lists: &[&'a [PkiId]], mut at: usize) -> &'a PkiId {
    for list in lists {
        match list.get(at) {
            Some(peer) => return peer,
            None => at -= list.len(),
        }
    }
    unreachable!("less than all of them together")
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;

    fn peers(bytes: core::ops::Range<u8>) -> Vec<PkiId> {
        bytes.map(|byte| PkiId::new([byte; 32])).collect()
    }

    #[test]
    fn everybody_is_as_likely_to_be_chosen_but_for_those_excluded() {
        let mut rng = Rng::fork(&[1; 32], "test");
        let (one, other) = (peers(0..3), peers(10..20));
        for (count, times) in [(1, 850..1150), (3, 2800..3200), (11, 10_850..11_150)] {
            let mut chosen: BTreeMap<PkiId, u32> = BTreeMap::new();
            for _ in 0..12_000 {
                let receivers = choose(&[&one, &other], count, |peer| *peer == one[0], &mut rng);
                assert_eq!(receivers.len(), count);
                receivers.iter().for_each(|peer| *chosen.entry(*peer).or_default() += 1);
            }
            assert_eq!(chosen.len(), 12);
            assert!(!chosen.contains_key(&one[0]));
            assert!(chosen.values().all(|count| times.contains(count)), "{chosen:?}");
        }
    }

    #[test]
    fn nobody_is_chosen_twice_and_no_more_than_there_are() {
        let mut rng = Rng::fork(&[1; 32], "test");
        let few = peers(0..4);
        for count in 0..7 {
            let mut chosen = choose(&[&few, &[]], count, |_| false, &mut rng);
            chosen.sort_unstable();
            chosen.dedup();
            assert_eq!(chosen.len(), count.min(4));
        }
        assert!(choose(&[], 3, |_| false, &mut rng).is_empty());
        assert!(choose(&[&few], 3, |_| true, &mut rng).is_empty());
    }
}
