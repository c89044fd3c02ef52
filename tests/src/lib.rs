//! Tests of the workspace as a whole. The tree itself is checked in `tests/tidy.rs`; [`sim`] runs
//! many nodes in virtual time, [`replay`] one again that was recorded, and a [`story`] tells what
//! befalls some of them.

pub mod fuzz;
pub mod plot;
pub mod replay;
pub mod sim;
mod sources;
pub mod story;

use std::{
    fmt::Display,
    io::{Write as _, stdout},
    path::{Path, PathBuf},
    process::exit,
};

pub use self::sources::{citations, is_test, sources};

/// Returns the root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.to_path_buf(), Path::to_path_buf)
}

/// Writes a line to stdout; where nobody reads any further, ends the program with status 1.
pub fn say(line: impl Display) {
    if writeln!(stdout(), "{line}").is_err() {
        exit(1);
    }
}

/// Lists the files under the workspace whose names end in one of `extensions`, sorted; build
/// products and the repository's own folder are left out.
///
/// # Panics
///
/// If a folder cannot be read.
#[must_use]
pub fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{} cannot be read: {error}", folder.display()));
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if path.is_dir() {
                if !matches!(name, "target" | ".git" | "corpus" | "artifacts") {
                    folders.push(path);
                }
            } else if extensions.iter().any(|extension| name.ends_with(extension)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
