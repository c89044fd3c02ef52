//! The wire format of Hyperledger Fabric's gossip: schema and generated types, and no logic.
//!
//! The schema is in `proto/`, one module here for each of its packages. The types are generated
//! by `prost` and checked in, so that building needs neither a generator nor `protoc`:
//!
//! - every `bytes` field is a [`bytes::Bytes`], which shares the buffer it was decoded from;
//! - maps are ordered, so that the same message encodes to the same bytes;
//! - unknown fields are dropped when decoding. Keep the bytes received of whatever is signed, and
//!   never encode it again to forward it;
//! - a known field of the wrong wire type fails the decoding, where Fabric takes it for an unknown
//!   one.
//!
//! The test `generated` compares the checked-in types with the schema. After a change of the
//! schema, write them anew:
//!
//! ```sh
//! REGENERATE=1 cargo test -p gossip-proto --test generated
//! ```

#![no_std]

/// The gossip protocol itself.
pub mod gossip {
    include!("generated/gossip.rs");
}

/// Identities and what an organization trusts.
pub mod msp {
    include!("generated/msp.rs");
}

/// Blocks and the configuration of channels.
pub mod common {
    include!("generated/common.rs");
}

/// Values of a channel's configuration that only its ordering service heeds.
pub mod orderer {
    include!("generated/orderer.rs");
}

/// Definitions of private data collections, and anchor peers.
pub mod protos {
    include!("generated/protos.rs");
}
