//! Whom a peer believes: its own organisation, and the channels that it has joined.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::channel_config::{AccessError, ChannelConfig, READERS};
use crate::error::IdentityError;
use crate::identities::{Facts, Identities};
use crate::msp::Msp;

/// Judges identities and what they sign as a peer does: by its own organisation first, then by the
/// channels that it has joined (§3.3).
///
/// Used from any thread. Each configuration remembers whom it found valid, so that a new one
/// judges everybody anew. An identity that several channels know may speak if one of them lets it.
#[derive(Debug)]
pub struct Trust {
    own: Identities,
    channels: RwLock<Channels>,
}

/// By name; replaced as a whole, so that judging holds no lock.
type Channels = Arc<BTreeMap<String, Arc<ChannelConfig>>>;

impl Trust {
    /// Believes the own organisation and no channel.
    #[must_use]
    pub fn new(own: Msp) -> Self {
        Self { own: Identities::new([own]), channels: RwLock::default() }
    }

    /// Goes by this configuration of its channel from here on, and by no earlier one.
    pub fn set_channel(&self, config: Arc<ChannelConfig>) {
        self.change(|channels| channels.insert(config.channel().to_owned(), config));
    }

    /// Forgets a channel.
    pub fn remove_channel(&self, channel: &str) {
        self.change(|channels| channels.remove(channel));
    }

    /// The configuration of a channel.
    #[must_use]
    pub fn channel(&self, channel: &str) -> Option<Arc<ChannelConfig>> {
        self.channels().get(channel).cloned()
    }

    /// Judges a serialized identity, which may be expired: the end of its validity is among the
    /// facts.
    ///
    /// # Errors
    ///
    /// The first rule of the own organisation that the identity breaks if that knows its issuer
    /// (C-41), else why no channel takes it.
    pub fn validate(&self, identity: &[u8]) -> Result<Facts, IdentityError> {
        let mut error = match self.own.judge(identity) {
            Ok(valid) => return Ok(valid.facts.clone()),
            Err(error) if !error.is_of_a_stranger() => return Err(error),
            Err(error) => error,
        };
        for config in self.channels().values() {
            match config.identities().judge(identity) {
                Ok(valid) => return Ok(valid.facts.clone()),
                Err(other) => error = more_telling(error, other),
            }
        }
        Err(error)
    }

    /// Verifies a signature over `payload` by a serialized identity: of the own organisation, or
    /// one that may read a channel (C-42).
    ///
    /// # Errors
    ///
    /// As [`validate`](Self::validate); when the signature does not hold; or when no channel that
    /// knows the identity lets it read.
    pub fn verify(
        &self,
        identity: &[u8],
        signature: &[u8],
        payload: &[u8],
    ) -> Result<(), AccessError> {
        let mut error = match self.own.judge(identity) {
            Ok(valid) => return Ok(valid.key.verify(payload, signature)?),
            Err(error) if !error.is_of_a_stranger() => return Err(error.into()),
            Err(error) => error,
        };
        let mut refused = None;
        for config in self.channels().values() {
            let valid = match config.identities().judge(identity) {
                Ok(valid) => valid,
                Err(other) => {
                    error = more_telling(error, other);
                    continue;
                }
            };
            // The key is the same by every channel, so once is enough.
            if refused.is_none() {
                valid.key.verify(payload, signature)?;
            }
            match config.allows(READERS, valid) {
                Ok(()) => return Ok(()),
                Err(other) => refused = Some(other),
            }
        }
        Err(refused.map_or_else(|| error.into(), AccessError::Policy))
    }

    /// Verifies that a serialized identity, which signed `payload`, may read a channel.
    ///
    /// # Errors
    ///
    /// When the channel is unknown or has no policy on readers (C-43), when the identity or the
    /// signature is not valid, or when the policy does not let it read.
    pub fn verify_by_channel(
        &self,
        channel: &str,
        identity: &[u8],
        signature: &[u8],
        payload: &[u8],
    ) -> Result<(), AccessError> {
        let config = self.channel(channel).ok_or(AccessError::UnknownChannel)?;
        config.check_access(READERS, identity, payload, signature)
    }

    /// The MSP id of the organisation whose authorities issued a serialized identity, which need
    /// not be valid otherwise (§14).
    #[must_use]
    pub fn org_of(&self, identity: &[u8]) -> Option<Arc<str>> {
        let by_channel = || {
            let channels = self.channels();
            channels.values().find_map(|config| config.identities().org_of(identity))
        };
        self.own.org_of(identity).or_else(by_channel)
    }

    fn channels(&self) -> Channels {
        Arc::clone(&self.channels.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<R>(&self, edit: impl FnOnce(&mut BTreeMap<String, Arc<ChannelConfig>>) -> R) {
        let mut channels = self.channels.write().unwrap_or_else(PoisonError::into_inner);
        edit(Arc::make_mut(&mut channels));
    }
}

/// That an identity breaks a rule says more than that nobody knows it.
fn more_telling(first: IdentityError, second: IdentityError) -> IdentityError {
    if first.is_of_a_stranger() { second } else { first }
}
