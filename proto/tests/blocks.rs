//! Real blocks of a channel, read down to the certificates of its organizations.
//!
//! `data/ch1.genesis.block` and `data/ch1.13.block` are the first two configurations of a channel
//! `ch1` with throw-away organizations, as the ordering service made them.

use gossip_proto::common::policy::PolicyType;
use gossip_proto::common::{
    Block, BlockDataHashingStructure, BlockMetadataIndex, Capabilities, ChannelHeader,
    ConfigEnvelope, ConfigGroup, Envelope, HashingAlgorithm, HeaderType, ImplicitMetaPolicy,
    Metadata, OrdererAddresses, Payload, SignatureHeader, SignaturePolicyEnvelope,
};
use gossip_proto::msp::{FabricMspConfig, MspConfig, SerializedIdentity};
use gossip_proto::orderer::{BatchSize, BatchTimeout, ConsensusType};
use gossip_proto::protos::AnchorPeers;
use prost::Message;
use prost::bytes::Bytes;

#[test]
fn blocks_are_written_back_to_the_same_bytes() {
    for bytes in [GENESIS, UPDATED] {
        let block = Block::decode(bytes).expect("the block decodes");
        assert!(block.encode_to_vec() == bytes, "block {:?}", block.header);
        for transaction in &block.data.expect("the block has data").data {
            let envelope = Envelope::decode(transaction.clone()).expect("the transaction decodes");
            assert!(envelope.encode_to_vec() == *transaction, "the transaction is written back");
        }
    }
}

#[test]
fn a_configuration_block_names_its_channel_and_its_creator() {
    let header = payload(UPDATED).header.expect("the payload has a header");
    let channel = ChannelHeader::decode(header.channel_header).expect("the channel header decodes");
    assert_eq!(channel.r#type, i32::from(HeaderType::Config));
    assert_eq!(channel.channel_id, "ch1");
    let made_at = channel.timestamp.expect("the channel header has a time").seconds;
    assert!((1_600_000_000..4_000_000_000).contains(&made_at), "{made_at} is in this century");

    let signer = SignatureHeader::decode(header.signature_header).expect("the header decodes");
    assert_is_identity(signer.creator);
}

#[test]
fn a_block_is_signed_by_an_orderer() {
    let metadata = Block::decode(UPDATED).expect("the block decodes").metadata;
    let slots = metadata.expect("the block has metadata").metadata;
    let slot = &slots[BlockMetadataIndex::Signatures as usize];
    let signed = Metadata::decode(slot.clone()).expect("the signatures decode");
    assert!(!signed.value.is_empty());
    assert_eq!(signed.signatures.len(), 1);
    let signature = &signed.signatures[0];
    assert!(!signature.signature.is_empty());
    let signer = SignatureHeader::decode(signature.signature_header.clone());
    assert_is_identity(signer.expect("the header decodes").creator);
}

#[test]
fn a_channel_configuration_names_what_each_organization_trusts() {
    for (block, sequence) in [(GENESIS, 0), (UPDATED, 1)] {
        let envelope = ConfigEnvelope::decode(payload(block).data).expect("it decodes");
        let config = envelope.config.expect("the envelope has a configuration");
        assert_eq!(config.sequence, sequence);

        let root = config.channel_group.expect("the configuration has a root");
        let application = &root.groups["Application"];
        assert_eq!(application.groups.len(), 2);
        for organization in application.groups.values() {
            check_organization(organization);
        }
    }
}

/// The schema of policies and values has every field in use: nothing is lost in reading them.
#[test]
fn the_policies_and_values_of_a_configuration_are_written_back_to_the_same_bytes() {
    for block in [GENESIS, UPDATED] {
        let envelope = ConfigEnvelope::decode(payload(block).data).expect("it decodes");
        let root = envelope.config.and_then(|config| config.channel_group).expect("a root");
        let (policies, values) = check_group(&root);
        assert_eq!((policies, values), (23, 15));
    }
}

/// Returns how many policies and values of a known schema the group and those below it have.
fn check_group(group: &ConfigGroup) -> (usize, usize) {
    let (mut policies, mut values) = (0, 0);
    for (name, policy) in &group.policies {
        let policy = policy.policy.as_ref().expect("the policy is there");
        match PolicyType::try_from(policy.r#type).expect("a known type") {
            PolicyType::Signature => writes_back::<SignaturePolicyEnvelope>(name, &policy.value),
            PolicyType::ImplicitMeta => writes_back::<ImplicitMetaPolicy>(name, &policy.value),
            other => panic!("{name} is a policy of type {other:?}"),
        }
        policies += 1;
    }
    for (name, value) in &group.values {
        let value = &value.value;
        match name.as_str() {
            "HashingAlgorithm" => writes_back::<HashingAlgorithm>(name, value),
            "BlockDataHashingStructure" => writes_back::<BlockDataHashingStructure>(name, value),
            "Capabilities" => {
                // Go writes the empty value of an entry, which prost leaves out.
                let capabilities = Capabilities::decode(value.clone()).expect(name).capabilities;
                assert!(capabilities.keys().all(|name| name.starts_with('V')));
            }
            "Endpoints" => writes_back::<OrdererAddresses>(name, value),
            "AnchorPeers" => writes_back::<AnchorPeers>(name, value),
            "ConsensusType" => writes_back::<ConsensusType>(name, value),
            "BatchSize" => writes_back::<BatchSize>(name, value),
            "BatchTimeout" => writes_back::<BatchTimeout>(name, value),
            "MSP" => writes_back::<MspConfig>(name, value),
            "ChannelRestrictions" => assert!(value.is_empty()),
            other => panic!("a value {other}"),
        }
        values += 1;
    }
    for (inner_policies, inner_values) in group.groups.values().map(check_group) {
        policies += inner_policies;
        values += inner_values;
    }
    (policies, values)
}

fn writes_back<M: Message + Default>(name: &str, bytes: &Bytes) {
    let message = M::decode(bytes.clone()).expect(name);
    assert_eq!(message.encode_to_vec(), *bytes, "{name}");
}

fn check_organization(group: &ConfigGroup) {
    let policy = group.policies["Endorsement"].policy.as_ref().expect("the policy is there");
    assert_eq!(policy.r#type, 1, "the policy is one of signatures");
    assert_eq!(group.mod_policy, "Admins");

    let msp = MspConfig::decode(group.values["MSP"].value.clone()).expect("the value decodes");
    assert_eq!(msp.r#type, 0, "the organization uses X.509");
    let fabric = FabricMspConfig::decode(msp.config.clone()).expect("the configuration decodes");
    assert_eq!(fabric.encode_to_vec(), msp.config, "no field is unknown");
    assert!(!fabric.name.is_empty());
    for certificate in fabric.root_certs.iter().chain(&fabric.tls_root_certs) {
        assert_is_certificate(certificate);
    }
    assert_eq!((fabric.root_certs.len(), fabric.tls_root_certs.len()), (1, 1));
    assert_eq!(fabric.crypto_config.expect("it is there").signature_hash_family, "SHA2");

    let units = fabric.fabric_node_ous.expect("the organization tells roles by units");
    assert!(units.enable);
    let named = [
        (units.client_ou_identifier, "client"),
        (units.peer_ou_identifier, "peer"),
        (units.admin_ou_identifier, "admin"),
        (units.orderer_ou_identifier, "orderer"),
    ];
    for (unit, name) in named {
        assert_eq!(unit.expect(name).organizational_unit_identifier, name);
    }
}

/// Reads the payload of the first transaction.
fn payload(block: &'static [u8]) -> Payload {
    let data = Block::decode(block).expect("the block decodes").data.expect("the block has data");
    let envelope = Envelope::decode(data.data[0].clone()).expect("the transaction decodes");
    Payload::decode(envelope.payload).expect("the payload decodes")
}

fn assert_is_identity(bytes: Bytes) {
    let identity = SerializedIdentity::decode(bytes).expect("the identity decodes");
    assert!(!identity.mspid.is_empty());
    assert_is_certificate(&identity.id_bytes);
}

fn assert_is_certificate(pem: &[u8]) {
    assert!(pem.starts_with(b"-----BEGIN CERTIFICATE-----"), "a certificate in PEM");
}

const GENESIS: &[u8] = include_bytes!("data/ch1.genesis.block");
const UPDATED: &[u8] = include_bytes!("data/ch1.13.block");
