//! A peer in the test's own process, which has blocks before others do.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use gossip_core::{
    ChannelConfig, ChannelId, Config, Crypto, Identity, IdentityFacts, JobError, Ledger, OrgId,
    PkiId, Signed,
};
use gossip_msp::{Identities, Msp, READERS, SigningIdentity};
use gossip_tokio::{
    Handle, Peer,
    tls::{KeyPair, Roots, TlsConfig},
};
use tokio::{runtime::Runtime, time::timeout};

use crate::{
    made_channel::MadeChannel,
    org::{Organisation, free_ports},
    process::WAIT_MAX,
};

/// A running peer that blocks come from. It verifies everything but blocks, which are its own.
pub(crate) struct BlockSource {
    runtime: Runtime,
    peer: Handle,
    pub(crate) pki_id: String,
    height: u64,
}

impl BlockSource {
    /// Starts a peer of the organisation in the channel, which has the genesis block.
    pub(crate) fn start(org: &Organisation, channel: &MadeChannel, bootstrap: u16) -> Self {
        Self::start_at(org, channel, bootstrap, 1)
    }

    /// Starts one that has all blocks below `height`.
    pub(crate) fn start_at(
        org: &Organisation,
        channel: &MadeChannel,
        bootstrap: u16,
        height: u64,
    ) -> Self {
        let folder = org.peer("source", 1, 1);
        let address = format!("127.0.0.1:{}", free_ports()[0]);
        let mspid = org.mspid;
        let signer = SigningIdentity::from_folder(folder.join("msp"), mspid).expect("a pair");
        let msp = Msp::from_folder(folder.join("msp"), mspid).expect("an organisation");
        let config = gossip_msp::ChannelConfig::from_block(&channel.genesis);
        let config = config.expect("a configuration");
        let pair =
            KeyPair::from_files(folder.join("tls/server.crt"), folder.join("tls/server.key"));
        let roots = Roots::from_files([folder.join("tls/ca.crt")]).expect("authorities");
        let tls = TlsConfig::new(&pair.expect("a pair"), &roots).expect("TLS");
        let identity = Identity::new(signer.serialized().clone());
        let pki_id = PkiId::new(signer.pki_id());
        let mut node = Config::new(identity, pki_id, mspid.into(), (&*address).into());
        node.bootstrap = vec![format!("127.0.0.1:{bootstrap}").into()];
        let judges = Judges { signer, identities: Identities::new([msp]), config };
        let runtime = Runtime::new().expect("a runtime");
        let peer = runtime.block_on(async {
            let builder = Peer::builder(node, Arc::new(judges), Arc::new(Nothing));
            let (peer, _) = builder.tls(tls).listen(&address).await.expect("a port");
            let orgs = vec![(OrgId::from(mspid), Vec::new())];
            let config = ChannelConfig { sequence: 0, orgs };
            peer.join_channel(Self::channel(), config, Some(height)).await.expect("it runs");
            peer
        });
        Self { runtime, peer, pki_id: format!("{pki_id:#}"), height }
    }

    /// Spreads the next block.
    pub(crate) fn publish(&mut self, block: Bytes) {
        let number = self.height;
        self.height += 1;
        self.runtime.block_on(async {
            let spread = self.peer.gossip_block(Self::channel(), number, block).await;
            spread.expect("it runs");
            let told = self.peer.set_ledger_height(Self::channel(), self.height).await;
            told.expect("it runs");
        });
    }

    /// Waits until so many others are in the channel.
    pub(crate) fn wait_for_company(&self, count: usize) {
        self.runtime.block_on(async {
            let mut news = self.peer.subscribe(1).await.expect("it runs");
            let size = async || self.peer.channel_size(Self::channel()).await.expect("it runs");
            let come = async {
                while size().await != Some(count) {
                    let _ = timeout(Duration::from_millis(100), news.recv()).await;
                }
            };
            timeout(WAIT_MAX, come).await.expect("the others come to the channel");
        });
    }

    fn channel() -> ChannelId {
        ChannelId::from(MadeChannel::NAME)
    }
}

struct Judges {
    signer: SigningIdentity,
    identities: Identities,
    config: gossip_msp::ChannelConfig,
}

impl Crypto for Judges {
    fn sign(&self, payload: &[u8]) -> Result<Bytes, JobError> {
        self.signer
            .sign(payload)
            .map(Bytes::from)
            .map_err(|error| JobError::failed(error.to_string()))
    }

    fn verify(&self, identity: &Identity, message: &Signed) -> Result<(), JobError> {
        let Signed { payload, signature } = message;
        let verified = self.identities.verify(identity.as_bytes(), signature, payload);
        verified.map_err(|error| JobError::rejected(error.to_string()))
    }

    fn validate_identity(&self, identity: &Identity) -> Result<IdentityFacts, JobError> {
        let facts = self.identities.validate(identity.as_bytes());
        let facts = facts.map_err(|error| JobError::rejected(error.to_string()))?;
        Ok(IdentityFacts {
            pki_id: PkiId::new(facts.pki_id),
            org: OrgId::from(&*facts.mspid),
            expires_at: None,
        })
    }

    fn check_access(
        &self,
        _channel: &ChannelId,
        identity: &Identity,
        message: &Signed,
    ) -> Result<(), JobError> {
        let Signed { payload, signature } = message;
        let read = self.config.check_access(READERS, identity.as_bytes(), payload, signature);
        read.map_err(|error| JobError::rejected(error.to_string()))
    }

    fn verify_block(&self, _: &ChannelId, number: u64, _: &Bytes) -> Result<(), JobError> {
        Err(JobError::rejected(format!("block {number} comes from nobody else")))
    }
}

struct Nothing;

impl Ledger for Nothing {
    fn commit(&self, _: &ChannelId, _: u64, _: &Bytes) -> Result<(), JobError> {
        Ok(())
    }
}
