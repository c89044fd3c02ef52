//! Messages against bytes recorded from Fabric and the vectors of docs/protocol/10-wire.md §12.

use alloc::{format, string::String, vec, vec::Vec};

use bytes::Bytes;
use gossip_proto::gossip::{Envelope, GossipMessage, SecretEnvelope, gossip_message::Content};
use prost::Message as _;
use serde_json::Value;

use crate::{Chaincode, ChannelId, Endpoint, Fault, Identity, PkiId, Stamp};

use super::{Alive, NewAlive, NewStateInfo, Plain, StateInfo, Tag};

fn recorded() -> Value {
    let text = include_str!("../../../proto/tests/data/vectors.json");
    serde_json::from_str(text).expect("recorded vectors")
}

fn list(value: &Value, name: &str) -> Vec<Value> {
    value[name].as_array().expect("a list").clone()
}

fn hex(text: &str) -> Bytes {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits");
    (0..text.len()).step_by(2).map(digit).collect::<Vec<_>>().into()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The PKI-ID of the vectors.
fn p() -> PkiId {
    PkiId::new(core::array::from_fn(|at| at as u8))
}

const P: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const T2: &str = "8a306cdbd99099d0aee440b1c020292a7fe2d628613ce016c2c86c09794a485b";

/// Returns the recorded message of a name, or what the name says.
fn message(name: &str, messages: &[Value]) -> GossipMessage {
    if name == "no_content" {
        return GossipMessage::default();
    }
    if let Some(name) = name.strip_suffix("_undefined_type") {
        let mut message = message(&format!("{name}_block"), messages);
        match &mut message.content {
            Some(Content::Hello(pull)) => pull.msg_type = 0,
            Some(Content::DataDig(pull)) => pull.msg_type = 0,
            Some(Content::DataReq(pull)) => pull.msg_type = 0,
            Some(Content::DataUpdate(pull)) => pull.msg_type = 0,
            other => panic!("no pull message: {other:?}"),
        }
        return message;
    }
    let fits = |known: &&Value| {
        let known = known["name"].as_str().unwrap_or_default();
        known.split('/').next() == Some(name)
    };
    let known = messages.iter().find(fits).unwrap_or_else(|| panic!("no message {name}"));
    let payload = hex(known["payload_hex"].as_str().expect("a payload"));
    GossipMessage::decode(payload).expect("a message")
}

/// W-21, W-8, CH-1: the whole table, as Fabric's own function decided it.
#[test]
fn a_tag_is_legal_where_fabric_says_so() {
    let recorded = recorded();
    let messages = list(&recorded, "messages");
    let cases = list(&recorded, "tags");
    assert_eq!(cases.len(), 259);
    for case in cases {
        let mut message = message(case["message"].as_str().expect("a name"), &messages);
        message.tag = i32::try_from(case["tag"].as_i64().expect("a tag")).expect("a small number");
        assert_eq!(
            super::is_legal(&message),
            case["legal"].as_bool().expect("a verdict"),
            "{case}"
        );
    }
}

/// W-25, CH-9, T2.
#[test]
fn channel_macs_are_fabrics() {
    let t2 = super::channel_mac(&p(), &ChannelId::from("mychannel"));
    assert_eq!(to_hex(&t2), T2);
    let recorded = recorded();
    let identities = list(&recorded, "identities");
    for case in list(&recorded, "channel_macs") {
        let identity = identities.iter().find(|known| known["name"] == case["identity"]);
        let pki_id = hex(identity.expect("a name")["pki_id_hex"].as_str().expect("a PKI-ID"));
        let pki_id = PkiId::from_wire(&pki_id).expect("32 bytes");
        let channel = ChannelId::from(case["channel"].as_str().expect("a channel"));
        let mac = super::channel_mac(&pki_id, &channel);
        assert_eq!(to_hex(&mac), case["mac_hex"].as_str().expect("a MAC"));
    }
}

/// T5, D-3, W-28.
#[test]
fn our_alive_message_has_fabrics_bytes() {
    let endpoint = Endpoint::from("peer0.org1:7051");
    let alive = NewAlive {
        pki_id: p(),
        stamp: Stamp { incarnation: 1000, sequence: 1 },
        endpoint: Some(&endpoint),
        metadata: &Bytes::new(),
        identity: None,
        extensions: 0,
    };
    let expected = format!(
        "18012a3c0a330a0f70656572302e6f7267313a373035311a20{P}1205\
         08e8071001"
    );
    assert_eq!(to_hex(&alive.payload()), expected);
}

/// T6, T7, C-9.
#[test]
fn our_connection_message_has_fabrics_bytes() {
    let identity = Identity::new(hex("0a074f7267314d5350120350454d"));
    let hash = Some([0xaa; 32]);
    let rest = format!("0a20{P}120e0a074f7267314d5350120350454d1a20{}", "aa".repeat(32));
    let plain = super::conn_establish(&p(), &identity, hash, false);
    assert_eq!(to_hex(&plain), format!("18017254{rest}"));
    let probe = super::conn_establish(&p(), &identity, hash, true);
    assert_eq!(to_hex(&probe), format!("18017256{rest}2001"));
}

/// T9, W-26, W-20.
#[test]
fn our_state_info_request_has_fabrics_bytes() {
    let mac = hex(T2)[..].try_into().expect("32 bytes");
    let frame = super::state_info_request(&mac);
    let envelope = Envelope::decode(frame).expect("an envelope");
    assert_eq!(to_hex(&envelope.payload), format!("18058a01220a20{T2}"));
    assert!(envelope.signature.is_empty() && envelope.secret_envelope.is_none());
}

/// T1.
#[test]
fn our_secret_has_fabrics_bytes() {
    let secret = super::secret_payload(&"peer0.org1:7051".into());
    assert_eq!(to_hex(&secret), "0a0f70656572302e6f7267313a37303531");
}

/// The recorded envelopes of alive messages or StateInfo.
fn envelopes(content: &str) -> Vec<(String, Bytes)> {
    let recorded = recorded();
    let mut envelopes = Vec::new();
    for message in list(&recorded, "messages") {
        if message["fabric"]["content"] == content {
            let name = message["name"].as_str().expect("a name");
            envelopes.push((name.into(), hex(message["envelope_hex"].as_str().expect("hex"))));
        }
    }
    assert!(envelopes.len() > 2);
    envelopes
}

/// W-11, W-12, W-18, W-42: what is relayed is what arrived, but for the secret.
#[test]
fn an_alive_message_is_relayed_byte_for_byte() {
    for (name, frame) in envelopes("alive_msg") {
        let envelope = Envelope::decode(frame.clone()).expect("an envelope");
        let nested = Alive::parse_nested(envelope.clone(), 100_000).expect("well formed");
        assert_eq!(nested.frame(), frame, "{name}");
        let message = super::open(&envelope).expect("a message");
        let Some(Content::AliveMsg(message)) = message.content else { panic!("{name}") };
        let alive = Alive::parse(Some(frame.clone()), envelope.clone(), message, 100_000)
            .expect("well formed");
        assert_eq!((alive.frame(), &alive.envelope), (frame.clone(), &envelope), "{name}");
        let bare = Envelope::decode(alive.frame_without_secret()).expect("an envelope");
        assert_eq!((&bare.payload, &bare.signature), (&envelope.payload, &envelope.signature));
        assert_eq!(bare.secret_envelope, None);
        assert_eq!(alive.internal_endpoint.is_some(), envelope.secret_envelope.is_some(), "{name}");
    }
}

/// W-11, W-12.
#[test]
fn a_state_info_is_relayed_byte_for_byte() {
    for (name, frame) in envelopes("state_info") {
        let envelope = Envelope::decode(frame.clone()).expect("an envelope");
        let info = StateInfo::parse_nested(envelope.clone(), 100_000).expect("well formed");
        assert_eq!((info.frame(), info.envelope), (frame, envelope), "{name}");
    }
}

/// What was read of a frame by itself, in full.
fn parsed(frame: &Bytes) -> Option<(i32, Result<Alive, StateInfo>)> {
    let envelope = Envelope::decode(frame.clone()).ok()?;
    let message = super::open(&envelope).ok()?;
    let whole = Some(frame.clone());
    let said = match message.content? {
        Content::AliveMsg(alive) => Ok(Alive::parse(whole, envelope, alive, 4000).ok()?),
        Content::StateInfo(info) => Err(StateInfo::parse(whole, envelope, info, 4000).ok()?),
        _ => return None,
    };
    Some((message.tag, said))
}

/// W-11: with every byte changed in turn, left out or doubled, what is read in place is what the
/// whole decoder reads.
#[test]
fn what_is_read_in_place_is_what_is_read_in_full() {
    let mut read = 0;
    for (name, frame) in envelopes("alive_msg").into_iter().chain(envelopes("state_info")) {
        let changed = (0..frame.len()).flat_map(|at| {
            let (head, rest) = frame.split_at(at);
            let flipped =
                [0x01, 0x08, 0x80].map(|bit| [head, &[rest[0] ^ bit], &rest[1..]].concat());
            let others = [[head, &rest[1..]].concat(), [head, &rest[..1], rest].concat()];
            flipped.into_iter().chain(others)
        });
        for frame in changed.chain([frame.to_vec()]) {
            let frame = Bytes::from(frame);
            let plain = match super::plain(&frame, 4000, 4000) {
                Some(Plain::Alive { alive, tag }) => (tag, Ok((*alive).clone())),
                Some(Plain::Info { info, tag }) => (tag, Err((*info).clone())),
                Some(Plain::List(_)) | None => continue,
            };
            read += 1;
            assert_eq!(parsed(&frame), Some(plain), "{name}: {}", to_hex(&frame));
        }
        assert!(super::plain(&frame, 4000, 4000).is_some(), "{name}");
        assert!(super::plain(&frame, 10, 10).is_none(), "{name}");
    }
    assert!(read > 1000, "{read}");
}

/// W-12: fields that we do not know, in an order that we do not use, go out as they came.
#[test]
fn an_envelope_with_unknown_fields_is_relayed_byte_for_byte() {
    let (_, frame) = envelopes("alive_msg").remove(0);
    let frame = Bytes::from([&frame[..], &hex("a20603787878")[..]].concat());
    let envelope = Envelope::decode(frame.clone()).expect("an envelope");
    let message = super::open(&envelope).expect("a message");
    let Some(Content::AliveMsg(message)) = message.content else { panic!("no alive message") };
    let alive = Alive::parse(Some(frame.clone()), envelope, message, 100_000);
    assert_eq!(alive.expect("well formed").frame(), frame);
}

/// W-11, CH-25: what we write is what we read.
#[test]
fn our_state_info_says_what_we_put_in() {
    let stamp = Stamp { incarnation: 7, sequence: u64::MAX };
    let chaincodes = vec![Chaincode { name: "cc".into(), version: "1.0".into() }];
    let new = NewStateInfo { stamp, height: 42, left: true, chaincodes };
    let mac = super::channel_mac(&p(), &ChannelId::from("ch"));
    let payload = new.payload(&p(), &mac);
    let envelope = Envelope { payload, signature: "x".into(), secret_envelope: None };
    let message = super::open(&envelope).expect("a message");
    assert!(message.channel.is_empty() && message.tag == Tag::ChanOrOrg as i32);
    let info = StateInfo::parse_nested(envelope, 1000).expect("well formed");
    assert_eq!((info.pki_id, info.stamp, info.mac), (p(), stamp, mac));
    assert_eq!((info.height, info.left, info.chaincodes), (42, true, new.chaincodes));
}

fn alive(change: impl FnOnce(&mut Envelope)) -> Envelope {
    let new = NewAlive {
        pki_id: p(),
        stamp: Stamp { incarnation: 1, sequence: 1 },
        endpoint: None,
        metadata: &Bytes::new(),
        identity: None,
        extensions: 0,
    };
    let mut envelope =
        Envelope { payload: new.payload(), signature: "s".into(), secret_envelope: None };
    change(&mut envelope);
    envelope
}

/// W-16, W-17, W-10: present but empty is not signed.
#[test]
fn every_part_that_is_there_must_be_signed() {
    let secret = |payload: &'static str, signature: &'static str| {
        alive(|envelope| {
            let (payload, signature) = (payload.into(), signature.into());
            envelope.secret_envelope = Some(SecretEnvelope { payload, signature });
        })
    };
    assert!(super::claims(&alive(|_| {})).is_ok_and(|(_, secret)| secret.is_none()));
    assert!(super::claims(&secret("p", "s")).is_ok_and(|(_, secret)| secret.is_some()));
    let bad = [
        alive(|envelope| envelope.signature = Bytes::new()),
        alive(|envelope| envelope.payload = Bytes::new()),
        secret("", "s"),
        secret("p", ""),
        secret("", ""),
    ];
    assert!(bad.iter().all(|envelope| super::claims(envelope) == Err(Fault::Unsigned)));
}

/// W-19.
#[test]
fn a_secret_that_does_not_decode_names_no_endpoint() {
    for payload in ["", "\u{7f}\u{7f}\u{7f}", "garbage"] {
        let envelope = alive(|envelope| {
            let (payload, signature) = (payload.into(), "s".into());
            envelope.secret_envelope = Some(SecretEnvelope { payload, signature });
        });
        let alive = Alive::parse_nested(envelope, 1000).expect("the rest is in order");
        assert_eq!(alive.internal_endpoint, None, "{payload:?}");
    }
}

/// D-46.
#[test]
fn the_internal_endpoint_is_preferred() {
    let payload = super::secret_payload(&"inside:1".into());
    let envelope = alive(|envelope| {
        envelope.secret_envelope = Some(SecretEnvelope { payload, signature: "s".into() });
    });
    let alive = Alive::parse_nested(envelope, 1000).expect("well formed");
    assert_eq!(alive.preferred_endpoint(), Some(&"inside:1".into()));
}

/// W-36, P-62: a StateInfo without an author, a time or a MAC.
#[test]
fn a_state_info_that_lacks_a_part_is_refused() {
    use gossip_proto::gossip::{PeerTime, StateInfo as Wire};
    let whole = Wire {
        timestamp: Some(PeerTime::default()),
        pki_id: p().to_wire(),
        channel_mac: vec![0; 32].into(),
        properties: None,
    };
    let parse = |wire: Wire| {
        StateInfo::parse(None, Envelope::default(), wire, 1000).map(|info| info.height)
    };
    assert_eq!(parse(whole.clone()), Ok(0), "no properties are no height (60 §6.4)");
    assert_eq!(parse(Wire { timestamp: None, ..whole.clone() }), Err(Fault::Malformed));
    assert_eq!(parse(Wire { pki_id: Bytes::new(), ..whole.clone() }), Err(Fault::Malformed));
    assert_eq!(parse(Wire { channel_mac: "short".into(), ..whole }), Err(Fault::Malformed));
}

#[test]
fn fields_that_we_cannot_read_are_told_from_garbage() {
    assert!(super::is_well_formed(b""));
    assert!(super::is_well_formed(&alive(|_| {}).payload));
    // Field 1 as bytes instead of a number: Fabric skips it.
    assert!(super::is_well_formed(&hex("0a03616263")));
    assert!(!super::is_well_formed(&hex("0a04616263")), "cut off");
    assert!(!super::is_well_formed(&hex("ffffffffffffffffffff")), "no field number");
    assert!(!super::is_well_formed(&hex("0f")), "no such wire type");
}
