//! MSP folders, laid out as Fabric's tools write them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use bytes::Bytes;
use serde::Deserialize;

use crate::error::ConfigError;
use crate::msp::{Msp, MspConfig, NodeOus, OuIdentifier, Source};
use crate::signing::SigningIdentity;

impl Msp {
    /// Reads the rules of an organisation from an MSP folder.
    ///
    /// Uses `cacerts` (at least one file), `intermediatecerts`, `admincerts`, `crls`, `tlscacerts`,
    /// `tlsintermediatecerts` and `config.yaml`, of which only the first must exist.
    ///
    /// # Errors
    ///
    /// Names the file and what was expected of it.
    pub fn from_folder(folder: impl AsRef<Path>, mspid: &str) -> Result<Self, ConfigError> {
        Self::new(&MspConfig::from_folder(folder, mspid)?)
    }
}

impl MspConfig {
    /// Reads an MSP folder without judging what the files hold.
    ///
    /// # Errors
    ///
    /// Names the file that cannot be read, is too large or is not the YAML expected.
    pub fn from_folder(folder: impl AsRef<Path>, mspid: &str) -> Result<Self, ConfigError> {
        let folder = folder.as_ref();
        let mut config = Self {
            id: mspid.to_owned(),
            root_certs: read_all(&folder.join("cacerts"))?,
            intermediate_certs: read_all(&folder.join("intermediatecerts"))?,
            admins: read_all(&folder.join("admincerts"))?,
            revocation_lists: read_all(&folder.join("crls"))?,
            tls_root_certs: read_all(&folder.join("tlscacerts"))?,
            tls_intermediate_certs: read_all(&folder.join("tlsintermediatecerts"))?,
            ..Self::default()
        };
        if config.root_certs.is_empty() {
            let what = "the certificate of a root authority";
            return Err(expected_file(&folder.join("cacerts"), what));
        }
        let file = folder.join("config.yaml");
        if file.exists() {
            let text = read(&file)?;
            let read_named = |path: &str| read_source(&folder.join(path));
            config.set_units(&file.display().to_string(), &text, read_named)?;
        }
        Ok(config)
    }

    /// Takes units from the text of a `config.yaml`, which errors call `name`.
    ///
    /// Each certificate that the text names, by its path below the MSP folder, is got from `read`.
    ///
    /// # Errors
    ///
    /// Says where the text is not the YAML expected, or as `read`; nothing is changed then.
    pub fn set_units(
        &mut self,
        name: &str,
        text: &[u8],
        read: impl Fn(&str) -> Result<Source, ConfigError>,
    ) -> Result<(), ConfigError> {
        let fail = |problem: String| ConfigError::new(name, problem);
        let text = str::from_utf8(text).map_err(|error| fail(error.to_string()))?;
        let file: ConfigFile = serde_saphyr::from_str(text)
            .map_err(|error| fail(format!("not the YAML expected: {error}")))?;
        let unit = |entry: &OuEntry| entry.unit(name, &read);
        let listed = file.organizational_unit_identifiers.iter().map(unit);
        let listed = listed.collect::<Result<_, _>>()?;
        let role = |entry: &Option<OuEntry>| entry.as_ref().map(unit).transpose();
        let node_ous = match file.node_ous.filter(|ous| ous.enable) {
            None => None,
            Some(ous) => Some(NodeOus {
                client: role(&ous.client)?,
                peer: role(&ous.peer)?,
                admin: role(&ous.admin)?,
                orderer: role(&ous.orderer)?,
            }),
        };
        (self.ou_identifiers, self.node_ous) = (listed, node_ous);
        Ok(())
    }
}

impl SigningIdentity {
    /// Reads the local identity from an MSP folder: the first file of `signcerts` and, of the
    /// files in `keystore`, the private key that belongs to it.
    ///
    /// # Errors
    ///
    /// Names the file and what was expected of it.
    pub fn from_folder(folder: impl AsRef<Path>, mspid: &str) -> Result<Self, ConfigError> {
        let (signcerts, keystore) =
            (folder.as_ref().join("signcerts"), folder.as_ref().join("keystore"));
        let certificates = read_all(&signcerts)?;
        let Some(certificate) = certificates.first() else {
            return Err(expected_file(&signcerts, "the node's certificate"));
        };
        let mut error = expected_file(&keystore, "the private key of the certificate");
        for key in read_all(&keystore)? {
            match Self::new(mspid, certificate, &key) {
                Ok(identity) => return Ok(identity),
                Err(unfit) => error = unfit,
            }
        }
        Err(error)
    }
}

/// `config.yaml`, with the names that Fabric uses.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ConfigFile {
    organizational_unit_identifiers: Vec<OuEntry>,
    #[serde(rename = "NodeOUs")]
    node_ous: Option<NodeOusEntry>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct OuEntry {
    certificate: Option<String>,
    organizational_unit_identifier: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeOusEntry {
    #[serde(rename = "Enable")]
    enable: bool,
    #[serde(rename = "ClientOUIdentifier")]
    client: Option<OuEntry>,
    #[serde(rename = "PeerOUIdentifier")]
    peer: Option<OuEntry>,
    #[serde(rename = "AdminOUIdentifier")]
    admin: Option<OuEntry>,
    #[serde(rename = "OrdererOUIdentifier")]
    orderer: Option<OuEntry>,
}

impl OuEntry {
    fn unit(
        &self,
        file: &str,
        read: impl Fn(&str) -> Result<Source, ConfigError>,
    ) -> Result<OuIdentifier, ConfigError> {
        let unit = self.organizational_unit_identifier.clone();
        if unit.is_empty() {
            return Err(ConfigError::new(file, "a unit without OrganizationalUnitIdentifier"));
        }
        let named = self.certificate.as_deref().filter(|path| !path.is_empty());
        Ok(OuIdentifier { unit, certificate: named.map(read).transpose()? })
    }
}

/// Reads the files of a folder in the order of their names; a missing folder is empty.
fn read_all(folder: &Path) -> Result<Vec<Source>, ConfigError> {
    let fail = |error| ConfigError::new(folder.display().to_string(), error);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fail)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(fail)?.path();
        // Kubernetes mounts hold their data in hidden folders beside links to the files.
        let is_hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        if path.is_file() && !is_hidden {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| read_source(path)).collect()
}

fn read_source(path: &Path) -> Result<Source, ConfigError> {
    Ok(Source::new(path.display().to_string(), read(path)?))
}

fn read(path: &Path) -> Result<Bytes, ConfigError> {
    let fail = |problem: String| ConfigError::new(path.display().to_string(), problem);
    let length = fs::metadata(path).map_err(|error| fail(error.to_string()))?.len();
    if length > FILE_LEN_MAX {
        return Err(fail(format!("{length} bytes, expected at most {FILE_LEN_MAX}")));
    }
    fs::read(path).map(Bytes::from).map_err(|error| fail(error.to_string()))
}

fn expected_file(folder: &Path, what: &str) -> ConfigError {
    ConfigError::new(folder.display().to_string(), format!("no file, expected {what}"))
}

/// Larger than any sensible revocation list, in bytes.
const FILE_LEN_MAX: u64 = 16 << 20;
