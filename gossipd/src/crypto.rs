//! X.509 identities as the cryptography of a node.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use gossip_core::{
    ChannelId, Crypto, Identity, IdentityFacts, JobError, OrgId, PkiId, Signed, UnixTime,
};
use gossip_msp::{BlockVerifier, Identities, SigningIdentity};

/// Signs and checks with X.509 identities, as Fabric's membership service providers do.
///
/// A channel may be read by every valid identity of the organisations that are set for it; the
/// Readers policy of its configuration, which can say otherwise, is **not** evaluated. Channels of
/// demonstrations have no configuration, or a recorded one that knows none of the peers.
#[derive(Debug)]
pub(crate) struct MspCrypto {
    identities: Arc<Identities>,
    signer: SigningIdentity,
    blocks: Arc<BlockVerifier>,
    readers: RwLock<BTreeMap<ChannelId, BTreeSet<OrgId>>>,
}

impl MspCrypto {
    /// Signs as `signer`, and checks by what `identities` and `blocks` know.
    pub(crate) fn new(
        signer: SigningIdentity,
        identities: Arc<Identities>,
        blocks: Arc<BlockVerifier>,
    ) -> Self {
        Self { identities, signer, blocks, readers: RwLock::default() }
    }

    /// Sets the organisations whose members may read a channel.
    pub(crate) fn set_readers(&self, channel: ChannelId, orgs: impl IntoIterator<Item = OrgId>) {
        let mut readers = self.readers.write().unwrap_or_else(PoisonError::into_inner);
        readers.insert(channel, orgs.into_iter().collect());
    }
}

impl Crypto for MspCrypto {
    fn sign(&self, payload: &[u8]) -> Result<Bytes, JobError> {
        self.signer.sign(payload).map(Bytes::from).map_err(|error| JobError::failed(text(error)))
    }

    fn verify(&self, identity: &Identity, message: &Signed) -> Result<(), JobError> {
        let Signed { payload, signature } = message;
        self.identities.verify(identity.as_bytes(), signature, payload).map_err(rejected)
    }

    fn validate_identity(&self, identity: &Identity) -> Result<IdentityFacts, JobError> {
        let facts = self.identities.validate(identity.as_bytes()).map_err(rejected)?;
        Ok(IdentityFacts {
            pki_id: PkiId::new(facts.pki_id),
            org: OrgId::from(&*facts.mspid),
            expires_at: Some(UnixTime::from_secs(facts.not_after)),
        })
    }

    fn check_access(
        &self,
        channel: &ChannelId,
        identity: &Identity,
        message: &Signed,
    ) -> Result<(), JobError> {
        self.verify(identity, message)?;
        let org = self.validate_identity(identity)?.org;
        let readers = self.readers.read().unwrap_or_else(PoisonError::into_inner);
        let Some(orgs) = readers.get(channel) else {
            return Err(JobError::failed(format!("nobody said who may read channel {channel}")));
        };
        match orgs.contains(&org) {
            true => Ok(()),
            false => Err(rejected(format!("{org} is not in channel {channel}"))),
        }
    }

    fn verify_block(
        &self,
        channel: &ChannelId,
        number: u64,
        block: &Bytes,
    ) -> Result<(), JobError> {
        let name = std::str::from_utf8(channel.as_bytes()).map_err(rejected)?;
        self.blocks.verify(name, number, block).map_err(rejected)
    }
}

fn rejected(reason: impl Display) -> JobError {
    JobError::rejected(text(reason))
}

fn text(reason: impl Display) -> String {
    reason.to_string()
}
