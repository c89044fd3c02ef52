//! Identity replication: signed identity messages, pulled by everybody from everybody
//! (docs/protocol/40-emitter-and-node.md §9).
//!
//! Fabric discards a whole update for one bad item (N-33). Here each item stands for itself: a bad
//! one is neither stored nor served, and the good ones need not be sent again.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::time::Duration;

use bytes::Bytes;
use gossip_proto::gossip::{Envelope, GossipMessage, PeerIdentity, gossip_message::Content};
use prost::Message as _;

use crate::{
    Fault, Identity, Instant, JobKind, Limits, OrgId, PkiId,
    pull::{Digest, Engine, Family},
    table::Tables,
    wire::{self, Tag},
};

use super::{
    Node, Verified,
    flights::{Claim, FlightKey, What},
    inbound::Origin,
    jobs::Purpose,
    pull::Puller,
    roster::Audience,
};

/// The engine and what it moves.
#[derive(Debug)]
pub(super) struct IdentityPull {
    pub(super) engine: Engine,
    /// The signed messages of those whose identity is known, ours among them once signed.
    messages: BTreeMap<PkiId, Envelope>,
    /// Grows whenever a message comes or goes.
    changes: u64,
    /// The last lists of whom some organisations may learn of: all of its peers get the same.
    told: Vec<Told>,
    /// Who sent what identity that did not hold, and when.
    failures: BTreeMap<(PkiId, PkiId), Instant>,
    is_signing: bool,
}

/// Whom the peers of an organisation may learn of.
#[derive(Debug)]
struct Told {
    org: OrgId,
    /// What it was made from: the changes of the messages, and of who is reached by others.
    basis: (u64, u64),
    digest: Digest,
}

/// A signed identity message; whether it is true is for jobs to show.
#[derive(Clone, Debug)]
pub(super) struct IdentityMessage {
    pub(super) pki_id: PkiId,
    pub(super) identity: Identity,
    pub(super) envelope: Envelope,
    /// It came late: it is believed, but not served (P-14).
    pub(super) is_late: bool,
}

impl IdentityPull {
    pub(super) const fn new() -> Self {
        Self {
            engine: Engine::new(Family::identities()),
            messages: BTreeMap::new(),
            changes: 0,
            told: Vec::new(),
            failures: BTreeMap::new(),
            is_signing: false,
        }
    }

    pub(super) fn tables(&self, limits: &Limits, tables: &mut Tables) {
        self.engine.tables(limits, tables);
        tables.add("served identities", self.messages.len(), limits.identities_max.max(1));
        let failures = self.failures.len();
        tables.add("pulled identities that failed", failures, limits.pull_failures_max.max(1));
    }

    /// Serves an identity no more.
    pub(super) fn remove(&mut self, pki_id: &PkiId) {
        self.changes += u64::from(self.messages.remove(pki_id).is_some());
    }

    /// Serves an identity from here on.
    fn insert(&mut self, pki_id: PkiId, message: Envelope) {
        self.messages.insert(pki_id, message);
        self.changes += 1;
    }

    /// Returns a digest without what it begins with: those of whom we have the messages, in our
    /// order. A peer that has what we have tells of nobody else.
    pub(super) fn unknown<'a, 'b>(&self, ids: &'a [&'b [u8]]) -> &'a [&'b [u8]] {
        let pairs = ids.iter().zip(self.messages.keys());
        let known = pairs.take_while(|(id, known)| **id == &known.as_bytes()[..]).count();
        &ids[known..]
    }

    /// Remembers for a while that a peer sent an identity that does not hold. Others who have one
    /// of the same name are still asked: what was sent may be a forgery.
    fn note_failure(&mut self, from: PkiId, subject: PkiId, max: usize, now: Instant) {
        if self.failures.len() >= max {
            let oldest = self.failures.iter().min_by_key(|(_, at)| **at).map(|(key, _)| *key);
            oldest.and_then(|key| self.failures.remove(&key));
        }
        self.failures.insert((from, subject), now);
    }
}

impl Node {
    pub(super) fn start_identity_pull(&mut self) {
        self.sign_own_identity();
        self.pull(Puller::Identities, |engine, cx| engine.start(cx));
    }

    /// Makes the message that tells others who we are (P-42).
    fn sign_own_identity(&mut self) {
        let identity = PeerIdentity {
            pki_id: self.config.pki_id.to_wire(),
            cert: self.config.identity.as_bytes().clone(),
            metadata: Bytes::new(),
        };
        let tag = Tag::Empty as i32;
        let content = Some(Content::PeerIdentity(identity));
        let message = GossipMessage { tag, content, ..GossipMessage::default() };
        let payload: Bytes = message.encode_to_vec().into();
        self.identity_pull.is_signing = true;
        let kind = JobKind::Sign { payload: payload.clone() };
        self.begin_job(kind, Purpose::SignIdentity { payload });
    }

    /// Takes the signature of our identity message, `None` if there is none to be had: then it is
    /// tried again with the next round.
    pub(super) fn on_own_identity_signed(&mut self, payload: Bytes, signature: Option<Bytes>) {
        self.identity_pull.is_signing = false;
        if let Some(signature) = signature {
            let envelope = Envelope { payload, signature, secret_envelope: None };
            self.identity_pull.insert(self.config.pki_id, envelope);
        }
    }

    /// Asks some living peers of whatever organisation (P-2).
    pub(super) fn begin_identity_round(&mut self) {
        let is_signed = self.identity_pull.messages.contains_key(&self.config.pki_id);
        if !is_signed && !self.identity_pull.is_signing {
            self.sign_own_identity();
        }
        let now = self.clock.now;
        self.identity_pull.failures.retain(|_, at| now - *at < FAILURE_MEMORY);
        let count = self.identity_pull.engine.count(&self.config);
        self.refresh_roster();
        let all = Audience { is_public: false, has_org: |_, _: &OrgId| true };
        let peers = self.roster.choose(&all, count, |_| false, &mut self.rngs.pull);
        self.pull(Puller::Identities, |engine, cx| engine.on_round(&peers, cx));
    }

    /// Asks a peer that speaks of somebody whom we do not know.
    pub(super) fn hurry_identities(&mut self, from: PkiId) {
        self.pull(Puller::Identities, |engine, cx| {
            engine.stir(cx);
            engine.hurry(from, cx);
        });
    }

    /// Lists the identities that a peer may learn of (9.3).
    pub(super) fn visible_identities(&mut self, asker: &PkiId) -> Digest {
        let Some(org) = self.identities.org(asker).cloned() else {
            return Digest::default();
        };
        self.refresh_roster();
        let is_ours = org == self.config.org;
        let reached = if is_ours { 0 } else { self.roster.changes() };
        let basis = (self.identity_pull.changes, reached);
        let mut told = self.identity_pull.told.iter();
        if let Some(told) = told.find(|told| told.org == org && told.basis == basis) {
            debug_assert_eq!(told.digest, self.list_visible(asker), "all changes were told of");
            return told.digest.clone();
        }
        let digest = self.list_visible(asker);
        let told = &mut self.identity_pull.told;
        told.retain(|told| told.org != org);
        told.truncate(TOLD_MAX - 1);
        told.insert(0, Told { org, basis, digest: digest.clone() });
        digest
    }

    fn list_visible(&self, asker: &PkiId) -> Digest {
        let messages = self.identity_pull.messages.keys();
        let is_ours = self.is_own_org(asker);
        let visible = messages.filter(|subject| is_ours || self.may_learn_identity(asker, subject));
        visible.take(self.config.limits.pull_ids_max).map(PkiId::as_bytes).collect()
    }

    /// Says whether the signed message of an identity is known, so that another copy is in vain.
    pub(super) fn has_identity_message(&self, subject: &PkiId) -> bool {
        self.identity_pull.messages.contains_key(subject)
    }

    pub(super) fn served_identity(&self, asker: &PkiId, id: &Bytes) -> Option<Envelope> {
        let subject = PkiId::from_wire(id)?;
        let message = self.identity_pull.messages.get(&subject)?;
        self.may_learn_identity(asker, &subject).then(|| message.clone())
    }

    /// Says whether an identity lacks here and a peer that has one is worth asking.
    pub(super) fn wants_identity(&self, from: &PkiId, id: &[u8]) -> bool {
        let Some(subject) = PkiId::from_wire(id) else {
            return false;
        };
        let pull = &self.identity_pull;
        let has_failed = || {
            let failure = pull.failures.get(&(*from, subject));
            failure.is_some_and(|at| self.clock.now - *at < FAILURE_MEMORY)
        };
        subject != self.config.pki_id
            && !pull.messages.contains_key(&subject)
            && !has_failed()
            && !self.flights.is_checked(&FlightKey::Identity(subject))
    }

    /// Says whether a peer may learn an identity: one of our organisation any, another those of its
    /// own and ours that can be reached from outside (P-43 to P-46).
    fn may_learn_identity(&self, asker: &PkiId, subject: &PkiId) -> bool {
        let Some(theirs) = self.identities.org(asker) else {
            return false;
        };
        if *theirs == self.config.org {
            return true;
        }
        let org = self.identities.org(subject);
        org.is_some_and(|org| *org == self.config.org || org == theirs)
            && self.discovery.has_external_endpoint(subject)
    }

    /// Takes identities that we asked for.
    pub(super) fn on_identity_update(
        &mut self,
        origin: Origin,
        nonce: u64,
        items: Vec<Envelope>,
    ) -> Result<(), Fault> {
        self.check_update(Puller::Identities, &origin.from, nonce)?;
        let limits = &self.config.limits;
        let (items_max, bytes_max) = (limits.pull_items_max, limits.identity_bytes_max);
        let items: Vec<_> =
            items.into_iter().take(items_max).map(|item| parse(item, bytes_max)).collect();
        let good = items.iter().filter_map(|item| item.as_ref().ok());
        let ids: Vec<_> = good.map(|message| message.pki_id.to_wire()).collect();
        let is_late = self.on_update(Puller::Identities, &origin.from, nonce, &ids);
        for item in items {
            match item {
                Ok(message) if self.has_identity_message(&message.pki_id) => {}
                Ok(mut message) => {
                    message.is_late = is_late;
                    self.admit_element(origin.claim(What::Identity(Box::new(message))));
                }
                Err(fault) => self.blame(origin.conn, Some(origin.from), fault),
            }
        }
        Ok(())
    }

    /// Stores an identity message that holds, if its identity still does.
    pub(super) fn on_identity_verified(&mut self, message: Verified<Box<IdentityMessage>>) {
        let IdentityMessage { pki_id, identity, envelope, is_late } = *message.into_inner();
        let holds = self.identities.get(&pki_id) == Some(&identity);
        self.stats.unique_messages += 1;
        let pull = &mut self.identity_pull;
        if is_late || !holds || pull.messages.contains_key(&pki_id) {
            return;
        }
        // A copy of its own: the bytes may be part of a large receive buffer.
        let bytes = Bytes::from(envelope.encode_to_vec());
        if let Ok(envelope) = Envelope::decode(bytes) {
            pull.insert(pki_id, envelope);
            self.stats.identities_pulled += 1;
        }
    }

    /// Takes note that a pulled identity does not hold. That of its sender's doing it may not be:
    /// Fabric passes on what has expired (N9.2.b).
    pub(super) fn on_identity_failed(&mut self, claim: &Claim, subject: PkiId, fault: Fault) {
        let is_verdict = matches!(fault, Fault::BadIdentity | Fault::BadSignature);
        if is_verdict {
            let max = self.config.limits.pull_failures_max.max(1);
            self.identity_pull.note_failure(claim.from, subject, max, self.clock.now);
        }
        match fault {
            Fault::BadIdentity => self.stats.count(fault),
            _ => self.blame(claim.conn, Some(claim.from), fault),
        }
    }
}

/// Reads an item of an update; its tag is not checked (Q50-5).
fn parse(envelope: Envelope, bytes_max: usize) -> Result<IdentityMessage, Fault> {
    if envelope.encoded_len() > bytes_max {
        return Err(Fault::Malformed);
    }
    let Some(Content::PeerIdentity(identity)) = wire::open(&envelope)?.content else {
        return Err(Fault::Malformed);
    };
    let pki_id = PkiId::from_wire(&identity.pki_id).ok_or(Fault::Malformed)?;
    if identity.cert.is_empty() {
        return Err(Fault::Malformed);
    }
    wire::check_signed(&envelope)?;
    let identity = Identity::new(identity.cert);
    Ok(IdentityMessage { pki_id, identity, envelope, is_late: false })
}

/// Of how many organisations it is remembered whom they may learn of.
const TOLD_MAX: usize = 4;

/// For how long an identity that did not hold is not asked for again, of the same peer.
const FAILURE_MEMORY: Duration = Duration::from_secs(60);
