//! The two clocks of a node.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gossip_core::{Instant, UnixTime};
use tokio::time;

/// Monotonic time since the node's start, and a watch on the wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: time::Instant,
    /// The wall clock's last reading that the node was told, and when.
    told: (time::Instant, UnixTime),
    checked: time::Instant,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let start = time::Instant::now();
        Self { start, told: (start, wall()), checked: start }
    }

    pub(crate) fn now(&self) -> Instant {
        let nanos = self.start.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    pub(crate) fn async_instant(&self, at: Instant) -> Option<time::Instant> {
        self.start.checked_add(Duration::from_nanos(at.as_nanos()))
    }

    /// Returns the wall clock's reading if the node should be told: every minute, and when the
    /// clock was set. Costs next to nothing when asked often.
    pub(crate) fn news(&mut self) -> Option<UnixTime> {
        let now = time::Instant::now();
        if now - self.checked < CHECK_INTERVAL {
            return None;
        }
        self.checked = now;
        let (told_at, told) = self.told;
        let (reading, expected) = (wall(), told + (now - told_at));
        let was_set = reading.saturating_since(expected) > JUMP_MIN
            || expected.saturating_since(reading) > JUMP_MIN;
        if !was_set && now - told_at < TELL_INTERVAL {
            return None;
        }
        self.told = (now, reading);
        Some(reading)
    }
}

/// Reads the wall clock.
pub(crate) fn wall() -> UnixTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_nanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}

const CHECK_INTERVAL: Duration = Duration::from_secs(1);
const TELL_INTERVAL: Duration = Duration::from_secs(60);
const JUMP_MIN: Duration = Duration::from_secs(1);
