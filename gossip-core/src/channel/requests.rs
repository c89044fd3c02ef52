//! When others are asked for what they know of a channel's members.
//!
//! Fabric asks at fixed intervals (CH-32). A peer that starts has much to ask, one that misses
//! nothing hardly anything.

use core::time::Duration;

use crate::{Config, Instant, rhythm::Rhythm, rng::Rng};

use super::{Channel, Cx, Effect, Timer};

/// The times of our requests for StateInfo.
#[derive(Debug)]
pub(super) struct Requests {
    /// The pause before the next one while somebody's still lacks.
    pause: Duration,
    /// Of those while nobody's does.
    rhythm: Rhythm,
}

impl Requests {
    pub(super) fn new(now: Instant) -> Self {
        Self { pause: PAUSE_MIN, rhythm: Rhythm::new(now + PAUSE_MIN) }
    }

    /// Returns when the next request is due.
    pub(super) const fn due(&self) -> Instant {
        self.rhythm.due()
    }

    /// Brings the next request forward for somebody new; returns when it is due.
    ///
    /// Never later than it was: members may come without end.
    pub(super) fn hurry(&mut self, now: Instant) -> Instant {
        self.pause = PAUSE_MIN;
        self.rhythm.ask_by(now + PAUSE_MIN)
    }

    /// Returns when to ask again after having asked now: soon while somebody's StateInfo lacks,
    /// then after an interval, and ever later while nothing is missed.
    fn next(&mut self, is_complete: bool, config: &Config, now: Instant, rng: &mut Rng) -> Instant {
        let interval = config.request_state_info_interval;
        if is_complete {
            self.pause = interval;
            return self.rhythm.next(interval, now, rng);
        }
        self.rhythm.stir(interval, now, rng);
        self.pause = (self.pause * 2).min(interval);
        let jitter = self.pause * u32::try_from(rng.below(256)).unwrap_or(0) / 2048;
        self.rhythm.ask_at(now + self.pause + jitter, now)
    }
}

impl Channel {
    /// Schedules the next request for StateInfo; `is_complete` if all that live were heard of.
    pub(crate) fn on_requested(&mut self, is_complete: bool, cx: &mut Cx<'_>) {
        let at = self.requests.next(is_complete, cx.config, cx.now, cx.rng);
        cx.emit(Effect::SetTimer { timer: Timer::Request, at });
    }

    /// Takes note that something may have been missed: what others say is asked for soon.
    pub(crate) fn stir(&mut self, cx: &mut Cx<'_>) {
        let interval = cx.config.request_state_info_interval;
        if let Some(at) = self.requests.rhythm.stir(interval, cx.now, cx.rng) {
            cx.emit(Effect::SetTimer { timer: Timer::Request, at });
        }
    }

    /// Takes note that of so many elements of a snapshot some were news. Where nothing is missed
    /// that is what is just on its way: about one in a hundred.
    pub(crate) fn on_snapshot(&mut self, elements: usize, news: usize, cx: &mut Cx<'_>) {
        if news.saturating_mul(8) > elements {
            self.stir(cx);
        }
    }
}

/// The first request after somebody came: short, but for several who come together.
const PAUSE_MIN: Duration = Duration::from_millis(100);
