//! Where a peer keeps the blocks of its channels.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::store::Writer;
use crate::config::Settings;

/// A folder with a file for each channel.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// The folder of the peer with these settings.
    pub(crate) fn of(settings: &Settings) -> Self {
        Self::below(settings.file_system_path())
    }

    /// The folder of the peer whose `peer.fileSystemPath` is this.
    pub(crate) fn below(path: &Path) -> Self {
        Self(path.join(NAME))
    }

    /// Returns the file of a channel, whether it is there or not.
    ///
    /// # Errors
    ///
    /// If no file can have the channel's name.
    pub(crate) fn file(&self, channel: &str) -> Result<PathBuf, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let is_name = channel.starts_with(|c: char| c.is_ascii_alphanumeric())
            && channel.chars().all(is_plain)
            && channel.len() <= CHANNEL_LEN_MAX;
        match is_name {
            true => Ok(self.0.join(format!("{channel}.{EXTENSION}"))),
            false => Err(format!(
                "channel {channel:?}: expected a name of at most {CHANNEL_LEN_MAX} letters, \
                 digits, dots and dashes, the first a letter or digit"
            )),
        }
    }

    /// Returns the file of a channel that has one.
    ///
    /// # Errors
    ///
    /// If it has none, with those that have one.
    pub(crate) fn existing(&self, channel: &str) -> Result<PathBuf, String> {
        let file = self.file(channel)?;
        if file.exists() {
            return Ok(file);
        }
        let there = self.files()?;
        let there: Vec<_> = there.iter().filter_map(|file| file.file_stem()?.to_str()).collect();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        Err(format!("{}: no such ledger; there: {there}", file.display()))
    }

    /// Lists the files that are there, by name. Without the folder there are none.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, String> {
        let fault = |error| format!("{}: expected a folder of ledgers: {error}", self.0.display());
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fault(error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(fault)?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }

    /// Makes a channel's file, and the folder if there is none, with a configuration block as the
    /// first block.
    ///
    /// # Errors
    ///
    /// If they cannot be made, or the file is there already.
    pub(crate) fn create(&self, channel: &str, block: &Bytes) -> Result<Writer, String> {
        let path = self.file(channel)?;
        fs::create_dir_all(&self.0).map_err(|error| {
            format!(
                "cannot make the folder of ledgers {}: {error}: set peer.fileSystemPath to a \
                 folder in which this process may write",
                self.0.display()
            )
        })?;
        Writer::create(&path, channel, block).map_err(|error| error.to_string())
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// The folder below `peer.fileSystemPath`.
const NAME: &str = "gossipd-ledgers";

const EXTENSION: &str = "redb";

/// As Fabric has it.
const CHANNEL_LEN_MAX: usize = 249;
