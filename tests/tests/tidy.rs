//! Checks of the tree: what no compiler looks at.

use std::fs;

use gossip_tests::{citations, files, is_test, root, sources};

/// Files stay small enough to be read at once. Tests and generated code may be longer.
#[test]
fn files_have_at_most_600_lines() {
    let long: Vec<_> = sources()
        .filter(|(path, _)| !is_test(path))
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > 600)
        .collect();
    assert!(long.is_empty(), "too long: {long:?}");
}

#[test]
fn lines_have_at_most_100_columns() {
    let wide: Vec<_> = sources()
        .flat_map(|(path, text)| {
            let wide = text.lines().enumerate().filter(|(_, line)| line.chars().count() > 100);
            wide.map(|(number, _)| format!("{path}:{}", number + 1)).collect::<Vec<_>>()
        })
        .collect();
    assert!(wide.is_empty(), "too wide: {wide:#?}");
}

#[test]
fn functions_have_at_most_70_lines() {
    let mut long = Vec::new();
    for (path, text) in sources().filter(|(path, _)| !is_test(path) && !path.contains("examples")) {
        let mut begun: Option<(usize, String, usize)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            if begun.is_none() && is_function(line) && !line.trim_end().ends_with([';', '}']) {
                begun = Some((number, line.trim().to_owned(), indent));
            } else if let Some((start, name, at)) = &begun
                && indent == *at
                && line.trim_start().starts_with('}')
            {
                if number - start > 70 {
                    long.push(format!("{path}:{}: {name}", start + 1));
                }
                begun = None;
            }
        }
    }
    assert!(long.is_empty(), "too long: {long:#?}");
}

/// The core is a function of its inputs: nothing in it may ask the world.
#[test]
fn the_core_knows_no_clock_no_entropy_and_no_thread() {
    const FORBIDDEN: &[&str] = &["std::time", "SystemTime", "thread_rng", "OsRng", "std::thread"];
    let found: Vec<_> = sources()
        .filter(|(path, _)| path.starts_with("gossip-core/src") && !is_test(path))
        .filter(|(_, text)| FORBIDDEN.iter().any(|word| text.contains(word)))
        .map(|(path, _)| path)
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

/// Unfinished work says so with an error at run time, not with a word in a comment.
#[test]
fn nothing_is_left_for_later() {
    let words = ["to", "do!"].concat();
    let words = [words.as_str(), "unimplemented!", "FIX\u{4d}E", "XX\u{58}"];
    let found: Vec<_> = sources()
        .filter(|(path, _)| !path.ends_with("tidy.rs"))
        .filter(|(_, text)| words.iter().any(|word| text.contains(word)))
        .map(|(path, _)| path)
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

/// The rules of `docs/protocol` are the names of proofs: a test must not cite one that is none.
#[test]
fn every_cited_rule_exists() {
    let rules: String = files(&[".md"])
        .iter()
        .filter(|path| path.starts_with(root().join("docs/protocol")))
        .map(|path| fs::read_to_string(path).expect("a readable file"))
        .collect();
    let mut unknown = Vec::new();
    for (path, text) in sources().filter(|(path, _)| path != "tests/tests/rules.rs") {
        for citation in citations(&text) {
            if !rules.contains(&format!("- {citation} "))
                && !rules.contains(&format!("* {citation} "))
            {
                unknown.push(format!("{path}: {citation}"));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

fn is_function(line: &str) -> bool {
    let line = line.trim_start();
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.split_once(") ").map_or(line, |(visibility, rest)| {
        if visibility.starts_with("pub(") { rest } else { line }
    });
    ["fn ", "const fn ", "async fn "].iter().any(|start| line.starts_with(start))
}
