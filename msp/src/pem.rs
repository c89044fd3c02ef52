//! PEM text, as leniently as Go's decoder reads it: any line width, text before the block.
//!
//! Blocks with headers (`Proc-Type: …`) are not read: no certificate or bare key has them.

use base64ct::{Base64, Encoding};

/// One decoded block and what follows the line that ends it.
pub(crate) struct Block<'a> {
    pub(crate) label: &'a str,
    pub(crate) der: Vec<u8>,
    pub(crate) rest: &'a [u8],
}

/// Decodes the first block of `text`, `None` when there is no complete one.
pub(crate) fn first(text: &[u8]) -> Option<Block<'_>> {
    let after_begin = match text.strip_prefix(BEGIN) {
        Some(rest) => rest,
        None => after(text, &[b"\n", BEGIN].concat())?,
    };
    let label_len = find(after_begin, DASHES)?;
    let label = str::from_utf8(&after_begin[..label_len]).ok()?;
    if label.contains(['\n', '\r']) {
        return None;
    }
    let body = &after_begin[label_len + DASHES.len()..];
    after_line_end(body)?;
    let end = find(body, END)?;
    let tail = body[end + END.len()..].strip_prefix(label.as_bytes())?.strip_prefix(DASHES)?;
    let base64: Vec<u8> =
        body[..end].iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let der = Base64::decode_vec(str::from_utf8(&base64).ok()?).ok()?;
    Some(Block { label, der, rest: after_line_end(tail)? })
}

/// Decodes the first block whose label is one of `labels`, skipping others.
pub(crate) fn first_of<'a>(mut text: &'a [u8], labels: &[&str]) -> Option<Block<'a>> {
    loop {
        let block = first(text)?;
        if labels.contains(&block.label) {
            return Some(block);
        }
        text = block.rest;
    }
}

/// Encodes as Go does: lines of 64 characters, each ended by a line feed.
pub(crate) fn encode(label: &str, der: &[u8]) -> String {
    let base64 = Base64::encode_string(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut line = base64.as_str();
    while !line.is_empty() {
        let (head, tail) = line.split_at(line.len().min(LINE_WIDTH));
        text.push_str(head);
        text.push('\n');
        line = tail;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn after<'a>(text: &'a [u8], pattern: &[u8]) -> Option<&'a [u8]> {
    find(text, pattern).map(|at| &text[at + pattern.len()..])
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    text.windows(pattern.len()).position(|window| window == pattern)
}

/// Skips the rest of a line, which must be blank.
fn after_line_end(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|&b| b == b'\n').map_or(text.len(), |at| at + 1);
    let (line, rest) = text.split_at(end);
    line.iter().all(u8::is_ascii_whitespace).then_some(rest)
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"\n-----END ";
const DASHES: &[u8] = b"-----";
const LINE_WIDTH: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_the_same_bytes() {
        for len in [0, 1, 47, 48, 49, 500] {
            let der: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let text = encode("CERTIFICATE", &der);
            let block = first(text.as_bytes()).expect("own encoding");
            assert_eq!((block.label, block.der, block.rest), ("CERTIFICATE", der, &b""[..]));
        }
    }

    #[test]
    fn text_before_and_after_a_block_is_told_apart() {
        let text = b"Subject: x\n-----BEGIN A-----\r\nAQID\r\n-----END A-----\r\nmore";
        let block = first(text).expect("one block");
        assert_eq!((block.label, &block.der[..], block.rest), ("A", &[1, 2, 3][..], &b"more"[..]));
    }

    #[test]
    fn incomplete_and_mismatched_blocks_are_none() {
        for text in [
            "",
            "-----BEGIN A-----",
            "-----BEGIN A-----\nAQID\n-----END B-----\n",
            "-----BEGIN A-----\nAQ!D\n-----END A-----\n",
            "-----BEGIN A-----\nAQID\n-----END A-----junk\n",
            "-----BEGIN A-----AQID\n-----END A-----\n",
            "-----BEGIN A-----\nAQID-----END A-----\n",
            "text-----BEGIN A-----\nAQID\n-----END A-----\n",
        ] {
            assert!(first(text.as_bytes()).is_none(), "{text:?}");
        }
    }
}
