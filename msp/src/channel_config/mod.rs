//! What a channel's configuration says: its organisations, its orderers and its policies.

mod group;
mod organisation;
mod read;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use gossip_proto::common::Consenter;

use crate::block;
use crate::ecdsa::SignatureError;
use crate::error::{ConfigError, IdentityError};
use crate::identities::{Identities, SignedData, Valid, VerifyError};
use crate::msp::Msp;
use crate::policy::{PolicyError, PolicyTree};
use crate::transaction::channel_header;

pub use self::organisation::{Anchor, Organisation};

/// The configuration of a channel, as one of its configuration blocks carries it (§14).
///
/// Every rule that makes a configuration unusable for Fabric makes it unusable here, before
/// anything is taken from it. It never changes; [`update`](Self::update) makes the next one.
#[derive(Debug)]
pub struct ChannelConfig {
    channel: String,
    sequence: u64,
    members: Vec<Organisation>,
    orderers: Vec<Organisation>,
    orderer_addresses: Vec<String>,
    consensus_type: String,
    consenters: Vec<Consenter>,
    /// The serialized identities of consenters, by number; of several with one, the first.
    consenter_identities: BTreeMap<u32, Bytes>,
    channel_capabilities: BTreeSet<String>,
    application_capabilities: BTreeSet<String>,
    policies: PolicyTree,
    identities: Identities,
}

impl ChannelConfig {
    /// Reads the configuration out of a serialized configuration block.
    ///
    /// The block is taken as it is: verify it first, unless it is a genesis block that you trust.
    ///
    /// # Errors
    ///
    /// Names the path of the group, value or policy that is wrong, such as
    /// `/Channel/Orderer/BatchSize`, and what was expected of it.
    pub fn from_block(block: &Bytes) -> Result<Self, ConfigError> {
        read::channel_config(block)
    }

    /// Reads the configuration that follows this one out of a serialized configuration block.
    ///
    /// # Errors
    ///
    /// As [`from_block`](Self::from_block), and when the block belongs to another channel (SV-62)
    /// or its configuration is not the next one (5.1).
    pub fn update(&self, block: &Bytes) -> Result<Self, ConfigError> {
        let next = Self::from_block(block)?;
        if next.channel != self.channel {
            let problem = format!("is {:?}, expected {:?}", next.channel, self.channel);
            return Err(ConfigError::new("channel", problem));
        }
        if self.sequence.checked_add(1) != Some(next.sequence) {
            let problem = format!("is {}, expected the one after {}", next.sequence, self.sequence);
            return Err(ConfigError::new("sequence", problem));
        }
        Ok(next)
    }

    /// The channel's name.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// How often the configuration has changed.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The organisations whose peers gossip on the channel, with their anchor peers.
    #[must_use]
    pub fn members(&self) -> &[Organisation] {
        &self.members
    }

    /// The organisations that run the ordering service, with their endpoints.
    #[must_use]
    pub fn orderers(&self) -> &[Organisation] {
        &self.orderers
    }

    /// Addresses of orderers of no particular organisation: to be used when no organisation has
    /// an endpoint (S10.2.a).
    #[must_use]
    pub fn orderer_addresses(&self) -> &[String] {
        &self.orderer_addresses
    }

    /// How orderers agree: `etcdraft` or `BFT`.
    #[must_use]
    pub fn consensus_type(&self) -> &str {
        &self.consensus_type
    }

    /// The orderers of a Byzantine-tolerant ordering service.
    #[must_use]
    pub fn consenters(&self) -> &[Consenter] {
        &self.consenters
    }

    /// Whether every node of the channel must be able to do this, such as `V3_0`.
    #[must_use]
    pub fn has_channel_capability(&self, name: &str) -> bool {
        self.channel_capabilities.contains(name)
    }

    /// Whether every peer of the channel must be able to do this, such as `V2_5`.
    #[must_use]
    pub fn has_application_capability(&self, name: &str) -> bool {
        self.application_capabilities.contains(name)
    }

    /// All organisations with X.509 identities, each once.
    pub fn msps(&self) -> impl Iterator<Item = Msp> {
        let organisations = self.members.iter().chain(&self.orderers);
        let msps = organisations.filter_map(|organisation| organisation.msp.clone());
        msps.map(|msp| (msp.shared_id(), msp)).collect::<BTreeMap<_, _>>().into_values()
    }

    /// The identities that the channel's policies are about.
    #[must_use]
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// Whether gossip has nothing to learn from this configuration after `previous`: groups of
    /// members, their MSP ids and their anchor peers, in any order, are the same (§5.2).
    #[must_use]
    pub fn has_same_members(&self, previous: &Self) -> bool {
        let essence = |organisation: &Organisation| {
            let mut anchors = organisation.anchors.clone();
            anchors.sort();
            (organisation.name.clone(), organisation.mspid.clone(), anchors)
        };
        self.members.iter().map(essence).eq(previous.members.iter().map(essence))
    }

    /// Judges signatures by the policy of an absolute path, such as
    /// `/Channel/Application/Readers`.
    ///
    /// # Errors
    ///
    /// When there is no such policy (C-43), or it is not satisfied by those of the signatures that
    /// hold.
    pub fn evaluate(&self, policy: &str, signed: &[SignedData<'_>]) -> Result<(), PolicyError> {
        self.policies.evaluate(policy, &self.identities.signers(signed))
    }

    /// Judges by a policy whether one identity may do or see what `payload`, which it signed, asks
    /// for (C-42).
    ///
    /// # Errors
    ///
    /// When the identity or the signature is not valid, or as [`evaluate`](Self::evaluate).
    pub fn check_access(
        &self,
        policy: &str,
        identity: &[u8],
        payload: &[u8],
        signature: &[u8],
    ) -> Result<(), AccessError> {
        let valid = self.identities.judge(identity).map_err(VerifyError::Identity)?;
        valid.key.verify(payload, signature).map_err(VerifyError::Signature)?;
        Ok(self.allows(policy, valid)?)
    }

    /// Whether there is a policy of this absolute path.
    pub(crate) fn has_policy(&self, policy: &str) -> bool {
        self.policies.has(policy)
    }

    /// Judges by a policy whether one identity, whose signature held, may do something.
    pub(crate) fn allows(&self, policy: &str, signer: Arc<Valid>) -> Result<(), PolicyError> {
        self.policies.evaluate(policy, &[signer])
    }

    /// The serialized identity of the consenter with a number.
    pub(crate) fn consenter_identity(&self, number: u32) -> Option<&Bytes> {
        self.consenter_identities.get(&number)
    }
}

/// Whether a serialized block carries a configuration, and nothing else (§14.1).
///
/// Bytes that are no block do not.
#[must_use]
pub fn is_config_block(block: &Bytes) -> bool {
    let Ok(block) = block::decode(block) else {
        return false;
    };
    match &block.data.unwrap_or_default().data[..] {
        [transaction] => channel_header(transaction).is_some_and(|header| header.is_config),
        _ => false,
    }
}

/// Why an identity may not do or see something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AccessError {
    /// The identity or its signature is not valid.
    Verify(VerifyError),
    /// The policy does not allow it.
    Policy(PolicyError),
    /// The channel's configuration is not known.
    UnknownChannel,
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verify(error) => error.fmt(f),
            Self::Policy(error) => error.fmt(f),
            Self::UnknownChannel => f.write_str("configuration of the channel is not known"),
        }
    }
}

impl std::error::Error for AccessError {}

impl From<IdentityError> for AccessError {
    fn from(error: IdentityError) -> Self {
        Self::Verify(error.into())
    }
}

impl From<SignatureError> for AccessError {
    fn from(error: SignatureError) -> Self {
        Self::Verify(error.into())
    }
}

impl From<VerifyError> for AccessError {
    fn from(error: VerifyError) -> Self {
        Self::Verify(error)
    }
}

impl From<PolicyError> for AccessError {
    fn from(error: PolicyError) -> Self {
        Self::Policy(error)
    }
}

/// The policy that identities of other organisations and their requests are judged by.
pub const READERS: &str = "/Channel/Application/Readers";

/// The policy that blocks are judged by.
pub const BLOCK_VALIDATION: &str = "/Channel/Orderer/BlockValidation";
