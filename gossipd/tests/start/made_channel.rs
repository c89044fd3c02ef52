//! A channel of one organisation and an orderer, made for a test.

use bytes::Bytes;
use gossip_msp::{BlockDraft, SigningIdentity, Source, header_hash};
use gossip_proto::{
    common::{
        Block, BlockData, BlockDataHashingStructure, BlockHeader, Capabilities, Capability,
        ChannelHeader, Config, ConfigEnvelope, ConfigGroup, ConfigPolicy, ConfigValue, Envelope,
        HashingAlgorithm, Header, HeaderType, OrdererAddresses, Payload, Policy, SignaturePolicy,
        SignaturePolicyEnvelope, policy::PolicyType, signature_policy::Type,
    },
    msp::{
        FabricMspConfig, MspConfig, MspPrincipal, MspRole, msp_principal::Classification,
        msp_role::MspRoleType,
    },
    orderer::{BatchSize, BatchTimeout},
};
use prost::Message;
use rcgen::{CertifiedIssuer, KeyPair};
use sha2::{Digest, Sha256};

use crate::org::{Organisation, authority, member};

/// A channel whose blocks a test orders.
pub(crate) struct MadeChannel {
    /// The genesis block.
    pub(crate) genesis: Bytes,
    orderer: SigningIdentity,
    previous_hash: [u8; 32],
    next: u64,
}

impl MadeChannel {
    pub(crate) const NAME: &str = "made";

    /// Makes a channel with this organisation and an orderer of its own.
    pub(crate) fn new(org: &Organisation) -> Self {
        let authority = authority("ca.orderer");
        let (certificate, key) = member("orderer0", &authority);
        let certificate = Source::new("certificate", certificate);
        let orderer = SigningIdentity::new(ORDERERS, &certificate, &Source::new("key", key));
        let block = genesis(&configuration(org, &authority));
        let previous_hash = header_hash(block.header.as_ref().expect("a header"));
        Self {
            genesis: block.encode_to_vec().into(),
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
}

fn configuration(org: &Organisation, orderers: &CertifiedIssuer<'static, KeyPair>) -> ConfigGroup {
    let mut root = ConfigGroup::default();
    set_value(&mut root, "HashingAlgorithm", &HashingAlgorithm { name: "SHA256".into() });
    let structure = BlockDataHashingStructure { width: u32::MAX };
    set_value(&mut root, "BlockDataHashingStructure", &structure);
    set_value(&mut root, "Capabilities", &capabilities("V3_0"));
    let mut application = ConfigGroup::default();
    set_value(&mut application, "Capabilities", &capabilities("V2_5"));
    set_policy(&mut application, "Readers", Organisation::MSPID);
    let members = msp(Organisation::MSPID, &org.identities, Some(&org.tls));
    application.groups.insert("org1".into(), members);
    let mut orderer = ConfigGroup::default();
    set_value(&mut orderer, "Capabilities", &capabilities("V2_0"));
    let size = BatchSize { max_message_count: 1, absolute_max_bytes: 9, preferred_max_bytes: 9 };
    set_value(&mut orderer, "BatchSize", &size);
    set_value(&mut orderer, "BatchTimeout", &BatchTimeout { timeout: "2s".into() });
    set_policy(&mut orderer, "BlockValidation", ORDERERS);
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

/// Any member of this organisation satisfies the policy.
fn set_policy(group: &mut ConfigGroup, name: &str, mspid: &str) {
    let role = MspRole { msp_identifier: mspid.into(), role: MspRoleType::Member.into() };
    let principal = MspPrincipal {
        principal_classification: Classification::Role.into(),
        principal: role.encode_to_vec().into(),
    };
    let rule = SignaturePolicy { r#type: Some(Type::SignedBy(0)) };
    let value =
        SignaturePolicyEnvelope { version: 0, rule: Some(rule), identities: vec![principal] };
    let r#type = PolicyType::Signature.into();
    let policy = Some(Policy { r#type, value: value.encode_to_vec().into() });
    group.policies.insert(name.into(), ConfigPolicy { policy, ..ConfigPolicy::default() });
}

fn capabilities(name: &str) -> Capabilities {
    Capabilities { capabilities: [(name.to_owned(), Capability {})].into() }
}

fn genesis(root: &ConfigGroup) -> Block {
    let config = Config { sequence: 0, channel_group: Some(root.clone()) };
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
    let header = BlockHeader { number: 0, previous_hash: Bytes::new(), data_hash };
    Block { header: Some(header), data: Some(BlockData { data: vec![envelope] }), metadata: None }
}

const ORDERERS: &str = "OrdererMSP";
