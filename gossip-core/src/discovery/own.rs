//! Our own alive message: signed once, used for everything until it is too old.

use alloc::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use gossip_proto::gossip::{Envelope, SecretEnvelope};

use crate::{
    Config, Endpoint, Fault, Instant, PkiId, Stamp, UnixTime,
    wire::{Alive, NewAlive, extension, secret_payload},
};

use super::{Cx, Effect};

/// What we say about ourselves, and who waits for us to say it.
///
/// At most one signature is being made; whatever needs an alive message meanwhile waits for it.
#[derive(Debug)]
pub(super) struct Own {
    pki_id: PkiId,
    endpoint: Endpoint,
    external_endpoint: Option<Endpoint>,
    metadata: Bytes,
    started_at: Instant,
    /// Of the last message that was made, whether it was signed or not (D-1).
    stamp: Stamp,
    /// When words of an earlier run last made us take another incarnation.
    outdone_at: Option<Instant>,
    secret: Secret,
    latest: Option<Latest>,
    signing: Option<Signing>,
    /// A message is wanted as soon as the secret is signed.
    is_wanted: bool,
    /// The next message is to be gossiped.
    is_heartbeat: bool,
    waiting: VecDeque<Waiting>,
}

/// Something that is sent as soon as there is an alive message to put into it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Waiting {
    /// The request of a contact.
    Contact(u32),
    /// A request to a peer that we know (D14.2: synchronisation, reconnect).
    Request { to: PkiId },
    /// The response to a request.
    Response(Response),
}

/// A membership response that is still to be made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Response {
    pub(super) to: PkiId,
    /// What the requester says to dial.
    pub(super) endpoint: Option<Endpoint>,
    /// Whether the requester named an external endpoint.
    pub(super) has_external_endpoint: bool,
    pub(super) nonce: u64,
}

#[derive(Debug)]
enum Secret {
    Unsigned,
    Signing,
    Signed(SecretEnvelope),
}

#[derive(Debug)]
struct Latest {
    alive: Arc<Alive>,
    made_at: Instant,
    has_identity: bool,
}

#[derive(Debug)]
struct Signing {
    payload: Bytes,
    made_at: Instant,
    has_identity: bool,
}

/// What a signature set free.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) alive: Arc<Alive>,
    pub(super) is_heartbeat: bool,
    pub(super) waiting: VecDeque<Waiting>,
}

impl Own {
    pub(super) fn new(config: &Config, now: Instant, wall: UnixTime) -> Self {
        Self {
            pki_id: config.pki_id,
            endpoint: config.endpoint.clone(),
            external_endpoint: config.external_endpoint.clone(),
            metadata: config.metadata.clone(),
            started_at: now,
            stamp: Stamp { incarnation: wall.as_nanos(), sequence: 0 },
            outdone_at: None,
            secret: Secret::Unsigned,
            latest: None,
            signing: None,
            is_wanted: false,
            is_heartbeat: false,
            waiting: VecDeque::new(),
        }
    }

    /// Gives the secret out to be signed: it never changes, so once is enough.
    pub(super) fn sign_secret(&mut self, cx: &mut Cx<'_>) {
        self.secret = Secret::Signing;
        cx.emit(Effect::SignSecret { payload: secret_payload(&self.endpoint) });
    }

    /// Takes the signature of the secret. Without it messages go out as they are (D4.c).
    pub(super) fn on_secret_signed(
        &mut self,
        payload: Bytes,
        signature: Option<Bytes>,
        cx: &mut Cx<'_>,
    ) {
        if !matches!(self.secret, Secret::Signing) {
            return;
        }
        self.secret = match signature {
            Some(signature) => Secret::Signed(SecretEnvelope { payload, signature }),
            None => Secret::Unsigned,
        };
        if self.is_wanted {
            self.sign_alive(cx);
        }
    }

    /// Replaces the metadata, from the next message on (D-48).
    pub(super) fn set_metadata(&mut self, metadata: Bytes) {
        if self.metadata != metadata {
            self.metadata = metadata;
            self.retire();
        }
    }

    /// Uses the latest message no more: the next use makes a new one.
    pub(super) fn retire(&mut self) {
        self.latest = None;
    }

    /// Returns the latest message if it is as good as a new one.
    ///
    /// It may not be older than a heartbeat's, nor carry the identity after its time (D-4).
    pub(super) fn latest(&self, cx: &Cx<'_>) -> Option<&Arc<Alive>> {
        let latest = self.latest.as_ref()?;
        // Heartbeats come up to a tenth late.
        let age_max = cx.config.alive_time_interval * 6 / 5;
        let is_fresh = cx.now - latest.made_at < age_max;
        let fits = !latest.has_identity || self.publishes_identity(cx);
        (is_fresh && fits).then_some(&latest.alive)
    }

    /// Says whether words of ours make all that we say now old news: if we said them, it was in an
    /// earlier run, when our clock was ahead.
    ///
    /// Not soon after the last time: two processes with one identity would outdo each other at
    /// once and for ever.
    pub(super) fn is_outdone_by(&self, heard: Stamp, cx: &Cx<'_>) -> bool {
        let rest = cx.config.alive_expiration_timeout;
        let can_outdo = heard.incarnation < u64::MAX;
        can_outdo && heard > self.stamp && self.outdone_at.is_none_or(|at| cx.now - at >= rest)
    }

    /// Takes an incarnation that no word of ours that was heard has, and begins to count anew.
    pub(super) fn outdo(&mut self, heard: Stamp, cx: &mut Cx<'_>) {
        self.outdone_at = Some(cx.now);
        self.stamp = heard.outdone(cx.wall);
        self.retire();
        // What is being signed would be old news.
        if self.signing.take().is_some() {
            self.sign_alive(cx);
        }
    }

    /// Makes a new message and gossips it.
    pub(super) fn beat(&mut self, cx: &mut Cx<'_>) {
        self.is_heartbeat = true;
        self.want(cx);
    }

    /// Sends something with the next message. Of too many that wait the oldest is dropped.
    pub(super) fn wait(&mut self, waiting: Waiting, cx: &mut Cx<'_>) {
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_front();
            cx.stats.count(Fault::Overflow);
        }
        self.waiting.push_back(waiting);
        self.want(cx);
    }

    /// Takes the signature of the message that is being signed.
    ///
    /// If signing failed, all that waits is dropped: whoever misses it asks again.
    pub(super) fn on_alive_signed(
        &mut self,
        payload: Bytes,
        signature: Option<Bytes>,
    ) -> Option<Ready> {
        let signing = self.signing.take_if(|signing| signing.payload == payload)?;
        let waiting = core::mem::take(&mut self.waiting);
        let is_heartbeat = core::mem::take(&mut self.is_heartbeat);
        let secret_envelope = match &self.secret {
            Secret::Signed(secret) => Some(secret.clone()),
            Secret::Unsigned | Secret::Signing => None,
        };
        let envelope = Envelope { payload, signature: signature?, secret_envelope };
        let alive = Arc::new(Alive::parse_nested(envelope, usize::MAX).ok()?);
        let Signing { payload: _, made_at, has_identity } = signing;
        self.latest = Some(Latest { alive: Arc::clone(&alive), made_at, has_identity });
        Some(Ready { alive, is_heartbeat, waiting })
    }

    /// Forgets all that waits.
    pub(super) fn stop(&mut self) {
        self.waiting.clear();
        self.signing = None;
        self.is_wanted = false;
        self.is_heartbeat = false;
    }

    pub(super) const fn metadata(&self) -> &Bytes {
        &self.metadata
    }

    /// Returns the version of the last message that was made.
    pub(super) const fn stamp(&self) -> Stamp {
        self.stamp
    }

    pub(super) const fn pki_id(&self) -> &PkiId {
        &self.pki_id
    }

    pub(super) const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) const fn external_endpoint(&self) -> Option<&Endpoint> {
        self.external_endpoint.as_ref()
    }

    /// Says whether an endpoint is one of ours (D-39).
    pub(super) fn is_at(&self, endpoint: &Endpoint) -> bool {
        let is_loopback = self.endpoint.port().is_some_and(|port| {
            let host = endpoint.as_str().rsplit_once(':').map(|(host, _)| host);
            matches!(host, Some("127.0.0.1" | "localhost")) && endpoint.port() == Some(port)
        });
        is_loopback || *endpoint == self.endpoint || Some(endpoint) == self.external_endpoint()
    }

    fn want(&mut self, cx: &mut Cx<'_>) {
        if self.signing.is_some() {
            return;
        }
        match self.secret {
            Secret::Signed(_) => self.sign_alive(cx),
            Secret::Signing => self.is_wanted = true,
            Secret::Unsigned => {
                self.is_wanted = true;
                self.sign_secret(cx);
            }
        }
    }

    /// Gives a new message out to be signed. Its number is used up in any case (D4.b).
    fn sign_alive(&mut self, cx: &mut Cx<'_>) {
        self.is_wanted = false;
        self.stamp.sequence += 1;
        let has_identity = self.publishes_identity(cx);
        let message = NewAlive {
            pki_id: self.pki_id,
            stamp: self.stamp,
            endpoint: self.external_endpoint.as_ref(),
            metadata: &self.metadata,
            identity: has_identity.then_some(&cx.config.identity),
            extensions: if cx.config.block_tree { extension::BLOCK_TREE } else { 0 },
        };
        let payload = message.payload();
        self.signing = Some(Signing { payload: payload.clone(), made_at: cx.now, has_identity });
        cx.emit(Effect::SignAlive { payload });
    }

    fn publishes_identity(&self, cx: &Cx<'_>) -> bool {
        cx.now < self.started_at + cx.config.publish_cert_period
    }
}

/// How many sends may wait for a signature; one takes well under a millisecond.
const WAITING_MAX: usize = 256;
