//! A deterministic simulator: many real nodes on virtual time, with faults drawn from a seed.
//!
//! A [`World`] holds [`Node`](gossip_core::Node)s and plays the driver of each: their frames
//! travel as bytes over simulated connections, their jobs are done with keyed hashes or on P-256
//! (see [`Scheme`]), their ledgers grow by blocks that simulated orderers make. One queue holds all
//! that is to happen, ordered by time and then by when it was planned; all chance comes from the
//! seed. The same [`Options`] give the same run, and the [digest](World::digest) of everything that
//! the nodes did tells whether two runs differ.
//!
//! [`run`] lets faults strike for a while, then heals everything and demands that all peers know
//! each other and have the same blocks within a [bound](check::bound) that follows from the
//! configuration. Meanwhile the [checkers](check) look at every action.
//!
//! An application on each host changes what its peer says of itself, sends private data and asks
//! for it, and answers others in time, late, in the negative, twice or never; it keeps none.
//!
//! Not simulated: the election of leaders (the first honest peer that runs in an organisation takes
//! its blocks from the orderers). Hostile peers run honest nodes behind hostile drivers; of the
//! first two peers of each organisation, which those who start know, one is honest.

mod acts;
mod application;
mod byzantine;
mod certificates;
pub mod check;
mod coverage;
pub mod crypto;
mod draws;
mod faults;
mod hash;
mod host;
mod known;
mod layout;
mod metrics;
mod network;
mod options;
mod orderer;
mod patch;
mod queue;
mod record;
mod run;
mod samples;
mod trace;
mod turns;
mod wire;
mod work;
mod world;

pub use self::{
    byzantine::Manner,
    coverage::Coverage,
    faults::Fired,
    layout::{Channel, Layout, Listener},
    metrics::Metrics,
    options::{FaultClass, Faults, Options, Scheme},
    patch::{Patch, Stream},
    run::{Failure, Report, patience, run},
    samples::{Samples, Spread, View},
    world::{Totals, World},
};
