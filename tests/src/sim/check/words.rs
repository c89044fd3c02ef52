//! What peers say about themselves is what their applications had them say.

use std::collections::BTreeMap;

use bytes::Bytes;
use gossip_core::{Chaincode, ChannelId, Command, PkiId};
use gossip_proto::gossip::{GossipMessage, gossip_message::Content};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::{Check, Facts, Seen};
use crate::sim::hash::Map;

/// A peer signs the metadata and the chaincodes that its application gave it last, and nobody's
/// view shows others than it ever signed.
#[derive(Debug)]
pub(super) struct Words {
    by_host: Vec<Host>,
    /// What honest peers signed, in order and without repetitions.
    metadata: Map<PkiId, Vec<Bytes>>,
    chaincodes: BTreeMap<(PkiId, ChannelId), Vec<Vec<Chaincode>>>,
}

/// What an application said last.
#[derive(Clone, Debug, Default)]
struct Host {
    own: Option<PkiId>,
    metadata: Bytes,
    chaincodes: BTreeMap<ChannelId, Vec<Chaincode>>,
}

impl Words {
    pub(super) fn new(hosts: usize) -> Self {
        Self {
            by_host: vec![Host::default(); hosts],
            metadata: Map::default(),
            chaincodes: BTreeMap::new(),
        }
    }

    fn signed(&mut self, host: usize, payload: &Bytes, facts: &Facts<'_>) -> Result<(), String> {
        let Ok(message) = GossipMessage::decode(payload.clone()) else { return Ok(()) };
        let last = &self.by_host[host];
        let Some(own) = last.own else { return Ok(()) };
        match message.content {
            Some(Content::AliveMsg(alive)) => {
                let metadata = alive.membership.unwrap_or_default().metadata;
                if metadata != last.metadata {
                    return Err(format!("signs {metadata:?} after it was told {last:?}"));
                }
                push_new(self.metadata.entry(own).or_default(), metadata);
            }
            Some(Content::StateInfo(info)) => {
                let is_it = |id: &&ChannelId| {
                    let hash =
                        Sha256::new().chain_update(own.as_bytes()).chain_update(id.as_bytes());
                    hash.finalize()[..] == *info.channel_mac
                };
                let mut ids = facts.layout.channels.iter().map(|channel| &channel.id);
                let Some(id) = ids.find(is_it) else { return Ok(()) };
                let listed = info.properties.unwrap_or_default().chaincodes;
                let listed = listed.into_iter().map(|of| (of.name, of.version));
                let listed = listed.map(|(name, version)| Chaincode { name, version });
                let listed: Vec<_> = listed.collect();
                if last.chaincodes.get(id).map_or(&[][..], Vec::as_slice) != listed {
                    return Err(format!("signs {listed:?} of {id} after it was told {last:?}"));
                }
                push_new(self.chaincodes.entry((own, id.clone())).or_default(), listed);
            }
            _ => {}
        }
        Ok(())
    }

    fn is_metadata_of(&self, peer: &PkiId, metadata: &Bytes) -> bool {
        let signed = self.metadata.get(peer).into_iter().flatten();
        signed.rev().any(|signed| signed == metadata)
    }
}

/// Appends what is not there yet as the last.
fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if list.last() != Some(&item) {
        list.push(item);
    }
}

impl Check for Words {
    fn name(&self) -> &'static str {
        "peers say what their applications say"
    }

    fn see(&mut self, host: usize, seen: &Seen<'_>, facts: &Facts<'_>) -> Result<(), String> {
        let is_honest = |peer: &PkiId| facts.issued.get(peer).is_some_and(|of| !of.is_byzantine);
        match *seen {
            Seen::Started { pki_id, .. } => {
                self.by_host[host] = Host { own: Some(pki_id), ..Host::default() };
            }
            Seen::Commanded(Command::SetMetadata { metadata }) => {
                self.by_host[host].metadata.clone_from(metadata);
            }
            Seen::Commanded(Command::SetChaincodes { channel, chaincodes }) => {
                self.by_host[host].chaincodes.insert(channel.clone(), chaincodes.clone());
            }
            Seen::Signed { payload } => return self.signed(host, payload, facts),
            Seen::View { members, .. } => {
                let is_true = |peer: &PkiId, said| self.is_metadata_of(peer, said);
                let mut members = members.iter().filter(|of| !is_true(of.pki_id, of.metadata));
                if let Some(member) = members.find(|member| is_honest(member.pki_id)) {
                    return Err(format!("shows metadata that nobody signed: {member:?}"));
                }
            }
            Seen::Channel { channel, peers } => {
                for peer in peers.iter().filter(|peer| is_honest(&peer.member.pki_id)) {
                    let signed = self.chaincodes.get(&(peer.member.pki_id, channel.clone()));
                    if !signed.is_some_and(|signed| signed.contains(&peer.chaincodes)) {
                        return Err(format!("shows chaincodes that nobody signed: {peer:?}"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
