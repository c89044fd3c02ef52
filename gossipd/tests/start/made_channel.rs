//! A channel with an orderer of its own, made for a test.

use bytes::Bytes;
use gossip_msp::{BlockDraft, SigningIdentity, Source, header_bytes, header_hash};
use gossip_proto::{
    common::{
        Block, BlockData, BlockDataHashingStructure, BlockHeader, BlockMetadata, Capabilities,
        Capability, ChannelHeader, Config, ConfigEnvelope, ConfigGroup, ConfigPolicy, ConfigValue,
        Envelope, HashingAlgorithm, Header, HeaderType, LastConfig, Metadata, MetadataSignature,
        OrdererAddresses, OrdererBlockMetadata, Payload, Policy, SignatureHeader, SignaturePolicy,
        SignaturePolicyEnvelope,
        policy::PolicyType,
        signature_policy::{NOutOf, Type},
    },
    msp::{
        FabricMspConfig, MspConfig, MspPrincipal, MspRole, msp_principal::Classification,
        msp_role::MspRoleType,
    },
    orderer::{BatchSize, BatchTimeout},
    protos::{AnchorPeer, AnchorPeers},
};
use prost::Message;
use rcgen::{CertifiedIssuer, KeyPair};
use sha2::{Digest, Sha256};

use crate::org::{Organisation, authority, member};

/// A channel whose blocks a test orders.
pub(crate) struct MadeChannel {
    /// The genesis block.
    pub(crate) genesis: Bytes,
    orderers: CertifiedIssuer<'static, KeyPair>,
    orderer: SigningIdentity,
    previous_hash: [u8; 32],
    next: u64,
}

impl MadeChannel {
    pub(crate) const NAME: &str = "made";

    /// Makes a channel with this organisation and an orderer of its own.
    pub(crate) fn new(org: &Organisation) -> Self {
        let orderers = authority("ca.orderer");
        let (certificate, key) = member("orderer0", &orderers);
        let certificate = Source::new("certificate", certificate);
        let orderer = SigningIdentity::new(ORDERERS, &certificate, &Source::new("key", key));
        let root = configuration(&[(org, None)], &orderers);
        let (header, data) = config_block(0, Bytes::new(), 0, &root);
        let previous_hash = header_hash(&header);
        let block = Block { header: Some(header), data: Some(data), metadata: None };
        Self {
            genesis: block.encode_to_vec().into(),
            orderers,
            orderer: orderer.expect("a pair"),
            previous_hash,
            next: 1,
        }
    }

    /// Orders a block with this payload.
    pub(crate) fn order(&mut self, payload: Bytes) -> Bytes {
        let draft = BlockDraft {
            channel: Self::NAME,
            number: self.next,
            previous_hash: &self.previous_hash,
            last_config: 0,
        };
        let sealed = draft.seal(&[payload], &self.orderer).expect("a signature");
        self.previous_hash = sealed.header_hash;
        self.next += 1;
        sealed.bytes
    }

    /// Orders a configuration block: the channel is of these organisations then, each with or
    /// without an anchor peer at a port of this machine. The genesis block has sequence 0.
    pub(crate) fn reconfigure(
        &mut self,
        sequence: u64,
        orgs: &[(&Organisation, Option<u16>)],
    ) -> Bytes {
        let previous_hash = Bytes::copy_from_slice(&self.previous_hash);
        let root = configuration(orgs, &self.orderers);
        let (header, data) = config_block(self.next, previous_hash, sequence, &root);
        let last_config = Some(LastConfig { index: self.next });
        let value = OrdererBlockMetadata { last_config, ..OrdererBlockMetadata::default() };
        let value = value.encode_to_vec();
        let creator = self.orderer.serialized().clone();
        let nonce = Bytes::from_static(&[7; 24]);
        let signature_header = SignatureHeader { creator, nonce }.encode_to_vec();
        let message = [&value[..], &signature_header, &header_bytes(&header)].concat();
        let signature = MetadataSignature {
            signature: self.orderer.sign(&message).expect("a signature").into(),
            signature_header: signature_header.into(),
            identifier_header: Bytes::new(),
        };
        let signatures = Metadata { value: value.into(), signatures: vec![signature] };
        let mut metadata = vec![Bytes::new(); 5];
        metadata[0] = signatures.encode_to_vec().into();
        self.previous_hash = header_hash(&header);
        self.next += 1;
        let metadata = Some(BlockMetadata { metadata });
        Block { header: Some(header), data: Some(data), metadata }.encode_to_vec().into()
    }
}

fn configuration(
    orgs: &[(&Organisation, Option<u16>)],
    orderers: &CertifiedIssuer<'static, KeyPair>,
) -> ConfigGroup {
    let mut root = ConfigGroup::default();
    set_value(&mut root, "HashingAlgorithm", &HashingAlgorithm { name: "SHA256".into() });
    let structure = BlockDataHashingStructure { width: u32::MAX };
    set_value(&mut root, "BlockDataHashingStructure", &structure);
    set_value(&mut root, "Capabilities", &capabilities("V3_0"));
    let mut application = ConfigGroup::default();
    set_value(&mut application, "Capabilities", &capabilities("V2_5"));
    let mspids: Vec<_> = orgs.iter().map(|(org, _)| org.mspid).collect();
    set_policy(&mut application, "Readers", &mspids);
    for (org, anchor) in orgs {
        let mut members = msp(org.mspid, &org.identities, Some(&org.tls));
        if let Some(port) = anchor {
            let anchor = AnchorPeer { host: "127.0.0.1".into(), port: i32::from(*port) };
            set_value(&mut members, "AnchorPeers", &AnchorPeers { anchor_peers: vec![anchor] });
        }
        application.groups.insert(org.mspid.to_lowercase(), members);
    }
    let mut orderer = ConfigGroup::default();
    set_value(&mut orderer, "Capabilities", &capabilities("V2_0"));
    let size = BatchSize { max_message_count: 1, absolute_max_bytes: 9, preferred_max_bytes: 9 };
    set_value(&mut orderer, "BatchSize", &size);
    set_value(&mut orderer, "BatchTimeout", &BatchTimeout { timeout: "2s".into() });
    set_policy(&mut orderer, "BlockValidation", &[ORDERERS]);
    let mut ordering = msp(ORDERERS, orderers, None);
    let endpoints = OrdererAddresses { addresses: vec!["orderer0:7050".into()] };
    set_value(&mut ordering, "Endpoints", &endpoints);
    orderer.groups.insert("orderer".into(), ordering);
    root.groups.insert("Application".into(), application);
    root.groups.insert("Orderer".into(), orderer);
    root
}

fn msp(
    mspid: &str,
    identities: &CertifiedIssuer<'static, KeyPair>,
    tls: Option<&CertifiedIssuer<'static, KeyPair>>,
) -> ConfigGroup {
    let config = FabricMspConfig {
        name: mspid.into(),
        root_certs: vec![identities.pem().into()],
        tls_root_certs: tls.map(|tls| tls.pem().into()).into_iter().collect(),
        ..FabricMspConfig::default()
    };
    let mut group = ConfigGroup::default();
    let typed = MspConfig { r#type: 0, config: config.encode_to_vec().into() };
    set_value(&mut group, "MSP", &typed);
    group
}

fn set_value(group: &mut ConfigGroup, key: &str, value: &impl Message) {
    let value = ConfigValue { value: value.encode_to_vec().into(), ..ConfigValue::default() };
    group.values.insert(key.into(), value);
}

/// Any member of one of these organisations satisfies the policy.
fn set_policy(group: &mut ConfigGroup, name: &str, mspids: &[&str]) {
    let principal = |mspid: &&str| {
        let (msp_identifier, role) = ((*mspid).to_owned(), MspRoleType::Member.into());
        MspPrincipal {
            principal_classification: Classification::Role.into(),
            principal: MspRole { msp_identifier, role }.encode_to_vec().into(),
        }
    };
    let identities = mspids.iter().map(principal).collect();
    let members = (0..).take(mspids.len()).map(Type::SignedBy);
    let rules = members.map(|member| SignaturePolicy { r#type: Some(member) }).collect();
    let rule = SignaturePolicy { r#type: Some(Type::NOutOf(NOutOf { n: 1, rules })) };
    let value = SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities };
    let r#type = PolicyType::Signature.into();
    let policy = Some(Policy { r#type, value: value.encode_to_vec().into() });
    group.policies.insert(name.into(), ConfigPolicy { policy, ..ConfigPolicy::default() });
}

fn capabilities(name: &str) -> Capabilities {
    Capabilities { capabilities: [(name.to_owned(), Capability {})].into() }
}

fn config_block(
    number: u64,
    previous_hash: Bytes,
    sequence: u64,
    root: &ConfigGroup,
) -> (BlockHeader, BlockData) {
    let config = Config { sequence, channel_group: Some(root.clone()) };
    let config = ConfigEnvelope { config: Some(config), last_update: None };
    let header = ChannelHeader {
        r#type: HeaderType::Config.into(),
        channel_id: MadeChannel::NAME.into(),
        ..ChannelHeader::default()
    };
    let header = Header { channel_header: header.encode_to_vec().into(), ..Header::default() };
    let payload = Payload { header: Some(header), data: config.encode_to_vec().into() };
    let envelope =
        Envelope { payload: payload.encode_to_vec().into(), signature: Bytes::from_static(b"s") };
    let envelope = Bytes::from(envelope.encode_to_vec());
    let data_hash = Bytes::copy_from_slice(&Sha256::digest(&envelope));
    (BlockHeader { number, previous_hash, data_hash }, BlockData { data: vec![envelope] })
}

const ORDERERS: &str = "OrdererMSP";
