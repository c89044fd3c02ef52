//! Envelopes over gRPC: `gossip.Gossip`, as Fabric's peers speak it.

mod client;
mod codec;
mod io;
mod listener;
mod service;
mod streams;

use std::time::Duration;

use gossip_core::Config;

pub use self::{
    client::GrpcTransport,
    listener::{BindError, Listener},
    service::{ConnectionInfo, GossipService},
};

/// Time limits and sizes of the transport. The defaults are Fabric's.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GrpcOptions {
    /// Bytes of one envelope that arrives; a larger one ends the stream (W-6).
    pub message_bytes_max: usize,
    /// Bytes of one envelope that is sent; a larger one ends the stream.
    pub sent_message_bytes_max: usize,
    /// How long a dial may take, until HTTP/2 can be spoken.
    pub dial_timeout: Duration,
    /// How long a `Ping` may take.
    pub ping_timeout: Duration,
    /// How long the stream of a probe handshake may last.
    pub handshake_stream_timeout: Duration,
    /// How long a dialler may take for TCP and TLS before it is dropped.
    pub accept_timeout: Duration,
    /// The pause between two keep-alive pings when dialling. Fabric's servers cut off clients that
    /// ping more often than every 60 s: less counts as 60 s, with a warning (W-5).
    pub client_keep_alive_interval: Duration,
    /// The same when dialled.
    pub server_keep_alive_interval: Duration,
    /// How long a keep-alive ping may stay unanswered when dialling.
    pub client_keep_alive_timeout: Duration,
    /// The same when dialled.
    pub server_keep_alive_timeout: Duration,
    /// Transport connections that are served at once; others wait to be accepted.
    pub connections_max: usize,
    /// Of these, connections whose TLS handshake is not over; one more is dropped.
    pub handshakes_max: usize,
}

impl Default for GrpcOptions {
    fn default() -> Self {
        Self {
            message_bytes_max: 100 << 20,
            sent_message_bytes_max: 100 << 20,
            dial_timeout: Duration::from_secs(3),
            ping_timeout: Duration::from_secs(2),
            handshake_stream_timeout: Duration::from_secs(10),
            accept_timeout: Duration::from_secs(5),
            client_keep_alive_interval: KEEP_ALIVE_INTERVAL_MIN,
            server_keep_alive_interval: Duration::from_secs(7200),
            client_keep_alive_timeout: Duration::from_secs(20),
            server_keep_alive_timeout: Duration::from_secs(20),
            connections_max: 4096,
            handshakes_max: 512,
        }
    }
}

impl GrpcOptions {
    /// Takes from a node's configuration what it says of the transport.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            message_bytes_max: config.limits.frame_bytes_max,
            sent_message_bytes_max: config.limits.sent_frame_bytes_max,
            dial_timeout: config.dial_timeout,
            ping_timeout: config.conn_timeout,
            connections_max: config.limits.connections_max,
            ..Self::default()
        }
    }
}

/// Fabric's servers cut off clients that ping more often (W1.3.a).
const KEEP_ALIVE_INTERVAL_MIN: Duration = Duration::from_secs(60);

const SERVICE: &str = "gossip.Gossip";
const STREAM_PATH: &str = "/gossip.Gossip/GossipStream";
const PING_PATH: &str = "/gossip.Gossip/Ping";

/// Bytes that a remote may send on a stream before they are read: two blocks of 1 MiB.
const STREAM_WINDOW: u32 = 2 << 20;

/// The same on a connection, on which there is one stream that counts.
const CONNECTION_WINDOW: u32 = 4 << 20;

/// Bytes of the largest HTTP/2 frame that is taken: four TLS records.
const HTTP2_FRAME_MAX: u32 = 64 << 10;

/// Bytes that HTTP/2 holds for a remote that does not take them.
const SEND_BUFFER: usize = 1 << 20;
