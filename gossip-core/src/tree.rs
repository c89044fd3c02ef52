//! Whom to pass something on to, so that all get it and hardly anybody gets it twice.
//!
//! Every peer knows all members of its organisation, and so derives the same tree for each block
//! and each statement: the members in the order of their PKI-IDs, beginning with one that what is
//! passed on decides, as a heap below whoever brings it. Where Fabric's random choice of three
//! reaches 94 % with three copies for each, the tree reaches all with one, as long as all agree on
//! the members; a few random links and the pull repair the rest. Fabric's own peers pass on to whom
//! they like: they are served as everybody, and what they send on comes on top.

use smallvec::SmallVec;

use crate::PkiId;

/// The few peers that get something from us.
pub(crate) type Receivers = SmallVec<[PkiId; 8]>;

/// What goes down a tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cargo<'a> {
    /// Whose statement it is: its author has no place in the tree. Nobody's if it is a block.
    pub(crate) author: Option<&'a PkiId>,
    /// The number of the block, or the version of the statement.
    pub(crate) number: u64,
}

/// Returns whom `own` passes a cargo on to: of all members, which are `own` and the `others` in
/// order, those below it. `is_source` if the cargo came from none of them: then it begins at the
/// top.
///
/// At most `fanout` are returned, or twice as many for a source that has a place itself.
/// O(fanout + log n).
pub(crate) fn receivers(
    others: &[PkiId],
    own: &PkiId,
    cargo: Cargo<'_>,
    fanout: usize,
    is_source: bool,
) -> Receivers {
    let ring = Ring::new(others, own, cargo);
    let top = is_source.then_some(0);
    // The source is above the first; member i has below it i * fanout + fanout and following.
    let below = ring.own_place().map(|place| place.saturating_add(1).saturating_mul(fanout));
    let mut receivers = Receivers::new();
    for first in top.into_iter().chain(below) {
        let places = first..first.saturating_add(fanout).min(ring.len);
        receivers.extend(places.filter_map(|place| ring.other_at(place)).copied());
    }
    receivers
}

/// The members of a tree but the author, in order, beginning with any of them.
struct Ring<'a> {
    others: &'a [PkiId],
    /// Where `own` is among all members in order, and where the author is.
    own: usize,
    author: Option<usize>,
    len: usize,
    /// Which of them is the first.
    begin: usize,
}

impl<'a> Ring<'a> {
    fn new(others: &'a [PkiId], own: &PkiId, cargo: Cargo<'_>) -> Self {
        let own_at = others.partition_point(|other| other < own);
        let author = cargo.author.and_then(|author| match others.binary_search(author) {
            Ok(at) => Some(at + usize::from(at >= own_at)),
            Err(_) => (author == own).then_some(own_at),
        });
        let len = others.len() + 1 - usize::from(author.is_some());
        // A share of them all: where one more or less is known, this moves by one at most.
        let begin = (u128::from(cargo.hash()) * len as u128) >> 64;
        Self { others, own: own_at, author, len, begin: begin as usize }
    }

    /// Returns the place of `own`, unless it is the author.
    fn own_place(&self) -> Option<usize> {
        if self.author == Some(self.own) {
            return None;
        }
        let at = self.own - usize::from(self.author.is_some_and(|author| author < self.own));
        Some(if at >= self.begin { at - self.begin } else { at + self.len - self.begin })
    }

    /// Returns who has a place, which must be one; `None` if `own` has.
    fn other_at(&self, place: usize) -> Option<&'a PkiId> {
        let at = self.begin + place;
        let at = if at >= self.len { at - self.len } else { at };
        let at = at + usize::from(self.author.is_some_and(|author| author <= at));
        match at == self.own {
            true => None,
            false => self.others.get(at - usize::from(at > self.own)),
        }
    }
}

impl Cargo<'_> {
    /// Shuffles, each block and each statement in another way, so that all bear the same load.
    fn hash(&self) -> u64 {
        let mut hash = self.author.map_or(0, |author| author.words().0);
        hash ^= self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // The finalizer of splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
        // Generators).
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^ (hash >> 31)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{
        collections::{BTreeMap, BTreeSet, VecDeque},
        vec::Vec,
    };

    use super::*;

    fn members(count: u8) -> Vec<PkiId> {
        let mut members: Vec<_> =
            (0..count).map(|number| PkiId::new([number.wrapping_mul(37); 32])).collect();
        members.sort_unstable();
        members
    }

    /// Whom a member passes a cargo on to, as it knows all the others.
    fn below(members: &[PkiId], own: &PkiId, cargo: Cargo<'_>, is_source: bool) -> Receivers {
        let others: Vec<_> = members.iter().filter(|member| *member != own).copied().collect();
        receivers(&others, own, cargo, 3, is_source)
    }

    fn block(number: u64) -> Cargo<'static> {
        Cargo { author: None, number }
    }

    /// Lets a cargo go down its tree; returns how many copies each got.
    fn copies(members: &[PkiId], source: PkiId, cargo: Cargo<'_>) -> BTreeMap<PkiId, usize> {
        let mut copies: BTreeMap<PkiId, usize> = BTreeMap::new();
        let mut waiting = VecDeque::from([(source, true)]);
        while let Some((peer, is_source)) = waiting.pop_front() {
            for to in below(members, &peer, cargo, is_source) {
                let copies = copies.entry(to).or_default();
                *copies += 1;
                if *copies == 1 && to != source {
                    waiting.push_back((to, false));
                }
            }
        }
        copies
    }

    #[test]
    fn everybody_gets_a_block_and_nobody_but_the_source_gets_it_in_vain() {
        for (count, number) in [(1, 0), (2, 7), (4, 1), (32, 5), (33, 6), (100, u64::MAX)] {
            let members = members(count);
            let source = members[0];
            let mut copies = copies(&members, source, block(number));
            copies.remove(&source);
            assert_eq!(copies.len(), members.len() - 1, "{count} members, block {number}");
            assert!(copies.values().all(|copies| *copies == 1), "{copies:?}");
        }
    }

    #[test]
    fn everybody_gets_a_statement_once_and_its_author_never() {
        for count in [1, 2, 3, 4, 5, 33, 100] {
            let members = members(count);
            for author in &members {
                let cargo = Cargo { author: Some(author), number: 9 };
                let copies = copies(&members, *author, cargo);
                assert!(!copies.contains_key(author), "{count} members");
                assert_eq!(copies.len(), members.len() - 1, "{count} members");
                assert!(copies.values().all(|copies| *copies == 1), "{copies:?}");
            }
        }
    }

    #[test]
    fn a_statement_from_elsewhere_begins_wherever_it_arrives() {
        let (members, author) = (members(40), PkiId::new([251; 32]));
        assert!(!members.contains(&author));
        let cargo = Cargo { author: Some(&author), number: 1 };
        for entry in &members {
            let mut copies = copies(&members, *entry, cargo);
            copies.remove(entry);
            assert_eq!(copies.len(), members.len() - 1);
            assert!(copies.values().all(|copies| *copies == 1), "{copies:?}");
        }
    }

    #[test]
    fn the_load_moves_from_block_to_block_and_is_the_same_for_all() {
        let members = members(32);
        let busy = |cargo| {
            let has_receivers = |peer: &&PkiId| !below(&members, peer, cargo, false).is_empty();
            members.iter().filter(has_receivers).copied().collect::<Vec<_>>()
        };
        assert_eq!(busy(block(1)).len(), 10);
        assert_ne!(busy(block(1)), busy(block(2)));
        let mut times: BTreeMap<PkiId, u32> = BTreeMap::new();
        for number in 0..1000 {
            busy(block(number)).into_iter().for_each(|peer| *times.entry(peer).or_default() += 1);
        }
        assert_eq!(times.len(), 32);
        assert!(times.values().all(|times| (250..375).contains(times)), "{times:?}");
    }

    #[test]
    fn the_trees_of_two_authors_are_not_the_same() {
        let members = members(32);
        let tops: BTreeSet<_> = members[..8]
            .iter()
            .map(|author| {
                let cargo = Cargo { author: Some(author), number: 1 };
                below(&members, author, cargo, true)[0]
            })
            .collect();
        assert!(tops.len() >= 6, "{tops:?}");
    }
}
