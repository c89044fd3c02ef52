//! What can be asked of the tools.

use std::{env, path::PathBuf};

use super::{Failure, folder::Folder};
use crate::config::{self, Settings};

/// Shows, checks and copies the blocks that a peer keeps.
///
/// A peer keeps the blocks of each channel in a file of its own, CHANNEL.redb in the folder
/// gossipd-ledgers below peer.fileSystemPath. Every tool finds it by the peer's configuration, as
/// gossipd start does, or by --path. All but import may be used while the peer runs.
///
/// Blocks travel between peers as files: blocks of one channel in order, each a common.Block with
/// its length before it as an unsigned varint.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Command {
    Export(Export),
    Import(Import),
    Info(Info),
    Verify(Verify),
}

/// Writes blocks of a channel to a file.
///
/// The file appears when all is in it. The exit status is 0, or 1 if it could not be written.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Export {
    /// The channel's name
    pub(super) channel: String,

    /// The file to write
    pub(super) file: PathBuf,

    /// Begins with this block [default: the first that is there]
    #[arg(long, value_name = "NUMBER")]
    pub(super) from: Option<u64>,

    /// Ends with this block [default: the last that is there]
    #[arg(long, value_name = "NUMBER")]
    pub(super) to: Option<u64>,

    /// Replaces the file if there is one
    #[arg(long)]
    pub(super) force: bool,

    #[command(flatten)]
    pub(super) place: Place,
}

/// Appends the blocks of a file to a channel's ledger.
///
/// Each block must follow the one before, signed by the orderers whom the channel's configuration
/// asks for at that point; the configuration blocks among them are followed. Blocks that are there
/// already are passed over, so that an import that was interrupted can be repeated.
///
/// Without a ledger of the channel one is made, and the file must begin with a configuration
/// block: the genesis block, or a later one. It is trusted as it is, as gossipd start
/// --channel-block trusts its file. A peer that is started afterwards takes part in the channel.
///
/// The peer must not run. The exit status is 0, or 1 if a block was refused; those before it are
/// there.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Import {
    /// A file as export writes it
    pub(super) file: PathBuf,

    #[command(flatten)]
    pub(super) place: Place,
}

/// Says which blocks are there.
///
/// The exit status is 0, or 1 if a ledger could not be read.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = FIELDS)]
pub(super) struct Info {
    /// A channel's name [default: all channels]
    pub(super) channel: Option<String>,

    /// Prints a JSON object for each channel, one a line
    #[arg(long)]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) place: Place,
}

/// Checks all blocks as if they had just come.
///
/// That each is as it was stored, by its checksum; that it follows the one before; and that those
/// signed it whom the channel's configuration asks for at that point. The first block is taken as
/// it is. The exit status is 0, or 1 with the first block of each channel that is wrong.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Verify {
    /// A channel's name [default: all channels]
    pub(super) channel: Option<String>,

    #[command(flatten)]
    pub(super) place: Place,
}

/// Whose ledgers are meant.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Place {
    /// Reads this configuration file instead of searching for core.yaml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Takes this folder for peer.fileSystemPath, whatever the configuration says; none is read
    /// then
    #[arg(long, value_name = "FOLDER", conflicts_with = "config")]
    path: Option<PathBuf>,
}

impl Place {
    /// Returns the folder with the ledgers, which need not exist.
    ///
    /// # Errors
    ///
    /// If it takes a configuration to know, and that cannot be used.
    pub(super) fn folder(&self) -> Result<Folder, Box<Failure>> {
        if let Some(path) = &self.path {
            return Ok(Folder::below(path));
        }
        let search = env::var_os("FABRIC_CFG_PATH");
        let file = config::find(self.config.as_deref(), search.as_deref())?;
        Ok(Folder::of(&Settings::load(&file, config::environment())?))
    }
}

const EXAMPLES: &str = "\
A new peer gets its blocks from one that has them:
  gossipd ledger export mychannel mychannel.blocks     where they are
  gossipd ledger import mychannel.blocks               where they are wanted, before the start";

const FIELDS: &str = "\
The JSON object: channel, first (the number of the first block), height (that of the next block),
config_block (that of the last configuration block), config_sequence (how often the configuration
has changed), last_hash (of the last block's header, which the next one names; in hexadecimal
digits), bytes (what the file takes on disk), file.";
