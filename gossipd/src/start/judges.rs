//! What judges identities, requests, blocks and connections for a peer.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use bytes::Bytes;
use gossip_core::{ChannelId, Crypto, Identity, IdentityFacts, JobError, Signed};
use gossip_msp::{BlockVerifier, ChannelConfig, Identities, Msp, READERS, SigningIdentity};
use gossip_tokio::tls::{Roots, TlsConfig, TlsError};

use super::{channel::Channel, identity};
use crate::crypto::MspCrypto;

/// Goes by the local MSP and by the configurations of the peer's channels.
#[derive(Debug)]
pub(crate) struct Judges {
    /// The rules of the own organisation, which hold whatever channels say of it.
    own: Msp,
    crypto: MspCrypto,
    identities: Arc<Identities>,
    verifier: Arc<BlockVerifier>,
    configs: RwLock<BTreeMap<ChannelId, Arc<ChannelConfig>>>,
    /// What TLS goes by, and the authorities that the settings name.
    tls: Option<(TlsConfig, Option<Roots>)>,
}

impl Judges {
    /// Knows the own organisation and no channel.
    pub(crate) fn new(
        own: Msp,
        signer: SigningIdentity,
        tls: Option<(TlsConfig, Option<Roots>)>,
    ) -> Self {
        let identities = Arc::new(Identities::new([own.clone()]));
        let verifier = Arc::<BlockVerifier>::default();
        let crypto = MspCrypto::new(signer, Arc::clone(&identities), Arc::clone(&verifier));
        Self { own, crypto, identities, verifier, configs: RwLock::default(), tls }
    }

    /// Goes by these channels from here on.
    ///
    /// # Errors
    ///
    /// If their authorities for TLS cannot be used; those before hold then, and all else is new.
    pub(crate) fn learn(&self, channels: &[Channel]) -> Result<(), TlsError> {
        let configs = channels.iter().map(|channel| (channel.id(), Arc::clone(&channel.config)));
        let configs: BTreeMap<_, _> = configs.collect();
        let mut msps = vec![self.own.clone()];
        for config in configs.values() {
            msps.extend(config.msps());
            self.verifier.set_config(Arc::clone(config));
        }
        self.identities.replace(msps);
        *self.configs.write().unwrap_or_else(PoisonError::into_inner) = configs;
        let Some((tls, own)) = &self.tls else {
            return Ok(());
        };
        match identity::roots(own.clone(), channels)? {
            Some(roots) => tls.set_roots(&roots),
            None => Ok(()),
        }
    }
}

impl Crypto for Judges {
    fn sign(&self, payload: &[u8]) -> Result<Bytes, JobError> {
        self.crypto.sign(payload)
    }

    fn verify(&self, identity: &Identity, message: &Signed) -> Result<(), JobError> {
        self.crypto.verify(identity, message)
    }

    fn validate_identity(&self, identity: &Identity) -> Result<IdentityFacts, JobError> {
        self.crypto.validate_identity(identity)
    }

    /// As the channel's Readers policy says (C-42, C-43).
    fn check_access(
        &self,
        channel: &ChannelId,
        identity: &Identity,
        message: &Signed,
    ) -> Result<(), JobError> {
        let configs = self.configs.read().unwrap_or_else(PoisonError::into_inner);
        let Some(config) = configs.get(channel).cloned() else {
            return Err(JobError::failed(format!("channel {channel} was not joined")));
        };
        drop(configs);
        let Signed { payload, signature } = message;
        config
            .check_access(READERS, identity.as_bytes(), payload, signature)
            .map_err(|error| JobError::rejected(error.to_string()))
    }

    fn verify_block(
        &self,
        channel: &ChannelId,
        number: u64,
        block: &Bytes,
    ) -> Result<(), JobError> {
        self.crypto.verify_block(channel, number, block)
    }
}
