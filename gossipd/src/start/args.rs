//! What can be asked of a peer.

use std::path::PathBuf;

use super::notices;

/// Runs a peer that gossips with the Fabric peers of a network.
///
/// It is configured as a Fabric peer is: by a core.yaml, found in FABRIC_CFG_PATH or else in the
/// current folder or /etc/hyperledger/fabric, and by environment variables CORE_… that override
/// it, such as CORE_PEER_GOSSIP_BOOTSTRAP="peer0:7051 peer1:7051". Relative paths are relative to
/// the file. The settings that count are those of peer.gossip, peer.tls and peer.keepalive, and
/// peer.address, listenAddress, addressAutoDetect, localMspId, mspConfigPath, maxRecvMsgSize,
/// maxSendMsgSize and connectiontimeout.
///
/// Verified blocks are kept below peer.fileSystemPath, and a peer that is started again goes on
/// after them in all its channels. gossipd ledger shows, checks and copies them.
///
/// What happens is printed to stdout, a line each; logs go to stderr, and RUST_LOG says which.
/// SIGHUP has it read the files of peer.tls anew, for connections from then on; for all else it
/// must be started again. SIGTERM or Ctrl-C end the peer, with exit status 0. What cannot be used
/// ends it with status 1 and an error that names file and line.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = NOT_SUPPORTED, after_long_help = after_help())]
pub(crate) struct Args {
    /// Reads this configuration file instead of searching for core.yaml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// Joins the channel of this configuration block, in a file as "peer channel fetch" or
    /// configtxgen write it: the genesis block, or the latest configuration block. May be given
    /// for several channels. Not needed for channels of which there are blocks already
    #[arg(long, value_name = "FILE")]
    pub(crate) channel_block: Vec<PathBuf>,

    /// Answers gossipd peers at this Unix socket instead of one below peer.fileSystemPath
    #[arg(long, value_name = "PATH")]
    pub(crate) admin_socket: Option<PathBuf>,

    /// Writes everything that the node is told and does to a file, from which its run can be
    /// repeated elsewhere. It is as confidential as the peer's traffic, private data included, and
    /// grows with it. If the file exists, .1 or the next free number is appended
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,

    /// Prints JSON objects instead of text, one a line; --help describes them
    #[arg(long)]
    pub(crate) json: bool,
}

fn after_help() -> String {
    format!("{}\n\n{NOT_SUPPORTED}", notices::help())
}

/// What a Fabric peer does and this one does not, for people.
pub(crate) const NOT_SUPPORTED: &str = "\
Not supported yet: leader election and delivery of blocks from the ordering service (blocks come
from other peers), private data. Settings of these are checked and have no effect; nor has
peer.keepalive.minInterval: clients that ping too often are not disconnected.";
