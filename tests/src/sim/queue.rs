//! What is to happen: one heap, ordered by time and then by the order in which it was planned.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use gossip_core::Instant;

/// Events in the order in which they happen.
#[derive(Debug)]
pub(super) struct Queue<T> {
    heap: BinaryHeap<Reverse<Planned<T>>>,
    planned: u64,
}

#[derive(Debug)]
struct Planned<T> {
    at: Instant,
    number: u64,
    what: T,
}

impl<T> Queue<T> {
    /// Plans an event.
    pub(super) fn push(&mut self, at: Instant, what: T) {
        self.planned += 1;
        self.heap.push(Reverse(Planned { at, number: self.planned, what }));
    }

    /// Takes the next event, if it happens at `until` or before.
    pub(super) fn pop(&mut self, until: Instant) -> Option<(Instant, T)> {
        if self.heap.peek()?.0.at > until {
            return None;
        }
        self.heap.pop().map(|Reverse(planned)| (planned.at, planned.what))
    }

    /// Counts the events that were ever planned.
    #[must_use]
    pub(super) fn planned(&self) -> u64 {
        self.planned
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), planned: 0 }
    }
}

impl<T> Planned<T> {
    fn key(&self) -> (Instant, u64) {
        (self.at, self.number)
    }
}

impl<T> Ord for Planned<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl<T> PartialOrd for Planned<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Eq for Planned<T> {}

impl<T> PartialEq for Planned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
