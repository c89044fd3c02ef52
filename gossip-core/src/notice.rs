//! What the node tells whoever listens. Ignoring any of it is safe.

use alloc::{borrow::Cow, string::String, vec::Vec};
use core::fmt;

use bytes::Bytes;

use crate::{
    Acks, ChannelId, CloseReason, ConnId, Endpoint, Message, OrgId, PkiId, RequestId, Stamp,
    TooFewAcks,
};

/// Something that a listener may want to know.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Notice {
    /// A peer was authenticated on a connection.
    ConnectionOpened {
        /// The connection.
        conn: ConnId,
        /// Who it is.
        pki_id: PkiId,
        /// Whether the remote dialled.
        inbound: bool,
    },
    /// An authenticated connection ended.
    ConnectionClosed {
        /// The connection.
        conn: ConnId,
        /// Who it was.
        pki_id: PkiId,
        /// Why we closed it, `None` if the remote did.
        reason: Option<CloseReason>,
    },
    /// A connection was refused, before anybody was authenticated on it.
    HandshakeFailed {
        /// The connection.
        conn: ConnId,
        /// The remote's transport address.
        remote: String,
        /// Why.
        fault: Fault,
    },
    /// An endpoint could not be dialled.
    DialFailed {
        /// What was dialled.
        endpoint: Endpoint,
        /// What went wrong.
        error: Cow<'static, str>,
    },
    /// A peer came alive, or alive again.
    MemberAlive {
        /// Who.
        pki_id: PkiId,
        /// Where it says it listens, in the order of preference.
        endpoint: Option<Endpoint>,
    },
    /// A peer is taken for dead.
    MemberDead {
        /// Who.
        pki_id: PkiId,
    },
    /// A dead peer was forgotten, or its identity is no longer valid.
    MemberForgotten {
        /// Who.
        pki_id: PkiId,
    },
    /// An identity was learned.
    IdentityLearned {
        /// Whose.
        pki_id: PkiId,
        /// The organisation that vouches for it.
        org: OrgId,
    },
    /// An identity expired, was revoked, or was not used for long.
    IdentityRemoved {
        /// Whose.
        pki_id: PkiId,
    },
    /// A peer said something new about itself on a channel.
    ChannelPeer {
        /// The channel.
        channel: ChannelId,
        /// Who.
        pki_id: PkiId,
        /// The number of blocks that it has.
        height: u64,
        /// Whether it left the channel.
        left: bool,
    },
    /// Other peers are alive in a channel than at the last look, one
    /// [`membership_tracker_interval`](crate::Config::membership_tracker_interval) ago.
    ChannelMembership {
        /// The channel.
        channel: ChannelId,
        /// Who came, by PKI-ID.
        online: Vec<PeerEndpoints>,
        /// Who went, by PKI-ID.
        offline: Vec<PeerEndpoints>,
    },
    /// A peer of our organisation leads a channel, or would: newer than what it said before.
    Leadership {
        /// The channel.
        channel: ChannelId,
        /// Who.
        pki_id: PkiId,
        /// The version of what it says.
        stamp: Stamp,
        /// "I lead", as opposed to "I would lead".
        is_declaration: bool,
    },
    /// A message of another application, of a kind that ours [takes](crate::Command::Accept).
    ///
    /// Nothing was checked but who sent it and that it decodes: not whether the channel was
    /// joined, nor whether the sender may speak there.
    Message {
        /// The connection that it came on, for the answer.
        conn: ConnId,
        /// Who sent it.
        from: PkiId,
        /// Repeated in the answer; zero if none is expected.
        nonce: u64,
        /// What it says.
        message: Message,
    },
    /// A [`SendByCriteria`](crate::Command::SendByCriteria) is over.
    SendFinished {
        /// Which.
        request: RequestId,
        /// Who acknowledged the message, if enough did.
        result: Result<Acks, TooFewAcks>,
    },
    /// A verified block arrived for the first time.
    BlockReceived {
        /// The channel.
        channel: ChannelId,
        /// Its number.
        number: u64,
        /// The serialized `common.Block`.
        block: Bytes,
        /// Who sent it.
        from: PkiId,
    },
    /// A block was committed; the ledger's height is one more than its number.
    BlockCommitted {
        /// The channel.
        channel: ChannelId,
        /// Its number.
        number: u64,
    },
    /// We are behind, and begin to fetch ranges of blocks.
    StateTransferStarted {
        /// The channel.
        channel: ChannelId,
        /// The number of blocks that we have.
        height: u64,
        /// The number of blocks that others have.
        target: u64,
    },
    /// We have caught up, or could not get what lacks; then we try again later.
    StateTransferEnded {
        /// The channel.
        channel: ChannelId,
        /// The number of blocks that are committed; the last ones may still be on their way there.
        height: u64,
        /// Whether nothing lacks.
        is_complete: bool,
    },
    /// The ledger did not take a block: it is tried again, with pauses that grow to five minutes,
    /// unless the ledger rejected it. Told again only if the ledger gives another reason.
    CommitFailed {
        /// The channel.
        channel: ChannelId,
        /// Its number.
        number: u64,
        /// What the ledger said.
        reason: Cow<'static, str>,
    },
    /// The own key did not sign; it is tried again.
    SigningFailed {
        /// What the backend said.
        reason: Cow<'static, str>,
    },
    /// A message with our own PKI-ID names other endpoints: another process uses our identity.
    OwnIdentityElsewhere {
        /// The endpoint that it names.
        endpoint: Option<Endpoint>,
    },
    /// A peer sent what an honest peer does not send.
    PeerMisbehaved {
        /// The connection that it came on.
        conn: ConnId,
        /// Who, if authenticated.
        pki_id: Option<PkiId>,
        /// What.
        fault: Fault,
    },
}

/// A peer, and where it says it listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerEndpoints {
    /// Who.
    pub pki_id: PkiId,
    /// Where other organisations reach it, then where its own does if that is elsewhere.
    pub endpoints: Vec<Endpoint>,
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// What was wrong with something that a peer sent. Each is counted in
        /// [`Stats`](crate::Stats).
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[$doc])* $name),+
        }

        impl Fault {
            /// All of them, in order.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns what is wrong, in lower-case words.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text),+
                }
            }
        }
    };
}

faults! {
    /// The envelope or the message in it does not decode: the stream ends (W-39).
    Undecodable = "undecodable message",
    /// The frame is larger than [`Limits::frame_bytes_max`](crate::Limits::frame_bytes_max).
    Oversized = "oversized frame",
    /// The tag does not fit the content (W-21).
    IllegalTag = "illegal tag",
    /// A part without which the message means nothing is missing (W-36).
    Malformed = "malformed message",
    /// A message that must be signed is not (W-16).
    Unsigned = "missing signature",
    /// A signature does not hold.
    BadSignature = "bad signature",
    /// An identity does not validate, has expired, or is not whose it claims to be.
    BadIdentity = "bad identity",
    /// The signer's identity is not known.
    UnknownIdentity = "unknown identity",
    /// Old or already known: every honest peer sends some of these.
    Stale = "stale or duplicate",
    /// It is for a channel that we are not in, or names another than it proves.
    WrongChannel = "wrong channel",
    /// The sender's or author's organisation may not say this.
    WrongOrg = "organisation not entitled",
    /// A membership request speaks for somebody else than its sender (D-23).
    NotTheSender = "speaks for another peer",
    /// A block does not verify.
    BadBlock = "bad block",
    /// The first message of a stream is no connection message.
    NoHandshake = "first message is no handshake",
    /// No connection message came in time (C-14).
    HandshakeTimeout = "handshake timed out",
    /// The remote showed no TLS certificate (C-11).
    NoTlsCertificate = "no TLS certificate",
    /// The remote's TLS certificate is not the one that it signed for (C-12).
    TlsMismatch = "TLS certificate does not match the handshake",
    /// A responder set the probe flag (C-8).
    ProbeFlag = "unexpected probe flag",
    /// At the endpoint answers another peer, of another organisation (C-19).
    UnexpectedPeer = "unexpected peer at the endpoint",
    /// A message of a kind that does not belong here; ignored.
    Unexpected = "unexpected message",
    /// More than a bound allows; the newest was dropped.
    Overflow = "limit reached",
    /// A job that it waited for failed or was lost.
    JobFailed = "job failed",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
