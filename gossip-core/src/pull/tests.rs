//! The engine alone; the items are those of docs/protocol/50-pull-and-stores.md §13 and
//! 40-emitter-and-node.md §15.

mod asking;
mod hurry;
mod serving;

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec,
    vec::Vec,
};
use core::time::Duration;

use bytes::Bytes;
use gossip_proto::gossip::{Envelope, GossipMessage, gossip_message::Content};
use prost::Message as _;

use crate::{
    ChannelId, Config, ConnId, Endpoint, Fault, Identity, Instant, OrgId, PkiId, Stats, UnixTime,
    cx, identity::Identities, rng::Rng, wire,
};

use super::{Arrival, Effect, Engine, Family, Timer, distinct};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// One engine in a world of five peers, 1 to 5, that keeps its timers.
struct World {
    config: Config,
    identities: Identities,
    rng: Rng,
    stats: Stats,
    now: Instant,
    timers: BTreeMap<Timer, Instant>,
    engine: Engine,
    /// Whom a periodic round asks.
    peers: Vec<u8>,
    /// What was sent, to whom and when.
    sent: Vec<(Duration, u8, Said)>,
}

/// A message without its family.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Said {
    Hello(u64),
    Digest(u64, Vec<Bytes>),
    Request(u64, Vec<Bytes>),
    Update(u64, Vec<Bytes>),
}

impl World {
    fn new() -> Self {
        Self::with(Family::identities(), |_| {})
    }

    fn with(family: Family, change: impl FnOnce(&mut Config)) -> Self {
        let identity = Identity::new(&b"own"[..]);
        let endpoint = Endpoint::from("own:7051");
        let mut config = Config::new(identity, pki(0), OrgId::from("org"), endpoint);
        change(&mut config);
        let mut world = Self {
            identities: Identities::new(&config, Instant::ZERO),
            config,
            rng: Rng::fork(&[1; 32], "pull"),
            stats: Stats::default(),
            now: Instant::ZERO,
            timers: BTreeMap::new(),
            engine: Engine::new(family),
            peers: vec![1, 2, 3],
            sent: Vec::new(),
        };
        world.call(|engine, cx| engine.start(cx));
        world
    }

    fn call<R>(&mut self, f: impl FnOnce(&mut Engine, &mut cx::Cx<'_, Effect>) -> R) -> R {
        let mut effects = Vec::new();
        let result = f(
            &mut self.engine,
            &mut cx::Cx {
                now: self.now,
                wall: UnixTime::default(),
                config: &self.config,
                identities: &self.identities,
                rng: &mut self.rng,
                stats: &mut self.stats,
                actions: &mut VecDeque::new(),
                effects: &mut effects,
            },
        );
        for effect in effects {
            let (to, frame) = match effect {
                Effect::SetTimer { timer, at } => {
                    self.timers.insert(timer, at);
                    continue;
                }
                Effect::Send { to, frame } => (to.as_bytes()[0], frame),
                Effect::Reply { conn, frame } => (u8::try_from(conn.get()).unwrap(), frame),
            };
            self.sent.push((self.now - Instant::ZERO, to, read(&frame)));
        }
        result
    }

    /// Runs until a moment after the start.
    fn run_to(&mut self, until: Duration) {
        let until = Instant::ZERO + until;
        while let Some((timer, at)) = self.timers.clone().into_iter().min_by_key(|(_, at)| *at) {
            if at > until {
                break;
            }
            self.timers.remove(&timer);
            self.now = self.now.max(at);
            let count = self.engine.count(&self.config);
            let peers: Vec<_> = self.peers.iter().take(count).map(|peer| pki(*peer)).collect();
            self.call(|engine, cx| match timer {
                Timer::Round => engine.on_round(&peers, cx),
                Timer::Hurry | Timer::Window => engine.on_timer(timer, cx),
            });
        }
        self.now = until;
    }

    fn run_for(&mut self, duration: Duration) {
        self.run_to(self.now - Instant::ZERO + duration);
    }

    /// Begins a round now, and returns the nonce of each peer that is asked.
    fn round(&mut self, peers: &[u8]) -> BTreeMap<u8, u64> {
        self.take();
        let peers: Vec<_> = peers.iter().map(|peer| pki(*peer)).collect();
        self.call(|engine, cx| engine.on_round(&peers, cx));
        self.hellos()
    }

    /// Takes the hellos that were sent.
    fn hellos(&mut self) -> BTreeMap<u8, u64> {
        let hello = |(_, to, said): (_, u8, Said)| match said {
            Said::Hello(nonce) => Some((to, nonce)),
            _ => None,
        };
        self.take().into_iter().filter_map(hello).collect()
    }

    /// Takes the requests that were sent.
    fn requests(&mut self) -> BTreeMap<u8, (u64, Vec<Bytes>)> {
        let request = |(_, to, said): (_, u8, Said)| match said {
            Said::Request(nonce, ids) => Some((to, (nonce, ids))),
            _ => None,
        };
        self.take().into_iter().filter_map(request).collect()
    }

    fn take(&mut self) -> Vec<(Duration, u8, Said)> {
        core::mem::take(&mut self.sent)
    }

    fn digest(&mut self, from: u8, nonce: u64, wanted: &[&'static str]) -> Result<(), Fault> {
        let wanted = ids(wanted);
        self.call(|engine, cx| engine.on_digest(&pki(from), nonce, wanted, cx))
    }

    fn update(&mut self, from: u8, nonce: u64, came: &[&'static str]) -> Arrival {
        let came = ids(came);
        self.call(|engine, cx| engine.on_update(&pki(from), nonce, &came, cx))
    }

    fn hello(&mut self, from: u8, nonce: u64, visible: &[&'static str]) -> Result<(), Fault> {
        let visible = visible.iter().collect();
        self.call(|engine, cx| {
            engine.on_hello(pki(from), nonce, cx)?;
            engine.reveal(ConnId::new(from.into()), nonce, &visible, cx);
            Ok(())
        })
    }

    fn honours(&self, from: u8, nonce: u64) -> bool {
        self.engine.honours(&pki(from), nonce, self.now)
    }
}

fn pki(peer: u8) -> PkiId {
    PkiId::new([peer; 32])
}

fn ids(names: &[&'static str]) -> Vec<Bytes> {
    names.iter().map(|name| Bytes::from(*name)).collect()
}

/// Reads a frame and checks what all of them have in common (P-3, P-5).
fn read(frame: &Bytes) -> Said {
    let envelope = Envelope::decode(frame.clone()).unwrap();
    assert!(envelope.signature.is_empty() && envelope.secret_envelope.is_none());
    let message: GossipMessage = wire::open(&envelope).unwrap();
    assert!(wire::is_legal(&message), "{message:?}");
    assert_eq!(message.nonce, 0);
    match message.content.unwrap() {
        Content::Hello(pull) => {
            assert!(pull.metadata.is_empty(), "W-40");
            Said::Hello(pull.nonce)
        }
        Content::DataDig(pull) => Said::Digest(pull.nonce, pull.digests),
        Content::DataReq(pull) => Said::Request(pull.nonce, pull.digests),
        Content::DataUpdate(pull) => {
            Said::Update(pull.nonce, pull.data.into_iter().map(|item| item.payload).collect())
        }
        other => panic!("{other:?}"),
    }
}
