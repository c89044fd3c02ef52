//! Re-runs the log of a node and finds the first action that differs.
//!
//! A [`Log`] is read record by record from a file that `gossip-tokio` or the simulator wrote;
//! [`rerun`] makes a node of the same configuration, gives it the same events and commands at the
//! same times, and compares what it does. No keys, clock, network or ledger are needed: what they
//! said is in the log.

mod file;
mod report;
mod rerun;
mod text;

pub use self::{
    file::{Ending, Log, LogError},
    report::Report,
    rerun::{Difference, Verdict, rerun},
};
