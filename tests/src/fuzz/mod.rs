//! What is to hold for any bytes, as plain functions of bytes.
//!
//! Each [`Target`] takes any bytes and panics if something is wrong. The test `corpora` gives them
//! recorded messages, [damaged](mutate::mutate) copies of these, and the inputs in `fuzz/corpus`;
//! the folder `fuzz` gives it what libFuzzer makes up.

mod choices;
mod cluster;
mod models;
pub mod mutate;
mod node;
pub mod seeds;
mod trust;
mod wire;

/// Something that takes any bytes and panics if something is wrong.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Takes the bytes.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "envelope", run: wire::envelope },
    Target { name: "message", run: wire::message },
    Target { name: "reencode", run: wire::reencode },
    Target { name: "handshake", run: node::handshake },
    Target { name: "frames", run: node::frames },
    Target { name: "events", run: node::events },
    Target { name: "certificate", run: trust::certificate },
    Target { name: "identity", run: trust::identity },
    Target { name: "msp", run: trust::msp },
    Target { name: "block", run: trust::block },
    Target { name: "configuration", run: trust::configuration },
    Target { name: "cluster", run: cluster::cluster },
    Target { name: "bounds", run: models::bounds },
    Target { name: "membership", run: models::membership },
    Target { name: "pull", run: models::pull },
    Target { name: "stores", run: models::stores },
];

/// Gives `bytes` to the target called `name`.
///
/// # Panics
/// If there is no such target, or if it finds something wrong.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.unwrap_or_else(|| panic!("no target is called {name}")).run)(bytes);
}
