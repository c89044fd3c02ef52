//! Organisations out of a channel's configuration block.

use bytes::Bytes;
use gossip_proto::common::{Block, ChannelHeader, ConfigEnvelope, ConfigGroup, Envelope, Payload};
use gossip_proto::msp::{FabricMspConfig, FabricOuIdentifier, MspConfig as TypedConfig};
use prost::Message;

use crate::error::ConfigError;
use crate::msp::{Msp, MspConfig, NodeOus, OuIdentifier, Source};

/// The channel's name and the organisations that run its ordering service.
///
/// The block is taken as it is: verify it first, unless it is a genesis block that you trust.
///
/// # Errors
///
/// Names the part of the configuration that is missing or cannot be used.
pub fn orderer_msps(config_block: &Bytes) -> Result<(String, Vec<Msp>), ConfigError> {
    msps_of("Orderer", config_block)
}

/// The channel's name and its member organisations.
///
/// The block is taken as it is: verify it first, unless it is a genesis block that you trust.
///
/// # Errors
///
/// Names the part of the configuration that is missing or cannot be used.
pub fn application_msps(config_block: &Bytes) -> Result<(String, Vec<Msp>), ConfigError> {
    msps_of("Application", config_block)
}

impl MspConfig {
    /// Takes an organisation as a channel's configuration describes it.
    #[must_use]
    pub fn from_fabric(config: &FabricMspConfig) -> Self {
        let sources = |field: &str, contents: &[Bytes]| {
            let name = |(index, content): (usize, &Bytes)| {
                Source::new(format!("{field}[{index}]"), content.clone())
            };
            contents.iter().enumerate().map(name).collect()
        };
        let ous = config.fabric_node_ous.as_ref().filter(|ous| ous.enable);
        Self {
            id: config.name.clone(),
            root_certs: sources("root_certs", &config.root_certs),
            intermediate_certs: sources("intermediate_certs", &config.intermediate_certs),
            revocation_lists: sources("revocation_list", &config.revocation_list),
            ou_identifiers: config
                .organizational_unit_identifiers
                .iter()
                .map(|ou| unit("organizational_unit_identifiers", ou))
                .collect(),
            node_ous: ous.map(|ous| NodeOus {
                client: ous.client_ou_identifier.as_ref().map(|ou| unit("client_ou", ou)),
                peer: ous.peer_ou_identifier.as_ref().map(|ou| unit("peer_ou", ou)),
                admin: ous.admin_ou_identifier.as_ref().map(|ou| unit("admin_ou", ou)),
                orderer: ous.orderer_ou_identifier.as_ref().map(|ou| unit("orderer_ou", ou)),
            }),
        }
    }
}

fn unit(field: &str, ou: &FabricOuIdentifier) -> OuIdentifier {
    let certificate = (!ou.certificate.is_empty())
        .then(|| Source::new(format!("{field}.certificate"), ou.certificate.clone()));
    OuIdentifier { unit: ou.organizational_unit_identifier.clone(), certificate }
}

fn msps_of(group: &str, config_block: &Bytes) -> Result<(String, Vec<Msp>), ConfigError> {
    let (channel, root) = read_config(config_block)?;
    let organisations = &root
        .groups
        .get(group)
        .ok_or_else(|| ConfigError::new(group, "group is missing from the configuration"))?
        .groups;
    let msps = organisations.iter().map(|(name, organisation)| {
        let place = format!("{group}/{name}/MSP");
        read_msp(organisation).map_err(|error| error.within(&place))
    });
    Ok((channel, msps.collect::<Result<_, _>>()?))
}

fn read_msp(organisation: &ConfigGroup) -> Result<Msp, ConfigError> {
    let value = organisation.values.get("MSP");
    let value = &value.ok_or_else(|| ConfigError::new("value", "is missing"))?.value;
    let typed: TypedConfig = decode("value", value)?;
    if typed.r#type != TYPE_X509 {
        let problem = format!("is {}, expected {TYPE_X509}, X.509", typed.r#type);
        return Err(ConfigError::new("type", problem));
    }
    let config: FabricMspConfig = decode("config", &typed.config)?;
    let family = config.crypto_config.as_ref().map_or("", |crypto| &crypto.signature_hash_family);
    if !["", "SHA2"].contains(&family) {
        let problem = format!("is {family:?}, expected SHA2");
        return Err(ConfigError::new("signature_hash_family", problem));
    }
    Msp::new(&MspConfig::from_fabric(&config))
}

fn read_config(block: &Bytes) -> Result<(String, ConfigGroup), ConfigError> {
    let block: Block = decode("block", block)?;
    let data = block.data.unwrap_or_default().data;
    let [transaction] = &data[..] else {
        let problem = format!("has {} transactions, expected one, a configuration", data.len());
        return Err(ConfigError::new("block", problem));
    };
    let envelope: Envelope = decode("envelope", transaction)?;
    let payload: Payload = decode("payload", &envelope.payload)?;
    let header = payload.header.unwrap_or_default().channel_header;
    let header: ChannelHeader = decode("channel header", &header)?;
    let config: ConfigEnvelope = decode("configuration", &payload.data)?;
    let root = config.config.and_then(|config| config.channel_group);
    let root = root.ok_or_else(|| ConfigError::new("configuration", "has no channel group"))?;
    Ok((header.channel_id, root))
}

fn decode<M: Message + Default>(name: &str, bytes: &Bytes) -> Result<M, ConfigError> {
    M::decode(bytes.clone()).map_err(|error| ConfigError::new(name, error))
}

const TYPE_X509: i32 = 0;
