//! What the application asks of the node.

use alloc::{string::String, vec::Vec};
use core::fmt;

use bytes::Bytes;

use crate::{ChannelId, ConnId, Criteria, Endpoint, Message, MessageKind, OrgId, PkiId, RequestId};

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
    /// Send a message to some peers and wait for acknowledgements (N-46, N-47).
    ///
    /// Unless it is refused, exactly one [`SendFinished`](crate::Notice::SendFinished) answers it.
    SendByCriteria {
        /// Names the request in the answer.
        request: RequestId,
        /// What to send.
        message: Message,
        /// To whom, and how many must take it.
        criteria: Criteria,
    },
    /// Send a message to these peers, and wait for nobody. Who cannot be reached is left out.
    Send {
        /// What to send.
        message: Message,
        /// Correlates answers of the application's peers; zero if there are none.
        nonce: u64,
        /// To whom.
        to: Vec<PkiId>,
    },
    /// Say which messages of other applications are taken, instead of what was said before. At
    /// first none are: private data is declined, the rest ignored.
    ///
    /// They come as [`Message`](crate::Notice::Message) notices.
    Accept {
        /// The kinds that are taken.
        kinds: Vec<MessageKind>,
    },
    /// Say whether a message was taken (W-30).
    Acknowledge {
        /// The connection that it came on.
        conn: ConnId,
        /// Its nonce.
        nonce: u64,
        /// Why it was not taken, for people; `None` if it was.
        error: Option<String>,
    },
    /// Answer a message.
    Respond {
        /// The connection that it came on.
        conn: ConnId,
        /// Its nonce.
        nonce: u64,
        /// The answer.
        message: Message,
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
    /// A message's body is not of its kind.
    NotOfItsKind(MessageKind),
    /// A message is larger than a frame may be.
    MessageTooLarge {
        /// Its size in bytes, with what is around it.
        size: usize,
        /// The largest that fits.
        max: usize,
    },
    /// A request without a time in which it must be answered.
    NoTimeout,
    /// Fewer peers are eligible than must acknowledge the message.
    TooFewPeers {
        /// How many must acknowledge it.
        wanted: usize,
        /// To how many it could be sent.
        known: usize,
    },
    /// More requests at a time than [`Limits::requests_max`](crate::Limits::requests_max).
    TooManyRequests {
        /// How many may be.
        max: usize,
    },
    /// A request of the same name is not finished.
    RequestInUse(RequestId),
    /// Nobody is authenticated on the connection, or it has ended.
    NotConnected(ConnId),
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
            Self::NotOfItsKind(kind) => write!(f, "the message's body is no {kind:?}"),
            Self::MessageTooLarge { size, max } => {
                write!(f, "the message has {size} bytes; a frame takes {max}")
            }
            Self::NoTimeout => f.write_str("a request must have a timeout above zero"),
            Self::TooFewPeers { wanted, known } => {
                write!(f, "{wanted} must acknowledge the message; {known} could be asked")
            }
            Self::TooManyRequests { max } => write!(f, "{max} requests are waiting, all that may"),
            Self::RequestInUse(request) => write!(f, "request {request} is not finished"),
            Self::NotConnected(conn) => write!(f, "nobody is at the end of connection {conn}"),
            Self::TooManyChannels => f.write_str("no more channels can be joined"),
            Self::Stopped => f.write_str("the node was stopped"),
        }
    }
}

impl core::error::Error for CommandError {}
