//! Both sides dial at the same time: exactly one connection remains, whoever the other is.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use gossip_proto::gossip::gossip_message::Content;

use crate::{CloseReason, Command, DialPurpose, Endpoint, Fault, Notice};

use super::{
    hand::{Hand, frame},
    net::{Net, at},
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn has_seen_death(net: &Net) -> bool {
    let is_death = |notice: &Notice| matches!(notice, Notice::MemberDead { .. });
    net.peers.iter().any(|peer| peer.has_noticed(is_death))
}

/// C-20, C-22: the streams cross at every possible moment.
#[test]
fn two_nodes_that_dial_each_other_keep_the_same_single_connection() {
    let mut crossings = 0;
    for offset in 0..12 {
        for (one, other) in [("a", "b"), ("b", "a")] {
            let mut net = Net::new();
            net.add("org", one, |_| {});
            net.add("org", other, |_| {});
            net.command(0, Command::Connect { endpoint: at("org", other) });
            net.run_for(offset * MS / 2);
            net.command(1, Command::Connect { endpoint: at("org", one) });
            net.run_for(30 * SECOND);
            let connections = [net.connections(0), net.connections(1)];
            assert_eq!(connections.each_ref().map(Vec::len), [1, 1], "{one} {offset}");
            assert_eq!(net.other_end(connections[0][0]), connections[1][0]);
            let streams = net.peers.iter().map(|peer| {
                peer.dials.iter().filter(|(_, _, what)| *what == DialPurpose::Stream).count()
            });
            let streams = streams.sum::<usize>();
            assert!(streams <= 2, "{one} {offset}: one dial each at most");
            crossings += usize::from(streams == 2);
            assert!(!has_seen_death(&net), "{one} {offset}");
            for peer in &net.peers {
                assert_eq!(peer.node.stats().connections, 1);
            }
        }
    }
    assert!(crossings > 5, "{crossings}");
}

/// A remote that deals with connections as Fabric does (20 §8): it keeps the stream that it
/// accepted last, and drops whatever it has when a stream ends that it accepted.
struct Fabric {
    name: &'static str,
    registered: Option<Hand>,
    /// Streams on which the node has not said who it is, and whether the node opened them.
    pending: Vec<(Hand, bool)>,
    accepted: Vec<Hand>,
    sequence: u64,
    dials: u32,
}

impl Fabric {
    fn new(net: &mut Net, name: &'static str) -> Self {
        net.listeners.insert(at("org", name));
        let (pending, accepted) = (Vec::new(), Vec::new());
        Self { name, registered: None, pending, accepted, sequence: 0, dials: 0 }
    }

    /// Sends an alive message, on a new stream if there is none.
    fn beat(&mut self, net: &mut Net) {
        self.sequence += 1;
        self.registered = self.registered.take().filter(|hand| net.is_open(hand.conn));
        let Some(hand) = &self.registered else {
            if self.pending.iter().all(|(_, is_theirs)| *is_theirs) {
                self.dials += 1;
                let hand = net.connect("org", self.name, 0);
                net.send(hand.conn, hand.introduction());
                self.pending.push((hand, false));
            }
            return;
        };
        let mut alive = hand.seal(hand.alive_payload(self.sequence, None, None));
        alive.secret_envelope = Some(hand.secret(at("org", self.name).as_str()));
        net.send(hand.conn, frame(&alive));
    }

    fn step(&mut self, net: &mut Net) {
        while !net.accepted.is_empty() {
            let hand = net.answer("org", self.name);
            self.pending.push((hand, true));
        }
        for (hand, is_theirs) in core::mem::take(&mut self.pending) {
            let first = net.contents(&hand).into_iter().next();
            match first {
                Some(Content::Conn(conn)) if is_theirs => {
                    net.send(hand.conn, hand.introduction());
                    match conn.probe {
                        true => net.close(hand.conn, false),
                        false => self.accept(net, hand),
                    }
                }
                Some(_) if self.registered.is_some() => net.close(hand.conn, false),
                Some(_) => self.registered = Some(hand),
                None if net.is_open(hand.conn) => self.pending.push((hand, is_theirs)),
                None => {}
            }
        }
        let accepted = self.accepted.len();
        self.accepted.retain(|hand| net.is_open(hand.conn));
        if self.accepted.len() < accepted
            && let Some(hand) = self.registered.take()
        {
            net.close(hand.conn, false);
        }
    }

    fn accept(&mut self, net: &mut Net, hand: Hand) {
        if let Some(old) = self.registered.replace(hand.clone()) {
            net.close(old.conn, false);
        }
        self.accepted.push(hand);
    }
}

/// C-20, C-21, C8.2.b, C8.3.a.
#[test]
fn a_node_and_a_fabric_peer_end_up_with_the_same_single_connection() {
    let mut crossings = 0;
    for offset in 0..30 {
        for (node, remote) in [("a", "b"), ("b", "a")] {
            let mut net = Net::new();
            net.latency = 4 * MS;
            let mut fabric = Fabric::new(&mut net, remote);
            net.add("org", node, |config| config.bootstrap = vec![at("org", remote)]);
            for ms in 0..60_000 {
                if ms % 5000 == offset {
                    fabric.beat(&mut net);
                }
                net.run_for(MS);
                fabric.step(&mut net);
            }
            let registered = fabric.registered.as_ref().map(|hand| hand.theirs);
            assert_eq!(net.connections(0), Vec::from_iter(registered), "{node} {offset}");
            assert!(registered.is_some(), "{node} {offset}");
            assert!(fabric.dials <= 3, "{node} {offset}: {} dials", fabric.dials);
            assert!(!has_seen_death(&net), "{node} {offset}");
            assert_eq!(net.peers[0].members().len(), 1, "{node} {offset}");
            let dials = &net.peers[0].dials;
            let has_dialled = dials.iter().any(|(_, _, what)| *what == DialPurpose::Stream);
            crossings += usize::from(has_dialled && fabric.dials > 0);
        }
    }
    assert!(crossings > 5, "{crossings}");
}

/// C-20, C-21: a peer that connects anew has lost the old stream.
#[test]
fn a_new_inbound_stream_replaces_the_old_one_and_outlives_its_end() {
    let mut net = Net::new();
    net.add("org", "a", |_| {});
    let old = net.hand("org", "hand", 0);
    net.run_for(10 * SECOND);
    let new = net.hand("org", "hand", 0);
    net.run_for(SECOND);
    assert_eq!(net.close_reason(&old), Some(CloseReason::Replaced));
    assert!(net.is_open(new.conn));
    assert_eq!(net.peers[0].node.stats().connections, 1);
    net.send(new.conn, frame(&new.alive(1)));
    net.run_for(SECOND);
    assert_eq!(net.peers[0].members().len(), 1, "it is read");
}

/// A node that knows a remote, which it reaches at `at("org", "old")`, and is not connected to it.
fn node_that_knows() -> Net {
    let mut net = Net::new();
    net.add("org", "node", |_| {});
    net.listeners.insert(at("org", "old"));
    let hand = net.hand("org", "old", 0);
    let mut alive = hand.alive(1);
    alive.secret_envelope = Some(hand.secret(at("org", "old").as_str()));
    net.send(hand.conn, frame(&alive));
    net.run_for(10 * MS);
    net.close(hand.conn, false);
    net.run_until(10 * SECOND, |net| !net.accepted.is_empty());
    net.run_for(10 * MS);
    net
}

/// C-18, C6.d.
#[test]
fn a_peer_with_a_new_certificate_takes_the_place_of_the_old_one() {
    let mut net = node_that_knows();
    let new = net.answer("org", "new");
    net.send(new.conn, new.introduction());
    net.run_for(10 * MS);
    assert!(net.is_open(new.conn));
    assert!(!net.contents(&new).is_empty(), "it gets what was meant for the old one");
    let old = Hand::named("org", "old").pki_id;
    let is_gone =
        |notice: &Notice| matches!(notice, Notice::MemberForgotten { pki_id } if *pki_id == old);
    assert!(net.peers[0].has_noticed(is_gone));
    let opened = |notice: &Notice| {
        matches!(notice, Notice::ConnectionOpened { pki_id, inbound: false, .. }
            if *pki_id == new.pki_id)
    };
    assert!(net.peers[0].has_noticed(opened));
}

/// C-19.
#[test]
fn a_peer_of_another_organisation_at_a_known_endpoint_is_refused() {
    let mut net = node_that_knows();
    let new = net.answer("other", "new");
    net.send(new.conn, new.introduction());
    net.run_for(10 * MS);
    assert_eq!(net.close_reason(&new), Some(CloseReason::AuthenticationFailed));
    assert_eq!(net.peers[0].node.stats().faults(Fault::UnexpectedPeer), 1);
    assert!(net.peers[0].members().is_empty(), "the old one is presumed dead");
}

/// C-23, C-26: one dial at a time, and after it failed a rest.
#[test]
fn a_peer_that_cannot_be_reached_is_dialled_once_and_presumed_dead() {
    let mut net = Net::new();
    net.add("org", "node", |_| {});
    net.join(0, "ch", &["org"], 1);
    let hand = net.hand("org", "hand", 0);
    net.send(hand.conn, frame(&hand.seal(hand.alive_payload(1, Some(&nowhere()), None))));
    net.send(hand.conn, frame(&hand.state_info("ch", 1, 1)));
    net.run_for(SECOND);
    net.close(hand.conn, false);
    for number in 1..100 {
        net.gossip_block(0, "ch", number);
    }
    net.run_for(SECOND);
    let streams = net.peers[0].dials.iter().filter(|(_, _, what)| *what == DialPurpose::Stream);
    assert_eq!(streams.count(), 1);
    assert!(net.peers[0].members().is_empty());
    assert!(net.peers[0].has_noticed(|notice| matches!(notice, Notice::DialFailed { .. })));
}

fn nowhere() -> Endpoint {
    "nowhere:1".into()
}

/// C-26, C7.e: a write that fails is a death, a remote that closes is not.
#[test]
fn only_a_failed_write_is_taken_for_death() {
    for write_failed in [false, true] {
        let mut net = Net::new();
        net.add("org", "node", |_| {});
        let hand = net.hand("org", "hand", 0);
        net.send(hand.conn, frame(&hand.seal(hand.alive_payload(1, None, None))));
        net.run_for(10 * MS);
        match write_failed {
            true => net.close(hand.theirs, true),
            false => net.close(hand.conn, false),
        }
        net.run_for(10 * MS);
        assert_eq!(net.peers[0].members().is_empty(), write_failed);
        assert!(net.peers[0].dials.is_empty(), "nothing waits for it");
    }
}

/// C-34: what the remote signed is at hand for as long as it is connected.
#[test]
fn the_signed_connection_message_of_a_peer_can_be_asked_for() {
    let mut net = Net::new();
    net.add("org", "node", |_| {});
    let hand = net.hand("org", "hand", 0);
    let proof = net.peers[0].node.connection_proof(hand.theirs).cloned().expect("connected");
    assert_eq!(proof.signature, super::net::sign(&hand.identity, &proof.payload));
    net.close(hand.conn, false);
    net.run_for(SECOND);
    assert_eq!(net.peers[0].node.connection_proof(hand.theirs), None);
}
