//! Which certificates a peer shows in TLS, and whose it believes.

use gossip_tokio::tls::{KeyPair, Roots, TlsConfig, TlsError};

use super::{Failure, channel::Channel};
use crate::config::{ConfigError, Settings};

/// What `peer.tls` and the channels of a peer say.
#[derive(Debug)]
pub(crate) struct Tls {
    config: TlsConfig,
    files: Files,
    /// Whose authorities are believed, besides those in the files (S3.2.a, S3.2.b).
    channels: Vec<Channel>,
}

impl Tls {
    /// Reads what `peer.tls` says; `None` if TLS is off.
    ///
    /// # Errors
    ///
    /// Names the setting or file, and what was expected of it.
    pub(crate) fn new(
        settings: &Settings,
        channels: Vec<Channel>,
    ) -> Result<Option<Self>, Box<Failure>> {
        if !settings.bool("peer.tls.enabled") {
            return Ok(None);
        }
        let files = Files::read(settings)?;
        let config = usable(settings, files.config(&channels)?)?;
        Ok(Some(Self { config, files, channels }))
    }

    /// Returns what TLS goes by, which changes with this.
    pub(crate) fn config(&self) -> TlsConfig {
        self.config.clone()
    }

    /// Goes by these channels from the next connection on.
    ///
    /// # Errors
    ///
    /// Names the channel whose authorities cannot be used; all is as before then.
    pub(crate) fn learn(&mut self, channels: &[Channel]) -> Result<(), TlsError> {
        if let Some(config) = self.files.config(channels)? {
            self.config.replace(&config);
        }
        self.channels = channels.to_vec();
        Ok(())
    }

    /// Reads the files anew, and goes by them from the next connection on.
    ///
    /// # Errors
    ///
    /// Names the setting or file, and what was expected of it; all is as before then.
    pub(crate) fn renew(&mut self, settings: &Settings) -> Result<(), Box<Failure>> {
        let files = Files::read(settings)?;
        self.config.replace(&usable(settings, files.config(&self.channels)?)?);
        self.files = files;
        Ok(())
    }
}

/// What is in the files that `peer.tls` names.
#[derive(Debug)]
struct Files {
    server: KeyPair,
    client: KeyPair,
    authorities: Option<Roots>,
    /// Whether clients must be known, and to whom if not to the authorities of servers.
    clients: Option<Option<Roots>>,
}

impl Files {
    fn read(settings: &Settings) -> Result<Self, ConfigError> {
        let server = key_pair(settings, "peer.tls.cert.file", "peer.tls.key.file")?;
        let (certificate, key) = ("peer.tls.clientCert.file", "peer.tls.clientKey.file");
        let has_client = [certificate, key].into_iter().any(|key| settings.path(key).is_some());
        let client = match has_client {
            true => key_pair(settings, certificate, key)?,
            false => server.clone(),
        };
        let key = AUTHORITIES;
        let authorities = settings.path(key).map(|file| Roots::from_files([file])).transpose();
        let authorities = authorities.map_err(|error| settings.error(key, error))?;
        let key = "peer.tls.clientRootCAs.files";
        let clients = match (settings.bool("peer.tls.clientAuthRequired"), settings.paths(key)) {
            (false, _) => None,
            (true, []) => Some(None),
            (true, files) => {
                let roots = Roots::from_files(files);
                Some(Some(roots.map_err(|error| settings.error(key, error))?))
            }
        };
        Ok(Self { server, client, authorities, clients })
    }

    /// Adds the authorities of channels; `None` if there are none at all.
    fn config(&self, channels: &[Channel]) -> Result<Option<TlsConfig>, TlsError> {
        let mut authorities = self.authorities.clone();
        for channel in channels {
            let name = format!("TLS authorities of channel {}", channel.config.channel());
            let members = channel.config.members().iter();
            for pem in members.flat_map(|organisation| &organisation.tls_authorities) {
                join(&mut authorities, &Roots::from_pem(&name, pem)?);
            }
        }
        let Some(authorities) = authorities else {
            return Ok(None);
        };
        let config = TlsConfig::with_client_pair(&self.server, &self.client, &authorities)?;
        let config = match &self.clients {
            None => config,
            Some(None) => config.require_client_auth(&authorities)?,
            Some(Some(clients)) => config.require_client_auth(&authorities.and(clients))?,
        };
        Ok(Some(config))
    }
}

fn join(all: &mut Option<Roots>, more: &Roots) {
    *all = Some(all.as_ref().map_or_else(|| more.clone(), |all| all.and(more)));
}

fn usable(settings: &Settings, config: Option<TlsConfig>) -> Result<TlsConfig, ConfigError> {
    let problem = "expected the file of the authorities that vouch for TLS certificates";
    config.ok_or_else(|| settings.error(AUTHORITIES, problem))
}

fn key_pair(settings: &Settings, certificate: &str, key: &str) -> Result<KeyPair, ConfigError> {
    let file =
        |key: &str| settings.path(key).ok_or_else(|| settings.error(key, "expected a file in PEM"));
    KeyPair::from_files(file(certificate)?, file(key)?)
        .map_err(|error| settings.error(certificate, error))
}

const AUTHORITIES: &str = "peer.tls.rootcert.file";
