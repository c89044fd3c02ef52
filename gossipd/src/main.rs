//! A gossip peer and its tools.
fn main() {}
