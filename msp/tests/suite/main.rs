//! Everything the crate promises, against recorded data and made certificates.

mod authority;
mod block_vectors;
mod certificates;
mod chain;
mod configuration;
mod consenters;
mod fabric_chain;
mod keys;
mod made_channel;
mod malformed;
mod network;
mod organisations;
mod policies;
mod rules;
mod signing;
mod succession;
mod trust;
mod vectors;
