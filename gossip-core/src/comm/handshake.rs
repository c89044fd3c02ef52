//! Who is there: the exchange of connection messages, the same for both sides.

use alloc::{boxed::Box, collections::VecDeque, vec::Vec};

use bytes::Bytes;
use gossip_proto::gossip::{ConnEstablish, Envelope, gossip_message::Content};
use prost::Message as _;

use crate::{CloseReason, ConnId, Fault, Identity, OrgId, PkiId, Signed, wire};

use super::{Comm, Cx, Dial, Effect, Stage, Timer, Unproven};

/// Which of our connection messages: for which TLS certificate of ours, and whether it is a probe.
pub(crate) type OwnConnKey = (Option<[u8; 32]>, bool);

/// One of our connection messages.
#[derive(Debug)]
pub(super) enum OwnConn {
    /// It is being signed.
    Signing,
    /// The serialized envelope.
    Ready(Bytes),
}

/// A handshake under way.
#[derive(Debug, Default)]
pub(super) struct Handshake {
    introduced: bool,
    claim: Option<Claim>,
    /// Whether the claim's signature held.
    verified: bool,
    /// What the remote sent after its connection message.
    held: VecDeque<Bytes>,
    held_bytes: usize,
    /// The remote has closed the stream; its claim is still being checked.
    ended: bool,
}

/// What the remote says about itself.
#[derive(Debug)]
struct Claim {
    pki_id: PkiId,
    identity: Identity,
    probe: bool,
    message: Signed,
    secret: Option<Signed>,
}

impl Handshake {
    /// Counts the frames that wait for its end, and their bytes.
    pub(super) fn held(&self) -> (usize, usize) {
        (self.held.len(), self.held_bytes)
    }

    /// Takes the verified claim and what came after it, once we have introduced ourselves too.
    fn take_if_done(&mut self) -> Option<(Claim, VecDeque<Bytes>)> {
        if !(self.verified && (self.introduced || self.ended)) {
            return None;
        }
        Some((self.claim.take()?, core::mem::take(&mut self.held)))
    }

    /// Takes note that the stream ended; false if the remote had not said who it is.
    ///
    /// A probe ends as soon as either side knows the other: the slower one still learns who it was.
    pub(super) fn end(&mut self) -> bool {
        self.ended = true;
        self.claim.is_some()
    }
}

impl Comm {
    /// Sends our connection message, as soon as it is signed.
    pub(super) fn introduce(&mut self, conn: ConnId, cx: &mut Cx<'_>) {
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        let Stage::Handshake(handshake) = &mut state.stage else {
            return;
        };
        let key = own_key(state.tls.map(|tls| tls.local), state.dial.as_ref());
        match self.own.get(&key) {
            Some(OwnConn::Ready(frame)) => {
                handshake.introduced = true;
                let frame = frame.clone();
                self.write(conn, frame, cx);
                self.conclude(conn, cx);
            }
            Some(OwnConn::Signing) => {}
            None => {
                // Certificates of ours are few, even if they are rotated for years.
                if self.own.len() >= OWN_MAX {
                    self.own.retain(|_, own| matches!(own, OwnConn::Signing));
                }
                self.own.insert(key, OwnConn::Signing);
                let payload =
                    wire::conn_establish(&cx.config.pki_id, &cx.config.identity, key.0, key.1);
                cx.emit(Effect::SignOwn { key, payload });
            }
        }
    }

    /// Takes the signature of one of our connection messages, `None` if there is none to be had.
    pub(crate) fn on_own_signed(
        &mut self,
        key: OwnConnKey,
        payload: Bytes,
        signature: Option<Bytes>,
        cx: &mut Cx<'_>,
    ) {
        let waiting = self.introducing(key);
        let Some(signature) = signature else {
            self.own.remove(&key);
            return waiting.into_iter().for_each(|conn| {
                self.fail_handshake(conn, Fault::JobFailed, cx);
            });
        };
        let envelope = Envelope { payload, signature, secret_envelope: None };
        self.own.insert(key, OwnConn::Ready(envelope.encode_to_vec().into()));
        waiting.into_iter().for_each(|conn| self.introduce(conn, cx));
    }

    fn introducing(&self, key: OwnConnKey) -> Vec<ConnId> {
        let is_waiting = |conn: &ConnId| {
            let state = &self.conns[conn];
            let Stage::Handshake(handshake) = &state.stage else {
                return false;
            };
            !handshake.introduced
                && !handshake.ended
                && own_key(state.tls.map(|tls| tls.local), state.dial.as_ref()) == key
        };
        self.conn_ids().into_iter().filter(is_waiting).collect()
    }

    /// Takes a frame of a remote that is not authenticated.
    pub(crate) fn on_handshake_frame(&mut self, conn: ConnId, frame: Bytes, cx: &mut Cx<'_>) {
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        let inbound = state.is_inbound();
        let Stage::Handshake(handshake) = &mut state.stage else {
            return;
        };
        if handshake.claim.is_some() {
            let limits = &cx.config.limits;
            let full = handshake.held.len() >= limits.handshake_frames_max
                || handshake.held_bytes + frame.len() > limits.handshake_bytes_max;
            if full {
                return cx.stats.count(Fault::Overflow);
            }
            handshake.held_bytes += frame.len();
            return handshake.held.push_back(frame);
        }
        let remote_hash = state.tls.and_then(|tls| tls.remote);
        let claim = parse(frame, cx.config.limits.identity_bytes_max)
            .and_then(|claim| check(claim, remote_hash, inbound));
        match claim {
            Err(fault) => self.fail_handshake(conn, fault, cx),
            Ok(claim) => {
                let identity = claim.identity.clone();
                let is_known = cx.identities.get(&claim.pki_id) == Some(&identity);
                handshake.claim = Some(claim);
                cx.emit(Effect::CancelTimer(Timer::Handshake(conn)));
                match is_known {
                    true => self.verify_claim(conn, cx),
                    false => cx.emit(Effect::ValidateIdentity { conn, identity }),
                }
            }
        }
    }

    /// Takes the PKI-ID that the remote's identity has, `Err` if the identity is refused.
    pub(crate) fn on_identity(
        &mut self,
        conn: ConnId,
        identity: Result<PkiId, Fault>,
        cx: &mut Cx<'_>,
    ) {
        let Some(claim) = self.claim(conn) else {
            return;
        };
        match identity {
            Ok(pki_id) if pki_id == claim.pki_id => self.verify_claim(conn, cx),
            Ok(_) => self.fail_handshake(conn, Fault::BadIdentity, cx),
            Err(fault) => self.fail_handshake(conn, fault, cx),
        }
    }

    fn verify_claim(&mut self, conn: ConnId, cx: &mut Cx<'_>) {
        let Some(claim) = self.claim(conn) else {
            return;
        };
        let pki_id = claim.pki_id;
        if claim.secret.is_none() && cx.identities.is_proven(&pki_id, &claim.message) {
            return self.on_signature(conn, Ok(()), cx);
        }
        let (identity, message, secret) =
            (claim.identity.clone(), claim.message.clone(), claim.secret.clone());
        let unproven = Unproven { conn, pki_id, identity, message, secret };
        cx.emit(Effect::Verify(Box::new(unproven)));
    }

    /// Takes the verdict on the signature of the remote's connection message.
    pub(crate) fn on_signature(
        &mut self,
        conn: ConnId,
        verdict: Result<(), Fault>,
        cx: &mut Cx<'_>,
    ) {
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        let Stage::Handshake(handshake) = &mut state.stage else {
            return;
        };
        match (&handshake.claim, verdict) {
            (None, _) => {}
            (Some(_), Err(fault)) => self.fail_handshake(conn, fault, cx),
            (Some(_), Ok(())) => {
                handshake.verified = true;
                self.conclude(conn, cx);
            }
        }
    }

    /// Ends the handshake once both sides have introduced themselves and the remote is verified.
    pub(super) fn conclude(&mut self, conn: ConnId, cx: &mut Cx<'_>) {
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        let Stage::Handshake(handshake) = &mut state.stage else {
            return;
        };
        let Some((claim, held)) = handshake.take_if_done() else {
            return;
        };
        let is_ended = handshake.ended;
        // Its identity may have gone while the signature was checked.
        let Some(org) = cx.org(&claim.pki_id).cloned() else {
            return self.fail_handshake(conn, Fault::UnknownIdentity, cx);
        };
        let dial = state.dial.clone();
        if is_ended {
            self.conns.remove(&conn);
        }
        match dial {
            Some(Dial::Stream { peer, .. }) if is_ended => {
                // It may have kept another stream, or refused us: no sign that it is dead.
                self.give_up(peer, None, cx);
            }
            None if is_ended => {}
            None if claim.probe => self.close(conn, CloseReason::ProbeAnswered, cx),
            None => self.open(conn, claim, held, cx),
            Some(Dial::Contact { contact, .. }) => {
                let found = Some((claim.pki_id, org));
                self.close(conn, CloseReason::ProbeDone, cx);
                cx.emit(Effect::ContactDone { contact, found });
            }
            Some(Dial::Stream { peer, .. }) if peer == claim.pki_id => {
                self.open(conn, claim, held, cx);
            }
            Some(Dial::Stream { peer, .. }) => self.on_other_peer(conn, peer, org, claim, held, cx),
            Some(Dial::Ping { .. }) => self.fail_handshake(conn, Fault::Unexpected, cx),
        }
    }

    /// Somebody else answers where `expected` was: welcome if it is of the same organisation, which
    /// is how a renewed certificate shows (C-18, C-19).
    fn on_other_peer(
        &mut self,
        conn: ConnId,
        expected: PkiId,
        org: OrgId,
        claim: Claim,
        held: VecDeque<Bytes>,
        cx: &mut Cx<'_>,
    ) {
        if cx.org(&expected) != Some(&org) {
            return self.fail_handshake(conn, Fault::UnexpectedPeer, cx);
        }
        cx.emit(Effect::IdentitySwitched { old: expected });
        self.move_link(expected, claim.pki_id, cx);
        self.open(conn, claim, held, cx);
    }

    fn open(&mut self, conn: ConnId, claim: Claim, held: VecDeque<Bytes>, cx: &mut Cx<'_>) {
        let Some(state) = self.conns.get_mut(&conn) else {
            return;
        };
        let Claim { pki_id, message: auth, .. } = claim;
        state.stage = Stage::Open { pki_id, since: cx.now, auth };
        let inbound = state.is_inbound();
        self.open += 1;
        cx.stats.connections_opened += 1;
        cx.emit(Effect::Opened { conn, pki_id, inbound });
        self.link(conn, pki_id, cx);
        held.into_iter().for_each(|frame| cx.emit(Effect::Deliver { conn, frame }));
    }

    /// Ends a connection on which nobody was authenticated.
    pub(crate) fn fail_handshake(&mut self, conn: ConnId, fault: Fault, cx: &mut Cx<'_>) {
        let Some(state) = self.conns.get(&conn) else {
            return;
        };
        let Stage::Handshake(handshake) = &state.stage else {
            return;
        };
        let is_ended = handshake.ended;
        let (remote, dial) = (state.remote.clone(), state.dial.clone());
        cx.stats.count(fault);
        cx.emit(Effect::HandshakeFailed { conn, remote, fault });
        if is_ended {
            self.conns.remove(&conn);
            cx.emit(Effect::CancelTimer(Timer::Handshake(conn)));
        } else {
            self.close(conn, CloseReason::AuthenticationFailed, cx);
        }
        match dial {
            // Our own failure is not held against the peer.
            Some(Dial::Stream { peer, .. })
                if matches!(fault, Fault::JobFailed | Fault::Overflow) =>
            {
                self.give_up(peer, None, cx);
            }
            Some(Dial::Stream { peer, .. }) => self.unreachable(peer, None, cx),
            Some(Dial::Contact { contact, .. }) => {
                cx.emit(Effect::ContactDone { contact, found: None });
            }
            Some(Dial::Ping { .. }) | None => {}
        }
    }

    fn claim(&self, conn: ConnId) -> Option<&Claim> {
        match &self.conns.get(&conn)?.stage {
            Stage::Handshake(handshake) => handshake.claim.as_ref(),
            Stage::Open { .. } | Stage::Closing { .. } => None,
        }
    }
}

/// At most so many of our connection messages are kept.
const OWN_MAX: usize = 8;

fn own_key(local_hash: Option<[u8; 32]>, dial: Option<&Dial>) -> OwnConnKey {
    (local_hash, matches!(dial, Some(Dial::Contact { .. })))
}

/// Reads a connection message (C-13).
fn parse(frame: Bytes, identity_bytes_max: usize) -> Result<(Claim, Bytes), Fault> {
    let envelope = Envelope::decode(frame).map_err(|_| Fault::Undecodable)?;
    let Some(Content::Conn(conn)) = wire::open(&envelope)?.content else {
        return Err(Fault::NoHandshake);
    };
    let ConnEstablish { pki_id, identity, tls_cert_hash, probe } = conn;
    if identity.is_empty() || identity.len() > identity_bytes_max {
        return Err(Fault::BadIdentity);
    }
    let pki_id = PkiId::from_wire(&pki_id).ok_or(Fault::Malformed)?;
    let (message, secret) = wire::claims(&envelope)?;
    let identity = Identity::new(identity);
    Ok((Claim { pki_id, identity, probe, message, secret }, tls_cert_hash))
}

/// Checks what needs no cryptography: the TLS certificate (C-12) and the probe flag (C-8).
fn check(
    (claim, tls_cert_hash): (Claim, Bytes),
    remote_hash: Option<[u8; 32]>,
    inbound: bool,
) -> Result<Claim, Fault> {
    match remote_hash {
        Some(hash) if hash[..] != tls_cert_hash[..] => Err(Fault::TlsMismatch),
        _ if claim.probe && !inbound => Err(Fault::ProbeFlag),
        _ => Ok(claim),
    }
}
