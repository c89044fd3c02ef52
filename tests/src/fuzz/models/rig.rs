//! A node that is driven by hand: its peers do what a model's input says, and whatever it dials
//! answers. Jobs are done, and what it sends is read, at once, or when they are to be.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use gossip_core::{
    Action, Command, CommandError, Config, ConnId, DialId, DialPurpose, Endpoint, Event, Identity,
    Instant, Job, Node, Notice, OrgId, Outcome, PkiId, Stamp, UnixTime,
};
use gossip_proto::gossip::{
    AliveMessage, Envelope, GossipMessage, Member, PeerTime, Secret, SecretEnvelope,
    gossip_message::{Content, Tag},
    secret,
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::fuzz::node::{Backend, OURS, THEIRS, identity, introduction};

/// The node, and what it did since somebody asked.
pub(super) struct Rig {
    pub(super) node: Node,
    pub(super) now: Instant,
    /// Whom each open connection is with.
    conns: BTreeMap<ConnId, u8>,
    sent: Vec<Sent>,
    notices: Vec<Notice>,
    next_conn: u64,
    /// Whether jobs and frames wait until [`work`](Self::work) and [`read`](Self::read).
    is_lazy: bool,
    jobs: Vec<Job>,
    unread: Vec<ConnId>,
    /// The most that was in each table, and its bound.
    pub(super) fullest: BTreeMap<&'static str, (usize, usize)>,
}

/// A message that the node sent.
pub(super) struct Sent {
    pub(super) at: Instant,
    pub(super) to: u8,
    pub(super) message: GossipMessage,
}

impl Rig {
    /// Makes a node of our organisation.
    pub(super) fn new(change: impl FnOnce(&mut Config)) -> Self {
        let (identity, org) = (identity_of(NODE), OrgId::new(Bytes::from_static(OURS)));
        let mut config = Config::new(identity.clone(), pki(&identity), org, "node:7051".into());
        config.wall_clock = START;
        config.external_endpoint = Some("node.example.com:7051".into());
        config.tls = false;
        config.block_tree = false;
        change(&mut config);
        let now = BEGINNING;
        let node = Node::new(config, now).expect("a set-up that a node can run with");
        let mut rig = Self {
            node,
            now,
            conns: BTreeMap::new(),
            sent: Vec::new(),
            notices: Vec::new(),
            next_conn: 1,
            is_lazy: false,
            jobs: Vec::new(),
            unread: Vec::new(),
            fullest: BTreeMap::new(),
        };
        rig.drain();
        rig
    }

    /// Lets jobs and frames wait from now on; and holds all tables to their bounds.
    pub(super) fn be_lazy(&mut self) {
        self.is_lazy = true;
    }

    /// Does one of the jobs that wait; or fails to.
    pub(super) fn work(&mut self, place: usize, fails: bool) {
        if self.jobs.is_empty() {
            return;
        }
        let job = self.jobs.swap_remove(place % self.jobs.len());
        let completion = match fails {
            true => job.complete(Outcome::Failed("the pool is full".into())),
            false => job.run(&Backend, &Backend),
        };
        self.handle(Event::JobDone(completion));
    }

    /// Lets all peers read what waits for them.
    pub(super) fn read(&mut self) {
        for conn in std::mem::take(&mut self.unread) {
            self.handle(Event::Sent { conn, frames: 1 });
        }
    }

    /// Gives the node a command that it takes.
    pub(super) fn command(&mut self, command: Command) {
        self.try_command(command).expect("a command that makes sense");
    }

    /// Gives the node a command that it may refuse.
    pub(super) fn try_command(&mut self, command: Command) -> Result<(), CommandError> {
        let result = self.node.command(self.now, command);
        self.drain();
        result
    }

    /// Lets a peer connect, so that its identity is known.
    pub(super) fn meet(&mut self, peer: u8) {
        self.connect(peer, None);
    }

    /// Lets a peer send a message, on a connection that it opens if it has none.
    pub(super) fn send(&mut self, from: u8, frame: Bytes) {
        let conn = self.conn_with(from).unwrap_or_else(|| self.connect(from, None));
        self.handle(Event::Message { conn, frame });
    }

    /// Lets time pass; all ticks come.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.node.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.handle(Event::Tick);
        }
        self.now = until;
    }

    /// Says whether a connection with a peer is open.
    pub(super) fn is_connected(&self, peer: u8) -> bool {
        self.conn_with(peer).is_some()
    }

    /// Takes what the node sent, and to whom.
    pub(super) fn take_sent(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sent)
    }

    /// Takes what the node told.
    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    fn conn_with(&self, peer: u8) -> Option<ConnId> {
        self.conns.iter().find(|(_, with)| **with == peer).map(|(conn, _)| *conn)
    }

    fn connect(&mut self, peer: u8, dial: Option<DialId>) -> ConnId {
        let conn = ConnId::new(self.next_conn);
        self.next_conn += 1;
        self.conns.insert(conn, peer);
        let remote = format!("peer{peer}:1");
        self.handle(Event::Connected { conn, dial, remote, tls: None });
        let frame = introduction(&identity_of(peer));
        self.handle(Event::Message { conn, frame });
        conn
    }

    fn handle(&mut self, event: Event) {
        self.give(event);
        self.drain();
    }

    fn give(&mut self, event: Event) {
        self.node.handle(self.now, event);
        let tables = self.is_lazy.then(|| self.node.tables());
        for table in tables.into_iter().flatten() {
            assert!(table.size <= table.max, "{table:?}");
            let (most, _) = self.fullest.entry(table.name).or_insert((0, table.max));
            *most = table.size.max(*most);
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Dial { dial, endpoint, purpose } => self.dial(dial, &endpoint, purpose),
                Action::Send { conn, frame } => self.sent(conn, frame),
                Action::Close { conn, .. } => {
                    self.conns.remove(&conn);
                    self.give(Event::Disconnected { conn, write_failed: false });
                }
                Action::Job(job) if self.is_lazy => self.jobs.push(job),
                Action::Job(job) => self.give(Event::JobDone(job.run(&Backend, &Backend))),
                Action::Notify(notice) => self.notices.push(notice),
            }
        }
    }

    /// Answers for the peer at an endpoint. None says on a ping that it is there: it would be asked
    /// then, and nothing else would be different.
    fn dial(&mut self, dial: DialId, endpoint: &Endpoint, purpose: DialPurpose) {
        let peer = (0..=u8::MAX).find(|peer| endpoint_of(*peer) == endpoint.as_str());
        match peer.filter(|_| purpose != DialPurpose::Ping) {
            Some(peer) => drop(self.connect(peer, Some(dial))),
            None => {
                self.give(Event::DialFailed { dial, error: "nobody is there".into() });
            }
        }
    }

    fn sent(&mut self, conn: ConnId, frame: Bytes) {
        if let Some(peer) = self.conns.get(&conn) {
            let envelope = Envelope::decode(frame).expect("an envelope");
            let message = GossipMessage::decode(envelope.payload).expect("a message");
            self.sent.push(Sent { at: self.now, to: *peer, message });
        }
        match self.is_lazy {
            true => self.unread.push(conn),
            false => self.give(Event::Sent { conn, frames: 1 }),
        }
    }
}

/// Says of which organisation a peer is: every fourth is of another.
pub(super) const fn is_ours(peer: u8) -> bool {
    peer % 4 != 3 || peer == NODE
}

pub(super) fn identity_of(peer: u8) -> Identity {
    let org = if is_ours(peer) { OURS } else { THEIRS };
    identity(org, peer.into())
}

pub(super) fn pki_of(peer: u8) -> PkiId {
    pki(&identity_of(peer))
}

pub(super) fn endpoint_of(peer: u8) -> String {
    format!("peer{peer}:7051")
}

/// Makes an alive message, with a secret if the peer is of our organisation; the third of four
/// peers tells other organisations of no endpoint.
pub(super) fn alive(peer: u8, stamp: Stamp, is_signed: bool) -> Envelope {
    let endpoint = if peer % 4 == 2 { String::new() } else { endpoint_of(peer) };
    let membership =
        Some(Member { endpoint, metadata: Bytes::new(), pki_id: pki_of(peer).to_wire() });
    let timestamp = Some(time(stamp));
    let content = AliveMessage { membership, timestamp, ..AliveMessage::default() };
    let mut envelope = signed(message(Tag::Empty, "", Content::AliveMsg(content)), is_signed);
    if is_ours(peer) {
        let content = Some(secret::Content::InternalEndpoint(endpoint_of(peer)));
        let payload = Secret { content }.encode_to_vec().into();
        envelope.secret_envelope = Some(SecretEnvelope { payload, signature: GOOD });
    }
    envelope
}

pub(super) const fn time(stamp: Stamp) -> PeerTime {
    PeerTime { inc_num: stamp.incarnation, seq_num: stamp.sequence }
}

pub(super) fn message(tag: Tag, channel: &str, content: Content) -> GossipMessage {
    let channel = Bytes::copy_from_slice(channel.as_bytes());
    GossipMessage { nonce: 0, channel, tag: tag as i32, content: Some(content) }
}

pub(super) fn signed(message: GossipMessage, is_well: bool) -> Envelope {
    let signature = if is_well { GOOD } else { BAD };
    Envelope { payload: message.encode_to_vec().into(), signature, secret_envelope: None }
}

pub(super) fn unsigned(message: GossipMessage) -> Bytes {
    let payload = message.encode_to_vec().into();
    Envelope { payload, ..Envelope::default() }.encode_to_vec().into()
}

pub(super) fn frame(envelope: &Envelope) -> Bytes {
    envelope.encode_to_vec().into()
}

pub(super) fn pki(identity: &Identity) -> PkiId {
    PkiId::new(Sha256::digest(identity.as_bytes()).into())
}

/// The node itself.
pub(super) const NODE: u8 = 255;

/// When the node starts.
pub(super) const BEGINNING: Instant = Instant::from_nanos(1);

/// The same on the wall clock.
const START: UnixTime = UnixTime::from_secs(1_700_000_000);

/// A signature that holds, whatever it is of.
const GOOD: Bytes = Bytes::from_static(&[0]);
const BAD: Bytes = Bytes::from_static(&[1]);
