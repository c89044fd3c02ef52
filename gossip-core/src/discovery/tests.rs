//! Membership rules, as far as they are decided here; docs/protocol/30-discovery.md §21.

mod contacts;
mod decline;
mod exchange;
mod network;
mod own;
mod pace;
mod peers;

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    format,
    string::String,
    sync::Arc,
    vec,
    vec::Vec,
};
use core::time::Duration;

use bytes::Bytes;
use gossip_proto::gossip::{Envelope, GossipMessage, SecretEnvelope, gossip_message::Content};
use prost::Message as _;

use crate::{
    Action, CloseReason, Config, Endpoint, Fault, Identity, IdentityFacts, Instant, Notice, OrgId,
    PkiId, Stamp, Stats, UnixTime, cx,
    identity::Identities,
    node::Verified,
    rng::Rng,
    wire::{self, Alive, NewAlive, secret_payload},
};

use super::{Claimed, Discovery, Effect, Peer, Timer};

const SECOND: Duration = Duration::from_secs(1);

/// One discovery in a world that signs at once, keeps its timers and takes down its effects.
struct World {
    config: Config,
    identities: Identities,
    rng: Rng,
    stats: Stats,
    now: Instant,
    timers: BTreeMap<Timer, Instant>,
    discovery: Discovery,
    /// What was wanted, without timers and what was answered already.
    actions: VecDeque<Action>,
    log: Vec<(Instant, Effect)>,
    /// Whether signatures are made at once, made later, or fail.
    signer: Signer,
    signs: u64,
    unsigned: Vec<Effect>,
}

#[derive(Clone, Copy, PartialEq)]
enum Signer {
    Works,
    Waits,
    Fails,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// We are peer 0 of `org-a`; peers 1 to 19 are of `org-a`, 20 to 39 of `org-b`, 40 to 59 of
    /// `org-c`, others unknown.
    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut world = Self::of(0, change);
        world.start();
        world
    }

    /// The same as seen by another peer, before it starts.
    fn of(own: u8, change: impl FnOnce(&mut Config)) -> Self {
        let identity = Identity::new(Bytes::from(format!("identity of {own}")));
        let endpoint = Endpoint::from(said(own).internal.unwrap());
        let mut config = Config::new(identity, pki(own), org(own), endpoint);
        config.rng_seed = [own; 32];
        config.external_endpoint = Endpoint::from_wire(&said(own).external);
        config.wall_clock = UnixTime::from_secs(1_000_000);
        change(&mut config);
        let now = Instant::from_nanos(5);
        let mut identities = Identities::new(&config, now);
        for id in 0..60 {
            let facts = IdentityFacts { pki_id: pki(id), org: org(id), expires_at: None };
            let identity = Identity::new(Bytes::from(format!("identity of {id}")));
            identities.insert(&identity, facts, now, config.wall_clock).unwrap();
        }
        Self {
            rng: Rng::fork(&config.rng_seed, "discovery"),
            discovery: Discovery::new(&config, now, config.wall_clock),
            config,
            identities,
            stats: Stats::default(),
            now,
            timers: BTreeMap::new(),
            actions: VecDeque::new(),
            log: Vec::new(),
            signer: Signer::Works,
            signs: 0,
            unsigned: Vec::new(),
        }
    }

    fn start(&mut self) {
        self.act(|discovery, cx| discovery.start(cx));
    }

    fn act<R>(&mut self, f: impl FnOnce(&mut Discovery, &mut cx::Cx<'_, Effect>) -> R) -> R {
        let mut effects = Vec::new();
        let mut cx = cx::Cx {
            now: self.now,
            wall: self.config.wall_clock,
            config: &self.config,
            identities: &self.identities,
            rng: &mut self.rng,
            stats: &mut self.stats,
            actions: &mut self.actions,
            effects: &mut effects,
        };
        let result = f(&mut self.discovery, &mut cx);
        effects.into_iter().for_each(|effect| self.take(effect));
        result
    }

    fn take(&mut self, effect: Effect) {
        match effect {
            Effect::SetTimer { timer, at } => {
                self.timers.insert(timer, at.max(self.now + Duration::from_nanos(1)));
            }
            Effect::CancelTimer(timer) => {
                self.timers.remove(&timer);
            }
            Effect::SignAlive { .. } | Effect::SignSecret { .. } => {
                self.signs += 1;
                self.unsigned.push(effect);
                if self.signer != Signer::Waits {
                    self.sign();
                }
            }
            effect => self.log.push((self.now, effect)),
        }
    }

    /// Answers all that waits for a signature.
    fn sign(&mut self) {
        for effect in core::mem::take(&mut self.unsigned) {
            let works = self.signer != Signer::Fails;
            let signature = works.then(|| Bytes::from_static(b"signature of 0"));
            match effect {
                Effect::SignAlive { payload } => {
                    self.act(|discovery, cx| discovery.on_alive_signed(payload, signature, cx));
                }
                Effect::SignSecret { payload } => {
                    self.act(|discovery, cx| discovery.on_secret_signed(payload, signature, cx));
                }
                other => panic!("{other:?} needs no signature"),
            }
        }
    }

    /// Lets time pass, with all that is due.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((at, timer)) = self.next_timer().filter(|(at, _)| *at <= end) {
            self.now = at;
            self.timers.remove(&timer);
            self.act(|discovery, cx| discovery.on_timer(timer, cx));
        }
        self.now = end;
    }

    fn next_timer(&self) -> Option<(Instant, Timer)> {
        self.timers.iter().map(|(timer, at)| (*at, *timer)).min()
    }

    /// Takes down and forgets what was wanted.
    fn drain(&mut self) -> Vec<Effect> {
        self.log.drain(..).map(|(_, effect)| effect).collect()
    }

    fn push(&mut self, alive: Alive) {
        self.push_from(alive, &[9]);
    }

    fn push_from(&mut self, alive: Alive, sources: &[u8]) {
        let sources = sources.iter().map(|id| pki(*id)).collect();
        let alive = Verified::for_test(Arc::new(alive));
        self.act(|discovery, cx| discovery.on_alive(alive, sources, cx));
    }

    fn request(&mut self, alive: Alive, nonce: u64) {
        let alive = Verified::for_test(Arc::new(alive));
        self.act(|discovery, cx| discovery.on_membership_request(alive, nonce, cx));
    }

    fn response_alive(&mut self, alive: Alive) {
        let alive = Verified::for_test(Arc::new(alive));
        self.act(|discovery, cx| discovery.on_response_alive(alive, cx));
    }

    fn response_dead(&mut self, alive: Alive) {
        let alive = Verified::for_test(Arc::new(alive));
        self.act(|discovery, cx| discovery.on_response_dead(alive, cx));
    }

    fn is_alive(&self, id: u8) -> bool {
        self.discovery.peer(&pki(id)).is_some_and(Peer::is_alive)
    }

    fn is_dead(&self, id: u8) -> bool {
        self.discovery.peer(&pki(id)).is_some_and(|peer| !peer.is_alive())
    }

    /// Learns of peers in the way that disturbs least: all alive, none pushed.
    fn learn(&mut self, ids: impl IntoIterator<Item = u8>) {
        ids.into_iter().for_each(|id| self.response_alive(said(id).by(1)));
    }

    /// The messages sent since they were last drained.
    fn sent(&mut self) -> Vec<Sent> {
        let sent = self.drain().into_iter().filter_map(|effect| match effect {
            Effect::Send { to, endpoint, frame } => Some(Sent::read(to, endpoint, &frame)),
            _ => None,
        });
        sent.collect()
    }

    /// Our own messages that were gossiped since they were last drained.
    fn gossiped(&mut self) -> Vec<Alive> {
        let gossiped = self.drain().into_iter().filter_map(|effect| match effect {
            Effect::Gossip(alive) => Some((*alive).clone()),
            _ => None,
        });
        gossiped.collect()
    }
}

/// A message to one peer, decoded.
#[derive(Debug)]
struct Sent {
    to: PkiId,
    endpoint: Option<Endpoint>,
    frame: Bytes,
    envelope: Envelope,
    message: GossipMessage,
}

impl Sent {
    fn read(to: PkiId, endpoint: Option<Endpoint>, frame: &Bytes) -> Self {
        let envelope = Envelope::decode(frame.clone()).unwrap();
        let message = wire::open(&envelope).unwrap();
        Self { to, endpoint, frame: frame.clone(), envelope, message }
    }

    /// The self-information of a request.
    fn request(&self) -> Alive {
        let Some(Content::MemReq(request)) = &self.message.content else {
            panic!("{self:?} is no request");
        };
        assert!(request.known.is_empty(), "D-38, W-40");
        Alive::parse_nested(request.self_information.clone().unwrap(), usize::MAX).unwrap()
    }

    /// The living and the dead of a response.
    fn response(&self) -> (Vec<Alive>, Vec<Alive>) {
        let Some(Content::MemRes(response)) = &self.message.content else {
            panic!("{self:?} is no response");
        };
        let parse = |envelopes: &[Envelope]| -> Vec<Alive> {
            let parse = |envelope: &Envelope| Alive::parse_nested(envelope.clone(), usize::MAX);
            envelopes.iter().map(|envelope| parse(envelope).unwrap()).collect()
        };
        (parse(&response.alive), parse(&response.dead))
    }
}

fn pki(id: u8) -> PkiId {
    PkiId::new([id; 32])
}

fn org(id: u8) -> OrgId {
    match id {
        0..20 => "org-a".into(),
        20..40 => "org-b".into(),
        _ => "org-c".into(),
    }
}

/// What a peer says about itself. It has both endpoints unless told otherwise.
#[derive(Clone)]
struct Said {
    id: u8,
    incarnation: u64,
    external: String,
    internal: Option<String>,
    metadata: &'static [u8],
}

fn said(id: u8) -> Said {
    Said {
        id,
        incarnation: 1,
        external: format!("peer{id}.example:7051"),
        internal: Some(format!("peer{id}:7051")),
        metadata: b"",
    }
}

impl Said {
    fn incarnation(mut self, incarnation: u64) -> Self {
        self.incarnation = incarnation;
        self
    }

    fn external(mut self, endpoint: &str) -> Self {
        self.external = endpoint.into();
        self
    }

    fn internal(mut self, endpoint: &str) -> Self {
        self.internal = Some(endpoint.into());
        self
    }

    fn without_secret(mut self) -> Self {
        self.internal = None;
        self
    }

    fn metadata(mut self, metadata: &'static [u8]) -> Self {
        self.metadata = metadata;
        self
    }

    /// The message with this sequence number.
    fn by(self, sequence: u64) -> Alive {
        let payload = NewAlive {
            pki_id: pki(self.id),
            stamp: Stamp { incarnation: self.incarnation, sequence },
            endpoint: Endpoint::from_wire(&self.external).as_ref(),
            metadata: &Bytes::from_static(self.metadata),
            identity: None,
            extensions: 0,
        }
        .payload();
        let secret = |endpoint: String| SecretEnvelope {
            payload: secret_payload(&endpoint.into()),
            signature: Bytes::from_static(b"signature of the secret"),
        };
        let envelope = Envelope {
            payload,
            signature: Bytes::from(format!("signature of {}", self.id)),
            secret_envelope: self.internal.map(secret),
        };
        Alive::parse_nested(envelope, usize::MAX).unwrap()
    }
}

fn ids(messages: &[Alive]) -> Vec<u8> {
    messages.iter().map(|alive| alive.pki_id.as_bytes()[0]).collect()
}
