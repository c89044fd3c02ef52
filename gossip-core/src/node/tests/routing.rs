//! Who is told what: docs/protocol/40-emitter-and-node.md §6 and §13.

use alloc::{format, vec::Vec};
use core::time::Duration;

use gossip_proto::gossip::{Envelope, MembershipRequest, gossip_message::Content};
use prost::Message as _;

use crate::{Command, Endpoint, Fault, wire};

use super::{
    hand::{Hand, frame},
    net::{Fate, Net},
};

const SECOND: Duration = Duration::from_secs(1);

/// A node of `a` in a channel of `a` and `b`, and peers whom it holds alive: the first of each
/// organisation can be reached from outside, the second cannot.
struct Crowd {
    net: Net,
    a1: Hand,
    a2: Hand,
    b1: Hand,
    b2: Hand,
    c1: Hand,
}

impl Crowd {
    fn new(change: impl FnOnce(&mut crate::Config)) -> Self {
        let mut net = Net::new();
        net.add("a", "node", |config| {
            config.propagate_peer_num = 100;
            change(config);
        });
        net.join(0, "ch", &["a", "b"], 1);
        let names = [("a", "a1"), ("a", "a2"), ("b", "b1"), ("b", "b2"), ("c", "c1")];
        let [a1, a2, b1, b2, c1] = names.map(|(org, name)| {
            let hand = net.hand(org, name, 0);
            let outside = name.ends_with('1').then(|| Endpoint::from(format!("{name}:443")));
            net.send(hand.conn, frame(&hand.seal(hand.alive_payload(1, outside.as_ref(), None))));
            hand
        });
        net.run_for(Duration::from_millis(150));
        let mut crowd = Self { net, a1, a2, b1, b2, c1 };
        crowd.forget();
        crowd
    }

    fn hands(&self) -> [Hand; 5] {
        [&self.a1, &self.a2, &self.b1, &self.b2, &self.c1].map(Hand::clone)
    }

    fn forget(&mut self) {
        self.net.inboxes.clear();
    }

    /// Lets a peer send a frame; returns who was sent what because of it, as far as `is_it`.
    fn spread(
        &mut self,
        from: &Hand,
        sent: &Envelope,
        is_it: impl Fn(&Content) -> bool,
    ) -> Vec<(&'static str, Envelope)> {
        self.net.send(from.conn, frame(sent));
        self.net.run_for(Duration::from_millis(30));
        self.told(is_it)
    }

    fn told(&mut self, is_it: impl Fn(&Content) -> bool) -> Vec<(&'static str, Envelope)> {
        let names = ["a1", "a2", "b1", "b2", "c1"];
        let mut told = Vec::new();
        for (name, hand) in names.into_iter().zip(self.hands()) {
            let messages = self.net.received(&hand);
            let fits = messages
                .into_iter()
                .filter(|(_, message)| message.content.as_ref().is_some_and(&is_it));
            told.extend(fits.map(|(envelope, _)| (name, envelope)));
        }
        told
    }
}

fn is_alive_of(subject: &Hand) -> impl Fn(&Content) -> bool + use<> {
    let pki_id = subject.pki_id.to_wire();
    move |content| match content {
        Content::AliveMsg(alive) => alive.membership.as_ref().is_some_and(|m| m.pki_id == pki_id),
        _ => false,
    }
}

fn is_info(content: &Content) -> bool {
    matches!(content, Content::StateInfo(_))
}

fn names(told: &[(&'static str, Envelope)]) -> Vec<&'static str> {
    told.iter().map(|(name, _)| *name).collect()
}

/// An alive message of somebody new, with a secret; with an external endpoint or not.
fn introduced(org: &str, name: &str, is_public: bool) -> (Hand, Envelope) {
    let subject = Hand::named(org, name);
    let outside = is_public.then(|| Endpoint::from(format!("{name}:443")));
    let payload = subject.alive_payload(1, outside.as_ref(), Some(&subject.identity));
    let mut alive = subject.seal(payload);
    alive.secret_envelope = Some(subject.secret(&format!("{name}.{org}:7051")));
    (subject, alive)
}

/// N-20, N-8.
#[test]
fn a_peer_of_ours_without_an_external_endpoint_is_known_to_us_alone() {
    let mut crowd = Crowd::new(|_| {});
    let (subject, alive) = introduced("a", "a3", false);
    let from = crowd.a1.clone();
    let told = crowd.spread(&from, &alive, is_alive_of(&subject));
    assert_eq!(names(&told), ["a2"]);
    assert_eq!(told[0].1, alive, "with its secret, as it came");
}

/// N-21, N-24, W-12, W-18.
#[test]
fn a_peer_of_ours_that_can_be_reached_is_known_to_all_but_its_secret_is_not() {
    let mut crowd = Crowd::new(|_| {});
    let (subject, alive) = introduced("a", "a3", true);
    let from = crowd.a1.clone();
    let told = crowd.spread(&from, &alive, is_alive_of(&subject));
    assert_eq!(names(&told), ["a2", "b1", "b2", "c1"]);
    for (name, envelope) in told {
        assert_eq!((&envelope.payload, &envelope.signature), (&alive.payload, &alive.signature));
        assert_eq!(envelope.secret_envelope.is_some(), name == "a2", "{name}");
    }
}

/// N-22, N6.7.b, N6.7.c: a third organisation learns nothing, nor who cannot be reached by it.
#[test]
fn a_peer_of_another_organisation_is_known_to_it_and_to_us() {
    let mut crowd = Crowd::new(|_| {});
    let (subject, alive) = introduced("b", "b3", true);
    let from = crowd.a2.clone();
    let told = crowd.spread(&from, &alive, is_alive_of(&subject));
    assert_eq!(names(&told), ["a1", "b1"]);
    assert!(told[1].1.secret_envelope.is_none(), "{told:?}");
}

/// N-23: its identity went while the message waited for the batch.
#[test]
fn a_peer_whose_organisation_is_unknown_is_told_of_to_nobody() {
    let mut crowd = Crowd::new(|config| config.max_propagation_burst_latency = SECOND);
    crowd.net.run_for(2 * SECOND);
    crowd.forget();
    let (first, alive) = introduced("a", "a3", true);
    let from = crowd.a1.clone();
    assert!(!crowd.spread(&from, &alive, is_alive_of(&first)).is_empty(), "the first goes at once");
    let (subject, alive) = introduced("a", "a4", true);
    assert_eq!(crowd.spread(&from, &alive, is_alive_of(&subject)), []);
    crowd.net.peers[0].backend.revoked.insert(subject.identity.as_bytes().clone());
    crowd.net.command(0, Command::SuspectPeers);
    crowd.net.run_for(2 * SECOND);
    assert_eq!(crowd.told(is_alive_of(&subject)), []);
}

/// N-8: also if several brought it while it was being checked.
#[test]
fn a_message_goes_back_to_none_of_those_who_brought_it() {
    let mut crowd = Crowd::new(|_| {});
    let (subject, alive) = introduced("a", "a3", true);
    crowd.net.peers[0].jobs = |_| Fate::Held;
    for from in [crowd.a1.clone(), crowd.b1.clone(), crowd.c1.clone()] {
        crowd.net.send(from.conn, frame(&alive));
    }
    crowd.net.run_for(Duration::from_millis(10));
    crowd.net.peers[0].jobs = |_| Fate::Answered;
    crowd.net.answer_held(0);
    crowd.net.run_for(Duration::from_millis(30));
    assert_eq!(names(&crowd.told(is_alive_of(&subject))), ["a2", "b2"]);
}

/// A secret that does not hold, attached to an honest message, takes nothing down but itself.
#[test]
fn a_forged_secret_does_not_take_the_honest_message_down() {
    let mut crowd = Crowd::new(|_| {});
    let (subject, honest) = introduced("a", "a3", true);
    let hand = crowd.net.hand("a", "a3", 0);
    crowd.net.close(hand.conn, false);
    let mut forged = honest.clone();
    let secret = forged.secret_envelope.as_mut().expect("a secret");
    secret.signature = "forged".into();
    let mut bare = honest.clone();
    bare.secret_envelope = None;
    crowd.net.peers[0].jobs = |_| Fate::Held;
    for (from, alive) in [(&crowd.b2, &forged), (&crowd.b1, &bare), (&crowd.a1, &honest)] {
        crowd.net.send(from.conn, frame(alive));
    }
    crowd.net.run_for(Duration::from_millis(10));
    crowd.net.peers[0].jobs = |_| Fate::Answered;
    crowd.net.answer_held(0);
    crowd.net.run_for(Duration::from_millis(30));
    assert_eq!(names(&crowd.told(is_alive_of(&subject))), ["a2", "b2", "c1"]);
    assert_eq!(crowd.net.peers[0].node.stats().faults(Fault::BadSignature), 1);
}

/// D-11: the second copy is no news.
#[test]
fn a_message_is_passed_on_once() {
    let mut crowd = Crowd::new(|_| {});
    let (subject, alive) = introduced("a", "a3", true);
    let (one, other) = (crowd.a1.clone(), crowd.a2.clone());
    assert_eq!(crowd.spread(&one, &alive, is_alive_of(&subject)).len(), 4);
    assert_eq!(crowd.spread(&other, &alive, is_alive_of(&subject)), []);
    assert_eq!(crowd.net.peers[0].node.stats().faults(Fault::Stale), 1);
}

/// N-53: whatever is sent, and however it is batched.
#[test]
fn no_secret_reaches_another_organisation() {
    let mut crowd = Crowd::new(|config| {
        config.max_propagation_burst_latency = SECOND;
        config.max_propagation_burst_size = 1000;
    });
    let senders = crowd.hands();
    for number in 0..40_usize {
        let (org, is_public) = ([("a"), ("b"), ("c")][number % 3], number % 2 == 0);
        let (_, alive) = introduced(org, &format!("n{number}"), is_public);
        crowd.net.send(senders[number % 5].conn, frame(&alive));
    }
    for hand in &senders {
        let mut alive = hand.alive(2);
        alive.secret_envelope = Some(hand.secret("a-secret:7051"));
        crowd.net.send(hand.conn, wire::membership_request(alive, 7));
    }
    crowd.net.run_for(20 * SECOND);
    let is_ours = |hand: &Hand| hand.identity.as_bytes().starts_with(b"a");
    let (mut inside, mut outside) = (0, 0);
    for hand in senders {
        for (envelope, message) in crowd.net.received(&hand) {
            let nested = match message.content {
                Some(Content::MemRes(response)) => [response.alive, response.dead].concat(),
                Some(Content::MemReq(MembershipRequest { self_information, .. })) => {
                    self_information.into_iter().collect()
                }
                _ => Vec::new(),
            };
            let has_secret = |envelope: &&Envelope| envelope.secret_envelope.is_some();
            let secrets = [envelope].iter().chain(&nested).filter(has_secret).count();
            if is_ours(&hand) { inside += secrets } else { outside += secrets }
        }
    }
    assert_eq!(outside, 0);
    assert!(inside > 10, "{inside}");
}

/// N-19, CH-62.
#[test]
fn a_state_info_goes_to_the_organisations_of_the_channel_if_its_author_can_be_reached() {
    let mut crowd = Crowd::new(|_| {});
    let (a1, a2, b1) = (crowd.a1.clone(), crowd.a2.clone(), crowd.b1.clone());
    let told = crowd.spread(&a1, &a1.state_info("ch", 1, 5), is_info);
    assert_eq!(names(&told), ["a2", "b1", "b2"]);
    let told = crowd.spread(&a2, &a2.state_info("ch", 1, 5), is_info);
    assert_eq!(names(&told), ["a1"], "its author has no external endpoint");
    let told = crowd.spread(&a1, &b1.state_info("ch", 1, 5), is_info);
    assert_eq!(names(&told), ["a2", "b2"], "neither its author nor who brought it");
}

/// N-12, CH-4, CH-5, CH-6, N-54.
#[test]
fn a_state_info_of_a_channel_that_we_are_not_in_is_passed_on_inside_our_organisation() {
    let mut crowd = Crowd::new(|_| {});
    let (a1, b1) = (crowd.a1.clone(), crowd.b1.clone());
    for channel in ["one", "two"] {
        let info = a1.state_info(channel, 5, 1);
        assert_eq!(names(&crowd.spread(&a1, &info, is_info)), ["a2"], "{channel}");
        assert_eq!(crowd.spread(&a1, &info, is_info), [], "{channel}: no news");
        assert_eq!(crowd.spread(&a1, &a1.state_info(channel, 4, 1), is_info), [], "older");
        let newer = a1.state_info(channel, 6, 1);
        assert_eq!(names(&crowd.spread(&a1, &newer, is_info)), ["a2"], "newer");
    }
    assert_eq!(crowd.spread(&b1, &b1.state_info("one", 5, 1), is_info), [], "a foreign sender");
    let told = crowd.spread(&a1, &b1.state_info("one", 5, 1), is_info);
    assert_eq!(names(&told), ["a2"], "a foreign author, brought by one of ours");
}

/// N-25: at most K, and not always the same.
#[test]
fn news_goes_to_three_peers_chosen_anew_each_time() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    let hands: Vec<_> = (0..10).map(|number| net.hand("a", &format!("h{number}"), 0)).collect();
    for hand in &hands {
        net.send(hand.conn, frame(&hand.alive(1)));
    }
    net.run_for(SECOND);
    let mut chosen = Vec::new();
    for sequence in 2..30 {
        net.inboxes.clear();
        net.send(hands[0].conn, frame(&hands[0].alive(sequence)));
        net.run_for(Duration::from_millis(30));
        let mut told = Vec::new();
        for (ix, hand) in hands.iter().enumerate() {
            let count =
                net.contents(hand).iter().filter(|content| is_alive_of(&hands[0])(content)).count();
            assert!(count <= 1);
            told.extend((count == 1).then_some(ix));
        }
        assert_eq!(told.len(), 3);
        assert!(!told.contains(&0));
        chosen.push(told);
    }
    chosen.sort();
    chosen.dedup();
    assert!(chosen.len() > 10, "{chosen:?}");
}

/// CH-63: of peers that are like Fabric's.
#[test]
fn a_state_info_and_a_block_go_to_three_peers() {
    let mut net = Net::new();
    net.add("a", "node", |_| {});
    net.join(0, "ch", &["a"], 1);
    let hands: Vec<_> = (0..10).map(|number| net.hand("a", &format!("h{number}"), 0)).collect();
    for hand in &hands {
        net.send(hand.conn, frame(&hand.alive(1)));
        net.send(hand.conn, frame(&hand.state_info("ch", 1, 1)));
    }
    net.run_for(SECOND);
    for number in 1..20 {
        net.inboxes.clear();
        net.send(hands[0].conn, frame(&hands[0].state_info("ch", 1 + number, 1)));
        net.gossip_block(0, "ch", number);
        net.run_for(Duration::from_millis(30));
        let (mut infos, mut blocks) = (0, 0);
        for content in hands.iter().flat_map(|hand| net.contents(hand)) {
            infos += usize::from(is_info(&content));
            blocks += usize::from(matches!(content, Content::DataMsg(_)));
        }
        assert_eq!((infos, blocks), (3, 3));
    }
}

/// D-10, O-12: our own messages come back all the time.
#[test]
fn our_own_message_that_comes_back_is_ignored() {
    let mut crowd = Crowd::new(|_| {});
    crowd.net.run_for(6 * SECOND);
    let a1 = crowd.a1.clone();
    let own = crowd.net.received(&a1).into_iter().find_map(|(envelope, message)| {
        let is_alive = matches!(message.content, Some(Content::AliveMsg(_)));
        is_alive.then_some(envelope)
    });
    let own = own.expect("a heartbeat");
    let before = crowd.net.peers[0].node.stats().clone();
    crowd.net.send(crowd.a2.conn, own.encode_to_vec().into());
    crowd.net.run_for(Duration::from_millis(10));
    let after = crowd.net.peers[0].node.stats();
    assert_eq!((after.verifies, after.forwarded), (before.verifies, before.forwarded));
    assert_eq!(after.faults(Fault::Stale), before.faults(Fault::Stale) + 1);
}
