//! Whole peers over real sockets.

mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use gossip_core::{
    ChannelId, Command, CommandError, Crypto, Identity, IdentityFacts, JobError, Notice, Signed,
};
use gossip_tokio::{CryptoPool, Handle, Item, Peer, Stopped, Subscription, tls::TlsConfig};
use tokio::{net::TcpListener, time::timeout};

use crate::support::{
    Authority, loopback,
    toy::{self, ToyCrypto, ToyLedger},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_find_each_other_and_spread_a_block() {
    for tls in [Some(loopback(&Authority::new("ca"))), None] {
        let mut net = Net::new(tls);
        for name in ["a", "b", "c"] {
            net.start(name).await;
        }
        for peer in &mut net.peers {
            peer.wait_for(|notice| matches!(notice, Notice::MemberAlive { .. })).await;
            peer.until_members(2).await;
        }
        let channel = ChannelId::from("mychannel");
        for peer in &net.peers {
            peer.handle
                .join_channel(channel.clone(), toy::channel_config(), Some(0))
                .await
                .unwrap();
        }
        for peer in &net.peers {
            peer.until_channel_peers(&channel, 2).await;
        }
        let block = Bytes::from(vec![42; 300_000]);
        net.peers[0].handle.gossip_block(channel.clone(), 0, block.clone()).await.unwrap();
        for peer in &mut net.peers[1..] {
            peer.wait_for(|notice| matches!(notice, Notice::BlockCommitted { number: 0, .. }))
                .await;
            assert_eq!(peer.ledger.block(0), Some(block.clone()));
            assert_eq!(peer.handle.ledger_height(channel.clone()).await, Ok(Some(1)));
        }
        let stats = net.peers[0].handle.stats().await.unwrap();
        assert!(stats.transport.wire_bytes_out > 300_000, "{stats:?}");
        assert_eq!(net.peers[0].handle.identities().await.unwrap().len(), 3);
        for peer in net.peers {
            timeout(Duration::from_secs(10), peer.handle.stop()).await.expect("it stops");
            assert_eq!(peer.handle.members().await, Err(Stopped));
            TcpListener::bind(peer.addr).await.expect("the port is free again");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_stops_says_goodbye_and_is_not_waited_for() {
    let mut net = Net::new(Some(loopback(&Authority::new("ca"))));
    net.start("a").await;
    net.start("b").await;
    for peer in &net.peers {
        peer.until_members(1).await;
    }
    let leaving = net.peers.remove(1);
    let before = tokio::time::Instant::now();
    leaving.handle.stop().await;
    assert!(before.elapsed() < Duration::from_secs(2), "nobody had to be cut off");
    let stays = &mut net.peers[0];
    stays.wait_for(|notice| matches!(notice, Notice::ConnectionClosed { reason: None, .. })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_last_handle_stops_the_peer() {
    let mut net = Net::new(None);
    net.start("a").await;
    let Running { handle, addr, mut notices, .. } = net.peers.remove(0);
    drop(handle);
    let ended = async { while notices.recv().await.is_some() {} };
    timeout(Duration::from_secs(10), ended).await.expect("the subscription ends with the node");
    let free = async { while TcpListener::bind(addr).await.is_err() {} };
    timeout(Duration::from_secs(10), free).await.expect("the port is free again");
}

#[tokio::test]
async fn a_stopped_peer_refuses_everything() {
    let mut net = Net::new(None);
    net.start("a").await;
    let handle = &net.peers[0].handle;
    handle.command(Command::Stop).await.unwrap();
    handle.stopped().await;
    assert_eq!(handle.set_metadata(Bytes::new()).await, Err(CommandError::Stopped));
    assert_eq!(handle.stats().await, Err(Stopped));
    assert!(handle.subscribe(1).await.is_err());
    handle.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_subscriber_is_told_how_many_notices_it_lost() {
    let mut net = Net::new(None);
    net.start("a").await;
    let mut slow = net.peers[0].handle.subscribe(1).await.unwrap();
    for name in ["b", "c"] {
        net.start(name).await;
    }
    net.peers[0].until_members(2).await;
    assert!(matches!(slow.recv().await, Some(Item::Lost(1..))));
    assert!(matches!(slow.recv().await, Some(Item::Notice(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panicking_backend_is_a_failure_and_the_threads_live_on() {
    let pool = CryptoPool::new(1);
    let config = toy::config("a", "127.0.0.1:1", &[]);
    let (panicking, _) = Peer::builder(config, Arc::new(Panicking), Arc::<ToyLedger>::default())
        .pool(pool.clone())
        .listen("127.0.0.1:0")
        .await
        .unwrap();
    let mut notices = panicking.subscribe(64).await.unwrap();
    let reason = timeout(Duration::from_secs(10), async {
        loop {
            if let Some(Item::Notice(Notice::SigningFailed { reason })) = notices.recv().await {
                return reason;
            }
        }
    });
    assert_eq!(reason.await.unwrap(), "the backend panicked: no key today");

    let mut net = Net::new(None);
    net.pool = pool;
    net.start("b").await;
    net.start("c").await;
    net.peers[0].until_members(1).await;
}

#[tokio::test]
async fn a_full_pool_fails_jobs_and_nothing_else() {
    let config = toy::config("a", "127.0.0.1:1", &[]);
    let (handle, _) = Peer::builder(config, ToyCrypto::new("a"), Arc::<ToyLedger>::default())
        .pool(CryptoPool::with_capacity(1, 0))
        .listen("127.0.0.1:0")
        .await
        .unwrap();
    let mut notices = handle.subscribe(64).await.unwrap();
    let reason = timeout(Duration::from_secs(10), async {
        loop {
            if let Some(Item::Notice(Notice::SigningFailed { reason })) = notices.recv().await {
                return reason;
            }
        }
    });
    assert_eq!(reason.await.unwrap(), "the crypto pool is full");
}

/// Peers that start one after the other.
struct Net {
    tls: Option<TlsConfig>,
    pool: CryptoPool,
    peers: Vec<Running>,
}

struct Running {
    handle: Handle,
    addr: SocketAddr,
    ledger: Arc<ToyLedger>,
    notices: Subscription,
}

impl Net {
    fn new(tls: Option<TlsConfig>) -> Self {
        Self { tls, pool: CryptoPool::new(2), peers: Vec::new() }
    }

    async fn start(&mut self, name: &'static str) {
        let port = {
            let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
            free.local_addr().unwrap()
        };
        let bootstrap: Vec<_> = self.peers.iter().map(|peer| peer.addr.to_string()).collect();
        let config = toy::config(name, &port.to_string(), &bootstrap);
        let ledger = Arc::<ToyLedger>::default();
        let mut builder = Peer::builder(config, ToyCrypto::new(name), Arc::clone(&ledger) as _)
            .pool(self.pool.clone());
        if let Some(tls) = &self.tls {
            builder = builder.tls(tls.clone());
        }
        let (handle, addr) = builder.listen(&port.to_string()).await.unwrap();
        let notices = handle.subscribe(1024).await.unwrap();
        self.peers.push(Running { handle, addr, ledger, notices });
    }
}

impl Running {
    async fn wait_for(&mut self, wanted: impl Fn(&Notice) -> bool) {
        let found = async {
            loop {
                match self.notices.recv().await.expect("the node runs") {
                    Item::Notice(notice) if wanted(&notice) => return,
                    _ => {}
                }
            }
        };
        timeout(Duration::from_secs(20), found).await.expect("it happens in time");
    }

    async fn until_members(&self, count: usize) {
        self.until(async || self.handle.members().await.unwrap().len() == count).await;
    }

    async fn until_channel_peers(&self, channel: &ChannelId, count: usize) {
        let counted = async || {
            let peers = self.handle.channel_peers(channel.clone()).await.unwrap();
            peers.is_some_and(|peers| peers.len() == count)
        };
        self.until(counted).await;
    }

    /// Asks again with every notice, or a little later.
    async fn until(&self, holds: impl AsyncFn() -> bool) {
        let mut news = self.handle.subscribe(1).await.unwrap();
        let held = async {
            while !holds().await {
                let _ = timeout(Duration::from_millis(50), news.recv()).await;
            }
        };
        timeout(Duration::from_secs(20), held).await.expect("it holds in time");
    }
}

/// A backend with a bug.
struct Panicking;

impl Crypto for Panicking {
    fn sign(&self, _payload: &[u8]) -> Result<Bytes, JobError> {
        panic!("no key today");
    }

    fn verify(&self, _: &Identity, _: &Signed) -> Result<(), JobError> {
        panic!("no key today");
    }

    fn validate_identity(&self, _: &Identity) -> Result<IdentityFacts, JobError> {
        panic!("no key today");
    }

    fn check_access(&self, _: &ChannelId, _: &Identity, _: &Signed) -> Result<(), JobError> {
        panic!("no key today");
    }

    fn verify_block(&self, _: &ChannelId, _: u64, _: &Bytes) -> Result<(), JobError> {
        panic!("no key today");
    }
}
