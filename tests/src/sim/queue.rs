//! What is to happen: ordered by time and then by the order in which it was planned.

use std::{cmp::Reverse, collections::BinaryHeap};

use gossip_core::Instant;

/// Events in the order in which they happen.
///
/// The heap holds small keys, which are moved about; events stay in their slots.
#[derive(Debug)]
pub(super) struct Queue<T> {
    heap: BinaryHeap<Reverse<Key>>,
    slots: Vec<Option<T>>,
    /// Slots that are empty.
    free: Vec<u32>,
    planned: u64,
}

/// When something happens, the how manieth planned it is, and its slot, from the upper bits to the
/// lower: keys have the order of events.
type Key = u128;

impl<T> Queue<T> {
    /// Plans an event.
    pub(super) fn push(&mut self, at: Instant, what: T) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        assert!(slot >> SLOT_BITS == 0, "at most {} events wait", 1 << SLOT_BITS);
        self.slots[slot as usize] = Some(what);
        self.planned += 1;
        let order = self.planned << SLOT_BITS | u64::from(slot);
        self.heap.push(Reverse(u128::from(at.as_nanos()) << 64 | u128::from(order)));
    }

    /// Takes the next event, if it happens at `until` or before.
    pub(super) fn pop(&mut self, until: Instant) -> Option<(Instant, T)> {
        let Reverse(next) = self.heap.peek()?;
        let at = Instant::from_nanos((next >> 64) as u64);
        if at > until {
            return None;
        }
        let Reverse(key) = self.heap.pop()?;
        let slot = key as u32 & ((1 << SLOT_BITS) - 1);
        self.free.push(slot);
        Some((at, self.slots[slot as usize].take()?))
    }

    /// Counts the events that were ever planned.
    #[must_use]
    pub(super) fn planned(&self) -> u64 {
        self.planned
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), planned: 0 }
    }
}

/// Leaves 40 bits for the numbers of events: more than any run has.
const SLOT_BITS: u32 = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_as_they_were_planned() {
        let mut queue = Queue::default();
        let at = Instant::from_nanos;
        for (nanos, what) in [(5, 'c'), (9, 'e'), (5, 'd'), (1, 'a')] {
            queue.push(at(nanos), what);
        }
        assert_eq!(queue.pop(at(4)), Some((at(1), 'a')));
        assert_eq!(queue.pop(at(4)), None);
        // In the slot of one that is over.
        queue.push(at(2), 'b');
        let rest: String = std::iter::from_fn(|| queue.pop(at(9))).map(|(_, what)| what).collect();
        assert_eq!(rest, "bcde");
        assert_eq!(queue.planned(), 5);
    }
}
