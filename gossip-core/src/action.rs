//! What the node asks of the driver.

use core::fmt;

use bytes::Bytes;

use crate::{ConnId, DialId, Endpoint, Job, Notice};

/// Something that the driver must do. Only notices may be ignored.
#[derive(Debug)]
pub enum Action {
    /// Dial an endpoint, and answer with [`Connected`](crate::Event::Connected),
    /// [`Pinged`](crate::Event::Pinged) or [`DialFailed`](crate::Event::DialFailed).
    Dial {
        /// Names the dial in the answer.
        dial: DialId,
        /// What to dial.
        endpoint: Endpoint,
        /// What for.
        purpose: DialPurpose,
    },
    /// Write a frame, in the order given, and return the credit with
    /// [`Sent`](crate::Event::Sent). A frame for a connection that has ended is dropped.
    Send {
        /// The connection.
        conn: ConnId,
        /// One serialized `gossip.Envelope`.
        frame: Bytes,
    },
    /// End a connection after what was given to it is written, or without if that takes long.
    ///
    /// Answered by [`Disconnected`](crate::Event::Disconnected).
    Close {
        /// The connection.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
    /// Do a piece of work and answer it.
    Job(Job),
    /// Tell whom it concerns.
    Notify(Notice),
}

/// What a dial is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DialPurpose {
    /// Connect, call `Ping`, open a stream without a deadline (C-3).
    Stream,
    /// The same with a deadline of 10 s on the stream: it ends after the handshake (C-6).
    Handshake,
    /// Connect, call `Ping`, close: no stream (C-5).
    Ping,
}

/// Why the node ends a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The handshake failed.
    AuthenticationFailed,
    /// The remote only wanted to know who we are: the stream ends with success.
    ProbeAnswered,
    /// Another connection to the same peer is in use.
    Replaced,
    /// The peer is taken for dead.
    PeerDead,
    /// The peer's identity expired or no longer validates.
    IdentityRemoved,
    /// The peer may not be told who we are (D-30, D-31).
    NotDisclosed,
    /// The peer sent what no peer may send.
    Misbehaved,
    /// The peer does not read, and what it must not miss no longer fits its queue.
    Overflow,
    /// The handshake was a probe of ours, and it is over.
    ProbeDone,
    /// Nobody asked for this connection.
    Unexpected,
    /// The node is stopping.
    Stopping,
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AuthenticationFailed => "authentication failed",
            Self::ProbeAnswered => "probe answered",
            Self::Replaced => "replaced by another connection",
            Self::PeerDead => "peer is taken for dead",
            Self::IdentityRemoved => "identity expired or no longer valid",
            Self::NotDisclosed => "membership may not be disclosed to this peer",
            Self::Misbehaved => "protocol violation",
            Self::Overflow => "peer does not read",
            Self::ProbeDone => "probe done",
            Self::Unexpected => "nobody dialled this",
            Self::Stopping => "shutting down",
        })
    }
}
