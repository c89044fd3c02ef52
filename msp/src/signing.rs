//! The identity a node speaks with.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use der::DateTime;
use gossip_proto::msp::SerializedIdentity;
use prost::Message;

use crate::certificate::{Certificate, sha256};
use crate::error::ConfigError;
use crate::identities::Identities;
use crate::key::SecretKey;
use crate::msp::{Msp, Source, parse_certificate};
use crate::pem;

/// The PKI-ID of a serialized identity, 32 bytes (C-1).
///
/// Nothing is validated; empty or undecodable bytes have none (C-2).
#[must_use]
pub fn pki_id(identity: &[u8]) -> Option<[u8; 32]> {
    if identity.is_empty() {
        return None;
    }
    let SerializedIdentity { mspid, id_bytes } = SerializedIdentity::decode(identity).ok()?;
    Some(pki_id_of(&mspid, &id_bytes))
}

pub(crate) fn pki_id_of(mspid: &str, id_bytes: &[u8]) -> [u8; 32] {
    sha256(&[mspid.as_bytes(), id_bytes].concat())
}

/// The local node's certificate and private key.
pub struct SigningIdentity {
    mspid: String,
    serialized: Bytes,
    pki_id: [u8; 32],
    not_after: u64,
    key: SecretKey,
}

impl SigningIdentity {
    /// Joins a certificate and its private key: ECDSA on P-256 or P-384 in PKCS#8 or SEC1, or
    /// Ed25519 in PKCS#8.
    ///
    /// The certificate is serialized as Fabric does: in standard PEM, whatever text is around it
    /// (C2.d), and with a low S in its authority's signature (C2.e). Its validity is not judged;
    /// see [`check`](Self::check).
    ///
    /// # Errors
    ///
    /// Names the source that cannot be used; a key of another certificate is an error.
    pub fn new(mspid: &str, certificate: &Source, key: &Source) -> Result<Self, ConfigError> {
        if mspid.is_empty() {
            return Err(ConfigError::new("MSP id", "is empty, expected the organisation's id"));
        }
        let parsed = parse_certificate(certificate)?;
        let key = parse_key(key, &parsed, &certificate.name)?;
        let id_bytes = Bytes::from(pem::encode("CERTIFICATE", &parsed.der));
        let identity = SerializedIdentity { mspid: mspid.to_owned(), id_bytes };
        Ok(Self {
            pki_id: pki_id_of(mspid, &identity.id_bytes),
            serialized: identity.encode_to_vec().into(),
            mspid: identity.mspid,
            not_after: parsed.not_after,
            key,
        })
    }

    /// The MSP id of the organisation.
    #[must_use]
    pub fn mspid(&self) -> &str {
        &self.mspid
    }

    /// The serialized identity, the same bytes wherever a node shows itself.
    #[must_use]
    pub fn serialized(&self) -> &Bytes {
        &self.serialized
    }

    /// The PKI-ID.
    #[must_use]
    pub fn pki_id(&self) -> [u8; 32] {
        self.pki_id
    }

    /// The end of the certificate's validity, in seconds since the Unix epoch.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// Checks that others take this identity as one of an organisation, at a time in seconds since
    /// the Unix epoch.
    ///
    /// # Errors
    ///
    /// The rule of the organisation that the certificate breaks, or when it expired (C-15).
    pub fn check(&self, msp: &Msp, now: u64) -> Result<(), ConfigError> {
        let fail = |problem: String| Err(ConfigError::new("the node's certificate", problem));
        if let Err(error) = Identities::new([msp.clone()]).validate(&self.serialized) {
            return fail(format!("is not valid by the rules of its organisation: {error}"));
        }
        if self.not_after < now {
            let end = DateTime::from_unix_duration(Duration::from_secs(self.not_after));
            let end = end.map_or_else(|_| self.not_after.to_string(), |end| end.to_string());
            return fail(format!("expired at {end}"));
        }
        Ok(())
    }

    /// Signs a message: its SHA-256 with ECDSA, DER, low S (W-13), or itself with Ed25519.
    ///
    /// # Errors
    ///
    /// Only when the cryptographic library fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.key.sign(message).ok_or(SignError)
    }
}

impl fmt::Debug for SigningIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningIdentity").field("mspid", &self.mspid).finish_non_exhaustive()
    }
}

/// The cryptographic library could not sign.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SignError;

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cryptographic library could not sign")
    }
}

impl std::error::Error for SignError {}

fn parse_key(
    source: &Source,
    certificate: &Certificate,
    certificate_name: &str,
) -> Result<SecretKey, ConfigError> {
    let fail = |problem: String| ConfigError::new(&source.name, problem);
    let block = pem::first_of(&source.content, &["PRIVATE KEY", "EC PRIVATE KEY"])
        .ok_or_else(|| fail("no PEM block of type PRIVATE KEY or EC PRIVATE KEY".into()))?;
    SecretKey::new(&block.der, &certificate.key, certificate_name).map_err(fail)
}
