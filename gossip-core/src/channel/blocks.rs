//! The blocks of a channel: the window of those that are spread, and those that wait for their
//! turn to be committed.

use alloc::collections::BTreeMap;
use core::time::Duration;

use bytes::Bytes;

use crate::Instant;

/// The recent blocks: what is refused as known or old, and what can be served.
///
/// Holds the frames of at most `size + 1` blocks; the highest block seen moves it (11.2).
#[derive(Debug)]
pub(crate) struct Window {
    size: u64,
    ttl: Duration,
    blocks: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    stored_at: Instant,
    /// `None` once it is too old to be served; it is refused for as long again (CH-47).
    frame: Option<Bytes>,
}

impl Window {
    pub(super) const fn new(size: u64, ttl: Duration) -> Self {
        Self { size, ttl, blocks: BTreeMap::new() }
    }

    /// Counts the blocks that are refused as known.
    pub(super) fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Says whether a block is new and recent enough (CH-42, CH-43).
    pub(super) fn would_accept(&self, number: u64) -> bool {
        !self.blocks.contains_key(&number)
            && self.highest().is_none_or(|top| !self.is_past(number, top))
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.blocks.contains_key(&number)
    }

    /// Stores a block, if it [would be accepted](Self::would_accept), and evicts what it outdates.
    pub(super) fn insert(&mut self, number: u64, frame: Bytes, now: Instant) -> bool {
        if !self.would_accept(number) {
            return false;
        }
        self.blocks.insert(number, Entry { stored_at: now, frame: Some(frame) });
        let highest = self.highest().unwrap_or(number);
        while let Some(oldest) = self.blocks.first_entry() {
            if !is_past(*oldest.key(), highest, self.size) {
                break;
            }
            oldest.remove();
        }
        true
    }

    /// Lists the numbers of the blocks that can be served.
    pub(super) fn served(&self) -> impl Iterator<Item = u64> + '_ {
        let served = self.blocks.iter().filter(|(_, entry)| entry.frame.is_some());
        served.map(|(number, _)| *number)
    }

    /// Returns the frame of a block that can be served.
    pub(super) fn frame(&self, number: u64) -> Option<Bytes> {
        self.blocks.get(&number)?.frame.clone()
    }

    /// Forgets a block, so that another copy of it may come.
    pub(super) fn remove(&mut self, number: u64) {
        self.blocks.remove(&number);
    }

    /// Lets blocks go that were stored too long ago, and says when to look again.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Instant> {
        let ttl = self.ttl;
        self.blocks.retain(|_, entry| now - entry.stored_at <= ttl * 2);
        for entry in self.blocks.values_mut() {
            if now - entry.stored_at > ttl {
                entry.frame = None;
            }
        }
        self.next_expiry()
    }

    /// Returns when the next block is to be let go.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        let due = |entry: &Entry| match entry.frame {
            Some(_) => entry.stored_at + self.ttl,
            None => entry.stored_at + self.ttl * 2,
        };
        self.blocks.values().map(due).min().map(|at| at + Duration::from_nanos(1))
    }

    fn highest(&self) -> Option<u64> {
        self.blocks.last_key_value().map(|(number, _)| *number)
    }

    fn is_past(&self, number: u64, highest: u64) -> bool {
        is_past(number, highest, self.size)
    }
}

const fn is_past(number: u64, highest: u64, size: u64) -> bool {
    highest > number && highest - number > size
}

/// Verified blocks on their way into the ledger, in order, one at a time.
#[derive(Debug)]
pub(crate) struct Backlog {
    /// The number of the next block to commit, once the ledger's height is known.
    next: Option<u64>,
    waiting: BTreeMap<u64, Bytes>,
    bytes: usize,
    committing: Option<(u64, Bytes)>,
    blocks_max: usize,
    bytes_max: usize,
}

impl Backlog {
    pub(super) const fn new(next: Option<u64>, blocks_max: usize, bytes_max: usize) -> Self {
        Self { next, waiting: BTreeMap::new(), bytes: 0, committing: None, blocks_max, bytes_max }
    }

    /// Counts the blocks that wait, and their bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.waiting.len(), self.bytes)
    }

    /// Says whether the ledger still lacks a block that does not wait here yet.
    pub(super) fn lacks(&self, number: u64) -> bool {
        self.next.is_some_and(|next| number >= next)
            && !self.waiting.contains_key(&number)
            && self.committing.as_ref().is_none_or(|(committing, _)| *committing != number)
    }

    /// Returns the number of the next block, if it is not here.
    pub(super) fn missing(&self) -> Option<u64> {
        self.next.filter(|next| self.lacks(*next))
    }

    /// Returns the first number of which neither the ledger has the block nor does it wait here.
    pub(super) fn first_lacking(&self) -> Option<u64> {
        let mut number = self.next?;
        while !self.lacks(number) {
            number = number.checked_add(1)?;
        }
        Some(number)
    }

    /// Says whether blocks wait for one that is not here.
    pub(super) fn has_gap(&self) -> bool {
        !self.waiting.is_empty() && self.missing().is_some()
    }

    /// Keeps a block until its turn comes. When full, a block that is nearer to its turn takes the
    /// place of the farthest; says whether the block was kept.
    pub(super) fn insert(&mut self, number: u64, block: Bytes) -> bool {
        if !self.lacks(number) {
            return false;
        }
        while self.waiting.len() >= self.blocks_max || self.bytes + block.len() > self.bytes_max {
            let is_next = self.next == Some(number);
            match self.waiting.last_entry() {
                Some(last) if *last.key() > number => self.bytes -= last.remove().len(),
                // One block may exceed the bound, or nothing would ever be committed.
                None if is_next => break,
                Some(_) | None => return false,
            }
        }
        self.bytes += block.len();
        self.waiting.insert(number, block);
        true
    }

    /// Takes the block whose turn it is, unless one is being committed.
    pub(super) fn begin(&mut self) -> Option<(u64, Bytes)> {
        let next = self.next?;
        if self.committing.is_some() {
            return None;
        }
        let block = self.waiting.remove(&next)?;
        self.bytes -= block.len();
        self.committing = Some((next, block));
        self.committing.clone()
    }

    /// Returns the block that is being committed, to try it once more.
    pub(super) fn again(&self) -> Option<(u64, Bytes)> {
        self.committing.clone()
    }

    /// Takes note that the block was committed; returns the new height.
    pub(super) fn committed(&mut self) -> Option<u64> {
        let (number, _) = self.committing.take()?;
        Some(self.set_next(number.saturating_add(1)))
    }

    /// Drops the block that the ledger did not take.
    pub(super) fn rejected(&mut self) {
        self.committing = None;
    }

    /// Takes note of the ledger's height and returns it; it never falls.
    pub(super) fn set_next(&mut self, height: u64) -> u64 {
        let next = self.next.map_or(height, |next| next.max(height));
        self.next = Some(next);
        let rest = self.waiting.split_off(&next);
        self.bytes -= self.waiting.values().map(Bytes::len).sum::<usize>();
        self.waiting = rest;
        next
    }
}
