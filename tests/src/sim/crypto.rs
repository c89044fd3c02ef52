//! Cryptography that costs little and is honest: keyed hashes, or in small runs the real thing.
//!
//! Whoever signs must hold the [`Key`] of the identity; a Byzantine peer holds none but its own.
//! With keyed hashes the authority can check every signature, which stands in for public keys.

use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use gossip_core::{
    ChannelId, Crypto, Identity, IdentityFacts, JobError, Ledger, OrgId, PkiId, Signed, UnixTime,
};
use sha2::{Digest as _, Sha256};

use super::{
    certificates::{Certificates, SEAL_BYTES, Signer},
    hash::Map,
    known::Known,
};

/// Issues identities and checks signatures.
#[derive(Clone, Debug)]
pub struct Authority {
    secret: [u8; 32],
    /// What identities and signatures are made of in place of keyed hashes, if anything.
    certificates: Option<Arc<Certificates>>,
    revoked: BTreeSet<PkiId>,
    memory: RefCell<Memory>,
}

/// What was found out before. Every peer checks what every other has checked.
#[derive(Clone, Debug, Default)]
struct Memory {
    /// What each identity that was shown means, and its key if signatures are keyed hashes.
    identities: Map<Identity, (Option<IdentityFacts>, [u8; 32])>,
    /// Signatures that hold, and of what under whose identity.
    signatures: Map<Bytes, (Identity, Bytes)>,
    /// Whose signature of a payload holds, and which it is.
    signed: Known<(Identity, Bytes)>,
    /// Blocks that were sealed, by their seals.
    blocks: Map<Vec<u8>, (ChannelId, u64, Vec<u8>)>,
}

/// The key of one identity.
#[derive(Clone, Debug)]
pub struct Key(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Mac([u8; 32]),
    P256(Signer),
}

/// An identity with its key.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The identity as it travels.
    pub identity: Identity,
    /// What it means.
    pub facts: IdentityFacts,
    /// Its key.
    pub key: Key,
}

impl Authority {
    /// Makes an authority whose keys all follow from `secret`.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        let (revoked, memory) = (BTreeSet::new(), RefCell::default());
        Self { secret, certificates: None, revoked, memory }
    }

    /// Makes an authority that issues certificates of these organisations, with keys on P-256 that
    /// all follow from `secret`.
    #[must_use]
    pub fn certifying(secret: [u8; 32], orgs: impl IntoIterator<Item = String>) -> Self {
        let certificates = Some(Arc::new(Certificates::new(secret, orgs)));
        Self { certificates, ..Self::new(secret) }
    }

    /// Issues an identity. The serial number makes a renewed one differ from the one before.
    /// Certificates end with a whole second, and never later than in 2100.
    ///
    /// # Panics
    ///
    /// If it should be a certificate of an organisation that the authority was not made for.
    #[must_use]
    pub fn issue(
        &self,
        org: &str,
        name: &str,
        serial: u32,
        expires_at: Option<UnixTime>,
    ) -> Credentials {
        let (identity, kind) = match &self.certificates {
            None => {
                let expiry = expires_at.map_or(0, UnixTime::as_nanos);
                let text = format!("{org}/{name}/{serial}/{expiry}");
                let seal = self.mac(b"identity", text.as_bytes());
                let identity = Identity::new([text.as_bytes(), b"/", &seal[..]].concat());
                let kind = Kind::Mac(self.key(&identity));
                (identity, kind)
            }
            Some(certificates) => {
                let name = format!("{name}/{serial}");
                let (identity, signer) = certificates.issue(org, &name, expires_at);
                (identity, Kind::P256(signer))
            }
        };
        let facts = self.read(&identity).expect("what was issued is valid");
        Credentials { identity, facts, key: Key(kind) }
    }

    /// Revokes an identity: it validates no more.
    pub fn revoke(&mut self, pki_id: PkiId) {
        self.revoked.insert(pki_id);
    }

    /// Says whether an identity was revoked.
    #[must_use]
    pub fn is_revoked(&self, pki_id: &PkiId) -> bool {
        self.revoked.contains(pki_id)
    }

    /// Makes a block as the orderers do: channel, number and body under their seal.
    #[must_use]
    pub fn block(&self, channel: &ChannelId, number: u64, body: &[u8]) -> Bytes {
        let head = head(channel, number, body);
        match &self.certificates {
            None => [&self.mac(b"block", &head)[..], body].concat().into(),
            Some(certificates) => [&certificates.seal(&head)[..], body].concat().into(),
        }
    }

    /// Says whether the orderers made a block of this channel and number.
    #[must_use]
    pub fn is_block(&self, channel: &ChannelId, number: u64, block: &[u8]) -> bool {
        let seal_bytes = if self.certificates.is_some() { SEAL_BYTES } else { 32 };
        let Some((seal, body)) = block.split_at_checked(seal_bytes) else { return false };
        let blocks = &mut self.memory.borrow_mut().blocks;
        let known = blocks.get(seal);
        if known.is_some_and(|(of, at, held)| of == channel && *at == number && held == body) {
            return true;
        }
        let head = head(channel, number, body);
        let holds = match &self.certificates {
            None => self.mac(b"block", &head) == seal,
            Some(certificates) => certificates.is_seal(&head, seal),
        };
        if holds {
            if blocks.len() >= BLOCKS_MAX {
                blocks.clear();
            }
            blocks.insert(seal.to_vec(), (channel.clone(), number, body.to_vec()));
        }
        holds
    }

    /// Says whether a signature holds under an identity.
    #[must_use]
    pub fn is_signed(&self, identity: &Identity, message: &Signed) -> bool {
        let memory = &mut *self.memory.borrow_mut();
        let known = memory.signed.get(&message.payload);
        if known.is_some_and(|(by, how)| by == identity && *how == message.signature) {
            return true;
        }
        let known = memory.signatures.get(&message.signature);
        let is_known = known.is_some_and(|(by, of)| by == identity && *of == message.payload);
        if !is_known && !self.is_signed_indeed(identity, message, memory) {
            return false;
        }
        let signed = (identity.clone(), message.signature.clone());
        memory.signed.put(message.payload.clone(), signed);
        true
    }

    fn is_signed_indeed(&self, identity: &Identity, message: &Signed, memory: &mut Memory) -> bool {
        let holds = match &self.certificates {
            None => {
                message.signature
                    == mac(&memory.of(identity, self, |(_, key)| *key), &message.payload)[..]
            }
            Some(certificates) => certificates.is_signed(identity, message),
        };
        if holds {
            if memory.signatures.len() >= SIGNATURES_MAX {
                memory.signatures.clear();
            }
            let signed = (identity.clone(), message.payload.clone());
            memory.signatures.insert(message.signature.clone(), signed);
        }
        holds
    }

    /// Returns what follows from the facts of an identity.
    ///
    /// # Errors
    ///
    /// If this authority did not issue it, or revoked it.
    fn validated<T>(
        &self,
        identity: &Identity,
        f: impl FnOnce(&IdentityFacts) -> T,
    ) -> Result<T, JobError> {
        self.memory.borrow_mut().of(identity, self, |(facts, _)| {
            let unknown = || JobError::rejected("nobody issued this identity");
            let facts = facts.as_ref().ok_or_else(unknown)?;
            match self.is_revoked(&facts.pki_id) {
                true => Err(JobError::rejected("revoked")),
                false => Ok(f(facts)),
            }
        })
    }

    fn key(&self, identity: &Identity) -> [u8; 32] {
        self.mac(b"key", identity.as_bytes())
    }

    fn mac(&self, domain: &[u8], bytes: &[u8]) -> [u8; 32] {
        let hash = Sha256::new().chain_update(self.secret).chain_update(domain);
        hash.chain_update([0]).chain_update(bytes).finalize().into()
    }

    /// Reads what an identity says, if this authority issued it.
    fn read(&self, identity: &Identity) -> Option<IdentityFacts> {
        if let Some(certificates) = &self.certificates {
            return certificates.facts(identity);
        }
        let bytes = identity.as_bytes();
        let (text, seal) = bytes.split_at_checked(bytes.len().checked_sub(33)?)?;
        if seal[0] != b'/' || self.mac(b"identity", text)[..] != seal[1..] {
            return None;
        }
        let mut parts = str::from_utf8(text).ok()?.split('/');
        let org = OrgId::from(parts.next()?);
        let expiry = parts.nth(2)?.parse().ok()?;
        let expires_at = (expiry > 0).then(|| UnixTime::from_nanos(expiry));
        Some(IdentityFacts { pki_id: PkiId::new(Sha256::digest(bytes).into()), org, expires_at })
    }
}

impl Memory {
    /// Returns what follows from what an identity means, and its key.
    fn of<T>(
        &mut self,
        identity: &Identity,
        authority: &Authority,
        f: impl FnOnce(&(Option<IdentityFacts>, [u8; 32])) -> T,
    ) -> T {
        if let Some(found) = self.identities.get(identity) {
            return f(found);
        }
        // Hostile peers show as many as they like.
        if self.identities.len() >= IDENTITIES_MAX {
            self.identities.clear();
        }
        let found = (authority.read(identity), authority.key(identity));
        f(self.identities.entry(identity.clone()).or_insert(found))
    }
}

impl Key {
    /// Signs.
    #[must_use]
    pub fn sign(&self, payload: &[u8]) -> Bytes {
        match &self.0 {
            Kind::Mac(key) => Bytes::copy_from_slice(&mac(key, payload)),
            Kind::P256(signer) => signer.sign(payload),
        }
    }
}

fn mac(key: &[u8; 32], payload: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(key).chain_update(payload).finalize().into()
}

/// What one peer's jobs are done with: its own key, and everybody's certificates.
#[derive(Clone, Copy, Debug)]
pub struct Backend<'a> {
    /// Everybody's certificates.
    pub authority: &'a Authority,
    /// The own key.
    pub key: &'a Key,
    /// The organisations of each channel: their members may read it.
    pub readers: &'a dyn Readers,
}

/// Says who may read a channel.
pub trait Readers: std::fmt::Debug {
    /// Says whether members of an organisation may read a channel.
    fn may_read(&self, org: &OrgId, channel: &ChannelId) -> bool;
}

impl Crypto for Backend<'_> {
    fn sign(&self, payload: &[u8]) -> Result<Bytes, JobError> {
        Ok(self.key.sign(payload))
    }

    fn verify(&self, identity: &Identity, message: &Signed) -> Result<(), JobError> {
        match self.authority.is_signed(identity, message) {
            true => Ok(()),
            false => Err(JobError::rejected("another signer")),
        }
    }

    fn validate_identity(&self, identity: &Identity) -> Result<IdentityFacts, JobError> {
        self.authority.validated(identity, IdentityFacts::clone)
    }

    fn check_access(
        &self,
        channel: &ChannelId,
        identity: &Identity,
        message: &Signed,
    ) -> Result<(), JobError> {
        let may_read = |facts: &IdentityFacts| self.readers.may_read(&facts.org, channel);
        match self.authority.validated(identity, may_read)? {
            true => self.verify(identity, message),
            false => Err(JobError::rejected("not a reader of the channel")),
        }
    }

    fn verify_block(
        &self,
        channel: &ChannelId,
        number: u64,
        block: &Bytes,
    ) -> Result<(), JobError> {
        match self.authority.is_block(channel, number, block) {
            true => Ok(()),
            false => Err(JobError::rejected("the orderers did not make this block")),
        }
    }
}

/// The ledger is the host's, which commits before it answers.
impl Ledger for Backend<'_> {
    fn commit(&self, _: &ChannelId, _: u64, _: &Bytes) -> Result<(), JobError> {
        Ok(())
    }
}

/// More than are under way at once.
const SIGNATURES_MAX: usize = 4096;
/// More than are under way at once.
const BLOCKS_MAX: usize = 256;
/// More than the largest network has.
const IDENTITIES_MAX: usize = 65_536;

fn head(channel: &ChannelId, number: u64, body: &[u8]) -> Vec<u8> {
    [channel.as_bytes(), &[0][..], &number.to_be_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authorities(secret: u8) -> [Authority; 2] {
        let secret = [secret; 32];
        [Authority::new(secret), Authority::certifying(secret, ["a", "b"].map(String::from))]
    }

    #[test]
    fn only_its_key_signs_for_an_identity_and_only_the_authority_issues_one() {
        for (authority, other) in authorities(1).iter().zip(authorities(2)) {
            only_its_key_signs(authority, &other);
        }
    }

    fn only_its_key_signs(authority: &Authority, other: &Authority) {
        let (alice, bob) = (authority.issue("a", "x", 0, None), authority.issue("b", "y", 0, None));
        let payload = Bytes::from_static(b"words");
        let message = Signed { payload: payload.clone(), signature: alice.key.sign(&payload) };
        assert!(authority.is_signed(&alice.identity, &message));
        assert!(!authority.is_signed(&bob.identity, &message));
        let forged = other.issue("a", "x", 0, None);
        assert_eq!(authority.read(&forged.identity), None);
        let signature = forged.key.sign(&payload);
        assert!(!authority.is_signed(&forged.identity, &Signed { payload, signature }));
        let expiring = authority.issue("a", "x", 1, Some(UnixTime::from_secs(5)));
        assert_eq!(expiring.facts.expires_at, Some(UnixTime::from_secs(5)));
        assert_ne!(expiring.facts.pki_id, alice.facts.pki_id);
    }

    #[test]
    fn only_orderers_make_blocks() {
        for (authority, other) in authorities(1).iter().zip(authorities(2)) {
            only_orderers_seal(authority, &other);
        }
    }

    fn only_orderers_seal(authority: &Authority, other: &Authority) {
        let channel = ChannelId::from("c");
        let block = authority.block(&channel, 3, b"body");
        assert!(authority.is_block(&channel, 3, &block));
        assert!(!authority.is_block(&channel, 4, &block));
        assert!(!authority.is_block(&ChannelId::from("d"), 3, &block));
        assert!(!authority.is_block(&channel, 3, b"body"));
        assert!(!authority.is_block(&channel, 3, &other.block(&channel, 3, b"body")));
    }

    #[test]
    fn certificates_and_signatures_follow_from_the_secret() {
        let [one, two] = [(); 2].map(|()| {
            let authority = Authority::certifying([1; 32], ["a".into()]);
            let Credentials { identity, facts, key } = authority.issue("a", "x", 0, None);
            (identity, facts.pki_id, key.sign(b"words"), authority.block(&"c".into(), 1, b"body"))
        });
        assert_eq!(one, two);
    }
}
