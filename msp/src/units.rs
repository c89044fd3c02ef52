//! Which organisational units an identity must, and which it may, carry.

use crate::chain::Authorities;
use crate::error::{ConfigError, IdentityError};
use crate::msp::{MspConfig, OuIdentifier, certifiers_id, parse_certificate};

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
    roles: Option<Vec<(Role, Unit)>>,
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
            None => Err(ConfigError::new(&ou.unit, "unit without the certificate of an authority")),
        });
        let roles = config.node_ous.as_ref().map(|ous| {
            let given = [
                (Role::Client, &ous.client),
                (Role::Peer, &ous.peer),
                (Role::Admin, &ous.admin),
                (Role::Orderer, &ous.orderer),
            ];
            let given = given.into_iter().filter_map(|(role, ou)| Some((role, ou.as_ref()?)));
            given
                .map(|(role, ou)| Ok((role, Unit::new(ou, authorities)?)))
                .collect::<Result<Vec<_>, _>>()
        });
        let rules = Self { listed: listed.collect::<Result<_, _>>()?, roles: roles.transpose()? };
        if rules.roles.as_ref().is_some_and(Vec::is_empty) {
            return Err(ConfigError::new("NodeOUs", "enabled without any unit"));
        }
        Ok(rules)
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
        let Some(roles) = &self.roles else {
            return Ok(());
        };
        let mut found = 0;
        for text in units {
            let Some((_, unit)) = roles.iter().find(|(_, unit)| unit.text == *text) else {
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
        let named = self.roles.iter().flatten().filter(|(_, unit)| units.contains(&unit.text));
        named.map(|&(role, _)| role).collect()
    }
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
