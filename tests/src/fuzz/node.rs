//! Bytes as what reaches a node: frames of peers, or whatever a driver and an application can tell
//! it, in any order. After each event all that peers can make grow is within its bounds, which are
//! narrow if the last byte is odd.

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use gossip_core::{
    Action, ChannelConfig, ChannelId, Command, Completion, Config, ConnId, Crypto, DialId, Event,
    Identity, IdentityFacts, Instant, Job, JobError, Ledger, Limits, Message, MessageKind, Node,
    OrgId, Outcome, PkiId, Signed, UnixTime,
};
use gossip_proto::gossip::{ConnEstablish, Envelope, GossipMessage, gossip_message::Content};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::choices::Choices;

/// Takes bytes as frames of two authenticated peers, one of each organisation, and of a stranger:
/// which peer, the length, the frame.
pub(super) fn frames(bytes: &[u8]) {
    let mut world = World::new(bytes);
    let conns = [world.peer(OURS), world.peer(THEIRS), world.connect(None)];
    let mut choices = Choices::new(bytes);
    while !choices.is_empty() {
        let conn = conns[choices.index(conns.len())];
        let frame = choices.bytes();
        world.handle(Event::Message { conn, frame });
        world.pass(Duration::from_millis(choices.below(3000)));
    }
    world.pass(Duration::from_secs(60));
}

/// Takes bytes as the first frames of a stranger, on a connection with TLS.
pub(super) fn handshake(bytes: &[u8]) {
    let mut world = World::with(bytes, |config| config.tls = true);
    let mut choices = Choices::new(bytes);
    for _ in 0..4 {
        let tls = choices.flag().then(|| gossip_core::TlsBinding {
            local: [1; 32],
            remote: choices.flag().then_some([2; 32]),
        });
        let conn = world.connect(tls);
        world.handle(Event::Message { conn, frame: choices.bytes() });
        world.handle(Event::Message { conn, frame: choices.bytes() });
        world.pass(Duration::from_millis(choices.below(3000)));
    }
}

/// Takes bytes as events and commands in any order; the same bytes must do the same twice.
pub(super) fn events(bytes: &[u8]) {
    let [one, two] = [(); 2].map(|()| {
        let mut world = World::new(bytes);
        world.answers_at_once = false;
        let mut choices = Choices::new(bytes);
        for _ in 0..STEPS_MAX {
            if choices.is_empty() {
                break;
            }
            world.step(&mut choices);
        }
        world.digest.finalize()
    });
    assert_eq!(one, two, "the same events had other actions");
}

/// A node and what it was given to do.
struct World {
    node: Node,
    now: Instant,
    conns: Vec<ConnId>,
    dials: Vec<DialId>,
    jobs: Vec<Job>,
    answers_at_once: bool,
    digest: Sha256,
    text: String,
    next_conn: u64,
}

impl World {
    fn new(bytes: &[u8]) -> Self {
        Self::with(bytes, |config| config.tls = false)
    }

    /// A node in a channel of two organisations.
    fn with(bytes: &[u8], change: impl FnOnce(&mut Config)) -> Self {
        let identity = identity(OURS, 0);
        let pki_id = PkiId::new(Sha256::digest(identity.as_bytes()).into());
        let org = OrgId::new(Bytes::from_static(OURS));
        let mut config = Config::new(identity, pki_id, org, "node:7051".into());
        config.wall_clock = UnixTime::from_secs(1_700_000_000);
        config.external_endpoint = Some("node.example.com:7051".into());
        config.bootstrap = vec!["peer:7051".into()];
        config.state.enabled = true;
        if bytes.last().is_some_and(|last| last % 2 == 1) {
            config.limits = narrow_limits();
        }
        change(&mut config);
        let now = Instant::from_nanos(1);
        let node = Node::new(config, now).expect("a set-up that a node can run with");
        let mut world = Self {
            node,
            now,
            conns: Vec::new(),
            dials: Vec::new(),
            jobs: Vec::new(),
            answers_at_once: true,
            digest: Sha256::new(),
            text: String::new(),
            next_conn: 1,
        };
        world.command(join(1));
        world
    }

    fn handle(&mut self, event: Event) {
        let is_tick = matches!(event, Event::Tick);
        self.give(event);
        self.drain();
        if is_tick {
            let next = self.node.poll_timeout();
            assert!(next.is_none_or(|at| at > self.now), "a timer is due again at once");
        }
    }

    fn command(&mut self, command: Command) {
        let _ = self.node.command(self.now, command);
        self.drain();
    }

    fn give(&mut self, event: Event) {
        self.node.handle(self.now, event);
        let tables = self.node.tables();
        let too_large = tables.iter().find(|table| table.size > table.max);
        assert_eq!(too_large, None);
    }

    /// Takes what the node wants done.
    fn drain(&mut self) {
        let mut actions = 0;
        while let Some(action) = self.node.poll_action() {
            actions += 1;
            assert!(actions < ACTIONS_MAX, "so many actions of one event: {action:?}");
            self.text.clear();
            let _ = write!(self.text, "{action:?}");
            self.digest.update(&self.text);
            match action {
                Action::Job(job) if self.answers_at_once => {
                    self.give(Event::JobDone(job.run(&Backend, &Backend)));
                }
                Action::Job(job) => self.jobs.push(job),
                Action::Dial { dial, .. } => self.dials.push(dial),
                Action::Close { conn, .. } => {
                    self.conns.retain(|open| *open != conn);
                    self.give(Event::Disconnected { conn, write_failed: false });
                }
                Action::Send { conn, .. } if self.answers_at_once => {
                    self.give(Event::Sent { conn, frames: 1 });
                }
                Action::Send { .. } | Action::Notify(_) => {}
            }
        }
    }

    /// Lets time pass; all ticks come.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        for ticks in 0.. {
            assert!(ticks < ACTIONS_MAX, "so many ticks in {time:?}");
            let Some(at) = self.node.poll_timeout().filter(|at| *at <= until) else { break };
            self.now = self.now.max(at);
            self.handle(Event::Tick);
        }
        self.now = until;
    }

    /// Accepts a stream of a remote.
    fn connect(&mut self, tls: Option<gossip_core::TlsBinding>) -> ConnId {
        let conn = ConnId::new(self.next_conn);
        self.next_conn += 1;
        self.conns.push(conn);
        self.handle(Event::Connected { conn, dial: None, remote: "remote:1".into(), tls });
        conn
    }

    /// Accepts a peer of an organisation and authenticates it.
    fn peer(&mut self, org: &'static [u8]) -> ConnId {
        let conn = self.connect(None);
        let frame = introduction(&identity(org, self.next_conn));
        self.handle(Event::Message { conn, frame });
        conn
    }

    /// Does what the next choices say.
    fn step(&mut self, choices: &mut Choices<'_>) {
        let known = self.conns.get(choices.index(self.conns.len().max(1))).copied();
        let conn = known.unwrap_or(ConnId::new(choices.below(4)));
        match choices.index(14) {
            0..=3 => self.handle(Event::Message { conn, frame: choices.bytes() }),
            4 => {
                self.peer(if choices.flag() { OURS } else { THEIRS });
            }
            5 => {
                self.connect(None);
            }
            6 => {
                self.conns.retain(|open| *open != conn);
                self.handle(Event::Disconnected { conn, write_failed: choices.flag() });
            }
            7 => self.handle(Event::Sent { conn, frames: choices.below(300) as u32 }),
            8 => self.pass(Duration::from_millis(choices.below(60_000))),
            9 => {
                // Ticks come late, too; and time may seem to go back.
                self.now += Duration::from_secs(choices.below(1000));
                self.handle(Event::Tick);
                let before = Instant::from_nanos(choices.below(1 << 40));
                self.node.handle(before, Event::Tick);
                self.drain();
            }
            10 => {
                let time = UnixTime::from_secs(1_699_990_000 + choices.below(100_000));
                self.handle(Event::WallClock(time));
            }
            11 | 12 => self.answer(choices),
            _ => self.ask(choices),
        }
    }

    /// Answers a job or a dial, rightly or not, in any order.
    fn answer(&mut self, choices: &mut Choices<'_>) {
        if choices.flag() && !self.dials.is_empty() {
            let dial = self.dials.swap_remove(choices.index(self.dials.len()));
            let event = match choices.index(3) {
                0 => Event::DialFailed { dial, error: "refused".into() },
                1 => Event::Pinged { dial },
                _ => {
                    let conn = ConnId::new(self.next_conn);
                    self.next_conn += 1;
                    self.conns.push(conn);
                    Event::Connected { conn, dial: Some(dial), remote: "peer".into(), tls: None }
                }
            };
            return self.handle(event);
        }
        for _ in 0..=choices.below(20) {
            if self.jobs.is_empty() {
                return;
            }
            let job = self.jobs.swap_remove(choices.index(self.jobs.len()));
            let completion = answered(job, choices);
            self.handle(Event::JobDone(completion));
        }
    }

    /// Asks for what an application may ask for.
    fn ask(&mut self, choices: &mut Choices<'_>) {
        let channel = ChannelId::from(if choices.flag() { "ch" } else { "other" });
        let command = match choices.index(12) {
            0 => join(choices.below(4)),
            1 => Command::LeaveChannel { channel },
            2 => {
                let (number, block) = (choices.below(40), choices.bytes());
                Command::GossipBlock { channel, number, block }
            }
            3 => Command::SetLedgerHeight { channel, height: choices.below(60) },
            4 => Command::SetMetadata { metadata: choices.bytes() },
            5 => Command::SendLeadership { channel, is_declaration: choices.flag() },
            6 => Command::Connect { endpoint: "elsewhere:7051".into() },
            7 => Command::SuspectPeers,
            8 => Command::Accept { kinds: MessageKind::ALL.to_vec() },
            9 => {
                let (kind, body) = (MessageKind::PrivateRequest, choices.bytes());
                let message = Message { channel, kind, body };
                let conn = ConnId::new(choices.below(8));
                Command::Respond { conn, nonce: choices.below(9), message }
            }
            10 => {
                let (conn, nonce) = (ConnId::new(choices.below(8)), choices.below(9));
                Command::Acknowledge { conn, nonce, error: choices.flag().then(|| "no".into()) }
            }
            // Nothing comes after a stop: seldom.
            _ if choices.below(50) == 0 => Command::Stop,
            _ => Command::SetChaincodes { channel, chaincodes: Vec::new() },
        };
        self.command(command);
    }
}

/// Answers a job: mostly as it should be.
fn answered(job: Job, choices: &mut Choices<'_>) -> Completion {
    match choices.index(12) {
        0 => job.complete(Outcome::Failed("the pool is full".into())),
        1 => job.complete(Outcome::Rejected("it does not hold".into())),
        2 => job.complete(Outcome::Accepted),
        3 => job.complete(Outcome::Signature(choices.bytes())),
        4 => job.complete(Outcome::Blocks(vec![(choices.below(40), choices.bytes())])),
        _ => job.run(&Backend, &Backend),
    }
}

/// Bounds that a few messages reach.
pub(super) fn narrow_limits() -> Limits {
    Limits {
        connections_max: 5,
        handshake_frames_max: 2,
        handshake_bytes_max: 500,
        frames_in_flight_max: 2,
        bytes_in_flight_max: 300,
        control_frames_max: 3,
        control_bytes_max: 600,
        reply_frames_max: 2,
        reply_bytes_max: 80,
        gossip_frames_max: 2,
        gossip_bytes_max: 300,
        claims_per_connection_max: 2,
        claims_max: 6,
        claim_bytes_max: 600,
        rivals_max: 1,
        identities_max: 5,
        members_max: 3,
        contacts_max: 1,
        elements_max: 4,
        leaders_max: 1,
        channels_max: 2,
        requests_max: 2,
        foreign_state_info_max: 1,
        buffered_blocks_max: 2,
        buffered_bytes_max: 200,
        pull_ids_max: 3,
        pull_items_max: 2,
        pull_rounds_max: 2,
        pull_hellos_max: 1,
        pull_failures_max: 1,
        ..Limits::default()
    }
}

fn join(sequence: u64) -> Command {
    let org = |name| (OrgId::new(Bytes::from_static(name)), vec!["anchor:7051".into()]);
    let config = ChannelConfig { sequence, orgs: vec![org(OURS), org(THEIRS)] };
    Command::JoinChannel { channel: ChannelId::from("ch"), config, height: Some(1) }
}

pub(super) fn identity(org: &[u8], number: u64) -> Identity {
    Identity::new([org, &number.to_be_bytes()].concat())
}

/// Makes the connection message of a peer.
pub(super) fn introduction(identity: &Identity) -> Bytes {
    let content = Some(Content::Conn(ConnEstablish {
        pki_id: Bytes::copy_from_slice(&Sha256::digest(identity.as_bytes())),
        identity: identity.as_bytes().clone(),
        tls_cert_hash: Bytes::new(),
        probe: false,
    }));
    let message = GossipMessage { nonce: 0, channel: Bytes::new(), tag: 1, content };
    let (payload, signature) = (message.encode_to_vec().into(), Bytes::from_static(&[0]));
    Envelope { payload, signature, secret_envelope: None }.encode_to_vec().into()
}

/// Believes every signature whose last byte is even, so that half of what is made up gets through.
pub(super) struct Backend;

impl Crypto for Backend {
    fn sign(&self, payload: &[u8]) -> Result<Bytes, JobError> {
        let mut signature = Sha256::digest(payload).to_vec();
        signature[31] &= 0xfe;
        Ok(signature.into())
    }

    fn verify(&self, _: &Identity, message: &Signed) -> Result<(), JobError> {
        match message.signature.last() {
            Some(last) if last % 2 == 0 => Ok(()),
            _ => Err(JobError::rejected("odd")),
        }
    }

    fn validate_identity(&self, identity: &Identity) -> Result<IdentityFacts, JobError> {
        let bytes = identity.as_bytes();
        let org = if bytes.starts_with(OURS) { OURS } else { THEIRS };
        Ok(IdentityFacts {
            pki_id: PkiId::new(Sha256::digest(bytes).into()),
            org: OrgId::new(Bytes::from_static(org)),
            expires_at: bytes
                .last()
                .filter(|last| **last == 9)
                .map(|_| UnixTime::from_secs(1_700_000_100)),
        })
    }

    fn check_access(&self, _: &ChannelId, id: &Identity, message: &Signed) -> Result<(), JobError> {
        self.verify(id, message)
    }

    fn verify_block(&self, _: &ChannelId, _: u64, block: &Bytes) -> Result<(), JobError> {
        match block.len() % 2 {
            0 => Ok(()),
            _ => Err(JobError::rejected("odd")),
        }
    }
}

impl Ledger for Backend {
    fn commit(&self, _: &ChannelId, number: u64, _: &Bytes) -> Result<(), JobError> {
        match number % 8 {
            7 => Err(JobError::rejected("not the eighth")),
            _ => Ok(()),
        }
    }

    fn read_blocks(
        &self,
        _: &ChannelId,
        first: u64,
        last: u64,
        _: usize,
    ) -> Result<Vec<(u64, Bytes)>, JobError> {
        Ok((first..=last).take(20).map(|number| (number, Bytes::from_static(b"ab"))).collect())
    }
}

pub(super) const OURS: &[u8] = b"ours";
pub(super) const THEIRS: &[u8] = b"theirs";

/// More than a node with a handful of connections can want at once.
const ACTIONS_MAX: usize = 20_000;

/// What is done with one input at most.
const STEPS_MAX: usize = 400;
