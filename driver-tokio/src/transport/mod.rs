//! What carries envelopes between peers: the little that the runtime needs to know of it.

mod accept;
mod counters;
mod queue;

use std::{fmt, future::Future, pin::Pin};

use bytes::Bytes;
use gossip_core::{DialPurpose, Endpoint, TlsBinding};
use tokio_stream::Stream;

pub use self::{
    accept::{Accepted, Acceptor, Lifeline, Stopped, acceptor},
    counters::{Counters, TransportStats},
    queue::{Farewell, Outgoing, Writer, outgoing},
};

/// A way to reach peers.
///
/// The other half, being reached, is an [`Acceptor`] that the transport's server
/// gives its connections to.
pub trait Transport: Send + Sync + 'static {
    /// Dials an endpoint, probes it, and opens a stream if the purpose asks for one.
    ///
    /// The transport keeps its own time limits; a dial that is dropped is given up.
    fn dial(&self, endpoint: Endpoint, purpose: DialPurpose) -> Dialling;
}

/// A dial under way. Its error says what went wrong, for people.
pub type Dialling = Pin<Box<dyn Future<Output = Result<Dialled, String>> + Send>>;

/// What came of a dial.
#[derive(Debug)]
pub enum Dialled {
    /// The remote answered a ping; nothing is open any more.
    Pinged,
    /// A gossip stream is open.
    Stream(Connection),
}

/// A gossip stream, whoever opened it.
pub struct Connection {
    /// The remote's transport address, for logs alone.
    pub remote: String,
    /// The certificates of this connection, `None` without TLS.
    pub tls: Option<TlsBinding>,
    /// The frames that arrive, each one serialized envelope. Dropping it gives the stream up.
    pub incoming: Incoming,
    /// Where frames are written; the transport polls the other end.
    pub writer: Writer,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("remote", &self.remote)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
    }
}

/// The frames of one connection, in order. It ends with `None` if the remote ended the stream
/// well, else with one error.
pub type Incoming = Pin<Box<dyn Stream<Item = Result<Bytes, StreamError>> + Send>>;

/// Why a stream ended other than by its remote's orderly goodbye.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StreamError {
    /// The remote ended the stream with an error of its own.
    Refused(String),
    /// The remote sent what this side does not take: no frame, or too large a one.
    Invalid(String),
    /// The connection underneath broke.
    Broken(String),
    /// The remote did not answer in time.
    TimedOut(String),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(text) => write!(f, "the remote ended the stream: {text}"),
            Self::Invalid(text) => write!(f, "the remote sent no valid frame: {text}"),
            Self::Broken(text) => write!(f, "the connection broke: {text}"),
            Self::TimedOut(text) => write!(f, "the remote does not answer: {text}"),
        }
    }
}

impl std::error::Error for StreamError {}
