//! Messages that are lists: each element stands for itself, and most say nothing new.

use alloc::{collections::BTreeSet, vec::Vec};

use bytes::Bytes;
use gossip_proto::gossip::{Envelope, MembershipResponse, StateInfoSnapshot};
use prost::Message;

use crate::{
    Fault, PkiId, pull,
    wire::{self, Alive, Items, List, Name, StateInfo, Tag},
};

use super::{
    ChannelIx, Node,
    flights::{AliveRole, InfoRole, What},
    inbound::{Origin, check_tag},
    pull::{Puller, Step},
};

impl Node {
    /// Takes a list that was read in place.
    pub(super) fn on_list(&mut self, origin: Origin, list: List<'_>) -> Result<(), Fault> {
        let List { nonce, channel, tag, items } = list;
        match items {
            Items::Members { alive, dead } => {
                check_tag(tag, Tag::Empty)?;
                self.on_members(origin, nonce, &alive, &dead)
            }
            Items::Infos(infos) => {
                check_tag(tag, Tag::ChanOrOrg)?;
                self.on_infos(origin, channel, &infos)
            }
            Items::Digest { nonce, msg_type, ids } => {
                wire::is_pull_legal(tag, msg_type).then_some(()).ok_or(Fault::IllegalTag)?;
                self.on_pull(origin, channel, msg_type, nonce, Step::Digest(ids))
            }
        }
    }

    /// Takes a membership response that was not plain enough to be read in place.
    pub(super) fn on_membership_response(
        &mut self,
        origin: Origin,
        response: &MembershipResponse,
        nonce: u64,
    ) -> Result<(), Fault> {
        let (alive, dead) = (serialized(&response.alive), serialized(&response.dead));
        self.on_members(origin, nonce, &slices(&alive), &slices(&dead))
    }

    /// Takes a snapshot that was not plain enough to be read in place.
    pub(super) fn on_snapshot(
        &mut self,
        origin: Origin,
        channel: &[u8],
        snapshot: &StateInfoSnapshot,
    ) -> Result<(), Fault> {
        self.on_infos(origin, channel, &slices(&serialized(&snapshot.elements)))
    }

    /// Takes a list of members; one that is no alive message ends it (D-33).
    fn on_members(
        &mut self,
        origin: Origin,
        nonce: u64,
        alive: &[&[u8]],
        dead: &[&[u8]],
    ) -> Result<(), Fault> {
        self.discovery(|discovery, cx| discovery.on_response(nonce, cx));
        let alive = alive.iter().map(|element| (*element, AliveRole::ResponseAlive));
        let dead = dead.iter().map(|element| (*element, AliveRole::ResponseDead));
        for (element, role) in alive.chain(dead).take(self.config.limits.elements_max) {
            let is_known = |Name { pki_id, mac, stamp }| {
                mac.is_none() && self.discovery.outdoes(&pki_id, stamp)
            };
            if wire::name(element).is_some_and(is_known) {
                self.stats.count(Fault::Stale);
                continue;
            }
            match Alive::parse_frame(own(element), self.config.limits.member_bytes_max) {
                Ok(alive) => self.admit_element(origin.claim(What::Alive { alive, role })),
                Err(Fault::Undecodable) => return self.on_bad_element(origin, element),
                Err(fault) => self.blame(origin.conn, Some(origin.from), fault),
            }
        }
        Ok(())
    }

    /// Takes a list of StateInfo messages; one that cannot be meant for this channel ends it
    /// (CH-37), one whose author we do not know yet does not.
    fn on_infos(
        &mut self,
        origin: Origin,
        channel: &[u8],
        elements: &[&[u8]],
    ) -> Result<(), Fault> {
        let ix = self.channel_of_name(channel).ok_or(Fault::WrongChannel)?;
        self.check_sender(ix, &origin.from)?;
        let mut news = 0;
        for element in elements.iter().take(self.config.limits.elements_max) {
            if wire::name(element).is_some_and(|name| self.outdoes(ix, &name)) {
                self.stats.count(Fault::Stale);
                continue;
            }
            let bytes_max = self.config.limits.state_info_bytes_max;
            let info = match StateInfo::parse_frame(own(element), bytes_max) {
                Ok(info) => info,
                Err(Fault::Undecodable) => return self.on_bad_element(origin, element),
                Err(fault) => return Err(fault),
            };
            if !self.is_mac_of(ix, &info.pki_id, &info.mac) {
                return Err(Fault::WrongChannel);
            }
            if self.identities.org(&info.pki_id).is_none() {
                self.blame(origin.conn, Some(origin.from), Fault::UnknownIdentity);
                continue;
            }
            if !self.discovery.knows(&info.pki_id) {
                self.stats.count(Fault::UnknownIdentity);
                continue;
            }
            let what = What::Info { info, role: InfoRole::Element, channel: Some(ix) };
            self.admit_element(origin.claim(what));
            news += 1;
        }
        self.channel(ix, |channel, cx| channel.on_snapshot(elements.len(), news, cx));
        Ok(())
    }

    /// Says whether what the author is known to have said on a channel is as new as this.
    fn outdoes(&self, ix: ChannelIx, name: &Name) -> bool {
        let known = self.channels[ix.0 as usize].info(&name.pki_id);
        known.is_some_and(|known| Some(known.mac) == name.mac && known.stamp >= name.stamp)
    }

    /// Ends a list at an element that is not what the list is of; it is no message at all if the
    /// element is no envelope (W-39).
    fn on_bad_element(&mut self, origin: Origin, element: &[u8]) -> Result<(), Fault> {
        if Envelope::decode(element).is_ok() {
            return Err(Fault::Undecodable);
        }
        self.end(origin.conn, Fault::Undecodable);
        Ok(())
    }

    /// Picks from a digest what we want.
    pub(super) fn wanted(&self, puller: Puller, from: &PkiId, ids: &[&[u8]]) -> BTreeSet<Bytes> {
        let is_wanted = |id: &&&[u8]| match puller {
            Puller::Identities => self.wants_identity(from, id),
            Puller::Blocks(ix) => self.wants_block(ix, id),
        };
        let ids = ids.get(..self.config.limits.pull_ids_max).unwrap_or(ids);
        let ids = match puller {
            Puller::Identities => self.identity_pull.unknown(ids),
            Puller::Blocks(_) => ids,
        };
        let wanted = pull::moderate(ids, &self.config.limits).filter(is_wanted);
        // Copies: the bytes are part of a larger receive buffer.
        wanted.map(|id| Bytes::copy_from_slice(id)).collect()
    }
}

/// Copies an element: while it waits it must not keep the list alive.
fn own(element: &[u8]) -> Bytes {
    Bytes::copy_from_slice(element)
}

fn serialized(envelopes: &[Envelope]) -> Vec<Vec<u8>> {
    envelopes.iter().map(Message::encode_to_vec).collect()
}

fn slices<T: AsRef<[u8]>>(elements: &[T]) -> Vec<&[u8]> {
    elements.iter().map(AsRef::as_ref).collect()
}
