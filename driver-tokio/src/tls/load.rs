//! Certificates and keys from PEM files.

use std::{fmt, fs, path::Path};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::{KeyPair, Roots};

impl KeyPair {
    /// Takes a chain in PEM, leaf first, and its key in PEM.
    ///
    /// `name` is what errors call the pair.
    ///
    /// # Errors
    ///
    /// If either is not what it should be, or the key is not that of the leaf certificate.
    pub fn from_pem(name: &str, chain: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        Self::from_der(name, certificates(name, chain)?, private_key(name, key)?)
    }

    /// Reads a chain and its key from PEM files.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, is not what it should be, or the two do not belong together.
    pub fn from_files(chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, TlsError> {
        let (chain_name, chain) = read(chain.as_ref(), "a certificate in PEM")?;
        let (key_name, key) = read(key.as_ref(), "a private key in PEM")?;
        let (chain, key) = (certificates(&chain_name, &chain)?, private_key(&key_name, &key)?);
        Self::from_der(&format!("{chain_name} with {key_name}"), chain, key)
    }
}

impl Roots {
    /// Takes any number of certificates in PEM; `name` is what errors call them.
    ///
    /// # Errors
    ///
    /// If there is none, or one is not a certificate.
    pub fn from_pem(name: &str, pem: &[u8]) -> Result<Self, TlsError> {
        Self::from_der(name, certificates(name, pem)?)
    }

    /// Reads certificates from PEM files.
    ///
    /// # Errors
    ///
    /// If a file cannot be read or holds no certificate.
    pub fn from_files(files: impl IntoIterator<Item = impl AsRef<Path>>) -> Result<Self, TlsError> {
        let (mut names, mut all) = (Vec::new(), Vec::new());
        for file in files {
            let (name, pem) = read(file.as_ref(), "certificates in PEM")?;
            all.extend(certificates(&name, &pem)?);
            names.push(name);
        }
        Self::from_der(&names.join(", "), all)
    }
}

/// Certificates or keys that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsError {
    what: String,
    expected: &'static str,
    found: String,
}

impl TlsError {
    pub(super) fn new(what: &str, expected: &'static str, found: impl fmt::Display) -> Self {
        Self { what: what.to_owned(), expected, found: found.to_string() }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, expected, found } = self;
        write!(f, "{what}: expected {expected}: {found}")
    }
}

impl std::error::Error for TlsError {}

fn read(path: &Path, expected: &'static str) -> Result<(String, Vec<u8>), TlsError> {
    let name = path.display().to_string();
    match fs::read(path) {
        Ok(bytes) => Ok((name, bytes)),
        Err(error) => Err(TlsError::new(&name, expected, error)),
    }
}

fn certificates(name: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let expected = "one certificate or more in PEM (-----BEGIN CERTIFICATE-----)";
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::new(name, expected, error))?;
    match certificates.is_empty() {
        true => Err(TlsError::new(name, expected, "found none")),
        false => Ok(certificates),
    }
}

fn private_key(name: &str, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    let expected = "a private key in PEM (-----BEGIN PRIVATE KEY-----)";
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| TlsError::new(name, expected, error))
}
