//! What happens to dials, frames and connections.

use std::time::Duration;

use bytes::Bytes;
use gossip_core::{ConnId, DialId, DialPurpose, Endpoint, Event, PkiId, TlsBinding};
use sha2::{Digest as _, Sha256};

use super::{
    byzantine, check::Seen, draws::scale, faults::Control, host::Input, network::Parcel,
    options::FaultClass, trace::What, world::World,
};

impl World {
    pub(super) fn dial(
        &mut self,
        host: usize,
        dial: DialId,
        endpoint: &Endpoint,
        purpose: DialPurpose,
    ) {
        self.observe(host, &Seen::Dialled { endpoint });
        let listener = self.layout.listener(endpoint);
        // What is internal has no name elsewhere.
        let reachable = listener.filter(|listener| {
            !listener.is_internal || self.layout.org_of(listener.host) == self.layout.org_of(host)
        });
        let Some(remote) = reachable.map(|listener| listener.host) else {
            return self.fail_dial(host, dial, Duration::from_millis(5), "no such host");
        };
        if self.net.is_cut_off(host, remote) || self.hosts[remote].is_paused {
            return self.fail_dial(host, dial, DIAL_TIMEOUT, "timed out");
        }
        let trip = self.trip(host, remote, 0);
        if self.hosts[remote].node.is_none() {
            return self.fail_dial(host, dial, trip * 2, "connection refused");
        }
        if purpose == DialPurpose::Ping {
            return self.tell(host, trip * 2, Event::Pinged { dial });
        }
        let conn = self.open(host, remote, dial, endpoint, trip);
        if purpose == DialPurpose::Handshake {
            self.plan_control(HANDSHAKE_DEADLINE, Control::Deadline { conn });
        }
    }

    fn open(
        &mut self,
        host: usize,
        to: usize,
        dial: DialId,
        endpoint: &Endpoint,
        trip: Duration,
    ) -> ConnId {
        let (ours, theirs) = self.net.connect(host, to);
        // Nothing arrives at either end before it is told of the connection.
        for (conn, after) in [(ours, trip * 2), (theirs, trip)] {
            if let Some(end) = self.net.end_mut(conn) {
                end.pipe.last_at = self.now + after;
            }
        }
        let client = tls(&self.pki_id(host), "client");
        let server = tls(&self.pki_id(to), "server");
        let remote = format!("{}:50000", self.layout.names[host]);
        let binding = Some(TlsBinding { local: server, remote: Some(client) });
        self.tell(to, trip, Event::Connected { conn: theirs, dial: None, remote, tls: binding });
        let remote = endpoint.as_str().to_owned();
        let binding = Some(TlsBinding { local: client, remote: Some(server) });
        let dial = Some(dial);
        self.tell(host, trip * 2, Event::Connected { conn: ours, dial, remote, tls: binding });
        ours
    }

    fn fail_dial(&mut self, host: usize, dial: DialId, after: Duration, error: &'static str) {
        self.tell(host, after, Event::DialFailed { dial, error: error.into() });
    }

    fn tell(&mut self, host: usize, after: Duration, event: Event) {
        self.plan_input(self.now + after, host, Input::Event(Box::new(event)));
    }

    /// Sends a node's frame, or what a hostile driver makes of it.
    pub(super) fn send(&mut self, host: usize, conn: ConnId, frame: Bytes) {
        self.metrics.sent(&frame);
        let Some(end) = self.net.end_mut(conn) else { return };
        end.unwritten += 1;
        end.has_sent = true;
        let (to, unwritten) = (end.remote, end.unwritten);
        self.observe(host, &Seen::Sent { to, unwritten, frame: &frame });
        if !self.hosts[host].is_byzantine {
            return self.transmit(conn, frame, true);
        }
        // One frame at most counts as the node's, and none may be left uncounted.
        let frames = byzantine::tamper(self, host, to, frame);
        if frames.is_empty() {
            self.count_written(conn);
        }
        for (ix, frame) in frames.into_iter().enumerate() {
            self.transmit(conn, frame, ix == 0);
        }
    }

    /// Puts a frame into the pipe at the other end of a connection.
    pub(super) fn transmit(&mut self, conn: ConnId, frame: Bytes, is_counted: bool) {
        let Some(other) = self.net.end(conn).map(|end| end.other) else { return };
        let Some(end) = self.net.end_mut(other) else { return };
        end.pipe.unread += 1;
        let is_full = end.pipe.unread > WINDOW || !end.pipe.held.is_empty();
        let is_held = self.net.end(other).is_some_and(|end| self.net.is_held(end));
        if is_counted && (is_full || is_held) {
            if let Some(end) = self.net.end_mut(other) {
                end.pipe.owed += 1;
            }
        } else if is_counted {
            self.count_written(conn);
        }
        self.pour(other, Parcel::Frame(frame));
    }

    /// Notes that a frame could be written at once.
    fn count_written(&mut self, conn: ConnId) {
        let Some(end) = self.net.end_mut(conn) else { return };
        end.written += 1;
        if end.written == 1 {
            self.written.push(conn);
        }
    }

    /// Tells a node how many of its frames were written at once.
    pub(super) fn return_credit(&mut self, host: usize, conn: ConnId) {
        let Some(end) = self.net.end_mut(conn) else { return };
        let frames = std::mem::take(&mut end.written);
        end.unwritten = end.unwritten.saturating_sub(frames);
        self.tell_now(host, Event::Sent { conn, frames });
    }

    pub(super) fn on_written(&mut self, host: usize, conn: ConnId) {
        if let Some(end) = self.net.end_mut(conn) {
            end.unwritten = end.unwritten.saturating_sub(1);
            self.handle(host, Event::Sent { conn, frames: 1 });
        }
    }

    /// Puts something into the pipe of an end.
    pub(super) fn pour(&mut self, conn: ConnId, parcel: Parcel) {
        let Some(end) = self.net.end(conn) else { return };
        let must_wait = self.net.is_held(end) || !end.pipe.held.is_empty();
        let Some(end) = self.net.end_mut(conn) else { return };
        match must_wait {
            true => end.pipe.held.push_back(parcel),
            false => self.carry(conn, parcel),
        }
    }

    /// Lets what was held back go, if nothing holds it any longer.
    pub(super) fn release(&mut self, conn: ConnId) {
        while let Some(end) = self.net.end(conn)
            && !self.net.is_held(end)
        {
            let Some(parcel) = self.net.end_mut(conn).and_then(|end| end.pipe.held.pop_front())
            else {
                return;
            };
            self.carry(conn, parcel);
        }
    }

    /// Lets a parcel arrive after one trip, and behind those before it.
    fn carry(&mut self, conn: ConnId, parcel: Parcel) {
        let bits = self.draws.frames.bits();
        let Some(end) = self.net.end(conn) else { return };
        let (host, remote) = (end.host, end.remote);
        let at = (self.now + self.trip(remote, host, bits)).max(end.pipe.last_at);
        if let Some(end) = self.net.end_mut(conn) {
            end.pipe.last_at = at;
        }
        // Whether it comes again is drawn from bits that the latency hardly depends on.
        let again = self.has(FaultClass::Replay) && !self.is_healed && bits & 0xff == 0;
        if again && matches!(parcel, Parcel::Frame(_)) {
            self.fired.strike(FaultClass::Replay);
            let later = at + Duration::from_micros((bits >> 8) & 0x3f_ffff);
            let copy = Input::Arrived { conn, parcel: parcel.clone(), is_copy: true };
            self.plan_input(later, host, copy);
        }
        self.plan_input(at, host, Input::Arrived { conn, parcel, is_copy: false });
    }

    pub(super) fn on_arrived(&mut self, host: usize, conn: ConnId, parcel: Parcel, is_copy: bool) {
        let Some(end) = self.net.end_mut(conn) else { return };
        let (remote, other) = (end.remote, end.other);
        match parcel {
            Parcel::Frame(frame) => {
                if !is_copy {
                    self.on_read(remote, conn, other);
                }
                if self.trace.is_kept() {
                    self.trace.note(self.now, host, What::Received(remote, conn, frame.clone()));
                }
                if self.hosts[host].is_byzantine {
                    self.memory.hear(&mut self.draws.byzantine, &frame);
                }
                self.handle(host, Event::Message { conn, frame });
            }
            Parcel::Hangup { is_abrupt } => {
                let write_failed = is_abrupt && end.unwritten > 0;
                self.net.remove(conn);
                self.handle(host, Event::Disconnected { conn, write_failed });
            }
        }
    }

    /// A frame was read: its sender may get credit that was owed to it.
    fn on_read(&mut self, remote: usize, conn: ConnId, other: ConnId) {
        let Some(end) = self.net.end_mut(conn) else { return };
        end.pipe.unread = end.pipe.unread.saturating_sub(1);
        if end.pipe.owed > 0 {
            end.pipe.owed -= 1;
            self.plan_input(self.now + WRITE_TIME, remote, Input::Written(other));
        }
    }

    /// Closes an end as its node wants it; the other end hears of it behind all that was sent.
    pub(super) fn close(&mut self, host: usize, conn: ConnId) {
        let Some(end) = self.net.remove(conn) else { return };
        self.pour(end.other, Parcel::Hangup { is_abrupt: false });
        let event = Event::Disconnected { conn, write_failed: false };
        self.plan_input(self.now, host, Input::Event(Box::new(event)));
    }

    /// Breaks a connection: both ends hear of it, and what is held back is lost.
    pub(super) fn cut(&mut self, conn: ConnId) {
        let Some(other) = self.net.end(conn).map(|end| end.other) else { return };
        for conn in [conn, other] {
            let Some(end) = self.net.end_mut(conn) else { continue };
            end.pipe.held.clear();
            self.carry(conn, Parcel::Hangup { is_abrupt: true });
        }
    }

    /// Returns how long something takes from one host to another.
    fn trip(&self, from: usize, to: usize, bits: u64) -> Duration {
        let do_links_differ = self.has(FaultClass::Latency) && !self.is_healed;
        let base = self.net.latency(from, to, do_links_differ);
        // One frame in 64 is late.
        let jitter = match bits >> 58 {
            0 => scale(bits.rotate_left(13), 180_000),
            _ => scale(bits.rotate_left(13), 500),
        };
        base + if do_links_differ { Duration::from_micros(jitter) } else { Duration::ZERO }
    }
}

/// The hash of the TLS certificate that a peer shows.
fn tls(pki_id: &PkiId, role: &str) -> [u8; 32] {
    Sha256::new().chain_update(pki_id.as_bytes()).chain_update(role).finalize().into()
}

/// How many unread frames fit between two hosts: credit for more waits until some are read.
const WINDOW: u32 = 32;
/// How long it takes to write.
const WRITE_TIME: Duration = Duration::from_micros(20);
/// How long a driver tries to connect.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the stream of a handshake lasts.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
