//! The peers of a demonstration, each put together as any program would.

use std::{
    path::Path,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use gossip_core::{
    ChannelConfig, ChannelId, Config, Endpoint, Identity, Ledger, OrgId, PkiId, UnixTime,
};
use gossip_msp::{BlockVerifier, Identities, SigningIdentity};
use gossip_tokio::{
    Backends, CryptoPool, Handle, Recording,
    grpc::{GossipService, GrpcOptions, GrpcTransport, Listener},
    runtime,
    tls::{Roots, TlsConfig},
    transport::Counters,
};

use super::{
    Failure,
    args::Args,
    blocks::Supply,
    ledger::MemoryLedger,
    network::{Organisation, Role, tls_roots},
};
use crate::crypto::MspCrypto;

/// A running peer.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Its name, like `peer0.org1`.
    pub(crate) name: String,
    /// The index of its organisation.
    pub(crate) org: usize,
    /// Whether it is given every block, rather than getting it by gossip.
    pub(crate) is_source: bool,
    pub(crate) pki_id: PkiId,
    pub(crate) handle: Handle,
    pub(crate) ledger: Arc<MemoryLedger>,
}

impl Peer {
    /// Commits a block and spreads it, as a peer does that has it from the ordering service.
    ///
    /// # Errors
    ///
    /// If the ledger or the node refuses it.
    pub(crate) async fn publish(
        &self,
        channel: &ChannelId,
        number: u64,
        block: Bytes,
    ) -> Result<(), Box<Failure>> {
        self.ledger
            .commit(channel, number, &block)
            .map_err(|error| format!("{}: commit of block {number}: {error:?}", self.name))?;
        self.handle.set_ledger_height(channel.clone(), number + 1).await?;
        self.handle.gossip_block(channel.clone(), number, block).await?;
        Ok(())
    }
}

/// Starts all peers and has them join the channel. Returns them with the time of the first start.
///
/// # Errors
///
/// If certificates cannot be made, ports cannot be had, or a node does not start.
pub(crate) async fn start(
    args: &Args,
    seed: u64,
    supply: &Supply,
) -> Result<(Vec<Peer>, Instant), Box<Failure>> {
    let orgs = (1..=args.orgs).map(|number| Organisation::new(&format!("org{number}")));
    let orgs = orgs.collect::<Result<Vec<_>, _>>()?;
    let roots = tls_roots(&orgs)?;
    let mut seats = Vec::with_capacity(args.peers());
    for (org, organisation) in orgs.iter().enumerate() {
        for index in 0..args.peers_per_org {
            seats.push(Seat::new(organisation, org, index, &roots).await?);
        }
    }
    let first = |org: usize| seats[org * args.peers_per_org].endpoint.clone();
    let firsts: Vec<_> = (0..args.orgs).map(first).collect();
    let members = orgs.iter().zip(&firsts);
    let members = members.map(|(org, first)| (OrgId::from(org.mspid()), vec![first.clone()]));
    let channel_config = ChannelConfig { sequence: 1, orgs: members.collect() };
    let pool = CryptoPool::default();
    let started = Instant::now();
    let mut peers = Vec::with_capacity(seats.len());
    for (index, seat) in seats.into_iter().enumerate() {
        let mut config = seat.config();
        let recording = args.record.as_deref().map(|folder| recording(folder, &seat.name));
        let recording = recording.transpose()?;
        config.rng_seed = rng_seed(seed, index as u64);
        config.bootstrap.extend((!seat.is_first).then(|| firsts[seat.org].clone()));
        peers.push(seat.start(config, recording, &orgs, supply, &channel_config, &pool).await?);
    }
    Ok((peers, started))
}

/// Stops all peers, and waits for it.
pub(crate) async fn stop(peers: Vec<Peer>) {
    let stopping = peers.into_iter().map(|peer| {
        tokio::spawn(async move {
            peer.handle.stop().await;
        })
    });
    for peer in stopping.collect::<Vec<_>>() {
        let _ = peer.await;
    }
}

/// What a peer has before it starts: its port, key and certificates.
struct Seat {
    name: String,
    org: usize,
    is_first: bool,
    endpoint: Endpoint,
    signer: SigningIdentity,
    tls: TlsConfig,
    options: GrpcOptions,
    listener: Listener,
    counters: Arc<Counters>,
}

impl Seat {
    /// Takes a port before anything else: peers tell each other where they listen.
    async fn new(
        organisation: &Organisation,
        org: usize,
        index: usize,
        roots: &Roots,
    ) -> Result<Self, Box<Failure>> {
        let name = format!("peer{index}");
        let signer = organisation.member(&name, Role::Peer)?;
        let tls = organisation.server(&name, roots)?;
        let counters = Arc::<Counters>::default();
        let options = GrpcOptions::default();
        let listening = (Some(tls.clone()), options.clone(), Arc::clone(&counters));
        let listener = Listener::bind("127.0.0.1:0", listening.0, listening.1, listening.2).await?;
        Ok(Self {
            name: format!("{name}.org{}", org + 1),
            org,
            is_first: index == 0,
            endpoint: listener.local_addr().to_string().into(),
            signer,
            tls,
            options,
            listener,
            counters,
        })
    }

    fn config(&self) -> Config {
        let identity = Identity::new(self.signer.serialized().clone());
        let pki_id = PkiId::new(self.signer.pki_id());
        let org = OrgId::from(self.signer.mspid());
        let mut config = Config::new(identity, pki_id, org, self.endpoint.clone());
        config.external_endpoint = Some(self.endpoint.clone());
        config.wall_clock = wall_clock();
        config
    }

    async fn start(
        self,
        config: Config,
        recording: Option<Recording>,
        orgs: &[Organisation],
        supply: &Supply,
        channel_config: &ChannelConfig,
        pool: &CryptoPool,
    ) -> Result<Peer, Box<Failure>> {
        let pki_id = config.pki_id;
        // Every peer knows organisations and orderers for itself: nothing that one has judged is
        // spared another.
        let msps = orgs.iter().map(Organisation::msp).collect::<Result<Vec<_>, _>>()?;
        let verifier = Arc::new(BlockVerifier::new());
        supply.introduce(&verifier)?;
        let identities = Arc::new(Identities::new(msps));
        let crypto = MspCrypto::new(self.signer, identities, Arc::clone(&verifier));
        let members = channel_config.orgs.iter().map(|(org, _)| org.clone());
        crypto.set_readers(supply.channel(), members);
        let ledger = Arc::new(MemoryLedger::new(verifier, supply.config_blocks()));
        let backends = Backends { crypto: Arc::new(crypto), ledger: ledger.clone() };
        let options = self.options.clone();
        let transport =
            GrpcTransport::new(Some(self.tls), self.options, Arc::clone(&self.counters));
        let (pool, transport) = (pool.clone(), Arc::new(transport));
        let (handle, acceptor) =
            runtime::start_recorded(recording, config, backends, pool, transport, self.counters)?;
        let life = acceptor.lifeline();
        tokio::spawn(self.listener.serve(GossipService::new(acceptor, &options), life));
        let height = Some(ledger.height());
        handle.join_channel(supply.channel(), channel_config.clone(), height).await?;
        Ok(Peer {
            name: self.name,
            org: self.org,
            is_source: self.is_first,
            pki_id,
            handle,
            ledger,
        })
    }
}

fn recording(folder: &Path, name: &str) -> Result<Recording, String> {
    Recording::create(folder.join(format!("{name}.log")))
        .map_err(|error| format!("--record {}: {error}", folder.display()))
}

fn rng_seed(seed: u64, index: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&index.to_le_bytes());
    bytes[16] = 1;
    bytes
}

fn wall_clock() -> UnixTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_nanos(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
}
