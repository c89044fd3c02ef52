//! Identities.

use alloc::{collections::BTreeSet, format, vec};
use core::time::Duration;

use gossip_proto::gossip::{MembershipRequest, PeerIdentity};
use prost::Message as _;

use crate::{
    Action, Command, Event, Fault, Instant, JobKind, Node, Notice, Outcome, UnixTime,
    node::{
        pull::Puller,
        tests::{
            hand::frame,
            membership::{assert_no_faults, is_membership_full, network},
            net::{Fate, START, at, pki},
        },
    },
    pull::{Digest, Engine},
    wire,
};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A node and a remote of its organisation.
fn node_and_hand() -> (Net, Hand) {
    let mut net = Net::new();
    let node = net.add("a", "node", |_| {});
    let hand = net.hand("a", "hand", node);
    (net, hand)
}

/// Makes the identity message of a remote.
fn message(hand: &Hand) -> Envelope {
    message_of(hand.pki_id.to_wire(), hand)
}

fn message_of(pki_id: Bytes, hand: &Hand) -> Envelope {
    seal(hand, pki_id, Tag::Empty, "")
}

fn message_with(hand: &Hand, tag: Tag, metadata: &'static str) -> Envelope {
    seal(hand, hand.pki_id.to_wire(), tag, metadata)
}

fn seal(hand: &Hand, pki_id: Bytes, tag: Tag, metadata: &'static str) -> Envelope {
    let cert = hand.identity.as_bytes().clone();
    let content = Content::PeerIdentity(PeerIdentity { pki_id, cert, metadata: metadata.into() });
    let message = GossipMessage { tag: tag as i32, content: Some(content), ..Default::default() };
    hand.seal(message.encode_to_vec().into())
}

/// Makes a node ask a remote for identities: it says that somebody is there whom nobody knows.
fn provoke(net: &mut Net, hand: &Hand) -> u64 {
    let stranger = Hand::named("a", "nobody knows");
    net.contents(hand);
    net.send(hand.conn, frame(&stranger.alive(1)));
    net.round_trip();
    net.asked(hand, What::Identities).expect("a hello at once")
}

/// Teaches a node these identities through a remote.
fn teach(net: &mut Net, hand: &Hand, others: &[&Hand]) {
    net.run_for(10 * SECOND);
    let nonce = provoke(net, hand);
    let ids: Vec<_> = others.iter().map(|other| other.pki_id.to_wire()).collect();
    let wanted = net.offer(hand, What::Identities, nonce, &ids).expect("a request");
    assert_eq!(wanted.len(), ids.len());
    net.give(hand, What::Identities, nonce, others.iter().map(|other| message(other)).collect());
}

/// P-8: whether a digest begins as ours or not.
#[test]
fn strangers_are_asked_for_wherever_they_stand_among_those_whom_we_know() {
    let (mut net, hand) = node_and_hand();
    let others = ["x", "y", "z"].map(|name| Hand::named("a", name));
    teach(&mut net, &hand, &others.each_ref());
    let known = others.iter().map(|other| other.pki_id.to_wire());
    let known = sorted(known.chain([pki("a", "node").to_wire()]).collect());
    let stranger = pki("a", "stranger").to_wire();
    for place in 0..=known.len() {
        net.run_for(10 * SECOND);
        let nonce = provoke(&mut net, &hand);
        let mut ids = known.clone();
        ids.insert(place, stranger.clone());
        let wanted = net.offer(&hand, What::Identities, nonce, &ids);
        assert_eq!(wanted, Some(vec![stranger.clone()]), "{place}");
    }
    net.run_for(10 * SECOND);
    let nonce = provoke(&mut net, &hand);
    assert_eq!(net.offer(&hand, What::Identities, nonce, &known), None);
}

fn sorted(mut ids: Vec<Bytes>) -> Vec<Bytes> {
    ids.sort_unstable();
    ids
}

/// A newcomer asks who speaks of strangers, where Fabric waits for the next round.
#[test]
fn a_newcomer_soon_knows_everybody_long_after_the_others_have_met() {
    let mut net = network(&["a", "b"], 4);
    net.run_for(60 * SECOND);
    let newcomer = net.add("a", "p9", |config| config.bootstrap = vec![at("a", "p0")]);
    let time = net.run_until(5 * SECOND, is_membership_full);
    assert!(time < 2 * SECOND, "{time:?}");
    assert!(net.peers[newcomer].node.stats().identities_pulled > 0);
    net.run_for(20 * SECOND);
    // All of our organisation are pulled, and those of the other that can be reached.
    let pulled = net.peers.iter().map(|peer| peer.node.stats().identities_pulled);
    assert_eq!(pulled.collect::<Vec<_>>(), [8; 9]);
    for peer in &net.peers {
        assert_eq!(peer.node.stats().faults(Fault::BadIdentity), 0);
    }
    let is_blame = |notice: &Notice| matches!(notice, Notice::PeerMisbehaved { .. });
    assert!(!net.peers.iter().any(|peer| peer.has_noticed(is_blame)));
}

/// Counts the rounds of each peer of a network in a minute.
fn rounds_of_a_minute(net: &mut Net) -> Vec<u64> {
    let rounds = |net: &Net| -> Vec<_> {
        net.peers.iter().map(|peer| peer.node.stats().pull_rounds).collect()
    };
    let before = rounds(net);
    net.run_for(60 * SECOND);
    before.into_iter().zip(rounds(net)).map(|(before, after)| after - before).collect()
}

/// P-17: what is not followed.
#[test]
fn nodes_that_know_each_other_ask_ever_less_often() {
    let mut net = network(&["a"], 3);
    net.run_for(60 * SECOND);
    // Identities, and the blocks of one channel: each every 32 to 36 seconds.
    for rounds in rounds_of_a_minute(&mut net) {
        assert!((2..=4).contains(&rounds), "{rounds}");
    }
    assert_no_faults(&net);
}

#[test]
fn whoever_is_connected_anew_asks_at_once_for_what_was_lost() {
    let mut net = network(&["a"], 3);
    net.run_for(120 * SECOND);
    let rounds = |net: &Net| net.peers[0].node.stats().pull_rounds;
    let before = rounds(&net);
    net.hand("a", "other", 0);
    net.run_for(SECOND);
    assert_eq!(rounds(&net) - before, 2, "identities, and the blocks of one channel");
}

/// P-42, P-43, N-35; P-50, N-36: what was learned by handshake is not served; P-33.
#[test]
fn our_own_identity_is_served_as_we_signed_it_and_none_that_a_handshake_taught() {
    let (mut net, hand) = node_and_hand();
    assert_eq!(net.peers[0].node.identities().len(), 2);
    let own = pki("a", "node").to_wire();
    let digest = net.ask(&hand, What::Identities);
    assert_eq!(digest.as_deref(), Some(&[own.clone()][..]));
    let ids = [own.clone(), hand.pki_id.to_wire(), id("unknown")];
    let items = net.fetch(&hand, What::Identities, &ids).expect("an update");
    let [item] = &items[..] else { panic!("one item: {items:?}") };
    let message = wire::open(item).unwrap();
    assert_eq!((message.tag, message.nonce, message.channel.len()), (1, 0, 0));
    let identity = &net.peers[0].config.identity;
    let Some(Content::PeerIdentity(said)) = message.content else { panic!("an identity") };
    assert_eq!((&said.pki_id, &said.cert), (&own, identity.as_bytes()));
    assert!(said.metadata.is_empty(), "W-40");
    assert_eq!(item.signature, crate::node::tests::net::sign(identity, &item.payload));
}

/// P-26, P-28, P-45: an id alone gets nothing, nor does a nonce of long ago.
#[test]
fn who_asks_for_what_it_may_not_have_or_too_late_gets_no_answer() {
    let (mut net, hand) = node_and_hand();
    assert_eq!(net.fetch(&hand, What::Identities, &[id("unknown")]), None);
    let hidden = net.add("b", "hidden", |config| config.external_endpoint = None);
    let foreign = net.hand("a", "foreign", hidden);
    let own = [pki("b", "hidden").to_wire()];
    assert_eq!(net.ask(&foreign, What::Identities), None, "P-45");
    assert_eq!(net.fetch(&foreign, What::Identities, &own), None);

    net.ask(&hand, What::Identities);
    net.run_for(1500 * Duration::from_millis(1));
    let digests = vec![pki("a", "node").to_wire()];
    let request = DataRequest { nonce: 7, digests, msg_type: What::Identities.msg_type() };
    net.say(&hand, What::Identities, Content::DataReq(request));
    assert_eq!(net.contents(&hand), [], "P-24");
}

/// N-34, P-8, P-12, P-32: stored, served as they came, and not asked for again.
#[test]
fn what_was_pulled_is_served_to_the_own_organisation() {
    let (mut net, hand) = node_and_hand();
    let others = [Hand::named("a", "x"), Hand::named("b", "y")];
    teach(&mut net, &hand, &[&others[0], &others[1]]);
    assert_eq!(net.peers[0].node.stats().identities_pulled, 2);
    let all = [others[0].pki_id, others[1].pki_id, pki("a", "node")].map(|id| id.to_wire());
    let digest = net.ask(&hand, What::Identities).expect("a digest");
    assert_eq!(sorted(digest), sorted(all.to_vec()));
    let id = others[1].pki_id.to_wire();
    assert_eq!(net.fetch(&hand, What::Identities, &[id]), Some(vec![message(&others[1])]));

    net.run_for(10 * SECOND);
    let nonce = provoke(&mut net, &hand);
    assert_eq!(net.offer(&hand, What::Identities, nonce, &all), None, "N-28");
}

/// P-44, N-37: of foreign organisations only its own, and only who can be reached from outside.
#[test]
fn another_organisation_learns_of_ours_and_its_own_that_it_can_reach() {
    let (mut net, hand) = node_and_hand();
    let reachable = [Hand::named("a", "x"), Hand::named("b", "y"), Hand::named("c", "z")];
    let hidden = Hand::named("b", "w");
    let [x, y, z] = &reachable;
    teach(&mut net, &hand, &[x, y, z, &hidden]);
    for other in &reachable {
        net.send(hand.conn, frame(&other.alive(1)));
    }
    let payload = hidden.alive_payload(1, None, None);
    net.send(hand.conn, frame(&hidden.seal(payload)));
    net.round_trip();
    let foreign = net.hand("b", "foreign", 0);
    let digest = net.ask(&foreign, What::Identities).expect("a digest");
    let seen = [x.pki_id, y.pki_id, pki("a", "node")].map(|id| id.to_wire());
    assert_eq!(sorted(digest), sorted(seen.to_vec()));
    let ids = [z.pki_id.to_wire(), hidden.pki_id.to_wire()];
    assert_eq!(net.fetch(&foreign, What::Identities, &ids), None, "N-31");
}

/// N-33, P-47, as far as it shows: a bad item is neither stored nor served. Better than Fabric, the
/// good ones beside it are.
#[test]
fn of_an_update_the_good_identities_are_kept_and_the_bad_ones_are_not() {
    let (mut net, hand) = node_and_hand();
    let good = Hand::named("a", "good");
    let forged = Hand::named("a", "forged");
    let claimed = Hand::named("a", "claimed");
    let revoked = Hand::named("a", "revoked");
    let secretive = Hand::named("a", "secretive");
    net.peers[0].backend.revoked.insert(revoked.identity.as_bytes().clone());
    let all = [&good, &forged, &claimed, &revoked, &secretive];
    let nonce = provoke(&mut net, &hand);
    let ids: Vec<_> = all.iter().map(|hand| hand.pki_id.to_wire()).collect();
    net.offer(&hand, What::Identities, nonce, &ids).expect("a request");
    let mut bad_signature = message(&forged);
    bad_signature.signature = id("another signature");
    let mut bad_secret = message(&secretive);
    bad_secret.secret_envelope = Some(hand.secret("signed by another"));
    let no_identity = hand.alive(1);
    let no_message = hand.seal(id("\u{7f}"));
    let wrong_pki_id = message_of(claimed.pki_id.to_wire(), &good);
    net.give(
        &hand,
        What::Identities,
        nonce,
        vec![
            no_message,
            no_identity,
            bad_signature,
            bad_secret,
            wrong_pki_id,
            message(&revoked),
            message(&good),
        ],
    );
    net.round_trip();
    let digest = net.ask(&hand, What::Identities).expect("a digest");
    let kept = [good.pki_id, pki("a", "node")].map(|id| id.to_wire());
    assert_eq!(sorted(digest), sorted(kept.to_vec()));
    let stats = net.peers[0].node.stats();
    let faults = [Fault::Undecodable, Fault::Malformed, Fault::BadSignature, Fault::BadIdentity];
    assert_eq!(faults.map(|fault| stats.faults(fault)), [1, 1, 2, 2]);
    assert!(net.is_open(hand.conn));
}

/// N9.2.b: what did not hold is not asked for again and again; of others it is.
#[test]
fn what_a_peer_sent_in_vain_it_is_not_asked_for_again_for_a_minute() {
    let (mut net, hand) = node_and_hand();
    let other = net.hand("a", "other", 0);
    let subject = Hand::named("a", "x");
    let ids = [subject.pki_id.to_wire()];
    let nonce = provoke(&mut net, &hand);
    net.offer(&hand, What::Identities, nonce, &ids).expect("a request");
    let mut forged = message(&subject);
    forged.signature = id("forged");
    net.give(&hand, What::Identities, nonce, vec![forged]);
    net.run_for(10 * SECOND);
    let nonce = provoke(&mut net, &hand);
    assert_eq!(net.offer(&hand, What::Identities, nonce, &ids), None);
    let nonce = provoke(&mut net, &other);
    assert_eq!(net.offer(&other, What::Identities, nonce, &ids).as_deref(), Some(&ids[..]));
    net.run_for(60 * SECOND);
    let nonce = provoke(&mut net, &hand);
    assert_eq!(net.offer(&hand, What::Identities, nonce, &ids).as_deref(), Some(&ids[..]));
}

/// N-28, as far as it is on its way to be held.
#[test]
fn an_identity_that_is_being_verified_is_not_asked_for_again() {
    let (mut net, hand) = node_and_hand();
    let other = net.hand("a", "other", 0);
    let subject = Hand::named("a", "x");
    let ids = [subject.pki_id.to_wire()];
    let nonce = provoke(&mut net, &hand);
    net.offer(&hand, What::Identities, nonce, &ids).expect("a request");
    let nonce_of_other = provoke(&mut net, &other);
    net.peers[0].jobs = |job| match job {
        JobKind::Verify { .. } => Fate::Held,
        _ => Fate::Answered,
    };
    net.give(&hand, What::Identities, nonce, vec![message(&subject)]);
    assert_eq!(net.peers[0].held.len(), 1);
    assert_eq!(net.offer(&other, What::Identities, nonce_of_other, &ids), None);
    net.answer_held(0);
    net.round_trip();
    assert_eq!(net.peers[0].node.stats().identities_pulled, 1);
}

/// W-23, W-40: what an item's tag is does not matter, nor what Fabric leaves empty.
#[test]
fn the_tag_and_the_metadata_of_an_identity_do_not_matter() {
    let (mut net, hand) = node_and_hand();
    let nonce = provoke(&mut net, &hand);
    let subjects = ["x", "y", "z"].map(|name| Hand::named("a", name));
    let ids = subjects.each_ref().map(|subject| subject.pki_id.to_wire());
    net.offer(&hand, What::Identities, nonce, &ids).expect("a request");
    let tags = [Tag::Empty, Tag::OrgOnly, Tag::Undefined];
    let items = subjects.iter().zip(tags).map(|(subject, tag)| message_with(subject, tag, "m"));
    net.give(&hand, What::Identities, nonce, items.collect());
    assert_eq!(net.peers[0].node.stats().identities_pulled, 3);
    assert_eq!(net.peers[0].node.identities().len(), 5);
}

/// W-40: the metadata of a hello, and the known of a request for members.
#[test]
fn what_fabric_leaves_empty_is_ignored_where_it_is_not() {
    let (mut net, hand) = node_and_hand();
    let hello = GossipHello { nonce: 7, metadata: id("m"), msg_type: What::Identities.msg_type() };
    net.say(&hand, What::Identities, Content::Hello(hello));
    let is_digest = |content: &Content| matches!(content, Content::DataDig(_));
    assert!(net.contents(&hand).iter().any(is_digest));
    let (self_information, known) = (Some(hand.alive(1)), vec![id("known"), id("")]);
    let request = MembershipRequest { self_information, known };
    net.say(&hand, What::Identities, Content::MemReq(request));
    let is_response = |content: &Content| matches!(content, Content::MemRes(_));
    assert!(net.contents(&hand).iter().any(is_response));
}

/// W-34: whichever comes first stays.
#[test]
fn of_two_messages_of_one_identity_the_first_is_served() {
    for order in [["m", "n"], ["n", "m"]] {
        let (mut net, hand) = node_and_hand();
        let subject = Hand::named("a", "x");
        let ids = [subject.pki_id.to_wire()];
        let nonce = provoke(&mut net, &hand);
        net.offer(&hand, What::Identities, nonce, &ids).expect("a request");
        let items = order.map(|metadata| message_with(&subject, Tag::Empty, metadata));
        for item in &items {
            net.give(&hand, What::Identities, nonce, vec![item.clone()]);
        }
        assert_eq!(net.fetch(&hand, What::Identities, &ids), Some(vec![items[0].clone()]));
    }
}

/// P-2: at most as many as configured, each once, and not always the same.
#[test]
fn a_round_asks_three_of_the_living_chosen_anew_or_all_if_they_are_fewer() {
    for (members, asked) in [(6, 3), (2, 2)] {
        let mut net = Net::new();
        net.add("a", "node", |_| {});
        let hands: Vec<_> = (0..members).map(|n| net.hand("a", &format!("h{n}"), 0)).collect();
        let mut chosen = BTreeSet::new();
        for step in 0..800 {
            if step % 100 == 0 {
                for hand in &hands {
                    net.send(hand.conn, frame(&hand.alive_with_identity(step + 1)));
                }
            }
            // As if something lacked.
            net.peers[0].node.pull(Puller::Identities, Engine::stir);
            net.run_for(SECOND / 10);
            let is_hello =
                |content: &Content| matches!(content, Content::Hello(pull) if pull.msg_type == 2);
            let mut round = Vec::new();
            for (number, hand) in hands.iter().enumerate() {
                let hellos = net.contents(hand).iter().filter(|content| is_hello(content)).count();
                round.extend(vec![number; hellos]);
            }
            if !round.is_empty() {
                assert_eq!(BTreeSet::from_iter(&round).len(), asked, "{round:?}");
                assert_eq!(round.len(), asked, "{round:?}");
                chosen.insert(round);
            }
        }
        // Of the 20 ways to choose three out of six about 12 come up in 17 rounds.
        assert!(if members == 2 { chosen.len() == 1 } else { chosen.len() > 5 }, "{chosen:?}");
    }
}

/// P-31: neither of no kind, nor of an unknown one, nor of blocks in the form of identities.
#[test]
fn a_hello_for_another_kind_of_item_gets_no_answer() {
    let (mut net, hand) = node_and_hand();
    for msg_type in [0, 1, 3, 99, -1] {
        let hello = GossipHello { nonce: 7, metadata: Bytes::new(), msg_type };
        net.say(&hand, What::Identities, Content::Hello(hello));
        let digests = vec![pki("a", "node").to_wire()];
        let request = DataRequest { nonce: 7, digests, msg_type: What::Identities.msg_type() };
        net.say(&hand, What::Identities, Content::DataReq(request));
        assert_eq!(net.contents(&hand), [], "{msg_type}");
    }
    assert!(net.is_open(hand.conn));
}

/// P-46: its identity may go while its connection is still there.
#[test]
fn who_is_of_no_known_organisation_may_learn_of_nobody() {
    let (mut net, hand) = node_and_hand();
    let (node, own) = (&mut net.peers[0].node, pki("a", "node").to_wire());
    assert_eq!(node.visible_identities(&hand.pki_id), [&own].into_iter().collect());
    assert!(node.served_identity(&hand.pki_id, &own).is_some());
    let nobody = pki("a", "nobody knows");
    assert_eq!(node.visible_identities(&nobody), Digest::default());
    assert_eq!(node.served_identity(&nobody, &own), None);
}

/// P-48.
#[test]
fn an_identity_that_comes_twice_changes_nothing() {
    let (mut net, hand) = node_and_hand();
    let subject = Hand::named("a", "x");
    let nonce = provoke(&mut net, &hand);
    let ids = [subject.pki_id.to_wire()];
    net.offer(&hand, What::Identities, nonce, &ids).expect("a request");
    let mut again = subject.seal(message(&subject).payload);
    again.secret_envelope = Some(subject.secret("anything"));
    net.give(&hand, What::Identities, nonce, vec![message(&subject)]);
    net.give(&hand, What::Identities, nonce, vec![again]);
    assert_eq!(net.peers[0].node.stats().identities_pulled, 1);
    assert_eq!(net.fetch(&hand, What::Identities, &ids), Some(vec![message(&subject)]));
}

/// P-13, N8.3.a: nobody can fill the store without being asked.
#[test]
fn an_identity_that_nobody_asked_for_is_not_looked_at() {
    let (mut net, hand) = node_and_hand();
    let subject = Hand::named("a", "x");
    let checks = net.peers[0].node.stats().validations;
    net.give(&hand, What::Identities, 77, vec![message(&subject)]);
    assert_eq!(net.peers[0].node.stats().validations, checks);
    assert_eq!(net.ask(&hand, What::Identities).map(|digest| digest.len()), Some(1));
}

/// P-14.
#[test]
fn an_identity_that_comes_late_is_known_but_not_served() {
    let (mut net, hand) = node_and_hand();
    let subject = Hand::named("a", "x");
    let nonce = provoke(&mut net, &hand);
    let ids = [subject.pki_id.to_wire()];
    net.offer(&hand, What::Identities, nonce, &ids).expect("a request");
    net.run_for(2 * SECOND);
    net.give(&hand, What::Identities, nonce, vec![message(&subject)]);
    assert_eq!(net.peers[0].node.identities().len(), 3);
    assert_eq!(net.ask(&hand, What::Identities).map(|digest| digest.len()), Some(1));
}

/// P-49, C-37.
#[test]
fn an_expired_identity_is_refused_and_one_that_expires_is_served_no_more() {
    let (mut net, hand) = node_and_hand();
    let subjects = [Hand::named("a", "x"), Hand::named("a", "y")];
    let expiries = [START + 30 * SECOND, UnixTime::from_secs(1)];
    for (subject, expiry) in subjects.iter().zip(expiries) {
        net.peers[0].backend.expiries.insert(subject.identity.as_bytes().clone(), expiry);
    }
    teach(&mut net, &hand, &[&subjects[0], &subjects[1]]);
    let own = pki("a", "node").to_wire();
    let digest = net.ask(&hand, What::Identities).expect("a digest");
    assert_eq!(sorted(digest), sorted(vec![own.clone(), subjects[0].pki_id.to_wire()]));
    net.run_for(30 * SECOND);
    assert_eq!(net.ask(&hand, What::Identities), Some(vec![own]));
}

/// N-38, C11.4.e: a purged identity is asked for again, and believed if it holds again.
#[test]
fn a_revoked_identity_is_served_no_more_until_it_holds_again() {
    let (mut net, hand) = node_and_hand();
    let subject = Hand::named("a", "x");
    teach(&mut net, &hand, &[&subject]);
    let bytes = subject.identity.as_bytes().clone();
    net.peers[0].backend.revoked.insert(bytes.clone());
    net.command(0, Command::SuspectPeers);
    net.round_trip();
    assert_eq!(net.ask(&hand, What::Identities).map(|digest| digest.len()), Some(1));
    net.peers[0].backend.revoked.remove(&bytes);
    teach(&mut net, &hand, &[&subject]);
    assert_eq!(net.ask(&hand, What::Identities).map(|digest| digest.len()), Some(2));
}

/// P-51, C-38, N-35.
#[test]
fn an_identity_that_nobody_uses_is_served_no_more_but_ours_always_is() {
    let mut net = Net::new();
    let node = net.add("a", "node", |config| config.identity_usage_threshold = 60 * SECOND);
    let hand = net.hand("a", "hand", node);
    teach(&mut net, &hand, &[&Hand::named("a", "x")]);
    net.run_for(90 * SECOND);
    let hand = net.hand("a", "hand", node);
    assert_eq!(net.ask(&hand, What::Identities), Some(vec![pki("a", "node").to_wire()]));
}

/// The signing key may be out of reach when the node starts.
#[test]
fn our_own_identity_is_signed_again_with_the_next_round_if_that_failed() {
    let config = node_and_hand().0.peers.remove(0).config;
    let mut node = Node::new(config, Instant::ZERO).expect("a good set-up");
    let mut signs = Vec::new();
    while let Some(now) = node.poll_timeout().filter(|at| *at < Instant::ZERO + 20 * SECOND) {
        node.handle(now, Event::Tick);
        while let Some(action) = node.poll_action() {
            let Action::Job(job) = action else { continue };
            let JobKind::Sign { payload } = job.kind() else { continue };
            let content = GossipMessage::decode(payload.clone()).map(|message| message.content);
            let is_identity = matches!(content, Ok(Some(Content::PeerIdentity(_))));
            let works = is_identity && signs.len() == 2;
            signs.extend(is_identity.then_some(now));
            node.handle(
                now,
                Event::JobDone(job.complete(match works {
                    true => Outcome::Signature(id("signature")),
                    false => Outcome::Failed("out of reach".into()),
                })),
            );
        }
    }
    assert_eq!(signs.len(), 3, "{signs:?}");
    assert!(signs[2] - signs[1] >= 4 * SECOND);
}
