//! Each checker of the simulator objects to what it is there for: its violation is planted in a
//! world in which everything is in order.

use std::time::Duration;

use bytes::Bytes;
use gossip_core::{ChannelId, Instant, Member, Notice, PkiId, Table, UnixTime};
use gossip_proto::gossip::{
    AliveMessage, DataMessage, Envelope, GossipMessage, LeadershipMessage, Member as Membership,
    MembershipResponse, Payload, PeerTime, SecretEnvelope, StateInfo, StateInfoSnapshot,
    gossip_message::{Content, Tag},
};
use gossip_tests::sim::{
    FaultClass, Options, World,
    check::{Seen, unmet},
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

/// Peers 0 and 2 are of one organisation, 1 and 3 of the other.
fn world() -> World {
    let mut world = World::new(Options { peers: 4, ..Options::new(3) }).expect("a world");
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.violation(), None);
    world
}

/// Shows something to the checkers as if peer 0 had done it; returns who objects.
fn objection(world: &mut World, seen: &Seen<'_>) -> Option<&'static str> {
    world.observe(0, seen);
    world.violation().map(|violation| violation.checker)
}

fn assert_bites(checker: &str, seen: &Seen<'_>) {
    assert_eq!(objection(&mut world(), seen), Some(checker), "{seen:?}");
}

fn message(tag: Tag, channel: &str, content: Content) -> GossipMessage {
    let channel = Bytes::copy_from_slice(channel.as_bytes());
    GossipMessage { nonce: 0, channel, tag: tag as i32, content: Some(content) }
}

fn frame(tag: Tag, channel: &str, content: Content) -> Bytes {
    let payload = message(tag, channel, content).encode_to_vec().into();
    Envelope { payload, ..Envelope::default() }.encode_to_vec().into()
}

fn sent(to: usize, frame: &Bytes) -> Seen<'_> {
    Seen::Sent { to, unwritten: 1, frame }
}

fn alive(inc_num: u64, seq_num: u64) -> Content {
    let membership = Some(Membership::default());
    let timestamp = Some(PeerTime { inc_num, seq_num });
    Content::AliveMsg(AliveMessage { membership, timestamp, ..AliveMessage::default() })
}

#[test]
fn a_statement_that_is_older_than_the_one_before() {
    let later = u64::MAX;
    for (first, second) in [((later, 5), (later, 4)), ((later, 1), (later - 1, 9))] {
        let mut world = world();
        let payload = |(inc, seq)| message(Tag::Empty, "", alive(inc, seq)).encode_to_vec().into();
        assert_eq!(objection(&mut world, &Seen::Signed { payload: &payload(first) }), None);
        let second = Seen::Signed { payload: &payload(second) };
        assert_eq!(objection(&mut world, &second), Some("own stamps grow"));
    }
}

#[test]
fn a_block_out_of_order_unverified_or_twice() {
    const CHECKER: &str = "blocks in order, once, verified";
    let channel = &ChannelId::from("all");
    let block = &Bytes::from_static(b"no orderer made this block, whatever it says");
    assert_bites(CHECKER, &Seen::Committed { channel, number: 9, height: 8, block });
    assert_bites(CHECKER, &Seen::Committed { channel, number: 8, height: 8, block });
    let (channel, block) = (channel.clone(), block.clone());
    let from = PkiId::new([0; 32]);
    let received = Notice::BlockReceived { channel: channel.clone(), number: 1, block, from };
    assert_bites(CHECKER, &Seen::Noticed(&received));
    let mut world = world();
    let committed = Notice::BlockCommitted { channel, number: 1_000 };
    assert_eq!(objection(&mut world, &Seen::Noticed(&committed)), None);
    assert_eq!(objection(&mut world, &Seen::Noticed(&committed)), Some(CHECKER));
}

#[test]
fn a_gap_before_a_block() {
    let channel = &ChannelId::from("all");
    let block = &Bytes::new();
    let mut world = world();
    objection(&mut world, &Seen::Committed { channel, number: 12, height: 10, block });
    let what = world.violation().map(|violation| violation.what.clone()).unwrap_or_default();
    assert!(what.contains("block 12") && what.contains("at 10"), "{what}");
}

#[test]
fn somebody_alive_and_dead_at_once() {
    const CHECKER: &str = "nobody alive and dead at once";
    let somebody = world().pki_id(1);
    let nobody = PkiId::new([9; 32]);
    let alive = Notice::MemberAlive { pki_id: somebody, endpoint: None };
    assert_bites(CHECKER, &Seen::Noticed(&alive));
    assert_bites(CHECKER, &Seen::Noticed(&Notice::MemberDead { pki_id: nobody }));
    let mut world = world();
    assert_eq!(view(&mut world, |_| {}), None);
    assert_eq!(view(&mut world, |members| drop(members.pop())), Some(CHECKER));
}

/// Shows a view of peer 0 after a change to it.
fn view(world: &mut World, change: impl FnOnce(&mut Vec<Member>)) -> Option<&'static str> {
    let node = world.node(0).expect("it runs");
    let mut members = node.members();
    change(&mut members);
    let wall = UnixTime::from_secs(1_700_000_020);
    let known = node.identities();
    let expiring: Vec<_> = known.into_iter().map(|(pki_id, ..)| pki_id).collect();
    let members: Vec<_> = members.iter().map(Member::view).collect();
    let (members, expiring) = (&members, &expiring);
    objection(world, &Seen::View { wall, members, expiring, connections: 3, tables: &[] })
}

#[test]
fn a_view_of_what_nobody_said() {
    const CHECKER: &str = "views tell what was signed";
    let nowhere = || Some("nowhere:1".into());
    assert_eq!(view(&mut world(), |all| all[0].external_endpoint = nowhere()), Some(CHECKER));
    assert_eq!(view(&mut world(), |all| all[0].internal_endpoint = nowhere()), Some(CHECKER));
    assert_eq!(view(&mut world(), |all| all[0].stamp.sequence += 1_000), Some(CHECKER));
}

#[test]
fn an_identity_that_outlives_its_expiry() {
    let mut world = with_one_that_expires();
    // It is known, alive or not.
    let expiring = [world.pki_id(3)];
    for (is_alive, objects_to) in [(true, "holds alive"), (false, "knows")] {
        let members = world.node(0).expect("it runs").members();
        assert_eq!(members.len(), if is_alive { 3 } else { 2 });
        let wall = UnixTime::from_secs(1_700_000_000 + 700);
        let members: Vec<_> = members.iter().map(Member::view).collect();
        let (members, expiring) = (&members, &expiring);
        let seen = Seen::View { wall, members, expiring, connections: 3, tables: &[] };
        let mut checked = world;
        assert_eq!(objection(&mut checked, &seen), Some("expired identities leave"));
        let what = checked.violation().map(|violation| violation.what.clone()).unwrap_or_default();
        assert!(what.contains(objects_to), "{what}");
        world = with_one_that_expires();
        world.crash(3, true);
        world.run_for(Duration::from_secs(60));
    }
}

/// The certificate of peer 3 expires after ten minutes.
fn with_one_that_expires() -> World {
    let mut world = world();
    world.certify(3, Some(Duration::from_secs(600)));
    world.run_for(Duration::from_secs(30));
    assert_eq!(view(&mut world, |_| {}), None);
    world
}

#[test]
fn a_secret_that_crosses_to_another_organisation() {
    const CHECKER: &str = "nothing crosses to whom it is not for";
    let secret = SecretEnvelope { payload: vec![1].into(), signature: vec![2].into() };
    let payload = message(Tag::Empty, "", alive(1, 1)).encode_to_vec().into();
    let envelope = Envelope { payload, signature: vec![3].into(), secret_envelope: Some(secret) };
    let alone = envelope.encode_to_vec().into();
    assert_bites(CHECKER, &sent(1, &alone));
    assert_eq!(objection(&mut world(), &sent(2, &alone)), None, "within the organisation");
    for (living, dead) in [(vec![envelope.clone()], vec![]), (vec![], vec![envelope.clone()])] {
        let response = MembershipResponse { alive: living, dead };
        assert_bites(CHECKER, &sent(1, &frame(Tag::Empty, "", Content::MemRes(response))));
    }
    let endpoint = &world().layout().internal(1);
    assert_bites(CHECKER, &Seen::Dialled { endpoint });
    let endpoint = &world().layout().internal(2);
    assert_eq!(objection(&mut world(), &Seen::Dialled { endpoint }), None);
}

#[test]
fn blocks_and_what_is_of_a_channel_cross_to_another_organisation() {
    const CHECKER: &str = "nothing crosses to whom it is not for";
    let block = DataMessage { payload: Some(Payload { seq_num: 1, ..Payload::default() }) };
    let leadership = LeadershipMessage::default();
    for content in [Content::DataMsg(block), Content::LeadershipMsg(leadership)] {
        assert_bites(CHECKER, &sent(1, &frame(Tag::ChanAndOrg, "all", content)));
    }
    let snapshot = || Content::StateSnapshot(StateInfoSnapshot::default());
    assert_bites(CHECKER, &sent(1, &frame(Tag::ChanOrOrg, "only-a", snapshot())));
    let honest = frame(Tag::ChanOrOrg, "all", snapshot());
    assert_eq!(objection(&mut world(), &sent(1, &honest)), None);
    let pki_id = Bytes::from_static(&[7; 32]);
    let mac = Sha256::new().chain_update(&pki_id).chain_update("only-a").finalize();
    let channel_mac = Bytes::copy_from_slice(&mac);
    let info = StateInfo { pki_id, channel_mac, ..StateInfo::default() };
    assert_bites(CHECKER, &sent(1, &frame(Tag::ChanOrOrg, "", Content::StateInfo(info))));
}

#[test]
fn a_frame_that_means_nothing() {
    for garbage in [&b""[..], b"\xff\xff\xff", b"\x0a\x02\x08\x01"] {
        assert_bites("frames mean something", &sent(2, &Bytes::from_static(garbage)));
    }
}

#[test]
fn too_much_at_once() {
    const CHECKER: &str = "bounded work and memory";
    assert_bites(CHECKER, &Seen::Batch { actions: 10_000 });
    let mut hot = world();
    let now = hot.now();
    assert_eq!(objection(&mut hot, &Seen::Ticked { next: Some(now) }), Some(CHECKER));
    let frame = &frame(Tag::Empty, "", alive(1, 1));
    assert_bites(CHECKER, &Seen::Sent { to: 2, unwritten: 65, frame });
    let wall = UnixTime::from_secs(1);
    let members = world().node(0).expect("it runs").members();
    let members: &Vec<_> = &members.iter().map(Member::view).collect();
    let view = |connections, tables| {
        let seen = Seen::View { wall, members, expiring: &[], connections, tables };
        objection(&mut world(), &seen)
    };
    assert_eq!(view(5_000, &[]), Some(CHECKER));
    let table = |size| [Table { name: "rivals of one claim", size, max: 8 }];
    let [full, overfull] = [table(8), table(9)];
    assert_eq!(view(3, &full), None);
    assert_eq!(view(3, &overfull), Some(CHECKER));
    let mut busy = world();
    for _ in 0..3_000 {
        objection(&mut busy, &Seen::Ticked { next: Some(Instant::MAX) });
    }
    assert_eq!(busy.violation().map(|violation| violation.checker), Some(CHECKER));
}

#[test]
fn peers_that_do_not_find_each_other_again() {
    let mut world = world();
    world.heal();
    world.run_for(Duration::from_secs(10));
    assert_eq!(unmet(&world), []);
    world.separate(&[0], &[1, 2, 3], false, Duration::from_secs(3600));
    world.run_for(Duration::from_secs(60));
    assert!(unmet(&world).iter().any(|unmet| (unmet.host, unmet.of) == (0, 1)));
    assert!(unmet(&world).iter().any(|unmet| (unmet.host, unmet.of) == (3, 0)));
    assert!(!unmet(&world).iter().any(|unmet| (unmet.host, unmet.of) == (3, 1)));
}

#[test]
fn a_revoked_identity_that_stays() {
    let mut world = world();
    world.heal();
    world.run_for(Duration::from_secs(10));
    assert_eq!(unmet(&world), []);
    world.revoke(3);
    let what: Vec<_> = unmet(&world).into_iter().map(|unmet| unmet.what).collect();
    assert!(what.contains(&"a0 holds a revoked identity of b1 alive".to_owned()), "{what:?}");
}

#[test]
fn blocks_that_are_lost() {
    let mut world = world();
    world.heal();
    world.run_for(Duration::from_secs(10));
    world.lose_ledger(2);
    let what: Vec<_> = unmet(&world).into_iter().map(|unmet| unmet.what).collect();
    assert!(what.iter().any(|what| what.starts_with("a1 has 0 of")), "{what:?}");
}

/// What a hostile host does is not held against the nodes.
#[test]
fn hostile_peers_are_not_checked() {
    let faults = [FaultClass::Byzantine].into_iter().collect();
    let options = Options { peers: 4, faults, ..Options::new(3) };
    let mut world = World::new(options).expect("a world");
    world.run_for(Duration::from_secs(10));
    assert!(world.is_byzantine(3) && !world.is_byzantine(0));
    world.observe(3, &Seen::Batch { actions: 10_000 });
    assert_eq!(world.violation(), None);
}
