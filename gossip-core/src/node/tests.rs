//! Whole nodes, in virtual time; the items are those of docs/protocol/.

mod hand;
mod membership;
mod net;
