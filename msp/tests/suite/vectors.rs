//! Identities and signature verdicts recorded from the reference implementation.

use std::fs;

use bytes::Bytes;
use gossip_msp::{Identities, Msp, MspConfig, SignatureError, Source, VerifyError, pki_id};
use gossip_proto::gossip::Envelope;
use prost::Message;
use serde_json::Value;

/// C-1: PKI-IDs are as recorded, and every recorded identity is valid under its own authority.
#[test]
fn recorded_identities_are_valid_and_have_the_recorded_pki_ids() {
    let vectors = vectors();
    let identities = organisations(&vectors);
    for vector in items(&vectors, "identities") {
        let serialized = hex(&vector["serialized_identity_hex"]);
        let id = pki_id(&serialized).expect("a PKI-ID");
        assert_eq!(id[..], hex(&vector["pki_id_hex"]), "{}", vector["name"]);
        let facts = identities.validate(&serialized).expect("a valid identity");
        assert_eq!(facts.pki_id, id);
        assert_eq!(Some(&*facts.mspid), vector["mspid"].as_str());
        assert_eq!(facts.not_after, NOT_AFTER);
    }
}

/// W-14, W-15, C-16: every verdict is as recorded, save that two kinds of trailing bytes, which
/// the reference skips, are refused (W3.5.f).
#[test]
fn recorded_signatures_get_the_recorded_verdicts() {
    let vectors = vectors();
    let identities = organisations(&vectors);
    for vector in items(&vectors, "signatures") {
        let name = text(&vector["name"]);
        let envelope = Envelope::decode(&*hex(&vector["envelope_hex"])).expect("an envelope");
        let secret = envelope.secret_envelope.unwrap_or_default();
        let has_secret = !secret.signature.is_empty();
        if envelope.payload.is_empty() || has_secret && secret.payload.is_empty() {
            continue; // An empty payload is refused before its signature is looked at.
        }
        let signer = items(&vectors, "identities")
            .find(|identity| identity["name"] == vector["verify_against"])
            .expect("a recorded identity");
        let signer = hex(&signer["serialized_identity_hex"]);
        let mut verdict = identities.verify(&signer, &envelope.signature, &envelope.payload);
        if verdict.is_ok() && has_secret {
            verdict = identities.verify(&signer, &secret.signature, &secret.payload);
        }
        let expected = match name {
            "trailing_after_der" | "trailing_inside_sequence" | "empty_signature" => {
                Err(SignatureError::Encoding)
            }
            "raw_r_s" | "nonminimal_integer" | "indefinite_length" => Err(SignatureError::Encoding),
            "high_s" => Err(SignatureError::HighS),
            "zero_r" | "zero_s" => Err(SignatureError::Zero),
            _ if vector["valid"] == true => Ok(()),
            _ => Err(SignatureError::Wrong),
        };
        assert_eq!(verdict, expected.map_err(VerifyError::Signature), "{name}");
        assert!(verdict.is_err() || vector["valid"] == true, "{name}");
    }
}

/// C-2: empty and undecodable bytes have no PKI-ID.
#[test]
fn bytes_that_are_no_identity_have_no_pki_id() {
    for bytes in [&b""[..], b"\x0a", b"\x0a\x05ab", b"\x0a\x01\xff"] {
        assert_eq!(pki_id(bytes), None, "{bytes:02x?}");
    }
}

fn organisations(vectors: &Value) -> Identities {
    Identities::new(items(vectors, "identities").map(|identity| {
        Msp::new(&MspConfig {
            id: text(&identity["mspid"]).to_owned(),
            root_certs: vec![Source::new("ca_pem", text(&identity["ca_pem"]).to_owned())],
            ..MspConfig::default()
        })
        .expect("a usable authority")
    }))
}

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../proto/tests/data/vectors.json");
    let text = fs::read_to_string(path).expect("recorded vectors");
    serde_json::from_str(&text).expect("JSON")
}

fn items<'a>(vectors: &'a Value, section: &str) -> impl Iterator<Item = &'a Value> {
    vectors[section].as_array().expect("a recorded section").iter()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn hex(value: &Value) -> Bytes {
    let digits = text(value);
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// 2035-11-20T06:41:44Z.
const NOT_AFTER: u64 = 2_079_153_704;
