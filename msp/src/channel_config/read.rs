//! From a configuration block to what its configuration says.

use std::collections::BTreeMap;

use bytes::Bytes;
use gossip_proto::common::{
    ChannelHeader, Config, ConfigEnvelope, Consenter, Envelope, HeaderType, OrdererAddresses,
    Orderers, Payload,
};
use gossip_proto::msp::SerializedIdentity;
use gossip_proto::orderer::ConsensusType;
use prost::Message;

use crate::block;
use crate::channel_config::ChannelConfig;
use crate::channel_config::group::{Group, is_channel_name};
use crate::channel_config::organisation::{Organisation, Organisations};
use crate::channel_config::values::{
    Level, application_capabilities, channel_capabilities, check_batches, check_hashing,
};
use crate::error::{ConfigError, shown};
use crate::identities::Identities;
use crate::policy::PolicyTree;

pub(crate) fn channel_config(block: &Bytes) -> Result<ChannelConfig, ConfigError> {
    let (channel, config) = read_block(block)?;
    if !is_channel_name(&channel) {
        let problem = format!("is {:?}, expected a name of a-z, 0-9, '.' and '-'", shown(&channel));
        return Err(ConfigError::new("channel", problem));
    }
    let root = config.channel_group.as_ref();
    let root = root.ok_or_else(|| ConfigError::new("configuration", "has no channel group"))?;
    let root = Group::root(root);
    root.check_names(1)?;
    root.check_groups(&["Application", "Orderer", "Consortiums"])?;
    root.check_values(&ROOT_VALUES)?;
    check_hashing(&root)?;
    let (application, orderer) = (root.group("Application")?, root.group("Orderer")?);
    let has_capabilities = |group: &Group<'_>| group.has_value("Capabilities");
    if !has_capabilities(&orderer) && (has_capabilities(&root) || has_capabilities(&application)) {
        let problem = "is missing, expected because the channel or its members have some";
        return Err(orderer.error("Capabilities", problem));
    }
    let channel_capabilities = channel_capabilities(&root)?;
    let level = Level::of(&channel_capabilities);
    let mut organisations = Organisations::new(level);
    let application_capabilities = application_capabilities(&application)?;
    application.check_values(&["ACLs", "Capabilities"])?;
    if application.has_value("ACLs") && application_capabilities.iter().all(|name| name == "V1_1") {
        return Err(application.error("ACLs", "need application capability V1_2 or later"));
    }
    let members = read_groups(&application, |name, group| organisations.member(name, group))?;
    orderer.check_values(&ORDERER_VALUES)?;
    check_batches(&orderer)?;
    let orderers = read_groups(&orderer, |name, group| organisations.orderer(name, group))?;
    let consenters = orderer.value::<Orderers>("Orderers")?.consenter_mapping;
    let mut config = ChannelConfig {
        channel,
        sequence: config.sequence,
        orderer_addresses: orderer_addresses(&root, level)?,
        consensus_type: orderer.value::<ConsensusType>("ConsensusType")?.r#type,
        consenter_identities: identities_of(&consenters),
        consenters,
        channel_capabilities,
        application_capabilities,
        policies: PolicyTree::new(&root.path, root.content, level.into())?,
        identities: Identities::new([]),
        members,
        orderers,
    };
    config.identities = Identities::new(config.msps());
    Ok(config)
}

/// Takes the name of the channel and its configuration out of a block.
fn read_block(bytes: &Bytes) -> Result<(String, Config), ConfigError> {
    if bytes.len() > BLOCK_LEN_MAX {
        let problem = format!("{} bytes, expected at most {BLOCK_LEN_MAX}", bytes.len());
        return Err(ConfigError::new("block", problem));
    }
    let block = block::decode(bytes).map_err(|error| ConfigError::new("block", error))?;
    let number = block.header.ok_or_else(|| ConfigError::new("block", "has no header"))?.number;
    let data = block.data.unwrap_or_default().data;
    let [transaction] = &data[..] else {
        let problem = format!("has {} transactions, expected one, a configuration", data.len());
        return Err(ConfigError::new("block", problem));
    };
    let envelope: Envelope = decode("envelope", transaction)?;
    let payload: Payload = decode("payload", &envelope.payload)?;
    let header = payload.header.ok_or_else(|| ConfigError::new("payload", "has no header"))?;
    let header: ChannelHeader = decode("channel header", &header.channel_header)?;
    // The genesis block is a configuration whatever it says.
    if number != 0 && header.r#type != i32::from(HeaderType::Config) {
        let problem = format!("transaction of type {}, expected 1, a configuration", header.r#type);
        return Err(ConfigError::new("block", problem));
    }
    let envelope: ConfigEnvelope = decode("configuration", &payload.data)?;
    let config = envelope.config;
    let config = config.ok_or_else(|| ConfigError::new("block", "has no configuration"))?;
    Ok((header.channel_id, config))
}

fn read_groups(
    parent: &Group<'_>,
    mut read: impl FnMut(&str, &Group<'_>) -> Result<Organisation, ConfigError>,
) -> Result<Vec<Organisation>, ConfigError> {
    parent.groups().map(|(name, group)| read(name, &group)).collect()
}

fn orderer_addresses(root: &Group<'_>, level: Level) -> Result<Vec<String>, ConfigError> {
    let OrdererAddresses { addresses } = root.value("OrdererAddresses")?;
    if level < Level::V1_4_2 && addresses.is_empty() {
        let problem = "none, expected at least one below channel capability V1_4_2";
        return Err(root.error("OrdererAddresses", problem));
    }
    if level >= Level::V3_0 && !addresses.is_empty() {
        let problem = "are not allowed with channel capability V3_0, organisations have endpoints";
        return Err(root.error("OrdererAddresses", problem));
    }
    Ok(addresses)
}

fn identities_of(consenters: &[Consenter]) -> BTreeMap<u32, Bytes> {
    let mut identities = BTreeMap::new();
    for Consenter { id, msp_id, identity, .. } in consenters {
        identities.entry(*id).or_insert_with(|| {
            let (mspid, id_bytes) = (msp_id.clone(), identity.clone());
            SerializedIdentity { mspid, id_bytes }.encode_to_vec().into()
        });
    }
    identities
}

fn decode<M: Message + Default>(name: &str, bytes: &Bytes) -> Result<M, ConfigError> {
    M::decode(bytes.clone()).map_err(|error| ConfigError::new(name, error))
}

const ROOT_VALUES: [&str; 6] = [
    "HashingAlgorithm",
    "BlockDataHashingStructure",
    "OrdererAddresses",
    "Orderers",
    "Consortium",
    "Capabilities",
];

const ORDERER_VALUES: [&str; 7] = [
    "ConsensusType",
    "BatchSize",
    "BatchTimeout",
    "KafkaBrokers",
    "ChannelRestrictions",
    "Orderers",
    "Capabilities",
];

/// The largest configuration block, in bytes. Read, it takes some times as much memory.
const BLOCK_LEN_MAX: usize = 32 << 20;
