//! Keys of certificates: those that members sign messages with, and those of authorities.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
};
use aws_lc_rs::signature::{
    ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RsaParameters, UnparsedPublicKey,
};
use der::asn1::ObjectIdentifier;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use crate::ecdsa::{self, Curve, Hash, SignatureError, VerifyingKey};

/// The public key of a certificate, parsed once.
#[derive(Clone, Debug)]
pub(crate) enum PublicKey {
    Ecdsa(VerifyingKey),
    /// Of members by the rules of level 3.0 only.
    Ed25519(ParsedPublicKey),
    /// Of authorities only.
    Rsa(Box<[u8]>),
}

/// How an authority signs certificates and revocation lists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Scheme {
    Ecdsa(Hash),
    Ed25519,
    Rsa(Hash),
}

impl PublicKey {
    /// Takes the key of a certificate, `None` when it is of no kind that is known here.
    pub(crate) fn new(info: &SubjectPublicKeyInfoOwned) -> Option<Self> {
        let bytes = info.subject_public_key.as_bytes()?;
        match info.algorithm.oid {
            EC_PUBLIC_KEY => {
                let curve = info.algorithm.parameters.as_ref()?.decode_as().ok()?;
                VerifyingKey::new(curve_of(curve)?, bytes).map(Self::Ecdsa)
            }
            ED25519_OID => ParsedPublicKey::new(&ED25519, bytes).ok().map(Self::Ed25519),
            RSA => {
                ParsedPublicKey::new(rsa(Hash::Sha256), bytes).ok()?;
                Some(Self::Rsa(bytes.into()))
            }
            _ => None,
        }
    }

    /// The key as certificates carry it.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Ecdsa(key) => key.point(),
            Self::Ed25519(key) => key.as_ref(),
            Self::Rsa(bytes) => bytes,
        }
    }

    /// Verifies a signature of a message or block.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        match self {
            Self::Ecdsa(key) => key.verify(message, signature),
            Self::Ed25519(key) => {
                key.verify_sig(message, signature).map_err(|_| SignatureError::Wrong)
            }
            // No member has such a key.
            Self::Rsa(_) => Err(SignatureError::Wrong),
        }
    }

    /// Verifies an authority's signature of a certificate or list.
    pub(crate) fn verify_issued(&self, scheme: Scheme, signed: &[u8], signature: &[u8]) -> bool {
        match (self, scheme) {
            (Self::Ecdsa(key), Scheme::Ecdsa(hash)) => key.verify_issued(hash, signed, signature),
            (Self::Ed25519(key), Scheme::Ed25519) => key.verify_sig(signed, signature).is_ok(),
            (Self::Rsa(bytes), Scheme::Rsa(hash)) => {
                UnparsedPublicKey::new(rsa(hash), bytes).verify(signed, signature).is_ok()
            }
            _ => false,
        }
    }
}

impl Scheme {
    /// The scheme of this identifier, `None` when it is not known here.
    pub(crate) fn new(algorithm: ObjectIdentifier) -> Option<Self> {
        let (_, scheme) = SCHEMES.iter().find(|(oid, _)| *oid == algorithm)?;
        Some(*scheme)
    }
}

/// The private key of a member.
pub(crate) enum SecretKey {
    Ecdsa(EcdsaKeyPair, Curve),
    Ed25519(Ed25519KeyPair),
}

impl SecretKey {
    /// Reads the DER of a private key, PKCS#8 or SEC1, and checks that it belongs to the public
    /// one in the certificate that errors call `owner`.
    pub(crate) fn new(der: &[u8], public: &PublicKey, owner: &str) -> Result<Self, String> {
        let read = match public {
            PublicKey::Ecdsa(key) => {
                let curve = key.curve();
                let algorithm = match curve {
                    Curve::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
                    Curve::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
                };
                let pair = EcdsaKeyPair::from_private_key_der(algorithm, der).map_err(|error| {
                    format!("not a private key on {curve:?}, the curve of {owner}: {error}")
                })?;
                Self::Ecdsa(pair, curve)
            }
            PublicKey::Ed25519(_) => {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der);
                let not_one =
                    |error| format!("not an Ed25519 private key in PKCS#8, as {owner}: {error}");
                Self::Ed25519(pair.map_err(not_one)?)
            }
            PublicKey::Rsa(_) => {
                return Err(format!("{owner} has an RSA key, which only authorities may have"));
            }
        };
        match read.public() == public.bytes() {
            true => Ok(read),
            false => Err(format!("is the private key of another certificate than {owner}")),
        }
    }

    /// Signs a message; `None` when the library fails.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Ecdsa(pair, curve) => ecdsa::sign(pair, *curve, message),
            Self::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
        }
    }

    fn public(&self) -> &[u8] {
        match self {
            Self::Ecdsa(pair, _) => pair.public_key().as_ref(),
            Self::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }
}

fn curve_of(curve: ObjectIdentifier) -> Option<Curve> {
    match curve {
        P256 => Some(Curve::P256),
        P384 => Some(Curve::P384),
        _ => None,
    }
}

fn rsa(hash: Hash) -> &'static RsaParameters {
    match hash {
        Hash::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        Hash::Sha384 => &RSA_PKCS1_2048_8192_SHA384,
        Hash::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
    }
}

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The signatures of authorities that are known here. Those over SHA-1 are refused, as Go does.
const SCHEMES: [(ObjectIdentifier, Scheme); 7] = [
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"), Scheme::Ecdsa(Hash::Sha256)),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"), Scheme::Ecdsa(Hash::Sha384)),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"), Scheme::Ecdsa(Hash::Sha512)),
    (ED25519_OID, Scheme::Ed25519),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"), Scheme::Rsa(Hash::Sha256)),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"), Scheme::Rsa(Hash::Sha384)),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"), Scheme::Rsa(Hash::Sha512)),
];
