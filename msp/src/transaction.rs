//! Transactions inside a block: the channel they name and the form they must have.

use crate::wire::{Field, Value, bytes_of, fields, varint_of};

/// What the first transaction of a block says about itself.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct ChannelHeader<'a> {
    /// Not necessarily UTF-8; compared byte by byte.
    pub(crate) channel: &'a [u8],
    pub(crate) is_config: bool,
}

/// Reads Envelope, Payload, Header and ChannelHeader; `None` when one is malformed or absent.
pub(crate) fn channel_header(transaction: &[u8]) -> Option<ChannelHeader<'_>> {
    let payload = bytes_of(transaction, 1)?;
    let header = channel_header_bytes(payload)?;
    Some(ChannelHeader {
        channel: bytes_of(header, 4)?,
        is_config: varint_of(header, 1)? as i32 == CONFIG,
    })
}

/// A header given in pieces is merged, so its last `channel_header` counts.
fn channel_header_bytes(payload: &[u8]) -> Option<&[u8]> {
    let mut last = None;
    for field in fields(payload) {
        if let Field { number: 1, value: Value::Bytes(header), .. } = field? {
            last = Some(last.unwrap_or_default());
            for inner in fields(header) {
                if let Field { number: 1, value: Value::Bytes(bytes), .. } = inner? {
                    last = Some(bytes);
                }
            }
        }
    }
    last
}

/// Whether a decoded Envelope, encoded anew, gives these very bytes (S13.2.a).
///
/// That is: a payload, then a signature, each once, not empty and in shortest form, then any
/// well-formed unknown fields.
pub(crate) fn is_canonical(transaction: &[u8]) -> bool {
    let mut fields = fields(transaction);
    let mut is_next = |number| {
        matches!(
            fields.next(),
            Some(Some(Field { number: n, value: Value::Bytes(bytes), is_minimal: true, .. }))
                if n == number && !bytes.is_empty()
        )
    };
    is_next(1) && is_next(2) && fields.all(|field| field.is_some_and(|field| is_unknown(&field)))
}

fn is_unknown(field: &Field<'_>) -> bool {
    match field.value {
        Value::Bytes(_) => field.number > 2 && field.has_minimal_tag,
        Value::Varint(_) | Value::Other => field.has_minimal_tag,
    }
}

const CONFIG: i32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// S13.2.a, SV-52: only known fields first, once, in order and minimal, are canonical.
    #[test]
    fn only_what_encoding_anew_reproduces_is_canonical() {
        let cases: [(&[u8], bool); 14] = [
            (&[0x0a, 1, 7, 0x12, 1, 8], true),
            (&[0x0a, 1, 7, 0x12, 1, 8, 0x1a, 1, 9], true),
            (&[0x0a, 1, 7, 0x12, 1, 8, 0x1a, 0x81, 0, 9], true),
            (&[0x0a, 1, 7, 0x12, 1, 8, 0x08, 5], true),
            (&[0x0a, 1, 7, 0x12, 1, 8, 0x1b, 0x1c], true),
            (&[0x0a, 1, 7, 0x12, 1, 8, 0x9a, 0, 1, 9], false),
            (&[0x0a, 1, 7, 0x12, 1, 8, 0], false),
            (&[0x12, 1, 8, 0x0a, 1, 7], false),
            (&[0x0a, 1, 7, 0x0a, 1, 7, 0x12, 1, 8], false),
            (&[0x0a, 1, 7, 0x12, 1, 8, 0x12, 1, 8], false),
            (&[0x0a, 0x81, 0, 7, 0x12, 1, 8], false),
            (&[0x0a, 1, 7, 0x12, 0], false),
            (&[0x0a, 1, 7, 0x1a, 1, 9, 0x12, 1, 8], false),
            (&[], false),
        ];
        for (bytes, expected) in cases {
            assert_eq!(is_canonical(bytes), expected, "{bytes:02x?}");
        }
    }

    #[test]
    fn a_header_without_fields_names_the_empty_channel_and_none_is_no_header() {
        let empty = ChannelHeader { channel: b"", is_config: false };
        assert_eq!(channel_header(&[0x0a, 2, 0x0a, 0]), Some(empty));
        assert_eq!(channel_header(&[0x0a, 2, 0x12, 0]), None);
        assert_eq!(channel_header(&[0x0a, 9]), None);
    }
}
