//! Organisations, with certificates and folders as their operators have them.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};

/// An organisation with its authorities, and a folder for its peers.
pub(crate) struct Organisation {
    pub(crate) mspid: &'static str,
    pub(crate) folder: PathBuf,
    pub(crate) identities: CertifiedIssuer<'static, KeyPair>,
    pub(crate) tls: CertifiedIssuer<'static, KeyPair>,
}

impl Organisation {
    pub(crate) fn new() -> Self {
        Self::named("Org1MSP")
    }

    pub(crate) fn named(mspid: &'static str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gossipd-start-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let [identities, tls] = ["ca", "tlsca"].map(|kind| authority(&format!("{kind}.{mspid}")));
        Self { mspid, folder, identities, tls }
    }

    /// Lays out what a peer needs, and returns the folder with its `core.yaml`.
    pub(crate) fn peer(&self, name: &str, port: u16, bootstrap: u16) -> PathBuf {
        let folder = self.folder.join(name);
        let write = |file: &str, text: &str| {
            let file = folder.join(file);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(file, text).expect("a file");
        };
        write("msp/cacerts/ca.pem", &self.identities.pem());
        let (certificate, key) = member(name, &self.identities);
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
                 \x20 localMspId: {mspid}\n\
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
                 \x20   reconnectInterval: 1s\n",
                mspid = self.mspid
            ),
        );
        folder
    }

    pub(crate) fn server(&self, name: &str) -> (String, String) {
        issued(name, &self.tls)
    }
}

/// Makes a member's certificate, and its key.
pub(crate) fn member(name: &str, issuer: &CertifiedIssuer<'static, KeyPair>) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = params(&format!("{name}.org1"));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

/// Makes a certificate for TLS on this machine, and its key.
pub(crate) fn issued(
    name: &str,
    authority: &CertifiedIssuer<'static, KeyPair>,
) -> (String, String) {
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

pub(crate) fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("an authority")
}

pub(crate) fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// Finds two ports that nobody listens on, below those that the system gives to whoever dials or
/// asks for any.
pub(crate) fn free_ports() -> [u16; 2] {
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
