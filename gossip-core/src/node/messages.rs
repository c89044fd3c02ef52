//! Messages between applications: sent to whom they name, and handed to those who asked for them
//! (docs/protocol/40-emitter-and-node.md §11).

use alloc::{collections::BTreeSet, vec::Vec};

use bytes::Bytes;
use gossip_proto::gossip::{GossipMessage, PrivateDataMessage, gossip_message::Content};

use crate::{
    Acks, ChannelId, CommandError, ConnId, Criteria, Fault, Message, MessageKind, Notice, PkiId,
    RequestId,
    comm::{Frame, Lane, Progress},
    wire,
};

use super::{Node, TimerKey, inbound::Origin, requests::Finished};

impl Node {
    /// Sends a message to some peers, and tells how they answered (N-46, N-47).
    pub(super) fn send_by_criteria(
        &mut self,
        request: RequestId,
        message: &Message,
        criteria: Criteria,
    ) -> Result<(), CommandError> {
        let Criteria { channel, to, max_peers, min_ack, timeout } = criteria;
        if self.requests.contains(request) {
            return Err(CommandError::RequestInUse(request));
        }
        if max_peers == 0 {
            self.notify(Notice::SendFinished { request, result: Ok(Acks::default()) });
            return Ok(());
        }
        if timeout.is_zero() {
            return Err(CommandError::NoTimeout);
        }
        let nonce = self.free_nonce();
        let frame = self.frame_of(message, nonce)?;
        let mut peers = self.candidates(channel.as_ref(), to)?;
        if peers.len().min(max_peers) < min_ack {
            let known = peers.len().min(max_peers);
            return Err(CommandError::TooFewPeers { wanted: min_ack, known });
        }
        let requests_max = self.config.limits.requests_max;
        if min_ack > 0 && self.requests.len() >= requests_max {
            return Err(CommandError::TooManyRequests { max: requests_max });
        }
        self.rngs.requests.choose(&mut peers, max_peers);
        if min_ack == 0 {
            // Nobody is waited for: an optional copy must not delay anybody (Q90-7).
            for peer in &peers {
                self.send_message(*peer, &frame);
            }
            peers.sort_unstable();
            let acks = Acks { unanswered: peers, ..Acks::default() };
            self.notify(Notice::SendFinished { request, result: Ok(acks) });
            return Ok(());
        }
        let deadline = self.clock.now + timeout;
        self.requests.begin(nonce, request, min_ack, peers.clone(), deadline);
        for peer in peers {
            if !self.send_message(peer, &frame) {
                self.on_answer(nonce, peer, UNREACHABLE);
            }
        }
        self.arm_requests();
        Ok(())
    }

    /// Sends a message to each of these peers, as far as they can be reached, and waits for nobody.
    pub(super) fn send_to(
        &mut self,
        message: &Message,
        nonce: u64,
        to: &[PkiId],
    ) -> Result<(), CommandError> {
        let frame = self.frame_of(message, nonce)?;
        for peer in to {
            self.send_message(*peer, &frame);
        }
        Ok(())
    }

    /// Answers a message on the connection that it came on.
    pub(super) fn respond(
        &mut self,
        conn: ConnId,
        nonce: u64,
        message: &Message,
    ) -> Result<(), CommandError> {
        self.check_open(conn)?;
        let frame = Frame::new(self.frame_of(message, nonce)?);
        self.comm(|comm, cx| comm.respond(conn, Lane::Reply, frame, cx));
        Ok(())
    }

    /// Says whether a message was taken, on the connection that it came on (W-30, CH-65).
    pub(super) fn acknowledge(
        &mut self,
        conn: ConnId,
        nonce: u64,
        error: Option<&str>,
    ) -> Result<(), CommandError> {
        self.check_open(conn)?;
        let error = match error {
            // On the wire an empty text means that all is well.
            Some("") => "refused without a reason",
            error => error.unwrap_or_default(),
        };
        let frame = self.fitting(wire::ack(nonce, error))?;
        self.comm(|comm, cx| comm.respond(conn, Lane::Control, Frame::new(frame), cx));
        Ok(())
    }

    /// Takes what the main path never sees: acknowledgements, private data, and what is of no use
    /// here, connection messages (W-41) among it. Its tag is not checked (W-22, N-9).
    pub(super) fn on_unchecked(
        &mut self,
        origin: Origin,
        payload: &Bytes,
        message: GossipMessage,
    ) -> Result<(), Fault> {
        let GossipMessage { nonce, channel, tag: _, content } = message;
        let kind = match content {
            Some(Content::Ack(ack)) => {
                self.on_answer(nonce, origin.from, &ack.error);
                self.arm_requests();
                return Ok(());
            }
            Some(Content::PrivateData(data)) => {
                return self.on_private_data(origin, nonce, channel, payload, &data);
            }
            Some(Content::StateRequest(request)) => {
                return self.on_state_request(origin, &channel, nonce, request);
            }
            Some(Content::StateResponse(response)) => {
                return self.on_state_response(origin, &channel, nonce, response);
            }
            Some(Content::PrivateReq(_)) => MessageKind::PrivateRequest,
            Some(Content::PrivateRes(_)) => MessageKind::PrivateResponse,
            _ => return Ok(()),
        };
        self.on_carried(origin, nonce, channel, payload, kind)
    }

    /// Hands a message to the application, if it takes messages of this kind (N-48).
    pub(super) fn on_carried(
        &mut self,
        origin: Origin,
        nonce: u64,
        channel: Bytes,
        payload: &Bytes,
        kind: MessageKind,
    ) -> Result<(), Fault> {
        if !self.accepted.contains(&kind) {
            return Ok(());
        }
        let body = wire::carried(payload, kind).ok_or(Fault::Malformed)?;
        // A copy of its own: the frame around it may be far larger.
        let body = Bytes::copy_from_slice(&body);
        let message = Message { channel: ChannelId::new(channel), kind, body };
        let Origin { conn, from } = origin;
        self.notify(Notice::Message { conn, from, nonce, message });
        Ok(())
    }

    /// Takes private data. If nobody here keeps it, it is declined, so that its sender looks for
    /// another at once: without an answer a Fabric peer that endorses waits three seconds for each
    /// transaction. What says nothing is dropped without an answer (W10.a).
    fn on_private_data(
        &mut self,
        origin: Origin,
        nonce: u64,
        channel: Bytes,
        payload: &Bytes,
        data: &PrivateDataMessage,
    ) -> Result<(), Fault> {
        if data.payload.as_ref().is_none_or(|data| data.private_rwset.is_empty()) {
            return Err(Fault::Malformed);
        }
        if nonce != 0 && !self.accepted.contains(&MessageKind::PrivateData) {
            let frame = Frame::new(wire::ack(nonce, "private data is not kept here"));
            self.comm(|comm, cx| comm.respond(origin.conn, Lane::Control, frame, cx));
        }
        self.on_carried(origin, nonce, channel, payload, MessageKind::PrivateData)
    }

    /// Takes note that a peer cannot be reached: nothing that waits for it is answered.
    pub(super) fn on_unreachable(&mut self, peer: PkiId) {
        for nonce in self.requests.waiting_for(&peer) {
            self.on_answer(nonce, peer, UNREACHABLE);
        }
        self.arm_requests();
        self.on_transfer_unreachable(peer);
    }

    /// Gives up the requests whose time is over.
    pub(super) fn on_request_timer(&mut self) {
        self.finish_due(self.clock.now);
        self.arm_requests();
    }

    /// Gives up all requests, as nobody will answer any more.
    pub(super) fn abandon_requests(&mut self) {
        self.finish_due(crate::Instant::MAX);
    }

    fn finish_due(&mut self, now: crate::Instant) {
        while let Some(finished) = self.requests.pop_due(now) {
            self.tell(finished);
        }
    }

    fn on_answer(&mut self, nonce: u64, from: PkiId, error: &str) {
        if let Some(finished) = self.requests.on_answer(nonce, from, error) {
            self.tell(finished);
        }
    }

    fn tell(&mut self, Finished { request, result }: Finished) {
        self.notify(Notice::SendFinished { request, result });
    }

    fn arm_requests(&mut self) {
        match self.requests.next_deadline() {
            Some(at) => self.set_timer(TimerKey::Requests, at),
            None => self.timers.cancel(TimerKey::Requests),
        }
    }

    /// Lists who may be sent a message, by PKI-ID.
    fn candidates(
        &self,
        channel: Option<&ChannelId>,
        to: Option<Vec<PkiId>>,
    ) -> Result<Vec<PkiId>, CommandError> {
        let mut peers = match channel {
            None => self.alive_peers(),
            Some(channel) => {
                let ix = self.joined(channel)?;
                self.living_members(ix).map(|(pki_id, ..)| *pki_id).collect()
            }
        };
        if let Some(to) = to {
            let to: BTreeSet<PkiId> = to.into_iter().collect();
            peers.retain(|peer| to.contains(peer));
        }
        Ok(peers)
    }

    /// Sends a frame to a peer; false if there is no way to it, or too much waits for it.
    fn send_message(&mut self, peer: PkiId, frame: &Bytes) -> bool {
        self.push(peer, Lane::Reply, Frame::new(frame.clone()))
    }

    fn frame_of(&self, message: &Message, nonce: u64) -> Result<Bytes, CommandError> {
        if !wire::is_body(message.kind, &message.body) {
            return Err(CommandError::NotOfItsKind(message.kind));
        }
        self.fitting(wire::carry(message, nonce))
    }

    fn fitting(&self, frame: Bytes) -> Result<Bytes, CommandError> {
        let (size, max) = (frame.len(), self.config.limits.sent_frame_bytes_max);
        if size > max { Err(CommandError::MessageTooLarge { size, max }) } else { Ok(frame) }
    }

    fn check_open(&self, conn: ConnId) -> Result<(), CommandError> {
        match self.comm.progress(conn) {
            Progress::Open(_) => Ok(()),
            Progress::Handshake | Progress::Gone => Err(CommandError::NotConnected(conn)),
        }
    }

    /// Draws a nonce that no request uses (C-29).
    fn free_nonce(&mut self) -> u64 {
        loop {
            let nonce = self.rngs.requests.next_u64();
            if self.requests.is_free(nonce) {
                return nonce;
            }
        }
    }
}

/// Why a message did not reach a peer.
const UNREACHABLE: &str = "the peer cannot be reached or does not read";
