//! Recorded messages, damaged copies of them, and the inputs in `fuzz/corpus`, given to everything
//! that must take any bytes.

use std::{collections::BTreeSet, fs, path::Path};

use gossip_tests::fuzz::{TARGETS, mutate::mutate};
use serde_json::Value;

/// W-39.
#[test]
fn recorded_messages_and_damaged_copies_do_no_harm() {
    let recorded = recorded();
    assert!(recorded.len() > 150, "{} recorded envelopes and payloads", recorded.len());
    for target in TARGETS.iter().filter(|target| OF_MESSAGES.contains(&target.name)) {
        for (number, bytes) in recorded.iter().enumerate() {
            // The first byte chooses a type, for the targets that have a choice.
            let input = [&[number as u8][..], bytes].concat();
            (target.run)(&input);
            (target.run)(bytes);
            for seed in 0..COPIES {
                (target.run)(&mutate(bytes, seed, bytes.len() + 64));
            }
            (0..bytes.len()).step_by(7).for_each(|len| (target.run)(&bytes[..len]));
        }
    }
}

#[test]
fn scripts_of_recorded_frames_and_damaged_copies_do_no_harm() {
    let frames = frames(&vectors());
    assert!(frames.len() > 90, "{} recorded frames", frames.len());
    for target in TARGETS.iter().filter(|target| OF_NODES.contains(&target.name)) {
        for (number, frames) in frames.chunks(FRAMES).enumerate() {
            let script = script(frames, number as u8);
            (target.run)(&script);
            for seed in 0..COPIES {
                (target.run)(&mutate(&script, seed, script.len() + 64));
            }
        }
        for seed in 0..RANDOM {
            (target.run)(&mutate(&[seed as u8; 600], seed, 700));
        }
    }
}

/// Makes an input: before each frame some choices and its length, then a pause.
fn script(frames: &[Vec<u8>], salt: u8) -> Vec<u8> {
    let mut script = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        let length = u16::try_from(frame.len()).unwrap_or(u16::MAX);
        script.push(salt.wrapping_add(number as u8));
        script.extend(length.to_be_bytes());
        script.extend(&frame[..usize::from(length)]);
        script.extend([0, 0, 0, 0, salt, number as u8]);
    }
    script
}

#[test]
fn the_seeds_of_the_fuzzers_do_no_harm() {
    for target in TARGETS {
        let folder = gossip_tests::root().join("fuzz/corpus").join(target.name);
        let names = names(&folder);
        assert!(!names.is_empty(), "{} is empty", folder.display());
        for name in names {
            (target.run)(&fs::read(folder.join(name)).expect("a readable input"));
        }
    }
}

#[test]
fn every_target_is_a_program_and_every_program_a_target() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    let fuzz = gossip_tests::root().join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("the manifest");
    let programs: BTreeSet<_> = names(&fuzz.join("fuzz_targets"))
        .into_iter()
        .map(|file| file.strip_suffix(".rs").expect("a Rust file").to_owned())
        .collect();
    assert_eq!(programs, targets, "fuzz/fuzz_targets has one file for each target");
    for name in targets {
        let program = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs")));
        let call = format!("gossip_tests::fuzz::run(\"{name}\", bytes)");
        assert!(program.expect("a readable file").contains(&call), "{name}.rs: no {call}");
        let path = format!("path = \"fuzz_targets/{name}.rs\"");
        assert!(manifest.contains(&path), "fuzz/Cargo.toml: no {path}");
    }
}

/// Lists the names in a folder, sorted.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", folder.display()));
    entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a UTF-8 name"))
        .collect()
}

/// Reads envelopes, and the payloads of some, as Fabric wrote them.
fn recorded() -> Vec<Vec<u8>> {
    let vectors = vectors();
    let messages = vectors["messages"].as_array().expect("a list");
    let fields = ["envelope_hex", "payload_hex"];
    let messages = messages.iter().flat_map(|message| fields.map(|field| hex(&message[field])));
    messages.chain(frames(&vectors)).collect()
}

/// Reads envelopes as Fabric's peers were sent them.
fn frames(vectors: &Value) -> Vec<Vec<u8>> {
    let cases = vectors["live_cases"].as_array().expect("a list");
    let frames = cases.iter().filter_map(|case| case["envelopes_hex"].as_array());
    frames.flatten().map(hex).collect()
}

fn vectors() -> Value {
    let path = gossip_tests::root().join("proto/tests/data/vectors.json");
    let text = fs::read_to_string(path).expect("the recorded vectors");
    serde_json::from_str(&text).expect("JSON")
}

fn hex(digits: &Value) -> Vec<u8> {
    let digits = digits.as_str().expect("hexadecimal digits");
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// How many damaged copies of each are tried.
const COPIES: u64 = 20;

/// The targets that read what a socket gives.
const OF_MESSAGES: [&str; 4] = ["envelope", "message", "reencode", "identity"];

/// The targets whose input is a script.
const OF_NODES: [&str; 3] = ["handshake", "frames", "events"];

/// How many frames are in a script.
const FRAMES: usize = 6;

/// How many scripts of no meaning are tried.
const RANDOM: u64 = 200;
