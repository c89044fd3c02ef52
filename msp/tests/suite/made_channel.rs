//! A made channel: its configuration as a tree that tests edit, and those who sign on it.

use bytes::Bytes;
use gossip_msp::{ChannelConfig, ConfigError, SigningIdentity, Source};
use gossip_proto::common::implicit_meta_policy::Rule as Meta;
use gossip_proto::common::policy::PolicyType;
use gossip_proto::common::signature_policy::{NOutOf, Type};
use gossip_proto::common::{
    Block, BlockData, BlockDataHashingStructure, BlockHeader, Capabilities, Capability,
    ChannelHeader, Config, ConfigEnvelope, ConfigGroup, ConfigPolicy, ConfigValue, Envelope,
    HashingAlgorithm, Header, HeaderType, ImplicitMetaPolicy, OrdererAddresses, Payload, Policy,
    SignaturePolicy, SignaturePolicyEnvelope,
};
use gossip_proto::msp::msp_principal::Classification;
use gossip_proto::msp::msp_role::MspRoleType;
use gossip_proto::msp::{FabricMspConfig, MspConfig, MspPrincipal, MspRole};
use gossip_proto::orderer::{BatchSize, BatchTimeout};
use gossip_proto::protos::{AnchorPeer, AnchorPeers};
use prost::Message;

use crate::authority::{Authority, Member};

/// The root of a configuration with the members `AMSP` and `BMSP` and the orderers `OMSP`, and the
/// authority of all three.
pub(crate) fn channel() -> (Authority, ConfigGroup) {
    let authority = Authority::root("authority");
    let mut root = ConfigGroup::default();
    set_value(&mut root, "HashingAlgorithm", &HashingAlgorithm { name: "SHA256".into() });
    let structure = BlockDataHashingStructure { width: u32::MAX };
    set_value(&mut root, "BlockDataHashingStructure", &structure);
    set_value(&mut root, "Capabilities", &capabilities("V3_0"));
    let mut application = ConfigGroup::default();
    set_value(&mut application, "Capabilities", &capabilities("V2_5"));
    for (name, mspid, port) in [("a", "AMSP", 1), ("b", "BMSP", 2)] {
        let mut org = org(mspid, &authority);
        set_value(&mut org, "AnchorPeers", &anchors(&[("peer0", port), ("peer1", port)]));
        application.groups.insert(name.into(), org);
    }
    let mut orderer = ConfigGroup::default();
    set_value(&mut orderer, "Capabilities", &capabilities("V2_0"));
    let size = BatchSize { max_message_count: 1, absolute_max_bytes: 9, preferred_max_bytes: 9 };
    set_value(&mut orderer, "BatchSize", &size);
    set_value(&mut orderer, "BatchTimeout", &BatchTimeout { timeout: "2s".into() });
    let mut org = org("OMSP", &authority);
    set_value(&mut org, "Endpoints", &addresses(&["orderer:7050"]));
    orderer.groups.insert("o".into(), org);
    root.groups.insert("Application".into(), application);
    root.groups.insert("Orderer".into(), orderer);
    (authority, root)
}

/// An organisation whose members an authority issues.
pub(crate) fn org(mspid: &str, authority: &Authority) -> ConfigGroup {
    let config = FabricMspConfig {
        name: mspid.into(),
        root_certs: vec![authority.pem().into()],
        ..FabricMspConfig::default()
    };
    let mut org = ConfigGroup::default();
    set_msp(&mut org, &config);
    org
}

pub(crate) fn set_msp(org: &mut ConfigGroup, config: &FabricMspConfig) {
    set_value(org, "MSP", &MspConfig { r#type: 0, config: config.encode_to_vec().into() });
}

pub(crate) fn msp_of(org: &ConfigGroup) -> FabricMspConfig {
    let typed = MspConfig::decode(org.values["MSP"].value.clone()).expect("a configuration");
    FabricMspConfig::decode(typed.config).expect("a configuration")
}

pub(crate) fn set_value(group: &mut ConfigGroup, key: &str, value: &impl Message) {
    set_bytes(group, key, value.encode_to_vec());
}

pub(crate) fn set_bytes(group: &mut ConfigGroup, key: &str, bytes: Vec<u8>) {
    let value = ConfigValue { value: bytes.into(), ..ConfigValue::default() };
    group.values.insert(key.into(), value);
}

pub(crate) fn set_policy(group: &mut ConfigGroup, name: &str, policy: Option<Policy>) {
    group.policies.insert(name.into(), ConfigPolicy { policy, ..ConfigPolicy::default() });
}

/// The group at a path of names, which is empty for the root.
pub(crate) fn at<'a>(root: &'a mut ConfigGroup, path: &str) -> &'a mut ConfigGroup {
    let names = path.split('/').filter(|name| !name.is_empty());
    names.fold(root, |group, name| group.groups.get_mut(name).expect("a group"))
}

pub(crate) fn capabilities(name: &str) -> Capabilities {
    let names = name.split_whitespace().map(|name| (name.to_owned(), Capability {}));
    Capabilities { capabilities: names.collect() }
}

pub(crate) fn addresses(all: &[&str]) -> OrdererAddresses {
    OrdererAddresses { addresses: all.iter().map(|&address| address.into()).collect() }
}

pub(crate) fn anchors(all: &[(&str, i32)]) -> AnchorPeers {
    let anchor = |&(host, port): &(&str, i32)| AnchorPeer { host: host.into(), port };
    AnchorPeers { anchor_peers: all.iter().map(anchor).collect() }
}

/// A configuration block with this tree.
pub(crate) fn block(channel: &str, sequence: u64, root: &ConfigGroup) -> Bytes {
    let config = Config { sequence, channel_group: Some(root.clone()) };
    let config = ConfigEnvelope { config: Some(config), last_update: None };
    let header = ChannelHeader {
        r#type: HeaderType::Config.into(),
        channel_id: channel.into(),
        ..ChannelHeader::default()
    };
    let header = Header { channel_header: header.encode_to_vec().into(), ..Header::default() };
    let payload = Payload { header: Some(header), data: config.encode_to_vec().into() };
    let envelope =
        Envelope { payload: payload.encode_to_vec().into(), signature: Bytes::from_static(b"s") };
    let block = Block {
        header: Some(BlockHeader { number: sequence, ..BlockHeader::default() }),
        data: Some(BlockData { data: vec![envelope.encode_to_vec().into()] }),
        metadata: None,
    };
    block.encode_to_vec().into()
}

pub(crate) fn read(root: &ConfigGroup) -> Result<ChannelConfig, ConfigError> {
    ChannelConfig::from_block(&block(CHANNEL, 0, root))
}

/// A policy on signatures.
pub(crate) fn signature(rule: SignaturePolicy, identities: Vec<MspPrincipal>) -> Policy {
    envelope(&SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities })
}

pub(crate) fn envelope(envelope: &SignaturePolicyEnvelope) -> Policy {
    Policy { r#type: PolicyType::Signature.into(), value: envelope.encode_to_vec().into() }
}

/// A policy on the policies of this name in the groups below.
pub(crate) fn meta(rule: Meta, sub_policy: &str) -> Policy {
    let policy = ImplicitMetaPolicy { sub_policy: sub_policy.into(), rule: rule.into() };
    Policy { r#type: PolicyType::ImplicitMeta.into(), value: policy.encode_to_vec().into() }
}

pub(crate) fn by(position: i32) -> SignaturePolicy {
    SignaturePolicy { r#type: Some(Type::SignedBy(position)) }
}

pub(crate) fn out_of<const N: usize>(n: i32, rules: [SignaturePolicy; N]) -> SignaturePolicy {
    SignaturePolicy { r#type: Some(Type::NOutOf(NOutOf { n, rules: rules.into() })) }
}

pub(crate) fn role(mspid: &str, role: MspRoleType) -> MspPrincipal {
    let role = MspRole { msp_identifier: mspid.into(), role: role.into() };
    principal(Classification::Role, role.encode_to_vec())
}

pub(crate) fn principal(class: Classification, bytes: Vec<u8>) -> MspPrincipal {
    MspPrincipal { principal_classification: class.into(), principal: bytes.into() }
}

/// Somebody who signs for an organisation.
pub(crate) fn signer(mspid: &str, member: &Member) -> SigningIdentity {
    let certificate = Source::new("cert", member.pem.clone());
    let key = Source::new("key", member.key_pem.clone());
    SigningIdentity::new(mspid, &certificate, &key).expect("a pair")
}

pub(crate) const CHANNEL: &str = "made";
