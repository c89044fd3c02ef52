//! X.509 identities as Hyperledger Fabric's membership service providers judge them.
//!
//! - [`Msp`]: the rules of one organisation, from an MSP folder or a channel's configuration;
//! - [`Identities`]: all known organisations, judging identities and signatures from any thread;
//! - [`SigningIdentity`]: the local node's certificate and key.
//!
//! Everything is synchronous and takes all time from its caller or from certificates.

mod certificate;
mod chain;
mod ecdsa;
mod error;
mod folder;
mod identities;
mod msp;
mod pem;
mod signing;
mod units;

pub use certificate::ParseError;
pub use ecdsa::SignatureError;
pub use error::{ConfigError, IdentityError};
pub use identities::{Facts, Identities, VerifyError};
pub use msp::{Msp, MspConfig, NodeOus, OuIdentifier, Source};
pub use signing::{SignError, SigningIdentity, pki_id};
