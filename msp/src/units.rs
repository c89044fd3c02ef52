//! Which organisational units an identity must, and which it may, carry.

use crate::chain::Authorities;
use crate::error::{ConfigError, IdentityError, shown};
use crate::msp::{MspConfig, MspLevel, NodeOus, OuIdentifier, certifiers_id, parse_certificate};

/// What an organisational unit, or a listed certificate, makes of a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    Client,
    Peer,
    Admin,
    Orderer,
}

/// The rules on organisational units of one organisation (§15.2, steps 5 and 6).
#[derive(Debug)]
pub(crate) struct UnitRules {
    listed: Vec<Unit>,
    /// Empty: no unit gives a role, and none is asked for.
    roles: Vec<(Role, Unit)>,
}

#[derive(Debug)]
struct Unit {
    text: String,
    /// `None`: whoever certified it.
    certifier: Option<[u8; 32]>,
}

impl UnitRules {
    pub(crate) fn new(config: &MspConfig, authorities: &Authorities) -> Result<Self, ConfigError> {
        let listed = config.ou_identifiers.iter().map(|ou| match &ou.certificate {
            Some(_) => Unit::new(ou, authorities),
            None => Err(ConfigError::new(
                shown(&ou.unit),
                "unit without the certificate of an authority",
            )),
        });
        let units =
            config.node_ous.as_ref().map_or(Ok(Vec::new()), |ous| role_units(ous, config.level));
        let role = |(role, ou)| Ok((role, Unit::new(ou, authorities)?));
        let roles = units?.into_iter().map(role).collect::<Result<_, _>>()?;
        Ok(Self { listed: listed.collect::<Result<_, _>>()?, roles })
    }

    /// Whether members have roles by their units, and must have one.
    pub(crate) fn give_roles(&self) -> bool {
        !self.roles.is_empty()
    }

    /// Judges the units of an identity, certified by the path with this identifier (C-51).
    pub(crate) fn check(&self, units: &[String], path: &[u8; 32]) -> Result<(), IdentityError> {
        let is_by_path = |unit: &Unit| unit.certifier.is_none_or(|certifier| certifier == *path);
        let is_listed = |text: &String| {
            self.listed.iter().any(|listed| listed.text == *text && is_by_path(listed))
        };
        if !self.listed.is_empty() && !units.iter().any(is_listed) {
            return Err(IdentityError::NoListedUnit);
        }
        if !self.give_roles() {
            return Ok(());
        }
        let mut found = 0;
        for text in units {
            // Of several roles with one unit the last says who certifies it.
            let Some((_, unit)) = self.roles.iter().rfind(|(_, unit)| unit.text == *text) else {
                continue;
            };
            if !is_by_path(unit) {
                return Err(IdentityError::WrongCertifier);
            }
            found += 1;
        }
        match found {
            0 => Err(IdentityError::NoRole),
            1 => Ok(()),
            _ => Err(IdentityError::SeveralRoles),
        }
    }

    /// The roles that units give: one, unless several roles go by one unit.
    pub(crate) fn roles_of(&self, units: &[String]) -> Vec<Role> {
        let named = self.roles.iter().filter(|(_, unit)| units.contains(&unit.text));
        named.map(|&(role, _)| role).collect()
    }
}

/// The units that give roles by the rules of a level (§15.4).
fn role_units(ous: &NodeOus, level: MspLevel) -> Result<Vec<(Role, &OuIdentifier)>, ConfigError> {
    let all = [
        (Role::Client, &ous.client),
        (Role::Peer, &ous.peer),
        (Role::Admin, &ous.admin),
        (Role::Orderer, &ous.orderer),
    ];
    let known = match level {
        MspLevel::V1_0 => &all[..0],
        MspLevel::V1_1 | MspLevel::V1_3 => &all[..2],
        MspLevel::V1_4_3 | MspLevel::V3_0 => &all[..],
    };
    if level < MspLevel::V1_4_3 && known.iter().any(|(_, ou)| ou.is_none()) {
        return Err(ConfigError::new("NodeOUs", "expected a unit of clients and one of peers"));
    }
    Ok(known.iter().filter_map(|(role, ou)| Some((*role, ou.as_ref()?))).collect())
}

impl Unit {
    fn new(ou: &OuIdentifier, authorities: &Authorities) -> Result<Self, ConfigError> {
        let Some(source) = &ou.certificate else {
            return Ok(Self { text: ou.unit.clone(), certifier: None });
        };
        let fail = |problem| ConfigError::new(&source.name, problem);
        let wanted = parse_certificate(source)?;
        let authority = authorities
            .iter()
            .find(|authority| authority.digest == wanted.digest)
            .ok_or_else(|| fail("is not one of the organisation's authorities"))?;
        let mut chain = vec![std::sync::Arc::clone(authority)];
        if !authorities.roots.iter().any(|root| root.digest == authority.digest) {
            let issuers = authorities.only_chain(authority);
            chain.extend(issuers.map_err(|_| fail("has not exactly one path to a root"))?);
        }
        Ok(Self { text: ou.unit.clone(), certifier: Some(certifiers_id(&chain)) })
    }
}
