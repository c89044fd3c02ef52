//! The identities that are known: Fabric's identity mapper.

use alloc::{
    collections::{BTreeSet, VecDeque},
    vec::Vec,
};

use bytes::Bytes;
use gossip_proto::gossip::SecretEnvelope;
use hashbrown::HashMap;

use crate::{
    Config, Identity, IdentityFacts, Instant, OrgId, PkiId, Signed, UnixTime, changed::Changed,
    wire::Alive,
};

/// Validated identities by PKI-ID, ours among them.
///
/// Holds at most [`Limits::identities_max`](crate::Limits::identities_max).
#[derive(Debug)]
pub(crate) struct Identities {
    own: PkiId,
    entries: HashMap<PkiId, Entry>,
    /// In the order in which they expire.
    expiring: BTreeSet<(UnixTime, PkiId)>,
    max: usize,
    /// Whose identity came or went.
    changed: Changed,
}

#[derive(Debug)]
struct Entry {
    identity: Identity,
    org: OrgId,
    expires_at: Option<UnixTime>,
    last_used: Instant,
    /// The last connection messages under this identity whose signatures held.
    proofs: VecDeque<Signed>,
    /// The last secret under this identity whose signature held.
    secret: Option<SecretEnvelope>,
}

/// Why an identity was not stored.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    /// It expired before now.
    Expired,
    /// There is no room.
    Full,
}

impl Identities {
    /// Stores our own identity; it neither expires here nor goes unused.
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        let entry = Entry {
            identity: config.identity.clone(),
            org: config.org.clone(),
            expires_at: None,
            last_used: now,
            proofs: VecDeque::new(),
            secret: None,
        };
        Self {
            own: config.pki_id,
            entries: core::iter::once((config.pki_id, entry)).collect(),
            expiring: BTreeSet::new(),
            max: config.limits.identities_max,
            changed: Changed::default(),
        }
    }

    /// Stores a validated identity, unless there is one already (C-35): `Ok(true)` if it is new.
    pub(crate) fn insert(
        &mut self,
        identity: &Identity,
        facts: IdentityFacts,
        now: Instant,
        wall: UnixTime,
    ) -> Result<bool, Refusal> {
        if self.entries.contains_key(&facts.pki_id) {
            return Ok(false);
        }
        if facts.expires_at.is_some_and(|at| at < wall) {
            return Err(Refusal::Expired);
        }
        if self.entries.len() >= self.max {
            return Err(Refusal::Full);
        }
        self.expiring.extend(facts.expires_at.map(|at| (at, facts.pki_id)));
        // A copy of its own: the bytes may be part of a large receive buffer.
        let identity = Identity::new(Bytes::copy_from_slice(identity.as_bytes()));
        let IdentityFacts { pki_id, org, expires_at } = facts;
        let entry = Entry {
            identity,
            org,
            expires_at,
            last_used: now,
            proofs: VecDeque::new(),
            secret: None,
        };
        self.entries.insert(pki_id, entry);
        self.changed.note(pki_id);
        Ok(true)
    }

    /// Counts them, with ours.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns an identity.
    pub(crate) fn get(&self, pki_id: &PkiId) -> Option<&Identity> {
        self.entries.get(pki_id).map(|entry| &entry.identity)
    }

    /// Returns an identity and notes that it was used (C-38).
    pub(crate) fn use_of(&mut self, pki_id: &PkiId, now: Instant) -> Option<&Identity> {
        let entry = self.entries.get_mut(pki_id)?;
        entry.last_used = now;
        Some(&entry.identity)
    }

    /// Says whether this very connection message was verified before: a peer signs one for each of
    /// its TLS certificates, and shows it on every connection.
    pub(crate) fn is_proven(&self, pki_id: &PkiId, message: &Signed) -> bool {
        self.entries.get(pki_id).is_some_and(|entry| entry.proofs.contains(message))
    }

    /// Remembers a connection message whose signature held.
    pub(crate) fn prove(&mut self, pki_id: &PkiId, message: Signed) {
        if let Some(entry) = self.entries.get_mut(pki_id) {
            if entry.proofs.len() >= PROOFS_MAX {
                entry.proofs.pop_front();
            }
            // One is the rule.
            entry.proofs.reserve_exact(1);
            entry.proofs.push_back(message);
        }
    }

    /// Says whether this very secret of a peer was verified before: it hardly ever changes, and
    /// most copies of an alive message come with it.
    pub(crate) fn knows_secret(&self, pki_id: &PkiId, secret: &SecretEnvelope) -> bool {
        self.entries.get(pki_id).is_some_and(|entry| entry.secret.as_ref() == Some(secret))
    }

    /// Says whether the secret of an alive message was verified before, or there is none.
    pub(crate) fn knows_secret_of(&self, alive: &Alive) -> bool {
        let secret = alive.envelope.secret_envelope.as_ref();
        secret.is_none_or(|secret| self.knows_secret(&alive.pki_id, secret))
    }

    /// Remembers a secret whose signature held.
    pub(crate) fn note_secret(&mut self, pki_id: &PkiId, secret: &SecretEnvelope) {
        if let Some(entry) = self.entries.get_mut(pki_id) {
            let copy = |bytes: &Bytes| Bytes::copy_from_slice(bytes);
            let SecretEnvelope { payload, signature } = secret;
            let secret = SecretEnvelope { payload: copy(payload), signature: copy(signature) };
            entry.secret = Some(secret);
        }
    }

    /// Returns the organisation that vouches for a peer.
    pub(crate) fn org(&self, pki_id: &PkiId) -> Option<&OrgId> {
        self.entries.get(pki_id).map(|entry| &entry.org)
    }

    /// Tells whose identity came or went since this was last asked.
    pub(crate) fn take_changed(&mut self) -> Option<Changed> {
        self.changed.take()
    }

    /// Forgets an identity; ours stays.
    pub(crate) fn remove(&mut self, pki_id: &PkiId) -> bool {
        if *pki_id == self.own {
            return false;
        }
        let Some(entry) = self.entries.remove(pki_id) else {
            return false;
        };
        self.changed.note(*pki_id);
        if let Some(at) = entry.expires_at {
            self.expiring.remove(&(at, *pki_id));
        }
        true
    }

    /// Returns when the next identity expires.
    pub(crate) fn next_expiry(&self) -> Option<UnixTime> {
        self.expiring.first().map(|(at, _)| *at)
    }

    /// Lists those that have expired, earliest first (C-37).
    pub(crate) fn expired(&self, wall: UnixTime) -> Vec<PkiId> {
        self.expiring.iter().take_while(|(at, _)| *at < wall).map(|(_, id)| *id).collect()
    }

    /// Lists those of others that nobody has used since `since`, by PKI-ID (C-38).
    pub(crate) fn unused_since(&self, since: Instant) -> Vec<PkiId> {
        self.sorted(|id, entry| *id != self.own && entry.last_used < since)
    }

    /// Lists those of others, by PKI-ID.
    pub(crate) fn others(&self) -> Vec<PkiId> {
        self.sorted(|id, _| *id != self.own)
    }

    /// Lists all, by PKI-ID.
    pub(crate) fn all(&self) -> Vec<(PkiId, Identity, OrgId)> {
        let ids = self.sorted(|_, _| true);
        let entry = |id: PkiId| {
            let entry = &self.entries[&id];
            (id, entry.identity.clone(), entry.org.clone())
        };
        ids.into_iter().map(entry).collect()
    }

    fn sorted(&self, keep: impl Fn(&PkiId, &Entry) -> bool) -> Vec<PkiId> {
        // In hash order, but sorted before anybody sees it.
        let mut ids: Vec<_> =
            self.entries.iter().filter(|(id, entry)| keep(id, entry)).map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }
}

/// A peer has at most two TLS certificates at a time, and signs a probe and another for each.
const PROOFS_MAX: usize = 4;

#[cfg(test)]
mod tests;
