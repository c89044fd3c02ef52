//! Who spoke of leading a channel, and when we did.

use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::{Config, Instant, PkiId, Stamp, UnixTime};

/// The newest leadership message of each author, by its stamp, and the number of our own.
///
/// Holds at most [`Limits::leaders_max`](crate::Limits::leaders_max) authors; the oldest makes
/// room.
#[derive(Debug)]
pub(super) struct Leaders {
    own: Stamp,
    /// Of our own messages the newest that was sent.
    sent: Stamp,
    stamps: BTreeMap<PkiId, (Stamp, Instant)>,
    /// For so long nothing older is taken: twice the time that Fabric's store shows it (W-37).
    memory: Duration,
    max: usize,
}

impl Leaders {
    pub(super) fn new(config: &Config, wall: UnixTime) -> Self {
        Self {
            own: Stamp { incarnation: wall.as_nanos(), sequence: 0 },
            sent: Stamp::default(),
            stamps: BTreeMap::new(),
            memory: config.leader_alive_threshold * 20,
            max: config.limits.leaders_max.max(1),
        }
    }

    /// Counts the authors that are remembered.
    pub(super) fn len(&self) -> usize {
        self.stamps.len()
    }

    /// Numbers our next message: declarations and proposals share the count, from 1 on.
    pub(super) const fn next(&mut self) -> Stamp {
        self.own.sequence += 1;
        self.own
    }

    /// Notes that a message of ours is sent; false if a newer one was.
    pub(super) fn send(&mut self, stamp: Stamp) -> bool {
        let is_newest = stamp > self.sent;
        self.sent = self.sent.max(stamp);
        is_newest
    }

    /// Numbers our messages under a later incarnation.
    pub(super) fn take_incarnation(&mut self, incarnation: u64) {
        if incarnation > self.own.incarnation {
            self.own = Stamp { incarnation, sequence: 0 };
        }
    }

    /// Says whether a message is newer than what its author said before (CH-60, W-32, W-33).
    pub(super) fn would_accept(&self, author: &PkiId, stamp: Stamp, now: Instant) -> bool {
        let known = self.stamps.get(author);
        known.is_none_or(|(known, at)| *known < stamp || now - *at > self.memory)
    }

    /// Remembers a message; false if it is no news.
    pub(super) fn insert(&mut self, author: PkiId, stamp: Stamp, now: Instant) -> bool {
        if !self.would_accept(&author, stamp, now) {
            return false;
        }
        if self.stamps.len() >= self.max && !self.stamps.contains_key(&author) {
            let oldest = self.stamps.iter().min_by_key(|(_, (_, at))| *at).map(|(id, _)| *id);
            oldest.and_then(|id| self.stamps.remove(&id));
        }
        self.stamps.insert(author, (stamp, now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoint, Identity, OrgId};

    const TTL: Duration = Duration::from_secs(100);

    fn leaders(leaders_max: usize) -> Leaders {
        let id = PkiId::new([0; 32]);
        let at = Endpoint::from("peer:7051");
        let mut config = Config::new(Identity::new("id"), id, OrgId::from("org"), at);
        config.limits.leaders_max = leaders_max;
        Leaders::new(&config, UnixTime::from_nanos(5))
    }

    fn stamp(incarnation: u64, sequence: u64) -> Stamp {
        Stamp { incarnation, sequence }
    }

    /// W-32, W-33, CH-60.
    #[test]
    fn only_a_newer_message_of_an_author_is_taken() {
        let (mut leaders, now) = (leaders(8), Instant::ZERO);
        let [one, other] = [1, 2].map(|byte| PkiId::new([byte; 32]));
        assert!(leaders.insert(one, stamp(5, 5), now));
        for old in [stamp(5, 5), stamp(5, 4), stamp(4, 9)] {
            assert!(!leaders.insert(one, old, now), "{old:?}");
        }
        assert!(leaders.insert(other, stamp(1, 1), now), "each author has a count of its own");
        assert!(leaders.insert(one, stamp(5, 6), now));
        assert!(leaders.insert(one, stamp(6, 1), now), "a new start begins to count anew");
    }

    /// W-37: the time to live is 100 s.
    #[test]
    fn an_old_message_is_refused_for_twice_its_time_to_live() {
        let mut leaders = leaders(8);
        let author = PkiId::new([1; 32]);
        assert!(leaders.insert(author, stamp(5, 5), Instant::ZERO));
        let end = Instant::ZERO + TTL * 2;
        for at in [Instant::ZERO + TTL, end] {
            assert!(!leaders.would_accept(&author, stamp(5, 5), at));
        }
        assert!(leaders.would_accept(&author, stamp(5, 5), end + Duration::from_nanos(1)));
    }

    #[test]
    fn of_too_many_authors_the_oldest_makes_room() {
        let mut leaders = leaders(2);
        let ids = [3, 1, 2].map(|byte| PkiId::new([byte; 32]));
        for (second, id) in ids.iter().enumerate() {
            let now = Instant::from_nanos(second as u64);
            assert!(leaders.insert(*id, stamp(1, 1), now));
        }
        let fresh = ids.map(|id| leaders.would_accept(&id, stamp(1, 1), Instant::from_nanos(9)));
        assert_eq!(fresh, [true, false, false]);
    }

    /// E-2.
    #[test]
    fn our_messages_are_numbered_from_one_within_the_channels_incarnation() {
        let mut leaders = leaders(8);
        assert_eq!([leaders.next(), leaders.next()], [stamp(5, 1), stamp(5, 2)]);
    }
}
