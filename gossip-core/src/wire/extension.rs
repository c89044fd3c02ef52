//! What peers can do beyond the protocol: bits in a field of the alive message that Fabric's peers
//! skip. It is signed with the rest, and passed on by all.

/// Blocks are passed on down the [tree](crate::tree).
pub(crate) const BLOCK_TREE: u64 = 1;
