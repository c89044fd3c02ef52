//! Who may learn of whom (§15), and the messages that tell it.

use bytes::Bytes;
use gossip_proto::gossip::Envelope;

use crate::{
    CloseReason, OrgId, PkiId,
    wire::{self, Alive, Element, Elements},
};

use super::{Cx, Discovery, Effect, Peer, own::Response};

/// Somebody who is told about peers.
#[derive(Clone, Copy, Debug)]
struct Audience<'a> {
    org: Option<&'a OrgId>,
    own_org: &'a OrgId,
    has_external_endpoint: bool,
}

impl<'a> Audience<'a> {
    fn of(pki_id: &PkiId, has_external_endpoint: bool, cx: &Cx<'a>) -> Self {
        let (org, own_org) = (cx.identities.org(pki_id), &cx.config.org);
        Self { org, own_org, has_external_endpoint }
    }

    /// Says whether it may learn of a peer of an organisation (D-28 to D-31).
    fn may_learn_of(self, org: Option<&OrgId>, has_external_endpoint: bool) -> bool {
        let (Some(audience), Some(subject)) = (self.org, org) else {
            return false;
        };
        let is_foreign_pair = has_external_endpoint && self.has_external_endpoint;
        audience == subject || (subject == self.own_org && is_foreign_pair)
    }

    /// Returns what it may see of a message.
    ///
    /// The secret is for our organisation alone: whoever is not known to be of ours gets none,
    /// where Fabric strips it only for those known to be of another (D14.b).
    fn view(self, alive: &Alive) -> Envelope {
        if self.org == Some(self.own_org) {
            alive.envelope.clone()
        } else {
            alive.envelope_without_secret()
        }
    }

    /// Tells of peers, as far as there is room for it.
    fn tell_of<'p>(
        self,
        peers: impl Iterator<Item = (&'p PkiId, &'p Peer)>,
        kind: Element,
        room: usize,
        elements: &mut Elements,
        cx: &Cx<'_>,
    ) {
        for (pki_id, peer) in peers {
            if elements.len() >= room {
                break;
            }
            if self.may_learn_of(cx.org(pki_id), peer.endpoint.is_some()) {
                self.tell(kind, &peer.message, elements);
            }
        }
    }

    /// Tells what it may see of a message.
    fn tell(self, kind: Element, alive: &Alive, elements: &mut Elements) {
        if self.org == Some(self.own_org) {
            elements.push(kind, &alive.frame());
        } else {
            elements.push_public(kind, &alive.envelope);
        }
    }
}

impl Discovery {
    /// Sends a response, or ends the connection if not even we may be disclosed (D13.c).
    pub(super) fn respond(&self, response: &Response, own: &Alive, cx: &mut Cx<'_>) {
        let Response { to, ref endpoint, has_external_endpoint, nonce } = *response;
        if !self.may_know_us(&to, has_external_endpoint, cx) {
            let reason = CloseReason::NotDisclosed;
            return cx.emit(Effect::Disconnect { pki_id: to, reason });
        }
        let audience = Audience::of(&to, has_external_endpoint, cx);
        // Half a frame at most: the requester would close the connection over a larger one.
        let room = cx.config.limits.sent_frame_bytes_max / 2;
        let mut elements = Elements::default();
        audience.tell_of(self.peers.alive(), Element::First, room, &mut elements, cx);
        audience.tell(Element::First, own, &mut elements);
        audience.tell_of(self.peers.dead(), Element::Dead, room, &mut elements, cx);
        // We would not believe anything older than this: the requester can only outdo it.
        if let Some(last_words) = self.peers.last_words(&to) {
            audience.tell(Element::Dead, last_words, &mut elements);
        }
        let frame = wire::membership_response(&elements, nonce);
        cx.emit(Effect::Send { to, endpoint: endpoint.clone(), frame });
    }

    /// Says whether our own alive message may be disclosed.
    pub(super) fn may_know_us(&self, to: &PkiId, has_external: bool, cx: &Cx<'_>) -> bool {
        let audience = Audience::of(to, has_external, cx);
        audience.may_learn_of(Some(&cx.config.org), self.own.external_endpoint().is_some())
    }
}

/// Makes a request that carries our alive message, with its secret only to our own organisation
/// (D-37).
pub(super) fn request(to: &PkiId, own: &Alive, nonce: u64, cx: &Cx<'_>) -> Bytes {
    wire::membership_request(Audience::of(to, false, cx).view(own), nonce)
}
