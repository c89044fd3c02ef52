//! Time, and that the same happens again from the same seed.

use alloc::{string::String, vec, vec::Vec};
use core::time::Duration;

use crate::{Command, Event, Instant};

use super::{membership::network, net::Net};

const SECOND: Duration = Duration::from_secs(1);

fn story() -> Vec<String> {
    let mut net = network(&["a", "b"], 3);
    net.trace = Some(Vec::new());
    net.run_for(3 * SECOND);
    for number in 1..10 {
        net.gossip_block(0, "ch", number);
        net.run_for(Duration::from_millis(7));
    }
    net.switch_off(4);
    net.run_for(120 * SECOND);
    net.trace.take().unwrap_or_default()
}

/// Design §2: the same configuration, seed and inputs give the same actions, bit for bit.
#[test]
fn the_same_seeds_and_events_give_the_same_actions() {
    let (one, other) = (story(), story());
    assert!(one.len() > 1000);
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other);
    }
    assert_eq!(one.len(), other.len());
}

#[test]
fn time_that_goes_back_counts_as_the_time_before() {
    let mut net = network(&["a"], 1);
    net.run_for(10 * SECOND);
    let node = &mut net.peers[0].node;
    let due = node.poll_timeout();
    node.handle(Instant::ZERO, Event::Tick);
    assert_eq!(node.poll_timeout(), due);
    assert!(node.next_timer().is_some());
}

/// A tick at `t` leaves nothing due at `t`, however late it comes.
#[test]
fn a_late_tick_catches_up_without_a_burst() {
    let mut net = network(&["a"], 1);
    let now = Instant::ZERO + 3600 * SECOND;
    let node = &mut net.peers[0].node;
    node.handle(now, Event::Tick);
    assert!(node.poll_timeout().is_some_and(|at| at > now));
    node.handle(Instant::MAX, Event::Tick);
    assert_eq!(node.poll_timeout(), None, "nothing comes after the end of time");
}

/// N-51, D-47, P-19; P-61: once more does no harm.
#[test]
fn a_stopped_node_closes_everything_and_is_silent() {
    let mut net = network(&["a"], 3);
    net.run_for(5 * SECOND);
    assert!(!net.connections(0).is_empty());
    net.command(0, Command::Stop);
    net.run_for(SECOND);
    assert!(net.connections(0).is_empty());
    let node = &mut net.peers[0].node;
    assert_eq!((node.poll_timeout(), node.members()), (None, vec![]));
    assert!(node.stats().connections == 0);
    let sent = node.stats().messages_sent;
    net.run_for(60 * SECOND);
    assert_eq!(net.peers[0].node.stats().messages_sent, sent);
    assert!(net.peers[0].node.command(net.now, Command::Stop).is_err(), "it says so");
}

/// The ends of connections, jobs and dials that a node does not know of do nothing.
#[test]
fn unknown_connections_are_ignored() {
    let mut net = Net::new();
    let node = net.add("a", "node", |_| {});
    net.run_for(SECOND);
    let conn = crate::ConnId::new(77);
    let frame = vec![1, 2, 3].into();
    for event in [
        Event::Message { conn, frame },
        Event::Disconnected { conn, write_failed: true },
        Event::Sent { conn, frames: u32::MAX },
    ] {
        net.handle(node, event);
    }
    assert!(net.peers[node].notices.is_empty());
}
