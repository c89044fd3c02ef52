//! What a running peer tells the tools on its machine.
//!
//! Over a Unix socket: whoever asks writes a line of one word, and reads a line of JSON.

mod args;
mod client;
mod server;
mod status;
mod table;

use std::path::PathBuf;

use crate::config::Settings;

pub(crate) use self::{args::Args, client::run, server::AdminSocket};

/// Returns where a peer's socket is unless somebody says otherwise: in a folder of its own, which
/// nobody else may enter.
pub(crate) fn default_path(settings: &Settings) -> PathBuf {
    settings.file_system_path().join(FOLDER).join("admin.sock")
}

/// The folder of the socket.
const FOLDER: &str = "gossipd-admin";

/// Asks for the peers and channels.
const PEERS: &str = "peers";

#[cfg(test)]
mod tests;
