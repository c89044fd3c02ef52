//! A few nodes in one thread and in virtual time, driven through the public API alone.
//!
//! Frames arrive in order after one latency; jobs are answered by honest, cheap cryptography. Each
//! tick is checked to leave no timer behind that is already due.

use alloc::{
    borrow::ToOwned,
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};
use core::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::{
    Action, ChannelConfig, ChannelId, CloseReason, Command, Config, ConnId, Crypto, DialPurpose,
    Endpoint, Event, Identity, IdentityFacts, Instant, Job, JobError, JobKind, Ledger, Node,
    Notice, OrgId, Outcome, PkiId, Signed, TlsBinding, UnixTime,
};

/// When all nodes start, on everybody's wall clock.
pub(crate) const START: UnixTime = UnixTime::from_secs(1_700_000_000);

/// The world: nodes, connections and what is under way between them.
pub(crate) struct Net {
    pub(crate) peers: Vec<Peer>,
    pub(crate) now: Instant,
    pub(crate) latency: Duration,
    /// What was done, if it is to be compared.
    pub(crate) trace: Option<Vec<String>>,
    /// What peers without a node were sent, by their end of the connection.
    pub(crate) inboxes: BTreeMap<ConnId, Vec<Bytes>>,
    /// Connections that were made to endpoints without a node.
    pub(crate) accepted: Vec<(Endpoint, ConnId)>,
    /// Endpoints without a node that accept connections.
    pub(crate) listeners: BTreeSet<Endpoint>,
    pub(crate) closed: BTreeMap<ConnId, CloseReason>,
    /// Ends of connections whose other end does not read.
    pub(crate) stalled: BTreeSet<ConnId>,
    queue: BTreeMap<(Instant, u64), (usize, Event)>,
    enqueued: u64,
    ends: BTreeMap<ConnId, End>,
    next_conn: u64,
}

/// One end of a connection: whose it is, `None` without a node, and the other end.
#[derive(Clone, Copy)]
struct End {
    owner: Option<usize>,
    other: ConnId,
}

/// A node and the world around it.
pub(crate) struct Peer {
    pub(crate) node: Node,
    pub(crate) config: Config,
    pub(crate) backend: Backend,
    pub(crate) notices: Vec<(Instant, Notice)>,
    /// What becomes of a job.
    pub(crate) jobs: fn(&JobKind) -> Fate,
    /// Jobs that were not answered.
    pub(crate) held: Vec<Job>,
    pub(crate) dials: Vec<(Instant, Endpoint, DialPurpose)>,
    /// How often each signature was to be checked.
    pub(crate) checks: BTreeMap<(Bytes, Bytes), u32>,
    /// The blocks in the ledger, in the order in which they were committed.
    pub(crate) ledger: Vec<(ChannelId, u64, Bytes)>,
    /// Whether it is switched off: nothing reaches it, nothing leaves it.
    pub(crate) is_down: bool,
    /// Reached only by those that are cut off as well.
    pub(crate) is_cut_off: bool,
}

/// What becomes of a job.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Fate {
    Answered,
    Failed,
    Held,
}

impl Net {
    pub(crate) fn new() -> Self {
        Self {
            peers: Vec::new(),
            now: Instant::from_nanos(1_000),
            latency: Duration::from_millis(1),
            trace: None,
            inboxes: BTreeMap::new(),
            accepted: Vec::new(),
            listeners: BTreeSet::new(),
            closed: BTreeMap::new(),
            stalled: BTreeSet::new(),
            queue: BTreeMap::new(),
            enqueued: 0,
            ends: BTreeMap::new(),
            next_conn: 0,
        }
    }

    /// Starts a node; returns its place in `peers`.
    pub(crate) fn add(&mut self, org: &str, name: &str, change: impl FnOnce(&mut Config)) -> usize {
        let identity = identity(org, name);
        let mut config =
            Config::new(identity.clone(), pki(org, name), OrgId::from(org), at(org, name));
        config.rng_seed = *pki(org, name).as_bytes();
        config.wall_clock = START + (self.now - Instant::ZERO);
        config.external_endpoint = Some(outside(org, name));
        change(&mut config);
        let node = Node::new(config.clone(), self.now).expect("a set-up that a node can run with");
        self.peers.push(Peer {
            node,
            config,
            backend: Backend::new(identity),
            notices: Vec::new(),
            jobs: |_| Fate::Answered,
            held: Vec::new(),
            dials: Vec::new(),
            checks: BTreeMap::new(),
            ledger: Vec::new(),
            is_down: false,
            is_cut_off: false,
        });
        let peer = self.peers.len() - 1;
        self.drain(peer);
        peer
    }

    /// Gives an event to a node at once.
    pub(crate) fn handle(&mut self, peer: usize, event: Event) {
        if self.peers[peer].is_down {
            return;
        }
        self.peers[peer].node.handle(self.now, event);
        self.drain(peer);
    }

    pub(crate) fn command(&mut self, peer: usize, command: Command) {
        self.peers[peer].node.command(self.now, command).expect("a command that makes sense");
        self.drain(peer);
    }

    /// Joins a channel of these organisations, without anchors.
    pub(crate) fn join(&mut self, peer: usize, channel: &str, orgs: &[&str], height: u64) {
        let orgs = orgs.iter().map(|org| (OrgId::from(*org), Vec::new())).collect();
        let config = ChannelConfig { sequence: 1, orgs };
        let channel = ChannelId::from(channel);
        self.command(peer, Command::JoinChannel { channel, config, height: Some(height) });
    }

    pub(crate) fn gossip_block(&mut self, peer: usize, channel: &str, number: u64) {
        let block = block(channel, number, "honest");
        let channel = ChannelId::from(channel);
        self.command(peer, Command::GossipBlock { channel, number, block });
    }

    pub(crate) fn run_for(&mut self, duration: Duration) {
        let until = self.now + duration;
        while self.step(until) {}
        self.now = until;
    }

    /// Runs until a condition holds, and returns how long that took.
    ///
    /// # Panics
    ///
    /// If it does not hold within `limit`.
    pub(crate) fn run_until(
        &mut self,
        limit: Duration,
        mut holds: impl FnMut(&Self) -> bool,
    ) -> Duration {
        let start = self.now;
        while !holds(self) {
            assert!(self.step(start + limit), "it did not come true within {limit:?}");
        }
        self.now - start
    }

    /// Lets the next thing happen, unless that is after `until`.
    fn step(&mut self, until: Instant) -> bool {
        let input = self.queue.first_key_value().map(|((at, _), _)| *at);
        let up = self.peers.iter().enumerate().filter(|(_, peer)| !peer.is_down);
        let timer = up.filter_map(|(ix, peer)| Some((peer.node.poll_timeout()?, ix))).min();
        let next = input.into_iter().chain(timer.map(|(at, _)| at)).min();
        let Some(next) = next.filter(|next| *next <= until) else {
            return false;
        };
        self.now = self.now.max(next);
        if input.is_some_and(|at| at <= self.now) {
            let (_, (peer, event)) = self.queue.pop_first().expect("it is the first");
            self.handle(peer, event);
        } else if let Some((_, peer)) = timer {
            self.handle(peer, Event::Tick);
            let rest = self.peers[peer].node.poll_timeout();
            assert!(rest.is_none_or(|at| at > self.now), "a timer is due again at once");
        }
        true
    }

    fn drain(&mut self, peer: usize) {
        while let Some(action) = self.peers[peer].node.poll_action() {
            if let Some(trace) = &mut self.trace {
                trace.push(format!("{} {peer} {action:?}", self.now));
            }
            match action {
                Action::Dial { dial, endpoint, purpose } => {
                    self.peers[peer].dials.push((self.now, endpoint.clone(), purpose));
                    let (after, event) = self.dial(peer, dial, &endpoint, purpose);
                    self.enqueue(after, peer, event);
                }
                Action::Send { conn, frame } => self.send(conn, frame),
                Action::Close { conn, reason } => {
                    self.closed.insert(conn, reason);
                    self.close(conn, false);
                }
                Action::Job(job) => self.work(peer, job),
                Action::Notify(notice) => self.peers[peer].notices.push((self.now, notice)),
            }
        }
    }

    fn dial(
        &mut self,
        peer: usize,
        dial: crate::DialId,
        endpoint: &Endpoint,
        purpose: DialPurpose,
    ) -> (Duration, Event) {
        let owner = self.listener(endpoint);
        let is_cut_off = |peer: usize| self.peers[peer].is_cut_off;
        if owner.is_some_and(|owner| is_cut_off(owner) != is_cut_off(peer)) {
            return (self.latency, Event::DialFailed { dial, error: "no way there".into() });
        }
        if owner.is_none() && !self.listeners.contains(endpoint) {
            return (self.latency, Event::DialFailed { dial, error: "nobody is there".into() });
        }
        if purpose == DialPurpose::Ping {
            return (self.latency * 2, Event::Pinged { dial });
        }
        let (ours, theirs) = self.wire(Some(peer), owner);
        let client = tls_of(&self.peers[peer].config.pki_id, true);
        let server = match owner {
            Some(owner) => {
                let server = tls_of(&self.peers[owner].config.pki_id, false);
                let tls = Some(TlsBinding { local: server, remote: Some(client) });
                let remote = format!("peer{peer}:50000");
                let event = Event::Connected { conn: theirs, dial: None, remote, tls };
                self.enqueue(self.latency, owner, event);
                server
            }
            None => {
                self.accepted.push((endpoint.clone(), theirs));
                tls_at(endpoint)
            }
        };
        let tls = Some(TlsBinding { local: client, remote: Some(server) });
        let remote = endpoint.as_str().to_owned();
        (self.latency * 2, Event::Connected { conn: ours, dial: Some(dial), remote, tls })
    }

    /// Makes a connection between two ends; nobody is told.
    pub(crate) fn wire(&mut self, one: Option<usize>, other: Option<usize>) -> (ConnId, ConnId) {
        let ids = (ConnId::new(self.next_conn), ConnId::new(self.next_conn + 1));
        self.next_conn += 2;
        self.ends.insert(ids.0, End { owner: one, other: ids.1 });
        self.ends.insert(ids.1, End { owner: other, other: ids.0 });
        ids
    }

    /// Sends a frame from one end of a connection to the other.
    pub(crate) fn send(&mut self, conn: ConnId, frame: Bytes) {
        let Some(End { owner, other }) = self.ends.get(&conn).copied() else {
            return;
        };
        if let Some(owner) = owner.filter(|_| !self.stalled.contains(&conn)) {
            self.enqueue(Duration::ZERO, owner, Event::Sent { conn, frames: 1 });
        }
        match self.ends[&other].owner {
            Some(owner) => {
                self.enqueue(self.latency, owner, Event::Message { conn: other, frame });
            }
            None => self.inboxes.entry(other).or_default().push(frame),
        }
    }

    /// Ends a connection from one end.
    pub(crate) fn close(&mut self, conn: ConnId, write_failed: bool) {
        let Some(End { owner, other }) = self.ends.remove(&conn) else {
            return;
        };
        if let Some(owner) = owner {
            self.enqueue(Duration::ZERO, owner, Event::Disconnected { conn, write_failed });
        }
        let Some(End { owner, .. }) = self.ends.remove(&other) else {
            return;
        };
        if let Some(owner) = owner {
            let event = Event::Disconnected { conn: other, write_failed: false };
            self.enqueue(self.latency, owner, event);
        }
    }

    /// Switches a peer off, without a word to anybody: its connections fail.
    pub(crate) fn switch_off(&mut self, peer: usize) {
        self.peers[peer].is_down = true;
        let ends = self.ends.iter().filter(|(_, end)| end.owner == Some(peer));
        for conn in ends.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            self.close(conn, false);
        }
    }

    /// Starts another node in the place of one that was switched off.
    pub(crate) fn switch_on(&mut self, peer: usize, change: impl FnOnce(&mut Config)) {
        let Peer { node, config, is_down, .. } = &mut self.peers[peer];
        config.wall_clock = START + (self.now - Instant::ZERO);
        change(config);
        *node = Node::new(config.clone(), self.now).expect("a set-up that a node can run with");
        *is_down = false;
        self.drain(peer);
    }

    /// Cuts peers off from the others, or brings them back.
    pub(crate) fn cut_off(&mut self, peers: &[usize], is_cut_off: bool) {
        for peer in peers {
            self.peers[*peer].is_cut_off = is_cut_off;
        }
        let is_torn = |(_, end): &(&ConnId, &End)| {
            let owners = (end.owner, self.ends[&end.other].owner);
            let (Some(one), Some(other)) = owners else { return false };
            self.peers[one].is_cut_off != self.peers[other].is_cut_off
        };
        let torn: Vec<_> = self.ends.iter().filter(is_torn).map(|(conn, _)| *conn).collect();
        torn.into_iter().for_each(|conn| self.close(conn, true));
    }

    pub(crate) fn is_open(&self, conn: ConnId) -> bool {
        self.ends.contains_key(&conn)
    }

    pub(crate) fn other_end(&self, conn: ConnId) -> ConnId {
        self.ends[&conn].other
    }

    /// Lists the open connections of a peer.
    pub(crate) fn connections(&self, peer: usize) -> Vec<ConnId> {
        let ends = self.ends.iter().filter(|(_, end)| end.owner == Some(peer));
        ends.map(|(conn, _)| *conn).collect()
    }

    fn work(&mut self, peer: usize, job: Job) {
        let state = &mut self.peers[peer];
        match job.kind() {
            JobKind::Verify { message, secret, .. }
            | JobKind::CheckAccess { message, secret, .. } => {
                for Signed { payload, signature } in core::iter::once(message).chain(secret) {
                    let check = (payload.clone(), signature.clone());
                    *state.checks.entry(check).or_default() += 1;
                }
            }
            JobKind::VerifyBlock { block, .. } => {
                *state.checks.entry((block.clone(), Bytes::new())).or_default() += 1;
            }
            _ => {}
        }
        let completion = match (state.jobs)(job.kind()) {
            Fate::Held => return state.held.push(job),
            Fate::Failed => job.complete(Outcome::Failed("the pool is full".into())),
            Fate::Answered => state.run(job),
        };
        self.enqueue(Duration::ZERO, peer, Event::JobDone(completion));
    }

    /// Answers the jobs that a peer holds back.
    pub(crate) fn answer_held(&mut self, peer: usize) {
        let state = &mut self.peers[peer];
        for job in core::mem::take(&mut state.held) {
            let completion = self.peers[peer].run(job);
            self.enqueue(Duration::ZERO, peer, Event::JobDone(completion));
        }
    }

    pub(crate) fn enqueue(&mut self, after: Duration, peer: usize, event: Event) {
        self.enqueued += 1;
        self.queue.insert((self.now + after, self.enqueued), (peer, event));
    }

    fn listener(&self, endpoint: &Endpoint) -> Option<usize> {
        self.peers.iter().position(|peer| {
            let config = &peer.config;
            let is_it =
                config.endpoint == *endpoint || config.external_endpoint.as_ref() == Some(endpoint);
            is_it && !peer.is_down
        })
    }
}

impl Peer {
    pub(crate) fn run(&mut self, job: Job) -> crate::Completion {
        match job.kind() {
            JobKind::Commit { channel, number, block } => {
                self.ledger.push((channel.clone(), *number, block.clone()));
            }
            JobKind::ReadBlocks { channel, first, last, bytes_max: _ } => {
                let range = *first..=*last;
                let is_wanted = |(of, number, _): &&(ChannelId, u64, Bytes)| {
                    of == channel && range.contains(number)
                };
                let wanted = self.ledger.iter().filter(is_wanted);
                let blocks = wanted.map(|(_, number, block)| (*number, block.clone())).collect();
                return job.complete(Outcome::Blocks(blocks));
            }
            _ => {}
        }
        job.run(&self.backend, &self.backend)
    }

    /// Lists the peers that it holds alive.
    pub(crate) fn members(&self) -> BTreeSet<PkiId> {
        self.node.members().into_iter().map(|member| member.pki_id).collect()
    }

    /// Lists the peers that it knows in a channel.
    pub(crate) fn channel_peers(&self, channel: &str) -> BTreeSet<PkiId> {
        let peers = self.node.channel_peers(&ChannelId::from(channel)).unwrap_or_default();
        peers.into_iter().map(|peer| peer.member.pki_id).collect()
    }

    /// Lists the numbers of the blocks in its ledger, in the order in which they got there.
    pub(crate) fn blocks(&self) -> Vec<u64> {
        self.ledger.iter().map(|(_, number, _)| *number).collect()
    }

    pub(crate) fn has_noticed(&self, mut is_it: impl FnMut(&Notice) -> bool) -> bool {
        self.notices.iter().any(|(_, notice)| is_it(notice))
    }
}

/// Cryptography that costs nothing and is honest: a signature is the hash of signer and payload.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    pub(crate) identity: Identity,
    pub(crate) expiries: BTreeMap<Bytes, UnixTime>,
    pub(crate) revoked: BTreeSet<Bytes>,
    /// Who may not read any channel.
    pub(crate) no_readers: BTreeSet<Bytes>,
}

impl Backend {
    fn new(identity: Identity) -> Self {
        Self {
            identity,
            expiries: BTreeMap::new(),
            revoked: BTreeSet::new(),
            no_readers: BTreeSet::new(),
        }
    }
}

/// Signs like the peer whose identity this is.
pub(crate) fn sign(identity: &Identity, payload: &[u8]) -> Bytes {
    let hash = Sha256::new().chain_update(identity.as_bytes()).chain_update(payload);
    Bytes::copy_from_slice(&hash.finalize())
}

impl Crypto for Backend {
    fn sign(&self, payload: &[u8]) -> Result<Bytes, JobError> {
        Ok(sign(&self.identity, payload))
    }

    fn verify(&self, identity: &Identity, message: &Signed) -> Result<(), JobError> {
        match sign(identity, &message.payload) == message.signature {
            true => Ok(()),
            false => Err(JobError::rejected("another signer")),
        }
    }

    fn validate_identity(&self, identity: &Identity) -> Result<IdentityFacts, JobError> {
        let bytes = identity.as_bytes();
        let zero = bytes.iter().position(|byte| *byte == 0);
        let Some(zero) = zero.filter(|_| !self.revoked.contains(bytes)) else {
            return Err(JobError::rejected("not an identity, or revoked"));
        };
        Ok(IdentityFacts {
            pki_id: PkiId::new(Sha256::digest(bytes).into()),
            org: OrgId::new(bytes.slice(..zero)),
            expires_at: self.expiries.get(bytes).copied(),
        })
    }

    fn check_access(&self, _: &ChannelId, id: &Identity, message: &Signed) -> Result<(), JobError> {
        match self.no_readers.contains(id.as_bytes()) {
            true => Err(JobError::rejected("not a reader")),
            false => self.verify(id, message),
        }
    }

    fn verify_block(
        &self,
        channel: &ChannelId,
        number: u64,
        bytes: &Bytes,
    ) -> Result<(), JobError> {
        let channel = core::str::from_utf8(channel.as_bytes()).unwrap_or_default();
        match bytes.starts_with(&block(channel, number, "honest")) {
            true => Ok(()),
            false => Err(JobError::rejected("the orderers did not sign this")),
        }
    }
}

impl Ledger for Backend {
    fn commit(&self, _: &ChannelId, _: u64, _: &Bytes) -> Result<(), JobError> {
        Ok(())
    }
}

pub(crate) fn block(channel: &str, number: u64, body: &str) -> Bytes {
    format!("{channel} {number} {body}").into_bytes().into()
}

pub(crate) fn identity(org: &str, name: &str) -> Identity {
    Identity::new(format!("{org}\0{name}").into_bytes())
}

pub(crate) fn pki(org: &str, name: &str) -> PkiId {
    PkiId::new(Sha256::digest(identity(org, name).as_bytes()).into())
}

/// Where a peer's own organisation reaches it.
pub(crate) fn at(org: &str, name: &str) -> Endpoint {
    format!("{name}.{org}:7051").into()
}

/// Where others reach it.
pub(crate) fn outside(org: &str, name: &str) -> Endpoint {
    format!("{name}.{org}.example.com:443").into()
}

/// The hash of a peer's TLS client or server certificate.
pub(crate) fn tls_of(pki_id: &PkiId, is_client: bool) -> [u8; 32] {
    Sha256::new().chain_update(pki_id.as_bytes()).chain_update([is_client.into()]).finalize().into()
}

/// The hash of the TLS certificate that is shown at an endpoint without a node.
pub(crate) fn tls_at(endpoint: &Endpoint) -> [u8; 32] {
    Sha256::digest(endpoint.as_str()).into()
}
