//! Jobs that fail, get lost or come late: nobody is to blame, and nothing stands still for ever.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use crate::{ChannelId, CloseReason, Command, Event, Fault, JobKind, Notice, Outcome, wire};

use super::{
    hand::{Hand, frame},
    net::{Fate, Net, block},
};

const SECOND: Duration = Duration::from_secs(1);

fn node_and_hand() -> (Net, Hand) {
    let mut net = Net::new();
    let node = net.add("a", "node", |_| {});
    net.join(node, "ch", &["a", "b"], 1);
    let hand = net.hand("a", "hand", node);
    (net, hand)
}

const fn hold_checks(job: &JobKind) -> Fate {
    match job {
        JobKind::Sign { .. } => Fate::Answered,
        _ => Fate::Held,
    }
}

const fn fail_checks(job: &JobKind) -> Fate {
    match job {
        JobKind::Sign { .. } => Fate::Answered,
        _ => Fate::Failed,
    }
}

fn assert_nobody_is_blamed(net: &Net) {
    let is_blame = |notice: &Notice| matches!(notice, Notice::PeerMisbehaved { .. });
    assert!(!net.peers[0].has_noticed(is_blame), "{:?}", net.peers[0].notices);
}

fn pushed(number: u64) -> Bytes {
    wire::block(&ChannelId::from("ch"), number, block("ch", number, "honest"))
}

#[test]
fn a_check_that_fails_for_reasons_of_ours_is_held_against_nobody() {
    let (mut net, hand) = node_and_hand();
    net.peers[0].jobs = fail_checks;
    net.send(hand.conn, frame(&hand.alive(1)));
    net.send(hand.conn, frame(&hand.state_info("ch", 1, 1)));
    net.send(hand.conn, pushed(1));
    net.send(hand.conn, frame(&Hand::named("a", "new").alive_with_identity(1)));
    net.run_for(SECOND);
    assert_eq!(net.peers[0].node.stats().faults(Fault::JobFailed), 4);
    assert_nobody_is_blamed(&net);
    assert!(net.is_open(hand.conn));
    net.peers[0].jobs = |_| Fate::Answered;
    net.send(hand.conn, frame(&hand.alive(1)));
    net.send(hand.conn, frame(&hand.state_info("ch", 1, 1)));
    net.send(hand.conn, pushed(1));
    net.send(hand.conn, frame(&Hand::named("a", "new").alive_with_identity(1)));
    net.run_for(Duration::from_millis(10));
    assert_eq!(net.peers[0].members().len(), 2, "a second copy is taken");
    assert_eq!(net.peers[0].channel_peers("ch").len(), 1);
    assert_eq!(net.peers[0].blocks(), [1]);
}

#[test]
fn a_job_that_is_lost_is_given_up_after_its_timeout_and_a_late_answer_is_ignored() {
    let (mut net, hand) = node_and_hand();
    net.run_for(SECOND);
    net.peers[0].jobs = hold_checks;
    net.send(hand.conn, frame(&hand.alive(1)));
    net.run_for(29 * SECOND);
    assert_eq!(net.peers[0].node.stats().faults(Fault::JobFailed), 0);
    net.run_for(2 * SECOND);
    assert_eq!(net.peers[0].node.stats().faults(Fault::JobFailed), 1);
    net.answer_held(0);
    net.run_for(SECOND);
    assert!(net.peers[0].members().is_empty(), "too late");
    assert_nobody_is_blamed(&net);
    net.peers[0].jobs = |_| Fate::Answered;
    net.send(hand.conn, frame(&hand.alive(1)));
    net.run_for(SECOND);
    assert_eq!(net.peers[0].members().len(), 1);
}

#[test]
fn an_answer_of_another_kind_counts_as_none() {
    let (mut net, hand) = node_and_hand();
    net.peers[0].jobs = hold_checks;
    net.send(hand.conn, frame(&hand.alive(1)));
    net.send(hand.conn, pushed(1));
    net.send(hand.conn, frame(&Hand::named("a", "new").alive_with_identity(1)));
    net.run_for(SECOND);
    for job in core::mem::take(&mut net.peers[0].held) {
        let completion = job.complete(Outcome::Signature("what?".into()));
        net.handle(0, Event::JobDone(completion));
    }
    assert_eq!(net.peers[0].node.stats().faults(Fault::JobFailed), 3);
    assert_nobody_is_blamed(&net);
}

#[test]
fn an_answer_that_another_node_gave_does_nothing() {
    let (mut net, hand) = node_and_hand();
    let other = net.add("a", "other", |_| {});
    net.peers[0].jobs = hold_checks;
    for sequence in 1..50 {
        net.send(hand.conn, frame(&hand.alive(sequence)));
    }
    net.run_for(SECOND);
    let job = net.peers[0].held.pop().expect("a check");
    let completion = job.complete(Outcome::Accepted);
    net.handle(other, Event::JobDone(completion));
    assert!(net.peers[other].members().is_empty());
}

/// An identity may go while a statement under it is being checked: nobody is alive without one.
#[test]
fn a_statement_whose_author_was_forgotten_while_it_was_checked_is_not_taken() {
    let (mut net, hand) = node_and_hand();
    net.peers[0].jobs = hold_checks;
    net.send(hand.conn, frame(&hand.alive(1)));
    net.send(hand.conn, frame(&hand.state_info("ch", 1, 1)));
    net.run_for(SECOND);
    assert_eq!(net.peers[0].held.len(), 2);
    net.peers[0].jobs = |_| Fate::Answered;
    net.peers[0].backend.revoked.insert(hand.identity.as_bytes().clone());
    net.command(0, Command::SuspectPeers);
    net.run_for(SECOND);
    net.answer_held(0);
    net.run_for(SECOND);
    assert!(net.peers[0].members().is_empty());
    assert_nobody_is_blamed(&net);
}

/// D4.c and the end of a Fabric quirk: the heart goes on beating after a signature failed.
#[test]
fn signing_that_fails_is_told_of_and_tried_again() {
    let (mut net, hand) = node_and_hand();
    net.peers[0].jobs = |job| match job {
        JobKind::Sign { .. } => Fate::Failed,
        _ => Fate::Answered,
    };
    net.send(hand.conn, frame(&hand.alive(1)));
    net.send(hand.conn, frame(&hand.state_info("ch", 1, 1)));
    net.run_for(12 * SECOND);
    let failed = |notice: &Notice| matches!(notice, Notice::SigningFailed { .. });
    assert!(net.peers[0].has_noticed(failed));
    net.received(&hand);
    net.peers[0].jobs = |_| Fate::Answered;
    net.run_for(12 * SECOND);
    use gossip_proto::gossip::gossip_message::Content;
    let contents = net.contents(&hand);
    assert!(contents.iter().any(|content| matches!(content, Content::AliveMsg(_))));
    assert!(contents.iter().any(|content| matches!(content, Content::StateInfo(_))));
}

/// The key is unreachable while somebody connects: the connection fails, the next one works.
#[test]
fn a_handshake_without_a_signature_of_ours_fails_for_now() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    net.peers[0].jobs = |_| Fate::Failed;
    let hand = net.connect("a", "hand", 0);
    net.run_for(SECOND);
    assert!(!net.is_open(hand.conn));
    assert_nobody_is_blamed(&net);
    net.peers[0].jobs = |_| Fate::Answered;
    net.hand("a", "hand", 0);
}

/// The remote has said who it is and loses patience while our signature is being made: the
/// connection is over, and the next one is dialled.
#[test]
fn a_remote_that_does_not_wait_for_our_signature_is_dialled_again() {
    let (mut net, hand) = node_and_hand();
    net.listeners.insert("hand.example.com:443".into());
    net.send(hand.conn, frame(&hand.alive(1)));
    net.run_for(SECOND);
    net.peers[0].jobs = |job| match job {
        JobKind::Sign { .. } => Fate::Held,
        _ => Fate::Answered,
    };
    net.close(hand.conn, false);
    net.run_until(6 * SECOND, |net| !net.accepted.is_empty());
    net.run_for(Duration::from_millis(10));
    let dialled = net.answer("a", "hand");
    net.send(dialled.conn, dialled.introduction());
    net.run_for(SECOND);
    net.close(dialled.conn, false);
    net.run_for(SECOND);
    net.peers[0].jobs = |_| Fate::Answered;
    net.answer_held(0);
    net.run_until(10 * SECOND, |net| !net.accepted.is_empty());
}

/// Only a rejection may be held against a peer: it is not taken for dead because a pool was full.
#[test]
fn a_peer_is_not_taken_for_dead_because_its_handshake_could_not_be_checked() {
    let (mut net, hand) = node_and_hand();
    net.listeners.insert("hand.example.com:443".into());
    net.send(hand.conn, frame(&hand.alive(1)));
    net.run_for(SECOND);
    net.peers[0].jobs = fail_checks;
    net.close(hand.conn, false);
    net.run_until(5 * SECOND, |net| !net.accepted.is_empty());
    net.run_for(Duration::from_millis(10));
    let dialled = net.answer("a", "hand");
    net.send(dialled.conn, dialled.introduction());
    net.run_for(SECOND);
    assert_eq!(net.close_reason(&dialled), Some(CloseReason::AuthenticationFailed));
    assert!(net.peers[0].members().contains(&hand.pki_id), "{:?}", net.peers[0].notices);
    // A signature that does not hold is another matter (C-26).
    net.peers[0].jobs = |_| Fate::Answered;
    net.run_until(5 * SECOND, |net| !net.accepted.is_empty());
    net.run_for(Duration::from_millis(10));
    let dialled = net.answer("a", "hand");
    net.send(dialled.conn, dialled.introduction_with(Some([7; 32]), false));
    net.run_for(SECOND);
    assert!(net.peers[0].members().is_empty());
}

#[test]
fn a_commit_that_fails_is_tried_again_and_blocks_what_follows() {
    let (mut net, hand) = node_and_hand();
    net.peers[0].jobs = |job| match job {
        JobKind::Commit { .. } => Fate::Failed,
        _ => Fate::Answered,
    };
    for number in [1, 2, 3] {
        net.send(hand.conn, pushed(number));
    }
    net.run_for(5 * SECOND);
    assert!(net.peers[0].blocks().is_empty());
    net.peers[0].jobs = |_| Fate::Answered;
    net.run_for(3 * SECOND);
    assert_eq!(net.peers[0].blocks(), [1, 2, 3]);
}

/// As with a configuration that cannot be applied: the channel stands still, without noise.
#[test]
fn a_commit_that_keeps_failing_is_told_once_for_each_reason_and_tried_ever_less() {
    let (mut net, hand) = node_and_hand();
    net.peers[0].jobs = |job| match job {
        JobKind::Commit { .. } => Fate::Held,
        _ => Fate::Answered,
    };
    net.send(hand.conn, pushed(1));
    let mut attempts = Vec::new();
    for second in 0..3600 {
        net.run_for(SECOND);
        if let Some(job) = net.peers[0].held.pop() {
            attempts.push(second);
            let reason = if second < 1800 { "disk full" } else { "disk gone" };
            net.handle(0, Event::JobDone(job.complete(Outcome::Failed(reason.into()))));
        }
    }
    let reasons = net.peers[0].notices.iter().filter_map(|(_, notice)| match notice {
        Notice::CommitFailed { number: 1, reason, .. } => Some(&**reason),
        _ => None,
    });
    assert_eq!(reasons.collect::<Vec<_>>(), ["disk full", "disk gone"]);
    let pauses: Vec<i32> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses.is_sorted() && pauses[0] <= 2, "{pauses:?}");
    assert!(pauses.last().is_some_and(|longest| (300..=302).contains(longest)), "{pauses:?}");
    net.peers[0].jobs = |_| Fate::Answered;
    net.run_for(301 * SECOND);
    assert_eq!(net.peers[0].blocks(), [1]);
}

/// The ledger says that a block does not fit: another copy may come, and does.
#[test]
fn a_block_that_the_ledger_rejects_is_dropped() {
    let (mut net, hand) = node_and_hand();
    net.peers[0].jobs = |job| match job {
        JobKind::Commit { .. } => Fate::Held,
        _ => Fate::Answered,
    };
    net.send(hand.conn, pushed(1));
    net.run_for(SECOND);
    let job = net.peers[0].held.pop().expect("a commit");
    net.handle(0, Event::JobDone(job.complete(Outcome::Rejected("does not link".into()))));
    net.peers[0].jobs = |_| Fate::Answered;
    net.run_for(5 * SECOND);
    assert!(net.peers[0].blocks().is_empty());
    net.send(hand.conn, pushed(1));
    net.run_for(SECOND);
    assert_eq!(net.peers[0].blocks(), [1]);
}
