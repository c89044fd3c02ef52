//! What judges identities, requests, blocks and connections for a peer.

use std::{
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use gossip_core::{
    ChannelId, Crypto, Identity, IdentityFacts, JobError, OrgId, PkiId, Signed, UnixTime,
};
use gossip_msp::{AccessError, BlockVerifier, Msp, SigningIdentity, Trust};
use gossip_tokio::tls::TlsError;

use crate::config::Settings;

use super::{Failure, channel::Channel, tls::Tls};

/// Goes by the local MSP and by the configurations of the peer's channels.
#[derive(Debug)]
pub(crate) struct Judges {
    signer: SigningIdentity,
    trust: Trust,
    verifier: BlockVerifier,
    tls: Option<Mutex<Tls>>,
}

impl Judges {
    /// Knows the own organisation and no channel.
    pub(crate) fn new(own: Msp, signer: SigningIdentity, tls: Option<Tls>) -> Self {
        let (trust, verifier) = (Trust::new(own), BlockVerifier::new());
        Self { signer, trust, verifier, tls: tls.map(Mutex::new) }
    }

    /// Goes by these channels from here on.
    ///
    /// # Errors
    ///
    /// If their authorities for TLS cannot be used; those before hold then, and all else is new.
    pub(crate) fn learn(&self, channels: &[Channel]) -> Result<(), TlsError> {
        for Channel { config, .. } in channels {
            self.trust.set_channel(Arc::clone(config));
            self.verifier.set_config(Arc::clone(config));
        }
        match &self.tls {
            Some(tls) => tls.lock().unwrap_or_else(PoisonError::into_inner).learn(channels),
            None => Ok(()),
        }
    }

    /// Reads the certificates for TLS anew, and goes by them from the next connection on. Returns
    /// whether there is TLS at all.
    ///
    /// # Errors
    ///
    /// Names the setting or file, and what was expected of it; all is as before then.
    pub(crate) fn renew_tls(&self, settings: &Settings) -> Result<bool, Box<Failure>> {
        if let Some(tls) = &self.tls {
            tls.lock().unwrap_or_else(PoisonError::into_inner).renew(settings)?;
        }
        Ok(self.tls.is_some())
    }
}

impl Crypto for Judges {
    fn sign(&self, payload: &[u8]) -> Result<Bytes, JobError> {
        let signature = self.signer.sign(payload).map(Bytes::from);
        signature.map_err(|error| JobError::failed(error.to_string()))
    }

    /// Of other organisations only the readers of a channel count (C-42).
    fn verify(&self, identity: &Identity, message: &Signed) -> Result<(), JobError> {
        let Signed { payload, signature } = message;
        self.trust.verify(identity.as_bytes(), signature, payload).map_err(rejected)
    }

    fn validate_identity(&self, identity: &Identity) -> Result<IdentityFacts, JobError> {
        let facts = self.trust.validate(identity.as_bytes()).map_err(rejected)?;
        Ok(IdentityFacts {
            pki_id: PkiId::new(facts.pki_id),
            org: OrgId::from(&*facts.mspid),
            expires_at: Some(UnixTime::from_secs(facts.not_after)),
        })
    }

    /// As the channel's Readers policy says (C-42, C-43).
    fn check_access(
        &self,
        channel: &ChannelId,
        identity: &Identity,
        message: &Signed,
    ) -> Result<(), JobError> {
        let Signed { payload, signature } = message;
        let name = name(channel)?;
        match self.trust.verify_by_channel(name, identity.as_bytes(), signature, payload) {
            Err(AccessError::UnknownChannel) => {
                Err(JobError::failed(format!("channel {channel} was not joined")))
            }
            verdict => verdict.map_err(rejected),
        }
    }

    fn verify_block(
        &self,
        channel: &ChannelId,
        number: u64,
        block: &Bytes,
    ) -> Result<(), JobError> {
        self.verifier.verify(name(channel)?, number, block).map_err(rejected)
    }
}

fn name(channel: &ChannelId) -> Result<&str, JobError> {
    str::from_utf8(channel.as_bytes()).map_err(rejected)
}

fn rejected(reason: impl Display) -> JobError {
    JobError::rejected(reason.to_string())
}
