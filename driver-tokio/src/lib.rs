//! Runs a [`gossip_core::Node`] on tokio, over gRPC with mutual TLS.
//!
//! One task owns the node; connections have a reading task each; plain threads do the cryptography
//! and the ledger's work. A [`Handle`] is what the application holds.
//!
//! - [`Peer`] composes all of it and listens, or makes a service for a server that runs anyway.
//! - [`runtime::start`] runs a node over any [`Transport`](transport::Transport).
//! - [`grpc`] is the transport that Fabric's peers speak, [`tls`] its certificates.

pub mod grpc;
mod peer;
pub mod runtime;
pub mod tls;
pub mod transport;

pub use crate::{
    peer::{Peer, StartError},
    runtime::{Backends, CryptoPool, Handle, Item, PeerStats, Subscription},
    transport::{Stopped, TransportStats},
};
