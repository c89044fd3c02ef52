//! The `start` command as operators run it: processes, files and sockets.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

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

fn command(folder: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gossipd"));
    command.args(["start", "--json"]).env("FABRIC_CFG_PATH", folder).env("RUST_LOG", "error");
    command.envs(variables.iter().copied()).stdin(Stdio::null());
    command
}

/// A peer's process, killed if the test fails.
struct Running {
    child: Child,
    notices: mpsc::Receiver<Value>,
    /// What was received so far, for a failure to show.
    seen: Vec<Value>,
}

impl Running {
    fn start(folder: &Path, variables: &[(&str, &str)]) -> Self {
        let mut command = command(folder, variables);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("gossipd runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (sender, notices) = mpsc::channel();
        thread::spawn(move || {
            for line in lines {
                let line = line.expect("text");
                let notice = serde_json::from_str(&line).expect("JSON");
                if sender.send(notice).is_err() {
                    break;
                }
            }
        });
        Self { child, notices, seen: Vec::new() }
    }

    /// Waits until something happens.
    fn wait_for(&mut self, notice: &str) -> Value {
        self.wait_until(notice, |found| found["notice"] == notice)
    }

    /// Waits until something happens that fits; `what` is what a failure calls it.
    fn wait_until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.notices.recv_timeout(left) {
                Ok(notice) => {
                    self.seen.push(notice.clone());
                    if fits(&notice) {
                        return notice;
                    }
                }
                Err(error) => {
                    let seen = self.seen.iter().map(|notice| format!("\n  {notice}"));
                    let seen = seen.collect::<String>();
                    panic!("no {what} within {WAIT_MAX:?} ({error}), only:{seen}");
                }
            }
        }
    }

    /// Sends a signal, and returns the exit status.
    fn end(mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), signal).expect("it still runs");
        self.child.wait().expect("an end").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An organisation with its authorities, and a folder for its peers.
struct Organisation {
    folder: PathBuf,
    identities: CertifiedIssuer<'static, KeyPair>,
    tls: CertifiedIssuer<'static, KeyPair>,
}

impl Organisation {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gossipd-start-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        Self { folder, identities: authority("ca.org1"), tls: authority("tlsca.org1") }
    }

    /// Lays out what a peer needs, and returns the folder with its `core.yaml`.
    fn peer(&self, name: &str, port: u16, bootstrap: u16) -> PathBuf {
        let folder = self.folder.join(name);
        let write = |file: &str, text: &str| {
            let file = folder.join(file);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(file, text).expect("a file");
        };
        write("msp/cacerts/ca.pem", &self.identities.pem());
        let (certificate, key) = self.member(name);
        write("msp/signcerts/cert.pem", &certificate);
        write("msp/keystore/key.pem", &key);
        let (certificate, key) = self.server(name);
        write("tls/server.crt", &certificate);
        write("tls/server.key", &key);
        write("tls/ca.crt", &self.tls.pem());
        write(
            "core.yaml",
            &format!(
                "peer:\n\
                 \x20 id: {name}\n\
                 \x20 localMspId: Org1MSP\n\
                 \x20 mspConfigPath: msp\n\
                 \x20 address: 127.0.0.1:{port}\n\
                 \x20 listenAddress: 127.0.0.1:{port}\n\
                 \x20 fileSystemPath: data\n\
                 \x20 tls:\n\
                 \x20   enabled: true\n\
                 \x20   cert: {{file: tls/server.crt}}\n\
                 \x20   key: {{file: tls/server.key}}\n\
                 \x20   rootcert: {{file: tls/ca.crt}}\n\
                 \x20   clientAuthRequired: true\n\
                 \x20 gossip:\n\
                 \x20   bootstrap: 127.0.0.1:{bootstrap}\n\
                 \x20   reconnectInterval: 1s\n"
            ),
        );
        folder
    }

    fn member(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = params(&format!("{name}.org1"));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.identities).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    fn server(&self, name: &str) -> (String, String) {
        issued(name, &self.tls)
    }
}

/// Makes a certificate for TLS on this machine, and its key.
fn issued(name: &str, authority: &CertifiedIssuer<'static, KeyPair>) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = params(&format!("{name}.org1"));
    params.subject_alt_names = vec![SanType::IpAddress(Ipv4Addr::LOCALHOST.into())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

impl Drop for Organisation {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("an authority")
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Finds two ports that nobody listens on, below those that the system gives to whoever dials or
/// asks for any.
fn free_ports() -> [u16; 2] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id() % 1000 * 10;
    let port = || loop {
        let offset = (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        let port = 20_000 + u16::try_from(offset).expect("less than 10000");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    };
    [port(), port()]
}

/// How long anything may take; it takes a tenth of a second on a machine that does nothing else.
const WAIT_MAX: Duration = Duration::from_secs(30);
