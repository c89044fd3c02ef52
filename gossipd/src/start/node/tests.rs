use std::{fs, path::PathBuf, time::Duration};

use gossip_msp::Source;
use rcgen::{CertificateParams, KeyPair};

use super::*;

fn signer() -> SigningIdentity {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::default().self_signed(&key).expect("a certificate");
    let certificate = Source::new("certificate", certificate.pem());
    let key = Source::new("key", key.serialize_pem());
    SigningIdentity::new("Org1MSP", &certificate, &key).expect("an identity")
}

fn settings(variables: &[(&str, &str)]) -> Settings {
    let file = temporary();
    fs::write(&file, "peer: {address: 'peer0:7051', listenAddress: '0.0.0.0:7051'}")
        .expect("a file");
    let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
    let settings = Settings::load(&file, variables.iter().map(owned)).expect("settings");
    let _ = fs::remove_file(&file);
    settings
}

fn temporary() -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("gossipd-node-{}-{number}.yaml", std::process::id()))
}

fn made(variables: &[(&str, &str)]) -> Result<Config, String> {
    config(&settings(variables), &signer()).map_err(|error| error.to_string())
}

#[test]
fn without_settings_a_node_has_the_defaults_of_the_core() {
    let config = made(&[]).expect("a configuration");
    let identity = (config.identity.clone(), config.pki_id, config.org.clone());
    let mut expected = Config::new(identity.0, identity.1, identity.2, "peer0:7051".into());
    // Fabric's own, where the key is absent.
    expected.limits.frames_in_flight_max = 20;
    expected.limits.gossip_frames_max = 20;
    assert_eq!(format!("{config:?}"), format!("{expected:?}"));
    let options = grpc_options(&settings(&[]), &config);
    assert_eq!(options, GrpcOptions::of(&expected));
}

/// M-9.
#[test]
fn expiry_and_reconnecting_follow_from_the_pace_of_proofs_of_life() {
    let times = |variables: &[_]| {
        let config = made(variables).expect("a configuration");
        (config.alive_expiration_timeout, config.reconnect_interval)
    };
    let pace = ("CORE_PEER_GOSSIP_ALIVETIMEINTERVAL", "2s");
    let expiry = ("CORE_PEER_GOSSIP_ALIVEEXPIRATIONTIMEOUT", "7s");
    let secs = Duration::from_secs;
    assert_eq!(times(&[pace]), (secs(10), secs(10)));
    assert_eq!(times(&[pace, expiry]), (secs(7), secs(7)));
    let reconnect = ("CORE_PEER_GOSSIP_RECONNECTINTERVAL", "9s");
    assert_eq!(times(&[pace, expiry, reconnect]), (secs(7), secs(9)));
}

/// SV-3
#[test]
fn the_gossip_endpoint_replaces_the_peers_address() {
    let endpoints =
        |variables: &[_]| made(variables).map(|config| (config.endpoint, config.external_endpoint));
    let own = ("CORE_PEER_GOSSIP_ENDPOINT", "inside:1");
    let external = ("CORE_PEER_GOSSIP_EXTERNALENDPOINT", "outside:2");
    let expected = ("inside:1".into(), Some("outside:2".into()));
    assert_eq!(endpoints(&[own, external]), Ok(expected));
    let no_port = ("CORE_PEER_GOSSIP_ENDPOINT", "inside");
    let expected = "CORE_PEER_GOSSIP_ENDPOINT: expected host:port, found \"inside\"";
    assert_eq!(endpoints(&[no_port]), Err(expected.to_owned()));
}

/// 95-service.md §2.1: so that others can dial it.
#[test]
fn an_address_without_a_host_gets_one_of_this_machine() {
    let detect = ("CORE_PEER_ADDRESSAUTODETECT", "true");
    let any = ("CORE_PEER_ADDRESS", "0.0.0.0:7051");
    for variables in [&[any][..], &[detect], &[any, detect]] {
        match (made(variables), local_ipv4()) {
            (Ok(config), Some(ip)) => assert_eq!(config.endpoint, format!("{ip}:7051").into()),
            (Err(error), None) => assert!(error.contains("expected a host"), "{error}"),
            (made, ip) => panic!("{made:?} on {ip:?}"),
        }
    }
    let named = ("CORE_PEER_GOSSIP_ENDPOINT", "inside:1");
    let config = made(&[detect, named]).expect("detection is not needed");
    assert_eq!(config.endpoint, "inside:1".into());
}

#[test]
fn what_is_no_endpoint_is_named() {
    for variable in
        ["CORE_PEER_ADDRESS", "CORE_PEER_GOSSIP_EXTERNALENDPOINT", "CORE_PEER_GOSSIP_BOOTSTRAP"]
    {
        let error = made(&[(variable, "nowhere")]).expect_err(variable);
        assert_eq!(error, format!("{variable}: expected host:port, found \"nowhere\""));
    }
    let none = settings(&[("CORE_PEER_LISTENADDRESS", "")]);
    let error = listen_address(&none).expect_err("no address").to_string();
    assert!(error.starts_with("CORE_PEER_LISTENADDRESS: expected host:port"), "{error}");
}

#[test]
fn a_number_that_no_node_can_have_is_named() {
    let error = made(&[("CORE_PEER_GOSSIP_PULLPEERNUM", "4294967296")]).expect_err("too many");
    assert_eq!(error, "CORE_PEER_GOSSIP_PULLPEERNUM: expected at most 4294967295");
}

#[test]
fn what_the_transport_is_told_holds_one_way_or_the_other() {
    let variables = [
        ("CORE_PEER_MAXRECVMSGSIZE", "1000000"),
        ("CORE_PEER_MAXSENDMSGSIZE", "2000000"),
        ("CORE_PEER_KEEPALIVE_CLIENT_INTERVAL", "70s"),
        ("CORE_PEER_KEEPALIVE_CLIENT_TIMEOUT", "30s"),
        ("CORE_PEER_KEEPALIVE_TIMEOUT", "10s"),
        ("CORE_PEER_KEEPALIVE_INTERVAL", ""),
        ("CORE_PEER_CONNECTIONTIMEOUT", "9s"),
    ];
    let config = made(&variables).expect("a configuration");
    let limits = &config.limits;
    assert_eq!((limits.frame_bytes_max, limits.sent_frame_bytes_max), (1_000_000, 2_000_000));
    let options = grpc_options(&settings(&variables), &config);
    let sizes = (options.message_bytes_max, options.sent_message_bytes_max);
    assert_eq!(sizes, (1_000_000, 2_000_000));
    assert_eq!(options.client_keep_alive_interval, Duration::from_secs(70));
    assert_eq!(options.client_keep_alive_timeout, Duration::from_secs(30));
    assert_eq!(options.server_keep_alive_timeout, Duration::from_secs(10));
    assert_eq!(options.accept_timeout, Duration::from_secs(9));
    assert_eq!(options.server_keep_alive_interval, Duration::from_secs(7200));
}
