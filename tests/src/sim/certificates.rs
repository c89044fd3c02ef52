//! X.509 certificates and ECDSA on P-256, judged by [`gossip_msp`] as the daemon's are.
//!
//! All keys follow from a secret and signatures from what is signed (RFC 6979), so that a run can
//! be repeated. Each organisation has one root authority, which issues its members' certificates;
//! the orderers are an organisation of their own with one member.

use std::{collections::BTreeMap, fmt, time::Duration};

use bytes::Bytes;
use gossip_core::{Identity, IdentityFacts, OrgId, PkiId, Signed, UnixTime};
use gossip_msp::{Identities, Msp, MspConfig, Source};
use gossip_proto::msp::SerializedIdentity;
use p256::ecdsa::{Signature, SigningKey, signature::Signer as _};
use prost::Message as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa,
    KeyUsagePurpose, SignatureAlgorithm, date_time_ymd,
};
use sha2::{Digest as _, Sha256};

/// Issues certificates, and judges what is said to be signed with their keys.
pub(super) struct Certificates {
    secret: [u8; 32],
    roots: BTreeMap<String, CertifiedIssuer<'static, Signer>>,
    orderer: (Identity, Signer),
    identities: Identities,
}

impl Certificates {
    /// Makes the authorities of organisations, whose keys all follow from `secret`.
    pub(super) fn new(secret: [u8; 32], orgs: impl IntoIterator<Item = String>) -> Self {
        let orgs = orgs.into_iter().chain([ORDERERS.into()]);
        let with_root = |org: String| (org.clone(), root(&secret, &org));
        let roots: BTreeMap<_, _> = orgs.map(with_root).collect();
        let rules = |(org, root): (&String, &CertifiedIssuer<'_, _>)| {
            let root_certs = vec![Source::new("root", root.pem())];
            let config = MspConfig { id: org.clone(), root_certs, ..MspConfig::default() };
            Msp::new(&config).expect("an organisation of one root")
        };
        let identities = Identities::new(roots.iter().map(rules));
        let orderer = member(&secret, ORDERERS, &roots[ORDERERS], "orderer", None);
        Self { secret, roots, orderer, identities }
    }

    /// Issues an identity that ends with a whole second, with its key.
    ///
    /// # Panics
    ///
    /// If there is no such organisation.
    pub(super) fn issue(
        &self,
        org: &str,
        name: &str,
        expires_at: Option<UnixTime>,
    ) -> (Identity, Signer) {
        member(&self.secret, org, &self.roots[org], name, expires_at)
    }

    /// Returns what an identity means, if its organisation's root issued it.
    pub(super) fn facts(&self, identity: &Identity) -> Option<IdentityFacts> {
        let facts = self.identities.validate(identity.as_bytes()).ok()?;
        Some(IdentityFacts {
            pki_id: PkiId::new(facts.pki_id),
            org: OrgId::from(&*facts.mspid),
            expires_at: Some(UnixTime::from_secs(facts.not_after)),
        })
    }

    /// Says whether a signature holds under an identity.
    pub(super) fn is_signed(&self, identity: &Identity, message: &Signed) -> bool {
        let Signed { payload, signature } = message;
        self.identities.verify(identity.as_bytes(), signature, payload).is_ok()
    }

    /// Signs for the orderers; all such seals are of [`SEAL_BYTES`].
    pub(super) fn seal(&self, payload: &[u8]) -> [u8; SEAL_BYTES] {
        self.orderer.1.ecdsa(payload).to_bytes().into()
    }

    /// Says whether the orderers made a seal.
    pub(super) fn is_seal(&self, payload: &[u8], seal: &[u8]) -> bool {
        let signature = Signature::from_slice(seal).map(|seal| seal.to_der());
        let orderer = self.orderer.0.as_bytes();
        signature.is_ok_and(|der| self.identities.verify(orderer, der.as_bytes(), payload).is_ok())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("orgs", &self.roots.keys()).finish_non_exhaustive()
    }
}

/// A key on P-256.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    key: SigningKey,
    /// The public half, uncompressed.
    public: Box<[u8]>,
}

impl Signer {
    /// Derives a key from a secret and a name.
    fn new(secret: &[u8; 32], name: &str) -> Self {
        // One number in 2^32 is no key: then the next is taken.
        let number = |count: u32| {
            let hash = Sha256::new().chain_update(secret).chain_update(count.to_be_bytes());
            hash.chain_update(name).finalize()
        };
        let key = (0..).find_map(|count| SigningKey::from_slice(&number(count)).ok());
        let key = key.expect("almost every number is a key");
        let public = key.verifying_key().to_sec1_point(false).as_bytes().into();
        Self { key, public }
    }

    /// Signs, in DER and with the lower of the two values of `s`, as Fabric demands.
    pub(super) fn sign(&self, payload: &[u8]) -> Bytes {
        Bytes::copy_from_slice(self.ecdsa(payload).to_der().as_bytes())
    }

    fn ecdsa(&self, payload: &[u8]) -> Signature {
        let signature: Signature = self.key.sign(payload);
        signature.normalize_s()
    }
}

impl rcgen::PublicKeyData for Signer {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Signer {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.sign(message).into())
    }
}

fn root(secret: &[u8; 32], org: &str) -> CertifiedIssuer<'static, Signer> {
    let mut params = params(org, None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = Signer::new(secret, &format!("root/{org}"));
    CertifiedIssuer::self_signed(params, key).expect("a root certificate")
}

fn member(
    secret: &[u8; 32],
    org: &str,
    root: &CertifiedIssuer<'_, Signer>,
    name: &str,
    expires_at: Option<UnixTime>,
) -> (Identity, Signer) {
    let key = Signer::new(secret, &format!("member/{org}/{name}"));
    let mut params = params(name, expires_at);
    params.use_authority_key_identifier_extension = true;
    let id_bytes = params.signed_by(&key, root).expect("a certificate").pem().into();
    let identity = SerializedIdentity { mspid: org.into(), id_bytes };
    (Identity::new(identity.encode_to_vec()), key)
}

fn params(name: &str, expires_at: Option<UnixTime>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(1970, 1, 1);
    params.not_after = expires_at.map_or(date_time_ymd(2100, 1, 1), |at| {
        date_time_ymd(1970, 1, 1) + Duration::from_secs(at.as_nanos() / 1_000_000_000)
    });
    params
}

/// The bytes of a seal: `r` and `s`.
pub(super) const SEAL_BYTES: usize = 64;

/// The organisation of the orderers.
const ORDERERS: &str = "orderers";
