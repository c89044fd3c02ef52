//! What can be wrong with identities and with the configuration they are judged by.

use std::fmt;

use crate::certificate::ParseError;

/// A configured file or value that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigError {
    /// The file or value, such as `cacerts/ca.pem` or `Orderer/OrdererOrg/MSP`.
    pub subject: String,
    /// What is wrong with it and what was expected.
    pub problem: String,
}

impl ConfigError {
    pub(crate) fn new(subject: impl Into<String>, problem: impl fmt::Display) -> Self {
        let mut problem = problem.to_string();
        // A decoder tells of each level of what is nested, and others may have nested it deeply.
        if let Some((end, _)) = problem.char_indices().nth(PROBLEM_MAX) {
            problem.truncate(end);
            problem.push('…');
        }
        Self { subject: subject.into(), problem }
    }

    /// Puts where the value lies before its name.
    pub(crate) fn within(mut self, place: &str) -> Self {
        self.subject = format!("{place}: {}", self.subject);
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.problem)
    }
}

impl std::error::Error for ConfigError {}

/// How many characters of a problem are shown.
const PROBLEM_MAX: usize = 400;

/// A name that others chose, of any length, for errors.
pub(crate) fn shown(name: &str) -> String {
    name.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect()
}

/// How much of such a name an error repeats, in characters.
const SHOWN_MAX: usize = 64;

/// Why an identity is not valid.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum IdentityError {
    /// The bytes are empty or not a serialized identity.
    Undecodable,
    /// No configured organisation has this MSP id.
    UnknownMsp(String),
    /// There is no complete PEM block.
    NotPem,
    /// Bytes follow the PEM block (C-52).
    TrailingBytes,
    /// The PEM block is of this type instead of `CERTIFICATE` (C-52).
    WrongBlock(String),
    /// The certificate itself cannot be used.
    Certificate(ParseError),
    /// The key is of a kind that members of the organisation may not have.
    KeyNotAllowed,
    /// The certificate is one of an authority.
    IsAuthority,
    /// No path leads from the certificate to a root of the organisation.
    NoChain,
    /// More than one path leads to roots of the organisation.
    SeveralChains,
    /// Some certificate of the path has an extended key usage without server authentication (C-48).
    ExtendedKeyUsage,
    /// The issuer has issued an authority, so it must not issue identities (C-49).
    IssuerIsInnerNode,
    /// Its serial number is on a revocation list of its issuer (C-50).
    Revoked,
    /// None of the organisational units that the organisation lists is present.
    NoListedUnit,
    /// None of its organisational units names a role (C-51).
    NoRole,
    /// More than one of its organisational units names a role (C-51).
    SeveralRoles,
    /// A role was certified by another authority than the one configured for it.
    WrongCertifier,
}

impl IdentityError {
    /// Whether other rules might know the identity: its organisation or its authority is unknown
    /// here.
    pub(crate) fn is_of_a_stranger(&self) -> bool {
        matches!(
            self,
            Self::UnknownMsp(_) | Self::NoChain | Self::SeveralChains | Self::ExtendedKeyUsage
        )
    }
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undecodable => f.write_str("not a serialized identity"),
            Self::UnknownMsp(id) => write!(f, "no organisation with the MSP id {id:?}"),
            Self::NotPem => f.write_str("no complete PEM block"),
            Self::TrailingBytes => f.write_str("bytes after the PEM block"),
            Self::WrongBlock(label) => {
                write!(f, "PEM block of type {label:?}, expected CERTIFICATE")
            }
            Self::Certificate(error) => write!(f, "certificate: {error}"),
            Self::KeyNotAllowed => f.write_str(
                "a key that no member may have, expected ECDSA or, from V3_0 on, Ed25519",
            ),
            Self::IsAuthority => f.write_str("the certificate of an authority"),
            Self::NoChain => f.write_str("no path to a root of the organisation"),
            Self::SeveralChains => f.write_str("more than one path to roots of the organisation"),
            Self::ExtendedKeyUsage => {
                f.write_str("an extended key usage on the path excludes server authentication")
            }
            Self::IssuerIsInnerNode => {
                f.write_str("issued by an authority that issues authorities")
            }
            Self::Revoked => f.write_str("revoked by its issuer"),
            Self::NoListedUnit => f.write_str("none of the listed organisational units"),
            Self::NoRole => f.write_str("no organisational unit that names a role"),
            Self::SeveralRoles => f.write_str("several organisational units that name a role"),
            Self::WrongCertifier => f.write_str("role certified by an authority not meant for it"),
        }
    }
}

impl std::error::Error for IdentityError {}
