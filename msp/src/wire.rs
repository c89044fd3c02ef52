//! Protobuf fields as Go's decoder sees them, for bytes that strangers wrote.
//!
//! A client can write a transaction that Go decodes and `prost` does not, such as one with a known
//! field of another wire type. The ordering service would order it; a node that refused the
//! block would stay behind for good.

/// One field of a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    pub(crate) value: Value<'a>,
    /// Whether the tag has its shortest form.
    pub(crate) has_minimal_tag: bool,
    /// Whether the tag and, if there is one, the length have their shortest form.
    pub(crate) is_minimal: bool,
}

/// The value of a field, as far as anybody here looks into it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Value<'a> {
    Bytes(&'a [u8]),
    Varint(u64),
    Other,
}

/// The fields of `message` in order; the last one is `None` when the rest is malformed.
pub(crate) fn fields(message: &[u8]) -> impl Iterator<Item = Option<Field<'_>>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = read_field(&mut rest);
        if field.is_none() {
            rest = &[];
        }
        Some(field)
    })
}

/// The last length-delimited value of a field, empty when absent; `None` when malformed.
pub(crate) fn bytes_of(message: &[u8], number: u32) -> Option<&[u8]> {
    let mut last: &[u8] = &[];
    for field in fields(message) {
        match field? {
            Field { number: n, value: Value::Bytes(bytes), .. } if n == number => last = bytes,
            _ => {}
        }
    }
    Some(last)
}

/// How many length-delimited fields of this number a message has, up to where it is malformed.
pub(crate) fn count_of(message: &[u8], number: u32) -> usize {
    all_bytes_of(message, number).count()
}

/// The length-delimited values of a field, up to where the message is malformed.
pub(crate) fn all_bytes_of(message: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    fields(message).map_while(|field| field).filter_map(move |field| match field.value {
        Value::Bytes(bytes) if field.number == number => Some(bytes),
        Value::Bytes(_) | Value::Varint(_) | Value::Other => None,
    })
}

/// The last varint value of a field, zero when absent; `None` when malformed.
pub(crate) fn varint_of(message: &[u8], number: u32) -> Option<u64> {
    let mut last = 0;
    for field in fields(message) {
        match field? {
            Field { number: n, value: Value::Varint(value), .. } if n == number => last = value,
            _ => {}
        }
    }
    Some(last)
}

fn read_field<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let (tag, has_minimal_tag) = read_varint(rest)?;
    let mut is_minimal = has_minimal_tag;
    let number = u32::try_from(tag >> 3).ok().filter(|n| (1..=NUMBER_MAX).contains(n))?;
    let value = match tag & 7 {
        VARINT => Value::Varint(read_varint(rest)?.0),
        LENGTH_DELIMITED => {
            let (length, is_shortest) = read_varint(rest)?;
            is_minimal &= is_shortest;
            Value::Bytes(take(rest, length)?)
        }
        START_GROUP => {
            skip_group(rest, number)?;
            Value::Other
        }
        wire_type => {
            skip_fixed(rest, wire_type)?;
            Value::Other
        }
    };
    Some(Field { number, value, has_minimal_tag, is_minimal })
}

/// Skips to the end of a group, without recursion: strangers choose the depth.
fn skip_group(rest: &mut &[u8], number: u32) -> Option<()> {
    let mut open = vec![number];
    while let Some(&innermost) = open.last() {
        let (tag, _) = read_varint(rest)?;
        let number = u32::try_from(tag >> 3).ok().filter(|&n| n >= 1 && n <= i32::MAX as u32)?;
        match tag & 7 {
            VARINT => _ = read_varint(rest)?,
            LENGTH_DELIMITED => {
                let (length, _) = read_varint(rest)?;
                take(rest, length)?;
            }
            START_GROUP if open.len() < GROUP_DEPTH_MAX => open.push(number),
            END_GROUP if number == innermost => _ = open.pop(),
            wire_type => skip_fixed(rest, wire_type)?,
        }
    }
    Some(())
}

fn skip_fixed(rest: &mut &[u8], wire_type: u64) -> Option<()> {
    let length = match wire_type {
        FIXED64 => 8,
        FIXED32 => 4,
        _ => return None,
    };
    take(rest, length).map(|_| ())
}

/// Reads a varint and tells whether it has its shortest form.
fn read_varint(rest: &mut &[u8]) -> Option<(u64, bool)> {
    let mut value = 0;
    for (index, &byte) in rest.iter().take(VARINT_LEN_MAX).enumerate() {
        if index == VARINT_LEN_MAX - 1 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *rest = &rest[index + 1..];
            return Some((value, index == 0 || byte != 0));
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = left;
    Some(taken)
}

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const START_GROUP: u64 = 3;
const END_GROUP: u64 = 4;
const FIXED32: u64 = 5;

const VARINT_LEN_MAX: usize = 10;
/// The largest field number of protobuf.
const NUMBER_MAX: u32 = (1 << 29) - 1;
/// Where Go's decoder gives up.
const GROUP_DEPTH_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_told_apart_by_wire_type() {
        let message = [0x08, 5, 0x0a, 1, 9, 0x0d, 1, 2, 3, 4, 0x09, 1, 2, 3, 4, 5, 6, 7, 8];
        let values: Vec<_> = fields(&message).map(|field| field.expect("a field").value).collect();
        assert_eq!(values, [Value::Varint(5), Value::Bytes(&[9]), Value::Other, Value::Other]);
    }

    #[test]
    fn the_last_value_of_the_right_wire_type_counts() {
        let message = [0x0a, 1, 7, 0x0a, 1, 8, 0x08, 3, 0x08, 4];
        assert_eq!(bytes_of(&message, 1), Some(&[8][..]));
        assert_eq!(varint_of(&message, 1), Some(4));
        assert_eq!((bytes_of(&message, 2), varint_of(&message, 2)), (Some(&[][..]), Some(0)));
    }

    #[test]
    fn groups_are_skipped_as_a_whole_and_must_close() {
        let nested = [0x1b, 0x23, 0x08, 1, 0x24, 0x0a, 1, 0, 0x1c, 0x08, 6];
        assert_eq!(varint_of(&nested, 1), Some(6));
        for open in [&nested[..4], &[0x1b, 0x24], &[0x1c], &[0x1b; 20_000]] {
            assert_eq!(varint_of(open, 1), None);
        }
    }

    #[test]
    fn malformed_fields_are_none() {
        for message in [&[0x0a, 5, 1][..], &[0x00, 1], &[0x0e], &[0x08, 0x80], &[0xff; 11]] {
            assert_eq!(bytes_of(message, 1), None, "{message:02x?}");
        }
    }

    #[test]
    fn over_long_varints_are_read_but_not_minimal() {
        let minimal = |message| fields(message).next().flatten().expect("a field").is_minimal;
        assert!(minimal(&[0x0a, 1, 0]));
        assert!(!minimal(&[0x8a, 0, 1, 0]));
        assert!(!minimal(&[0x0a, 0x81, 0, 0]));
        assert!(minimal(&[0x08, 0x81, 0]), "a varint value may take any form");
    }
}
