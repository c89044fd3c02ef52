//! Every rule of the protocol is proven by a test that cites it, or ARCHITECTURE.md says why not.

use std::{collections::BTreeSet, fs, ops::RangeInclusive};

use gossip_tests::{citations, is_test, root, sources};

/// The parts of the protocol that are built, the families of their rules, and which of each family
/// are of such a part, counted from one.
const BUILT: &[(&str, &str, RangeInclusive<usize>)] = &[
    ("10-wire", "W", ALL),
    ("20-comm-and-identity", "C", ALL),
    ("30-discovery", "D", ALL),
    ("40-emitter-and-node", "N", ALL),
    ("50-pull-and-stores", "P", ALL),
    ("60-channel", "CH", ALL),
    ("70-state-transfer", "S", ALL),
    // Verification and configuration; delivery is not built.
    ("95-service", "SV", 50..=67),
    // The configuration; metrics and logs are not built.
    ("97-config-and-metrics", "M", 1..=21),
];

const ALL: RangeInclusive<usize> = 1..=usize::MAX;

#[test]
fn every_rule_is_proven_by_a_test_or_said_not_to_be_followed() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("a readable file");
    let wrong = check(&rules(), &proven(sources()), &not_followed(&architecture));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Reads the checklists.
fn rules() -> BTreeSet<String> {
    let mut rules = BTreeSet::new();
    for (file, family, places) in BUILT {
        let path = root().join(format!("docs/protocol/{file}.md"));
        let listed = checklist(&fs::read_to_string(path).expect("a readable file"), family);
        assert!(listed.len() > 40, "{file} has a checklist");
        let places = (1..).zip(listed).filter(|(place, _)| places.contains(place));
        rules.extend(places.map(|(_, rule)| rule));
    }
    rules
}

/// Reads the rules of a family: the items of lists that begin with a name.
fn checklist(text: &str, family: &str) -> Vec<String> {
    let items = text.lines().filter_map(|line| line.strip_prefix(['-', '*'])?.strip_prefix(' '));
    let names = items.filter_map(|item| citations(item.split(' ').next()?).pop());
    names.filter(|name| is_of(name, family)).collect()
}

fn is_of(rule: &str, family: &str) -> bool {
    rule.split_once('-').is_some_and(|(of, _)| of == family)
}

/// Collects what test code cites. Of a range the ends alone count.
fn proven(sources: impl Iterator<Item = (String, String)>) -> BTreeSet<String> {
    let tests = sources.filter(|(path, _)| is_test(path) && path != "tests/tests/rules.rs");
    tests.flat_map(|(_, text)| citations(&text)).collect()
}

/// A rule in the table of those that are not followed.
#[derive(Clone, Debug, PartialEq)]
struct Exception {
    rule: String,
    /// Whether the rest of the rule holds, and is to be proven.
    is_partial: bool,
}

/// Reads the table: rules in the first cell of a row, in the second what is done instead, which
/// begins with "partly" if the rest of the rule holds.
fn not_followed(architecture: &str) -> Vec<Exception> {
    let section = architecture.split("\n## ").find(|text| text.starts_with("Not followed\n"));
    let rows = section.expect("the section").lines().filter_map(|line| line.strip_prefix("| "));
    let mut exceptions = Vec::new();
    for row in rows {
        let (rule, instead) = row.split_once(" | ").expect("two cells");
        let is_partial = instead.starts_with("partly");
        let named = citations(rule).into_iter();
        exceptions.extend(named.map(|rule| Exception { rule, is_partial }));
    }
    exceptions
}

/// Says what is wrong with each rule that is neither proven nor excepted, or both.
fn check(
    rules: &BTreeSet<String>,
    proven: &BTreeSet<String>,
    exceptions: &[Exception],
) -> Vec<String> {
    let mut wrong = Vec::new();
    for rule in rules {
        let exception = exceptions.iter().find(|exception| exception.rule == *rule);
        match (proven.contains(rule), exception.map(|exception| exception.is_partial)) {
            (true, None | Some(true)) | (false, Some(false)) => {}
            (false, None) => wrong.push(format!("{rule}: neither proven nor excepted")),
            (false, Some(true)) => {
                wrong.push(format!("{rule}: no test proves the part that holds"))
            }
            (true, Some(false)) => wrong.push(format!("{rule}: cited, though it is not followed")),
        }
    }
    for Exception { rule, .. } in exceptions {
        if !rules.contains(rule) {
            wrong.push(format!("{rule}: excepted, but there is no such rule"));
        }
        if exceptions.iter().filter(|other| other.rule == *rule).count() > 1 {
            wrong.push(format!("{rule}: excepted twice"));
        }
    }
    wrong
}

/// The check itself: each thing that may be wrong is noticed, and named.
#[test]
fn what_is_wrong_is_noticed() {
    let text =
        "prose W-9\n- W-1 one.\n* W-2 two, as W-8.\n- W-3\n- W-4 four\n  - W-7 below\n- C-1 x";
    let rules: BTreeSet<_> = checklist(text, "W").into_iter().collect();
    assert_eq!(rules, ["W-1", "W-2", "W-3", "W-4"].map(String::from).into());
    let file = |path: &str, text: &str| (path.to_owned(), text.to_owned());
    let sources = [
        file("a/src/tests.rs", "/// W-1, CH-2: words.\n/// W-4 and xW-3"),
        file("a/src/lib.rs", "/// W-2."),
        file("tests/tests/rules.rs", "// W-2"),
    ];
    let table = |rows: &str| not_followed(&format!("# A\n\n## Not followed\n\n{rows}\n\n## B\n"));
    let wrong = |rows: &str| check(&rules, &proven(sources.clone().into_iter()), &table(rows));
    let reasons = "| W-2: two | other |\n| W-3: three; Q1 | other |";
    assert_eq!(wrong(reasons), [""; 0]);
    assert_eq!(wrong("| W-3: three | other |"), ["W-2: neither proven nor excepted"]);
    let with = |row: &str| wrong(&format!("{reasons}\n{row}"));
    assert_eq!(with("| W-1: one | partly: other |"), [""; 0]);
    assert_eq!(with("| W-1: one | other |"), ["W-1: cited, though it is not followed"]);
    assert_eq!(with("| W-9: nine | other |"), ["W-9: excepted, but there is no such rule"]);
    assert_eq!(with("| W-3: three | other |"), ["W-3: excepted twice"; 2]);
    let partly = wrong("| W-2, W-3: two | partly: other |");
    assert_eq!(
        partly,
        ["W-2", "W-3"].map(|rule| format!("{rule}: no test proves the part that holds"))
    );
}

/// A range names its ends, and nothing between them.
#[test]
fn of_a_range_the_ends_alone_are_cited() {
    assert_eq!(citations("W-1 to W-3, W-5…W-7, W-9-11, P-256"), ["W-1", "W-3", "W-5", "W-7"]);
}
