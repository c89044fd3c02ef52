//! Settings, files and sockets of one peer or two.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use rustix::process::Signal;
use serde_json::Value;

use crate::{
    org::{Organisation, authority, free_ports, issued},
    process::{Running, command},
};

#[test]
fn two_peers_of_one_organisation_list_each_other_and_end_cleanly() {
    let org = Organisation::new();
    let ports = free_ports();
    let mut peers = [0, 1].map(|index| {
        let folder = org.peer(&format!("peer{index}"), ports[index], ports[0]);
        Running::start(&folder, &[])
    });
    let started = peers.each_mut().map(|peer| peer.wait_for("started"));
    for (index, peer) in peers.iter_mut().enumerate() {
        let (own, other) = (&started[index], &started[1 - index]);
        assert_eq!(own["org"], "Org1MSP");
        let alive = peer.wait_for("member_alive");
        assert_eq!((&alive["peer"], &alive["endpoint"]), (&other["peer"], &other["endpoint"]));
    }
    let [first, second] = peers;
    assert_eq!(first.end(Signal::TERM), Some(0));
    assert_eq!(second.end(Signal::INT), Some(0));
}

/// M-20: what is written to the configuration file later changes nothing.
#[test]
fn a_running_peer_says_whom_it_knows() {
    let org = Organisation::new();
    let ports = free_ports();
    let folders = [0, 1].map(|index| org.peer(&format!("peer{index}"), ports[index], ports[0]));
    let mut peers = folders.each_ref().map(|folder| Running::start(folder, &[]));
    let other = peers[1].wait_for("started");
    peers[0].wait_for("member_alive");
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gossipd"));
        command.arg("peers").args(arguments).env("FABRIC_CFG_PATH", &folders[0]);
        command.output().expect("gossipd runs")
    };
    let answer = ask(&["--json"]);
    let answer: Value = serde_json::from_slice(&answer.stdout).expect("JSON");
    assert_eq!(answer["self"]["endpoint"], format!("127.0.0.1:{}", ports[0]));
    let [known] = &**answer["peers"].as_array().expect("a list") else { panic!("{answer}") };
    let found = ["peer", "org", "endpoint", "state"].map(|field| &known[field]);
    assert_eq!(found, [&other["peer"], &other["org"], &other["endpoint"], &Value::from("alive")]);
    fs::write(folders[0].join("core.yaml"), "peer: {gossip: {pullInterval: never}}")
        .expect("a file");
    let socket = folders[0].join("data/gossipd-admin/admin.sock");
    let table = ask(&["--admin-socket", socket.to_str().expect("text")]).stdout;
    let table = String::from_utf8(table).expect("text");
    let row = table.lines().find(|line| line.contains(&ports[1].to_string())).expect("its row");
    assert!(row.contains("Org1MSP") && row.contains("alive"), "{table}");
    let [first, _second] = peers;
    assert_eq!(first.end(Signal::TERM), Some(0));
    let output = ask(&["--admin-socket", socket.to_str().expect("text")]);
    assert_eq!((output.status.code(), socket.exists()), (Some(1), false));
    assert!(text(&output).contains("is gossipd start running?"), "{}", text(&output));
}

/// Who dials is checked, and shows a certificate of its own for that.
#[test]
fn clients_must_show_a_certificate_of_an_authority_that_the_settings_name() {
    let org = Organisation::new();
    let ports = free_ports();
    let folders = [0, 1].map(|index| org.peer(&format!("peer{index}"), ports[index], ports[0]));
    let clients = authority("clients.org1");
    let (certificate, key) = issued("peer1", &clients);
    fs::write(folders[0].join("tls/clients.crt"), clients.pem()).expect("a file");
    fs::write(folders[1].join("tls/client.crt"), certificate).expect("a file");
    fs::write(folders[1].join("tls/client.key"), key).expect("a file");
    let mut server =
        Running::start(&folders[0], &[("CORE_PEER_TLS_CLIENTROOTCAS_FILES", "tls/clients.crt")]);
    server.wait_for("started");
    let client = [
        ("CORE_PEER_TLS_CLIENTCERT_FILE", "tls/client.crt"),
        ("CORE_PEER_TLS_CLIENTKEY_FILE", "tls/client.key"),
    ];
    let mut client = Running::start(&folders[1], &client);
    client.wait_for("member_alive");
    server.wait_until("connection from the client", |notice| {
        notice["notice"] == "connection_opened" && notice["inbound"] == true
    });
    drop(client);
    let (certificate, key) = issued("peer1", &authority("others"));
    fs::write(folders[1].join("tls/client.crt"), certificate).expect("a file");
    fs::write(folders[1].join("tls/client.key"), key).expect("a file");
    let stranger = [
        ("CORE_PEER_TLS_CLIENTCERT_FILE", "tls/client.crt"),
        ("CORE_PEER_TLS_CLIENTKEY_FILE", "tls/client.key"),
        ("CORE_PEER_GOSSIP_BOOTSTRAP", &format!("127.0.0.1:{}", ports[0])),
    ];
    Running::start(&folders[1], &stranger).wait_for("dial_failed");
}

/// Certificates are replaced before they expire, with those of another authority if need be.
#[test]
fn a_peer_that_is_told_to_reads_its_certificates_for_tls_anew() {
    let mut org = Organisation::new();
    let ports = free_ports();
    let folder = org.peer("peer0", ports[0], ports[0]);
    let mut peer = Running::start(&folder, &[]);
    peer.wait_for("started");
    org.tls = authority("tlsca2.org1");
    let newcomer = org.peer("peer1", ports[1], ports[0]);
    let mut newcomer = Running::start(&newcomer, &[]);
    let failed = newcomer.wait_for("dial_failed");
    assert!(failed["error"].as_str().is_some_and(|error| error.contains("TLS")), "{failed}");
    fs::write(folder.join("tls/server.crt"), "no certificate").expect("a file");
    peer.signal(Signal::HUP);
    newcomer.wait_for("dial_failed");
    org.peer("peer0", ports[0], ports[0]);
    peer.signal(Signal::HUP);
    newcomer.wait_for("member_alive");
    assert_eq!(peer.end(Signal::TERM), Some(0));
}

#[test]
fn peers_meet_without_tls_and_with_the_environment_in_place_of_the_file() {
    let org = Organisation::new();
    let ports = free_ports();
    let own = ports.map(|port| format!("127.0.0.1:{port}"));
    let mut peers = [0, 1].map(|index| {
        let folder = org.peer(&format!("peer{index}"), 1, 1);
        Running::start(
            &folder,
            &[
                ("CORE_PEER_TLS_ENABLED", "false"),
                ("CORE_PEER_ADDRESS", &own[index]),
                ("CORE_PEER_LISTENADDRESS", &own[index]),
                ("CORE_PEER_GOSSIP_BOOTSTRAP", &own[0]),
            ],
        )
    });
    for (index, peer) in peers.iter_mut().enumerate() {
        assert_eq!(peer.wait_for("member_alive")["endpoint"], own[1 - index]);
    }
}

/// M-18: of clientCert and clientKey one alone is among it.
#[test]
fn what_cannot_be_used_ends_the_start_with_file_and_line() {
    let org = Organisation::new();
    let folder = org.peer("peer0", 1, 1);
    let error = failure(&folder, &[("CORE_PEER_GOSSIP_PULLINTERVAL", "fast")]);
    assert!(error.contains("CORE_PEER_GOSSIP_PULLINTERVAL: expected a duration"), "{error}");
    for (given, missing) in [("clientCert", "clientKey"), ("clientKey", "clientCert")] {
        let variable = format!("CORE_PEER_TLS_{}_FILE", given.to_uppercase());
        let error = failure(&folder, &[(&variable, "tls/server.crt")]);
        assert!(error.contains(&format!("peer.tls.{missing}.file: expected a file")), "{error}");
    }
    let file = folder.join("core.yaml");
    let text = fs::read_to_string(&file).expect("the file");
    fs::write(&file, text.replace("tls/server.crt", "tls/none.crt")).expect("a file");
    let error = failure(&folder, &[]);
    let place = format!("{}:10: peer.tls.cert.file: ", file.display());
    assert!(error.contains(&place), "{error}");
    assert!(error.contains("tls/none.crt"), "{error}");
    fs::remove_dir_all(folder.join("msp/keystore")).expect("a folder");
    let error = failure(&folder, &[]);
    assert!(error.contains("core.yaml:4: peer.mspConfigPath: "), "{error}");
}

/// M-19.
#[test]
fn a_missing_configuration_is_an_error_that_says_where_it_was_sought() {
    let folder = std::env::temp_dir().join("no-such-folder-of-a-peer");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gossipd"));
    let command = command.arg("start").env("FABRIC_CFG_PATH", &folder).env("RUST_LOG", "error");
    let output = command.output().expect("gossipd runs");
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output);
    assert!(error.starts_with("error: expected a configuration file at "), "{error}");
    assert!(error.contains(&*folder.display().to_string()), "{error}");
}

/// Runs a peer that does not get far, and returns what it says.
fn failure(folder: &Path, variables: &[(&str, &str)]) -> String {
    let output = command(folder, variables).output().expect("gossipd runs");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    text(&output)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
