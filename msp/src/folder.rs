//! MSP folders, laid out as Fabric's tools write them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use bytes::Bytes;
use serde::Deserialize;

use crate::error::ConfigError;
use crate::msp::{Msp, MspConfig, MspLevel, NodeOus, OuIdentifier, Source};
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
        let (ou_identifiers, node_ous) = read_units(folder)?;
        let config = Self {
            id: mspid.to_owned(),
            root_certs: read_all(&folder.join("cacerts"))?,
            intermediate_certs: read_all(&folder.join("intermediatecerts"))?,
            admins: read_all(&folder.join("admincerts"))?,
            revocation_lists: read_all(&folder.join("crls"))?,
            tls_root_certs: read_all(&folder.join("tlscacerts"))?,
            tls_intermediate_certs: read_all(&folder.join("tlsintermediatecerts"))?,
            level: MspLevel::default(),
            ou_identifiers,
            node_ous,
        };
        match config.root_certs.is_empty() {
            true => {
                Err(expected_file(&folder.join("cacerts"), "the certificate of a root authority"))
            }
            false => Ok(config),
        }
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

fn read_units(folder: &Path) -> Result<(Vec<OuIdentifier>, Option<NodeOus>), ConfigError> {
    let path = folder.join("config.yaml");
    let name = path.display().to_string();
    if !path.exists() {
        return Ok((Vec::new(), None));
    }
    let text = read(&path)?;
    let text = str::from_utf8(&text).map_err(|error| ConfigError::new(&name, error))?;
    let file: ConfigFile = serde_saphyr::from_str(text)
        .map_err(|error| ConfigError::new(&name, format!("not the YAML expected: {error}")))?;
    let read_one = |entry: &OuEntry| read_unit(folder, &name, entry);
    let listed = file.organizational_unit_identifiers.iter().map(read_one);
    let roles = match file.node_ous.filter(|ous| ous.enable) {
        None => None,
        Some(ous) => Some(NodeOus {
            client: ous.client.as_ref().map(read_one).transpose()?,
            peer: ous.peer.as_ref().map(read_one).transpose()?,
            admin: ous.admin.as_ref().map(read_one).transpose()?,
            orderer: ous.orderer.as_ref().map(read_one).transpose()?,
        }),
    };
    Ok((listed.collect::<Result<_, _>>()?, roles))
}

fn read_unit(folder: &Path, file: &str, entry: &OuEntry) -> Result<OuIdentifier, ConfigError> {
    let unit = entry.organizational_unit_identifier.clone();
    if unit.is_empty() {
        return Err(ConfigError::new(file, "a unit without OrganizationalUnitIdentifier"));
    }
    let named = entry.certificate.as_deref().filter(|path| !path.is_empty());
    let certificate = named.map(|path| read_source(&folder.join(path))).transpose()?;
    Ok(OuIdentifier { unit, certificate })
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
