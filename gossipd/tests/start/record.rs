//! What a peer is told, written to a file.

use std::fs;

use rustix::process::Signal;

use crate::{
    org::{Organisation, free_ports},
    process::{Running, command},
};

#[test]
fn a_peer_is_recorded_and_writes_over_no_log() {
    let org = Organisation::new();
    let [port, _] = free_ports();
    let folder = org.peer("peer0", port, port);
    let path = folder.join("peer0.log");
    let mut runs = Vec::new();
    for name in ["peer0.log", "peer0.log.1"] {
        let mut peer = Running::run(command(&folder, &[]).arg("--record").arg(&path));
        peer.wait_for("started");
        assert_eq!(peer.end(Signal::TERM), Some(0));
        let log = fs::read(folder.join(name)).expect("a log");
        assert!(log.starts_with(b"gossip\r\n"), "{name}");
        runs.push(log);
    }
    assert_eq!(fs::read(&path).expect("a log"), runs[0]);
    let nowhere = folder.join("nowhere/peer0.log");
    let output = command(&folder, &[]).arg("--record").arg(&nowhere).output().expect("it runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains(&format!("error: --record {}: ", nowhere.display())), "{error}");
}
