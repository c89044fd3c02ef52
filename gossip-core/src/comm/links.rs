//! The one way to each peer: its connection, the dial for it, and what waits for either.

use core::time::Duration;

use bytes::Bytes;

use crate::{Action, CloseReason, ConnId, DialId, DialPurpose, Endpoint, Instant, Limits, PkiId};

use super::{
    Comm, Conn, Cx, Dial, Effect, Stage, Timer,
    lanes::{Frame, Lane, Lanes, Pushed},
};

/// The way to one peer. There is none while nothing is open, dialled or waiting.
#[derive(Debug, Default)]
pub(crate) struct Link {
    lanes: Lanes,
    /// The connection that we send on.
    active: Option<ConnId>,
    /// Another that lost to it: still read, for a while.
    spare: Option<ConnId>,
    dialing: Option<DialId>,
    endpoint: Option<Endpoint>,
    /// Dials that failed in a row.
    failures: u32,
    /// No dial before this.
    retry_at: Instant,
    /// Until then the peer is expected to dial us.
    patient_until: Instant,
}

impl Link {
    /// Counts what waits, by [lane](Lanes::sizes).
    pub(super) fn waiting(&self) -> [(usize, usize); 3] {
        self.lanes.sizes()
    }

    fn is_idle(&self, now: Instant) -> bool {
        self.active.is_none()
            && self.spare.is_none()
            && self.dialing.is_none()
            && self.lanes.is_empty()
            && self.retry_at <= now
            && self.patient_until <= now
    }
}

impl Conn {
    /// Says whether the driver takes one more frame.
    fn has_credit(&self, limits: &Limits) -> bool {
        self.in_flight.len() < limits.frames_in_flight_max
            && self.bytes_in_flight < limits.bytes_in_flight_max
    }

    fn write(&mut self, conn: ConnId, frame: Bytes, cx: &mut Cx<'_>) {
        self.in_flight.push_back(frame.len());
        self.bytes_in_flight += frame.len();
        cx.stats.messages_sent += 1;
        cx.stats.bytes_sent += frame.len() as u64;
        cx.act(Action::Send { conn, frame });
    }
}

impl Comm {
    /// Queues a frame for a peer and dials it if need be. Never waits (C-23, C-24); false if the
    /// frame was dropped.
    pub(crate) fn send(
        &mut self,
        peer: PkiId,
        endpoint: Option<Endpoint>,
        lane: Lane,
        frame: Frame,
        cx: &mut Cx<'_>,
    ) -> bool {
        if self.stopped {
            return false;
        }
        // The remote, or our own transport, would end the stream over it.
        if frame.bytes.len() > cx.config.limits.sent_frame_bytes_max {
            cx.stats.messages_dropped += 1;
            return false;
        }
        let link = self.links.entry(peer).or_default();
        if endpoint.is_some() {
            link.endpoint = endpoint;
        }
        let is_reachable = link.active.is_some()
            || link.dialing.is_some()
            || (link.endpoint.is_some() && link.retry_at <= cx.now);
        if !is_reachable {
            cx.stats.messages_dropped += 1;
            self.drop_if_idle(peer, cx);
            return false;
        }
        if let Some(conn) = link.active.filter(|_| link.lanes.is_empty())
            && let Some(state) = self.conns.get_mut(&conn)
            && state.has_credit(&cx.config.limits)
        {
            // As a rule nothing has to wait.
            state.write(conn, frame.bytes, cx);
            return true;
        }
        let pushed = link.lanes.push(lane, frame, &cx.config.limits);
        match pushed {
            Pushed::Queued => {}
            Pushed::Displaced(frames) => cx.stats.messages_dropped += frames,
            Pushed::Dropped => cx.stats.messages_dropped += 1,
            Pushed::Overflow => {
                cx.stats.messages_dropped += 1;
                self.close_peer(&peer, CloseReason::Overflow, cx);
                return false;
            }
        }
        self.pump(peer, cx);
        pushed != Pushed::Dropped
    }

    /// Takes note of a peer that has just been met, and has met us at the same time.
    ///
    /// Both would dial, and one of two connections would be in vain: the one with the greater
    /// PKI-ID gives the other a moment.
    pub(crate) fn on_met(&mut self, peer: PkiId, cx: &mut Cx<'_>) {
        if cx.config.pki_id > peer && !self.stopped {
            let link = self.links.entry(peer).or_default();
            link.patient_until = cx.now + PATIENCE;
        }
    }

    /// Waits for a peer to dial us no longer: something is on its way that cannot wait.
    pub(crate) fn lose_patience(&mut self, peer: &PkiId) {
        if let Some(link) = self.links.get_mut(peer) {
            link.patient_until = Instant::ZERO;
        }
    }

    /// Answers the peer at the other end of a connection, on the connection that is in use with it;
    /// dropped if the one that it asked on is gone.
    pub(crate) fn respond(&mut self, conn: ConnId, lane: Lane, frame: Frame, cx: &mut Cx<'_>) {
        if let Some(peer) = self.conns.get(&conn).and_then(|state| state.peer()) {
            self.send(peer, None, lane, frame, cx);
        }
    }

    /// Takes back the credit of frames that were written.
    pub(crate) fn on_sent(&mut self, conn: ConnId, frames: u32, cx: &mut Cx<'_>) {
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        for _ in 0..frames {
            let Some(size) = state.in_flight.pop_front() else {
                break;
            };
            state.bytes_in_flight -= size;
        }
        if let Some(peer) = state.peer() {
            self.pump(peer, cx);
        }
    }

    /// Closes the connection to a peer, and forgets what waits for it (C-27).
    pub(crate) fn close_peer(&mut self, peer: &PkiId, reason: CloseReason, cx: &mut Cx<'_>) {
        let Some(link) = self.links.remove(peer) else {
            return;
        };
        cx.stats.messages_dropped += link.lanes.len() as u64;
        for conn in link.active.into_iter().chain(link.spare) {
            self.close(conn, reason, cx);
        }
    }

    /// Gives a frame to the driver.
    pub(super) fn write(&mut self, conn: ConnId, frame: Bytes, cx: &mut Cx<'_>) {
        if let Some(state) = self.conns.get_mut(&conn) {
            state.write(conn, frame, cx);
        }
    }

    /// Gives the driver as much as its credit allows, or dials.
    pub(super) fn pump(&mut self, peer: PkiId, cx: &mut Cx<'_>) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        let Some(conn) = link.active else {
            return self.dial_peer(peer, cx);
        };
        if link.lanes.is_empty() {
            return;
        }
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        while state.has_credit(&cx.config.limits)
            && let Some(frame) = link.lanes.pop()
        {
            state.write(conn, frame, cx);
        }
    }

    fn dial_peer(&mut self, peer: PkiId, cx: &mut Cx<'_>) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        if link.dialing.is_some() || link.lanes.is_empty() {
            return;
        }
        if link.patient_until > cx.now {
            let timer = Timer::Patience(peer);
            return cx.emit(Effect::SetTimer { timer, at: link.patient_until });
        }
        let Some(endpoint) = link.endpoint.clone() else {
            return;
        };
        let dial = Dial::Stream { peer, endpoint: endpoint.clone() };
        cx.stats.dials += 1;
        let id = self.dial(dial, endpoint, DialPurpose::Stream, cx);
        if let Some(link) = self.links.get_mut(&peer) {
            link.dialing = Some(id);
        }
    }

    /// Gives up a peer that cannot be reached, and presumes it dead (C-26).
    ///
    /// `dial` is the one that failed, `None` if its handshake did.
    pub(super) fn unreachable(&mut self, peer: PkiId, dial: Option<DialId>, cx: &mut Cx<'_>) {
        if self.give_up(peer, dial, cx) {
            cx.emit(Effect::PresumedDead { pki_id: peer });
        }
    }

    /// Drops what waits for a peer, and lets it rest for a while; false if it is reached by another
    /// connection.
    pub(super) fn give_up(&mut self, peer: PkiId, dial: Option<DialId>, cx: &mut Cx<'_>) -> bool {
        let Some(link) = self.links.get_mut(&peer) else {
            return false;
        };
        if dial.is_none() || link.dialing == dial {
            link.dialing = None;
        }
        if link.active.is_some() {
            // The peer reached us meanwhile: all is well (C-22).
            return false;
        }
        cx.stats.messages_dropped += core::mem::take(&mut link.lanes).len() as u64;
        link.failures = link.failures.saturating_add(1);
        let pause = backoff(link.failures, cx.config.reconnect_interval);
        // Up to half as long again, so that peers do not come back in step.
        let jitter = pause * u32::try_from(cx.rng.below(256)).unwrap_or(0) / 512;
        link.retry_at = cx.now + pause + jitter;
        true
    }

    /// Puts an authenticated connection to use.
    ///
    /// A peer that dials again has lost the old connection: the new one replaces it (C-20). When
    /// both sides dial at once, both keep the stream of the one with the smaller PKI-ID, and read
    /// the other for a while: a Fabric peer keeps the one that it accepted, and closes its own.
    pub(super) fn link(&mut self, conn: ConnId, peer: PkiId, cx: &mut Cx<'_>) {
        let Some(new) = self.conns.get(&conn) else {
            return;
        };
        let new_is_ours = !new.is_inbound();
        let old = self.links.get(&peer).and_then(|link| link.active);
        let is_crossing = old.is_some_and(|old| self.is_crossing(old, conn, cx));
        let link = self.links.entry(peer).or_default();
        (link.failures, link.retry_at) = (0, Instant::ZERO);
        if new_is_ours {
            link.dialing = None;
        }
        let Some(old) = old else {
            link.active = Some(conn);
            return self.pump(peer, cx);
        };
        let new_wins = match is_crossing {
            true => new_is_ours == (cx.config.pki_id < peer),
            false => !new_is_ours,
        };
        let (keep, lose) = if new_wins { (conn, old) } else { (old, conn) };
        link.active = Some(keep);
        let superfluous = if is_crossing {
            cx.emit(Effect::SetTimer { timer: Timer::Linger(lose), at: cx.now + LINGER });
            link.spare.replace(lose)
        } else {
            Some(lose)
        };
        if let Some(superfluous) = superfluous {
            self.close(superfluous, CloseReason::Replaced, cx);
        }
        self.pump(peer, cx);
    }

    /// Says whether two connections to one peer come from both sides dialling at the same time.
    fn is_crossing(&self, old: ConnId, new: ConnId, cx: &Cx<'_>) -> bool {
        let (Some(old), Some(new)) = (self.conns.get(&old), self.conns.get(&new)) else {
            return false;
        };
        let Stage::Open { since, .. } = old.stage else {
            return false;
        };
        let is_recent = cx.now - since < cx.config.conn_timeout * 2;
        is_recent && old.is_inbound() != new.is_inbound()
    }

    pub(super) fn on_linger_over(&mut self, conn: ConnId, cx: &mut Cx<'_>) {
        let Some(peer) = self.conns.get(&conn).and_then(|state| state.peer()) else {
            return;
        };
        if self.links.get(&peer).is_some_and(|link| link.spare == Some(conn)) {
            self.close(conn, CloseReason::Replaced, cx);
        }
    }

    /// Deals with the end of a connection that we did not close.
    ///
    /// A remote that closes is not dead (C7.e); one that we cannot write to is presumed so (C-26).
    pub(super) fn on_link_lost(
        &mut self,
        peer: PkiId,
        conn: ConnId,
        write_failed: bool,
        cx: &mut Cx<'_>,
    ) {
        cx.emit(Effect::CancelTimer(Timer::Linger(conn)));
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        let is_last = link.active == Some(conn) && link.spare.is_none() && link.dialing.is_none();
        if is_last && write_failed {
            link.active = None;
            return self.unreachable(peer, None, cx);
        }
        self.unlink(peer, conn, cx);
    }

    /// Takes a connection out of its peer's link; what waits there goes on by another way.
    pub(super) fn unlink(&mut self, peer: PkiId, conn: ConnId, cx: &mut Cx<'_>) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        if link.spare == Some(conn) {
            link.spare = None;
        }
        if link.active == Some(conn) {
            link.active = link.spare.take();
            self.pump(peer, cx);
        }
        self.drop_if_idle(peer, cx);
    }

    /// Gives what waits for `old` to `new`: the same peer under a new identity.
    pub(super) fn move_link(&mut self, old: PkiId, new: PkiId, cx: &mut Cx<'_>) {
        let Some(link) = self.links.remove(&old) else {
            return;
        };
        for conn in link.active.into_iter().chain(link.spare) {
            self.close(conn, CloseReason::IdentityRemoved, cx);
        }
        let target = self.links.entry(new).or_default();
        target.lanes.append(link.lanes, &cx.config.limits);
        if target.endpoint.is_none() {
            target.endpoint = link.endpoint;
        }
    }

    /// Says whether there is a connection that a frame for this peer could go out on at once.
    pub(crate) fn is_connected(&self, peer: &PkiId) -> bool {
        self.links.get(peer).is_some_and(|link| link.active.is_some())
    }

    /// Returns the connection that is in use with a peer: which, whether the peer dialled, and its
    /// transport address.
    pub(crate) fn in_use(&self, peer: &PkiId) -> Option<(ConnId, bool, &str)> {
        let conn = self.links.get(peer)?.active?;
        let state = self.conns.get(&conn)?;
        Some((conn, state.is_inbound(), &state.remote))
    }

    fn drop_if_idle(&mut self, peer: PkiId, cx: &mut Cx<'_>) {
        if self.links.get(&peer).is_some_and(|link| link.is_idle(cx.now)) {
            self.links.remove(&peer);
        }
    }

    /// Forgets peers whose rest is over and who want nothing.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.links.retain(|_, link| !link.is_idle(now));
    }
}

/// How long a peer that has just been met may take to dial us.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a connection that another has replaced is still read.
const LINGER: Duration = Duration::from_secs(5);

/// A peer that cannot be reached rests for 200 ms, then twice as long each time.
pub(super) fn backoff(failures: u32, max: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    Duration::from_millis(200).saturating_mul(1 << doublings).min(max)
}
