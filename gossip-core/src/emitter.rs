//! Gathers what is to be pushed, so that it leaves in batches.

use alloc::{boxed::Box, sync::Arc, vec::Vec};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{
    ChannelId, Config, Instant, PkiId,
    wire::{Alive, StateInfo},
};

/// The peers that a message came from: it is not sent back to them (N-8).
pub(crate) type Sources = SmallVec<[PkiId; 2]>;

/// Something to be pushed.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Alive(Arc<Alive>),
    Block(Box<Block>),
    /// A leadership message of our own: all who may hear of it get it from us.
    Leadership(Box<(ChannelId, Bytes)>),
    StateInfo(Arc<StateInfo>),
}

/// A block to be pushed.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    pub(crate) channel: ChannelId,
    pub(crate) number: u64,
    pub(crate) frame: Bytes,
    /// It was pulled: it goes to those alone who wait for it from us.
    pub(crate) is_pulled: bool,
}

impl Item {
    /// Returns the item's turn in a batch: blocks are in the greatest hurry.
    pub(crate) const fn turn(&self) -> usize {
        match self {
            Self::Block(_) => 0,
            Self::Leadership(_) => 1,
            Self::StateInfo(_) => 2,
            Self::Alive(_) => 3,
        }
    }
}

/// How many turns a batch has.
pub(crate) const TURNS: usize = 4;

/// An item of a batch.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) item: Item,
    pub(crate) sources: Sources,
    iterations_left: u32,
}

impl Entry {
    /// Returns what of it is left for later batches.
    fn again(&self) -> Option<Self> {
        let Self { item, sources, iterations_left } = self;
        let again = || Self {
            item: item.clone(),
            sources: sources.clone(),
            iterations_left: *iterations_left,
        };
        (*iterations_left > 0).then(again)
    }
}

/// The batch that is being gathered.
///
/// Where Fabric's emitter sleeps between batches, this one lets the first message after a pause go
/// at once: only what follows within `max_propagation_burst_latency` waits for company.
#[derive(Debug)]
pub(crate) struct Emitter {
    entries: Vec<Entry>,
    /// The memory of a batch that has gone.
    spare: Vec<Entry>,
    iterations: u32,
    /// Not before this is the next batch due.
    next: Instant,
    /// What the timer was last set to.
    armed: Instant,
    stopped: bool,
}

impl Emitter {
    pub(crate) const fn new(config: &Config) -> Self {
        let iterations = config.propagate_iterations;
        Self {
            entries: Vec::new(),
            spare: Vec::new(),
            iterations,
            next: Instant::ZERO,
            armed: Instant::ZERO,
            stopped: false,
        }
    }

    /// Puts a message into the batch.
    pub(crate) fn add(&mut self, item: Item, sources: Sources) {
        if self.iterations > 0 && !self.stopped {
            self.entries.push(Entry { item, sources, iterations_left: self.iterations });
        }
    }

    /// Takes a batch that something new has filled (N-2), or all that waits if the last was long
    /// enough ago. What has iterations left is in the next one, too (N-4).
    pub(crate) fn take(&mut self, now: Instant, config: &Config) -> Option<Vec<Entry>> {
        let burst = config.max_propagation_burst_size.max(1);
        // Those that were in a batch come first.
        let old = self.entries.partition_point(|entry| entry.iterations_left < self.iterations);
        let is_full = self.entries.len() >= burst && self.entries.len() > old;
        if self.entries.is_empty() || (self.next > now && !is_full) {
            return None;
        }
        let size = (old + burst.saturating_sub(old).max(1)).min(self.entries.len());
        let mut batch = core::mem::replace(&mut self.entries, core::mem::take(&mut self.spare));
        let later = batch.split_off(size);
        for entry in &mut batch {
            entry.iterations_left -= 1;
            self.entries.extend(entry.again());
        }
        self.entries.extend(later);
        self.next = now + config.max_propagation_burst_latency;
        Some(batch)
    }

    /// Takes the memory of a batch back.
    pub(crate) fn give_back(&mut self, mut batch: Vec<Entry>) {
        batch.clear();
        self.spare = batch;
    }

    /// Returns when the timer is to go for what waits, unless it is set.
    pub(crate) fn arm(&mut self) -> Option<Instant> {
        if self.entries.is_empty() || self.armed == self.next {
            return None;
        }
        self.armed = self.next;
        Some(self.next)
    }

    /// Forgets what waits (N-6).
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests;
