//! The one index of everything that waits for a time.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::Instant;

/// Timers by key. Of those due together the smallest key goes first.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    due: BTreeSet<(Instant, K)>,
    at: BTreeMap<K, Instant>,
}

impl<K: Copy + Ord> Timers<K> {
    pub(crate) const fn new() -> Self {
        Self { due: BTreeSet::new(), at: BTreeMap::new() }
    }

    /// Sets the timer, wherever it stood.
    pub(crate) fn set(&mut self, key: K, at: Instant) {
        match self.at.insert(key, at) {
            Some(old) if old == at => return,
            Some(old) => {
                self.due.remove(&(old, key));
            }
            None => {}
        }
        self.due.insert((at, key));
    }

    pub(crate) fn cancel(&mut self, key: K) {
        if let Some(at) = self.at.remove(&key) {
            self.due.remove(&(at, key));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.due.clear();
        self.at.clear();
    }

    /// Counts the timers that are set.
    pub(crate) fn len(&self) -> usize {
        self.at.len()
    }

    /// Returns when the next timer is due, and which.
    pub(crate) fn next(&self) -> Option<(Instant, K)> {
        self.due.first().copied()
    }

    /// Takes the next timer that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (at, key) = self.next()?;
        if at > now {
            return None;
        }
        self.cancel(key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_goes_first_and_ties_go_by_key() {
        let mut timers = Timers::new();
        timers.set(2, Instant::from_nanos(5));
        timers.set(1, Instant::from_nanos(5));
        timers.set(0, Instant::from_nanos(9));
        timers.set(0, Instant::from_nanos(7));
        assert_eq!(timers.pop_due(Instant::from_nanos(4)), None);
        let now = Instant::from_nanos(7);
        assert_eq!([(); 4].map(|()| timers.pop_due(now)), [Some(1), Some(2), Some(0), None]);
    }

    #[test]
    fn a_cancelled_timer_never_fires() {
        let mut timers = Timers::new();
        timers.set('a', Instant::from_nanos(1));
        timers.cancel('a');
        assert_eq!((timers.next(), timers.pop_due(Instant::MAX)), (None, None));
    }
}
