//! Who the peer is, and which certificates it shows.

use gossip_msp::{Msp, SigningIdentity};
use gossip_tokio::tls::{KeyPair, Roots, TlsConfig, TlsError};

use super::{Failure, channel::Channel};
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

/// Reads what `peer.tls` says, and joins the authorities of channels to those that it names.
/// Returns the latter, too; `None` if TLS is off.
///
/// # Errors
///
/// Names the setting or file, and what was expected of it.
pub(crate) fn tls<'a>(
    settings: &Settings,
    channels: impl IntoIterator<Item = &'a Channel>,
) -> Result<Option<(TlsConfig, Option<Roots>)>, Box<Failure>> {
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
    let key = "peer.tls.rootcert.file";
    let own = settings.path(key).map(|file| Roots::from_files([file])).transpose();
    let own = own.map_err(|error| settings.error(key, error))?;
    let Some(all) = roots(own.clone(), channels)? else {
        let problem = "expected the file of the authorities that vouch for TLS certificates";
        return Err(settings.error(key, problem).into());
    };
    let mut tls = TlsConfig::with_client_pair(&server, &client, &all)?;
    if settings.bool("peer.tls.clientAuthRequired") {
        let authorities = match settings.paths("peer.tls.clientRootCAs.files") {
            [] => all,
            files => {
                let error = |error| settings.error("peer.tls.clientRootCAs.files", error);
                all.and(&Roots::from_files(files).map_err(error)?)
            }
        };
        tls = tls.require_client_auth(&authorities)?;
    }
    Ok(Some((tls, own)))
}

/// Joins the authorities for TLS of channels to others; `None` if there are none at all (S3.2.a).
///
/// # Errors
///
/// Names the channel whose certificates cannot be used.
pub(crate) fn roots<'a>(
    own: Option<Roots>,
    channels: impl IntoIterator<Item = &'a Channel>,
) -> Result<Option<Roots>, TlsError> {
    let mut all = own;
    for channel in channels {
        let name = format!("TLS authorities of channel {}", channel.config.channel());
        let members = channel.config.members().iter();
        for pem in members.flat_map(|organisation| &organisation.tls_authorities) {
            let roots = Roots::from_pem(&name, pem)?;
            all = Some(all.map_or(roots.clone(), |all| all.and(&roots)));
        }
    }
    Ok(all)
}

fn key_pair(settings: &Settings, certificate: &str, key: &str) -> Result<KeyPair, ConfigError> {
    let file =
        |key: &str| settings.path(key).ok_or_else(|| settings.error(key, "expected a file in PEM"));
    KeyPair::from_files(file(certificate)?, file(key)?)
        .map_err(|error| settings.error(certificate, error))
}
