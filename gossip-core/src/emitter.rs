//! Gathers what is to be pushed, so that it leaves in batches.

use alloc::{sync::Arc, vec::Vec};

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{
    ChannelId, Config, Instant, PkiId, cx,
    wire::{Alive, StateInfo},
};

type Cx<'a> = cx::Cx<'a, Effect>;

/// The peers that a message came from: it is not sent back to them (N-8).
pub(crate) type Sources = SmallVec<[PkiId; 2]>;

/// Something to be pushed.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Alive(Arc<Alive>),
    /// A block: one that was pulled goes to those alone who wait for it from us.
    Block {
        channel: ChannelId,
        number: u64,
        frame: Bytes,
        is_pulled: bool,
    },
    /// A leadership message of our own: all who may hear of it get it from us.
    Leadership {
        channel: ChannelId,
        frame: Bytes,
    },
    StateInfo(Arc<StateInfo>),
}

/// What the emitter wants done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Choose receivers and send.
    Batch(Vec<(Item, Sources)>),
    SetTimer(Instant),
}

/// The batch that is being gathered.
///
/// Where Fabric's emitter sleeps between batches, this one lets the first message after a pause go
/// at once: only what follows within `max_propagation_burst_latency` waits for company.
#[derive(Debug)]
pub(crate) struct Emitter {
    entries: Vec<Entry>,
    iterations: u32,
    /// Not before this is the next batch due.
    next: Instant,
    /// What the timer was last set to.
    armed: Instant,
    stopped: bool,
}

#[derive(Debug)]
struct Entry {
    item: Item,
    sources: Sources,
    iterations_left: u32,
}

impl Emitter {
    pub(crate) const fn new(config: &Config) -> Self {
        let iterations = config.propagate_iterations;
        Self {
            entries: Vec::new(),
            iterations,
            next: Instant::ZERO,
            armed: Instant::ZERO,
            stopped: false,
        }
    }

    /// Puts a message into the batch; the last that fits completes it (N-2).
    pub(crate) fn add(&mut self, item: Item, sources: Sources, cx: &mut Cx<'_>) {
        if self.iterations == 0 || self.stopped {
            return;
        }
        self.entries.push(Entry { item, sources, iterations_left: self.iterations });
        if self.entries.len() >= cx.config.max_propagation_burst_size.max(1) {
            self.emit(cx);
        }
    }

    /// Says whether there is anything to [`settle`](Self::settle).
    pub(crate) fn is_unsettled(&self, now: Instant) -> bool {
        !self.entries.is_empty() && (self.next <= now || self.armed != self.next)
    }

    /// Emits what waits, if the last batch was long enough ago; else says when it will be.
    pub(crate) fn settle(&mut self, cx: &mut Cx<'_>) {
        if self.entries.is_empty() {
            return;
        }
        if self.next <= cx.now {
            self.emit(cx);
        }
        self.arm(cx);
    }

    fn arm(&mut self, cx: &mut Cx<'_>) {
        if !self.entries.is_empty() && self.armed != self.next {
            self.armed = self.next;
            cx.emit(Effect::SetTimer(self.next));
        }
    }

    /// Forgets what waits (N-6).
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
        self.entries.clear();
    }

    fn emit(&mut self, cx: &mut Cx<'_>) {
        let mut batch = Vec::with_capacity(self.entries.len());
        for mut entry in core::mem::take(&mut self.entries) {
            entry.iterations_left -= 1;
            if entry.iterations_left > 0 {
                batch.push((entry.item.clone(), entry.sources.clone()));
                self.entries.push(entry);
            } else {
                batch.push((entry.item, entry.sources));
            }
        }
        self.next = cx.now + cx.config.max_propagation_burst_latency;
        cx.emit(Effect::Batch(batch));
    }
}

#[cfg(test)]
mod tests;
