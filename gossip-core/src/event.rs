//! What the driver tells the node.

use alloc::{borrow::Cow, string::String};

use bytes::Bytes;

use crate::{Completion, ConnId, DialId, UnixTime};

/// Something that happened outside the node.
#[derive(Debug)]
pub enum Event {
    /// The time that [`poll_timeout`](crate::Node::poll_timeout) named has come.
    Tick,
    /// A frame arrived: one serialized `gossip.Envelope`.
    Message {
        /// The connection that it came on.
        conn: ConnId,
        /// The serialized envelope, as received. What the node stores shares its memory: that
        /// should hold little else.
        frame: Bytes,
    },
    /// A gossip stream is open: nothing was sent on it yet.
    Connected {
        /// The new connection.
        conn: ConnId,
        /// The dial that this answers; `None` if the remote opened the stream.
        dial: Option<DialId>,
        /// The remote's transport address, for logs alone (C1.a).
        remote: String,
        /// The certificates of this connection, `None` without TLS.
        tls: Option<TlsBinding>,
    },
    /// A [`DialPurpose::Ping`](crate::DialPurpose::Ping) was answered.
    Pinged {
        /// The dial that this answers.
        dial: DialId,
    },
    /// A dial came to nothing.
    DialFailed {
        /// The dial that this answers.
        dial: DialId,
        /// What went wrong, for people.
        error: Cow<'static, str>,
    },
    /// A connection ended, whoever ended it. Nothing more comes from it.
    Disconnected {
        /// The connection.
        conn: ConnId,
        /// Whether a write failed, as opposed to the remote having closed the stream.
        ///
        /// Fabric presumes a peer dead when a write fails, not when it closes (C-26).
        write_failed: bool,
    },
    /// The driver has written frames and can take as many more.
    Sent {
        /// The connection.
        conn: ConnId,
        /// How many frames were written since the last such event.
        frames: u32,
    },
    /// A job was answered.
    JobDone(Completion),
    /// The wall clock's reading, when it was set or at intervals of the driver's choice.
    WallClock(UnixTime),
}

/// SHA-256 hashes of the TLS certificates of one connection (DER, leaf), C-10.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TlsBinding {
    /// Ours: the client certificate if we dialled, the server certificate if we were dialled.
    pub local: [u8; 32],
    /// The remote's, `None` if it showed none.
    pub remote: Option<[u8; 32]>,
}
