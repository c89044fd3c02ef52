//! What one message costs in the core: from the frame to what the node wants done, without any
//! cryptography. Allocations are those of the node and of its driver's part of the exchange.
//!
//! `cargo bench -p gossip-core --bench node`

use std::{hint::black_box, time::Duration};

use bytes::Bytes;
use divan::{AllocProfiler, Bencher};
use gossip_core::{
    Action, ChannelConfig, ChannelId, Command, Config, ConnId, Endpoint, Event, Identity,
    IdentityFacts, Instant, JobKind, Node, OrgId, Outcome, PkiId, UnixTime,
};
use gossip_proto::gossip::{
    AliveMessage, ConnEstablish, DataMessage, Envelope, GossipMessage, Member, Payload, PeerTime,
    StateInfo, gossip_message::Content,
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

/// How many peers of our organisation are connected, alive and in the channel: a message must not
/// cost more where there are many.
const PEERS: [u16; 4] = [16, 50, 200, 1000];

fn main() {
    divan::main();
}

/// A new alive message: checked, stored and passed on to three peers.
#[divan::bench(sample_size = 200, args = PEERS)]
fn alive_new(bencher: Bencher<'_, '_>, peers: u16) {
    let mut driver = Driver::new(peers);
    let mut sequence = 1;
    bencher
        .with_inputs(|| {
            sequence += 1;
            alive(1, sequence)
        })
        .bench_local_values(|frame| driver.receive(0, frame));
    assert!(driver.node.stats().forwarded >= sequence - 1);
}

/// A copy of it from another peer.
#[divan::bench(sample_size = 200, args = PEERS)]
fn alive_duplicate(bencher: Bencher<'_, '_>, peers: u16) {
    let mut driver = Driver::new(peers);
    let frame = alive(1, 2);
    driver.receive(0, frame.clone());
    let verifies = driver.node.stats().verifies;
    bencher.bench_local(|| driver.receive(2, frame.clone()));
    assert_eq!(driver.node.stats().verifies, verifies);
}

/// A new StateInfo: checked, stored and passed on to three peers.
#[divan::bench(sample_size = 200, args = PEERS)]
fn state_info_new(bencher: Bencher<'_, '_>, peers: u16) {
    let mut driver = Driver::new(peers);
    let mut sequence = 1;
    bencher
        .with_inputs(|| {
            sequence += 1;
            state_info(1, sequence)
        })
        .bench_local_values(|frame| driver.receive(0, frame));
    assert!(driver.node.stats().forwarded >= sequence - 1);
}

/// A new block of 1 KiB: verified, stored, passed on and committed.
#[divan::bench(sample_size = 200, args = PEERS)]
fn block_new(bencher: Bencher<'_, '_>, peers: u16) {
    let mut driver = Driver::new(peers);
    let mut number = 0;
    bencher
        .with_inputs(|| {
            number += 1;
            block(number)
        })
        .bench_local_values(|frame| driver.receive(0, frame));
    assert_eq!(driver.node.stats().blocks_received, number);
}

/// A copy of it from another peer.
#[divan::bench(sample_size = 200, args = PEERS)]
fn block_duplicate(bencher: Bencher<'_, '_>, peers: u16) {
    let mut driver = Driver::new(peers);
    driver.receive(0, block(1));
    let frame = block(1);
    bencher.bench_local(|| driver.receive(2, frame.clone()));
    assert_eq!(driver.node.stats().blocks_received, 1);
}

/// A node and a driver whose every job holds and whose every frame is written at once.
struct Driver {
    node: Node,
    now: Instant,
}

impl Driver {
    fn new(peers: u16) -> Self {
        let identity = Identity::new("org\0own");
        let (org, endpoint) = (OrgId::from("org"), Endpoint::from("own:7051"));
        let mut config = Config::new(identity.clone(), pki_id(&identity), org.clone(), endpoint);
        config.tls = false;
        config.wall_clock = UnixTime::from_secs(1_700_000_000);
        let now = Instant::ZERO;
        let mut driver = Self { node: Node::new(config, now).expect("a valid set-up"), now };
        let config = ChannelConfig { sequence: 0, orgs: vec![(org, Vec::new())] };
        let channel = ChannelId::from("ch");
        let join = Command::JoinChannel { channel, config, height: Some(1) };
        driver.node.command(now, join).expect("our organisation is in the channel");
        for peer in 0..peers {
            let conn = ConnId::new(peer.into());
            let remote = String::new();
            driver.handle(Event::Connected { conn, dial: None, remote, tls: None });
            driver.receive(peer, introduction(peer));
            driver.receive(peer, alive(peer, 1));
            driver.receive(peer, state_info(peer, 1));
        }
        assert_eq!(driver.node.members().len(), peers.into());
        driver
    }

    fn receive(&mut self, from: u16, frame: Bytes) {
        // Far enough from the one before that it does not wait for company.
        self.now += Duration::from_millis(20);
        self.handle(Event::Message { conn: ConnId::new(from.into()), frame });
    }

    fn handle(&mut self, event: Event) {
        self.node.handle(self.now, event);
        while let Some(action) = self.node.poll_action() {
            let event = match action {
                Action::Job(job) => {
                    let outcome = match job.kind() {
                        JobKind::Sign { .. } => Outcome::Signature(Bytes::from_static(&[7; 70])),
                        JobKind::ValidateIdentity { identity } => {
                            Outcome::Identity(IdentityFacts {
                                pki_id: pki_id(identity),
                                org: OrgId::from("org"),
                                expires_at: None,
                            })
                        }
                        _ => Outcome::Accepted,
                    };
                    Event::JobDone(job.complete(outcome))
                }
                Action::Send { conn, frame } => {
                    black_box(frame);
                    Event::Sent { conn, frames: 1 }
                }
                Action::Dial { .. } | Action::Close { .. } | Action::Notify(_) => continue,
            };
            self.node.handle(self.now, event);
        }
    }
}

fn identity(peer: u16) -> Identity {
    // As long as a certificate.
    Identity::new([&b"org\0"[..], &peer.to_be_bytes(), &[b'a'; 800]].concat())
}

fn pki_id(identity: &Identity) -> PkiId {
    PkiId::new(Sha256::digest(identity.as_bytes()).into())
}

fn introduction(peer: u16) -> Bytes {
    let identity = identity(peer);
    let conn = ConnEstablish {
        pki_id: pki_id(&identity).to_wire(),
        identity: identity.as_bytes().clone(),
        ..ConnEstablish::default()
    };
    signed(1, Content::Conn(conn))
}

fn alive(peer: u16, sequence: u64) -> Bytes {
    let membership = Member {
        endpoint: format!("peer{peer}:7051"),
        pki_id: pki_id(&identity(peer)).to_wire(),
        metadata: Bytes::new(),
    };
    let alive = AliveMessage {
        membership: Some(membership),
        timestamp: Some(PeerTime { inc_num: 1, seq_num: sequence }),
        // It follows trees, as peers of ours do.
        extensions: 1,
        ..AliveMessage::default()
    };
    signed(1, Content::AliveMsg(alive))
}

fn state_info(peer: u16, sequence: u64) -> Bytes {
    let pki_id = pki_id(&identity(peer));
    let mac = Sha256::new().chain_update(pki_id.as_bytes()).chain_update("ch").finalize();
    let info = StateInfo {
        timestamp: Some(PeerTime { inc_num: 1, seq_num: sequence }),
        pki_id: pki_id.to_wire(),
        channel_mac: Bytes::copy_from_slice(&mac),
        properties: None,
    };
    signed(5, Content::StateInfo(info))
}

fn block(number: u64) -> Bytes {
    let data = vec![7; 1024].into();
    let payload = Payload { seq_num: number, data, private_data: Vec::new() };
    let content = Content::DataMsg(DataMessage { payload: Some(payload) });
    let message = GossipMessage { nonce: 0, channel: "ch".into(), tag: 4, content: Some(content) };
    let payload = message.encode_to_vec().into();
    Envelope { payload, ..Envelope::default() }.encode_to_vec().into()
}

fn signed(tag: i32, content: Content) -> Bytes {
    let message = GossipMessage { tag, content: Some(content), ..GossipMessage::default() };
    let payload = message.encode_to_vec().into();
    let signature = Bytes::from_static(&[7; 70]);
    Envelope { payload, signature, secret_envelope: None }.encode_to_vec().into()
}
