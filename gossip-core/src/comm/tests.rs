//! What waits to be sent, and how much the driver is given; docs/protocol/20-comm-and-identity.md.
//!
//! Handshakes and crossing dials are tested with whole nodes, in `node`.

use alloc::{collections::VecDeque, format, vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use crate::{
    Action, CloseReason, Config, ConnId, Identity, IdentityFacts, Instant, Limits, OrgId, PkiId,
    Stats, UnixTime, cx, identity::Identities, rng::Rng,
};

use super::{
    Comm, Effect, Frame, Lane, Topic,
    lanes::{Lanes, Pushed},
};

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn frame(text: &str) -> Frame {
    Frame::new(bytes(text))
}

fn drain(lanes: &mut Lanes) -> Vec<Bytes> {
    core::iter::from_fn(|| lanes.pop()).collect()
}

fn sent(texts: &[&str]) -> Vec<Bytes> {
    texts.iter().map(|text| bytes(text)).collect()
}

#[test]
fn control_goes_first_then_replies_and_gossip_take_turns() {
    let (mut lanes, limits) = (Lanes::default(), Limits::default());
    for (lane, text) in [
        (Lane::Gossip, "g1"),
        (Lane::Gossip, "g2"),
        (Lane::Reply, "r1"),
        (Lane::Reply, "r2"),
        (Lane::Reply, "r3"),
        (Lane::Control, "c1"),
    ] {
        assert_eq!(lanes.push(lane, frame(text), &limits), Pushed::Queued);
    }
    assert_eq!(lanes.len(), 6);
    assert_eq!(drain(&mut lanes), sent(&["c1", "r1", "g1", "r2", "g2", "r3"]));
    assert!(lanes.is_empty());
}

#[test]
fn newer_news_takes_the_place_of_older_news_on_the_same_topic() {
    let (mut lanes, limits) = (Lanes::default(), Limits::default());
    let alive = |peer, text| Frame::about(Topic::Alive(PkiId::new([peer; 32])), bytes(text));
    let info = |mac, text| Frame::about(Topic::StateInfo([mac; 32]), bytes(text));
    let mut push = |frame| lanes.push(Lane::Gossip, frame, &limits);
    assert_eq!(push(alive(1, "a1")), Pushed::Queued);
    assert_eq!(push(info(1, "i1")), Pushed::Queued);
    assert_eq!(push(alive(2, "a2")), Pushed::Queued);
    assert_eq!(push(frame("block")), Pushed::Queued);
    assert_eq!(push(frame("block")), Pushed::Queued, "no topic, no replacement");
    assert_eq!(push(alive(1, "newer a1")), Pushed::Displaced(1));
    assert_eq!(push(info(1, "newer i1")), Pushed::Displaced(1));
    assert_eq!(drain(&mut lanes), sent(&["newer a1", "newer i1", "a2", "block", "block"]));
}

#[test]
fn a_full_gossip_lane_drops_its_oldest() {
    let mut lanes = Lanes::default();
    let limits = Limits { gossip_frames_max: 3, gossip_bytes_max: 10, ..Limits::default() };
    let mut push = |text| lanes.push(Lane::Gossip, frame(text), &limits);
    assert_eq!(["1", "2", "3", "4"].map(&mut push)[3], Pushed::Displaced(1));
    assert_eq!(push("123456789"), Pushed::Displaced(2), "by count and by bytes");
    assert_eq!(push("much more than fits"), Pushed::Displaced(2));
    assert_eq!(drain(&mut lanes), sent(&["much more than fits"]), "one always fits");
}

#[test]
fn newer_news_that_is_longer_keeps_the_bounds() {
    let mut lanes = Lanes::default();
    let limits = Limits { gossip_bytes_max: 10, ..Limits::default() };
    let about = |byte, text: &'static str| {
        let bytes = Bytes::from_static(text.as_bytes());
        Frame::about(Topic::Alive(PkiId::new([byte; 32])), bytes)
    };
    for byte in 0..5 {
        lanes.push(Lane::Gossip, about(byte, "12"), &limits);
    }
    let longer = about(4, "much longer");
    assert_eq!(lanes.push(Lane::Gossip, longer, &limits), Pushed::Displaced(5));
    assert_eq!(drain(&mut lanes), sent(&["much longer"]));
}

#[test]
fn a_full_reply_lane_drops_the_newest() {
    let mut lanes = Lanes::default();
    let limits = Limits { reply_frames_max: 2, reply_bytes_max: 5, ..Limits::default() };
    let mut push = |text| lanes.push(Lane::Reply, frame(text), &limits);
    assert_eq!(["1", "2", "3"].map(&mut push), [Pushed::Queued, Pushed::Queued, Pushed::Dropped]);
    assert_eq!(drain(&mut lanes), sent(&["1", "2"]));
    let mut push = |text| lanes.push(Lane::Reply, frame(text), &limits);
    assert_eq!(["123456", "7"].map(&mut push), [Pushed::Queued, Pushed::Dropped]);
}

#[test]
fn a_full_control_lane_is_an_overflow() {
    let mut lanes = Lanes::default();
    let limits = Limits { control_frames_max: 2, control_bytes_max: 10, ..Limits::default() };
    let mut push = |text| lanes.push(Lane::Control, frame(text), &limits);
    assert_eq!(["1", "2", "3"].map(&mut push), [Pushed::Queued, Pushed::Queued, Pushed::Overflow]);
    assert_eq!(drain(&mut lanes).len(), 2);
    let mut push = |text| lanes.push(Lane::Control, frame(text), &limits);
    assert_eq!(["more than ten", "2"].map(&mut push), [Pushed::Queued, Pushed::Overflow]);
}

#[test]
fn what_waits_for_an_old_identity_goes_behind_what_waits_for_the_new() {
    let (mut old, mut new) = (Lanes::default(), Lanes::default());
    let limits = Limits { gossip_frames_max: 2, ..Limits::default() };
    new.push(Lane::Gossip, frame("new"), &limits);
    old.push(Lane::Gossip, frame("old"), &limits);
    old.push(Lane::Control, frame("old c"), &limits);
    new.append(old, &limits);
    assert_eq!(drain(&mut new), sent(&["old c", "new", "old"]));
}

/// Comm with one authenticated connection, whose effects are taken down.
struct World {
    config: Config,
    identities: Identities,
    comm: Comm,
    actions: VecDeque<Action>,
    effects: Vec<Effect>,
    stats: Stats,
}

const CONN: ConnId = ConnId::new(1);

fn peer() -> PkiId {
    PkiId::new([1; 32])
}

impl World {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let (own, org) = (PkiId::new([0; 32]), OrgId::from("org"));
        let mut config = Config::new(Identity::new("own"), own, org.clone(), "own:7051".into());
        config.tls = false;
        change(&mut config);
        let mut identities = Identities::new(&config, Instant::ZERO);
        let facts = IdentityFacts { pki_id: peer(), org, expires_at: None };
        let known = Identity::new("peer");
        identities.insert(&known, facts, Instant::ZERO, UnixTime::default()).expect("room");
        let (comm, effects, stats) = (Comm::default(), Vec::new(), Stats::default());
        let mut world = Self { config, identities, comm, actions: VecDeque::new(), effects, stats };
        world.connect();
        world
    }

    fn act<R>(&mut self, f: impl FnOnce(&mut Comm, &mut cx::Cx<'_, Effect>) -> R) -> R {
        let mut cx = cx::Cx {
            now: Instant::ZERO,
            wall: UnixTime::default(),
            config: &self.config,
            identities: &self.identities,
            rng: &mut Rng::fork(&[0; 32], "test"),
            stats: &mut self.stats,
            actions: &mut self.actions,
            effects: &mut self.effects,
        };
        f(&mut self.comm, &mut cx)
    }

    fn connect(&mut self) {
        use gossip_proto::gossip::Envelope;
        use prost::Message as _;
        self.act(|comm, cx| comm.on_connected(CONN, None, "remote".into(), None, cx));
        let Some(Effect::SignOwn { key, payload }) = self.effects.pop() else {
            panic!("our connection message is to be signed")
        };
        self.act(|comm, cx| comm.on_own_signed(key, payload, Some("s".into()), cx));
        let payload = crate::wire::conn_establish(&peer(), &Identity::new("peer"), None, false);
        let envelope = Envelope { payload, signature: "s".into(), secret_envelope: None };
        let frame: Bytes = envelope.encode_to_vec().into();
        self.act(|comm, cx| comm.on_handshake_frame(CONN, frame, cx));
        self.act(|comm, cx| comm.on_signature(CONN, Ok(()), cx));
        self.act(|comm, cx| comm.on_sent(CONN, 1, cx));
        self.forget();
    }

    /// Forgets what was wanted so far.
    fn forget(&mut self) {
        self.effects.clear();
        self.actions.clear();
    }

    fn send(&mut self, lane: Lane, text: &str) {
        let frame = frame(text);
        self.act(|comm, cx| comm.send(peer(), None, lane, frame, cx));
    }

    /// Takes the frames that the driver was given.
    fn written(&mut self) -> Vec<Bytes> {
        let frame = |action| match action {
            Action::Send { frame, .. } => Some(frame),
            _ => None,
        };
        core::mem::take(&mut self.actions).into_iter().filter_map(frame).collect()
    }
}

#[test]
fn the_driver_holds_so_many_frames_and_gets_more_as_it_writes_them() {
    let mut world = World::new(|config| config.limits.frames_in_flight_max = 3);
    for text in ["1", "2", "3", "4", "5"] {
        world.send(Lane::Gossip, text);
    }
    assert_eq!(world.written(), sent(&["1", "2", "3"]));
    world.act(|comm, cx| comm.on_sent(CONN, 1, cx));
    assert_eq!(world.written(), sent(&["4"]));
    world.send(Lane::Control, "first");
    world.act(|comm, cx| comm.on_sent(CONN, 3, cx));
    assert_eq!(world.written(), sent(&["first", "5"]), "what matters overtakes what waits");
    world.act(|comm, cx| comm.on_sent(CONN, u32::MAX, cx));
    assert_eq!(world.stats.messages_dropped, 0);
}

#[test]
fn the_driver_holds_so_many_bytes_but_for_one_frame() {
    let mut world = World::new(|config| config.limits.bytes_in_flight_max = 10);
    for text in ["much more than ten", "2", "3"] {
        world.send(Lane::Gossip, text);
    }
    assert_eq!(world.written().len(), 1);
    world.act(|comm, cx| comm.on_sent(CONN, 1, cx));
    assert_eq!(world.written(), sent(&["2", "3"]));
}

/// C-24, O-24: no send waits, and a peer that does not read is not dead.
#[test]
fn a_peer_that_does_not_read_loses_old_news() {
    let mut world = World::new(|config| {
        config.limits.frames_in_flight_max = 1;
        config.limits.gossip_frames_max = 5;
    });
    for number in 0..100 {
        world.send(Lane::Gossip, &format!("{number}"));
    }
    assert_eq!(world.stats.messages_dropped, 100 - 1 - 5);
    assert_eq!(world.written(), sent(&["0"]));
    world.act(|comm, cx| comm.on_sent(CONN, 1, cx));
    assert_eq!(world.written(), sent(&["95"]));
}

#[test]
fn a_peer_that_does_not_read_what_it_must_not_miss_is_let_go() {
    let mut world = World::new(|config| {
        config.limits.frames_in_flight_max = 1;
        config.limits.control_frames_max = 5;
    });
    for _ in 0..7 {
        world.send(Lane::Control, "control");
    }
    let is_close = |action: &&Action| {
        matches!(action, Action::Close { conn: CONN, reason: CloseReason::Overflow })
    };
    assert_eq!(world.actions.iter().filter(is_close).count(), 1);
    assert_eq!(world.comm.open_connections(), 0);
    assert_eq!(world.stats.messages_dropped, 6);
}

/// C-27.
#[test]
fn closing_a_connection_is_not_reported_as_a_death() {
    let mut world = World::new(|_| {});
    world.act(|comm, cx| comm.close_peer(&peer(), CloseReason::PeerDead, cx));
    world.act(|comm, cx| comm.on_disconnected(CONN, true, cx));
    let is_death = |effect: &Effect| matches!(effect, Effect::PresumedDead { .. });
    assert!(!world.effects.iter().any(is_death));
    let closed = world
        .effects
        .iter()
        .any(|effect| matches!(effect, Effect::Closed { reason: Some(CloseReason::PeerDead), .. }));
    assert!(closed);
}

/// C-26: exactly the peer that was written to.
#[test]
fn a_failed_write_is_reported_as_a_death_and_nothing_is_dialled() {
    let mut world = World::new(|config| config.limits.frames_in_flight_max = 1);
    let (lane, endpoint) = (Lane::Gossip, Some("peer:7051".into()));
    world.act(|comm, cx| comm.send(peer(), endpoint, lane, frame("1"), cx));
    world.send(lane, "2");
    world.forget();
    world.act(|comm, cx| comm.on_disconnected(CONN, true, cx));
    let deaths = world.effects.iter().filter_map(|effect| match effect {
        Effect::PresumedDead { pki_id } => Some(*pki_id),
        _ => None,
    });
    assert_eq!(deaths.collect::<Vec<_>>(), vec![peer()]);
    assert!(!world.actions.iter().any(|action| matches!(action, Action::Dial { .. })));
}

/// C-23: what is sent while a dial is under way waits for it; C7.e: without a word about death.
#[test]
fn what_waits_when_the_remote_closes_goes_out_on_a_new_connection() {
    let mut world = World::new(|config| config.limits.frames_in_flight_max = 1);
    let (lane, endpoint) = (Lane::Gossip, Some("peer:7051".into()));
    world.act(|comm, cx| comm.send(peer(), endpoint, lane, frame("1"), cx));
    world.send(lane, "2");
    world.forget();
    world.act(|comm, cx| comm.on_disconnected(CONN, false, cx));
    world.send(lane, "3");
    let dials = world.actions.iter().filter(|action| matches!(action, Action::Dial { .. }));
    assert_eq!(dials.count(), 1);
    let is_death = |effect: &Effect| matches!(effect, Effect::PresumedDead { .. });
    assert!(!world.effects.iter().any(is_death));
}

/// C-53.
#[test]
fn after_the_stop_nothing_is_accepted_sent_or_dialled() {
    let mut world = World::new(|_| {});
    world.act(|comm, cx| comm.stop(cx));
    world.act(|comm, cx| comm.on_disconnected(CONN, false, cx));
    world.forget();
    let endpoint = Some("peer:7051".into());
    world.act(|comm, cx| comm.send(peer(), endpoint, Lane::Control, frame("1"), cx));
    world.act(|comm, cx| comm.ping(peer(), "peer:7051".into(), cx));
    assert!(world.effects.is_empty(), "{:?}", world.effects);
    assert!(world.actions.is_empty(), "{:?}", world.actions);
    let conn = ConnId::new(2);
    world.act(|comm, cx| comm.on_connected(conn, None, "remote".into(), None, cx));
    let Some(Action::Close { reason, .. }) = world.actions.pop_front() else {
        panic!("the new connection is to be closed")
    };
    assert_eq!(reason, CloseReason::Stopping);
    assert!(world.actions.is_empty(), "{:?}", world.actions);
}

/// A peer that cannot be reached rests for longer each time, up to the reconnect interval.
#[test]
fn the_pause_between_dials_doubles() {
    let pause = |failures| super::links::backoff(failures, Duration::from_secs(25));
    assert_eq!([1, 2, 3].map(pause), [200, 400, 800].map(Duration::from_millis));
    assert_eq!([8, 9, u32::MAX].map(pause), [25_000; 3].map(Duration::from_millis));
}
