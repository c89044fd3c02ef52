//! StateInfo of channels that we are not in: relayed once inside our organisation (N-12, CH-4).

use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::{Config, Instant, Stamp};

/// The newest stamps that were relayed, by MAC: one for each author and channel (N-54).
///
/// Holds at most [`Limits::foreign_state_info_max`](crate::Limits::foreign_state_info_max); the
/// oldest makes room.
#[derive(Debug)]
pub(super) struct ForeignInfos {
    stamps: BTreeMap<[u8; 32], (Stamp, Instant)>,
    /// Remembered for twice the time that Fabric's store serves it, as its store refuses it (W-37).
    memory: Duration,
    max: usize,
}

impl ForeignInfos {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            stamps: BTreeMap::new(),
            memory: config.publish_state_info_interval * 200,
            max: config.limits.foreign_state_info_max.max(1),
        }
    }

    pub(super) fn would_accept(&self, mac: &[u8; 32], stamp: Stamp, now: Instant) -> bool {
        let known = self.stamps.get(mac);
        known.is_none_or(|(known, at)| *known < stamp || now - *at > self.memory)
    }

    /// Counts what is remembered.
    pub(super) fn len(&self) -> usize {
        self.stamps.len()
    }

    /// Remembers a stamp; false if it is no news.
    pub(super) fn insert(&mut self, mac: [u8; 32], stamp: Stamp, now: Instant) -> bool {
        if !self.would_accept(&mac, stamp, now) {
            return false;
        }
        if self.stamps.len() >= self.max && !self.stamps.contains_key(&mac) {
            let oldest = self.stamps.iter().min_by_key(|(_, (_, at))| *at).map(|(mac, _)| *mac);
            oldest.and_then(|mac| self.stamps.remove(&mac));
        }
        self.stamps.insert(mac, (stamp, now));
        true
    }
}
