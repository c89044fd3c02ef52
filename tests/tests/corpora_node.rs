//! Recorded frames and damaged copies of them, in scripts for a whole node.

use gossip_tests::fuzz::{TARGETS, mutate::mutate};
use serde_json::Value;

#[test]
fn scripts_of_recorded_frames_and_damaged_copies_do_no_harm() {
    let frames = recorded();
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

/// Reads envelopes as Fabric's peers were sent them.
fn recorded() -> Vec<Vec<u8>> {
    let path = gossip_tests::root().join("proto/tests/data/vectors.json");
    let text = std::fs::read_to_string(path).expect("the recorded vectors");
    let vectors: Value = serde_json::from_str(&text).expect("JSON");
    let cases = vectors["live_cases"].as_array().expect("a list");
    let frames = cases.iter().filter_map(|case| case["envelopes_hex"].as_array());
    frames.flatten().map(hex).collect()
}

fn hex(digits: &Value) -> Vec<u8> {
    let digits = digits.as_str().expect("hexadecimal digits");
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// The targets whose input is a script.
const OF_NODES: [&str; 3] = ["handshake", "frames", "events"];

/// How many frames are in a script.
const FRAMES: usize = 6;

/// How many damaged copies of each are tried.
const COPIES: u64 = 20;

/// How many scripts of no meaning are tried.
const RANDOM: u64 = 200;
