//! The rules of the encoding, and the table of examples, of the protocol specification, file 10.

use std::fmt::Debug;

use gossip_proto::gossip::gossip_message::{Content, Tag};
use gossip_proto::gossip::{
    Acknowledgement, AliveMessage, ConnEstablish, DataDigest, DataRequest, Empty, Envelope,
    GossipHello, GossipMessage, Member, PeerTime, PullMsgType, Secret, StateInfoPullRequest,
    secret,
};
use gossip_proto::msp::SerializedIdentity;
use prost::Message;
use prost::bytes::Bytes;
use sha2::{Digest, Sha256};

use support::hex;

mod support {
    pub(crate) mod hex;
}

/// W-7: T1.
#[test]
fn a_secret_round_trips() {
    let content = Some(secret::Content::InternalEndpoint("peer0.org1:7051".into()));
    round_trips(&Secret { content }, "0a0f70656572302e6f7267313a37303531");
}

/// W-25: T2.
#[test]
fn a_channel_mac_hashes_the_pki_id_and_the_channel() {
    let mac = Sha256::new().chain_update(pki_id()).chain_update("mychannel").finalize();
    assert_eq!(mac[..], hex::bytes(MAC));
}

/// W-7: T3, T4.
#[test]
fn an_identity_round_trips_and_its_hash_is_the_pki_id() {
    let identity = SerializedIdentity { mspid: "Org1MSP".into(), id_bytes: "PEM".into() };
    round_trips(&identity, IDENTITY);

    let hash = Sha256::new().chain_update(&identity.mspid).chain_update(&identity.id_bytes);
    let expected = "06112b92b5e1a18d658a6fadd77f8aaae16b0a15b7b13a080c2c2a2c551d537e";
    assert_eq!(hash.finalize()[..], hex::bytes(expected));
}

/// W-7: T5.
#[test]
fn an_alive_message_round_trips() {
    let alive = AliveMessage {
        membership: Some(Member {
            endpoint: "peer0.org1:7051".into(),
            metadata: Bytes::new(),
            pki_id: pki_id(),
        }),
        timestamp: Some(PeerTime { inc_num: 1000, seq_num: 1 }),
        ..Default::default()
    };
    let wire = format!("18012a3c0a330a0f70656572302e6f7267313a373035311a20{PKI_ID}120508e8071001");
    round_trips(&message(Tag::Empty, Content::AliveMsg(alive)), &wire);
}

/// W-7: T6, T7.
#[test]
fn a_connection_message_round_trips_with_and_without_probe() {
    let conn = |probe| {
        let tls_cert_hash = Bytes::from_static(&[0xaa; 32]);
        let identity = hex::bytes(IDENTITY);
        let conn = ConnEstablish { pki_id: pki_id(), identity, tls_cert_hash, probe };
        message(Tag::Empty, Content::Conn(conn))
    };
    let fields = format!("0a20{PKI_ID}120e{IDENTITY}1a20{}", "aa".repeat(32));
    round_trips(&conn(false), &format!("18017254{fields}"));
    round_trips(&conn(true), &format!("18017256{fields}2001"));
}

/// W-7: T8.
#[test]
fn a_hello_round_trips() {
    let msg_type = PullMsgType::IdentityMsg.into();
    let hello = GossipHello { nonce: 7, metadata: Bytes::new(), msg_type };
    round_trips(&message(Tag::Empty, Content::Hello(hello)), "18014a0408071802");
}

/// W-7: T9.
#[test]
fn a_request_for_states_round_trips() {
    let request = StateInfoPullRequest { channel_mac: hex::bytes(MAC) };
    let message = message(Tag::ChanOrOrg, Content::StateInfoPullReq(request));
    round_trips(&message, &format!("18058a01220a20{MAC}"));
}

/// W-7, W-9: T10, T12. A positive acknowledgement is present though it has no bytes.
#[test]
fn a_positive_acknowledgement_round_trips() {
    let positive = acknowledgement("");
    round_trips(&positive, "0805b20100");

    let payload = positive.encode_to_vec().into();
    let envelope = Envelope { payload, signature: Bytes::new(), secret_envelope: None };
    round_trips(&envelope, "0a050805b20100");
}

/// W-7: T11.
#[test]
fn a_negative_acknowledgement_round_trips() {
    round_trips(&acknowledgement("boom"), "0805b201060a04626f6f6d");
}

/// W-7: T13, T14. Digests were strings once; any bytes will do.
#[test]
fn digests_of_old_peers_round_trip() {
    let digests: [&[u8]; 5] = [&[0xff; 1], &[0xff; 2], &[0xff; 3], &[0xff; 4], b"100"];
    let digests = digests.map(Bytes::from_static).to_vec();
    let fields = "1201ff1202ffff1203ffffff1204ffffffff1203313030";
    let message = |content| GossipMessage {
        channel: "mychannel".into(),
        content: Some(content),
        ..GossipMessage::default()
    };

    let digest = DataDigest { nonce: 0, digests: digests.clone(), msg_type: 0 };
    let wire = format!("12096d796368616e6e656c5217{fields}");
    round_trips(&message(Content::DataDig(digest)), &wire);

    let request = DataRequest { nonce: 0, digests, msg_type: 0 };
    let wire = format!("12096d796368616e6e656c5a17{fields}");
    round_trips(&message(Content::DataReq(request)), &wire);
}

/// W-8: field 99 of each wire type, and the numbers that the schema skips.
#[test]
fn unknown_fields_are_ignored() {
    let unknown = ["980601", "9a0602abcd", "990600000000000000ff", "9d06000000ff", "2001"];
    for field in unknown {
        for wire in [format!("0805b20100{field}"), format!("{field}0805b20100")] {
            assert_eq!(decode(&wire).expect(&wire), acknowledgement(""), "{wire}");
        }
    }
}

/// W-8: for the check of tags to see.
#[test]
fn unknown_numbers_of_enumerations_are_kept() {
    let message = decode("18094a021863").expect("the message decodes");
    assert_eq!(message.tag, 9);
    let Some(Content::Hello(hello)) = message.content else { panic!("{message:?} is no hello") };
    assert_eq!(hello.msg_type, 99);
}

/// W-10.
#[test]
fn zero_length_bytes_are_as_absent_ones() {
    assert_eq!(decode("12000805b20100").expect("the message decodes"), acknowledgement(""));
    let envelope = Envelope::decode(hex::bytes("0a0212001200")).expect("the envelope decodes");
    assert_eq!(envelope.encode_to_vec(), hex::bytes("0a021200"), "no signature is written");
}

/// A zero-length secret envelope is present, other than zero-length bytes.
#[test]
fn a_zero_length_message_is_present() {
    let envelope = Envelope::decode(hex::bytes("1a00")).expect("the envelope decodes");
    assert_eq!(envelope.secret_envelope, Some(gossip_proto::gossip::SecretEnvelope::default()));
}

/// W2.3.d.
#[test]
fn the_last_content_wins() {
    let ack = decode("6a000805b20100").expect("empty, then an acknowledgement");
    assert_eq!(ack, acknowledgement(""));
    let empty = decode("b201006a00").expect("an acknowledgement, then empty");
    assert_eq!(empty.content, Some(Content::Empty(Empty {})));
}

/// W-39: no bytes are a message without content.
#[test]
fn an_empty_payload_decodes() {
    assert_eq!(decode("").expect("no bytes decode"), GossipMessage::default());
}

/// W2.3.e.
#[test]
fn strings_must_be_utf8_and_bytes_need_not_be() {
    decode("b201030a01ff").expect_err("an error text that is not UTF-8");
    decode("2a050a030a01ff").expect_err("an endpoint that is not UTF-8");
    Secret::decode(hex::bytes("0a01ff")).expect_err("an internal endpoint that is not UTF-8");

    let channel = decode("1201ff").expect("a channel that is not UTF-8").channel;
    assert_eq!(channel, Bytes::from_static(&[0xff]));
    let alive = decode("2a050a031a01ff").expect("a PKI-ID that is not UTF-8");
    assert!(matches!(alive.content, Some(Content::AliveMsg(_))));
}

/// W2.3.f: field order does not matter to a receiver; a sender's is ascending.
#[test]
fn fields_in_any_order_decode_and_are_written_in_ascending_order() {
    let message = decode("b201000805").expect("the acknowledgement, then the nonce");
    round_trips(&message, "0805b20100");
}

#[test]
fn truncated_input_and_wrong_wire_types_are_errors() {
    for wire in ["08", "0a01", "1205616263", "b20105", "2a050a03", "0a0101", "1801b201", "00", "07"]
    {
        decode(wire).expect_err(wire);
    }
}

fn message(tag: Tag, content: Content) -> GossipMessage {
    let tag = tag.into();
    GossipMessage { nonce: 0, channel: Bytes::new(), tag, content: Some(content) }
}

fn acknowledgement(error: &str) -> GossipMessage {
    let ack = Content::Ack(Acknowledgement { error: error.into() });
    GossipMessage { nonce: 5, ..message(Tag::Undefined, ack) }
}

fn decode(wire: &str) -> Result<GossipMessage, prost::DecodeError> {
    GossipMessage::decode(hex::bytes(wire))
}

/// Checks that the message is written as `wire`, and read back from it.
fn round_trips<M: Debug + Default + Message + PartialEq>(message: &M, wire: &str) {
    let wire = hex::bytes(wire);
    assert_eq!(message.encode_to_vec(), wire, "{message:?}");
    assert_eq!(&M::decode(wire).expect("the example decodes"), message);
}

fn pki_id() -> Bytes {
    hex::bytes(PKI_ID)
}

const PKI_ID: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const MAC: &str = "8a306cdbd99099d0aee440b1c020292a7fe2d628613ce016c2c86c09794a485b";
const IDENTITY: &str = "0a074f7267314d5350120350454d";
