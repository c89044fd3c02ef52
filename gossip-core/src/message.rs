//! Messages between applications: the node carries them, and does not look inside.

use alloc::{string::String, vec::Vec};
use core::{fmt, time::Duration};

use bytes::Bytes;

use crate::{ChannelId, PkiId};

/// A message of one application to others, on a channel. It travels unsigned: what vouches for it
/// is the connection that it comes on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message {
    /// The channel that it is about.
    pub channel: ChannelId,
    /// What it is.
    pub kind: MessageKind,
    /// The serialized message of this kind.
    pub body: Bytes,
}

/// What a message between applications is.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum MessageKind {
    /// `gossip.PrivateDataMessage`: private data of one transaction, to be acknowledged.
    PrivateData,
    /// `gossip.RemotePvtDataRequest`: asks for private data.
    PrivateRequest,
    /// `gossip.RemotePvtDataResponse`: answers that.
    PrivateResponse,
}

impl MessageKind {
    /// All of them, in order.
    pub const ALL: &[Self] = &[Self::PrivateData, Self::PrivateRequest, Self::PrivateResponse];
}

/// To whom a message goes, and how many of them must acknowledge it (§11.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Criteria {
    /// Whose living members may be chosen; `None` for all peers that are alive.
    pub channel: Option<ChannelId>,
    /// Who of these is eligible; `None` for all.
    ///
    /// What a policy says of each is for the application to find out, from
    /// [`Node::channel_proofs`](crate::Node::channel_proofs).
    pub to: Option<Vec<PkiId>>,
    /// To how many of the eligible it goes, chosen at random; zero sends nothing.
    pub max_peers: usize,
    /// How many must acknowledge it. With zero nobody is waited for.
    pub min_ack: usize,
    /// How long they may take.
    pub timeout: Duration,
}

/// How the receivers of a message answered, each list in the order of the answers.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Acks {
    /// Who acknowledged it.
    pub accepted: Vec<PkiId>,
    /// Who did not take it or could not be reached, and why, at most a kilobyte each.
    pub refused: Vec<(PkiId, String)>,
    /// Who had not answered when the wait was over, by PKI-ID.
    pub unanswered: Vec<PkiId>,
}

/// Fewer acknowledged a message than had to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TooFewAcks {
    /// How many had to.
    pub wanted: usize,
    /// How the receivers answered.
    pub acks: Acks,
}

impl fmt::Display for TooFewAcks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Acks { accepted, refused, unanswered } = &self.acks;
        write!(f, "{} acknowledged, {} had to", accepted.len(), self.wanted)?;
        refused.iter().try_for_each(|(peer, why)| write!(f, "; {peer}: {why}"))?;
        unanswered.iter().try_for_each(|peer| write!(f, "; {peer}: no answer"))
    }
}

impl core::error::Error for TooFewAcks {}
