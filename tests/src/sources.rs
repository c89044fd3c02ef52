//! The Rust files of the workspace, and the rules that they cite.

use std::{fs, path::Path};

use crate::{files, root};

/// Reads all Rust files that are not generated: their paths below the root, and their text.
///
/// # Panics
///
/// If a file cannot be read.
pub fn sources() -> impl Iterator<Item = (String, String)> {
    files(&[".rs"]).into_iter().filter(|path| !is_generated(path)).map(|path| {
        let text = fs::read_to_string(&path).expect("a readable file");
        let name = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned();
        (name, text)
    })
}

/// Says whether a path below the root is that of test code.
#[must_use]
pub fn is_test(path: &str) -> bool {
    path.split(['/', '.']).any(|part| part == "tests")
}

/// Finds the names of rules of `docs/protocol`: the letters of a family, a hyphen and a number.
#[must_use]
pub fn citations(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let words = text.split(|c: char| !is_part(c));
    words.filter(|word| is_rule(word)).map(str::to_owned).collect()
}

fn is_rule(word: &str) -> bool {
    let Some((family, number)) = word.split_once('-') else { return false };
    matches!(family, "W" | "C" | "D" | "N" | "P" | "CH" | "S" | "E" | "PD" | "SV" | "M")
        && !number.is_empty()
        && number.chars().all(|c| c.is_ascii_digit())
        && !CURVES.contains(&word)
}

fn is_generated(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "generated")
}

/// Curves have names like rules.
const CURVES: &[&str] = &["P-224", "P-256", "P-384", "P-521"];
