//! What the application asks of the node.

use alloc::{string::String, vec::Vec};
use core::fmt;

use bytes::Bytes;

use crate::{ChannelId, Endpoint, OrgId};

/// A request of the application.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Command {
    /// Join a channel, or reconfigure one that was joined (CH-12, CH-13).
    JoinChannel {
        /// The channel.
        channel: ChannelId,
        /// Its configuration.
        config: ChannelConfig,
        /// The number of blocks in our ledger, if it is known already.
        height: Option<u64>,
    },
    /// Leave a channel: its membership is published as left, and it is pulled no more.
    LeaveChannel {
        /// The channel.
        channel: ChannelId,
    },
    /// Spread a block that this peer has from the ordering service (CH-49).
    ///
    /// The caller vouches for the block; it is not verified and not committed here.
    GossipBlock {
        /// The channel.
        channel: ChannelId,
        /// The block's number.
        number: u64,
        /// The serialized `common.Block`.
        block: Bytes,
    },
    /// Say that the ledger has `height` blocks: 0 to `height - 1`.
    SetLedgerHeight {
        /// The channel.
        channel: ChannelId,
        /// The number of blocks.
        height: u64,
    },
    /// Say which chaincodes are installed; published at once (CH-24).
    SetChaincodes {
        /// The channel.
        channel: ChannelId,
        /// The chaincodes, in any order.
        chaincodes: Vec<Chaincode>,
    },
    /// Tell all members of a channel that are of our organisation and alive that we lead it, or
    /// would (CH-61). Who leads is the application's decision.
    SendLeadership {
        /// The channel.
        channel: ChannelId,
        /// "I lead", as opposed to "I would lead".
        is_declaration: bool,
    },
    /// Replace the metadata in our alive messages, from the next one on (D-48).
    SetMetadata {
        /// Opaque bytes; peers see them.
        metadata: Bytes,
    },
    /// Contact a peer of our own organisation until it answers, as a bootstrap peer.
    Connect {
        /// Where it listens.
        endpoint: Endpoint,
    },
    /// Validate all identities anew and forget those that no longer hold.
    SuspectPeers,
    /// Stop: close every connection, send nothing, ignore everything after.
    Stop,
}

/// A channel's configuration, as far as gossip needs it: Fabric's join message.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ChannelConfig {
    /// The configuration's sequence number; a lower one than the current is ignored.
    pub sequence: u64,
    /// The application organisations, with the anchor peers of each.
    pub orgs: Vec<(OrgId, Vec<Endpoint>)>,
}

/// A chaincode, as StateInfo tells of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chaincode {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// A command was refused; nothing changed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CommandError {
    /// The channel was not joined.
    NotJoined(ChannelId),
    /// The channel's configuration does not name our organisation (CH-20).
    NotAMember(ChannelId),
    /// A block is larger than a frame may be.
    BlockTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The largest that fits.
        max: usize,
    },
    /// More channels than [`Limits::channels_max`](crate::Limits::channels_max).
    TooManyChannels,
    /// The node was stopped.
    Stopped,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJoined(channel) => write!(f, "channel {channel} was not joined"),
            Self::NotAMember(channel) => {
                write!(f, "the configuration of channel {channel} does not name our organisation")
            }
            Self::BlockTooLarge { size, max } => {
                write!(f, "the block has {size} bytes; a frame takes {max}")
            }
            Self::TooManyChannels => f.write_str("no more channels can be joined"),
            Self::Stopped => f.write_str("the node was stopped"),
        }
    }
}

impl core::error::Error for CommandError {}
