//! One node in virtual time, driven through its public API.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use gossip_core::{
    Action, ChannelConfig, ChannelId, CloseReason, Command, Config, ConnId, DialId, Event,
    Identity, Instant, Node, Notice, OrgId, PkiId, TlsBinding, UnixTime,
};

use super::backend::Backend;

/// The node and what it did.
pub(crate) struct World {
    pub(crate) node: Node,
    pub(crate) backend: Backend,
    pub(crate) notices: Vec<Notice>,
    /// What was sent on a connection.
    pub(crate) sent: BTreeMap<ConnId, Vec<Bytes>>,
    pub(crate) closed: BTreeMap<ConnId, CloseReason>,
    now: Instant,
    /// Dials that fail: nobody listens.
    dials: Vec<(Instant, DialId)>,
    conns: u64,
}

/// The certificates of all connections.
pub(crate) const NODE_TLS: [u8; 32] = [1; 32];
pub(crate) const REMOTE_TLS: [u8; 32] = [2; 32];

impl World {
    /// Starts a node as the recorded one was set up.
    pub(crate) fn new(backend: Backend) -> Self {
        let signer = backend.signer();
        let endpoint = "127.0.0.1:42391".into();
        let mut config = Config::new(
            Identity::new(signer.serialized().clone()),
            PkiId::new(signer.pki_id()),
            OrgId::from(signer.mspid()),
            endpoint,
        );
        config.wall_clock = RECORDED_AT;
        config.external_endpoint = Some(config.endpoint.clone());
        config.alive_expiration_timeout = Duration::from_secs(3600);
        config.reconnect_interval = Duration::from_secs(3600);
        config.propagate_peer_num = 1000;
        config.dial_timeout = DIAL_TIMEOUT;
        let now = Instant::ZERO + Duration::from_secs(1);
        let node = Node::new(config, now).expect("a set-up that a node can run with");
        let mut world = Self {
            node,
            backend,
            notices: Vec::new(),
            sent: BTreeMap::new(),
            closed: BTreeMap::new(),
            now,
            dials: Vec::new(),
            conns: 0,
        };
        world.drain();
        world
    }

    /// Joins a channel of these organisations with the ledger that the recorded node had.
    pub(crate) fn join(&mut self, channel: &str, orgs: &[&str]) {
        let channel = ChannelId::from(channel);
        let orgs = orgs.iter().map(|org| (OrgId::from(*org), Vec::new())).collect();
        let config = ChannelConfig { sequence: 1, orgs };
        let command = Command::JoinChannel { channel, config, height: Some(RECORDED_HEIGHT) };
        self.node.command(self.now, command).expect("our organisation is in the channel");
        self.drain();
    }

    /// Opens a stream to the node, on which its remote has shown this certificate.
    pub(crate) fn connect(&mut self, certificate: Option<[u8; 32]>) -> ConnId {
        self.conns += 1;
        let conn = ConnId::new(self.conns);
        let tls = Some(TlsBinding { local: NODE_TLS, remote: certificate });
        let remote = format!("127.0.0.1:{}", 50_000 + self.conns);
        self.handle(Event::Connected { conn, dial: None, remote, tls });
        conn
    }

    pub(crate) fn receive(&mut self, conn: ConnId, frame: Bytes) {
        self.handle(Event::Message { conn, frame });
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            let dial = self.dials.iter().min().copied();
            let timer = self.node.poll_timeout();
            let next = dial.map(|(at, _)| at).into_iter().chain(timer).min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            match dial {
                Some((at, dial)) if at == next => {
                    self.dials.retain(|(_, other)| *other != dial);
                    self.handle(Event::DialFailed { dial, error: "connection refused".into() });
                }
                _ => self.handle(Event::Tick),
            }
        }
        self.now = until;
    }

    fn handle(&mut self, event: Event) {
        self.node.handle(self.now, event);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(action) = self.node.poll_action() {
            let answer = match action {
                Action::Dial { dial, .. } => {
                    self.dials.push((self.now + DIAL_TIMEOUT, dial));
                    continue;
                }
                Action::Send { conn, frame } => {
                    self.sent.entry(conn).or_default().push(frame);
                    Event::Sent { conn, frames: 1 }
                }
                Action::Close { conn, reason } => {
                    self.closed.insert(conn, reason);
                    Event::Disconnected { conn, write_failed: false }
                }
                Action::Job(job) => Event::JobDone(job.run(&self.backend, &self.backend)),
                Action::Notify(notice) => {
                    self.notices.push(notice);
                    continue;
                }
            };
            self.node.handle(self.now, answer);
        }
    }
}

/// When the recording was made: all its certificates are valid then.
const RECORDED_AT: UnixTime = UnixTime::from_secs(1_795_329_704);

/// The number of blocks in the recorded node's ledger.
const RECORDED_HEIGHT: u64 = 5;

const DIAL_TIMEOUT: Duration = Duration::from_millis(150);
