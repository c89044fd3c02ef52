//! When a question is asked that is asked again and again, in case something was missed.
//!
//! Fabric asks at an interval, whatever comes of it. In a network in which nothing is amiss all of
//! these questions are in vain: as long as nothing speaks for one, the pauses grow.

use core::time::Duration;

use crate::{Instant, rng::Rng};

/// The times of a question.
#[derive(Debug)]
pub(crate) struct Rhythm {
    /// When it was asked last.
    asked_at: Instant,
    /// When it is asked next.
    due: Instant,
    /// How often the pause that runs was doubled.
    doublings: u32,
    /// Something lacks, or may: the next pause is short again.
    is_stirred: bool,
}

impl Rhythm {
    /// Has never asked, and will at `due`.
    pub(crate) const fn new(due: Instant) -> Self {
        Self { asked_at: Instant::ZERO, due, doublings: 0, is_stirred: true }
    }

    /// Says whether nothing has spoken for asking since well before the last time.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.doublings > 0
    }

    /// Returns when the question is due.
    pub(crate) const fn due(&self) -> Instant {
        self.due
    }

    /// Returns when to ask again after having asked now: after an interval if something has spoken
    /// for it, else after twice the last pause, up to eight intervals. Peers that start
    /// together do not ask together: a pause is up to an eighth longer.
    pub(crate) fn next(&mut self, interval: Duration, now: Instant, rng: &mut Rng) -> Instant {
        let is_stirred = core::mem::take(&mut self.is_stirred);
        self.doublings = if is_stirred { 0 } else { (self.doublings + 1).min(DOUBLINGS_MAX) };
        let pause = interval.saturating_mul(1 << self.doublings);
        self.ask_at(now + pause + spread(pause, rng), now)
    }

    /// Asks next at `due`, after having asked now.
    pub(crate) const fn ask_at(&mut self, due: Instant, now: Instant) -> Instant {
        (self.asked_at, self.due) = (now, due);
        due
    }

    /// Asks at `due` if that is sooner than it is due; returns when it is.
    pub(crate) fn ask_by(&mut self, due: Instant) -> Instant {
        self.due = self.due.min(due);
        self.due
    }

    /// Takes note that something lacks, or may: returns when to ask if that is sooner than it was,
    /// an interval after the last time, or about now.
    pub(crate) fn stir(
        &mut self,
        interval: Duration,
        now: Instant,
        rng: &mut Rng,
    ) -> Option<Instant> {
        (self.is_stirred, self.doublings) = (true, 0);
        let soonest = now.max(self.asked_at + interval);
        if self.due <= soonest + interval / SPREAD {
            return None;
        }
        self.due = soonest + spread(interval, rng);
        Some(self.due)
    }
}

fn spread(pause: Duration, rng: &mut Rng) -> Duration {
    const STEPS: usize = 1024;
    let step = u32::try_from(rng.below(STEPS)).unwrap_or(0);
    (pause / SPREAD / 1024).saturating_mul(step)
}

/// The longest pause is eight intervals: what was missed and gave no sign is still found within
/// half a minute, long before anybody forgets anything.
const DOUBLINGS_MAX: u32 = 3;

/// A pause is longer by up to this part of itself.
const SPREAD: u32 = 8;

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(4);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    /// Asks whenever it is due; returns the pauses in between, in intervals and rounded.
    fn pauses(rhythm: &mut Rhythm, count: usize, rng: &mut Rng) -> Vec<u64> {
        let pause = |_| {
            let now = rhythm.due();
            let pause = rhythm.next(INTERVAL, now, rng) - now;
            let intervals = pause.as_secs() / INTERVAL.as_secs();
            assert!(pause <= INTERVAL * 9 / 8 * u32::try_from(intervals).unwrap(), "{pause:?}");
            intervals
        };
        (0..count).map(pause).collect()
    }

    #[test]
    fn pauses_double_up_to_eight_intervals_while_nothing_speaks_for_asking() {
        let mut rng = Rng::fork(&[1; 32], "test");
        let mut rhythm = Rhythm::new(at(4000));
        assert_eq!(pauses(&mut rhythm, 7, &mut rng), [1, 2, 4, 8, 8, 8, 8]);
        assert!(rhythm.is_quiet());
        rhythm.stir(INTERVAL, rhythm.due(), &mut rng);
        assert!(!rhythm.is_quiet());
        assert_eq!(pauses(&mut rhythm, 3, &mut rng), [1, 2, 4], "and anew after a sign");
    }

    #[test]
    fn a_sign_brings_the_question_forward_but_not_closer_than_an_interval() {
        let mut rng = Rng::fork(&[1; 32], "test");
        let mut rhythm = Rhythm::new(at(4000));
        pauses(&mut rhythm, 6, &mut rng);
        let asked_at = rhythm.asked_at;
        let soon = asked_at + Duration::from_secs(1);
        let due = rhythm.stir(INTERVAL, soon, &mut rng).expect("sooner than it was");
        assert!((INTERVAL..INTERVAL * 9 / 8).contains(&(due - asked_at)), "{due}");
        assert_eq!(rhythm.stir(INTERVAL, soon, &mut rng), None, "it is soon already");
        let now = rhythm.due();
        pauses(&mut rhythm, 6, &mut rng);
        let late = now.max(rhythm.asked_at + Duration::from_secs(10));
        let due = rhythm.stir(INTERVAL, late, &mut rng).expect("sooner than it was");
        assert!((late..late + INTERVAL / 8).contains(&due), "{due}: about at once");
        assert_eq!(rhythm.due(), due);
    }
}
