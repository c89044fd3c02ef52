//! What a recorded peer of Hyperledger Fabric 3.1.5 did with a message, our node does.
//!
//! The recording is `proto/tests/data/vectors.json`. Probers' messages are fed to a node with the
//! signatures that they were recorded with, and verified; time is virtual.

mod answers;
mod backend;
mod handshakes;
mod live;
mod organisation;
mod prober;
mod recording;
mod world;
