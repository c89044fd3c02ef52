use std::time::Duration;

use super::*;
use crate::sim::run;

fn options() -> Options {
    let duration = Duration::from_secs(10);
    let faults = Faults::all();
    Options { duration, faults, peers: 6, samples: true, ..Options::new(3) }
}

fn drawn(options: &Options) -> String {
    let report = run(options, |_| {}).expect("options that make sense");
    picture(options, &report, report.samples.as_ref().expect("they were kept"))
}

#[test]
fn the_same_run_gives_the_same_picture_and_a_picture_changes_no_run() {
    assert_eq!(drawn(&options()), drawn(&options()));
    let digest = |samples| {
        let options = Options { samples, ..options() };
        run(&options, |_| {}).expect("options that make sense").digest
    };
    assert_eq!(digest(true), digest(false));
}

#[test]
fn a_picture_is_well_formed_and_says_what_it_shows() {
    let svg = drawn(&options());
    assert_well_formed(&svg);
    let texts = [
        "6 peers of 2 organisations, ",
        "faults: all, seed 3",
        "How blocks spread",
        "half of the deliveries took ",
        "How peers come to know each other",
        "Membership over the whole run",
        "faults end",
    ];
    for text in texts {
        assert!(svg.contains(text), "{text}");
    }
    for bad in ["NaN", "inf", "href", "<script", "-0.0 "] {
        assert!(!svg.contains(bad), "{bad}");
    }
}

#[test]
fn a_run_in_which_nothing_happened_can_be_drawn() {
    let options = options();
    let mut report = run(&Options { peers: 2, ..options.clone() }, |_| {}).expect("a run");
    report.full_membership_secs = None;
    let svg = picture(&options, &report, &Samples::default());
    assert_well_formed(&svg);
    assert!(svg.contains("0 blocks") && !svg.contains("NaN"), "{svg}");
}

/// Checks that elements are closed in order, attributes quoted, and nothing is left unescaped.
fn assert_well_formed(svg: &str) {
    let mut open = Vec::new();
    let mut rest = svg;
    while let Some(start) = rest.find('<') {
        let (text, element) = rest.split_at(start);
        assert!(!text.contains('>') && entities_are_known(text), "{text}");
        let end = element.find('>').expect("an element ends");
        let (inner, after) = (&element[1..end], &element[end + 1..]);
        assert_eq!(inner.matches('"').count() % 2, 0, "{inner}");
        match (inner.strip_prefix('/'), inner.ends_with('/')) {
            (Some(name), _) => assert_eq!(open.pop(), Some(name)),
            (None, true) => {}
            (None, false) => open.push(inner.split(' ').next().expect("a name")),
        }
        rest = after;
    }
    assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest:?}");
}

fn entities_are_known(text: &str) -> bool {
    let mut parts = text.split('&').skip(1);
    parts.all(|part| ["amp;", "lt;", "gt;", "quot;"].iter().any(|name| part.starts_with(name)))
}
