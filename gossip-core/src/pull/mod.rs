//! Pull: asking others for what they have and we do not (docs/protocol/50-pull-and-stores.md).
//!
//! ```text
//! us ── hello(nonce) ──────▶ peer      us ── request(nonce, ids) ──▶ peer
//! us ◀── digest(nonce, ids) ── peer    us ◀── update(nonce, items) ── peer
//! ```
//!
//! The engine keeps nonces and windows of time. What we have and want, and who may see what, it is
//! told. As Fabric's but for its timing: rounds rest while they find nothing, requests go out as
//! soon as all peers have answered, rounds may overlap, and what one owner does not deliver another
//! is asked for.

mod message;
mod pace;
mod round;

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

use bytes::Bytes;
use gossip_proto::gossip::Envelope;
use prost::Message as _;
use smallvec::SmallVec;

use crate::{Config, ConnId, Fault, Instant, Limits, PkiId, cx, rhythm::Rhythm, table::Tables};

pub(crate) use self::message::{Digest, Family};
use self::{
    pace::Paces,
    round::{Phase, Request, Round},
};

type Cx<'a> = cx::Cx<'a, Effect>;

/// Pulls one family of items, and serves those who pull it.
#[derive(Debug)]
pub(crate) struct Engine {
    family: Family,
    /// In the order in which they began.
    rounds: VecDeque<Round>,
    /// Of the periodic rounds: they rest while they find nothing.
    rhythm: Rhythm,
    paces: Paces,
    /// The nonces of hellos, and until when requests with them are honoured.
    hellos: BTreeMap<PkiId, SmallVec<[(u64, Instant); 2]>>,
}

/// What a pull waits for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Timer {
    /// The next peer to be asked out of turn.
    Hurry,
    /// The next periodic round: answer with `on_round`.
    Round,
    /// The end of a window of time.
    Window,
}

/// What a pull wants done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Send to a peer, dialling if need be.
    Send {
        to: PkiId,
        frame: Bytes,
    },
    /// Answer on the connection that the question came on.
    Reply {
        conn: ConnId,
        frame: Bytes,
    },
    SetTimer {
        timer: Timer,
        at: Instant,
    },
}

/// How an update came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Arrival {
    /// In answer to a request, in time.
    InTime,
    /// In answer to a request, after it was waited for: Fabric consumes but does not serve it.
    Late,
    /// Nobody asked for it.
    Unasked,
}

impl Engine {
    pub(crate) const fn new(family: Family) -> Self {
        Self {
            family,
            rounds: VecDeque::new(),
            rhythm: Rhythm::new(Instant::ZERO),
            paces: Paces::new(),
            hellos: BTreeMap::new(),
        }
    }

    pub(crate) fn tables(&self, limits: &Limits, tables: &mut Tables) {
        let hellos = self.hellos.values().map(SmallVec::len).max().unwrap_or(0);
        let items = self.rounds.iter().map(Round::len).max().unwrap_or(0);
        tables.add("pull rounds", self.rounds.len(), limits.pull_rounds_max.max(1));
        tables.add("hellos of one peer", hellos, limits.pull_hellos_max);
        tables.add("items of one pull round", items, limits.pull_ids_max);
        tables.add("peers pulled out of turn", self.paces.len(), limits.members_max);
    }

    // Asking.

    /// Schedules the first round, after a whole interval (P-1).
    pub(crate) fn start(&mut self, cx: &mut Cx<'_>) {
        self.arm_round(cx);
    }

    /// Says how many peers the next periodic round asks: where the last ones found nothing, one
    /// answer makes up for what was not pushed to us.
    pub(crate) fn count(&self, config: &Config) -> usize {
        config.pull_peer_num.min(if self.rhythm.is_quiet() { 1 } else { usize::MAX })
    }

    /// Begins a periodic round towards these peers, distinct and not us; schedules the next
    /// (P-17).
    pub(crate) fn on_round(&mut self, peers: &[PkiId], cx: &mut Cx<'_>) {
        self.sweep(cx);
        self.begin(peers, cx);
        self.arm_round(cx);
    }

    /// Takes note that something may lack: the next periodic round is soon, if it was not.
    pub(crate) fn stir(&mut self, cx: &mut Cx<'_>) {
        if let Some(at) = self.rhythm.stir(cx.config.pull_interval, cx.now, cx.rng) {
            cx.emit(Effect::SetTimer { timer: Timer::Round, at });
        }
    }

    /// Asks a peer out of turn, or as soon as its last turn is long enough ago.
    pub(crate) fn hurry(&mut self, peer: PkiId, cx: &mut Cx<'_>) {
        let (interval, max) = (cx.config.pull_interval, cx.config.limits.members_max);
        if self.paces.may_ask(peer, interval, max, cx.now) {
            self.begin(&[peer], cx);
        } else {
            self.arm_hurry(cx);
        }
    }

    /// Takes what a peer says it has, as far as we want it; asks for it once all have answered.
    pub(crate) fn on_digest(
        &mut self,
        from: &PkiId,
        nonce: u64,
        wanted: impl IntoIterator<Item = Bytes>,
        cx: &mut Cx<'_>,
    ) -> Result<(), Fault> {
        let (ix, place) = self.find(from, nonce).ok_or(Fault::Stale)?;
        let round = &mut self.rounds[ix];
        if round.phase != Phase::Digests {
            return Err(Fault::Stale);
        }
        if round.on_digest(place, wanted, cx.config.limits.pull_ids_max) {
            self.collect(ix, cx);
            self.settle(cx);
        }
        Ok(())
    }

    /// Says whether a digest with this nonce is waited for: else it need not be read (P-6, P-7).
    pub(crate) fn awaits_digest(&self, from: &PkiId, nonce: u64) -> bool {
        self.find(from, nonce).is_some_and(|(ix, _)| self.rounds[ix].phase == Phase::Digests)
    }

    /// Says whether an update with this nonce was asked for: else it need not be read.
    pub(crate) fn awaits_update(&self, from: &PkiId, nonce: u64) -> bool {
        let phase = self.find(from, nonce).map(|(ix, _)| self.rounds[ix].phase);
        matches!(phase, Some(Phase::Updates | Phase::Over))
    }

    /// Takes note that items came; what is missing is asked for again, if it can be had.
    pub(crate) fn on_update(
        &mut self,
        from: &PkiId,
        nonce: u64,
        ids: &[Bytes],
        cx: &mut Cx<'_>,
    ) -> Arrival {
        let Some((ix, place)) = self.find(from, nonce) else {
            return Arrival::Unasked;
        };
        let round = &mut self.rounds[ix];
        let arrival = match round.phase {
            Phase::Digests | Phase::Done => return Arrival::Unasked,
            Phase::Updates => Arrival::InTime,
            Phase::Over => Arrival::Late,
        };
        let requests = round.on_update(place, ids, cx.now, cx.config, cx.rng);
        if !ids.is_empty() {
            self.paces.on_success(from);
        }
        self.send(requests, cx);
        self.settle(cx);
        arrival
    }

    /// Handles all timers but [`Timer::Round`], which needs to know peers.
    pub(crate) fn on_timer(&mut self, timer: Timer, cx: &mut Cx<'_>) {
        match timer {
            Timer::Hurry => {
                for peer in self.paces.take_due(cx.now) {
                    self.hurry(peer, cx);
                }
                self.arm_hurry(cx);
            }
            Timer::Round => {}
            Timer::Window => {
                self.on_windows(cx);
                self.settle(cx);
            }
        }
    }

    fn begin(&mut self, peers: &[PkiId], cx: &mut Cx<'_>) {
        if peers.is_empty() {
            return;
        }
        cx.stats.pull_rounds += 1;
        while self.rounds.len() >= cx.config.limits.pull_rounds_max.max(1) {
            self.rounds.pop_front();
        }
        let asked: SmallVec<[_; 4]> = peers.iter().map(|peer| (*peer, cx.rng.next_u64())).collect();
        for &(to, nonce) in &asked {
            cx.emit(Effect::Send { to, frame: self.family.hello(nonce) });
        }
        self.rounds.push_back(Round::new(&asked, cx.now, cx.config));
        self.settle(cx);
    }

    /// Asks for what was found in a round, but for what another round has asked for.
    fn collect(&mut self, ix: usize, cx: &mut Cx<'_>) {
        let Some(mut round) = self.rounds.remove(ix) else {
            return;
        };
        round.drop_items(|id| self.rounds.iter().any(|other| other.awaits(id)));
        let requests = round.collect(cx.now, cx.config, cx.rng);
        self.rounds.insert(ix, round);
        if !requests.is_empty() {
            self.stir(cx);
        }
        self.send(requests, cx);
    }

    fn send(&self, requests: Vec<Request>, cx: &mut Cx<'_>) {
        for Request { to, nonce, ids } in requests {
            cx.emit(Effect::Send { to, frame: self.family.request(nonce, ids) });
        }
    }

    fn on_windows(&mut self, cx: &mut Cx<'_>) {
        for ix in 0..self.rounds.len() {
            if self.rounds[ix].deadline() > cx.now {
                continue;
            }
            if self.rounds[ix].phase == Phase::Digests {
                self.collect(ix, cx);
            } else {
                let requests = self.rounds[ix].on_deadline(cx.now, cx.config, cx.rng);
                self.send(requests, cx);
            }
        }
    }

    /// Forgets the rounds that are done, and says when the next window ends.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        self.rounds.retain(|round| round.phase != Phase::Done);
        if let Some(at) = self.rounds.iter().map(Round::deadline).min() {
            cx.emit(Effect::SetTimer { timer: Timer::Window, at });
        }
    }

    fn arm_round(&mut self, cx: &mut Cx<'_>) {
        let at = self.rhythm.next(cx.config.pull_interval, cx.now, cx.rng);
        cx.emit(Effect::SetTimer { timer: Timer::Round, at });
    }

    fn arm_hurry(&self, cx: &mut Cx<'_>) {
        if let Some(at) = self.paces.next() {
            cx.emit(Effect::SetTimer { timer: Timer::Hurry, at });
        }
    }

    fn find(&self, peer: &PkiId, nonce: u64) -> Option<(usize, usize)> {
        let place = |(ix, round): (usize, &Round)| Some((ix, round.place(peer, nonce)?));
        self.rounds.iter().enumerate().find_map(place)
    }

    // Serving.

    /// Takes note of a hello, which is to be answered with [`reveal`](Self::reveal).
    ///
    /// # Errors
    ///
    /// [`Fault::Overflow`] if the peer asks more often than is honoured: it gets no answer then.
    pub(crate) fn on_hello(
        &mut self,
        from: PkiId,
        nonce: u64,
        cx: &mut Cx<'_>,
    ) -> Result<(), Fault> {
        let hellos = self.hellos.entry(from).or_default();
        hellos.retain(|(known, until)| *known != nonce && cx.now < *until);
        if hellos.len() >= cx.config.limits.pull_hellos_max {
            return Err(Fault::Overflow);
        }
        hellos.push((nonce, cx.now + cx.config.request_wait_time));
        Ok(())
    }

    /// Answers a hello with what its sender may see; with silence if that is nothing (P-22).
    pub(crate) fn reveal(&self, conn: ConnId, nonce: u64, visible: &Digest, cx: &mut Cx<'_>) {
        if !visible.is_empty() {
            cx.emit(Effect::Reply { conn, frame: self.family.digest(nonce, visible) });
        }
    }

    /// Says whether a request is honoured: it follows a hello of the same peer, soon (P-23).
    pub(crate) fn honours(&self, from: &PkiId, nonce: u64, now: Instant) -> bool {
        let mut hellos = self.hellos.get(from).into_iter().flatten();
        hellos.any(|(known, until)| *known == nonce && now < *until)
    }

    /// Answers a request that is [honoured](Self::honours) with those of the items that fit.
    pub(crate) fn serve(
        &self,
        conn: ConnId,
        nonce: u64,
        items: impl IntoIterator<Item = Envelope>,
        cx: &mut Cx<'_>,
    ) {
        let limits = &cx.config.limits;
        let bytes_max = limits.pull_update_bytes_max.min(limits.sent_frame_bytes_max / 2);
        let mut bytes = 0;
        let mut fitting = Vec::new();
        for item in items.into_iter().take(limits.pull_items_max) {
            let size = item.encoded_len();
            if size > limits.sent_frame_bytes_max.saturating_sub(OVERHEAD) {
                continue;
            }
            bytes += size;
            // One item may exceed the bound, or it would never be had.
            if bytes > bytes_max && !fitting.is_empty() {
                break;
            }
            fitting.push(item);
        }
        if !fitting.is_empty() {
            cx.emit(Effect::Reply { conn, frame: self.family.update(nonce, fitting) });
        }
    }

    /// Forgets the hellos whose time is over, and whom we asked long ago.
    fn sweep(&mut self, cx: &mut Cx<'_>) {
        self.hellos.retain(|_, hellos| {
            hellos.retain(|(_, until)| cx.now < *until);
            !hellos.is_empty()
        });
        self.paces.sweep(cx.config.pull_interval, cx.now);
    }
}

/// Returns the distinct ones of those that [`moderate`] lets through.
pub(crate) fn distinct(ids: &[Bytes], limits: &Limits) -> BTreeSet<Bytes> {
    moderate(ids, limits).cloned().collect()
}

/// Returns those of the first `pull_ids_max` ids that are not too long.
pub(crate) fn moderate<'a, T: AsRef<[u8]>>(
    ids: &'a [T],
    limits: &Limits,
) -> impl Iterator<Item = &'a T> {
    let bytes_max = limits.pull_id_bytes_max;
    ids.iter().take(limits.pull_ids_max).filter(move |id| id.as_ref().len() <= bytes_max)
}

/// More bytes than an update has around a single item.
const OVERHEAD: usize = 1024;

#[cfg(test)]
mod tests;
