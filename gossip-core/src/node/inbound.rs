//! What arrives: decoded without copying, sorted, and turned into claims.

use alloc::{sync::Arc, vec::Vec};

use bytes::Bytes;
use gossip_proto::gossip::{
    DataMessage, Envelope, GossipMessage, MembershipRequest, StateInfoPullRequest,
    gossip_message::Content,
};
use prost::Message as _;

use crate::{
    ConnId, Fault, Notice, PkiId,
    channel::BlockFate,
    comm::{Frame, Lane, Progress},
    wire::{self, Alive, Plain, StateInfo, Tag},
};

use super::{
    ChannelIx, Node,
    flights::{AliveRole, BlockRole, Claim, InfoRole, What},
    pull::Step,
};

/// Where a message came from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) conn: ConnId,
    pub(super) from: PkiId,
}

impl Origin {
    pub(super) const fn claim(self, what: What) -> Claim {
        Claim { conn: self.conn, from: self.from, what }
    }
}

impl Node {
    pub(super) fn on_message(&mut self, conn: ConnId, frame: Bytes) {
        self.stats.messages_received += 1;
        self.stats.bytes_received += frame.len() as u64;
        if frame.len() > self.config.limits.frame_bytes_max {
            return self.end(conn, Fault::Oversized);
        }
        self.take_frame(conn, frame);
    }

    /// Takes a frame that was counted when it came: at once, or when its sender is authenticated.
    pub(super) fn take_frame(&mut self, conn: ConnId, frame: Bytes) {
        match self.comm.progress(conn) {
            Progress::Gone => {}
            Progress::Handshake => self.comm(|comm, cx| comm.on_handshake_frame(conn, frame, cx)),
            Progress::Open(from) => {
                if let Err(fault) = self.on_frame(Origin { conn, from }, frame) {
                    self.blame(conn, Some(from), fault);
                }
            }
        }
    }

    /// Takes a frame of an authenticated peer.
    fn on_frame(&mut self, origin: Origin, frame: Bytes) -> Result<(), Fault> {
        let limits = &self.config.limits;
        match wire::plain(&frame, limits.member_bytes_max, limits.state_info_bytes_max) {
            Some(plain) => self.on_plain(origin, plain),
            None => self.on_envelope(origin, frame),
        }
    }

    /// Takes what comes most, read in place.
    fn on_plain(&mut self, origin: Origin, plain: Plain<'_>) -> Result<(), Fault> {
        match plain {
            Plain::Alive { alive, tag } => {
                check_tag(tag, Tag::Empty)?;
                let role = AliveRole::Pushed;
                self.admit(origin.claim(What::Alive { alive, role }))
            }
            Plain::Info { info, tag } => {
                check_tag(tag, Tag::ChanOrOrg)?;
                self.on_state_info(origin, info)
            }
            Plain::List(list) => self.on_list(origin, list),
        }
    }

    /// Takes everything else.
    fn on_envelope(&mut self, origin: Origin, frame: Bytes) -> Result<(), Fault> {
        let Ok(envelope) = Envelope::decode(frame.clone()) else {
            self.end(origin.conn, Fault::Undecodable);
            return Ok(());
        };
        let message = match wire::open(&envelope) {
            Ok(message) => message,
            // Fabric decodes some that we do not, and so relays them: no fault of the relayer.
            Err(fault) if wire::is_well_formed(&envelope.payload) => return Err(fault),
            Err(fault) => {
                self.end(origin.conn, fault);
                return Ok(());
            }
        };
        if is_unchecked(&message) {
            return self.on_unchecked(origin, &envelope.payload, message);
        }
        if !wire::is_legal(&message) {
            return Err(Fault::IllegalTag);
        }
        let GossipMessage { nonce, channel, tag: _, content } = message;
        let Some(content) = content else {
            return Err(Fault::IllegalTag);
        };
        match content {
            Content::AliveMsg(alive) => {
                let bytes_max = self.config.limits.member_bytes_max;
                let alive = Arc::new(Alive::parse(Some(frame), envelope, alive, bytes_max)?);
                self.admit(origin.claim(What::Alive { alive, role: AliveRole::Pushed }))
            }
            Content::MemReq(request) => self.on_membership_request(origin, request, nonce),
            Content::MemRes(response) => self.on_membership_response(origin, &response, nonce),
            Content::StateInfo(info) => {
                let bytes_max = self.config.limits.state_info_bytes_max;
                let info = Arc::new(StateInfo::parse(Some(frame), envelope, info, bytes_max)?);
                self.on_state_info(origin, info)
            }
            Content::StateInfoPullReq(request) => self.on_state_info_request(origin, &request),
            Content::StateSnapshot(snapshot) => self.on_snapshot(origin, &channel, &snapshot),
            Content::DataMsg(data) => self.on_block(origin, frame, &channel, data),
            Content::Hello(pull) => {
                self.on_pull(origin, &channel, pull.msg_type, pull.nonce, Step::Hello)
            }
            Content::DataDig(pull) => {
                let step = Step::Digest(pull.digests.iter().map(AsRef::as_ref).collect());
                self.on_pull(origin, &channel, pull.msg_type, pull.nonce, step)
            }
            Content::DataReq(pull) => {
                let step = Step::Request(pull.digests);
                self.on_pull(origin, &channel, pull.msg_type, pull.nonce, step)
            }
            Content::DataUpdate(pull) => {
                let step = Step::Update(pull.data);
                self.on_pull(origin, &channel, pull.msg_type, pull.nonce, step)
            }
            Content::LeadershipMsg(message) => {
                self.on_leadership(origin, &channel, envelope, &message)
            }
            Content::PeerIdentity(_)
            | Content::StateRequest(_)
            | Content::StateResponse(_)
            | Content::Empty(_)
            | Content::Conn(_)
            | Content::Ack(_)
            | Content::PrivateReq(_)
            | Content::PrivateRes(_)
            | Content::PrivateData(_) => Err(Fault::Unexpected),
        }
    }

    /// Takes a request for members; it must speak for its sender (D-23, N-15).
    fn on_membership_request(
        &mut self,
        origin: Origin,
        request: MembershipRequest,
        nonce: u64,
    ) -> Result<(), Fault> {
        let envelope = request.self_information.ok_or(Fault::Malformed)?;
        // A copy of its own: while it waits it must not keep the request alive.
        let bytes_max = self.config.limits.member_bytes_max;
        let alive = Alive::parse_frame(envelope.encode_to_vec().into(), bytes_max)?;
        if alive.pki_id != origin.from {
            return Err(Fault::NotTheSender);
        }
        self.admit(origin.claim(What::Alive { alive, role: AliveRole::Request { nonce } }))
    }

    /// Takes a StateInfo: for a channel of ours, or to be relayed inside our organisation (N-12).
    fn on_state_info(&mut self, origin: Origin, info: Arc<StateInfo>) -> Result<(), Fault> {
        let channel = self.channel_of_mac(&info.pki_id, &info.mac);
        match channel {
            Some(ix) => self.check_sender(ix, &origin.from)?,
            None if self.is_own_org(&origin.from) => {}
            None => return Err(Fault::WrongChannel),
        }
        self.admit(origin.claim(What::Info { info, role: InfoRole::Pushed, channel }))
    }

    /// Answers with what we know of a channel's members, as far as the asker may learn it (9.2).
    fn on_state_info_request(
        &mut self,
        origin: Origin,
        request: &StateInfoPullRequest,
    ) -> Result<(), Fault> {
        let Ok(mac) = <[u8; 32]>::try_from(request.channel_mac.as_ref()) else {
            return Err(Fault::Malformed);
        };
        // The MAC is the sender's own: a relayed request fits no channel (W-27, CH-11).
        let ix = self.channel_of_mac(&origin.from, &mac).ok_or(Fault::WrongChannel)?;
        self.check_sender(ix, &origin.from)?;
        let asker_is_ours = self.is_own_org(&origin.from);
        let may_learn = |author: &PkiId| {
            asker_is_ours
                || !self.is_own_org(author)
                || self.discovery.has_external_endpoint(author)
        };
        let channel = &self.channels[ix.0 as usize];
        let frame = channel.snapshot(may_learn);
        self.comm(|comm, cx| comm.respond(origin.conn, Lane::Reply, Frame::new(frame), cx));
        Ok(())
    }

    /// Takes a block.
    fn on_block(
        &mut self,
        origin: Origin,
        frame: Bytes,
        channel: &Bytes,
        data: DataMessage,
    ) -> Result<(), Fault> {
        let ix = self.channel_of_name(channel).ok_or(Fault::WrongChannel)?;
        self.check_sender(ix, &origin.from)?;
        let payload = data.payload.ok_or(Fault::Malformed)?;
        self.stats.block_copies += 1;
        let number = payload.seq_num;
        if self.channels[ix.0 as usize].fate(number) == BlockFate::Stale {
            return Err(Fault::Stale);
        }
        let (block, role) = (payload.data, BlockRole::Pushed);
        self.admit(origin.claim(What::Block { channel: ix, number, block, frame, role }))
    }

    /// Admits one of many claims in a message: its fault is not that of the others.
    pub(super) fn admit_element(&mut self, claim: Claim) {
        let (conn, from) = (claim.conn, claim.from);
        if let Err(fault) = self.admit(claim) {
            self.blame(conn, Some(from), fault);
        }
    }

    /// Counts a fault, and names who is to blame if an honest peer would not have done it.
    pub(super) fn blame(&mut self, conn: ConnId, pki_id: Option<PkiId>, fault: Fault) {
        self.stats.count(fault);
        // It spoke of somebody whom we do not know: it may know who that is.
        if let Some(from) = pki_id.filter(|_| fault == Fault::UnknownIdentity) {
            self.hurry_identities(from);
        }
        if is_misbehaviour(fault) {
            self.notify(Notice::PeerMisbehaved { conn, pki_id, fault });
        }
    }

    /// Ends a connection whose bytes mean nothing (W-39).
    pub(super) fn end(&mut self, conn: ConnId, fault: Fault) {
        match self.comm.progress(conn) {
            Progress::Gone => {}
            Progress::Handshake => self.comm(|comm, cx| comm.fail_handshake(conn, fault, cx)),
            Progress::Open(pki_id) => {
                self.blame(conn, Some(pki_id), fault);
                self.comm(|comm, cx| comm.close_misbehaving(conn, cx));
            }
        }
    }

    // Questions.

    /// Finds the channel that a MAC of this peer stands for (CH-10).
    pub(super) fn channel_of_mac(&self, pki_id: &PkiId, mac: &[u8; 32]) -> Option<ChannelIx> {
        self.channel_ixs().find(|ix| self.is_mac_of(*ix, pki_id, mac))
    }

    /// Says whether a MAC of this peer stands for a channel.
    pub(super) fn is_mac_of(&self, ix: ChannelIx, pki_id: &PkiId, mac: &[u8; 32]) -> bool {
        let channel = &self.channels[ix.0 as usize];
        match channel.info(pki_id) {
            Some(info) => info.mac == *mac,
            None => wire::channel_mac(pki_id, channel.id()) == *mac,
        }
    }

    pub(super) fn channel_of_name(&self, name: &[u8]) -> Option<ChannelIx> {
        self.channel_index.get(name).copied()
    }

    /// Checks that the sender's organisation is in the channel (CH-39).
    pub(super) fn check_sender(&self, ix: ChannelIx, from: &PkiId) -> Result<(), Fault> {
        let channel = &self.channels[ix.0 as usize];
        let is_member = self.identities.org(from).is_some_and(|org| channel.has_org(org));
        is_member.then_some(()).ok_or(Fault::WrongOrg)
    }

    pub(super) fn is_own_org(&self, pki_id: &PkiId) -> bool {
        self.identities.org(pki_id) == Some(&self.config.org)
    }

    /// Lists the peers that are alive, by PKI-ID.
    pub(super) fn alive_peers(&self) -> Vec<PkiId> {
        let mut peers = Vec::with_capacity(self.discovery.alive_len() + 1);
        peers.extend(self.discovery.alive().map(|(pki_id, _)| *pki_id));
        peers
    }
}

pub(super) fn check_tag(tag: i32, required: Tag) -> Result<(), Fault> {
    (tag == required as i32).then_some(()).ok_or(Fault::IllegalTag)
}

/// Says whether a message's tag is not checked, since the main path never sees it (W-22, S-21).
fn is_unchecked(message: &GossipMessage) -> bool {
    matches!(
        message.content,
        Some(
            Content::Conn(_)
                | Content::Empty(_)
                | Content::Ack(_)
                | Content::PrivateReq(_)
                | Content::PrivateRes(_)
                | Content::PrivateData(_)
                | Content::StateRequest(_)
                | Content::StateResponse(_)
        )
    )
}

/// Says whether an honest peer does not do this, not even in a network with hostile ones.
const fn is_misbehaviour(fault: Fault) -> bool {
    match fault {
        // What others said and the sender passed on, or a matter of what is known where and when.
        Fault::Stale
        | Fault::UnknownIdentity
        | Fault::WrongChannel
        | Fault::WrongOrg
        | Fault::Overflow
        | Fault::JobFailed => false,
        Fault::Undecodable
        | Fault::Oversized
        | Fault::IllegalTag
        | Fault::Malformed
        | Fault::Unsigned
        | Fault::BadSignature
        | Fault::BadIdentity
        | Fault::NotTheSender
        | Fault::BadBlock
        | Fault::NoHandshake
        | Fault::HandshakeTimeout
        | Fault::NoTlsCertificate
        | Fault::TlsMismatch
        | Fault::ProbeFlag
        | Fault::UnexpectedPeer
        | Fault::Unexpected => true,
    }
}
