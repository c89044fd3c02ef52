//! Everything the crate promises, against recorded data and made certificates.

mod authority;
mod chain;
mod fabric_chain;
mod rules;
mod signing;
mod vectors;
