//! X.509 identities as Hyperledger Fabric's membership service providers judge them.
//!
//! - [`Msp`]: the rules of one organisation, from an MSP folder or a channel's configuration;
//! - [`Identities`]: all known organisations, judging identities and signatures from any thread;
//! - [`SigningIdentity`]: the local node's certificate and key;
//! - [`Trust`]: whom a peer believes, by its own organisation and by its channels;
//! - [`ChannelConfig`]: the organisations, orderers and policies of a channel;
//! - [`BlockVerifier`]: whether blocks are ones that a channel's orderers made;
//! - [`Succession`]: whether they are the next ones.
//!
//! Everything is synchronous and takes all time from its caller or from certificates.

mod block;
mod certificate;
mod chain;
mod channel_config;
mod draft;
mod ecdsa;
mod error;
mod folder;
mod identities;
mod key;
mod msp;
mod pem;
mod policy;
mod signing;
mod succession;
mod transaction;
mod trust;
mod units;
mod wire;

pub use block::{BlockError, BlockVerifier, header_bytes, header_hash};
pub use certificate::ParseError;
pub use channel_config::{
    AccessError, Anchor, BLOCK_VALIDATION, ChannelConfig, Organisation, READERS, is_config_block,
};
pub use draft::{BlockDraft, SealedBlock};
pub use ecdsa::SignatureError;
pub use error::{ConfigError, IdentityError};
pub use identities::{Facts, Identities, SignedData, VerifyError};
pub use msp::{Msp, MspConfig, MspLevel, NodeOus, OuIdentifier, Source};
pub use policy::PolicyError;
pub use signing::{SignError, SigningIdentity, pki_id};
pub use succession::Succession;
pub use trust::Trust;
