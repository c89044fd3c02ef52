//! What can be seen of a node from outside.

use alloc::vec::Vec;

use crate::{ChannelId, Chaincode, Endpoint, Identity, OrgId, PkiId, Stamp};
use bytes::Bytes;

use super::Node;

/// A peer that is alive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Who.
    pub pki_id: PkiId,
    /// Its organisation, if its identity is still known.
    pub org: Option<OrgId>,
    /// Where its own organisation reaches it, as far as we were told.
    pub internal_endpoint: Option<Endpoint>,
    /// Where other organisations reach it.
    pub external_endpoint: Option<Endpoint>,
    /// What it says about itself.
    pub metadata: Bytes,
    /// The version of its last proof of life.
    pub stamp: Stamp,
}

/// A member of a channel that is alive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChannelPeer {
    /// The peer.
    pub member: Member,
    /// The number of blocks that it has.
    pub ledger_height: u64,
    /// The chaincodes that it has.
    pub chaincodes: Vec<Chaincode>,
}

impl Node {
    /// Lists the peers that are alive, by PKI-ID.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        Vec::new()
    }

    /// Lists the living members of a channel, by PKI-ID; `None` if it was not joined.
    ///
    /// Empty after leaving. Peers that left the channel are not listed (N-52).
    #[must_use]
    pub fn channel_peers(&self, _channel: &ChannelId) -> Option<Vec<ChannelPeer>> {
        None
    }

    /// Returns the number of blocks that we have told others we have.
    #[must_use]
    pub fn ledger_height(&self, _channel: &ChannelId) -> Option<u64> {
        None
    }

    /// Lists the known identities, ours among them, by PKI-ID.
    #[must_use]
    pub fn identities(&self) -> Vec<(PkiId, Identity, OrgId)> {
        Vec::new()
    }
}
