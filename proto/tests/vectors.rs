//! What Fabric 3.1.5 wrote, we read, and write back to the same bytes.
//!
//! `data/vectors.json` was recorded from Fabric's own gossip packages with throw-away keys. Its
//! messages are protojson: bytes in base64, 64-bit numbers as strings, the names of the schema.

use std::sync::LazyLock;

use gossip_proto::gossip::{Envelope, GossipMessage, Secret, SecretEnvelope, secret};
use gossip_proto::msp::SerializedIdentity;
use prost::Message;
use prost::bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use support::hex;
use support::json::Json;

mod support {
    pub(crate) mod hex;
    pub(crate) mod json;
}

static VECTORS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("data/vectors.json")).expect("the vectors are JSON")
});

/// W-7, W-12.
#[test]
fn every_kind_of_message_reads_as_fabric_reads_it() {
    for vector in list(&VECTORS["messages"]) {
        let name = text(&vector["name"]);
        let recorded = bytes(&vector["envelope_hex"]);
        check_verdict(name, &recorded, &vector["fabric"]);

        let envelope = Envelope::decode(recorded.clone()).expect(name);
        assert_eq!(envelope.payload, bytes(&vector["payload_hex"]), "{name}");
        assert_eq!(envelope.signature, bytes(&vector["signature_hex"]), "{name}");
        let message = GossipMessage::decode(envelope.payload.clone()).expect(name);
        assert_eq!(message.encode_to_vec(), envelope.payload, "{name}: the payload");
        check_secret(name, envelope.secret_envelope.as_ref(), vector);
    }
}

/// W-8, W-12, W-39: malformed, truncated and future ones and other encodings included.
#[test]
fn every_live_envelope_reads_as_fabric_reads_it() {
    for case in list(&VECTORS["live_cases"]) {
        let name = text(&case["name"]);
        if name == WITH_WRONG_WIRE_TYPE {
            continue;
        }
        let envelopes = list(&case["envelopes_hex"]);
        let verdicts = list(&case["static"]);
        assert_eq!(envelopes.len(), verdicts.len(), "{name}: one verdict for each envelope");
        for (envelope, verdict) in envelopes.iter().zip(verdicts) {
            check_verdict(name, &bytes(envelope), verdict);
        }
    }
}

/// The one input that Fabric reads and we refuse: it takes a known field of the wrong wire type
/// for an unknown one.
#[test]
fn a_known_field_of_the_wrong_wire_type_is_refused() {
    let mut cases = list(&VECTORS["live_cases"]).iter();
    let case = cases.find(|case| case["name"] == WITH_WRONG_WIRE_TYPE).expect("the case is there");
    let envelope = Envelope::decode(bytes(&case["envelopes_hex"][0])).expect("an envelope");
    let error = GossipMessage::decode(envelope.payload).expect_err("a nonce that is no number");
    assert!(error.to_string().contains("GossipMessage.nonce"), "{error}");
    assert!(flag(&case["static"][0]["message_decodes"]), "Fabric reads it");
}

#[test]
fn both_sides_of_every_comparison_read_as_fabric_reads_them() {
    for case in list(&VECTORS["replacing_policy"]) {
        for side in ["this", "that"] {
            let name = format!("{} ({side})", text(&case["name"]));
            let payload = bytes(&case[format!("{side}_hex")]);
            let message = GossipMessage::decode(payload.clone()).expect(&name);
            assert_eq!(message.json(), case[side], "{name}");
            assert_eq!(message.encode_to_vec(), payload, "{name}");
        }
    }
}

#[test]
fn every_signed_envelope_decodes() {
    for case in list(&VECTORS["signatures"]) {
        let name = text(&case["name"]);
        let envelope = Envelope::decode(bytes(&case["envelope_hex"])).expect(name);
        GossipMessage::decode(envelope.payload).expect(name);
    }
}

#[test]
fn identities_decode_and_their_hash_is_the_pki_id() {
    for vector in list(&VECTORS["identities"]) {
        let name = text(&vector["name"]);
        let recorded = bytes(&vector["serialized_identity_hex"]);
        let identity = SerializedIdentity::decode(recorded.clone()).expect(name);
        assert_eq!(identity.mspid, text(&vector["mspid"]), "{name}");
        assert_eq!(identity.id_bytes, text(&vector["cert_pem"]), "{name}");
        assert_eq!(identity.encode_to_vec(), recorded, "{name}");

        let hash = Sha256::new().chain_update(&identity.mspid).chain_update(&identity.id_bytes);
        assert_eq!(hash.finalize()[..], pki_id(name), "{name}");
    }
}

/// W-25.
#[test]
fn channel_macs_hash_the_pki_id_and_the_channel() {
    for vector in list(&VECTORS["channel_macs"]) {
        let (name, channel) = (text(&vector["identity"]), text(&vector["channel"]));
        let mac = Sha256::new().chain_update(pki_id(name)).chain_update(channel).finalize();
        assert_eq!(mac[..], bytes(&vector["mac_hex"]), "{name} in '{channel}'");
    }
}

/// Checks that an envelope decodes, or fails to, as Fabric's verdict on it says, that the message
/// and its internal endpoint are those of the verdict, and that a relay changes no byte of it.
fn check_verdict(name: &str, recorded: &Bytes, verdict: &Value) {
    let envelope = Envelope::decode(recorded.clone());
    assert_eq!(envelope.is_ok(), flag(&verdict["envelope_decodes"]), "{name}: {envelope:?}");
    let Ok(envelope) = envelope else { return };

    let message = GossipMessage::decode(envelope.payload.clone());
    assert_eq!(message.is_ok(), flag(&verdict["message_decodes"]), "{name}: {message:?}");
    let Ok(message) = message else { return };

    assert_eq!(message.json(), verdict["message"], "{name}");
    let is_same = envelope.encode_to_vec() == *recorded;
    let is_kept = flag(&verdict["reencodes_identically"]) && name != WITH_UNKNOWN_FIELD;
    assert_eq!(is_same, is_kept, "{name}: the envelope is written back");
    let endpoint = internal_endpoint(envelope.secret_envelope.as_ref());
    assert_eq!(endpoint, text(&verdict["internal_endpoint"]), "{name}");
}

fn check_secret(name: &str, secret: Option<&SecretEnvelope>, vector: &Value) {
    assert_eq!(secret.is_some(), vector.get("secret").is_some(), "{name}");
    let Some(secret) = secret else { return };
    assert_eq!(secret.payload, bytes(&vector["secret_payload_hex"]), "{name}");
    assert_eq!(secret.signature, bytes(&vector["secret_signature_hex"]), "{name}");
    let endpoint = internal_endpoint(Some(secret));
    assert_eq!(vector["secret"], json!({ "internalEndpoint": endpoint }), "{name}");
}

/// Reads the internal endpoint as the specification says: empty for whatever is not one (W-19).
fn internal_endpoint(secret: Option<&SecretEnvelope>) -> String {
    let secret = secret.and_then(|secret| Secret::decode(secret.payload.clone()).ok());
    match secret.and_then(|secret| secret.content) {
        Some(secret::Content::InternalEndpoint(endpoint)) => endpoint,
        None => String::new(),
    }
}

fn pki_id(identity: &str) -> Bytes {
    let mut identities = list(&VECTORS["identities"]).iter();
    let vector = identities.find(|vector| vector["name"] == identity);
    bytes(&vector.expect("the identity is recorded")["pki_id_hex"])
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn flag(value: &Value) -> bool {
    value.as_bool().expect("true or false")
}

fn bytes(value: &Value) -> Bytes {
    hex::bytes(text(value))
}

/// The case whose envelope we write back shorter: Fabric keeps a field of the envelope that it does
/// not know, we drop it. Neither payload nor signature is touched.
const WITH_UNKNOWN_FIELD: &str = "envelope_unknown_field";

/// The case whose nonce is not a number but a string.
const WITH_WRONG_WIRE_TYPE: &str = "nonce_wrong_wire_type";
