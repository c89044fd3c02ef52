//! What peers say about themselves is what their applications had them say.

use std::collections::BTreeMap;

use bytes::Bytes;
use gossip_core::{Chaincode, ChannelId, Command, PkiId};
use gossip_proto::gossip::{GossipMessage, gossip_message::Content};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::{Check, Facts, Seen};
use crate::sim::layout::Channel;

/// A peer signs the metadata and the chaincodes that its application gave it last, and nobody
/// shows chaincodes of a peer that it never signed.
#[derive(Debug)]
pub(super) struct Words {
    by_host: Vec<Host>,
    /// What honest peers signed, in order and without repetitions.
    chaincodes: BTreeMap<(PkiId, ChannelId), Vec<Vec<Chaincode>>>,
}

/// What an application said last.
#[derive(Clone, Debug, Default)]
struct Host {
    own: Option<PkiId>,
    /// How it names each channel in what it signs.
    macs: Vec<(Bytes, ChannelId)>,
    metadata: Bytes,
    chaincodes: BTreeMap<ChannelId, Vec<Chaincode>>,
}

impl Words {
    pub(super) fn new(hosts: usize) -> Self {
        Self { by_host: vec![Host::default(); hosts], chaincodes: BTreeMap::new() }
    }

    fn signed(&mut self, host: usize, payload: &Bytes) -> Result<(), String> {
        let Ok(message) = GossipMessage::decode(payload.clone()) else { return Ok(()) };
        let last = &self.by_host[host];
        let Some(own) = last.own else { return Ok(()) };
        match message.content {
            Some(Content::AliveMsg(alive)) => {
                let metadata = alive.membership.unwrap_or_default().metadata;
                if metadata != last.metadata {
                    return Err(format!("signs {metadata:?} after it was told {last:?}"));
                }
            }
            Some(Content::StateInfo(info)) => {
                let mut named = last.macs.iter().filter(|(mac, _)| *mac == info.channel_mac);
                let Some((_, id)) = named.next() else { return Ok(()) };
                let listed = info.properties.unwrap_or_default().chaincodes;
                let listed = listed.into_iter().map(|of| (of.name, of.version));
                let listed = listed.map(|(name, version)| Chaincode { name, version });
                let listed: Vec<_> = listed.collect();
                if last.chaincodes.get(id).map_or(&[][..], Vec::as_slice) != listed {
                    return Err(format!("signs {listed:?} of {id} after it was told {last:?}"));
                }
                let signed = self.chaincodes.entry((own, id.clone())).or_default();
                if signed.last() != Some(&listed) {
                    signed.push(listed);
                }
            }
            _ => {}
        }
        Ok(())
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
                let macs = facts.layout.channels.iter().map(|Channel { id, .. }| {
                    let named = Sha256::new().chain_update(pki_id.as_bytes());
                    let mac = named.chain_update(id.as_bytes()).finalize();
                    (Bytes::copy_from_slice(&mac), id.clone())
                });
                let macs = macs.collect();
                self.by_host[host] = Host { own: Some(pki_id), macs, ..Host::default() };
            }
            Seen::Commanded(Command::SetMetadata { metadata }) => {
                self.by_host[host].metadata.clone_from(metadata);
            }
            Seen::Commanded(Command::SetChaincodes { channel, chaincodes }) => {
                self.by_host[host].chaincodes.insert(channel.clone(), chaincodes.clone());
            }
            Seen::Signed { payload } => return self.signed(host, payload),
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
