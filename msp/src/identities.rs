//! Identities of all known organisations, judged once and remembered.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use gossip_proto::msp::SerializedIdentity;
use prost::Message;

use crate::ecdsa::SignatureError;
use crate::error::{IdentityError, shown};
use crate::key::PublicKey;
use crate::msp::{Member, Msp};
use crate::signing::pki_id_of;
use crate::units::Role;

/// What is known of a valid identity.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// The PKI-ID, over the bytes as received.
    pub pki_id: [u8; 32],
    /// The MSP id of its organisation.
    pub mspid: Arc<str>,
    /// The end of its validity, in seconds since the Unix epoch. Validation does not look at it:
    /// whoever keeps identities lets go of them then (C-37, C-47).
    pub not_after: u64,
}

/// Why an identity or its signature was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum VerifyError {
    /// The identity is not valid.
    Identity(IdentityError),
    /// The identity is valid, its signature is not.
    Signature(SignatureError),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(error) => error.fmt(f),
            Self::Signature(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for VerifyError {}

impl From<IdentityError> for VerifyError {
    fn from(error: IdentityError) -> Self {
        Self::Identity(error)
    }
}

impl From<SignatureError> for VerifyError {
    fn from(error: SignatureError) -> Self {
        Self::Signature(error)
    }
}

/// The organisations a node knows; judges identities and signatures from any thread.
///
/// Valid identities are remembered by their exact bytes with their parsed keys, at most
/// [`CACHED_MAX`](Self::CACHED_MAX) of them; invalid and unusually long ones are judged again each
/// time.
#[derive(Debug)]
pub struct Identities {
    msps: BTreeMap<Arc<str>, Msp>,
    remembered: RwLock<Remembered>,
}

impl Identities {
    /// How many valid identities are remembered.
    pub const CACHED_MAX: usize = 4096;

    /// Knows these organisations; of several with one MSP id, the first.
    #[must_use]
    pub fn new(msps: impl IntoIterator<Item = Msp>) -> Self {
        let mut by_id = BTreeMap::new();
        for msp in msps {
            by_id.entry(msp.shared_id()).or_insert(msp);
        }
        Self { msps: by_id, remembered: RwLock::default() }
    }

    /// Judges a serialized identity.
    ///
    /// # Errors
    ///
    /// The first rule that the identity breaks.
    pub fn validate(&self, identity: &[u8]) -> Result<Facts, IdentityError> {
        Ok(self.judge(identity)?.facts.clone())
    }

    /// Verifies a signature over `payload` by a serialized identity, which it judges first.
    ///
    /// # Errors
    ///
    /// As [`validate`](Self::validate), or the reason why the signature does not hold.
    pub fn verify(
        &self,
        identity: &[u8],
        signature: &[u8],
        payload: &[u8],
    ) -> Result<(), VerifyError> {
        Ok(self.judge(identity)?.key.verify(payload, signature)?)
    }

    /// The different valid identities whose signatures hold, in the order given.
    ///
    /// One certificate counts once, whatever text it comes in. A wrong signature does not spoil a
    /// later right one of the same identity (SV-57).
    pub(crate) fn signers(&self, signed: &[SignedData<'_>]) -> Vec<Arc<Valid>> {
        let mut signers: Vec<Arc<Valid>> = Vec::new();
        for SignedData { identity, message, signature } in signed {
            let Ok(valid) = self.judge(identity) else {
                continue;
            };
            let is_known = signers.iter().any(|signer| signer.is_same(&valid));
            if !is_known && valid.key.verify(message, signature).is_ok() {
                signers.push(valid);
            }
        }
        signers
    }

    /// The MSP id of the organisation whose authorities issued an identity, valid or not.
    pub(crate) fn org_of(&self, identity: &[u8]) -> Option<Arc<str>> {
        let SerializedIdentity { mspid, id_bytes } = SerializedIdentity::decode(identity).ok()?;
        let msp = self.msps.get(mspid.as_str())?;
        msp.has_issued(&id_bytes).then(|| msp.shared_id())
    }

    pub(crate) fn judge(&self, identity: &[u8]) -> Result<Arc<Valid>, IdentityError> {
        let was_remembered = {
            let remembered = self.remembered.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(valid) = remembered.recent.get(identity) {
                return Ok(Arc::clone(valid));
            }
            remembered.older.get(identity).cloned()
        };
        // Judged without the lock: one identity must not hold up the verification of others.
        let valid = match was_remembered {
            Some(valid) => valid,
            None => Arc::new(self.judge_anew(identity)?),
        };
        if identity.len() <= REMEMBERED_LEN_MAX {
            let mut remembered = self.remembered.write().unwrap_or_else(PoisonError::into_inner);
            remembered.insert(identity, &valid);
        }
        Ok(valid)
    }

    fn judge_anew(&self, identity: &[u8]) -> Result<Valid, IdentityError> {
        if identity.is_empty() {
            return Err(IdentityError::Undecodable);
        }
        let SerializedIdentity { mspid, id_bytes } =
            SerializedIdentity::decode(identity).map_err(|_| IdentityError::Undecodable)?;
        let Some(msp) = self.msps.get(mspid.as_str()) else {
            return Err(IdentityError::UnknownMsp(shown(&mspid)));
        };
        let Member { certificate, certifiers_id, roles } = msp.validate(&id_bytes)?;
        let facts = Facts {
            pki_id: pki_id_of(&mspid, &id_bytes),
            mspid: msp.shared_id(),
            not_after: certificate.not_after,
        };
        Ok(Valid {
            facts,
            key: certificate.key,
            certificate: certificate.content_digest,
            units: certificate.units,
            certifiers_id,
            roles,
        })
    }
}

/// A message, who is said to have signed it, and the signature.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SignedData<'a> {
    /// The serialized identity.
    pub identity: &'a [u8],
    /// What was signed.
    pub message: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

/// A valid identity with its key.
#[derive(Debug)]
pub(crate) struct Valid {
    pub(crate) facts: Facts,
    pub(crate) key: PublicKey,
    /// SHA-256 of the certificate's content: the same for all texts and signatures of it.
    pub(crate) certificate: [u8; 32],
    pub(crate) units: Vec<String>,
    pub(crate) certifiers_id: [u8; 32],
    pub(crate) roles: Vec<Role>,
}

impl Valid {
    fn is_same(&self, other: &Self) -> bool {
        self.certificate == other.certificate && self.facts.mspid == other.facts.mspid
    }
}

/// A cache of two halves: a full `recent` becomes `older`, and what was older is forgotten
/// unless it was asked for in between.
#[derive(Debug, Default)]
struct Remembered {
    recent: HashMap<Bytes, Arc<Valid>>,
    older: HashMap<Bytes, Arc<Valid>>,
}

impl Remembered {
    fn insert(&mut self, identity: &[u8], valid: &Arc<Valid>) {
        if self.recent.len() >= Identities::CACHED_MAX / 2 {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(Bytes::copy_from_slice(identity), Arc::clone(valid));
    }
}

/// The longest identity remembered, in bytes. Text before a PEM block may be of any length.
const REMEMBERED_LEN_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use crate::certificate::Certificate;

    use super::*;

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_asked_for() {
        let identities = Identities::new([]);
        let valid = Arc::new(valid());
        let remember = |identity: &[u8]| {
            let mut remembered = identities.remembered.write().expect("no panic");
            remembered.insert(identity, &valid);
        };
        remember(b"asked for");
        for number in 0..3 * Identities::CACHED_MAX {
            remember(&number.to_be_bytes());
            let judged = identities.judge(b"asked for");
            assert!(judged.is_ok(), "forgotten after {number} others");
        }
        let first = 0_usize.to_be_bytes();
        assert!(identities.judge(&first).is_err(), "nobody asked for it");
        let remembered = identities.remembered.read().expect("no panic");
        assert!(remembered.recent.len() + remembered.older.len() <= Identities::CACHED_MAX);
    }

    fn valid() -> Valid {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::default();
        let made = params.self_signed(&key).expect("a certificate");
        let certificate = Certificate::from_der(made.der()).expect("a certificate");
        Valid {
            facts: Facts { pki_id: [0; 32], mspid: "MSP".into(), not_after: certificate.not_after },
            key: certificate.key,
            certificate: certificate.content_digest,
            units: Vec::new(),
            certifiers_id: [0; 32],
            roles: Vec::new(),
        }
    }
}
