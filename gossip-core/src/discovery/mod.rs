//! Network membership: which peers exist and which are alive (docs/protocol/30-discovery.md).

mod contacts;
mod decline;
mod disclosure;
mod own;
mod pace;
mod peers;
mod probes;

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};
use core::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{
    ChannelId, CloseReason, Config, Endpoint, Fault, Instant, Limits, Notice, PkiId, Stamp,
    UnixTime, changed::Changed, cx, node::Verified, table::Tables, wire::Alive,
};

pub(crate) use self::{contacts::Claimed, peers::Peer};
use self::{
    contacts::Contacts,
    decline::memory,
    own::{Own, Response, Waiting},
    pace::{HeartbeatPace, Rota, SyncPace},
    peers::{Change, Peers, Way},
    probes::Probes,
};

type Cx<'a> = cx::Cx<'a, Effect>;

/// Knows the peers.
#[derive(Debug)]
pub(crate) struct Discovery {
    own: Own,
    peers: Peers,
    contacts: Contacts,
    probes: Probes,
    heartbeats: HeartbeatPace,
    syncs: SyncPace,
    rota: Rota,
    anchors: BTreeMap<ChannelId, BTreeSet<Endpoint>>,
    /// Endpoints that messages with our PKI-ID named, and when that was noticed.
    impostors: VecDeque<(Instant, Option<Endpoint>, Option<Endpoint>)>,
    is_stopped: bool,
}

/// What discovery waits for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Timer {
    AliveCheck,
    Contact(u32),
    Expiry,
    Heartbeat,
    Reconnect,
    Sync,
}

/// What discovery wants done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Sign our alive message; answer with `on_alive_signed`.
    SignAlive {
        payload: Bytes,
    },
    /// Sign our secret; answer with `on_secret_signed`.
    SignSecret {
        payload: Bytes,
    },
    /// Push our own new alive message.
    Gossip(Arc<Alive>),
    /// Push another's, but not to where it came from.
    Forward {
        alive: Arc<Alive>,
        sources: SmallVec<[PkiId; 2]>,
    },
    /// Send a serialized envelope to a peer, dialling if need be.
    Send {
        to: PkiId,
        endpoint: Option<Endpoint>,
        frame: Bytes,
    },
    /// Close the connection to a peer, if there is one.
    Disconnect {
        pki_id: PkiId,
        reason: CloseReason,
    },
    /// Ping an endpoint; answer with `on_ping`.
    Ping {
        pki_id: PkiId,
        endpoint: Endpoint,
    },
    /// Find out who is at an endpoint; answer with `on_handshake`.
    Handshake {
        contact: u32,
        endpoint: Endpoint,
    },
    /// A peer came alive, for the first time or again.
    MemberAlive {
        pki_id: PkiId,
    },
    /// A peer is taken for dead.
    MemberDead {
        pki_id: PkiId,
    },
    /// A peer was forgotten.
    MemberForgotten {
        pki_id: PkiId,
    },
    SetTimer {
        timer: Timer,
        at: Instant,
    },
    CancelTimer(Timer),
}

impl Discovery {
    /// Knows nobody. The incarnation of this run is `wall`, in nanoseconds (D-1).
    pub(crate) fn new(config: &Config, now: Instant, wall: UnixTime) -> Self {
        Self {
            own: Own::new(config, now, wall),
            peers: Peers::new(config.limits.members_max),
            contacts: Contacts::default(),
            probes: Probes::new(),
            heartbeats: HeartbeatPace::new(),
            syncs: SyncPace::new(),
            rota: Rota::default(),
            anchors: BTreeMap::new(),
            impostors: VecDeque::new(),
            is_stopped: false,
        }
    }

    /// Sets the periodic tasks going and contacts the bootstrap peers.
    pub(crate) fn start(&mut self, cx: &mut Cx<'_>) {
        self.own.sign_secret(cx);
        self.arm_periodic(Timer::AliveCheck, cx);
        self.arm_periodic(Timer::Expiry, cx);
        self.arm_heartbeat(cx);
        self.arm_sync(cx);
        for endpoint in &cx.config.bootstrap {
            self.connect(endpoint.clone(), Claimed::OwnOrg, cx);
        }
    }

    /// Forgets everybody, and does nothing from here on (D-47).
    pub(crate) fn stop(&mut self) {
        self.is_stopped = true;
        self.own.stop();
        self.peers = Peers::new(0);
        self.contacts = Contacts::default();
        self.probes = Probes::new();
    }

    /// Replaces the metadata in our alive messages, from the next one on (D-48).
    pub(crate) fn set_metadata(&mut self, metadata: Bytes) {
        self.own.set_metadata(metadata);
    }

    /// Sets the anchor peers of a channel: however silent, they are never forgotten (D-44).
    pub(crate) fn set_anchors(&mut self, channel: ChannelId, endpoints: BTreeSet<Endpoint>) {
        self.anchors.insert(channel, endpoints);
    }

    pub(crate) fn tables(&self, limits: &Limits, tables: &mut Tables) {
        let max = limits.members_max;
        tables.add("members", self.peers.len(), max);
        tables.add("forgotten members", self.peers.forgotten_len(), max);
        tables.add("dead members to be probed", self.probes.len(), max);
        tables.add("contacts", self.contacts.len(), limits.contacts_max);
    }

    /// Says whether a pushed message would be taken, if its signature holds (D-9).
    pub(crate) fn would_accept_pushed(&self, alive: &Alive) -> bool {
        alive.pki_id != *self.own.pki_id() && self.peers.is_unseen(alive)
    }

    /// Says whether an element of a response would change anything, if its signature holds.
    pub(crate) fn would_accept_element(&self, alive: &Alive, dead: bool) -> bool {
        let is_news = if dead { !self.knows(&alive.pki_id) } else { self.peers.is_news(alive) };
        is_news && self.would_accept_pushed(alive)
    }

    /// Says whether what a peer is known to have said is as new as this: then no element of a
    /// response with this stamp would change anything.
    pub(crate) fn outdoes(&self, pki_id: &PkiId, stamp: Stamp) -> bool {
        self.peers.get(pki_id).is_some_and(|peer| peer.stamp() >= stamp)
    }

    /// Says whether a message is, byte for byte but for its secret, the one that its peer is known
    /// by, or was known by before: copies overtake each other.
    pub(crate) fn is_known_statement(&self, alive: &Alive) -> bool {
        self.peers.get(&alive.pki_id).is_some_and(|peer| peer.has_said(alive))
    }

    /// Looks at a message with our own PKI-ID: another process uses our identity if it names other
    /// endpoints (§8.4).
    pub(crate) fn on_own_alive(&mut self, alive: &Alive, cx: &mut Cx<'_>) {
        let (external, internal) = (&alive.endpoint, &alive.internal_endpoint);
        let is_elsewhere = external.as_ref() != self.own.external_endpoint()
            || internal.as_ref().is_some_and(|endpoint| endpoint != self.own.endpoint());
        while self.impostors.front().is_some_and(|(at, ..)| cx.now - *at > IMPOSTOR_MEMORY) {
            self.impostors.pop_front();
        }
        let is_noticed = self.impostors.iter().any(|(_, x, i)| x == external && i == internal);
        if is_elsewhere && !is_noticed && self.impostors.len() < IMPOSTORS_MAX {
            self.impostors.push_back((cx.now, external.clone(), internal.clone()));
            let endpoint = alive.preferred_endpoint().cloned();
            cx.notify(Notice::OwnIdentityElsewhere { endpoint });
        }
    }

    /// Says whether a message has our PKI-ID and would outdo all that we say now.
    ///
    /// So it is with what we said before a restart with a clock that was set back: whoever
    /// remembers it takes us for dead, or does not hear us.
    pub(crate) fn is_outdone_by(&self, alive: &Alive, cx: &Cx<'_>) -> bool {
        alive.pki_id == *self.own.pki_id() && self.own.is_outdone_by(alive.stamp, cx)
    }

    /// Outdoes our own words of an earlier run: takes a higher incarnation, and says so.
    pub(crate) fn on_outdone(&mut self, heard: &Verified<Arc<Alive>>, cx: &mut Cx<'_>) {
        if self.is_stopped || !self.is_outdone_by(heard, cx) {
            return;
        }
        self.own.outdo(heard.stamp, cx);
        if self.peers.alive_len() > 0 {
            self.own.beat(cx);
        }
    }

    /// Takes a pushed message and passes it on (§8.2).
    pub(crate) fn on_alive(
        &mut self,
        alive: Verified<Arc<Alive>>,
        sources: SmallVec<[PkiId; 2]>,
        cx: &mut Cx<'_>,
    ) {
        // It was fresh when it arrived; another copy may have been verified since.
        if self.is_stopped || !self.would_accept_pushed(&alive) {
            return cx.stats.count(Fault::Stale);
        }
        let alive = Alive::without_identity(alive.into_inner());
        // Where there is no room for the peer, its message ends: nothing would tell it from its
        // next copy.
        if self.learn(&alive, Way::Pushed, cx) != Change::Unknown {
            cx.emit(Effect::Forward { alive, sources });
        }
    }

    /// Takes a request of the peer that the message is about, and answers it, even if the message
    /// is old news (§8.1).
    pub(crate) fn on_membership_request(
        &mut self,
        alive: Verified<Arc<Alive>>,
        nonce: u64,
        cx: &mut Cx<'_>,
    ) {
        if self.is_stopped || alive.pki_id == *self.own.pki_id() {
            return;
        }
        let alive = alive.into_inner();
        let response = Response {
            to: alive.pki_id,
            endpoint: alive.preferred_endpoint().cloned(),
            has_external_endpoint: alive.endpoint.is_some(),
            nonce,
        };
        self.take_from_exchange(alive, cx);
        if self.may_know_us(&response.to, response.has_external_endpoint, cx) {
            self.send_with_alive(Waiting::Response(response), cx);
        } else {
            let reason = CloseReason::NotDisclosed;
            cx.emit(Effect::Disconnect { pki_id: response.to, reason });
        }
    }

    /// Takes an element of a response's list of the living.
    pub(crate) fn on_response_alive(&mut self, alive: Verified<Arc<Alive>>, cx: &mut Cx<'_>) {
        self.take_from_exchange(alive.into_inner(), cx);
    }

    /// Takes an element of a response's list of the dead: it teaches about unknown peers alone
    /// (D-34).
    pub(crate) fn on_response_dead(&mut self, alive: Verified<Arc<Alive>>, cx: &mut Cx<'_>) {
        if self.is_stopped || !self.would_accept_element(&alive, true) || !self.make_room(cx) {
            return;
        }
        let alive = Alive::without_identity(alive.into_inner());
        if self.peers.take_dead(&alive, cx.now) {
            self.probes.schedule(alive.pki_id, cx.now);
            self.probe(cx);
        }
    }

    /// Takes the answer to [`Effect::SignAlive`]: `None` if signing failed.
    pub(crate) fn on_alive_signed(
        &mut self,
        payload: Bytes,
        signature: Option<Bytes>,
        cx: &mut Cx<'_>,
    ) {
        let Some(ready) = self.own.on_alive_signed(payload, signature) else {
            return;
        };
        if ready.is_heartbeat {
            cx.emit(Effect::Gossip(Arc::clone(&ready.alive)));
        }
        for waiting in ready.waiting {
            self.send(waiting, &ready.alive, cx);
        }
    }

    /// Takes the answer to [`Effect::SignSecret`]: `None` if signing failed.
    pub(crate) fn on_secret_signed(
        &mut self,
        payload: Bytes,
        signature: Option<Bytes>,
        cx: &mut Cx<'_>,
    ) {
        self.own.on_secret_signed(payload, signature, cx);
    }

    /// Does what is due.
    pub(crate) fn on_timer(&mut self, timer: Timer, cx: &mut Cx<'_>) {
        if self.is_stopped {
            return;
        }
        match timer {
            Timer::AliveCheck => self.check_silence(cx),
            Timer::Contact(id) => self.on_contact_timer(id, cx),
            Timer::Expiry => self.expire(cx),
            Timer::Heartbeat => self.beat(cx),
            Timer::Reconnect => self.probe(cx),
            Timer::Sync => self.sync(cx),
        }
    }

    /// Returns the metadata of our alive messages, and the version of the last that was made.
    pub(crate) const fn own_statement(&self) -> (&Bytes, Stamp) {
        (self.own.metadata(), self.own.stamp())
    }

    /// Iterates over the peers that are alive, by PKI-ID.
    pub(crate) fn alive(&self) -> impl Iterator<Item = (&PkiId, &Peer)> {
        self.peers.alive()
    }

    /// Iterates over the peers that are dead and not forgotten, by PKI-ID.
    pub(crate) fn dead(&self) -> impl Iterator<Item = (&PkiId, &Peer)> {
        self.peers.dead()
    }

    /// Counts the peers that are alive.
    pub(crate) const fn alive_len(&self) -> usize {
        self.peers.alive_len()
    }

    /// Tells who came alive or died, or is reached otherwise or can do something else than when
    /// this was last asked.
    pub(crate) fn take_changed(&mut self) -> Option<Changed> {
        self.peers.take_changed()
    }

    /// Returns a peer that is alive.
    pub(crate) fn living(&self, pki_id: &PkiId) -> Option<&Peer> {
        self.peers.get(pki_id).filter(|peer| peer.is_alive())
    }

    /// Returns a peer, alive or dead (D-45).
    #[cfg(test)]
    pub(crate) fn peer(&self, pki_id: &PkiId) -> Option<&Peer> {
        self.peers.get(pki_id)
    }

    /// Says whether a peer is known, alive or dead; we are (D-45).
    pub(crate) fn knows(&self, pki_id: &PkiId) -> bool {
        pki_id == self.own.pki_id() || self.peers.get(pki_id).is_some()
    }

    /// Says whether other organisations can reach a peer, or us.
    pub(crate) fn has_external_endpoint(&self, pki_id: &PkiId) -> bool {
        if pki_id == self.own.pki_id() {
            return self.own.external_endpoint().is_some();
        }
        self.peers.get(pki_id).is_some_and(|peer| peer.endpoint.is_some())
    }

    /// Returns what is dialled to reach a peer, or us (D-46).
    pub(crate) fn preferred_endpoint(&self, pki_id: &PkiId) -> Option<Endpoint> {
        if pki_id == self.own.pki_id() {
            return Some(self.own.endpoint().clone());
        }
        self.peers.get(pki_id).and_then(Peer::preferred_endpoint).cloned()
    }

    /// Takes a message that came in a request or a response: it counts as a proof of life, but not
    /// as pushed, so that a pushed copy is still passed on (D-12, D-32).
    fn take_from_exchange(&mut self, alive: Arc<Alive>, cx: &mut Cx<'_>) {
        if !self.is_stopped && self.would_accept_element(&alive, false) {
            self.learn(&Alive::without_identity(alive), Way::Exchanged, cx);
        }
    }

    fn learn(&mut self, alive: &Arc<Alive>, way: Way, cx: &mut Cx<'_>) -> Change {
        let mut change = self.peers.take(alive, way, cx.now);
        if change == Change::Unknown && self.make_room(cx) {
            change = self.peers.meet(alive, way, cx.now);
        }
        match change {
            Change::Learned | Change::Resurrected => {
                self.probes.cancel(&alive.pki_id);
                self.arm_reconnect(cx);
                cx.emit(Effect::MemberAlive { pki_id: alive.pki_id });
                self.hurry(cx);
            }
            Change::Refreshed | Change::Stale | Change::Unknown => {}
        }
        change
    }

    /// Lets others know soon about us and us about others, now that there is somebody new.
    fn hurry(&mut self, cx: &mut Cx<'_>) {
        let alive = self.peers.alive_len();
        if let Some(at) = self.heartbeats.on_learned(alive, cx.now) {
            cx.emit(Effect::SetTimer { timer: Timer::Heartbeat, at });
        }
        if let Some(at) = self.syncs.on_learned(alive, cx.now) {
            cx.emit(Effect::SetTimer { timer: Timer::Sync, at });
        }
    }

    /// Sends something that carries our alive message, at once or as soon as one is signed.
    fn send_with_alive(&mut self, waiting: Waiting, cx: &mut Cx<'_>) {
        match self.own.latest(cx).cloned() {
            Some(alive) => self.send(waiting, &alive, cx),
            None => self.own.wait(waiting, cx),
        }
    }

    fn send(&mut self, waiting: Waiting, own: &Alive, cx: &mut Cx<'_>) {
        match waiting {
            Waiting::Contact(id) => self.send_first_request(id, own, cx),
            Waiting::Request { to } => {
                if let Some(peer) = self.peers.get(&to) {
                    let endpoint = peer.preferred_endpoint().cloned();
                    let frame = disclosure::request(&to, own, 0, cx);
                    cx.emit(Effect::Send { to, endpoint, frame });
                }
            }
            Waiting::Response(response) => self.respond(&response, own, cx),
        }
    }

    /// Says that we are alive, if there is anybody to say it to (D-2).
    fn beat(&mut self, cx: &mut Cx<'_>) {
        self.arm_heartbeat(cx);
        if self.peers.alive_len() > 0 {
            self.own.beat(cx);
        }
    }

    /// Asks some of the living for their members (§12); nobody if nobody is alive (D-2).
    fn sync(&mut self, cx: &mut Cx<'_>) {
        // Where nobody is new, one answer makes up for what was not pushed to us.
        let count = if self.syncs.is_quiet() { 1 } else { usize::MAX };
        self.arm_sync(cx);
        for to in self.rota.choose(&self.peers, cx.config.pull_peer_num.min(count), cx.rng) {
            self.send_with_alive(Waiting::Request { to }, cx);
        }
    }

    fn arm_heartbeat(&mut self, cx: &mut Cx<'_>) {
        let at = self.heartbeats.next(cx.config.alive_time_interval, cx.now, cx.rng);
        cx.emit(Effect::SetTimer { timer: Timer::Heartbeat, at });
    }

    fn arm_sync(&mut self, cx: &mut Cx<'_>) {
        let at = self.syncs.next(cx.config.pull_interval, cx.now, cx.rng);
        cx.emit(Effect::SetTimer { timer: Timer::Sync, at });
    }

    /// Arms the silence check or the sweep: neither is seen outside, so that neither is varied.
    fn arm_periodic(&self, timer: Timer, cx: &mut Cx<'_>) {
        let interval = match timer {
            Timer::Expiry => memory(cx.config) / 100,
            _ => cx.config.alive_expiration_timeout / 10,
        };
        cx.emit(Effect::SetTimer { timer, at: cx.now + interval.max(Config::INTERVAL_MIN) });
    }
}

/// How many endpoints with our identity are noticed in [`IMPOSTOR_MEMORY`]: anybody can name any.
const IMPOSTORS_MAX: usize = 8;

/// How long until such an endpoint is noticed again.
const IMPOSTOR_MEMORY: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests;
