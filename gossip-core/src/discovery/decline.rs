//! Peers that fall silent: taken for dead, probed, and in the end forgotten.

use core::time::Duration;

use smallvec::SmallVec;

use crate::{CloseReason, Config, Endpoint, Fault, PkiId};

use super::{Claimed, Cx, Discovery, Effect, Peer, Timer, own::Waiting, pace::jitter};

impl Discovery {
    /// Takes the answer to [`Effect::Ping`]: a dead peer that is there is asked (D-42).
    pub(crate) fn on_ping(&mut self, pki_id: PkiId, alive: bool, cx: &mut Cx<'_>) {
        if !self.probes.end(&pki_id) {
            return;
        }
        if self.peers.get(&pki_id).is_some_and(|peer| !peer.is_alive()) {
            self.schedule_next_probe(pki_id, cx);
            if alive {
                self.send_with_alive(Waiting::Request { to: pki_id }, cx);
            }
        }
        self.probe(cx);
    }

    /// Takes a peer for dead that could not be reached, if it was alive (D-21).
    pub(crate) fn on_presumed_dead(&mut self, pki_id: &PkiId, cx: &mut Cx<'_>) {
        self.bury(*pki_id, cx);
    }

    /// Forgets a peer whose identity holds no longer, alive or dead (D-22). Where it was a
    /// bootstrap or anchor peer, whoever is there now is contacted: it may be the only way to
    /// others.
    ///
    /// Fabric does not look there again.
    pub(crate) fn on_identity_removed(&mut self, pki_id: &PkiId, cx: &mut Cx<'_>) {
        let peer = self.peers.get(pki_id);
        let lost = peer.and_then(|peer| self.exemption(peer, cx.config).cloned());
        // The internal endpoints of other organisations are never known.
        let is_own = peer.is_some_and(|peer| peer.internal_endpoint.is_some());
        self.forget(*pki_id, cx);
        if let Some(endpoint) = lost {
            let claimed = if is_own { Claimed::OwnOrg } else { Claimed::Foreign };
            self.connect(endpoint, claimed, cx);
        }
    }

    /// Makes room for one more peer, if need be at the expense of the dead one that was silent
    /// longest; `false` if all others are alive or must not be forgotten.
    pub(super) fn make_room(&mut self, cx: &mut Cx<'_>) -> bool {
        if self.peers.len() < cx.config.limits.members_max {
            return true;
        }
        let silent = self.peers.dead().filter(|(_, peer)| !self.is_exempt(peer, cx.config));
        let Some((&oldest, _)) = silent.min_by_key(|(_, peer)| peer.last_seen) else {
            cx.stats.count(Fault::Overflow);
            return false;
        };
        self.forget(oldest, cx);
        true
    }

    pub(super) fn check_silence(&mut self, cx: &mut Cx<'_>) {
        let (silence, timeout) =
            (self.peers.longest_silence(cx.now), cx.config.alive_expiration_timeout);
        if silence > timeout {
            for pki_id in self.peers.silent(timeout, cx.now) {
                self.bury(pki_id, cx);
            }
        } else if silence > cx.config.alive_time_interval.saturating_mul(HEARTBEATS_MISSED) {
            // Its heartbeats may only not have found the way to us.
            self.hurry_sync(cx);
        }
        self.arm_periodic(Timer::AliveCheck, cx);
    }

    pub(super) fn bury(&mut self, pki_id: PkiId, cx: &mut Cx<'_>) {
        if !self.peers.bury(&pki_id, cx.now) {
            return;
        }
        // If it takes us for dead as well, it believes only what it has not seen yet.
        self.own.retire();
        cx.emit(Effect::MemberDead { pki_id });
        cx.emit(Effect::Disconnect { pki_id, reason: CloseReason::PeerDead });
        self.hurry_sync(cx);
        self.probes.schedule(pki_id, cx.now);
        self.probe(cx);
    }

    /// Lets others be asked soon, who may have heard of whom we have not.
    fn hurry_sync(&mut self, cx: &mut Cx<'_>) {
        if let Some(at) = self.syncs.on_silence(cx.config.pull_interval, cx.now, cx.rng) {
            cx.emit(Effect::SetTimer { timer: Timer::Sync, at });
        }
    }

    /// Forgets the dead that were silent for long (§16).
    ///
    /// Counted from the last proof of life by any way, not from the last pushed one: a peer that
    /// is alive by membership exchange alone is not purged, and one known by responses alone does
    /// not stay for ever (D16.c).
    pub(super) fn expire(&mut self, cx: &mut Cx<'_>) {
        let memory = memory(cx.config);
        let is_over =
            |peer: &Peer| cx.now - peer.last_seen > memory && !self.is_exempt(peer, cx.config);
        let over: SmallVec<[PkiId; 8]> =
            self.peers.dead().filter(|(_, peer)| is_over(peer)).map(|(id, _)| *id).collect();
        for pki_id in over {
            self.forget(pki_id, cx);
        }
        self.peers.sweep_forgotten(cx.now);
        self.arm_periodic(Timer::Expiry, cx);
    }

    fn forget(&mut self, pki_id: PkiId, cx: &mut Cx<'_>) {
        if self.peers.forget(&pki_id, cx.now + memory(cx.config)) {
            self.probes.cancel(&pki_id);
            self.arm_reconnect(cx);
            cx.emit(Effect::MemberForgotten { pki_id });
        }
    }

    /// Says whether a peer is a bootstrap or anchor peer (D-44).
    fn is_exempt(&self, peer: &Peer, config: &Config) -> bool {
        self.exemption(peer, config).is_some()
    }

    /// Returns the endpoint by which a peer is a bootstrap or anchor peer.
    fn exemption<'a>(&'a self, peer: &Peer, config: &'a Config) -> Option<&'a Endpoint> {
        let is_at = |endpoint: &&Endpoint| {
            let is_it = |own: Option<&Endpoint>| own.is_some_and(|own| is_same(own, endpoint));
            is_it(peer.endpoint.as_ref()) || is_it(peer.internal_endpoint.as_ref())
        };
        config.bootstrap.iter().chain(self.anchors.values().flatten()).find(is_at)
    }

    /// Probes the dead peers whose time has come.
    pub(super) fn probe(&mut self, cx: &mut Cx<'_>) {
        while let Some(pki_id) = self.probes.pop_due(cx.now) {
            let Some(peer) = self.peers.get(&pki_id) else {
                continue;
            };
            match peer.preferred_endpoint().cloned() {
                Some(endpoint) => {
                    self.probes.begin(pki_id);
                    cx.emit(Effect::Ping { pki_id, endpoint });
                }
                None => self.schedule_next_probe(pki_id, cx),
            }
        }
        self.arm_reconnect(cx);
    }

    fn schedule_next_probe(&mut self, pki_id: PkiId, cx: &mut Cx<'_>) {
        let pause = jitter(cx.config.reconnect_interval, cx.rng);
        self.probes.schedule(pki_id, cx.now + pause);
    }

    pub(super) fn arm_reconnect(&self, cx: &mut Cx<'_>) {
        cx.emit(match self.probes.next() {
            Some(at) => Effect::SetTimer { timer: Timer::Reconnect, at },
            None => Effect::CancelTimer(Timer::Reconnect),
        });
    }
}

/// How long a silent peer is remembered, and then that it was forgotten.
pub(super) fn memory(config: &Config) -> Duration {
    config.alive_expiration_timeout.saturating_mul(config.msg_expiration_factor)
}

/// Says whether two endpoints are the same but for the brackets around an IPv6 address (D16.d).
fn is_same(one: &Endpoint, other: &Endpoint) -> bool {
    let bare = |char: &char| !matches!(char, '[' | ']');
    one == other || one.as_str().chars().filter(bare).eq(other.as_str().chars().filter(bare))
}

/// After so many heartbeats' time without one others are asked for news of a peer: well before it
/// is taken for dead.
const HEARTBEATS_MISSED: u32 = 2;
