//! What is to happen: ordered by time and then by the order in which it was planned.

use std::{cmp::Reverse, collections::BinaryHeap};

use gossip_core::Instant;

/// Events in the order in which they happen.
///
/// Most happen soon: the time ahead is cut into short spans, and what happens in one of them is put
/// in order when its turn comes. What happens after the last span waits in a heap. Events stay in
/// their slots: small keys are moved about.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// What happens in the present span or before, the next last.
    present: Vec<Key>,
    /// The number of the present span.
    span: u64,
    /// The spans after the present one, each at its number modulo theirs.
    spans: Spans,
    /// What happens later than in any of them.
    later: BinaryHeap<Reverse<Key>>,
    slots: Vec<Slot<T>>,
    /// Slots that are empty.
    free: Vec<u32>,
    planned: u64,
}

/// When something happens, the how manieth planned it is, and its slot, from the upper bits to the
/// lower: keys have the order of events.
type Key = u128;

#[derive(Debug)]
struct Slot<T> {
    what: Option<T>,
    key: Key,
    /// Another event of the same span.
    next: u32,
}

impl<T> Queue<T> {
    /// Plans an event.
    pub(super) fn push(&mut self, at: Instant, what: T) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { what: None, key: 0, next: NONE });
            (self.slots.len() - 1) as u32
        });
        assert!(slot >> SLOT_BITS == 0, "at most {} events wait", 1 << SLOT_BITS);
        self.planned += 1;
        let order = self.planned << SLOT_BITS | u64::from(slot);
        let key = u128::from(at.as_nanos()) << 64 | u128::from(order);
        let mut next = NONE;
        match span_of(key).saturating_sub(self.span) {
            0 => {
                let place = self.present.partition_point(|other| *other > key);
                self.present.insert(place, key);
            }
            1..SPANS => next = self.spans.add(span_of(key), slot),
            _ => self.later.push(Reverse(key)),
        }
        self.slots[slot as usize] = Slot { what: Some(what), key, next };
    }

    /// Takes the next event, if it happens at `until` or before.
    pub(super) fn pop(&mut self, until: Instant) -> Option<(Instant, T)> {
        if self.present.is_empty() {
            self.go_on(until);
        }
        let key = *self.present.last()?;
        let at = Instant::from_nanos((key >> 64) as u64);
        if at > until {
            return None;
        }
        self.present.pop();
        let slot = key as u32 & ((1 << SLOT_BITS) - 1);
        self.free.push(slot);
        Some((at, self.slots[slot as usize].what.take()?))
    }

    /// Goes on to the next span in which anything happens, if it begins at `until` or before.
    fn go_on(&mut self, until: Instant) {
        let later = self.later.peek().map(|Reverse(key)| span_of(*key));
        let next = self.spans.next(self.span).into_iter().chain(later).min();
        let Some(span) = next.filter(|span| *span <= until.as_nanos() >> SPAN_BITS) else { return };
        self.span = span;
        let mut slot = self.spans.take(span);
        while slot != NONE {
            let Slot { key, next, .. } = self.slots[slot as usize];
            self.present.push(key);
            slot = next;
        }
        while let Some(Reverse(key)) = self.later.peek().filter(|key| span_of(key.0) == span) {
            self.present.push(*key);
            self.later.pop();
        }
        self.present.sort_unstable_by_key(|key| Reverse(*key));
    }

    /// Counts the events that were ever planned.
    #[must_use]
    pub(super) fn planned(&self) -> u64 {
        self.planned
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            present: Vec::new(),
            span: 0,
            spans: Spans { first: vec![NONE; SPANS as usize], words: [0; WORDS] },
            later: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            planned: 0,
        }
    }
}

/// The slots of the events of each span, as lists through the slots.
#[derive(Debug)]
struct Spans {
    first: Vec<u32>,
    /// A bit for each span in which anything happens.
    words: [u64; WORDS],
}

impl Spans {
    /// Puts a slot before the others of a span; returns the first of those.
    fn add(&mut self, span: u64, slot: u32) -> u32 {
        let place = (span % SPANS) as usize;
        self.words[place / 64] |= 1 << (place % 64);
        std::mem::replace(&mut self.first[place], slot)
    }

    /// Takes the slots of a span; returns the first of them.
    fn take(&mut self, span: u64) -> u32 {
        let place = (span % SPANS) as usize;
        self.words[place / 64] &= !(1 << (place % 64));
        std::mem::replace(&mut self.first[place], NONE)
    }

    /// Finds the first span after the present one in which anything happens.
    fn next(&self, present: u64) -> Option<u64> {
        let from = (present + 1) % SPANS;
        let (word, bit) = (from as usize / 64, from % 64);
        let mut bits = self.words[word] >> bit << bit;
        for ahead in 0..=WORDS {
            if bits != 0 {
                let place = ((word + ahead) % WORDS * 64) as u64 + u64::from(bits.trailing_zeros());
                return Some(present + 1 + (place + SPANS - from) % SPANS);
            }
            bits = self.words[(word + ahead + 1) % WORDS];
        }
        None
    }
}

fn span_of(key: Key) -> u64 {
    (key >> (64 + SPAN_BITS)) as u64
}

/// No slot.
const NONE: u32 = u32::MAX;
/// Leaves 40 bits for the numbers of events: more than any run has.
const SLOT_BITS: u32 = 24;
/// A span lasts 66 µs: a handful of events happen in it.
const SPAN_BITS: u32 = 16;
/// How many spans there are: more than a quarter of a second.
const SPANS: u64 = 4096;
const WORDS: usize = SPANS as usize / 64;

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

    /// Soon and late, in the past, together and far apart: as a sorted list has them.
    #[test]
    fn events_come_as_if_all_were_sorted() {
        let mut draws = crate::sim::draws::Draws::fork(1, "queue");
        let (mut queue, mut list) = (Queue::default(), Vec::new());
        let mut now = 0;
        for number in 0..50_000_u64 {
            let ahead = match draws.below(8) {
                0 => 0,
                1 => draws.below(2_000_000_000),
                2 => draws.below(SPANS + 4) << SPAN_BITS,
                _ => {
                    let bits = draws.below(28);
                    draws.below(1 << bits)
                }
            };
            let at = now + ahead - draws.below(1000).min(now);
            queue.push(Instant::from_nanos(at), number);
            list.push((at, number));
            if draws.chance(800) && number % 2000 < 1900 {
                continue;
            }
            let until = now + draws.below(40_000_000);
            list.sort_unstable();
            let due = list.partition_point(|(at, _)| *at <= until);
            let expected: Vec<_> = list.drain(..due).collect();
            let popped = std::iter::from_fn(|| queue.pop(Instant::from_nanos(until)));
            let popped: Vec<_> = popped.map(|(at, number)| (at.as_nanos(), number)).collect();
            assert_eq!(popped, expected, "until {until}");
            now = until;
        }
    }
}
