//! Leadership messages: taken, and sent on the application's word. Who leads is not decided here
//! (docs/protocol/60-channel.md §14, 80-election.md §2 and §3).

use alloc::boxed::Box;

use bytes::Bytes;
use gossip_proto::gossip::{Envelope, LeadershipMessage};
use prost::Message as _;

use crate::{
    ChannelId, CommandError, Fault, JobKind, Notice, Stamp,
    comm::{Frame, Lane},
    emitter::{Item, Sources},
    wire::{self, Leadership},
};

use super::{ChannelIx, Node, Verified, flights::What, inbound::Origin, jobs::Purpose};

impl Node {
    /// Signs a leadership message, to be sent to all who may elect with us (CH-61).
    pub(super) fn sign_leadership(
        &mut self,
        channel: &ChannelId,
        is_declaration: bool,
    ) -> Result<(), CommandError> {
        let ix = self.joined(channel)?;
        let stamp = self.channels[ix.0 as usize].next_leadership();
        let own = &self.config.pki_id;
        let payload = wire::leadership_payload(channel, own, stamp, is_declaration);
        let kind = JobKind::Sign { payload: payload.clone() };
        self.begin_job(kind, Purpose::SignLeadership { channel: ix, stamp, payload });
        Ok(())
    }

    /// Takes the signature of our leadership message; without one it is lost, the next may do. Nor
    /// is one sent whose signature comes after that of a newer one: it says what is no longer so.
    pub(super) fn on_leadership_signed(
        &mut self,
        ix: ChannelIx,
        stamp: Stamp,
        payload: Bytes,
        signature: Option<Bytes>,
    ) {
        let Some(signature) = signature else {
            return;
        };
        let channel = &mut self.channels[ix.0 as usize];
        if !channel.send_leadership(stamp) {
            return;
        }
        let channel = channel.id().clone();
        let envelope = Envelope { payload, signature, secret_envelope: None };
        let frame = envelope.encode_to_vec().into();
        let item = Item::Leadership(Box::new((channel, frame)));
        self.emitter.add(item, Sources::new());
    }

    /// Sends a leadership message to all members of the channel that are of our organisation
    /// (N-18): it is not passed on by anybody.
    pub(super) fn send_leadership(&mut self, channel: &ChannelId, frame: &Bytes) {
        let Some(ix) = self.channel_ix(channel) else {
            return;
        };
        let channel = &self.channels[ix.0 as usize];
        if !channel.has_org(&self.config.org) {
            return;
        }
        let mut receivers = self.alive_peers();
        receivers.retain(|peer| channel.is_eligible(peer) && self.is_own_org(peer));
        for peer in receivers {
            self.push(peer, Lane::Control, Frame::new(frame.clone()));
        }
    }

    /// Takes a leadership message: from us and of us, or not at all (CH-59).
    pub(super) fn on_leadership(
        &mut self,
        origin: Origin,
        channel: &Bytes,
        envelope: Envelope,
        message: &LeadershipMessage,
    ) -> Result<(), Fault> {
        let channel = self.channel_of_name(channel).ok_or(Fault::WrongChannel)?;
        self.check_sender(channel, &origin.from)?;
        if !self.is_own_org(&origin.from) {
            return Err(Fault::WrongOrg);
        }
        let bytes_max = self.config.limits.state_info_bytes_max;
        let leadership = Leadership::parse(envelope, message, bytes_max)?;
        self.admit(origin.claim(What::Leadership { channel, leadership: Box::new(leadership) }))
    }

    /// Checks what needs no signature.
    pub(super) fn check_leadership(
        &self,
        ix: ChannelIx,
        leadership: &Leadership,
    ) -> Result<(), Fault> {
        let author = &leadership.pki_id;
        let channel = &self.channels[ix.0 as usize];
        let is_news = channel.would_accept_leadership(author, leadership.stamp, self.clock.now);
        if *author == self.config.pki_id || !is_news {
            return Err(Fault::Stale);
        }
        let org = self.identities.org(author).ok_or(Fault::UnknownIdentity)?;
        if *org != self.config.org || !channel.has_org(org) {
            return Err(Fault::WrongOrg);
        }
        wire::check_signed(&leadership.envelope)
    }

    /// Tells of a leadership message that holds, if it is still news (N-14, CH-60).
    pub(super) fn on_leadership_verified(
        &mut self,
        ix: ChannelIx,
        leadership: &Verified<Box<Leadership>>,
    ) {
        if let Err(fault) = self.check_leadership(ix, leadership) {
            return self.stats.count(fault);
        }
        let Leadership { pki_id, stamp, is_declaration, .. } = ***leadership;
        let now = self.clock.now;
        let channel = &mut self.channels[ix.0 as usize];
        channel.note_leadership(pki_id, stamp, now);
        let channel = channel.id().clone();
        self.stats.unique_messages += 1;
        self.notify(Notice::Leadership { channel, pki_id, stamp, is_declaration });
    }
}
