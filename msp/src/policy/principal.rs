//! Principals: sets of identities that policies name.

use gossip_proto::msp::msp_identity_anonymity::MspIdentityAnonymityType;
use gossip_proto::msp::msp_principal::Classification;
use gossip_proto::msp::msp_role::MspRoleType;
use gossip_proto::msp::{
    CombinedPrincipal, MspIdentityAnonymity, MspPrincipal, MspRole, OrganizationUnit,
    SerializedIdentity,
};
use prost::Message;

use crate::identities::Valid;
use crate::msp::{MspLevel, well_formed};
use crate::units::Role;

/// A set of valid identities: those in all of these (S13.4.b).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Principal(Vec<Set>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Set {
    /// All of all organisations.
    All,
    /// All of the organisation with this MSP id.
    Members(String),
    /// Those of the organisation with a role.
    Role(String, Role),
    /// Those of the organisation with a unit, certified by the path of this identifier.
    Unit { mspid: String, unit: String, certifiers_id: Vec<u8> },
    /// The one with the certificate of this content.
    Identity { mspid: String, certificate: [u8; 32] },
    /// Nobody: Fabric finds out about a principal that it cannot read when nobody satisfies it.
    Nobody,
}

impl Principal {
    /// Reads a principal by the rules of a level. It is taken apart without recursion: strangers
    /// choose how deep sets are combined.
    pub(crate) fn new(principal: &MspPrincipal, level: MspLevel) -> Result<Self, String> {
        let mut sets = Vec::new();
        let mut left = vec![principal.clone()];
        while let Some(principal) = left.pop() {
            if sets.len() + left.len() >= SETS_MAX {
                return Err(format!("principal combined of more than {SETS_MAX}"));
            }
            match combined(&principal, level) {
                Some(parts) => left.extend(parts),
                None => sets.push(Set::new(&principal, level)),
            }
        }
        Ok(Self(sets))
    }

    pub(crate) fn includes(&self, identity: &Valid) -> bool {
        self.0.iter().all(|set| set.includes(identity))
    }
}

impl Set {
    fn new(principal: &MspPrincipal, level: MspLevel) -> Self {
        let read = match Classification::try_from(principal.principal_classification) {
            Ok(Classification::Role) => role(&principal.principal),
            Ok(Classification::OrganizationUnit) => unit(&principal.principal),
            Ok(Classification::Identity) => identity(&principal.principal),
            Ok(Classification::Anonymity) if level >= MspLevel::V1_3 => {
                anonymity(&principal.principal)
            }
            Ok(Classification::Anonymity | Classification::Combined) | Err(_) => None,
        };
        read.unwrap_or(Self::Nobody)
    }

    fn includes(&self, identity: &Valid) -> bool {
        let is_of = |mspid: &String| **mspid == *identity.facts.mspid;
        match self {
            Self::All => true,
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

/// The parts of a combined principal; `None` for others, those that cannot be read and empty ones.
fn combined(principal: &MspPrincipal, level: MspLevel) -> Option<Vec<MspPrincipal>> {
    let class = Classification::try_from(principal.principal_classification).ok()?;
    if class != Classification::Combined || level < MspLevel::V1_3 {
        return None;
    }
    let CombinedPrincipal { principals } =
        CombinedPrincipal::decode(principal.principal.clone()).ok()?;
    (!principals.is_empty()).then_some(principals)
}

fn role(bytes: &[u8]) -> Option<Set> {
    let MspRole { msp_identifier: mspid, role } = MspRole::decode(bytes).ok()?;
    let role = match MspRoleType::try_from(role).ok()? {
        MspRoleType::Member => return Some(Set::Members(mspid)),
        MspRoleType::Admin => Role::Admin,
        MspRoleType::Client => Role::Client,
        MspRoleType::Peer => Role::Peer,
        MspRoleType::Orderer => Role::Orderer,
    };
    Some(Set::Role(mspid, role))
}

fn unit(bytes: &[u8]) -> Option<Set> {
    let unit = OrganizationUnit::decode(bytes).ok()?;
    Some(Set::Unit {
        mspid: unit.msp_identifier,
        unit: unit.organizational_unit_identifier,
        certifiers_id: unit.certifiers_identifier.to_vec(),
    })
}

fn identity(bytes: &[u8]) -> Option<Set> {
    let SerializedIdentity { mspid, id_bytes } = SerializedIdentity::decode(bytes).ok()?;
    let certificate = well_formed(&id_bytes).ok()?.content_digest;
    Some(Set::Identity { mspid, certificate })
}

/// No X.509 identity is anonymous.
fn anonymity(bytes: &[u8]) -> Option<Set> {
    let MspIdentityAnonymity { anonymity_type } = MspIdentityAnonymity::decode(bytes).ok()?;
    match MspIdentityAnonymityType::try_from(anonymity_type).ok()? {
        MspIdentityAnonymityType::Nominal => Some(Set::All),
        MspIdentityAnonymityType::Anonymous => None,
    }
}

/// The most sets that one principal combines, which bounds the time that a look takes.
const SETS_MAX: usize = 256;
