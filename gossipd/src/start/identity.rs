//! Who the peer is, and which certificates it shows.

use gossip_msp::{Msp, SigningIdentity};
use gossip_tokio::tls::{KeyPair, Roots, TlsConfig};

use super::Failure;
use crate::config::{ConfigError, Settings};

/// Reads the local MSP: the rules of the own organisation, and what signs for the peer.
///
/// # Errors
///
/// Names the setting or file, and what was expected of it.
pub(crate) fn local_msp(settings: &Settings) -> Result<(Msp, SigningIdentity), Box<Failure>> {
    if settings.text("peer.localMspType") != "bccsp" {
        return Err(settings.error("peer.localMspType", "expected bccsp, the X.509 kind").into());
    }
    let mspid = settings.text("peer.localMspId");
    if mspid.is_empty() {
        let problem = "expected the MSP id of the peer's organisation";
        return Err(settings.error("peer.localMspId", problem).into());
    }
    let Some(folder) = settings.path("peer.mspConfigPath") else {
        return Err(settings.error("peer.mspConfigPath", "expected an MSP folder").into());
    };
    let wrong = |error| settings.error("peer.mspConfigPath", error);
    let msp = Msp::from_folder(folder, mspid).map_err(wrong)?;
    let signer = SigningIdentity::from_folder(folder, mspid).map_err(wrong)?;
    Ok((msp, signer))
}

/// Reads what `peer.tls` says; `None` if TLS is off.
///
/// # Errors
///
/// Names the setting or file, and what was expected of it.
pub(crate) fn tls(settings: &Settings) -> Result<Option<TlsConfig>, Box<Failure>> {
    if !settings.bool("peer.tls.enabled") {
        return Ok(None);
    }
    let server = key_pair(settings, "peer.tls.cert.file", "peer.tls.key.file")?;
    let has_client = ["peer.tls.clientCert.file", "peer.tls.clientKey.file"]
        .into_iter()
        .any(|key| settings.path(key).is_some());
    let client = match has_client {
        true => key_pair(settings, "peer.tls.clientCert.file", "peer.tls.clientKey.file")?,
        false => server.clone(),
    };
    let roots = server_roots(settings)?;
    let tls = TlsConfig::with_client_pair(&server, &client, &roots)?;
    if !settings.bool("peer.tls.clientAuthRequired") {
        return Ok(Some(tls));
    }
    let authorities = match settings.paths("peer.tls.clientRootCAs.files") {
        [] => roots,
        files => {
            let error = |error| settings.error("peer.tls.clientRootCAs.files", error);
            roots.and(&Roots::from_files(files).map_err(error)?)
        }
    };
    Ok(Some(tls.require_client_auth(&authorities)?))
}

fn server_roots(settings: &Settings) -> Result<Roots, ConfigError> {
    let key = "peer.tls.rootcert.file";
    let Some(file) = settings.path(key) else {
        let problem = "expected the file of the authorities that vouch for TLS certificates";
        return Err(settings.error(key, problem));
    };
    Roots::from_files([file]).map_err(|error| settings.error(key, error))
}

fn key_pair(settings: &Settings, certificate: &str, key: &str) -> Result<KeyPair, ConfigError> {
    let file =
        |key: &str| settings.path(key).ok_or_else(|| settings.error(key, "expected a file in PEM"));
    KeyPair::from_files(file(certificate)?, file(key)?)
        .map_err(|error| settings.error(certificate, error))
}
