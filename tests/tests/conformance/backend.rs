//! The cryptography behind a node: real, but for what a test says itself.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    fmt::Display,
};

use bytes::Bytes;
use gossip_core::{
    ChannelId, Crypto, Identity, IdentityFacts, JobError, Ledger, OrgId, PkiId, Signed, UnixTime,
};
use gossip_msp::{Identities, SigningIdentity, pki_id};
use gossip_proto::{common::Block, msp::SerializedIdentity};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

/// Verifies what was recorded, and accepts exactly what the test has said in others' names.
pub(crate) struct Backend {
    identities: Identities,
    signer: SigningIdentity,
    readers: Vec<OrgId>,
    vouched: RefCell<HashSet<Signed>>,
    known: RefCell<HashSet<Identity>>,
    verifies: Cell<u64>,
}

impl Backend {
    /// Signs as `signer`; members of `readers` may read all channels.
    pub(crate) fn new(
        identities: Identities,
        signer: SigningIdentity,
        readers: Vec<OrgId>,
    ) -> Self {
        Self {
            identities,
            signer,
            readers,
            vouched: RefCell::default(),
            known: RefCell::default(),
            verifies: Cell::default(),
        }
    }

    pub(crate) fn signer(&self) -> &SigningIdentity {
        &self.signer
    }

    /// Makes the only signature that will be accepted over a payload of the test's own.
    pub(crate) fn vouch(&self, payload: &Bytes) -> Bytes {
        let signature = Bytes::from_static(b"said by the test");
        let signed = Signed { payload: payload.clone(), signature: signature.clone() };
        self.vouched.borrow_mut().insert(signed);
        signature
    }

    /// Lets an identity be valid whose authority was not recorded.
    pub(crate) fn vouch_for_identity(&self, identity: &Bytes) {
        self.known.borrow_mut().insert(Identity::new(identity.clone()));
    }

    /// Returns how many signatures of messages were checked.
    pub(crate) fn verifies(&self) -> u64 {
        self.verifies.get()
    }
}

impl Crypto for Backend {
    fn sign(&self, payload: &[u8]) -> Result<Bytes, JobError> {
        self.signer.sign(payload).map(Bytes::from).map_err(rejected)
    }

    fn verify(&self, identity: &Identity, message: &Signed) -> Result<(), JobError> {
        self.verifies.set(self.verifies.get() + 1);
        if self.vouched.borrow().contains(message) {
            return Ok(());
        }
        let Signed { payload, signature } = message;
        self.identities.verify(identity.as_bytes(), signature, payload).map_err(rejected)
    }

    fn validate_identity(&self, identity: &Identity) -> Result<IdentityFacts, JobError> {
        if self.known.borrow().contains(identity) {
            return vouched_facts(identity).ok_or_else(|| rejected("not an identity"));
        }
        let facts = self.identities.validate(identity.as_bytes()).map_err(rejected)?;
        Ok(IdentityFacts {
            pki_id: PkiId::new(facts.pki_id),
            org: OrgId::from(&*facts.mspid),
            expires_at: Some(UnixTime::from_secs(facts.not_after)),
        })
    }

    fn check_access(
        &self,
        _channel: &ChannelId,
        identity: &Identity,
        message: &Signed,
    ) -> Result<(), JobError> {
        match self.readers.contains(&self.validate_identity(identity)?.org) {
            true => self.verify(identity, message),
            false => Err(rejected("not in the channel")),
        }
    }

    /// Checks what the recorded peer's backend did: the number, the metadata, the data's hash.
    fn verify_block(
        &self,
        _channel: &ChannelId,
        number: u64,
        block: &Bytes,
    ) -> Result<(), JobError> {
        let Block { header, data, metadata } = Block::decode(block.clone()).map_err(rejected)?;
        let header = header.ok_or_else(|| rejected("no header"))?;
        metadata.ok_or_else(|| rejected("no metadata"))?;
        let transactions = data.unwrap_or_default().data;
        let hash = Sha256::digest(transactions.concat());
        match header.number == number && header.data_hash[..] == hash[..] {
            true => Ok(()),
            false => Err(rejected("another number or other data than the header says")),
        }
    }
}

impl Ledger for Backend {
    fn commit(&self, _: &ChannelId, _: u64, _: &Bytes) -> Result<(), JobError> {
        Ok(())
    }

    /// Of the blocks that the recorded node had their numbers matter.
    fn read_blocks(
        &self,
        _: &ChannelId,
        first: u64,
        last: u64,
        _: usize,
    ) -> Result<Vec<(u64, Bytes)>, JobError> {
        Ok((first..=last).map(|number| (number, Bytes::new())).collect())
    }
}

fn vouched_facts(identity: &Identity) -> Option<IdentityFacts> {
    let bytes = identity.as_bytes();
    let mspid = SerializedIdentity::decode(bytes.clone()).ok()?.mspid;
    Some(IdentityFacts {
        pki_id: PkiId::new(pki_id(bytes)?),
        org: OrgId::from(&*mspid),
        expires_at: None,
    })
}

fn rejected(reason: impl Display) -> JobError {
    JobError::rejected(reason.to_string())
}
