//! Organisations, as the groups of a configuration describe them.

use std::collections::BTreeMap;

use bytes::Bytes;
use gossip_proto::common::OrdererAddresses;
use gossip_proto::msp::{FabricMspConfig, FabricOuIdentifier, MspConfig as TypedConfig};
use gossip_proto::protos::AnchorPeers;
use prost::Message;

use crate::channel_config::group::Group;
use crate::channel_config::values::Level;
use crate::error::{ConfigError, shown};
use crate::msp::{Msp, MspConfig, MspLevel, NodeOus, OuIdentifier, Source};
use crate::wire::bytes_of;

/// An organisation of a channel.
#[derive(Clone, Debug)]
pub struct Organisation {
    /// The name of its group, which need not be its MSP id.
    pub name: String,
    /// Its MSP id.
    pub mspid: String,
    /// Its rules; `None` when its identities are not X.509 but anonymous ones of Idemix, which
    /// cannot be judged here.
    pub msp: Option<Msp>,
    /// The certificates of its root and intermediate authorities for TLS, in PEM.
    pub tls_authorities: Vec<Bytes>,
    /// The peers by which others find it; an organisation that only orders has none. Those without
    /// a host or a possible port are left out, as Fabric skips them.
    pub anchors: Vec<Anchor>,
    /// The addresses of its orderers, as `host:port`; empty unless it orders.
    pub endpoints: Vec<String>,
}

/// Where to reach a peer.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Anchor {
    /// Host name or address.
    pub host: String,
    /// Port, not 0.
    pub port: u16,
}

/// Reads organisations; one with several groups is set up once.
#[derive(Debug)]
pub(crate) struct Organisations {
    level: Level,
    known: BTreeMap<String, (Bytes, Option<Msp>)>,
}

impl Organisations {
    /// Organisations by the rules of a channel of this level.
    pub(crate) fn new(level: Level) -> Self {
        Self { level, known: BTreeMap::new() }
    }

    pub(crate) fn member(
        &mut self,
        name: &str,
        group: &Group<'_>,
    ) -> Result<Organisation, ConfigError> {
        group.check_values(&["MSP", "AnchorPeers"])?;
        let mut organisation = self.read(name, group)?;
        let anchors: AnchorPeers = group.value("AnchorPeers")?;
        let usable = anchors.anchor_peers.into_iter().filter(|anchor| !anchor.host.is_empty());
        let anchors = usable.filter_map(|anchor| {
            let port = u16::try_from(anchor.port).ok().filter(|port| *port != 0)?;
            Some(Anchor { host: anchor.host, port })
        });
        organisation.anchors = anchors.collect();
        Ok(organisation)
    }

    pub(crate) fn orderer(
        &mut self,
        name: &str,
        group: &Group<'_>,
    ) -> Result<Organisation, ConfigError> {
        group.check_values(&["MSP", "Endpoints"])?;
        let mut organisation = self.read(name, group)?;
        let endpoints: OrdererAddresses = group.value("Endpoints")?;
        let fail = |problem| Err(group.error("Endpoints", problem));
        if self.level < Level::V1_4_2 && !endpoints.addresses.is_empty() {
            return fail("need channel capability V1_4_2 or later");
        }
        if self.level >= Level::V3_0 && endpoints.addresses.is_empty() {
            return fail("none, expected at least one with channel capability V3_0");
        }
        organisation.endpoints = endpoints.addresses;
        Ok(organisation)
    }

    fn read(&mut self, name: &str, group: &Group<'_>) -> Result<Organisation, ConfigError> {
        group.check_groups(&[])?;
        let within = |error: ConfigError| error.within(&format!("{}/MSP", group.path));
        let typed: TypedConfig = group.value("MSP")?;
        let (mspid, tls_authorities) = match typed.r#type {
            TYPE_X509 => {
                let config: FabricMspConfig = decode("config", &typed.config).map_err(within)?;
                let tls = [config.tls_root_certs, config.tls_intermediate_certs].concat();
                (config.name, tls)
            }
            TYPE_IDEMIX => (idemix_name(&typed.config).map_err(within)?, Vec::new()),
            other => {
                let problem = format!("is {other}, expected 0, X.509, or 1, Idemix");
                return Err(within(ConfigError::new("type", problem)));
            }
        };
        let msp = match self.known.get(&mspid) {
            Some((config, msp)) if *config == typed.config => msp.clone(),
            Some(_) => {
                let problem = format!("{:?} is defined in another way elsewhere", shown(&mspid));
                return Err(within(ConfigError::new("MSP id", problem)));
            }
            None => {
                let msp = (typed.r#type == TYPE_X509)
                    .then(|| set_up(&typed.config, self.level))
                    .transpose()
                    .map_err(within)?;
                self.known.insert(mspid.clone(), (typed.config, msp.clone()));
                msp
            }
        };
        let name = name.to_owned();
        let (anchors, endpoints) = (Vec::new(), Vec::new());
        Ok(Organisation { name, mspid, msp, tls_authorities, anchors, endpoints })
    }
}

impl MspConfig {
    /// Takes an organisation as a channel's configuration describes it, by the rules of the highest
    /// level.
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
            level: MspLevel::default(),
            root_certs: sources("root_certs", &config.root_certs),
            intermediate_certs: sources("intermediate_certs", &config.intermediate_certs),
            admins: sources("admins", &config.admins),
            revocation_lists: sources("revocation_list", &config.revocation_list),
            tls_root_certs: sources("tls_root_certs", &config.tls_root_certs),
            tls_intermediate_certs: sources(
                "tls_intermediate_certs",
                &config.tls_intermediate_certs,
            ),
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

fn set_up(config: &Bytes, level: Level) -> Result<Msp, ConfigError> {
    let config: FabricMspConfig = decode("config", config)?;
    let family = config.crypto_config.as_ref().map_or("", |crypto| &crypto.signature_hash_family);
    if !["", "SHA2"].contains(&family) {
        let problem = format!("is {:?}, expected SHA2", shown(family));
        return Err(ConfigError::new("signature_hash_family", problem));
    }
    Msp::new(&MspConfig { level: level.into(), ..MspConfig::from_fabric(&config) })
}

/// The MSP id is field 1 of Idemix' configuration too.
fn idemix_name(config: &[u8]) -> Result<String, ConfigError> {
    let name = bytes_of(config, 1).and_then(|name| str::from_utf8(name).ok());
    match name {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        Some(_) | None => Err(ConfigError::new("MSP id", "is empty or not text")),
    }
}

fn unit(field: &str, ou: &FabricOuIdentifier) -> OuIdentifier {
    let certificate = (!ou.certificate.is_empty())
        .then(|| Source::new(format!("{field}.certificate"), ou.certificate.clone()));
    OuIdentifier { unit: ou.organizational_unit_identifier.clone(), certificate }
}

fn decode<M: Message + Default>(name: &str, bytes: &Bytes) -> Result<M, ConfigError> {
    M::decode(bytes.clone()).map_err(|error| ConfigError::new(name, error))
}

const TYPE_X509: i32 = 0;
const TYPE_IDEMIX: i32 = 1;
