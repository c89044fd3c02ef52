//! ECDSA as Fabric wants it: SHA-256 on every curve, strict DER and only the lower half of `s`.

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self as lc, EcdsaKeyPair, EcdsaVerificationAlgorithm, ParsedPublicKey, UnparsedPublicKey,
};
use der::asn1::UintRef;
use der::{Decode, Encode, Sequence};

/// The curves that identities and authorities may use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Curve {
    P256,
    P384,
}

impl Curve {
    fn scalar_len(self) -> usize {
        self.order().len()
    }

    fn order(self) -> &'static [u8] {
        match self {
            Self::P256 => &P256_ORDER,
            Self::P384 => &P384_ORDER,
        }
    }

    fn half_order(self) -> &'static [u8] {
        match self {
            Self::P256 => &P256_HALF_ORDER,
            Self::P384 => &P384_HALF_ORDER,
        }
    }

    fn algorithm(self, hash: Hash) -> &'static EcdsaVerificationAlgorithm {
        match (self, hash) {
            (Self::P256, Hash::Sha256) => &lc::ECDSA_P256_SHA256_ASN1,
            (Self::P256, Hash::Sha384) => &lc::ECDSA_P256_SHA384_ASN1,
            (Self::P256, Hash::Sha512) => &lc::ECDSA_P256_SHA512_ASN1,
            (Self::P384, Hash::Sha256) => &lc::ECDSA_P384_SHA256_ASN1,
            (Self::P384, Hash::Sha384) => &lc::ECDSA_P384_SHA384_ASN1,
            (Self::P384, Hash::Sha512) => &lc::ECDSA_P384_SHA512_ASN1,
        }
    }
}

/// The digests that authorities sign certificates and revocation lists with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// Why a signature was not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignatureError {
    /// It is not exactly one DER `SEQUENCE` of two non-negative, minimal integers (W3.5.c).
    Encoding,
    /// `s` is above half the order of the curve (W-14).
    HighS,
    /// It was not made by this key over these bytes.
    Wrong,
    /// `r` or `s` is zero (W-15).
    Zero,
}

impl std::fmt::Display for SignatureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Encoding => "signature is not a DER sequence of two positive integers",
            Self::HighS => "signature has an s above half the curve's order",
            Self::Wrong => "signature was not made by this key over these bytes",
            Self::Zero => "signature has a zero r or s",
        })
    }
}

impl std::error::Error for SignatureError {}

/// A public key, parsed once.
#[derive(Clone, Debug)]
pub(crate) struct VerifyingKey {
    curve: Curve,
    /// The uncompressed point: 04, x, y.
    point: Box<[u8]>,
    parsed: ParsedPublicKey,
}

impl VerifyingKey {
    /// Takes an uncompressed point, `None` when it is not one on the curve.
    pub(crate) fn new(curve: Curve, point: &[u8]) -> Option<Self> {
        if point.first() != Some(&UNCOMPRESSED) {
            return None;
        }
        let parsed = ParsedPublicKey::new(curve.algorithm(Hash::Sha256), point).ok()?;
        Some(Self { curve, point: point.into(), parsed })
    }

    pub(crate) fn point(&self) -> &[u8] {
        &self.point
    }

    pub(crate) fn curve(&self) -> Curve {
        self.curve
    }

    /// Verifies a signature of a message or block: SHA-256, low S.
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let parts = parse(signature)?;
        if is_high(parts.s.as_bytes(), self.curve) {
            return Err(SignatureError::HighS);
        }
        self.parsed.verify_sig(message, signature).map_err(|_| SignatureError::Wrong)
    }

    /// Verifies an authority's signature of a certificate, where a high S is harmless.
    pub(crate) fn verify_issued(&self, hash: Hash, signed: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(self.curve.algorithm(hash), &self.point);
        key.verify(signed, signature).is_ok()
    }
}

/// Whether `signature` is canonical DER of a positive r and s, and nothing more.
pub(crate) fn is_canonical(signature: &[u8]) -> bool {
    parse(signature).is_ok()
}

/// Signs SHA-256 of `message`, DER, low S (W-13); `None` when the library fails.
pub(crate) fn sign(key: &EcdsaKeyPair, curve: Curve, message: &[u8]) -> Option<Vec<u8>> {
    let signature = match curve {
        Curve::P256 => key.sign(&SystemRandom::new(), message).ok()?,
        Curve::P384 => key.sign_digest(&widened_sha256(message)?).ok()?,
    };
    lower_s(signature.as_ref(), curve)
}

/// SHA-256 in the clothes of SHA-384, the only digest the library signs with on P-384.
///
/// ECDSA reads a digest as a big-endian integer, so leading zeros change nothing.
fn widened_sha256(message: &[u8]) -> Option<digest::Digest> {
    let hash = digest::digest(&digest::SHA256, message);
    let mut wide = [0; digest::SHA384_OUTPUT_LEN];
    wide[digest::SHA384_OUTPUT_LEN - digest::SHA256_OUTPUT_LEN..].copy_from_slice(hash.as_ref());
    digest::Digest::import_less_safe(&wide, &digest::SHA384).ok()
}

#[derive(Sequence)]
struct Parts<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

fn parse(signature: &[u8]) -> Result<Parts<'_>, SignatureError> {
    let parts = Parts::from_der(signature).map_err(|_| SignatureError::Encoding)?;
    let is_zero = |integer: &UintRef<'_>| integer.as_bytes().iter().all(|&byte| byte == 0);
    if is_zero(&parts.r) || is_zero(&parts.s) {
        return Err(SignatureError::Zero);
    }
    Ok(parts)
}

/// Compares big-endian integers, `s` without leading zeros.
fn is_high(s: &[u8], curve: Curve) -> bool {
    match s.len().cmp(&curve.scalar_len()) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => s > curve.half_order(),
        std::cmp::Ordering::Greater => true,
    }
}

/// The twin with a low S of a certificate's signature; `None` when that has one itself, or is of
/// no curve that is known here.
///
/// The curve is that of an issuer who need not be known: it shows in the lengths, for on P-384
/// only one in 2¹²⁸ numbers is as short as all are on P-256.
pub(crate) fn low_twin(signature: &[u8]) -> Option<Vec<u8>> {
    let Parts { r, s } = parse(signature).ok()?;
    let length = r.as_bytes().len().max(s.as_bytes().len());
    let curve = [Curve::P256, Curve::P384].into_iter().find(|c| length <= c.scalar_len())?;
    let is_below_order = s.as_bytes().len() < curve.scalar_len() || s.as_bytes() < curve.order();
    (is_below_order && is_high(s.as_bytes(), curve)).then(|| lower_s(signature, curve))?
}

fn lower_s(signature: &[u8], curve: Curve) -> Option<Vec<u8>> {
    let parts = parse(signature).ok()?;
    if !is_high(parts.s.as_bytes(), curve) {
        return Some(signature.to_vec());
    }
    let mirrored = subtract(curve.order(), parts.s.as_bytes());
    Parts { r: parts.r, s: UintRef::new(&mirrored).ok()? }.to_der().ok()
}

/// `a - b` for big-endian integers of one length, `a` the larger.
fn subtract(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut difference = a.to_vec();
    let mut borrow = false;
    for (digit, &other) in difference.iter_mut().zip(b).rev() {
        let (less, first) = digit.overflowing_sub(other);
        let (less, second) = less.overflowing_sub(borrow.into());
        (*digit, borrow) = (less, first || second);
    }
    difference
}

const UNCOMPRESSED: u8 = 4;

const P256_ORDER: [u8; 32] = *b"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\
    \xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
const P384_ORDER: [u8; 48] = *b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
    \xff\xff\xff\xff\xff\xff\xff\xff\xc7\x63\x4d\x81\xf4\x37\x2d\xdf\
    \x58\x1a\x0d\xb2\x48\xb0\xa7\x7a\xec\xec\x19\x6a\xcc\xc5\x29\x73";
const P256_HALF_ORDER: [u8; 32] = halve(P256_ORDER);
const P384_HALF_ORDER: [u8; 48] = halve(P384_ORDER);

/// Half of a big-endian integer, rounded down.
const fn halve<const N: usize>(mut integer: [u8; N]) -> [u8; N] {
    let mut carry = 0;
    let mut at = 0;
    while at < N {
        let next = integer[at] & 1;
        integer[at] = integer[at] >> 1 | carry << 7;
        carry = next;
        at += 1;
    }
    integer
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::KeyPair;

    use super::*;

    const CURVES: [(Curve, &lc::EcdsaSigningAlgorithm); 2] = [
        (Curve::P256, &lc::ECDSA_P256_SHA256_ASN1_SIGNING),
        (Curve::P384, &lc::ECDSA_P384_SHA384_ASN1_SIGNING),
    ];

    /// W-13, W-14: what we sign is low-S over SHA-256, and its mirror image is refused.
    #[test]
    fn own_signatures_hold_and_their_high_s_twins_do_not() {
        for (curve, algorithm) in CURVES {
            let pair = EcdsaKeyPair::generate(algorithm).expect("key generation");
            let key = VerifyingKey::new(curve, pair.public_key().as_ref()).expect("own key");
            for round in 0..16u8 {
                let signature = sign(&pair, curve, &[round]).expect("signing");
                assert_eq!(key.verify(&[round], &signature), Ok(()));
                assert_eq!(key.verify(b"other", &signature), Err(SignatureError::Wrong));
                let parts = parse(&signature).expect("own signature");
                let mut s = vec![0; curve.scalar_len() - parts.s.as_bytes().len()];
                s.extend(parts.s.as_bytes());
                let high = subtract(curve.order(), &s);
                let twin = Parts { r: parts.r, s: UintRef::new(&high).expect("integer") };
                let twin = twin.to_der().expect("encoding");
                assert_eq!(key.verify(&[round], &twin), Err(SignatureError::HighS));
                assert_eq!(lower_s(&twin, curve), Some(signature));
            }
        }
    }

    /// W-13: P-384 too signs the SHA-256 digest.
    #[test]
    fn p384_signatures_are_over_sha256() {
        let (curve, algorithm) = CURVES[1];
        let pair = EcdsaKeyPair::generate(algorithm).expect("key generation");
        let signature = sign(&pair, curve, b"message").expect("signing");
        let key = UnparsedPublicKey::new(&lc::ECDSA_P384_SHA256_ASN1, pair.public_key().as_ref());
        key.verify(b"message", &signature).expect("a SHA-256 signature");
    }

    /// W-15 and W3.5.c, f: zero, negative, padded or trailed integers are refused.
    #[test]
    fn signatures_that_are_not_strict_der_are_refused() {
        let cases: [(&[u8], SignatureError); 6] = [
            (&[0x30, 6, 2, 1, 0, 2, 1, 1], SignatureError::Zero),
            (&[0x30, 6, 2, 1, 1, 2, 1, 0], SignatureError::Zero),
            (&[0x30, 6, 2, 1, 0x81, 2, 1, 1], SignatureError::Encoding),
            (&[0x30, 7, 2, 2, 0, 1, 2, 1, 1], SignatureError::Encoding),
            (&[0x30, 6, 2, 1, 1, 2, 1, 1, 0], SignatureError::Encoding),
            (&[], SignatureError::Encoding),
        ];
        for (signature, error) in cases {
            assert_eq!(parse(signature).err(), Some(error), "{signature:02x?}");
        }
    }

    #[test]
    fn half_orders_round_down() {
        assert_eq!(P256_HALF_ORDER[..5], [0x7f, 0xff, 0xff, 0xff, 0x80]);
        assert_eq!(P256_HALF_ORDER[28..], [0x7e, 0x31, 0x92, 0xa8]);
        assert_eq!(P384_HALF_ORDER[44..], [0x66, 0x62, 0x94, 0xb9]);
    }
}
