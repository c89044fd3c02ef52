//! When something periodic happens next: soon after members were learned, else at its interval.
//!
//! The pauses after a change double each time, so that a network that starts meets quickly and
//! pays for it once.

use alloc::vec::Vec;
use core::time::Duration;

use smallvec::SmallVec;

use crate::{Instant, PkiId, rhythm::Rhythm, rng::Rng};

use super::peers::Peers;

/// The times of our heartbeat.
#[derive(Debug)]
pub(super) struct HeartbeatPace {
    at: Instant,
    newcomers: Newcomers,
    /// How soon after new members the heartbeat comes.
    pause: Duration,
    /// Whether the next heartbeat was brought forward.
    is_early: bool,
}

impl HeartbeatPace {
    pub(super) fn new() -> Self {
        let newcomers = Newcomers::default();
        Self { at: Instant::MAX, newcomers, pause: FIRST_HEARTBEAT, is_early: false }
    }

    /// Notes a new member, one of `alive` now; returns the next time if it moved.
    pub(super) fn on_learned(&mut self, alive: usize, now: Instant) -> Option<Instant> {
        let at = now + self.pause;
        if !self.newcomers.are_many(alive) || self.at <= at {
            return None;
        }
        self.is_early = true;
        self.at = at;
        Some(at)
    }

    /// Returns the time after this one, an interval from now.
    pub(super) fn next(&mut self, interval: Duration, now: Instant, rng: &mut Rng) -> Instant {
        let is_early = core::mem::take(&mut self.is_early);
        let pause = if is_early { self.pause.saturating_mul(2) } else { FIRST_HEARTBEAT };
        self.pause = pause.min(interval);
        self.newcomers = Newcomers::default();
        self.at = now + jitter(interval, rng);
        self.at
    }
}

/// The times of membership synchronisation.
///
/// Once brought forward it is repeated with growing pauses, whether or not there are more new
/// members: the peers that are asked learn of others at the same time as we do. It rests while all
/// are heard of otherwise.
#[derive(Debug)]
pub(super) struct SyncPace {
    rhythm: Rhythm,
    newcomers: Newcomers,
    /// The last pause of the series that is running.
    series: Option<Duration>,
}

impl SyncPace {
    pub(super) fn new() -> Self {
        let newcomers = Newcomers::default();
        Self { rhythm: Rhythm::new(Instant::MAX), newcomers, series: None }
    }

    /// Notes a new member, one of `alive` now; returns the next time if it moved.
    pub(super) fn on_learned(&mut self, alive: usize, now: Instant) -> Option<Instant> {
        let at = now + FIRST_SYNC;
        if self.series.is_some() || !self.newcomers.are_many(alive) || self.rhythm.due() <= at {
            return None;
        }
        self.series = Some(FIRST_SYNC);
        Some(self.rhythm.ask_by(at))
    }

    /// Notes that a member is not heard of; returns the next time if it moved.
    pub(super) fn on_silence(
        &mut self,
        interval: Duration,
        now: Instant,
        rng: &mut Rng,
    ) -> Option<Instant> {
        self.rhythm.stir(interval, now, rng)
    }

    /// Says whether nobody new was met since the last time, nor shortly before.
    pub(super) const fn is_quiet(&self) -> bool {
        self.series.is_none() && self.newcomers.0 == 0
    }

    /// Returns the time after this one.
    pub(super) fn next(&mut self, interval: Duration, now: Instant, rng: &mut Rng) -> Instant {
        if !self.is_quiet() {
            self.rhythm.stir(interval, now, rng);
        }
        let pause = self.series.map(|pause| pause.saturating_mul(2));
        self.series = pause.filter(|pause| *pause < interval);
        self.newcomers = Newcomers::default();
        match self.series {
            Some(pause) => self.rhythm.ask_at(now + pause, now),
            None => self.rhythm.next(interval, now, rng),
        }
    }
}

/// Members learned since something last happened.
#[derive(Debug, Default)]
struct Newcomers(usize);

impl Newcomers {
    /// Counts one more, and says whether they are an eighth of all.
    ///
    /// A single newcomer does not set a large network astir: it asks around by itself.
    fn are_many(&mut self, alive: usize) -> bool {
        self.0 = self.0.saturating_add(1);
        self.0.saturating_mul(8) >= alive
    }
}

/// The order in which members are asked: a random one, then another, so that none is asked again
/// long before the others.
#[derive(Debug, Default)]
pub(super) struct Rota(Vec<PkiId>);

impl Rota {
    /// Chooses distinct living members, `count` or as many as there are (D-41).
    pub(super) fn choose(
        &mut self,
        peers: &Peers,
        count: usize,
        rng: &mut Rng,
    ) -> SmallVec<[PkiId; 4]> {
        let count = count.min(peers.alive_len());
        let mut chosen = SmallVec::new();
        while chosen.len() < count {
            match self.0.pop() {
                Some(id) if peers.is_alive(&id) && !chosen.contains(&id) => chosen.push(id),
                Some(_) => {}
                None => {
                    self.0.extend(peers.alive().map(|(id, _)| *id));
                    let all = self.0.len();
                    rng.choose(&mut self.0, all);
                }
            }
        }
        chosen
    }
}

/// Varies a duration by up to a tenth, so that peers do not act in lockstep.
pub(super) fn jitter(duration: Duration, rng: &mut Rng) -> Duration {
    const STEPS: u32 = 1024;
    let step = u32::try_from(rng.below(STEPS as usize + 1)).unwrap_or(STEPS);
    let spread = (duration / 5 / STEPS).saturating_mul(step);
    (duration - duration / 10).saturating_add(spread)
}

/// Long enough for several members that are learned together to share a heartbeat.
const FIRST_HEARTBEAT: Duration = Duration::from_millis(50);

const FIRST_SYNC: Duration = Duration::from_millis(100);
