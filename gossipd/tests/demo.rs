//! The `demo` command as people run it.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[test]
fn every_peer_gets_every_made_block() {
    let report = report(&["--block-size", "10KiB", "--blocks", "5"]);
    assert_eq!((&report["peers"], &report["orgs"]), (&4.into(), &2.into()));
    assert_eq!((&report["blocks"], &report["missing"]), (&5.into(), &0.into()));
    assert_eq!(report["delivered"], 10, "two peers are no sources");
    assert!(report["block_bytes"].as_u64() >= Some(10 << 10));
    assert!(report["latency_ms"]["max"].is_number() && report["last_peer_ms"]["p99"].is_number());
    assert!(report["verifies"].as_u64() > Some(0));
    assert_eq!(report["transport"], "grpc-tls");
    assert_eq!(report["idle"], Value::Null);
}

#[test]
fn every_peer_gets_the_blocks_of_a_recorded_chain() {
    let chain = concat!(env!("CARGO_MANIFEST_DIR"), "/../msp/tests/data/ch1.chain");
    // A burst of no more than what peers keep: however they are held up, nothing is too old.
    let report = report(&["--chain", chain, "--blocks", "10"]);
    assert_eq!((&report["blocks"], &report["missing"]), (&10.into(), &0.into()));
    assert_eq!(report["delivered"], 20);
}

#[test]
fn a_bad_value_is_an_error_that_names_it() {
    let output = demo(&["--rate", "fast"]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8_lossy(&output.stderr);
    for part in ["--rate", "'fast'", "such as 5/s, or max"] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

#[test]
fn a_missing_chain_file_is_an_error_that_names_it() {
    let output = demo(&["--chain", "/no/such/file.chain"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.starts_with("error: /no/such/file.chain: "), "{error}");
    assert!(output.stdout.is_empty());
}

#[test]
fn every_peer_can_be_recorded() {
    let folder = std::env::temp_dir().join(format!("gossipd-demo-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let path = folder.to_str().expect("UTF-8");
    report(&["--blocks", "1", "--block-size", "10KiB", "--record", path]);
    for peer in ["peer0.org1", "peer1.org1", "peer0.org2", "peer1.org2"] {
        let log = fs::read(folder.join(format!("{peer}.log"))).expect("a log");
        assert!(log.starts_with(b"gossip\r\n") && log.len() > 10 << 10, "{peer}");
    }
    fs::remove_dir_all(&folder).expect("the folder goes");
    let output = demo(&["--record", path]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.starts_with(&format!("error: --record {path}: ")), "{error}");
}

#[test]
fn ctrl_c_ends_a_run_with_status_130_and_no_report() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gossipd"));
    // The second block is due after a quarter of an hour.
    command.args(["demo", "--orgs", "1", "--peers-per-org", "2", "--rate", "0.001/s"]);
    let command = command.env_remove("RUST_LOG").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().expect("gossipd runs");
    let mut lines = BufReader::new(running.stderr.take().expect("a pipe")).lines();
    let publishes = |line: io::Result<String>| line.expect("text").starts_with("publishing");
    assert!(lines.by_ref().any(publishes));
    let pid = Pid::from_child(&running);
    kill_process(pid, Signal::INT).expect("it still runs");
    assert!(lines.all(|line| line.is_ok()));
    let output = running.wait_with_output().expect("an end");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(130), &b""[..]));
}

/// Runs four peers as fast as they can and returns the report, which must be one line.
fn report(args: &[&str]) -> Value {
    let common = ["--peers-per-org", "2", "--rate", "max", "--timeout", "5m", "--json"];
    let output = demo(&[&common[..], args].concat());
    let (text, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {errors}", output.status);
    assert_eq!((text.lines().count(), &*errors), (1, ""));
    serde_json::from_str(&text).expect("one JSON object")
}

fn demo(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gossipd"));
    command.arg("demo").args(args).env_remove("RUST_LOG").output().expect("gossipd runs")
}
