//! Text from other machines, for terminals.

use std::fmt::Write;

/// Writes what does not print as an escape: others must not steer a terminal, nor forge lines.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => drop(write!(printable, "{}", c.escape_default())),
            false => printable.push(c),
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_nothing_else() {
        assert_eq!(printable("péer:7051 \u{1b}[2J\nx\u{9b}"), "péer:7051 \\u{1b}[2J\\nx\\u{9b}");
    }
}
