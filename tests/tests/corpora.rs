//! Recorded messages and damaged copies of them, given to everything that must take any bytes.

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

/// Reads envelopes, and the payloads of some, as Fabric wrote them.
fn recorded() -> Vec<Vec<u8>> {
    let path = gossip_tests::root().join("proto/tests/data/vectors.json");
    let text = std::fs::read_to_string(path).expect("the recorded vectors");
    let vectors: Value = serde_json::from_str(&text).expect("JSON");
    let list = |name: &str| vectors[name].as_array().expect("a list").clone();
    let fields = ["envelope_hex", "payload_hex"];
    let messages = list("messages");
    let messages = messages.iter().flat_map(|message| fields.map(|field| hex(&message[field])));
    let cases = list("live_cases");
    let cases = cases.iter().filter_map(|case| case["envelopes_hex"].as_array());
    messages.chain(cases.flatten().map(hex)).collect()
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
