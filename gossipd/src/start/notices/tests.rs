use std::{collections::BTreeSet, time::Duration};

use gossip_core::{CloseReason, ConnId, Fault, Stamp};

use super::*;

/// Writes lines about items, and returns them.
fn lines(form: Form, items: &[(Instant, Item)]) -> Vec<String> {
    let mut journal = Journal::new(form, Vec::new());
    for (at, item) in items {
        journal.write_item(*at, item).expect("memory takes all");
    }
    let text = String::from_utf8(journal.out).expect("text");
    text.lines().map(str::to_owned).collect()
}

fn json_lines(items: &[(Instant, Item)]) -> Vec<Value> {
    let parse = |line: &String| serde_json::from_str(line).expect("one line of JSON");
    lines(Form::Json, items).iter().map(parse).collect()
}

/// One notice of each kind.
fn all() -> Vec<Notice> {
    let (peer, conn, channel) = (PkiId::new([0xab; 32]), ConnId::new(1), ChannelId::from("ch"));
    let endpoint = || Endpoint::from("a:1");
    let stamp = Stamp { incarnation: 1, sequence: 2 };
    let came = PeerEndpoints { pki_id: peer, endpoints: vec![endpoint()] };
    let block = vec![0; 3].into();
    vec![
        Notice::ConnectionOpened { conn, pki_id: peer, inbound: true },
        Notice::ConnectionClosed { conn, pki_id: peer, reason: Some(CloseReason::Replaced) },
        Notice::HandshakeFailed { conn, remote: "b:2".into(), fault: Fault::TlsMismatch },
        Notice::DialFailed { endpoint: endpoint(), error: "no route".into() },
        Notice::MemberAlive { pki_id: peer, endpoint: Some(endpoint()) },
        Notice::MemberDead { pki_id: peer },
        Notice::MemberForgotten { pki_id: peer },
        Notice::IdentityLearned { pki_id: peer, org: "Org1MSP".into() },
        Notice::IdentityRemoved { pki_id: peer },
        Notice::ChannelPeer { channel: channel.clone(), pki_id: peer, height: 7, left: false },
        Notice::ChannelMembership { channel: channel.clone(), online: vec![came], offline: vec![] },
        Notice::Leadership { channel: channel.clone(), pki_id: peer, stamp, is_declaration: true },
        Notice::BlockReceived { channel: channel.clone(), number: 7, block, from: peer },
        Notice::BlockCommitted { channel: channel.clone(), number: 7 },
        Notice::StateTransferStarted { channel: channel.clone(), height: 1, target: 9 },
        Notice::StateTransferEnded { channel: channel.clone(), height: 9, is_complete: true },
        Notice::CommitFailed { channel, number: 8, reason: "disk full".into() },
        Notice::SigningFailed { reason: "no key".into() },
        Notice::OwnIdentityElsewhere { endpoint: Some(endpoint()) },
        Notice::PeerMisbehaved { conn, pki_id: Some(peer), fault: Fault::BadBlock },
    ]
}

#[test]
fn every_notice_has_the_fields_that_the_help_names_and_no_others() {
    let now = Instant::now();
    let items = all().into_iter().map(Item::Notice).chain([Item::Lost(3)]);
    let lines = json_lines(&items.map(|item| (now, item)).collect::<Vec<_>>());
    assert_eq!(lines.len(), all().len() + 1);
    let mut documented: BTreeSet<_> = NOTICES.iter().map(|(name, ..)| *name).collect();
    for line in &lines {
        let name = line["notice"].as_str().expect("a name");
        let (_, fields, _) = NOTICES.iter().find(|(known, ..)| *known == name).expect(name);
        let expected: BTreeSet<_> = fields.split(' ').chain(["notice", "time"]).collect();
        let found = line.as_object().expect("an object").keys().map(String::as_str);
        assert_eq!(found.collect::<BTreeSet<_>>(), expected, "{name}");
        documented.remove(name);
        assert!(help().contains(&format!("\n  {name}: ")), "{name}");
    }
    assert_eq!(documented, ["channel_joined", "started"].into(), "they are written elsewhere");
    assert!(help().lines().all(|line| line.chars().count() <= 100), "{}", help());
}

#[test]
fn a_notice_is_one_line_of_json_or_of_words_with_the_time_at_which_it_was_noticed() {
    let notice = Notice::DialFailed { endpoint: "a:1".into(), error: "no\nroute".into() };
    let items = [(Instant::now() - Duration::from_secs(60), Item::Notice(notice))];
    let before = rfc3339(SystemTime::now() - Duration::from_secs(61));
    let [line] = &mut *json_lines(&items) else { panic!("one line") };
    let time = line.as_object_mut().expect("an object").remove("time").expect("a time");
    let time = time.as_str().expect("text").to_owned();
    assert!(before < time && time < rfc3339(SystemTime::now()), "{time}");
    let expected = json!({ "notice": "dial_failed", "endpoint": "a:1", "error": "no\nroute" });
    assert_eq!(*line, expected);
    let [line] = &*lines(Form::Text, &items) else { panic!("one line") };
    let (time, words) = line.split_once(' ').expect("words");
    assert_eq!((time.len(), words), (24, "dial failed endpoint=a:1 error=no\\nroute"));
}

#[test]
fn a_committed_block_is_told_with_size_sender_and_delay_since_it_came() {
    let now = Instant::now();
    let block = |number: u64| Notice::BlockReceived {
        channel: "ch".into(),
        number,
        block: vec![0; 3].into(),
        from: PkiId::new([0xab; 32]),
    };
    let committed = |number| Notice::BlockCommitted { channel: "ch".into(), number };
    let after = |micros, notice| (now + Duration::from_micros(micros), Item::Notice(notice));
    let items = [
        after(0, block(7)),
        after(10, block(9)),
        after(1_500, committed(7)),
        after(2_000, committed(8)),
        (now, Item::Lost(1)),
        after(3_000, committed(9)),
    ];
    let lines = json_lines(&items);
    let about =
        |line: &Value| ["number", "bytes", "from", "delay_ms"].map(|field| line[field].clone());
    let sender = json!("ab".repeat(32));
    assert_eq!(about(&lines[0])[..3], [json!(7), json!(3), sender.clone()]);
    assert_eq!(about(&lines[2]), [json!(7), json!(3), sender, json!(1.5)]);
    let unknown = |number: u64| [json!(number), Value::Null, Value::Null, Value::Null];
    assert_eq!(about(&lines[3]), unknown(8), "it did not come by gossip");
    assert_eq!(lines[4]["count"], 1);
    assert_eq!(about(&lines[5]), unknown(9), "its receipt may have been lost");
}

#[test]
fn blocks_that_are_never_committed_are_remembered_within_bounds() {
    let mut journal = Journal::new(Form::Json, io::sink());
    for number in 0..=WAITING_MAX as u64 {
        let (block, from) = (vec![].into(), PkiId::new([0; 32]));
        let notice = Notice::BlockReceived { channel: "ch".into(), number, block, from };
        journal.write_item(Instant::now(), &Item::Notice(notice)).expect("a sink takes all");
    }
    assert_eq!(journal.waiting.len(), WAITING_MAX);
}
