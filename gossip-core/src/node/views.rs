//! What can be seen of a node from outside.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::{
    Chaincode, ChannelId, ConnId, Endpoint, Identity, OrgId, PkiId, Signed, Stamp, discovery::Peer,
    wire::StateInfo,
};

use super::{ChannelIx, Node};

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
    /// Lists the peers that are alive, by PKI-ID. Empty once stopped (D-47).
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        if self.stopped {
            return Vec::new();
        }
        self.discovery.alive().map(|(pki_id, peer)| self.member(pki_id, peer)).collect()
    }

    /// Lists the living members of a channel, by PKI-ID; `None` if it was not joined.
    ///
    /// Empty after leaving. Peers that left the channel are not listed (N-52).
    #[must_use]
    pub fn channel_peers(&self, channel: &ChannelId) -> Option<Vec<ChannelPeer>> {
        let ix = self.channel_ix(channel)?;
        let peer = |(pki_id, peer, info): (&PkiId, &Peer, &StateInfo)| ChannelPeer {
            member: self.member(pki_id, peer),
            ledger_height: info.height,
            chaincodes: info.chaincodes.clone(),
        };
        Some(self.living_members(ix).map(peer).collect())
    }

    /// Returns the number of blocks that we have, as others are told.
    #[must_use]
    pub fn ledger_height(&self, channel: &ChannelId) -> Option<u64> {
        Some(self.channels[self.channel_ix(channel)?.0 as usize].height())
    }

    /// Lists the known identities, ours among them, by PKI-ID.
    #[must_use]
    pub fn identities(&self) -> Vec<(PkiId, Identity, OrgId)> {
        self.identities.all()
    }

    /// Returns the signed connection message of the peer at the other end, while it is open.
    ///
    /// Fabric lets it prove what its sender may read on a channel (C-34).
    #[must_use]
    pub fn connection_proof(&self, conn: ConnId) -> Option<&Signed> {
        self.comm.auth(conn)
    }

    /// Iterates over the living members of a channel, by PKI-ID: not ourselves, nor those who left
    /// (N-52, CH-66); nobody once we have left (CH-67) or stopped.
    pub(super) fn living_members(
        &self,
        ix: ChannelIx,
    ) -> impl Iterator<Item = (&PkiId, &Peer, &StateInfo)> {
        let channel = &self.channels[ix.0 as usize];
        let is_open = !self.stopped && !channel.has_left();
        let peers = is_open.then(|| self.discovery.alive()).into_iter().flatten();
        peers.filter_map(|(pki_id, peer)| {
            let info = channel.info(pki_id).filter(|info| !info.left)?;
            self.identities.org(pki_id)?;
            Some((pki_id, peer, &**info))
        })
    }

    fn member(&self, pki_id: &PkiId, peer: &Peer) -> Member {
        Member {
            pki_id: *pki_id,
            org: self.identities.org(pki_id).cloned(),
            internal_endpoint: peer.internal_endpoint.clone(),
            external_endpoint: peer.endpoint.clone(),
            metadata: peer.metadata.clone(),
            stamp: peer.message.stamp,
        }
    }
}
