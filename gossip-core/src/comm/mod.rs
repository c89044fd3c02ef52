//! Connections: one per peer, authenticated, with what waits to be sent
//! (docs/protocol/20-comm-and-identity.md).

mod handshake;
mod lanes;
mod links;
mod tables;

use alloc::{borrow::Cow, boxed::Box, collections::VecDeque, string::String};

use bytes::Bytes;
use hashbrown::HashMap;

use crate::{
    Action, CloseReason, ConnId, DialId, DialPurpose, Endpoint, Event, Fault, Identity, Instant,
    OrgId, PkiId, Signed, TlsBinding, cx,
};

use self::handshake::{Handshake, OwnConn};
pub(crate) use self::{
    handshake::OwnConnKey,
    lanes::{Frame, Lane, Topic},
    links::Link,
};

type Cx<'a> = cx::Cx<'a, Effect>;

/// Knows the connections, the dials under way and what waits for either.
#[derive(Debug, Default)]
pub(crate) struct Comm {
    /// Each in a box: tables that have grown are half empty.
    conns: HashMap<ConnId, Box<Conn>>,
    links: HashMap<PkiId, Link>,
    dials: HashMap<DialId, Dial>,
    next_dial: u64,
    /// Our connection messages, signed once for each TLS certificate of ours.
    own: alloc::collections::BTreeMap<OwnConnKey, OwnConn>,
    /// How many connections are open, with somebody authenticated.
    open: u64,
    stopped: bool,
}

/// What comm waits for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Timer {
    /// The remote's connection message.
    Handshake(ConnId),
    /// The end of a connection that another has replaced.
    Linger(ConnId),
    /// The end of the wait for a peer to dial us.
    Patience(PkiId),
}

/// What comm wants done.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Sign our connection message; answer with `on_own_signed`.
    SignOwn {
        key: OwnConnKey,
        payload: Bytes,
    },
    /// Validate and store an identity; answer with `on_identity`.
    ValidateIdentity {
        conn: ConnId,
        identity: Identity,
    },
    /// Check a signature; answer with `on_signature`.
    Verify(Box<Unproven>),
    Opened {
        conn: ConnId,
        pki_id: PkiId,
        inbound: bool,
    },
    Closed {
        conn: ConnId,
        pki_id: PkiId,
        reason: Option<CloseReason>,
    },
    /// A frame that waited for its sender to be authenticated.
    Deliver {
        conn: ConnId,
        frame: Bytes,
    },
    /// A peer could not be reached.
    PresumedDead {
        pki_id: PkiId,
    },
    /// A peer has a new identity; the old one is gone.
    IdentitySwitched {
        old: PkiId,
    },
    PingDone {
        pki_id: PkiId,
        alive: bool,
    },
    /// Who is at the endpoint of a contact, if anybody.
    ContactDone {
        contact: u32,
        found: Option<(PkiId, OrgId)>,
    },
    DialFailed {
        endpoint: Endpoint,
        error: Cow<'static, str>,
    },
    HandshakeFailed {
        conn: ConnId,
        remote: String,
        fault: Fault,
    },
    SetTimer {
        timer: Timer,
        at: Instant,
    },
    CancelTimer(Timer),
}

/// A connection message whose signature is to be checked.
#[derive(Debug)]
pub(crate) struct Unproven {
    pub(crate) conn: ConnId,
    pub(crate) pki_id: PkiId,
    pub(crate) identity: Identity,
    pub(crate) message: Signed,
    pub(crate) secret: Option<Signed>,
}

/// What a dial is for.
#[derive(Clone, Debug)]
enum Dial {
    Stream { peer: PkiId, endpoint: Endpoint },
    Contact { contact: u32, endpoint: Endpoint },
    Ping { pki_id: PkiId },
}

#[derive(Debug)]
struct Conn {
    remote: String,
    tls: Option<TlsBinding>,
    dial: Option<Dial>,
    stage: Stage,
    /// Sizes of the frames that the driver holds.
    in_flight: VecDeque<usize>,
    bytes_in_flight: usize,
}

#[derive(Debug)]
enum Stage {
    Handshake(Box<Handshake>),
    Open { pki_id: PkiId, since: Instant, auth: Signed },
    Closing { peer: Option<(PkiId, CloseReason)> },
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    /// There is no such connection, or it is being closed.
    Gone,
    /// Nobody is authenticated on it.
    Handshake,
    /// This peer is.
    Open(PkiId),
}

impl Conn {
    const fn is_inbound(&self) -> bool {
        self.dial.is_none()
    }

    fn peer(&self) -> Option<PkiId> {
        match self.stage {
            Stage::Open { pki_id, .. } => Some(pki_id),
            Stage::Handshake(_) | Stage::Closing { .. } => None,
        }
    }
}

impl Comm {
    /// Begins the handshake on a new connection: says who we are, and waits for the same (C-17).
    pub(crate) fn on_connected(
        &mut self,
        conn: ConnId,
        dial: Option<DialId>,
        remote: String,
        tls: Option<TlsBinding>,
        cx: &mut Cx<'_>,
    ) {
        if self.conns.contains_key(&conn) {
            return;
        }
        let known_dial = dial.map(|dial| self.dials.remove(&dial));
        let is_unknown_dial = known_dial.as_ref().is_some_and(Option::is_none);
        let is_full = dial.is_none() && self.conns.len() >= cx.config.limits.connections_max;
        if self.stopped || is_unknown_dial || is_full {
            let reason = match (self.stopped, is_full) {
                (true, _) => CloseReason::Stopping,
                (false, true) => CloseReason::Overflow,
                (false, false) => CloseReason::Unexpected,
            };
            return cx.act(Action::Close { conn, reason });
        }
        let dial = known_dial.flatten();
        let stage = Stage::Handshake(Box::default());
        let conn_state = Conn {
            remote,
            tls: tls.filter(|_| cx.config.tls),
            dial,
            stage,
            in_flight: VecDeque::new(),
            bytes_in_flight: 0,
        };
        self.conns.insert(conn, Box::new(conn_state));
        if cx.config.tls && tls.is_none_or(|tls| tls.remote.is_none()) {
            return self.fail_handshake(conn, Fault::NoTlsCertificate, cx);
        }
        let timer = Timer::Handshake(conn);
        cx.emit(Effect::SetTimer { timer, at: cx.now + cx.config.conn_timeout });
        self.introduce(conn, cx);
    }

    /// Gives up what waited for a dial (C-26).
    pub(crate) fn on_dial_failed(
        &mut self,
        dial: DialId,
        error: Cow<'static, str>,
        cx: &mut Cx<'_>,
    ) {
        match self.dials.remove(&dial) {
            Some(Dial::Stream { peer, endpoint }) => {
                cx.emit(Effect::DialFailed { endpoint, error });
                self.unreachable(peer, Some(dial), cx);
            }
            Some(Dial::Contact { contact, endpoint }) => {
                cx.emit(Effect::DialFailed { endpoint, error });
                cx.emit(Effect::ContactDone { contact, found: None });
            }
            Some(Dial::Ping { pki_id }) => cx.emit(Effect::PingDone { pki_id, alive: false }),
            None => {}
        }
    }

    pub(crate) fn on_pinged(&mut self, dial: DialId, cx: &mut Cx<'_>) {
        if let Some(Dial::Ping { pki_id }) = self.dials.get(&dial) {
            cx.emit(Effect::PingDone { pki_id: *pki_id, alive: true });
            self.dials.remove(&dial);
        }
    }

    /// Forgets a connection that has ended.
    pub(crate) fn on_disconnected(&mut self, conn: ConnId, write_failed: bool, cx: &mut Cx<'_>) {
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        match &mut state.stage {
            Stage::Handshake(handshake) => {
                match handshake.end() {
                    // Its claim may have been verified already: then all is known that will be.
                    true => self.conclude(conn, cx),
                    false => self.fail_handshake(conn, Fault::NoHandshake, cx),
                }
            }
            Stage::Open { pki_id, .. } => {
                let pki_id = *pki_id;
                self.conns.remove(&conn);
                self.open -= 1;
                cx.emit(Effect::Closed { conn, pki_id, reason: None });
                self.on_link_lost(pki_id, conn, write_failed, cx);
            }
            Stage::Closing { peer } => {
                let peer = *peer;
                self.conns.remove(&conn);
                if let Some((pki_id, reason)) = peer {
                    cx.emit(Effect::Closed { conn, pki_id, reason: Some(reason) });
                }
            }
        }
    }

    pub(crate) fn on_timer(&mut self, timer: Timer, cx: &mut Cx<'_>) {
        match timer {
            Timer::Handshake(conn) => self.fail_handshake(conn, Fault::HandshakeTimeout, cx),
            Timer::Linger(conn) => self.on_linger_over(conn, cx),
            Timer::Patience(peer) => self.pump(peer, cx),
        }
    }

    /// Finds out who is at an endpoint, without keeping the connection (C-6).
    pub(crate) fn contact(&mut self, contact: u32, endpoint: Endpoint, cx: &mut Cx<'_>) {
        let dial = Dial::Contact { contact, endpoint: endpoint.clone() };
        self.dial(dial, endpoint, DialPurpose::Handshake, cx);
    }

    /// Finds out whether anybody is at an endpoint (C-5).
    pub(crate) fn ping(&mut self, pki_id: PkiId, endpoint: Endpoint, cx: &mut Cx<'_>) {
        self.dial(Dial::Ping { pki_id }, endpoint, DialPurpose::Ping, cx);
    }

    /// Closes everything; what comes later is refused (C-53).
    pub(crate) fn stop(&mut self, cx: &mut Cx<'_>) {
        self.stopped = true;
        self.links.clear();
        self.dials.clear();
        for conn in self.conn_ids() {
            self.close(conn, CloseReason::Stopping, cx);
        }
    }

    /// Closes a connection whose authenticated peer sent what no peer may send.
    pub(crate) fn close_misbehaving(&mut self, conn: ConnId, cx: &mut Cx<'_>) {
        self.close(conn, CloseReason::Misbehaved, cx);
    }

    /// Counts the connections on which somebody is authenticated.
    pub(crate) const fn open_connections(&self) -> u64 {
        self.open
    }

    pub(crate) fn progress(&self, conn: ConnId) -> Progress {
        match self.conns.get(&conn).map(|state| &state.stage) {
            Some(Stage::Handshake(_)) => Progress::Handshake,
            Some(Stage::Open { pki_id, .. }) => Progress::Open(*pki_id),
            Some(Stage::Closing { .. }) | None => Progress::Gone,
        }
    }

    /// Returns the remote's signed connection message, for as long as the connection is open
    /// (C-34).
    pub(crate) fn auth(&self, conn: ConnId) -> Option<&Signed> {
        match &self.conns.get(&conn)?.stage {
            Stage::Open { auth, .. } => Some(auth),
            Stage::Handshake(_) | Stage::Closing { .. } => None,
        }
    }

    fn dial(
        &mut self,
        dial: Dial,
        endpoint: Endpoint,
        purpose: DialPurpose,
        cx: &mut Cx<'_>,
    ) -> DialId {
        let id = DialId::new(self.next_dial);
        self.next_dial += 1;
        if !self.stopped {
            self.dials.insert(id, dial);
            cx.act(Action::Dial { dial: id, endpoint, purpose });
        }
        id
    }

    /// Asks for the end of a connection; it counts as gone from here on.
    fn close(&mut self, conn: ConnId, reason: CloseReason, cx: &mut Cx<'_>) {
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        let peer = state.peer();
        if matches!(state.stage, Stage::Closing { .. }) {
            return;
        }
        state.stage = Stage::Closing { peer: peer.map(|pki_id| (pki_id, reason)) };
        cx.emit(Effect::CancelTimer(Timer::Handshake(conn)));
        cx.emit(Effect::CancelTimer(Timer::Linger(conn)));
        cx.act(Action::Close { conn, reason });
        if let Some(pki_id) = peer {
            self.open -= 1;
            self.unlink(pki_id, conn, cx);
        }
    }

    fn conn_ids(&self) -> alloc::vec::Vec<ConnId> {
        let mut ids: alloc::vec::Vec<_> = self.conns.keys().copied().collect();
        ids.sort_unstable();
        ids
    }
}

/// Unpacks the part of the driver's events that is about connections.
pub(crate) fn route(comm: &mut Comm, event: Event, cx: &mut Cx<'_>) {
    match event {
        Event::Connected { conn, dial, remote, tls } => {
            comm.on_connected(conn, dial, remote, tls, cx);
        }
        Event::DialFailed { dial, error } => comm.on_dial_failed(dial, error, cx),
        Event::Pinged { dial } => comm.on_pinged(dial, cx),
        Event::Disconnected { conn, write_failed } => comm.on_disconnected(conn, write_failed, cx),
        Event::Sent { conn, frames } => comm.on_sent(conn, frames, cx),
        Event::Tick | Event::Message { .. } | Event::JobDone(_) | Event::WallClock(_) => {}
    }
}

#[cfg(test)]
mod tests;
