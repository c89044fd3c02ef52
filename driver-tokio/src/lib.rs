//! Runs a [`gossip_core::Node`] on tokio, over gRPC with mutual TLS.
//!
//! One task owns the node; connections have a reading task each; threads do the cryptography and
//! the ledger's work. A [`Handle`] is what the application holds.
//!
//! [`runtime::start`] runs a node over any [`Transport`](transport::Transport).

pub mod runtime;
pub mod transport;

pub use crate::runtime::{
    Acceptor, Backends, CryptoPool, Handle, Item, Lifeline, PeerStats, Stopped, Subscription,
    TransportStats,
};
