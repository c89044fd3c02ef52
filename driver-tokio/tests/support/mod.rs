//! Certificates, servers and clients for tests over real sockets.

#![expect(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod raw;
pub(crate) mod toy;

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use gossip_core::{DialPurpose, Endpoint};
use gossip_tokio::{
    grpc::{GossipService, GrpcOptions, GrpcTransport, Listener},
    tls::{KeyPair, Roots, TlsConfig},
    transport::{
        Accepted, Connection, Counters, Dialled, Incoming, StreamError, Transport, acceptor,
    },
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_stream::StreamExt;

/// A certificate authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, rcgen::KeyPair>,
}

/// A certificate and its key, in every form.
pub(crate) struct Issued {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
    pub(crate) pem: String,
    pub(crate) key_pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = rcgen::KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    pub(crate) fn issue(&self, host: &str) -> Issued {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, host);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            der: certificate.der().clone(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    pub(crate) fn roots(&self) -> Roots {
        Roots::from_pem("test roots", self.issuer.pem().as_bytes()).unwrap()
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }
}

impl Issued {
    pub(crate) fn pair(&self) -> KeyPair {
        KeyPair::from_pem("test pair", self.pem.as_bytes(), self.key_pem.as_bytes()).unwrap()
    }
}

/// TLS for a peer on loopback, with a certificate of this authority, which it also trusts.
pub(crate) fn loopback(authority: &Authority) -> TlsConfig {
    TlsConfig::new(&authority.issue("127.0.0.1").pair(), &authority.roots()).unwrap()
}

/// A listening transport without a node behind it.
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) accepted: Accepted,
    pub(crate) counters: Arc<Counters>,
}

impl Server {
    pub(crate) async fn start(tls: Option<TlsConfig>) -> Self {
        Self::with_options(tls, GrpcOptions::default()).await
    }

    pub(crate) async fn with_options(tls: Option<TlsConfig>, options: GrpcOptions) -> Self {
        let counters = Arc::<Counters>::default();
        let (acceptor, accepted) = acceptor();
        let life = acceptor.lifeline();
        let service = GossipService::new(acceptor, &options);
        let listener =
            Listener::bind("127.0.0.1:0", tls, options, Arc::clone(&counters)).await.unwrap();
        let addr = listener.local_addr();
        tokio::spawn(listener.serve(service, life));
        Self { addr, accepted, counters }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from(self.addr.to_string())
    }

    pub(crate) async fn next(&mut self) -> Connection {
        self.accepted.recv().await.expect("the server runs")
    }
}

pub(crate) fn transport(tls: Option<TlsConfig>) -> GrpcTransport {
    GrpcTransport::new(tls, GrpcOptions::default(), Arc::default())
}

pub(crate) async fn dial(
    transport: &GrpcTransport,
    endpoint: Endpoint,
) -> Result<Connection, String> {
    match transport.dial(endpoint, DialPurpose::Stream).await? {
        Dialled::Stream(connection) => Ok(connection),
        Dialled::Pinged => panic!("a stream was asked for"),
    }
}

/// Dials a server and returns both ends of the stream.
pub(crate) async fn connect(
    transport: &GrpcTransport,
    server: &mut Server,
) -> (Connection, Connection) {
    let mut dialled = dial(transport, server.endpoint()).await.unwrap();
    let accepted = tokio::select! {
        accepted = server.next() => accepted,
        frame = dialled.incoming.next() => panic!("{frame:?} before anything was sent"),
    };
    (dialled, accepted)
}

/// Sends back what arrives until the remote ends the stream, then ends it too.
pub(crate) async fn echo(mut connection: Connection) {
    while let Some(Ok(frame)) = connection.incoming.next().await {
        connection.writer.send(frame);
    }
    connection.writer.finish(None);
    connection.writer.finished().await;
}

pub(crate) async fn next_frame(incoming: &mut Incoming) -> Bytes {
    incoming.next().await.expect("the stream goes on").expect("the stream is well")
}

pub(crate) async fn stream_error(incoming: &mut Incoming) -> StreamError {
    incoming.next().await.expect("an error, not an end").expect_err("an error, not a frame")
}
