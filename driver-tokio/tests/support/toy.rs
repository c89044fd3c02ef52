//! A toy organisation: identities are names, signatures are hashes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use gossip_core::{
    ChannelConfig, ChannelId, Config, Crypto, Endpoint, Identity, IdentityFacts, JobError, Ledger,
    OrgId, PkiId, Signed,
};
use sha2::{Digest, Sha256};

/// Signs as one name and checks for all.
#[derive(Debug)]
pub(crate) struct ToyCrypto {
    name: &'static str,
}

impl ToyCrypto {
    pub(crate) fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name })
    }
}

impl Crypto for ToyCrypto {
    fn sign(&self, payload: &[u8]) -> Result<Bytes, JobError> {
        Ok(signature(self.name.as_bytes(), payload))
    }

    fn verify(&self, identity: &Identity, message: &Signed) -> Result<(), JobError> {
        match signature(identity.as_bytes(), &message.payload) == message.signature {
            true => Ok(()),
            false => Err(JobError::rejected("bad toy signature")),
        }
    }

    fn validate_identity(&self, identity: &Identity) -> Result<IdentityFacts, JobError> {
        let pki_id = PkiId::new(Sha256::digest(identity.as_bytes()).into());
        Ok(IdentityFacts { pki_id, org: OrgId::from("toys"), expires_at: None })
    }

    fn check_access(
        &self,
        _channel: &ChannelId,
        identity: &Identity,
        message: &Signed,
    ) -> Result<(), JobError> {
        self.verify(identity, message)
    }

    fn verify_block(&self, _channel: &ChannelId, _: u64, _: &Bytes) -> Result<(), JobError> {
        Ok(())
    }
}

/// Keeps blocks in memory.
#[derive(Debug, Default)]
pub(crate) struct ToyLedger {
    blocks: Mutex<BTreeMap<u64, Bytes>>,
}

impl ToyLedger {
    pub(crate) fn block(&self, number: u64) -> Option<Bytes> {
        self.blocks.lock().unwrap().get(&number).cloned()
    }
}

impl Ledger for ToyLedger {
    fn commit(&self, _channel: &ChannelId, number: u64, block: &Bytes) -> Result<(), JobError> {
        self.blocks.lock().unwrap().insert(number, block.clone());
        Ok(())
    }

    fn read_blocks(
        &self,
        _channel: &ChannelId,
        first: u64,
        last: u64,
        _bytes_max: usize,
    ) -> Result<Vec<(u64, Bytes)>, JobError> {
        let blocks = self.blocks.lock().unwrap();
        Ok(blocks.range(first..=last).map(|(number, block)| (*number, block.clone())).collect())
    }
}

/// A configuration that gets to know peers in a fraction of a second.
pub(crate) fn config(name: &'static str, endpoint: &str, bootstrap: &[String]) -> Config {
    let identity = Identity::new(name.as_bytes());
    let pki_id = pki_id(name);
    let mut config = Config::new(identity, pki_id, OrgId::from("toys"), Endpoint::from(endpoint));
    config.bootstrap = bootstrap.iter().map(|peer| Endpoint::from(peer.as_str())).collect();
    config.external_endpoint = Some(Endpoint::from(endpoint));
    config.alive_time_interval = Duration::from_millis(100);
    config.pull_interval = Duration::from_millis(100);
    config.publish_state_info_interval = Duration::from_millis(100);
    config.request_state_info_interval = Duration::from_millis(100);
    config.reconnect_interval = Duration::from_millis(200);
    config
}

pub(crate) fn channel_config() -> ChannelConfig {
    ChannelConfig { sequence: 1, orgs: vec![(OrgId::from("toys"), Vec::new())] }
}

pub(crate) fn pki_id(name: &str) -> PkiId {
    PkiId::new(Sha256::digest(name.as_bytes()).into())
}

fn signature(name: &[u8], payload: &[u8]) -> Bytes {
    let mut hash = Sha256::new();
    hash.update(name);
    hash.update(payload);
    Bytes::copy_from_slice(&hash.finalize())
}
