//! What can be asked of the tool.

use std::path::PathBuf;

/// Asks the peer that runs on this machine whom it knows.
///
/// Prints a table of the peers that it knows, alive or dead, and one of its channels. The peer is
/// the one that gossipd start runs with the same configuration file: its socket is in the folder
/// gossipd-admin below peer.fileSystemPath, unless --admin-socket says otherwise.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = FIELDS)]
pub(crate) struct Args {
    /// Reads this configuration file instead of searching for core.yaml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Asks at this socket, whatever the configuration says; none is read then
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    pub(crate) admin_socket: Option<PathBuf>,

    /// Prints one JSON object instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

const FIELDS: &str = "\
The JSON object:
  self      the peer itself: peer (its PKI-ID in hexadecimal digits), org (MSP id), endpoint (for
            its organisation), external_endpoint (for others; null if they may not know)
  peers     the same of each peer that is known, alive ones first, and:
            state       alive or dead; a dead one is forgotten after a while
            since       when it came alive, or was taken for dead, as this peer noticed (UTC)
            connection  null, or the one in use: inbound (whether the other dialled), remote (its
                        transport address)
            channels    those of this peer's channels that it says it is in: channel, height
  channels  those that were joined: channel, height (number of blocks; those below it are there),
            members (peer, height) without this peer, alive ones only

Exit status: 0, or 1 if no peer answers.";
