//! Principals: sets of identities that policies name.

use gossip_proto::msp::msp_principal::Classification;
use gossip_proto::msp::msp_role::MspRoleType;
use gossip_proto::msp::{MspPrincipal, MspRole, OrganizationUnit, SerializedIdentity};
use prost::Message;

use crate::identities::Valid;
use crate::msp::well_formed;
use crate::units::Role;

/// A set of valid identities (S13.4.b).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Principal {
    /// All of the organisation with this MSP id.
    Members(String),
    /// Those of the organisation with a role.
    Role(String, Role),
    /// Those of the organisation with a unit, certified by the path of this identifier.
    Unit { mspid: String, unit: String, certifiers_id: Vec<u8> },
    /// The one with the certificate of this content.
    Identity { mspid: String, certificate: [u8; 32] },
    /// Nobody: Fabric finds out about a principal that it cannot read when nobody satisfies it.
    /// Anonymous and combined principals are not supported, and so nobody either.
    Nobody,
}

impl Principal {
    pub(crate) fn new(principal: &MspPrincipal) -> Self {
        let read = match Classification::try_from(principal.principal_classification) {
            Ok(Classification::Role) => role(&principal.principal),
            Ok(Classification::OrganizationUnit) => unit(&principal.principal),
            Ok(Classification::Identity) => identity(&principal.principal),
            Ok(Classification::Anonymity | Classification::Combined) | Err(_) => None,
        };
        read.unwrap_or(Self::Nobody)
    }

    pub(crate) fn includes(&self, identity: &Valid) -> bool {
        let is_of = |mspid: &String| **mspid == *identity.facts.mspid;
        match self {
            Self::Members(mspid) => is_of(mspid),
            Self::Role(mspid, role) => is_of(mspid) && identity.roles.contains(role),
            Self::Unit { mspid, unit, certifiers_id } => {
                is_of(mspid)
                    && identity.units.contains(unit)
                    && identity.certifiers_id[..] == certifiers_id[..]
            }
            Self::Identity { mspid, certificate } => {
                is_of(mspid) && identity.certificate == *certificate
            }
            Self::Nobody => false,
        }
    }
}

fn role(bytes: &[u8]) -> Option<Principal> {
    let MspRole { msp_identifier: mspid, role } = MspRole::decode(bytes).ok()?;
    let role = match MspRoleType::try_from(role).ok()? {
        MspRoleType::Member => return Some(Principal::Members(mspid)),
        MspRoleType::Admin => Role::Admin,
        MspRoleType::Client => Role::Client,
        MspRoleType::Peer => Role::Peer,
        MspRoleType::Orderer => Role::Orderer,
    };
    Some(Principal::Role(mspid, role))
}

fn unit(bytes: &[u8]) -> Option<Principal> {
    let unit = OrganizationUnit::decode(bytes).ok()?;
    Some(Principal::Unit {
        mspid: unit.msp_identifier,
        unit: unit.organizational_unit_identifier,
        certifiers_id: unit.certifiers_identifier.to_vec(),
    })
}

fn identity(bytes: &[u8]) -> Option<Principal> {
    let SerializedIdentity { mspid, id_bytes } = SerializedIdentity::decode(bytes).ok()?;
    let certificate = well_formed(&id_bytes).ok()?.content_digest;
    Some(Principal::Identity { mspid, certificate })
}
