//! The recorded behaviour, as far as it is compared.

use std::{collections::BTreeMap, fs};

use bytes::Bytes;
use gossip_core::PkiId;
use gossip_msp::pki_id;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use super::answers::{self, Roles};

/// All that is read of the recording.
#[derive(Deserialize)]
pub(crate) struct Recording {
    pub(crate) channel: String,
    pub(crate) identities: Vec<Identity>,
    pub(crate) handshakes: Vec<Handshake>,
    pub(crate) live_cases: Vec<Case>,
}

/// A peer and the authority that vouches for it.
#[derive(Deserialize)]
pub(crate) struct Identity {
    pub(crate) ca_pem: String,
    pub(crate) mspid: String,
    #[serde(rename = "serialized_identity_hex", deserialize_with = "hex")]
    pub(crate) identity: Bytes,
}

/// An attempt to connect.
#[derive(Deserialize)]
pub(crate) struct Handshake {
    pub(crate) name: String,
    pub(crate) live: HandshakeVerdict,
}

/// What became of an attempt to connect; what was not recorded did not happen.
#[derive(Debug, Deserialize, Eq, PartialEq)]
pub(crate) struct HandshakeVerdict {
    pub(crate) accepted: bool,
    /// Whether the transport let the remote in.
    pub(crate) connected: bool,
    #[serde(default)]
    pub(crate) server_sent_conn_establish: bool,
    #[serde(default)]
    pub(crate) stream_closed: bool,
}

/// Frames that a prober sent, and what became of them.
#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    #[serde(deserialize_with = "hexes")]
    pub(crate) envelopes_hex: Vec<Bytes>,
    pub(crate) prober_joined_first: bool,
    #[serde(deserialize_with = "hex")]
    pub(crate) prober_identity_hex: Bytes,
    pub(crate) prober_org: String,
    live: Value,
}

/// What a node did in one case.
#[derive(Debug, Deserialize)]
pub(crate) struct Verdict {
    #[serde(default, deserialize_with = "or_none")]
    pub(crate) blocks_delivered: Vec<u64>,
    pub(crate) forwarded_to_other_peer: bool,
    pub(crate) leadership_delivered: u64,
    pub(crate) prober_in_channel: bool,
    pub(crate) prober_in_membership: bool,
    /// Answers by the name of their content.
    pub(crate) responses: BTreeMap<String, u64>,
    pub(crate) stream_closed: bool,
    pub(crate) verifies_done: u64,
    pub(crate) endpoint_known: Option<String>,
    pub(crate) third_party_in_membership: Option<bool>,
    pub(crate) response_nonce: Option<u64>,
    pub(crate) response_seqs: Option<Vec<u64>>,
    /// The first answer, in words.
    #[serde(skip)]
    pub(crate) response: Option<String>,
}

impl Recording {
    pub(crate) fn read() -> Self {
        let path = gossip_tests::root().join("proto/tests/data/vectors.json");
        let text = fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
        serde_json::from_str(&text).expect("the recording is as described here")
    }
}

impl Case {
    /// Returns what was recorded; where the recorded peer gave no verdict, that of dropping the
    /// message without any effect.
    pub(crate) fn recorded(&self) -> Verdict {
        if self.live.get("note").is_none() {
            let verdict = Verdict::deserialize(&self.live);
            let verdict = verdict.unwrap_or_else(|error| panic!("{}: {error}", self.name));
            let roles = Roles { asker: self.prober(), node: PkiId::new(RECORDED_NODE) };
            let response = self.live.get("response").map(answers::read);
            return Verdict { response: response.map(|answer| roles.tell(&answer)), ..verdict };
        }
        Verdict {
            blocks_delivered: Vec::new(),
            forwarded_to_other_peer: false,
            leadership_delivered: 0,
            prober_in_channel: self.prober_joined_first,
            prober_in_membership: self.prober_joined_first,
            responses: BTreeMap::new(),
            stream_closed: false,
            verifies_done: 0,
            endpoint_known: None,
            third_party_in_membership: None,
            response_nonce: None,
            response_seqs: None,
            response: None,
        }
    }

    pub(crate) fn prober(&self) -> PkiId {
        PkiId::new(pki_id(&self.prober_identity_hex).expect("a PKI-ID"))
    }
}

fn or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(deserializer)?;
    bytes_of(&text).ok_or_else(|| D::Error::custom("expected pairs of hexadecimal digits"))
}

fn hexes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Bytes>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let bytes: Option<Vec<_>> = texts.iter().map(|text| bytes_of(text)).collect();
    bytes.ok_or_else(|| D::Error::custom("expected pairs of hexadecimal digits"))
}

fn bytes_of(text: &str) -> Option<Bytes> {
    let digits = text.as_bytes();
    let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    let byte = |pair: Option<&str>| {
        pair.filter(|pair| pair.len() == 2).and_then(|pair| u8::from_str_radix(pair, 16).ok())
    };
    pairs.map(byte).collect::<Option<Vec<u8>>>().map(Bytes::from)
}

/// The PKI-ID of the node that was recorded.
const RECORDED_NODE: [u8; 32] =
    *b"\x97\xfe\x26\xc8\xd9\xec\x94\x41\x21\x92\x4c\xc2\xf1\xcd\xa9\x17\
    \x47\x47\xe3\x0b\xae\xf9\x92\x76\x2a\x84\x86\x5b\x2a\x4e\x12\xd4";
