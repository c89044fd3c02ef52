//! What the subsystems want done: carried out, or passed to another subsystem.

use alloc::{boxed::Box, vec::Vec};
use core::iter::Peekable;

use crate::{
    CloseReason, JobKind, Notice, OrgId, PkiId, UnixTime,
    channel::{self, Channel},
    comm::{self, Frame, Lane, Unproven},
    discovery,
    emitter::{Item, Sources},
    pull::Engine,
};

use super::{
    ChannelIx, Node, TimerKey, flights::Waiter, jobs::Purpose, pull::Puller, roster::Audience,
};

impl Node {
    pub(super) fn on_comm_effect(&mut self, effect: comm::Effect) {
        match effect {
            comm::Effect::SignOwn { key, payload } => {
                let kind = JobKind::Sign { payload: payload.clone() };
                self.begin_job(kind, Purpose::SignConn { key, payload });
            }
            comm::Effect::ValidateIdentity { conn, identity } => {
                if let Err(fault) = self.await_identity(&identity, Waiter::Conn(conn)) {
                    self.comm(|comm, cx| comm.on_identity(conn, Err(fault), cx));
                }
            }
            comm::Effect::Verify(unproven) => {
                let Unproven { conn, pki_id, identity, message, secret } = *unproven;
                let proof = (message.clone(), secret.clone());
                // A peer shows the same message on each of its connections.
                if self.flights.await_proof(proof.clone(), conn) {
                    let kind = JobKind::Verify { identity, message, secret };
                    let proof = Box::new(proof);
                    self.begin_job(kind, Purpose::Handshake { pki_id, proof });
                }
            }
            comm::Effect::Opened { conn, pki_id, inbound } => {
                self.identities.use_of(&pki_id, self.clock.now);
                self.notify(Notice::ConnectionOpened { conn, pki_id, inbound });
                self.stir();
            }
            comm::Effect::Closed { conn, pki_id, reason } => {
                self.notify(Notice::ConnectionClosed { conn, pki_id, reason });
            }
            comm::Effect::Deliver { conn, frame } => self.take_frame(conn, frame),
            comm::Effect::PresumedDead { pki_id } => {
                self.discovery(|discovery, cx| discovery.on_presumed_dead(&pki_id, cx));
                self.on_unreachable(pki_id);
            }
            comm::Effect::IdentitySwitched { old } => {
                self.discovery(|discovery, cx| discovery.on_identity_removed(&old, cx));
            }
            comm::Effect::PingDone { pki_id, alive } => {
                self.discovery(|discovery, cx| discovery.on_ping(pki_id, alive, cx));
            }
            comm::Effect::ContactDone { contact, found } => {
                self.discovery(|discovery, cx| discovery.on_handshake(contact, found, cx));
            }
            comm::Effect::DialFailed { endpoint, error } => {
                self.notify(Notice::DialFailed { endpoint, error });
            }
            comm::Effect::HandshakeFailed { conn, remote, fault } => {
                self.notify(Notice::HandshakeFailed { conn, remote, fault });
            }
            comm::Effect::SetTimer { timer, at } => self.set_timer(TimerKey::Comm(timer), at),
            comm::Effect::CancelTimer(timer) => self.timers.cancel(TimerKey::Comm(timer)),
        }
    }

    pub(super) fn on_discovery_effect(&mut self, effect: discovery::Effect) {
        match effect {
            discovery::Effect::SignAlive { payload } => {
                let kind = JobKind::Sign { payload: payload.clone() };
                self.begin_job(kind, Purpose::SignAlive { payload });
            }
            discovery::Effect::SignSecret { payload } => {
                let kind = JobKind::Sign { payload: payload.clone() };
                self.begin_job(kind, Purpose::SignSecret { payload });
            }
            discovery::Effect::Gossip(alive) => {
                self.emitter.add(Item::Alive(alive), Sources::new());
            }
            discovery::Effect::Forward { alive, sources } => {
                self.forward(Item::Alive(alive), sources);
            }
            discovery::Effect::Send { to, endpoint, frame } => {
                self.comm(|comm, cx| {
                    comm.send(to, endpoint, Lane::Control, Frame::new(frame), cx);
                });
            }
            discovery::Effect::Disconnect { pki_id, reason } => {
                self.comm(|comm, cx| comm.close_peer(&pki_id, reason, cx));
            }
            discovery::Effect::Ping { pki_id, endpoint } => {
                self.comm(|comm, cx| comm.ping(pki_id, endpoint, cx));
            }
            discovery::Effect::Handshake { contact, endpoint } => {
                self.comm(|comm, cx| comm.contact(contact, endpoint, cx));
            }
            discovery::Effect::MemberAlive { pki_id } => {
                let endpoint = self.discovery.preferred_endpoint(&pki_id);
                self.notify(Notice::MemberAlive { pki_id, endpoint });
                self.comm(|comm, cx| comm.on_met(pki_id, cx));
                self.pull(Puller::Identities, Engine::stir);
                self.on_company(Some(pki_id));
            }
            discovery::Effect::MemberDead { pki_id } => {
                self.notify(Notice::MemberDead { pki_id });
                self.comm(|comm, cx| comm.close_peer(&pki_id, CloseReason::PeerDead, cx));
                self.on_company(None);
            }
            discovery::Effect::MemberForgotten { pki_id } => {
                self.notify(Notice::MemberForgotten { pki_id });
                self.on_company(None);
            }
            discovery::Effect::SetTimer { timer, at } => {
                self.set_timer(TimerKey::Discovery(timer), at);
            }
            discovery::Effect::CancelTimer(timer) => {
                self.timers.cancel(TimerKey::Discovery(timer));
            }
        }
    }

    pub(super) fn on_channel_effect(&mut self, ix: ChannelIx, effect: channel::Effect) {
        match effect {
            channel::Effect::Sign { payload } => {
                let kind = JobKind::Sign { payload: payload.clone() };
                self.begin_job(kind, Purpose::SignInfo { channel: ix, payload });
            }
            channel::Effect::Gossip(info) => {
                self.emitter.add(Item::StateInfo(info), Sources::new());
            }
            channel::Effect::Commit { number, block } => {
                let channel = self.channels[ix.0 as usize].id().clone();
                let kind = JobKind::Commit { channel, number, block };
                self.begin_job(kind, Purpose::Commit { channel: ix, number });
            }
            channel::Effect::SetTimer { timer, at } => {
                self.set_timer(TimerKey::Channel(ix, timer), at);
            }
        }
    }

    /// Asks soon for what may have been missed: before a connection was made another may have been
    /// lost, with what was on its way.
    fn stir(&mut self) {
        self.pull(Puller::Identities, Engine::stir);
        for ix in self.channel_ixs() {
            self.pull(Puller::Blocks(ix), Engine::stir);
            self.channel(ix, Channel::stir);
        }
    }

    /// Tells the channels who is alive.
    fn on_company(&mut self, newcomer: Option<PkiId>) {
        let has_company = self.discovery.alive_len() > 0;
        for ix in self.channel_ixs() {
            let channel = &self.channels[ix.0 as usize];
            let org = newcomer.and_then(|pki_id| self.identities.org(&pki_id));
            let is_newcomer = org.is_some_and(|org| channel.has_org(org))
                && newcomer.is_some_and(|pki_id| channel.info(&pki_id).is_none());
            self.channel(ix, |channel, cx| channel.on_company(has_company, is_newcomer, cx));
        }
    }

    /// Takes the wall clock's reading.
    pub(super) fn on_wall_clock(&mut self, time: UnixTime) {
        (self.clock.wall, self.clock.wall_at) = (time, self.clock.now);
        self.expire_identities();
    }

    /// Asks peers for what they know of a channel's members: first those of whom we know nothing.
    ///
    /// Requests rest only among those who pass things on along trees. One in sixteen misses what
    /// others pass on to whom they like: there is always something to ask for.
    pub(super) fn request_state_info(&mut self, ix: ChannelIx) {
        self.refresh_roster();
        let channel = &self.channels[ix.0 as usize];
        let members =
            self.discovery.alive().map(|(pki_id, _)| *pki_id).filter(|pki_id| {
                self.identities.org(pki_id).is_some_and(|org| channel.has_org(org))
            });
        let mut authors = channel.authors().peekable();
        let (mut lacking, mut known): (Vec<_>, Vec<_>) =
            members.partition(|pki_id| !is_among(&mut authors, pki_id));
        drop(authors);
        let has_org = |_, org: &OrgId| channel.has_org(org);
        let audience = Audience { is_public: false, has_org };
        let all_follow = self.roster.all_follow(&audience, &self.config.pki_id);
        let is_complete = lacking.is_empty();
        // Where nothing is lacking, one answer makes up for what was not pushed to us.
        let count = self.config.pull_peer_num.min(if is_complete { 1 } else { usize::MAX });
        self.rngs.routing.choose(&mut lacking, count);
        let rest = count.saturating_sub(lacking.len());
        self.rngs.routing.choose(&mut known, rest);
        let frame = crate::wire::state_info_request(channel.mac());
        for pki_id in lacking.into_iter().chain(known) {
            let endpoint = self.discovery.preferred_endpoint(&pki_id);
            let frame = Frame::new(frame.clone());
            self.comm(|comm, cx| comm.send(pki_id, endpoint, Lane::Control, frame, cx));
        }
        self.channel(ix, |channel, cx| {
            if !all_follow {
                channel.stir(cx);
            }
            channel.on_requested(is_complete, cx);
        });
    }

    pub(super) fn sweep_channel(&mut self, ix: ChannelIx) {
        let mut known: alloc::collections::BTreeSet<PkiId> = alloc::collections::BTreeSet::new();
        let channel = &self.channels[ix.0 as usize];
        known.extend(channel.authors().filter(|author| self.discovery.knows(author)));
        self.channel(ix, |channel, cx| channel.sweep(|author| known.contains(author), cx));
    }
}

/// Says whether a peer is among others; both are asked for in the order of their PKI-IDs.
fn is_among(others: &mut Peekable<impl Iterator<Item = PkiId>>, peer: &PkiId) -> bool {
    while others.next_if(|other| other < peer).is_some() {}
    others.peek() == Some(peer)
}
