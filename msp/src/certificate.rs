//! What the rules need of an X.509 certificate or revocation list, parsed once.

use aws_lc_rs::digest;
use der::asn1::{AnyRef, BitString, ObjectIdentifier};
use der::{Decode, Encode, Reader, SliceReader, Tag, Tagged};
use x509_cert::TbsCertificate;
use x509_cert::crl::CertificateList;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::spki::AlgorithmIdentifierOwned;

use crate::ecdsa;
use crate::key::{PublicKey, Scheme};

/// A parsed certificate.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// With a low S in its signature, whichever it came with.
    pub(crate) der: Box<[u8]>,
    /// SHA-256 of `der`.
    pub(crate) digest: [u8; 32],
    /// SHA-256 of what the authority signed. Unlike `digest`, nobody but the authority can make
    /// another one for the same certificate: an ECDSA signature has a second form.
    pub(crate) content_digest: [u8; 32],
    pub(crate) key: PublicKey,
    pub(crate) subject: Box<[u8]>,
    pub(crate) issuer: Box<[u8]>,
    pub(crate) serial: Box<[u8]>,
    /// Seconds since the Unix epoch.
    pub(crate) not_before: u64,
    /// Seconds since the Unix epoch.
    pub(crate) not_after: u64,
    /// The organisational units of the subject, in order.
    pub(crate) units: Vec<String>,
    pub(crate) extensions: Extensions,
    signed: Signed,
}

/// Why a certificate or revocation list cannot be used at all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ParseError {
    /// It is not DER of the expected structure; the text says where.
    Malformed(String),
    /// Its ECDSA signature is not canonical DER (§15.1).
    NonCanonicalSignature,
    /// Its key is neither an uncompressed ECDSA point on P-256 or P-384, nor Ed25519, nor RSA of
    /// 2,048 to 8,192 bits.
    UnsupportedKey,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed(reason) => write!(f, "not well-formed X.509: {reason}"),
            Self::NonCanonicalSignature => f.write_str("its ECDSA signature is not canonical DER"),
            Self::UnsupportedKey => {
                f.write_str("its key is not ECDSA on P-256 or P-384, Ed25519 or RSA")
            }
        }
    }
}

impl From<der::Error> for ParseError {
    fn from(error: der::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl Certificate {
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, ParseError> {
        let parsed = x509_cert::Certificate::from_der(der)?;
        let tbs = parsed.tbs_certificate();
        if tbs.signature() != parsed.signature_algorithm() {
            let reason = "it names two signature algorithms";
            return Err(ParseError::Malformed(reason.into()));
        }
        let signed = Signed::new(der, parsed.signature_algorithm(), parsed.signature())?;
        let der = signed.low_s_form(der).unwrap_or_else(|| der.into());
        let key = PublicKey::new(tbs.subject_public_key_info());
        Ok(Self {
            digest: sha256(&der),
            der,
            content_digest: sha256(&signed.bytes),
            key: key.ok_or(ParseError::UnsupportedKey)?,
            subject: tbs.subject().to_der()?.into(),
            issuer: tbs.issuer().to_der()?.into(),
            serial: tbs.serial_number().as_bytes().into(),
            not_before: tbs.validity().not_before.to_unix_duration().as_secs(),
            not_after: tbs.validity().not_after.to_unix_duration().as_secs(),
            units: organizational_units(tbs.subject()),
            extensions: Extensions::new(tbs)?,
            signed,
        })
    }

    /// Whether `issuer`, which may sign certificates, signed this one.
    pub(crate) fn is_issued_by(&self, issuer: &Certificate) -> bool {
        self.issuer == issuer.subject
            && issuer.extensions.may_sign_certificates()
            && self.signed.by(&issuer.key)
    }

    pub(crate) fn is_valid_at(&self, seconds: u64) -> bool {
        (self.not_before..=self.not_after).contains(&seconds)
    }
}

/// Checks that this is the certificate of an authority, with whatever key: one for TLS.
pub(crate) fn check_tls_authority(der: &[u8]) -> Result<(), String> {
    let parsed = x509_cert::Certificate::from_der(der).map_err(ParseError::from);
    let extensions = parsed.and_then(|parsed| Extensions::new(parsed.tbs_certificate()));
    match extensions.map_err(|error| error.to_string())? {
        Extensions { is_ca: false, .. } => Err("is not an authority, expected CA:TRUE".into()),
        Extensions { subject_key_id: None, .. } => Err("has no subject key identifier".into()),
        _ => Ok(()),
    }
}

/// The extensions that path building looks at.
#[derive(Debug)]
pub(crate) struct Extensions {
    pub(crate) is_ca: bool,
    pub(crate) path_len_max: Option<u8>,
    /// Absent means that any use is allowed.
    pub(crate) ext_key_usage: Option<Vec<ObjectIdentifier>>,
    pub(crate) subject_key_id: Option<Box<[u8]>>,
    pub(crate) has_name_constraints: bool,
    pub(crate) has_unknown_critical: bool,
    cert_sign: Option<bool>,
}

impl Extensions {
    fn new(tbs: &TbsCertificate) -> Result<Self, ParseError> {
        let constraints = tbs.get_extension::<BasicConstraints>()?.map(|(_, value)| value);
        let usage = tbs.get_extension::<KeyUsage>()?.map(|(_, value)| value);
        let ext_usage = tbs.get_extension::<ExtendedKeyUsage>()?.map(|(_, value)| value.0);
        let key_id = tbs.get_extension::<SubjectKeyIdentifier>()?.map(|(_, value)| value);
        let all = tbs.extensions().map(Vec::as_slice).unwrap_or_default();
        Ok(Self {
            is_ca: constraints.as_ref().is_some_and(|constraints| constraints.ca),
            path_len_max: constraints.and_then(|constraints| constraints.path_len_constraint),
            ext_key_usage: ext_usage,
            subject_key_id: key_id.map(|id| id.0.as_bytes().into()),
            has_name_constraints: all.iter().any(|extension| extension.extn_id == NAME_CONSTRAINTS),
            has_unknown_critical: all.iter().any(is_unknown_critical),
            cert_sign: usage.map(|usage| usage.key_cert_sign()),
        })
    }

    /// Whether this is an authority whose key usage, if any, includes signing certificates.
    pub(crate) fn may_sign_certificates(&self) -> bool {
        self.is_ca && self.cert_sign.unwrap_or(true)
    }

    /// Whether servers may be authenticated with it, Go's default demand on every chain (C-48).
    pub(crate) fn allows_server_auth(&self) -> bool {
        self.ext_key_usage.as_ref().is_none_or(|usages| {
            usages.iter().any(|usage| [SERVER_AUTH, ANY_USAGE].contains(usage))
        })
    }
}

/// A parsed list of revoked certificates.
#[derive(Debug)]
pub(crate) struct RevocationList {
    pub(crate) authority_key_id: Option<Box<[u8]>>,
    /// Serial numbers, in order.
    revoked: Vec<Box<[u8]>>,
    signed: Signed,
}

impl RevocationList {
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, ParseError> {
        let list = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(der)?;
        let signature = &list.signature;
        let extensions = list.tbs_cert_list.crl_extensions.unwrap_or_default();
        let key_id = extensions
            .iter()
            .find(|extension| extension.extn_id == AUTHORITY_KEY_ID)
            .map(|found| AuthorityKeyIdentifier::from_der(found.extn_value.as_bytes()))
            .transpose()?
            .and_then(|id| id.key_identifier);
        let revoked = list.tbs_cert_list.revoked_certificates.unwrap_or_default();
        let revoked = revoked.iter().map(|entry| entry.serial_number.as_bytes().into());
        let mut revoked: Vec<Box<[u8]>> = revoked.collect();
        revoked.sort_unstable();
        Ok(Self {
            authority_key_id: key_id.map(|id| id.as_bytes().into()),
            revoked,
            signed: Signed::new(der, &list.signature_algorithm, signature)?,
        })
    }

    /// Whether `issuer` signed this list and it names `serial`; its dates do not matter (C-50).
    pub(crate) fn revokes(&self, serial: &[u8], issuer: &Certificate) -> bool {
        self.authority_key_id == issuer.extensions.subject_key_id
            && self.revoked.binary_search_by(|revoked| (**revoked).cmp(serial)).is_ok()
            && self.signed.by(&issuer.key)
    }
}

/// The exact bytes an authority signed, and its signature.
#[derive(Debug)]
struct Signed {
    bytes: Box<[u8]>,
    scheme: Scheme,
    signature: Box<[u8]>,
}

impl Signed {
    /// Takes the first element of the outer sequence as received: encoding it anew could differ.
    fn new(
        der: &[u8],
        algorithm: &AlgorithmIdentifierOwned,
        signature: &BitString,
    ) -> Result<Self, ParseError> {
        let outer = AnyRef::from_der(der)?.value();
        let mut reader = SliceReader::new(outer)?;
        AnyRef::decode(&mut reader)?;
        let length = usize::try_from(reader.position())?;
        let scheme = Scheme::new(algorithm.oid).ok_or_else(|| {
            let oid = algorithm.oid;
            ParseError::Malformed(format!(
                "signature algorithm {oid}, expected ECDSA or RSA with SHA-256, SHA-384 or \
                 SHA-512, or Ed25519"
            ))
        })?;
        let is_canonical = |bytes: &&[u8]| match scheme {
            Scheme::Ecdsa(_) => ecdsa::is_canonical(bytes),
            Scheme::Ed25519 | Scheme::Rsa(_) => true,
        };
        let signature = signature.as_bytes().filter(is_canonical);
        let signature = signature.ok_or(ParseError::NonCanonicalSignature)?;
        Ok(Self { bytes: outer[..length].into(), scheme, signature: signature.into() })
    }

    fn by(&self, key: &PublicKey) -> bool {
        key.verify_issued(self.scheme, &self.bytes, &self.signature)
    }

    /// The certificate with a low S in its signature; `None` when it has one itself.
    ///
    /// Fabric takes the two for one certificate, and shows and compares this form (§15.3).
    fn low_s_form(&self, der: &[u8]) -> Option<Box<[u8]>> {
        let Scheme::Ecdsa(_) = self.scheme else {
            return None;
        };
        let signature = BitString::from_bytes(&ecdsa::low_twin(&self.signature)?).ok()?;
        let outer = AnyRef::from_der(der).ok()?.value();
        let mut reader = SliceReader::new(outer).ok()?;
        AnyRef::decode(&mut reader).ok()?;
        AnyRef::decode(&mut reader).ok()?;
        let before = usize::try_from(reader.position()).ok()?;
        let content = [&outer[..before], &signature.to_der().ok()?].concat();
        Some(AnyRef::new(Tag::Sequence, &content).ok()?.to_der().ok()?.into())
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

fn organizational_units(name: &Name) -> Vec<String> {
    let units = name.iter().filter(|attribute| attribute.oid == ORGANIZATIONAL_UNIT);
    units
        .filter(|unit| TEXT_TAGS.contains(&unit.value.tag()))
        .filter_map(|unit| String::from_utf8(unit.value.value().to_vec()).ok())
        .collect()
}

/// Whether a verifier has to refuse a certificate because it cannot heed this extension.
fn is_unknown_critical(extension: &Extension) -> bool {
    extension.critical && !HEEDED.contains(&extension.extn_id)
}

const TEXT_TAGS: [Tag; 4] =
    [Tag::Utf8String, Tag::PrintableString, Tag::Ia5String, Tag::TeletexString];

const ORGANIZATIONAL_UNIT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.11");
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const ANY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
const AUTHORITY_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");

/// Extensions that Go's verifier understands, so that they may be critical.
const HEEDED: [ObjectIdentifier; 8] = [
    AUTHORITY_KEY_ID,
    ObjectIdentifier::new_unwrap("2.5.29.14"), // subject key identifier
    ObjectIdentifier::new_unwrap("2.5.29.15"), // key usage
    ObjectIdentifier::new_unwrap("2.5.29.17"), // subject alternative name
    ObjectIdentifier::new_unwrap("2.5.29.19"), // basic constraints
    ObjectIdentifier::new_unwrap("2.5.29.31"), // where revocation lists are
    ObjectIdentifier::new_unwrap("2.5.29.32"), // certificate policies
    ObjectIdentifier::new_unwrap("2.5.29.37"), // extended key usage
];
