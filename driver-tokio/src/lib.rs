//! Runs a [`gossip_core::Node`] on tokio, over gRPC with mutual TLS.
//!
//! One task owns the node; connections have a reading task each; plain threads do the cryptography
//! and the ledger's work. A [`Handle`] is what the application holds.
//!
//! - [`Peer`] composes all of it and listens, or makes a service for a server that runs anyway.
//! - [`runtime::start`] runs a node over any [`Transport`](transport::Transport).
//! - With the feature `record`, a peer can write down what its node is told and does, in the format
//!   of [`gossip_core::record`].
//! - [`grpc`] is the transport that Fabric's peers speak, [`tls`] its certificates.
//!
//! ```no_run
//! use std::{error::Error, sync::Arc};
//!
//! use gossip_core::{Config, Crypto, Ledger};
//! use gossip_tokio::{
//!     Item, Peer,
//!     tls::{KeyPair, Roots, TlsConfig},
//! };
//!
//! async fn run(
//!     config: Config,
//!     crypto: Arc<dyn Crypto + Send + Sync>,
//!     ledger: Arc<dyn Ledger + Send + Sync>,
//! ) -> Result<(), Box<dyn Error>> {
//!     let key_pair = KeyPair::from_files("tls/server.crt", "tls/server.key")?;
//!     let tls = TlsConfig::new(&key_pair, &Roots::from_files(["tls/ca.crt"])?)?;
//!     let mut builder = Peer::builder(config, crypto, ledger).tls(tls);
//!     let mut notices = builder.subscribe(1024);
//!     let (_peer, address) = builder.listen("0.0.0.0:7051").await?;
//!     println!("listening on {address}");
//!     while let Some(item) = notices.recv().await {
//!         match item {
//!             Item::Notice(notice) => println!("{notice:?}"),
//!             Item::Lost(count) => println!("{count} notices were lost"),
//!         }
//!     }
//!     Ok(())
//! }
//! ```

pub mod grpc;
mod peer;
#[cfg(feature = "record")]
mod record;
pub mod runtime;
pub mod tls;
pub mod transport;

#[cfg(feature = "record")]
pub use crate::record::Recording;
pub use crate::{
    peer::{Peer, StartError},
    runtime::{Backends, CryptoPool, Handle, Item, PeerStats, SendError, Subscription},
    transport::{Stopped, TransportStats},
};
