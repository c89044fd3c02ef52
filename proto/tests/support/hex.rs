//! Hexadecimal digits to bytes.

use prost::bytes::Bytes;

/// Decodes pairs of hexadecimal digits.
pub(crate) fn bytes(digits: &str) -> Bytes {
    assert!(digits.len().is_multiple_of(2), "hexadecimal digits come in pairs: {digits}");
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16))
        .collect::<Result<Vec<_>, _>>()
        .expect("hexadecimal digits")
        .into()
}
