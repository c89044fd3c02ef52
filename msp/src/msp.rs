//! The rules of one organisation: who belongs to it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::certificate::{self, Certificate, RevocationList, sha256};
use crate::chain::{Authorities, ChainError};
use crate::error::{ConfigError, IdentityError, shown};
use crate::key::PublicKey;
use crate::pem;
use crate::units::{Role, UnitRules};

/// A piece of configuration and the name by which errors call it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Source {
    /// The file or field it came from.
    pub name: String,
    /// PEM text; DER too for revocation lists.
    pub content: Bytes,
}

impl Source {
    /// Names `content`.
    pub fn new(name: impl Into<String>, content: impl Into<Bytes>) -> Self {
        Self { name: name.into(), content: content.into() }
    }
}

/// An organisational unit and the authority that must have certified it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OuIdentifier {
    /// The text of the organisational unit.
    pub unit: String,
    /// The certificate of one of the organisation's authorities; any of them when absent.
    pub certificate: Option<Source>,
}

/// The organisational units that give roles; an absent one gives none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NodeOus {
    /// Clients, which submit transactions.
    pub client: Option<OuIdentifier>,
    /// Peers.
    pub peer: Option<OuIdentifier>,
    /// Administrators.
    pub admin: Option<OuIdentifier>,
    /// Ordering nodes.
    pub orderer: Option<OuIdentifier>,
}

/// How far the rules of an organisation go; each level includes those before it (§15.4).
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum MspLevel {
    /// No roles by unit.
    V1_0,
    /// The roles of clients and peers, both of which must have a unit.
    V1_1,
    /// Combined principals, and those on anonymity.
    V1_3,
    /// The roles of administrators and orderers as well; any of the units may be absent.
    V1_4_3,
    /// Members with Ed25519 keys.
    #[default]
    V3_0,
}

/// What an organisation is made from.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MspConfig {
    /// The MSP id, not empty.
    pub id: String,
    /// How far the rules go: all the way in the local MSP of a node.
    pub level: MspLevel,
    /// Certificates of root authorities, at least one.
    pub root_certs: Vec<Source>,
    /// Certificates of intermediate authorities, each with one path to a root.
    pub intermediate_certs: Vec<Source>,
    /// Certificates of administrators, each a member and, where units give roles, a client or an
    /// administrator.
    pub admins: Vec<Source>,
    /// Revocation lists, each with an authority key identifier.
    pub revocation_lists: Vec<Source>,
    /// Units of which a member has at least one; empty allows all.
    pub ou_identifiers: Vec<OuIdentifier>,
    /// Units of which a member has exactly one; `None` allows all.
    pub node_ous: Option<NodeOus>,
    /// Certificates of root authorities for TLS. No identity is judged by them.
    pub tls_root_certs: Vec<Source>,
    /// Certificates of intermediate authorities for TLS. No identity is judged by them.
    pub tls_intermediate_certs: Vec<Source>,
}

/// One organisation as its membership service provider defines it (§15.2).
///
/// Members have ECDSA keys on P-256 or P-384 or, from level 3.0 on, Ed25519 ones; authorities may
/// have RSA keys as well. Authorities with name constraints are refused. Clones share what they
/// hold.
#[derive(Clone)]
pub struct Msp(Arc<Rules>);

struct Rules {
    id: Arc<str>,
    level: MspLevel,
    authorities: Authorities,
    /// Digests of authorities that issued other configured authorities.
    inner_nodes: BTreeSet<[u8; 32]>,
    revocation_lists: Vec<RevocationList>,
    units: UnitRules,
    /// Digests of the content of administrators' certificates.
    admins: BTreeSet<[u8; 32]>,
}

/// A valid identity of an organisation.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) certificate: Certificate,
    /// What names the path of authorities, in units of this certificate.
    pub(crate) certifiers_id: [u8; 32],
    pub(crate) roles: Vec<Role>,
}

impl Msp {
    /// Makes the rules, checking all that is configured.
    ///
    /// # Errors
    ///
    /// Names the certificate, list or unit that cannot be used.
    pub fn new(config: &MspConfig) -> Result<Self, ConfigError> {
        if config.id.is_empty() {
            return Err(ConfigError::new("MSP id", "is empty, expected the organisation's id"));
        }
        let rules = Rules::new(config).map_err(|error| error.within(&shown(&config.id)))?;
        Ok(Self(Arc::new(rules)))
    }

    /// The MSP id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    pub(crate) fn shared_id(&self) -> Arc<str> {
        Arc::clone(&self.0.id)
    }

    /// Judges the PEM text of a certificate by every rule of the organisation.
    pub(crate) fn validate(&self, id_bytes: &[u8]) -> Result<Member, IdentityError> {
        self.0.validate(id_bytes)
    }

    /// Whether an authority of the organisation issued the certificate in this PEM text, whatever
    /// other rule it breaks (§15.3).
    pub(crate) fn has_issued(&self, id_bytes: &[u8]) -> bool {
        let certificate = pem::first(id_bytes).and_then(|b| Certificate::from_der(&b.der).ok());
        certificate.is_some_and(|leaf| self.0.authorities.only_chain(&leaf).is_ok())
    }
}

impl Rules {
    fn new(config: &MspConfig) -> Result<Self, ConfigError> {
        let unnamed = |(_, authority): &(_, Arc<Certificate>)| Arc::clone(authority);
        let roots: Vec<_> = parse_authorities(&config.root_certs)?.iter().map(unnamed).collect();
        let mut intermediates = parse_authorities(&config.intermediate_certs)?;
        // A root that is given as an intermediate too is a root.
        intermediates.retain(|(_, one)| !roots.iter().any(|root| root.digest == one.digest));
        let authorities =
            Authorities { roots, intermediates: intermediates.iter().map(unnamed).collect() };
        if authorities.roots.is_empty() {
            return Err(ConfigError::new("root certificates", "none, expected at least one"));
        }
        let mut rules = Self {
            id: config.id.as_str().into(),
            level: config.level,
            units: UnitRules::new(config, &authorities)?,
            inner_nodes: BTreeSet::new(),
            revocation_lists: parse_lists(&config.revocation_lists)?,
            admins: BTreeSet::new(),
            authorities,
        };
        for (name, authority) in &intermediates {
            let fail = |error: IdentityError| ConfigError::new(*name, error);
            let chain = rules.authorities.only_chain(authority).map_err(|e| fail(e.into()))?;
            rules.check_revocation(authority, &chain[0]).map_err(fail)?;
            rules.inner_nodes.extend(chain.iter().map(|issuer| issuer.digest));
        }
        for source in &config.admins {
            let admin = rules.admin(parse_certificate(source)?);
            let admin = admin.map_err(|error| ConfigError::new(&source.name, error))?;
            rules.admins.insert(admin);
        }
        [&config.tls_root_certs, &config.tls_intermediate_certs]
            .into_iter()
            .flatten()
            .try_for_each(check_tls_authority)?;
        Ok(rules)
    }

    /// Judges somebody who is listed as an administrator.
    ///
    /// Where all roles are known Fabric does not ask whether they are revoked meanwhile.
    fn admin(&self, certificate: Certificate) -> Result<[u8; 32], String> {
        let invalid = |error| format!("an administrator must be valid: {error}");
        let digest = certificate.content_digest;
        let roles = match self.level >= MspLevel::V1_4_3 && self.units.give_roles() {
            true => self
                .issuers(&certificate)
                .map(|_| self.units.roles_of(&certificate.units))
                .map_err(invalid)?,
            false => self.judge(certificate).map_err(invalid)?.roles,
        };
        let may_administer = |role| matches!(role, Role::Client | Role::Admin);
        match self.units.give_roles() && !roles.into_iter().any(may_administer) {
            true => Err("an administrator must have the unit of clients or administrators".into()),
            false => Ok(digest),
        }
    }

    fn validate(&self, id_bytes: &[u8]) -> Result<Member, IdentityError> {
        self.judge(well_formed(id_bytes)?)
    }

    fn judge(&self, certificate: Certificate) -> Result<Member, IdentityError> {
        let is_allowed = match certificate.key {
            PublicKey::Ecdsa(_) => true,
            PublicKey::Ed25519(_) => self.level >= MspLevel::V3_0,
            PublicKey::Rsa(_) => false,
        };
        if !is_allowed {
            return Err(IdentityError::KeyNotAllowed);
        }
        let chain = self.issuers(&certificate)?;
        self.check_revocation(&certificate, &chain[0])?;
        let certifiers_id = certifiers_id(&chain);
        self.units.check(&certificate.units, &certifiers_id)?;
        let mut roles = self.units.roles_of(&certificate.units);
        if self.admins.contains(&certificate.content_digest) {
            roles.push(Role::Admin);
        }
        Ok(Member { certificate, certifiers_id, roles })
    }

    /// The path from a certificate, which it leaves out, to a root.
    fn issuers(&self, certificate: &Certificate) -> Result<Vec<Arc<Certificate>>, IdentityError> {
        if certificate.extensions.is_ca {
            return Err(IdentityError::IsAuthority);
        }
        let chain = self.authorities.only_chain(certificate)?;
        match self.inner_nodes.contains(&chain[0].digest) {
            true => Err(IdentityError::IssuerIsInnerNode),
            false => Ok(chain),
        }
    }

    fn check_revocation(
        &self,
        certificate: &Certificate,
        issuer: &Certificate,
    ) -> Result<(), IdentityError> {
        let serial = &certificate.serial;
        match self.revocation_lists.iter().any(|list| list.revokes(serial, issuer)) {
            true => Err(IdentityError::Revoked),
            false => Ok(()),
        }
    }
}

impl fmt::Debug for Msp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Msp").field("id", &self.0.id).finish_non_exhaustive()
    }
}

impl From<ChainError> for IdentityError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::ExtendedKeyUsage => Self::ExtendedKeyUsage,
            ChainError::None => Self::NoChain,
            ChainError::Several => Self::SeveralChains,
        }
    }
}

/// SHA-256 of the issuers of a path, nearest first.
pub(crate) fn certifiers_id(chain: &[Arc<Certificate>]) -> [u8; 32] {
    let concatenated: Vec<u8> =
        chain.iter().flat_map(|issuer| issuer.der.iter().copied()).collect();
    sha256(&concatenated)
}

/// Parses an identity's PEM text: one block, of a certificate, and nothing after it (§15.1, C-52).
pub(crate) fn well_formed(id_bytes: &[u8]) -> Result<Certificate, IdentityError> {
    let block = pem::first(id_bytes).ok_or(IdentityError::NotPem)?;
    if !block.rest.is_empty() {
        return Err(IdentityError::TrailingBytes);
    }
    if !["CERTIFICATE", ""].contains(&block.label) {
        return Err(IdentityError::WrongBlock(block.label.chars().take(LABEL_SHOWN_MAX).collect()));
    }
    Certificate::from_der(&block.der).map_err(IdentityError::Certificate)
}

pub(crate) fn parse_certificate(source: &Source) -> Result<Certificate, ConfigError> {
    let fail = |problem: String| ConfigError::new(&source.name, problem);
    let block = pem::first_of(&source.content, &["CERTIFICATE"])
        .ok_or_else(|| fail("no PEM block of type CERTIFICATE".into()))?;
    Certificate::from_der(&block.der).map_err(|error| fail(error.to_string()))
}

/// Parses the certificates of authorities; one given twice counts once.
fn parse_authorities(sources: &[Source]) -> Result<Vec<(&str, Arc<Certificate>)>, ConfigError> {
    let mut authorities: Vec<(&str, Arc<Certificate>)> = Vec::with_capacity(sources.len());
    for source in sources {
        let fail = |problem| Err(ConfigError::new(&source.name, problem));
        let certificate = parse_certificate(source)?;
        let extensions = &certificate.extensions;
        if !extensions.may_sign_certificates() {
            return fail("is not an authority, expected CA:TRUE and a key usage of signing");
        }
        if extensions.subject_key_id.is_none() {
            return fail("has no subject key identifier");
        }
        if extensions.has_name_constraints {
            return fail("has name constraints, which are not supported");
        }
        if !authorities.iter().any(|(_, known)| known.digest == certificate.digest) {
            authorities.push((&source.name, Arc::new(certificate)));
        }
    }
    Ok(authorities)
}

fn check_tls_authority(source: &Source) -> Result<(), ConfigError> {
    let fail = |problem: String| ConfigError::new(&source.name, problem);
    let block = pem::first_of(&source.content, &["CERTIFICATE"])
        .ok_or_else(|| fail("no PEM block of type CERTIFICATE".into()))?;
    certificate::check_tls_authority(&block.der).map_err(fail)
}

fn parse_lists(sources: &[Source]) -> Result<Vec<RevocationList>, ConfigError> {
    let parse = |source: &Source| {
        let fail = |problem: String| ConfigError::new(&source.name, problem);
        let block = pem::first_of(&source.content, &["X509 CRL"]);
        let der = block.as_ref().map_or(&source.content[..], |block| &block.der);
        let list = RevocationList::from_der(der).map_err(|error| fail(error.to_string()))?;
        match list.authority_key_id {
            Some(_) => Ok(list),
            None => Err(fail("has no authority key identifier".into())),
        }
    };
    sources.iter().map(parse).collect()
}

/// How much of a stranger's PEM label an error repeats, in characters.
const LABEL_SHOWN_MAX: usize = 32;
