use std::{borrow::ToOwned as _, format, string::String, time::Duration, vec, vec::Vec};

use super::*;
use crate::{
    Chaincode, ChannelConfig, ChannelId, CloseReason, ConnId, Criteria, DialId, Endpoint, Identity,
    IdentityFacts, JobId, Message, MessageKind, Notice, OrgId, Outcome, PkiId, RequestId,
    TlsBinding, UnixTime, job::Completion,
};

#[test]
fn a_log_gives_back_what_was_written() {
    let (config, start) = (config(), Instant::from_nanos(77));
    let mut log = Vec::new();
    let mut writer = Writer::new(&config, start, &mut log).expect("small");
    let mut written = vec![format!("{:?}", (env!("CARGO_PKG_VERSION"), &config, start))];
    for (count, event) in events().iter().enumerate() {
        let at = Instant::from_nanos(u64::MAX - count as u64);
        writer.event(at, event, &mut log).expect("small");
        written.push(format!("Event {{ at: {at:?}, event: {event:?} }}"));
    }
    for command in commands() {
        let at = Instant::from_nanos(1 << 40);
        writer.command(at, &command, &mut log).expect("small");
        written.push(format!("Command {{ at: {at:?}, command: {command:?} }}"));
    }
    writer.refused(&CommandError::Stopped, &mut log).expect("small");
    written.push("Refused(\"the node was stopped\")".to_owned());
    writer.actions(&mut log).expect("none is none");
    let mut digest = Digest::default();
    let acted: Vec<_> = actions().iter().map(|action| digest.acted(action)).collect();
    actions().iter().for_each(|action| writer.action(action));
    writer.actions(&mut log).expect("small");
    written.push(format!("Actions({acted:?})"));
    writer.end(&mut log).expect("small");
    written.push("End".to_owned());
    let (read, rest) = read(&log).expect("a log");
    assert_eq!(read, written);
    assert_eq!(rest, 0);
}

#[test]
fn whatever_is_cut_off_the_records_before_are_whole() {
    let log = small_log();
    let (all, _) = read(&log).expect("a log");
    for len in PREFACE_LEN..log.len() {
        let (some, rest) = read(&log[..len]).expect("a log");
        assert_eq!(some, all[..some.len()], "{len} bytes");
        let is_between = len == PREFACE_LEN || record_at(&log, len - 1) < record_at(&log, len);
        assert_eq!(rest == 0, is_between, "{len} bytes");
    }
}

#[test]
fn every_altered_byte_is_found_in_its_record() {
    let log = small_log();
    for at in 0..log.len() {
        let mut altered = log.clone();
        altered[at] ^= 0x10;
        let (number, damage) = read(&altered).expect_err("it is altered");
        assert_eq!(number, record_at(&log, at), "byte {at}: {damage}");
        let is_checksum = matches!(damage, Damage::Head | Damage::Payload);
        assert!(is_checksum || at < PREFACE_LEN, "byte {at}: {damage}");
    }
}

#[test]
fn records_that_changed_places_are_found() {
    let log = small_log();
    let starts: Vec<_> = (0..log.len()).filter(|at| record_at(&log, *at) == 1).collect();
    let [first, last] = [starts[0], starts[starts.len() - 1]];
    let mut without = log[..first].to_vec();
    without.extend_from_slice(&log[last + 1..]);
    assert_eq!(read(&without).expect_err("one is missing"), (1, Damage::Head));
}

#[test]
fn what_is_no_log_or_one_of_another_format_is_named() {
    let mut preface = [0; PREFACE_LEN];
    assert_eq!(Reader::new(&preface).expect_err("zeros"), Damage::NotALog);
    preface[..8].copy_from_slice(MAGIC);
    preface[8] = 9;
    let error = Reader::new(&preface).expect_err("the future").to_string();
    assert_eq!(error, "a log of format 9; this version reads format 1");
}

#[test]
fn a_configuration_of_another_version_names_the_field() {
    let mut fields = Vec::new();
    config().put(&mut fields);
    let read = |fields: Vec<u8>| {
        let error = Source::new(fields.into()).only::<Config>().expect_err("another version");
        error.to_string()
    };
    let renamed = |from: &str, to: &str| {
        let text: String = fields.iter().map(|byte| char::from(*byte)).collect();
        text.replacen(from, to, 1).chars().map(|c| c as u8).collect::<Vec<_>>()
    };
    assert_eq!(
        read(renamed("pull_interval", "pull_intervaL")),
        "the configuration has no field pull_interval"
    );
    assert_eq!(
        read(renamed("claims_max", "claimS_max")),
        "the configuration has no field claims_max"
    );
    // One more field: its name, and one byte of value.
    let mut more = fields.clone();
    more[0] += 1;
    more.extend_from_slice(b"\x04size\x01\x07");
    assert_eq!(read(more), "this version knows no field \"size\" of the configuration");
    let bad = renamed("\x03tls\x01\x01", "\x03tls\x01\x02");
    assert_eq!(read(bad), "field tls of the configuration has no value");
}

#[test]
fn what_claims_to_be_long_costs_nothing() {
    for claim in [b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01".as_slice(), b"\xff\xff\xff\xff\x0f"] {
        let source = || Source::new(Bytes::copy_from_slice(claim));
        assert_eq!(source().only::<Vec<Bytes>>(), Err(Malformed::EndsEarly));
        assert_eq!(source().only::<String>(), Err(Malformed::EndsEarly));
    }
    let endless = Bytes::from(vec![0xff; 64]);
    assert_eq!(Source::new(endless).only::<u64>(), Err(Malformed::NumberTooLarge));
    let too_large = Bytes::from_static(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02");
    assert_eq!(Source::new(too_large).only::<u64>(), Err(Malformed::NumberTooLarge));
    assert_eq!(
        Source::new(Bytes::from_static(b"\x63")).only::<Event>().expect_err("no such event"),
        Malformed::UnknownVariant { of: "Event", number: 99 }
    );
}

#[test]
fn of_shared_bytes_the_digest_takes_what_it_is_told() {
    let mut shared = 0;
    for action in actions() {
        let mut told = |more: u64| {
            let (mut digest, before) = (Digest::default(), shared);
            digest.action_told(&action, |bytes| {
                shared += 1;
                bytes.len() as u64 + more
            });
            (digest, shared > before)
        };
        let (digest, has_shared) = told(0);
        assert_eq!(told(0), (digest, has_shared), "{action:?}");
        assert_eq!(told(1).0 != digest, has_shared, "{action:?}");
    }
    assert!(shared > 0);
}

#[test]
fn the_digest_depends_on_every_bit_and_on_the_order() {
    let of = |bytes: &[u8]| {
        let mut digest = Digest::default();
        digest.bytes(bytes);
        digest.value()
    };
    // As much as fills lanes, words and a part of one.
    let whole: Vec<u8> = (0..=150).collect();
    for bit in 0..whole.len() * 8 {
        let mut changed = whole.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_ne!(of(&changed), of(&whole), "bit {bit}");
    }
    for at in 0..whole.len() - 1 {
        let mut changed = whole.clone();
        changed.swap(at, at + 1);
        assert_ne!(of(&changed), of(&whole), "byte {at}");
        let moved = (at + 8) % whole.len();
        changed = whole.clone();
        changed.swap(at, moved);
        assert_ne!(of(&changed), of(&whole), "bytes {at} and {moved}");
    }
    assert_ne!(of(b"ab"), of(b"ba"));
    assert_ne!(of(b"a"), of(b"a\0"));
}

/// Reads a log: its records as text, and how many bytes are left that are no whole record. An
/// error comes with the number of the record.
fn read(log: &[u8]) -> Result<(Vec<String>, usize), (u64, Damage)> {
    let (preface, mut rest) = log.split_first_chunk::<PREFACE_LEN>().expect("a preface");
    let mut reader = Reader::new(preface).map_err(|damage| (0, damage))?;
    let mut records = Vec::new();
    while let Some((head, body)) = rest.split_first_chunk::<HEAD_LEN>() {
        let number = reader.number();
        let len = reader.payload_len(head).map_err(|damage| (number, damage))?;
        let Some((payload, after)) = body.split_at_checked(len) else { break };
        let payload = Bytes::copy_from_slice(payload);
        let text = match number {
            0 => reader
                .header(head, payload)
                .map(|Header { version, config, start }| format!("{:?}", (version, config, start))),
            _ => reader.record(head, payload).map(|record| format!("{record:?}")),
        };
        records.push(text.map_err(|damage| (number, damage))?);
        rest = after;
    }
    Ok((records, rest.len()))
}

/// Returns the number of the record that a byte belongs to.
fn record_at(log: &[u8], at: usize) -> u64 {
    let (mut number, mut end) = (0, PREFACE_LEN);
    loop {
        let len = u32::from_le_bytes(log[end..end + 4].try_into().expect("four bytes"));
        end += HEAD_LEN + len as usize;
        if at < end {
            return number;
        }
        number += 1;
    }
}

fn small_log() -> Vec<u8> {
    let mut log = Vec::new();
    let mut writer = Writer::new(&config(), Instant::ZERO, &mut log).expect("small");
    for event in events() {
        writer.event(Instant::from_nanos(5), &event, &mut log).expect("small");
        actions().iter().for_each(|action| writer.action(action));
        writer.actions(&mut log).expect("small");
    }
    writer.end(&mut log).expect("small");
    log
}

/// A configuration in which no field has its default.
fn config() -> Config {
    let identity = Identity::new(&b"identity"[..]);
    let endpoint = Endpoint::from("host:1");
    let mut config =
        Config::new(identity, PkiId::new([1; 32]), OrgId::from("org"), endpoint.clone());
    config.rng_seed = [3; 32];
    config.wall_clock = UnixTime::from_secs(1_700_000_000);
    config.external_endpoint = Some("out:2".into());
    config.metadata = Bytes::from_static(b"\0\xff");
    config.bootstrap = vec![endpoint];
    config.pull_interval = Duration::new(u64::MAX, 999_999_999);
    config.block_tree = false;
    config.limits.claims_max = usize::MAX;
    config
}

fn events() -> Vec<Event> {
    let (conn, dial) = (ConnId::new(3), DialId::new(300));
    let frame = Bytes::from_static(b"frame");
    let tls = Some(TlsBinding { local: [1; 32], remote: Some([2; 32]) });
    let facts = IdentityFacts {
        pki_id: PkiId::new([9; 32]),
        org: OrgId::from("org"),
        expires_at: Some(UnixTime::from_secs(5)),
    };
    let outcomes = [
        Outcome::Accepted,
        Outcome::Signature(frame.clone()),
        Outcome::Identity(facts),
        Outcome::Rejected("no".into()),
        Outcome::Failed("nobody knows".into()),
        Outcome::Blocks(vec![(7, frame.clone()), (8, Bytes::new())]),
    ];
    let answered = |outcome| Event::JobDone(Completion { id: JobId::new(8), outcome });
    let mut events: Vec<_> = outcomes.into_iter().map(answered).collect();
    events.extend([
        Event::Tick,
        Event::Message { conn, frame },
        Event::Connected { conn, dial: Some(dial), remote: "1.2.3.4:5".to_owned(), tls },
        Event::Connected { conn, dial: None, remote: String::new(), tls: None },
        Event::Pinged { dial },
        Event::DialFailed { dial, error: "refused".into() },
        Event::Disconnected { conn, write_failed: true },
        Event::Sent { conn, frames: u32::MAX },
        Event::WallClock(UnixTime::from_secs(9)),
    ]);
    events
}

fn commands() -> Vec<Command> {
    let channel = ChannelId::from("ch");
    let (conn, nonce, request) = (ConnId::new(1), 2, RequestId::new(1 << 63));
    let body = Bytes::from_static(b"body");
    let message = |kind| Message { channel: ChannelId::from("ch"), kind, body: body.clone() };
    let anchors = vec![Endpoint::from("a:1"), Endpoint::from("b:2")];
    let config = ChannelConfig { sequence: 4, orgs: vec![(OrgId::from("org"), anchors)] };
    let chaincode = Chaincode { name: "cc".to_owned(), version: "1".to_owned() };
    let criteria = Criteria {
        channel: Some(channel.clone()),
        to: Some(vec![PkiId::new([4; 32])]),
        max_peers: 2,
        min_ack: 1,
        timeout: Duration::from_millis(1500),
    };
    vec![
        Command::JoinChannel { channel: channel.clone(), config, height: Some(0) },
        Command::LeaveChannel { channel: channel.clone() },
        Command::GossipBlock { channel: channel.clone(), number: 7, block: body.clone() },
        Command::SetLedgerHeight { channel: channel.clone(), height: 8 },
        Command::SetChaincodes { channel: channel.clone(), chaincodes: vec![chaincode] },
        Command::SendLeadership { channel, is_declaration: true },
        Command::SetMetadata { metadata: body.clone() },
        Command::SendByCriteria { request, message: message(MessageKind::PrivateData), criteria },
        Command::Send { message: message(MessageKind::PrivateRequest), nonce, to: Vec::new() },
        Command::Accept { kinds: MessageKind::ALL.to_vec() },
        Command::Acknowledge { conn, nonce, error: Some("full".to_owned()) },
        Command::Respond { conn, nonce, message: message(MessageKind::PrivateResponse) },
        Command::Connect { endpoint: "c:3".into() },
        Command::SuspectPeers,
        Command::Stop,
    ]
}

fn actions() -> Vec<Action> {
    let (conn, purpose) = (ConnId::new(3), crate::DialPurpose::Handshake);
    let kind = crate::JobKind::Sign { payload: Bytes::from_static(b"payload") };
    vec![
        Action::Dial { dial: DialId::new(1), endpoint: "d:4".into(), purpose },
        Action::Send { conn, frame: Bytes::from_static(b"frame") },
        Action::Close { conn, reason: CloseReason::Overflow },
        Action::Job(crate::Job::new(JobId::new(6), kind)),
        Action::Notify(Notice::MemberDead { pki_id: PkiId::new([5; 32]) }),
    ]
}
