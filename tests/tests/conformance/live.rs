//! What the recorded node did with messages of authenticated peers.
//!
//! Proves, where the node is as recorded: W-8, W-11, W-12, W-14, W-16, W-17, W-19, W-21, W-24,
//! W-29, W-31, W-32, W-36, W-39, W-41, D-9, D-17, D-23, D-33, N-12, CH-28, CH-39, CH-41, CH-42,
//! CH-52, CH-53, S-25, S-27.

use std::{collections::BTreeMap, time::Duration};

use gossip_core::{ChannelId, Notice, OrgId, PkiId};
use gossip_msp::Identities;
use gossip_proto::gossip::{Envelope, GossipMessage, gossip_message::Content};
use prost::Message as _;

use super::{
    answers::{self, Roles},
    backend::Backend,
    organisation::{Organisation, msp},
    prober::Prober,
    recording::{Case, Recording, Verdict},
    world::World,
};

/// Where we differ from the recorded node on purpose: case, what differs, why.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("data_msg_too_old", "blocks_delivered", LATE_BLOCK),
    ("data_update_unsolicited", "blocks_delivered", UNSOLICITED),
    ("leadership_valid", "leadership_delivered", NO_ELECTION),
    ("nonce_wrong_wire_type", "forwarded_to_other_peer", WIRE_TYPE),
    ("nonce_wrong_wire_type", "prober_in_membership", WIRE_TYPE),
    ("state_request_batch_plus_2", "responses", LONG_RANGE),
];

const LATE_BLOCK: &str = "a block that the ledger lacks is taken, however late it comes";
const UNSOLICITED: &str = "an update that nobody asked for is not read";
const NO_ELECTION: &str = "the node takes no part in elections";
const LONG_RANGE: &str = "who asks for more blocks than a batch has gets a batch";
const WIRE_TYPE: &str =
    "a known field with another wire type makes a message undecodable; it is dropped";

#[test]
fn a_node_does_what_the_recorded_node_did() {
    let recording = Recording::read();
    assert_eq!(recording.live_cases.len(), 97);
    let mut found = Vec::new();
    for case in &recording.live_cases {
        let (expected, actual) = (case.recorded(), run(&recording, case));
        for (what, difference) in differences(&expected, &actual) {
            found.push((case.name.as_str(), what, difference));
        }
    }
    let is_known = |case: &str, what: &str| {
        DIFFERENCES.iter().any(|(name, field, _)| *name == case && *field == what)
    };
    let unknown: Vec<_> = found.iter().filter(|(case, what, _)| !is_known(case, what)).collect();
    assert!(unknown.is_empty(), "the node differs: {unknown:#?}");
    let is_gone = |entry: &&(&str, &str, &str)| {
        !found.iter().any(|(case, what, _)| *case == entry.0 && *what == entry.1)
    };
    let gone: Vec<_> = DIFFERENCES.iter().filter(is_gone).collect();
    assert!(gone.is_empty(), "the node no longer differs: {gone:#?}");
}

/// What is compared above is not there by itself: a forged message has another verdict.
#[test]
fn a_difference_is_noticed() {
    let mut recording = Recording::read();
    let mut case = recording.live_cases.remove(0);
    assert_eq!(case.name, "alive_valid");
    let expected = case.recorded();
    assert!(differences(&expected, &run(&recording, &case)).is_empty());
    let mut forged = case.envelopes_hex[0].to_vec();
    *forged.last_mut().expect("a signature") ^= 1;
    case.envelopes_hex[0] = forged.into();
    let found = differences(&expected, &run(&recording, &case));
    let fields: Vec<_> = found.iter().map(|(field, _)| *field).collect();
    assert_eq!(fields, ["forwarded_to_other_peer", "prober_in_membership"]);
}

/// Lets a fresh node live through one case.
fn run(recording: &Recording, case: &Case) -> Verdict {
    let channel = recording.channel.as_str();
    let mut world = world(recording);
    let other = Prober::connect(&mut world, &recording.identities[0].identity);
    other.introduce(&mut world);
    other.join(&mut world, channel);
    // Org3's authority is not in the recording.
    if case.prober_org == "Org3MSP" {
        world.backend.vouch_for_identity(&case.prober_identity_hex);
    }
    let prober = Prober::connect(&mut world, &case.prober_identity_hex);
    if case.prober_joined_first {
        prober.introduce(&mut world);
        prober.join(&mut world, channel);
    }
    for number in blocks_before(case) {
        other.push_block(&mut world, channel, *number);
    }
    world.run_for(SETTLED);
    prober.received(&mut world);
    other.received(&mut world);
    world.notices.clear();
    let verifies_before = world.backend.verifies();
    if introduces_itself(case) {
        prober.introduce(&mut world);
        world.run_for(PAUSE);
        other.received(&mut world);
    }
    if case.name == "data_req_nonce_expired" {
        other.push_block(&mut world, channel, 46);
    }
    let repeats = if case.name == "alive_duplicate" { 3 } else { 1 };
    for _ in 0..repeats {
        for frame in &case.envelopes_hex {
            world.receive(prober.conn, frame.clone());
            world.run_for(if case.name == "data_req_nonce_expired" { EXPIRED } else { PAUSE });
        }
    }
    observe(&mut world, channel, case, &prober, &other, verifies_before)
}

fn world(recording: &Recording) -> World {
    let mut msps: BTreeMap<&str, &str> = BTreeMap::new();
    for identity in &recording.identities {
        msps.insert(&identity.mspid, &identity.ca_pem);
    }
    let identities = Identities::new(msps.into_iter().map(|(mspid, pem)| msp(mspid, pem)));
    // Nobody here checks the node's own signatures: its organisation has the recorded name.
    let signer = Organisation::new("Org1MSP").peer();
    let orgs = ["Org1MSP", "Org2MSP"];
    let mut world = World::new(Backend::new(identities, signer, orgs.map(OrgId::from).to_vec()));
    world.join(&recording.channel, &orgs);
    world
}

/// Says whether the prober became a member in the case, by an alive message that is not in it.
fn introduces_itself(case: &Case) -> bool {
    let is_state_info =
        contents(case).first().is_some_and(|content| matches!(content, Content::StateInfo(_)));
    is_state_info && !case.prober_joined_first && case.recorded().prober_in_membership
}

/// Lists the blocks that the recorded node had from earlier cases, as far as that matters.
fn blocks_before(case: &Case) -> &'static [u64] {
    match case.name.as_str() {
        "hello_block_valid" => &[42, 43],
        _ => &[],
    }
}

fn observe(
    world: &mut World,
    channel: &str,
    case: &Case,
    prober: &Prober,
    other: &Prober,
    verifies_before: u64,
) -> Verdict {
    let sent: Vec<_> = envelopes(case).collect();
    let relayed = other.received(world);
    let answers: Vec<_> = prober
        .received(world)
        .into_iter()
        .filter_map(|(_, message)| Some((answers::name(&message)?, message)))
        .collect();
    let mut responses = BTreeMap::new();
    for (name, _) in &answers {
        *responses.entry((*name).to_owned()).or_insert(0) += 1;
    }
    let members = world.node.members();
    let peers = world.node.channel_peers(&ChannelId::from(channel)).expect("it was joined");
    let member = members.iter().find(|member| member.pki_id == prober.pki_id);
    let delivered = world.notices.iter().filter_map(|notice| match notice {
        Notice::BlockReceived { number, .. } => Some(*number),
        _ => None,
    });
    let external = member.and_then(|member| member.external_endpoint.as_ref());
    let third_party = third_party(case);
    let first = answers.first().map(|(_, message)| message);
    let roles = Roles { asker: prober.pki_id, node: PkiId::new(world.backend.signer().pki_id()) };
    Verdict {
        blocks_delivered: delivered.collect(),
        // As it came: payload, signature and secret (W-12).
        forwarded_to_other_peer: relayed.iter().any(|(envelope, _)| sent.contains(envelope)),
        // There is nobody to deliver them to.
        leadership_delivered: 0,
        prober_in_channel: peers.iter().any(|peer| peer.member.pki_id == prober.pki_id),
        prober_in_membership: member.is_some(),
        responses,
        stream_closed: world.closed.contains_key(&prober.conn),
        verifies_done: world.backend.verifies() - verifies_before,
        endpoint_known: external.map(|endpoint| endpoint.as_str().to_owned()),
        third_party_in_membership: third_party
            .map(|third| world.notices.iter().any(|notice| is_arrival(notice, &third))),
        response_nonce: first.map(|message| message.nonce),
        response_seqs: first.and_then(answers::blocks),
        response: first.map(|message| roles.tell(message)),
    }
}

/// Says whether a peer came alive. Nobody listens where it says, so it may be dead again.
fn is_arrival(notice: &Notice, peer: &PkiId) -> bool {
    matches!(notice, Notice::MemberAlive { pki_id, .. } if pki_id == peer)
}

/// Returns whose alive message is the last in a membership response of the case.
fn third_party(case: &Case) -> Option<PkiId> {
    let last = contents(case).into_iter().find_map(|content| match content {
        Content::MemRes(response) => response.alive.last().cloned(),
        _ => None,
    })?;
    match GossipMessage::decode(last.payload).ok()?.content? {
        Content::AliveMsg(alive) => PkiId::from_wire(&alive.membership?.pki_id),
        _ => None,
    }
}

fn envelopes(case: &Case) -> impl Iterator<Item = Envelope> + '_ {
    case.envelopes_hex.iter().filter_map(|frame| Envelope::decode(frame.clone()).ok())
}

fn contents(case: &Case) -> Vec<Content> {
    let content = |envelope: Envelope| GossipMessage::decode(envelope.payload).ok()?.content;
    envelopes(case).filter_map(content).collect()
}

/// Lists what differs, by name; of what is not in the recording, nothing does.
fn differences(expected: &Verdict, actual: &Verdict) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let mut compare = |what, expected: String, actual: String| {
        if expected != actual {
            found.push((what, format!("recorded {expected}, ours {actual}")));
        }
    };
    macro_rules! same {
        ($($field:ident),+ $(,)?) => {
            $(compare(
                stringify!($field),
                format!("{:?}", expected.$field),
                format!("{:?}", actual.$field),
            );)+
        };
    }
    same!(
        blocks_delivered,
        forwarded_to_other_peer,
        leadership_delivered,
        prober_in_channel,
        prober_in_membership,
        responses,
        stream_closed,
    );
    macro_rules! same_if_recorded {
        ($($field:ident),+ $(,)?) => {
            $(if expected.$field.is_some() {
                same!($field);
            })+
        };
    }
    same_if_recorded!(endpoint_known, third_party_in_membership);
    if expected.responses == actual.responses {
        same_if_recorded!(response, response_nonce, response_seqs);
    }
    // Fewer checks are better.
    let most = expected.verifies_done.max(actual.verifies_done);
    compare("verifies_done", format!("{}", expected.verifies_done), format!("{most}"));
    found
}

/// Long enough for all that a message sets off at once; answers to dials included.
const PAUSE: Duration = Duration::from_millis(300);

/// Longer than a request may come after its hello.
const EXPIRED: Duration = Duration::from_millis(1700);

/// Long enough for a member's arrival to have been told.
const SETTLED: Duration = Duration::from_millis(700);
