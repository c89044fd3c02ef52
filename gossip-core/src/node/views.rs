//! What can be seen of a node from outside.

use alloc::{string::String, vec::Vec};

use bytes::Bytes;
use gossip_proto::gossip::Envelope;

use crate::{
    Chaincode, ChannelId, ConnId, Endpoint, Identity, Instant, OrgId, PkiId, Signed, Stamp,
    discovery::Peer, wire::StateInfo,
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

/// What of a [`Member`] can be looked at without a copy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MemberView<'a> {
    /// Who.
    pub pki_id: &'a PkiId,
    /// Where its own organisation reaches it, as far as we were told.
    pub internal_endpoint: Option<&'a Endpoint>,
    /// Where other organisations reach it.
    pub external_endpoint: Option<&'a Endpoint>,
    /// What it says about itself.
    pub metadata: &'a Bytes,
    /// The version of its last proof of life.
    pub stamp: Stamp,
}

/// A peer that is known, alive or dead.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KnownPeer {
    /// The peer.
    pub member: Member,
    /// Whether it is alive.
    pub is_alive: bool,
    /// Since when it is, or is not.
    pub since: Instant,
    /// The connection that is in use with it.
    pub connection: Option<OpenConnection>,
}

/// A connection on which a peer was authenticated.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OpenConnection {
    /// Its name.
    pub conn: ConnId,
    /// Whether the remote dialled.
    pub inbound: bool,
    /// The remote's transport address.
    pub remote: String,
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

/// What a peer said about itself on a channel, as it signed it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChannelStatement {
    /// Its version.
    pub stamp: Stamp,
    /// The number of blocks that it has.
    pub ledger_height: u64,
    /// The chaincodes that it has.
    pub chaincodes: Vec<Chaincode>,
    /// Whether it left the channel.
    pub left: bool,
    /// The serialized message and its signature.
    pub signed: Signed,
}

/// What a policy can be evaluated over for a member of a channel: its identity, and a signature of
/// its own (60-channel.md §16.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerProof {
    /// Who.
    pub pki_id: PkiId,
    /// Its identity.
    pub identity: Identity,
    /// What it last said about itself on the channel.
    pub signed: Signed,
}

impl Member {
    /// Returns what can be looked at without a copy.
    #[must_use]
    pub fn view(&self) -> MemberView<'_> {
        MemberView {
            pki_id: &self.pki_id,
            internal_endpoint: self.internal_endpoint.as_ref(),
            external_endpoint: self.external_endpoint.as_ref(),
            metadata: &self.metadata,
            stamp: self.stamp,
        }
    }
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

    /// Iterates over the peers that are alive, by PKI-ID. Empty once stopped (D-47).
    pub fn member_views(&self) -> impl Iterator<Item = MemberView<'_>> {
        let alive = (!self.stopped).then(|| self.discovery.alive()).into_iter().flatten();
        alive.map(|(pki_id, peer)| MemberView {
            pki_id,
            internal_endpoint: peer.internal_endpoint.as_ref(),
            external_endpoint: peer.endpoint.as_ref(),
            metadata: &peer.metadata,
            stamp: peer.message.stamp,
        })
    }

    /// Lists the peers that are known, the living first, each by PKI-ID. Empty once stopped.
    ///
    /// The dead are forgotten after a while, or when their identity expires.
    #[must_use]
    pub fn known_peers(&self) -> Vec<KnownPeer> {
        if self.stopped {
            return Vec::new();
        }
        let known =
            |(pki_id, peer): (&PkiId, &Peer)| KnownPeer {
                member: self.member(pki_id, peer),
                is_alive: peer.is_alive(),
                since: peer.since,
                connection: self.comm.in_use(pki_id).map(|(conn, inbound, remote)| {
                    OpenConnection { conn, inbound, remote: remote.into() }
                }),
            };
        self.discovery.alive().chain(self.discovery.dead()).map(known).collect()
    }

    /// Lists the channels that were joined and not left, by name.
    #[must_use]
    pub fn channels(&self) -> Vec<ChannelId> {
        let joined = self.channels.iter().filter(|channel| !channel.has_left());
        let mut names: Vec<_> = joined.map(|channel| channel.id().clone()).collect();
        names.sort_unstable();
        names
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

    /// Counts the living members of a channel; `None` if it was not joined (CH-68).
    #[must_use]
    pub fn channel_size(&self, channel: &ChannelId) -> Option<usize> {
        Some(self.living_members(self.channel_ix(channel)?).count())
    }

    /// Lists what a policy needs to know of the living members of a channel, by PKI-ID; `None` if
    /// it was not joined. Fabric's `PeerFilter` asks its criterion over these.
    #[must_use]
    pub fn channel_proofs(&self, channel: &ChannelId) -> Option<Vec<PeerProof>> {
        let proof = |(pki_id, _, info): (&PkiId, &Peer, &StateInfo)| {
            let identity = self.identities.get(pki_id)?.clone();
            Some(PeerProof { pki_id: *pki_id, identity, signed: signed(info) })
        };
        Some(self.living_members(self.channel_ix(channel)?).filter_map(proof).collect())
    }

    /// Returns what we say about ourselves. Nothing is signed and no version used up for it.
    #[must_use]
    pub fn self_membership(&self) -> Member {
        let (metadata, stamp) = self.discovery.own_statement();
        Member {
            pki_id: self.config.pki_id,
            org: Some(self.config.org.clone()),
            internal_endpoint: Some(self.config.endpoint.clone()),
            external_endpoint: self.config.external_endpoint.clone(),
            metadata: metadata.clone(),
            stamp,
        }
    }

    /// Returns what we last said about ourselves on a channel; `None` if we have not yet, or it was
    /// not joined.
    #[must_use]
    pub fn self_channel(&self, channel: &ChannelId) -> Option<ChannelStatement> {
        let channel = &self.channels[self.channel_ix(channel)?.0 as usize];
        let info = channel.info(&self.config.pki_id)?;
        Some(ChannelStatement {
            stamp: info.stamp,
            ledger_height: info.height,
            chaincodes: info.chaincodes.clone(),
            left: info.left,
            signed: signed(info),
        })
    }

    /// Says whether a peer is known to be of our organisation; we are.
    #[must_use]
    pub fn is_in_my_org(&self, pki_id: &PkiId) -> bool {
        self.is_own_org(pki_id)
    }

    /// Returns a peer's identity and the organisation that vouches for it, if it is known.
    #[must_use]
    pub fn identity(&self, pki_id: &PkiId) -> Option<(&Identity, &OrgId)> {
        self.identities.get(pki_id).zip(self.identities.org(pki_id))
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

fn signed(info: &StateInfo) -> Signed {
    let Envelope { payload, signature, secret_envelope: _ } = &info.envelope;
    Signed { payload: payload.clone(), signature: signature.clone() }
}
