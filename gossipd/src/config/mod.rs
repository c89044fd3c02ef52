//! `core.yaml` and the environment, read as a Fabric peer reads them.

mod check;
mod keys;
mod value;
mod yaml;

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use self::{
    keys::{KEYS, Key},
    value::{Value, Written},
    yaml::Entry,
};

/// Finds the configuration file: the one that is named; or `core.yaml` in `FABRIC_CFG_PATH` and
/// nowhere else if that is set; or in the current folder or in `/etc/hyperledger/fabric`.
///
/// # Errors
///
/// Says where there is none.
pub(crate) fn find(
    named: Option<&Path>,
    fabric_cfg_path: Option<&OsStr>,
) -> Result<PathBuf, ConfigError> {
    if let Some(file) = named {
        return Ok(file.to_owned());
    }
    let folders = match fabric_cfg_path.filter(|folder| !folder.is_empty()) {
        Some(folder) => vec![PathBuf::from(folder)],
        None => vec![PathBuf::from("."), PathBuf::from(SYSTEM_FOLDER)],
    };
    let files: Vec<_> = folders.iter().map(|folder| folder.join(FILE_NAME)).collect();
    match files.iter().find(|file| file.is_file()) {
        Some(file) => Ok(file.clone()),
        None => {
            let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
            Err(ConfigError::one(format!(
                "expected a configuration file at {}: name one with --config, or its folder with \
                 FABRIC_CFG_PATH",
                names.join(" or ")
            )))
        }
    }
}

/// Returns the process's environment. What is not text becomes so, with marks for what was not.
pub(crate) fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

/// All settings of a peer.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    settings: BTreeMap<&'static str, Setting>,
    warnings: Vec<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Setting {
    value: Value,
    /// Where it is set, for people; `None` if nowhere.
    place: Option<String>,
}

impl Settings {
    /// Reads a file, and what the variables `CORE_…` of an environment override.
    ///
    /// # Errors
    ///
    /// Names all values that cannot be used and all unknown keys under `peer.gossip`, each with
    /// file and line or variable.
    pub(crate) fn load(
        file: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut entries = yaml::read(file).map_err(ConfigError::one)?;
        let variables = environment.into_iter().filter(|(name, _)| name.starts_with("CORE_"));
        let mut variables: BTreeMap<_, _> = variables.collect();
        let folder = file.parent().unwrap_or(Path::new(""));
        let (mut settings, mut problems) = (BTreeMap::new(), Vec::new());
        for key in KEYS {
            let entry = entries.remove(&key.name.to_lowercase());
            let entry = entry.and_then(|entry| from_file(file, entry));
            let found = match variables.remove(&key.variable()) {
                Some(text) => Some((key.variable(), Written::Text(text))),
                None => entry,
            };
            match read_setting(key, found, folder) {
                Ok(setting) => drop(settings.insert(key.name, setting)),
                Err(problem) => problems.push(problem),
            }
        }
        let mut warnings = Vec::new();
        for entry in entries.into_values().filter(|entry| entry.written.is_some()) {
            let (name, line) = (&entry.name, entry.line);
            let problem = format!("{}:{line}: {name}: no such key", file.display());
            match Family::of(name) {
                Family::Gossip => problems.push(problem),
                Family::Near => warnings.push(problem + "; ignored"),
                Family::Other => {}
            }
        }
        let is_near = |name: &&String| VARIABLES.iter().any(|start| name.starts_with(start));
        let variables = variables.keys().filter(is_near);
        warnings.extend(variables.map(|name| format!("{name}: no such key; ignored")));
        match problems.is_empty() {
            true => Ok(Self { settings, warnings }.with_derived()),
            false => Err(ConfigError { problems }),
        }
    }

    /// Lists what was ignored though somebody may have meant something by it.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Returns a switch.
    pub(crate) fn bool(&self, key: &str) -> bool {
        match self.value(key) {
            Value::Bool(value) => *value,
            other => unreachable!("{key} is {other:?}"),
        }
    }

    /// Returns a number.
    pub(crate) fn int(&self, key: &str) -> u64 {
        match self.value(key) {
            Value::Int(value) => *value,
            other => unreachable!("{key} is {other:?}"),
        }
    }

    /// Returns a duration.
    pub(crate) fn duration(&self, key: &str) -> Duration {
        match self.value(key) {
            Value::Duration(value) => *value,
            other => unreachable!("{key} is {other:?}"),
        }
    }

    /// Returns a text.
    pub(crate) fn text(&self, key: &str) -> &str {
        match self.value(key) {
            Value::Text(value) => value,
            other => unreachable!("{key} is {other:?}"),
        }
    }

    /// Returns a list of texts.
    pub(crate) fn list(&self, key: &str) -> &[String] {
        match self.value(key) {
            Value::List(value) => value,
            other => unreachable!("{key} is {other:?}"),
        }
    }

    /// Returns a path; `None` if it is empty.
    pub(crate) fn path(&self, key: &str) -> Option<&Path> {
        match self.value(key) {
            Value::Path(value) => Some(&**value).filter(|path| !path.as_os_str().is_empty()),
            other => unreachable!("{key} is {other:?}"),
        }
    }

    /// Returns paths, of which none is empty.
    pub(crate) fn paths(&self, key: &str) -> &[PathBuf] {
        match self.value(key) {
            Value::Paths(value) => value,
            other => unreachable!("{key} is {other:?}"),
        }
    }

    /// Returns the folder of all that a peer stores.
    pub(crate) fn file_system_path(&self) -> &Path {
        self.path("peer.fileSystemPath").unwrap_or(Path::new(FILE_SYSTEM_PATH))
    }

    /// Makes an error that names a key and where it is set.
    pub(crate) fn error(&self, key: &str, problem: impl fmt::Display) -> ConfigError {
        let place = self.settings.get(key).and_then(|setting| setting.place.as_deref());
        ConfigError::one(match place {
            Some(place) => format!("{place}: {problem}"),
            None => format!("{key}: {problem}"),
        })
    }

    /// Sets what follows from other settings, where it is not set.
    fn with_derived(mut self) -> Self {
        let mut time = self.duration("peer.gossip.aliveTimeInterval").saturating_mul(SILENCE);
        for key in ["peer.gossip.aliveExpirationTimeout", "peer.gossip.reconnectInterval"] {
            match self.duration(key) {
                Duration::ZERO => {
                    self.settings.get_mut(key).expect("a key of the table").value =
                        Value::Duration(time);
                }
                set => time = set,
            }
        }
        self
    }

    fn value(&self, key: &str) -> &Value {
        &self.settings.get(key).expect("a key of the table").value
    }
}

/// Writes all settings down, a line each (C1.5.c).
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (key, setting) in &self.settings {
            match &setting.value {
                Value::Any => continue,
                Value::Bool(value) => writeln!(f, "{key}: {value}")?,
                Value::Duration(value) => writeln!(f, "{key}: {value:?}")?,
                Value::Int(value) => writeln!(f, "{key}: {value}")?,
                Value::List(value) => writeln!(f, "{key}: {value:?}")?,
                Value::Path(value) => writeln!(f, "{key}: {value:?}")?,
                Value::Paths(value) => writeln!(f, "{key}: {value:?}")?,
                Value::Text(value) => writeln!(f, "{key}: {value:?}")?,
            }
        }
        Ok(())
    }
}

/// Settings that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ConfigError {
    problems: Vec<String>,
}

impl ConfigError {
    fn one(problem: String) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// Whose keys somebody who misspells one may have meant.
enum Family {
    Gossip,
    Near,
    Other,
}

impl Family {
    fn of(name: &str) -> Self {
        let name = name.to_lowercase();
        let is_under = |parent: &str| {
            name.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if is_under("peer.gossip") {
            Self::Gossip
        } else if is_under("peer.tls") || is_under("peer.keepalive") {
            Self::Near
        } else {
            Self::Other
        }
    }
}

fn from_file(file: &Path, entry: Entry) -> Option<(String, Written)> {
    let place = format!("{}:{}: {}", file.display(), entry.line, entry.name);
    entry.written.map(|written| (place, written))
}

fn read_setting(
    key: &Key,
    found: Option<(String, Written)>,
    folder: &Path,
) -> Result<Setting, String> {
    match found {
        None => Ok(Setting { value: Value::unset(key, folder), place: None }),
        Some((place, written)) => match Value::read(key, &written, folder) {
            Ok(value) => Ok(Setting { value, place: Some(place) }),
            Err(problem) => Err(format!("{place}: {problem}")),
        },
    }
}

/// As in Fabric's sample configuration.
const FILE_SYSTEM_PATH: &str = "/var/hyperledger/production";

/// What the variables of [`Family::Gossip`] and [`Family::Near`] begin with.
const VARIABLES: [&str; 3] = ["CORE_PEER_GOSSIP_", "CORE_PEER_TLS_", "CORE_PEER_KEEPALIVE_"];

/// The silence after which a peer is taken for dead, in intervals of its proofs of life.
const SILENCE: u32 = 5;

const FILE_NAME: &str = "core.yaml";
const SYSTEM_FOLDER: &str = "/etc/hyperledger/fabric";

#[cfg(test)]
mod tests;
