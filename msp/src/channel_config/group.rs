//! A group of the configuration, and its path for errors.

use std::collections::BTreeMap;

use gossip_proto::common::ConfigGroup;
use prost::Message;

use crate::error::{ConfigError, shown};

/// A group, and the path by which errors name it.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    pub(crate) path: String,
    pub(crate) content: &'a ConfigGroup,
}

impl<'a> Group<'a> {
    pub(crate) fn root(content: &'a ConfigGroup) -> Self {
        Self { path: crate::policy::ROOT.to_owned(), content }
    }

    /// The groups below, each with its name.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (&'a str, Group<'a>)> + '_ {
        self.content.groups.iter().map(|(name, content)| {
            let path = format!("{}/{name}", self.path);
            (name.as_str(), Group { path, content })
        })
    }

    /// The group of this name.
    pub(crate) fn group(&self, name: &str) -> Result<Group<'a>, ConfigError> {
        let found = self.groups().find(|(found, _)| *found == name);
        let fail = || self.error(name, "group is missing");
        found.map(|(_, group)| group).ok_or_else(fail)
    }

    pub(crate) fn has_value(&self, key: &str) -> bool {
        self.content.values.contains_key(key)
    }

    /// Decodes a value; an absent one reads as an empty one.
    pub(crate) fn value<M: Message + Default>(&self, key: &str) -> Result<M, ConfigError> {
        let Some(value) = self.content.values.get(key) else {
            return Ok(M::default());
        };
        M::decode(value.value.clone()).map_err(|error| self.error(key, &error.to_string()))
    }

    /// Refuses values that are not among `known` (SV-66).
    pub(crate) fn check_values(&self, known: &[&str]) -> Result<(), ConfigError> {
        let mut keys = self.content.values.keys();
        match keys.find(|key| !known.contains(&key.as_str())) {
            Some(key) => {
                Err(self.error(key, &format!("unknown value, expected one of {}", list(known))))
            }
            None => Ok(()),
        }
    }

    /// Refuses groups that are not among `known`.
    pub(crate) fn check_groups(&self, known: &[&str]) -> Result<(), ConfigError> {
        let mut names = self.content.groups.keys();
        let expected = match known {
            [] => "none here".to_owned(),
            known => format!("one of {}", list(known)),
        };
        match names.find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(self.error(name, &format!("unknown group, expected {expected}"))),
            None => Ok(()),
        }
    }

    /// Checks all names of this group and those below, how many there are and how deep they are.
    pub(crate) fn check_names(&self, depth: usize) -> Result<(), ConfigError> {
        if depth > DEPTH_MAX {
            let problem = format!("nested deeper than {DEPTH_MAX} groups");
            return Err(ConfigError::new(shown(&self.path), problem));
        }
        self.check_keys(&self.content.groups)?;
        self.check_keys(&self.content.values)?;
        self.check_keys(&self.content.policies)?;
        self.groups().try_for_each(|(_, group)| group.check_names(depth + 1))
    }

    pub(crate) fn error(&self, key: &str, problem: &str) -> ConfigError {
        ConfigError::new(format!("{}/{key}", self.path), problem)
    }

    fn check_keys<V>(&self, map: &BTreeMap<String, V>) -> Result<(), ConfigError> {
        if map.len() > KEYS_MAX {
            let problem = format!("{} entries, expected at most {KEYS_MAX}", map.len());
            return Err(ConfigError::new(&self.path, problem));
        }
        let is_valid = |key: &str| {
            let is_allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'.' || c == b'-';
            let length = 1..=NAME_LEN_MAX;
            length.contains(&key.len())
                && key.bytes().all(is_allowed)
                && ![".", ".."].contains(&key)
        };
        match map.keys().find(|key| !is_valid(key)) {
            Some(key) => Err(self.error(
                &shown(key),
                &format!("name, expected 1 to {NAME_LEN_MAX} of a-z, A-Z, 0-9, '.' and '-'"),
            )),
            None => Ok(()),
        }
    }
}

/// Whether this can be the name of a channel.
pub(crate) fn is_channel_name(name: &str) -> bool {
    let is_allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'.' || c == b'-';
    name.len() <= NAME_LEN_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(is_allowed)
}

fn list(names: &[&str]) -> String {
    names.join(", ")
}

/// The longest name of a channel, group, value or policy, in bytes.
const NAME_LEN_MAX: usize = 249;

/// How deep groups are nested: the root, consortia, a consortium, an organisation.
const DEPTH_MAX: usize = 4;

/// The most groups, values or policies of one group.
const KEYS_MAX: usize = 4096;
