//! Certificates taken apart.

use aws_lc_rs::digest;
use base64ct::{Base64, Encoding};
use der::asn1::{AnyRef, BitString, UintRef};
use der::{Decode, Encode, Sequence};

/// The DER of a certificate in PEM.
pub(crate) fn der_of(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    Base64::decode_vec(&base64).expect("base64")
}

pub(crate) fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, bytes).as_ref().to_vec()
}

/// The same certificate with the other of the two forms that its ECDSA signature has, on P-256 or
/// P-384.
pub(crate) fn mirrored(pem: &str) -> String {
    let der = der_of(pem);
    let certificate = Certificate::from_der(&der).expect("a certificate");
    let bits = certificate.signature.as_bytes().expect("whole bytes");
    let signature = Signature::from_der(bits).expect("a signature");
    let is_short = [signature.r, signature.s].iter().all(|n| n.as_bytes().len() <= 32);
    let order = if is_short { &P256_ORDER[..] } else { &P384_ORDER };
    let s = subtract(order, signature.s.as_bytes());
    let other = Signature { r: signature.r, s: UintRef::new(&s).expect("a number") };
    let other = other.to_der().expect("DER");
    let signature = BitString::from_bytes(&other).expect("bits");
    let der = Certificate { signature, ..certificate }.to_der().expect("DER");
    let base64 = Base64::encode_string(&der);
    let lines = base64.as_bytes().chunks(64).map(|line| str::from_utf8(line).expect("ASCII"));
    let lines = lines.collect::<Vec<_>>().join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
}

/// The form of a certificate whose signature has the smaller `s`.
pub(crate) fn low_s(pem: &str) -> String {
    let s_of = |pem: &str| {
        let der = der_of(pem);
        let certificate = Certificate::from_der(&der).expect("a certificate");
        let bits = certificate.signature.as_bytes().expect("whole bytes");
        let s = Signature::from_der(bits).expect("a signature").s.as_bytes().to_vec();
        (s.len(), s)
    };
    let twin = mirrored(pem);
    if s_of(&twin) < s_of(pem) { twin } else { pem.to_owned() }
}

#[derive(Sequence)]
struct Certificate<'a> {
    content: AnyRef<'a>,
    algorithm: AnyRef<'a>,
    signature: BitString,
}

#[derive(Sequence)]
struct Signature<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// `a - b` for big-endian numbers, `a` the larger and no shorter.
fn subtract(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut difference = a.to_vec();
    let mut borrow = 0;
    let digits = b.iter().rev().copied().chain(std::iter::repeat(0));
    for (digit, other) in difference.iter_mut().rev().zip(digits) {
        let value = i16::from(*digit) - i16::from(other) - borrow;
        borrow = i16::from(value < 0);
        *digit = value.rem_euclid(256) as u8;
    }
    difference
}

const P256_ORDER: [u8; 32] = *b"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\
    \xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
const P384_ORDER: [u8; 48] = *b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\
    \xff\xff\xff\xff\xff\xff\xff\xff\xc7\x63\x4d\x81\xf4\x37\x2d\xdf\
    \x58\x1a\x0d\xb2\x48\xb0\xa7\x7a\xec\xec\x19\x6a\xcc\xc5\x29\x73";
