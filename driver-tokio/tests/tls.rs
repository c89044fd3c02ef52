//! What TLS shows, asks for and insists on.

mod support;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use gossip_core::DialPurpose;
use gossip_tokio::{
    tls::{TlsConfig, certificate_hash},
    transport::Transport,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SignatureScheme, SupportedProtocolVersion,
    client::ResolvesClientCert,
    crypto::aws_lc_rs::{self, sign::any_supported_type},
    pki_types::ServerName,
    server::WebPkiClientVerifier,
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

use crate::support::{Authority, Issued, Server, connect, loopback, next_frame, transport};

/// C-10.
#[tokio::test]
async fn both_sides_know_the_hashes_of_both_certificates() {
    let authority = Authority::new("ca");
    let issue = || authority.issue("127.0.0.1");
    let (server_cert, client_cert, dialler_server_cert) = (issue(), issue(), issue());
    let server_tls = TlsConfig::new(&server_cert.pair(), &authority.roots()).unwrap();
    let dialler_tls = TlsConfig::with_client_pair(
        &dialler_server_cert.pair(),
        &client_cert.pair(),
        &authority.roots(),
    );
    let mut server = Server::start(Some(server_tls)).await;
    let (here, there) = connect(&transport(Some(dialler_tls.unwrap())), &mut server).await;
    let (here, there) = (here.tls.unwrap(), there.tls.unwrap());
    let (client, server) = (certificate_hash(&client_cert.der), certificate_hash(&server_cert.der));
    assert_eq!((here.local, here.remote), (client, Some(server)));
    assert_eq!((there.local, there.remote), (server, Some(client)));
}

/// W-4.
#[tokio::test]
async fn h2_is_chosen_with_tls_1_2_and_with_1_3_and_nothing_else_is_spoken() {
    let authority = Authority::new("ca");
    let server = Server::start(Some(loopback(&authority))).await;
    for version in [&TLS12, &TLS13] {
        let client = Client::of(&authority).version(version);
        let stream = client.clone().alpn(&[b"http/1.1", b"h2"]).connect(server.addr).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let refused = client.alpn(&[b"http/1.1"]).connect(server.addr).await;
        assert!(refused.is_err(), "a client without HTTP/2 is refused");
    }
}

/// W-4.
#[tokio::test]
async fn a_server_that_chooses_no_protocol_is_left() {
    let authority = Authority::new("ca");
    let issued = authority.issue("127.0.0.1");
    let config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.der], issued.key)
        .unwrap();
    let error = dial_into(config, &authority).await;
    assert!(error.contains("no ALPN protocol h2"), "{error}");
}

#[tokio::test]
async fn a_certificate_is_shown_though_the_server_names_other_authorities() {
    let authority = Authority::new("ca");
    let mut others = RootCertStore::empty();
    others.add(Authority::new("another").der()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut known = RootCertStore::empty();
    known.add(authority.der()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(known), Arc::clone(&provider))
            .clear_root_hint_subjects()
            .add_root_hint_subjects(others.subjects())
            .build()
            .unwrap();
    let issued = authority.issue("127.0.0.1");
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![issued.der], issued.key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let dialler = transport(Some(loopback(&authority)));
    let dial = tokio::spawn(dialler.dial(addr.to_string().into(), DialPurpose::Ping));
    let (socket, _) = listener.accept().await.unwrap();
    let accepted = TlsAcceptor::from(Arc::new(config)).accept(socket).await.unwrap();
    assert!(accepted.get_ref().1.peer_certificates().is_some());
    dial.abort();
}

#[tokio::test]
async fn a_server_that_is_not_who_was_dialled_is_refused() {
    let authority = Authority::new("ca");
    let elsewhere = authority.issue("peer0.elsewhere.example");
    let tls = TlsConfig::new(&elsewhere.pair(), &authority.roots()).unwrap();
    let server = Server::start(Some(tls)).await;
    let error = ping(&transport(Some(loopback(&authority))), server.addr).await.unwrap_err();
    assert!(error.contains("TLS: ") && error.contains("not valid for name"), "{error}");

    let stranger = Server::start(Some(loopback(&Authority::new("another ca")))).await;
    let error = ping(&transport(Some(loopback(&authority))), stranger.addr).await.unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
}

#[tokio::test]
async fn certificates_can_be_replaced_between_two_connections() {
    let (before, after) = (Authority::new("before"), Authority::new("after"));
    let [server_tls, client_tls] = [loopback(&before), loopback(&before)];
    let mut server = Server::start(Some(server_tls.clone())).await;
    let dialler = transport(Some(client_tls.clone()));
    let (mut old, old_there) = connect(&dialler, &mut server).await;
    let renewed = after.issue("127.0.0.1");
    server_tls.replace(&TlsConfig::new(&renewed.pair(), &after.roots()).unwrap());
    ping(&dialler, server.addr).await.expect_err("the new authority is not trusted yet");
    client_tls.replace(&loopback(&after));
    let (new, there) = connect(&dialler, &mut server).await;
    let (new, there) = (new.tls.unwrap(), there.tls.unwrap());
    assert_eq!(new.remote, Some(certificate_hash(&renewed.der)));
    assert_eq!((there.local, there.remote), (certificate_hash(&renewed.der), Some(new.local)));
    assert_ne!(old.tls.as_ref().unwrap().local, new.local);
    old_there.writer.send(Bytes::from_static(b"still open"));
    assert_eq!(next_frame(&mut old.incoming).await, "still open");
}

/// W-43.
#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_taken_if_it_is_proven() {
    let authority = Authority::new("ca");
    let unknown = Authority::new("unknown").issue("client");
    let mut server = Server::start(Some(loopback(&authority))).await;
    for version in [&TLS12, &TLS13] {
        let stranger = Client::of(&authority).version(version).shows(&unknown, &unknown);
        assert!(stranger.served_by(server.addr).await, "{version:?}");
        let thief = Client::of(&authority)
            .version(version)
            .shows(&unknown, &Authority::new("unknown").issue("client"));
        assert!(!thief.served_by(server.addr).await, "a certificate without its key: {version:?}");
        let nobody = Client::of(&authority).version(version);
        assert!(nobody.served_by(server.addr).await, "gossip refuses it, not TLS: {version:?}");
    }
    let tls = TlsConfig::new(&unknown.pair(), &authority.roots()).unwrap();
    let (_here, there) = connect(&transport(Some(tls)), &mut server).await;
    assert_eq!(there.tls.unwrap().remote, Some(certificate_hash(&unknown.der)));
}

#[tokio::test]
async fn a_server_that_requires_known_clients_refuses_others() {
    let (authority, clients) = (Authority::new("ca"), Authority::new("clients"));
    let tls = loopback(&authority).require_client_auth(&clients.roots()).unwrap();
    let server = Server::start(Some(tls)).await;
    for version in [&TLS12, &TLS13] {
        let client = Client::of(&authority).version(version);
        let (known, unknown) = (clients.issue("client"), authority.issue("client"));
        assert!(client.clone().shows(&known, &known).served_by(server.addr).await);
        assert!(!client.clone().shows(&unknown, &unknown).served_by(server.addr).await);
        assert!(!client.served_by(server.addr).await);
    }
}

/// W-44.
#[tokio::test]
async fn clients_are_asked_for_a_certificate_of_any_authority() {
    let authority = Authority::new("ca");
    let lax = loopback(&authority);
    let strict = loopback(&authority).require_client_auth(&authority.roots()).unwrap();
    for tls in [lax, strict] {
        let server = Server::start(Some(tls)).await;
        for version in [&TLS12, &TLS13] {
            let issued = authority.issue("client");
            let client = Client::of(&authority).version(version).shows(&issued, &issued);
            let asked = Arc::clone(&client.asked);
            assert!(client.served_by(server.addr).await);
            assert_eq!(*asked.lock().unwrap(), [0], "{version:?}");
        }
    }
}

async fn ping(dialler: &gossip_tokio::grpc::GrpcTransport, addr: SocketAddr) -> Result<(), String> {
    dialler.dial(addr.to_string().into(), DialPurpose::Ping).await.map(drop)
}

/// Has our client dial a server with this set-up, and returns why it did not like it.
async fn dial_into(config: ServerConfig, authority: &Authority) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(socket).await.unwrap();
        let _ = stream.read(&mut [0; 64]).await;
    });
    ping(&transport(Some(loopback(authority))), addr).await.expect_err("refused")
}

/// A TLS client under the test's control.
#[derive(Clone)]
struct Client {
    trusted: Arc<RootCertStore>,
    version: &'static SupportedProtocolVersion,
    alpn: Vec<Vec<u8>>,
    shown: Option<Arc<CertifiedKey>>,
    /// How many authorities each request for a certificate named.
    asked: Arc<Mutex<Vec<usize>>>,
}

impl Client {
    fn of(authority: &Authority) -> Self {
        let mut trusted = RootCertStore::empty();
        trusted.add(authority.der()).unwrap();
        Self {
            trusted: Arc::new(trusted),
            version: &TLS13,
            alpn: vec![b"h2".to_vec()],
            shown: None,
            asked: Arc::default(),
        }
    }

    fn version(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.version = version;
        self
    }

    fn alpn(mut self, protocols: &[&[u8]]) -> Self {
        self.alpn = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        self
    }

    /// Shows a certificate and signs with a key, which need not belong together.
    fn shows(mut self, certificate: &Issued, key: &Issued) -> Self {
        let key = any_supported_type(&key.key).unwrap();
        self.shown = Some(Arc::new(CertifiedKey::new(vec![certificate.der.clone()], key)));
        self
    }

    async fn connect(self, addr: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let trusted = Arc::clone(&self.trusted);
        let alpn = self.alpn.clone();
        let mut config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_protocol_versions(&[self.version])
            .unwrap()
            .with_root_certificates(trusted)
            .with_client_cert_resolver(Arc::new(self));
        config.alpn_protocols = alpn;
        let name = ServerName::from(addr.ip());
        TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(addr).await?).await
    }

    /// Whether the server speaks HTTP/2 with this client: with TLS 1.3 a client learns only by
    /// reading that its certificate was refused.
    async fn served_by(self, addr: SocketAddr) -> bool {
        let Ok(mut stream) = self.connect(addr).await else { return false };
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
        let _ = stream.write_all(preface).await;
        matches!(stream.read(&mut [0; 1]).await, Ok(1))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl ResolvesClientCert for Client {
    fn resolve(
        &self,
        root_hint_subjects: &[&[u8]],
        _schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        self.asked.lock().unwrap().push(root_hint_subjects.len());
        self.shown.clone()
    }

    fn has_certs(&self) -> bool {
        true
    }
}
