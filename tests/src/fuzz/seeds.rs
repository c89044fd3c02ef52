//! Recorded certificates, organisations, blocks and configurations, as inputs of the targets that
//! read them.

use std::path::PathBuf;

use base64ct::{Base64, Encoding as _};
use bytes::Bytes;
use gossip_proto::{
    common::{Block, ChannelHeader, Config, ConfigEnvelope, ConfigGroup, Envelope, Payload},
    msp::{MspConfig, SerializedIdentity},
};
use prost::Message as _;

/// Names targets and gives inputs of each that damage can start from.
///
/// # Panics
///
/// If the recorded files of the workspace cannot be read.
#[must_use]
pub fn trust() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds = Vec::new();
    let files = CERTIFICATES.map(|path| file(&format!("orgs/{path}")));
    for pem in &files {
        let der = der(pem);
        seeds.extend((0..PLACES).map(|place| ("certificate", chosen(place, &der))));
        seeds.push(("msp", chosen(2, pem)));
        let id_bytes = Bytes::copy_from_slice(pem);
        let identity = SerializedIdentity { mspid: "Org1MSP".into(), id_bytes };
        seeds.push(("identity", identity.encode_to_vec()));
    }
    seeds.extend((6..PLACES).map(|place| ("certificate", chosen(place, KEY))));
    seeds.extend(organisations().map(|organisation| ("msp", chosen(0, &organisation))));
    seeds.push(("msp", chosen(1, &file("orgs/org1/config.yaml"))));
    for block in chain().iter().take(BLOCKS) {
        seeds.push(("block", block.to_vec()));
        seeds.push(("configuration", chosen(0, block)));
    }
    let mut config = config();
    seeds.push(("configuration", chosen(1, &config.encode_to_vec())));
    config.config.as_mut().expect("a configuration").sequence = 1;
    seeds.push(("configuration", chosen(1, &config.encode_to_vec())));
    let policies = channel_group().policies.into_values();
    let policies = policies.filter_map(|policy| policy.policy).map(|policy| policy.value);
    seeds.extend(policies.map(|policy| ("configuration", chosen(5, &policy))));
    seeds
}

/// The blocks of a recorded channel, from the one of its genesis on.
pub(super) fn chain() -> Vec<Bytes> {
    let mut rest = Bytes::from(file("ch1.chain"));
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        let length = prost::decode_length_delimiter(&mut rest).expect("a length");
        blocks.push(rest.split_to(length));
    }
    blocks
}

/// What the block of the genesis says.
pub(super) fn config() -> ConfigEnvelope {
    let payload = genesis_payload();
    ConfigEnvelope::decode(payload.data).expect("a configuration")
}

/// The header of the only transaction in the block of the genesis.
pub(super) fn channel_header() -> ChannelHeader {
    let header = genesis_payload().header.expect("a header");
    ChannelHeader::decode(header.channel_header).expect("a channel header")
}

/// The first organisation of the channel, as its configuration has it.
pub(super) fn organisation() -> Bytes {
    organisations().next().expect("an organisation")
}

fn organisations() -> impl Iterator<Item = Bytes> {
    let mut application = channel_group().groups.remove("Application").expect("members");
    let members = ["Org1MSP", "Org2MSP"].map(|name| application.groups.remove(name));
    members.into_iter().map(|member| {
        let value = member.expect("a member").values.remove("MSP").expect("its MSP").value;
        MspConfig::decode(value).expect("an MSP").config
    })
}

fn channel_group() -> ConfigGroup {
    let Config { channel_group, .. } = config().config.expect("a configuration");
    channel_group.expect("a group")
}

fn genesis_payload() -> Payload {
    let genesis = Block::decode(chain().swap_remove(0)).expect("a block");
    let transaction = genesis.data.expect("transactions").data.swap_remove(0);
    let envelope = Envelope::decode(transaction).expect("an envelope");
    Payload::decode(envelope.payload).expect("a payload")
}

fn chosen(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind][..], bytes].concat()
}

fn der(pem: &[u8]) -> Vec<u8> {
    let lines = str::from_utf8(pem).expect("text").lines();
    let base64: String = lines.filter(|line| !line.starts_with('-')).collect();
    Base64::decode_vec(&base64).expect("base64")
}

fn file(name: &str) -> Vec<u8> {
    let path: PathBuf = crate::root().join("msp/tests/data").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const CERTIFICATES: [&str; 4] = [
    "org1/cacerts/ca.org1.example.com-cert.pem",
    "org1/tlscacerts/tlsca.org1.example.com-cert.pem",
    "org1/peer2/msp/signcerts/peer2.org1.example.com-cert.pem",
    "org2/cacerts/ca.org2.example.com-cert.pem",
];

/// A key of P-256 that nobody has, without its public half.
const KEY: &[u8] = b"\x30\x31\x02\x01\x01\x04\x20seven times seven is forty-nine!\
    \xa0\x0a\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";

/// How many places the target `certificate` has.
const PLACES: u8 = 8;

/// How many blocks are seeds: those that follow are of the same kinds.
const BLOCKS: usize = 4;
