//! Certificates and keys of a peer, and what TLS makes of them.

mod load;
mod verifier;

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use gossip_core::TlsBinding;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::WebPkiServerVerifier,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};

use self::verifier::{AlwaysPresent, AnyClientCert};

pub use self::load::TlsError;

/// A certificate chain, leaf first, and the private key of its leaf.
#[derive(Clone)]
pub struct KeyPair {
    key: Arc<CertifiedKey>,
    hash: [u8; 32],
    /// What messages call it: file names, or what the caller said.
    name: String,
}

impl KeyPair {
    /// Takes a chain in DER and its key in PKCS #8, PKCS #1 or SEC 1 DER.
    ///
    /// `name` is what errors call the pair.
    ///
    /// # Errors
    ///
    /// If either is not what it should be, or the key is not that of the leaf certificate.
    pub fn from_der(
        name: &str,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        let Some(leaf) = chain.first() else {
            return Err(TlsError::new(name, "one certificate or more", "found none"));
        };
        let hash = certificate_hash(leaf);
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::new(
                name,
                "the private key of the certificate",
                "the key belongs to another certificate",
            ),
            error => TlsError::new(name, "a certificate and its private key", error),
        })?;
        Ok(Self { key: Arc::new(key), hash, name: name.to_owned() })
    }

    /// Returns the SHA-256 of the leaf certificate's DER: what handshakes are bound to.
    #[must_use]
    pub const fn hash(&self) -> [u8; 32] {
        self.hash
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Certificates of authorities that are trusted.
#[derive(Clone, Debug)]
pub struct Roots {
    store: Arc<RootCertStore>,
    name: String,
}

impl Roots {
    /// Takes certificates in DER; `name` is what errors call them.
    ///
    /// # Errors
    ///
    /// If there is none, or one is not a certificate.
    pub fn from_der(
        name: &str,
        certificates: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        for certificate in certificates {
            store
                .add(certificate)
                .map_err(|error| TlsError::new(name, "certificates of authorities", error))?;
        }
        if store.is_empty() {
            return Err(TlsError::new(name, "one certificate or more", "found none"));
        }
        Ok(Self { store: Arc::new(store), name: name.to_owned() })
    }

    /// Joins two sets.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut store = (*self.store).clone();
        store.extend(other.store.roots.iter().cloned());
        Self { store: Arc::new(store), name: format!("{}, {}", self.name, other.name) }
    }
}

/// How a peer uses TLS. Clones are cheap, and change together.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    current: Arc<RwLock<Sides>>,
}

/// What holds for connections that begin now.
#[derive(Clone, Debug)]
struct Sides {
    server: Side<ServerConfig>,
    client: Side<ClientConfig>,
}

/// How connections begin on one side, and the certificate that is shown there.
#[derive(Debug)]
pub(crate) struct Side<C> {
    pub(crate) config: Arc<C>,
    pair: KeyPair,
}

impl<C> Side<C> {
    /// Binds a connection that began like this to the certificates on it.
    pub(crate) fn bind(&self, remote: Option<&[CertificateDer<'_>]>) -> TlsBinding {
        TlsBinding {
            local: self.pair.hash(),
            remote: remote.and_then(|chain| chain.first()).map(certificate_hash),
        }
    }
}

impl<C> Clone for Side<C> {
    fn clone(&self) -> Self {
        Self { config: Arc::clone(&self.config), pair: self.pair.clone() }
    }
}

impl TlsConfig {
    /// Takes the peer's certificate and the authorities that vouch for other peers' servers.
    ///
    /// The certificate is shown when dialled and when dialling. Whoever dials is asked for a
    /// certificate, which may be anybody's but must be proven (W-43): gossip checks who it is.
    ///
    /// # Errors
    ///
    /// If the certificates cannot be used for TLS.
    pub fn new(key_pair: &KeyPair, roots: &Roots) -> Result<Self, TlsError> {
        Self::with_client_pair(key_pair, key_pair, roots)
    }

    /// As [`new`](Self::new), with another certificate to show when dialling:
    /// `peer.tls.clientCert`.
    ///
    /// # Errors
    ///
    /// If the certificates cannot be used for TLS.
    pub fn with_client_pair(
        server: &KeyPair,
        client: &KeyPair,
        roots: &Roots,
    ) -> Result<Self, TlsError> {
        let verifier = Arc::new(AnyClientCert::new(provider()));
        let server = Side { config: server_config(server, verifier)?, pair: server.clone() };
        let client = Side { config: client_config(client, roots)?, pair: client.clone() };
        Ok(Self { current: Arc::new(RwLock::new(Sides { server, client })) })
    }

    /// Serves only those with a certificate of these authorities: `peer.tls.clientAuthRequired`.
    ///
    /// # Errors
    ///
    /// If the certificates cannot be used for TLS.
    pub fn require_client_auth(self, authorities: &Roots) -> Result<Self, TlsError> {
        // Go clients keep their certificate to themselves if a list of names lacks theirs (W-44).
        let store = Arc::clone(&authorities.store);
        let verifier = WebPkiClientVerifier::builder_with_provider(store, provider())
            .clear_root_hint_subjects()
            .build()
            .map_err(|error| TlsError::new(&authorities.name, "authorities of clients", error))?;
        let mut sides = self.write();
        sides.server.config = server_config(&sides.server.pair, verifier)?;
        drop(sides);
        Ok(self)
    }

    /// Goes by the certificates and authorities of another from the next connection on, as all
    /// clones of this do (C3.1.c). Connections that are open keep theirs.
    pub fn replace(&self, by: &Self) {
        let sides = by.read().clone();
        *self.write() = sides;
    }

    pub(crate) fn server(&self) -> Side<ServerConfig> {
        self.read().server.clone()
    }

    pub(crate) fn client(&self) -> Side<ClientConfig> {
        self.read().client.clone()
    }

    fn read(&self) -> RwLockReadGuard<'_, Sides> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Sides> {
        self.current.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the SHA-256 of a certificate's DER (C5.a).
#[must_use]
pub fn certificate_hash(der: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(der).into()
}

fn server_config(
    key_pair: &KeyPair,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::new(&key_pair.name, "TLS 1.2 and 1.3", error))?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(AlwaysPresent::new(Arc::clone(&key_pair.key))));
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    // Every connection proves its certificates anew; there is nothing to resume.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

fn client_config(key_pair: &KeyPair, roots: &Roots) -> Result<Arc<ClientConfig>, TlsError> {
    let store = Arc::clone(&roots.store);
    let verifier = WebPkiServerVerifier::builder_with_provider(store, provider())
        .build()
        .map_err(|error| TlsError::new(&roots.name, "authorities of servers", error))?;
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::new(&key_pair.name, "TLS 1.2 and 1.3", error))?
        .with_webpki_verifier(verifier)
        .with_client_cert_resolver(Arc::new(AlwaysPresent::new(Arc::clone(&key_pair.key))));
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The protocol that is offered and must be chosen (W-4).
pub(crate) const ALPN_H2: &[u8] = b"h2";
