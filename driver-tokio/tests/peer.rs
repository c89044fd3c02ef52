//! Whole peers over real sockets.

mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use gossip_core::{
    Acks, ChannelId, Command, CommandError, Criteria, Crypto, Identity, IdentityFacts, JobError,
    Message, MessageKind, Notice, PeerProof, Signed,
};
use gossip_tokio::{
    CryptoPool, Handle, Item, Peer, SendError, Stopped, Subscription, tls::TlsConfig,
};
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
    let begun = tokio::time::Instant::now();
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
    let [gone] = &*stays.handle.known_peers().await.unwrap() else { panic!("one was met") };
    assert!(gone.connection.is_none(), "{gone:?}");
    assert!(stays.handle.elapsed_since(gone.since) <= begun.elapsed());
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

/// The first notices come while the peer is being started, before there is a handle.
#[tokio::test]
async fn who_subscribes_before_the_start_misses_nothing() {
    let config = toy::config("a", "127.0.0.1:1", &[]);
    let ledger = Arc::<ToyLedger>::default();
    let mut builder = Peer::builder(config, Arc::new(Panicking), ledger);
    let is_wanted = |notice: &Notice| matches!(notice, Notice::SigningFailed { .. });
    let (mut all, mut some) = (builder.subscribe(64), builder.accept(64, is_wanted));
    let before = std::time::Instant::now();
    let (_handle, _) = builder.listen("127.0.0.1:0").await.unwrap();
    let heard =
        timeout(Duration::from_secs(10), async { (all.recv_at().await, some.recv().await) });
    let (Some((at, first)), Some(_)) = heard.await.expect("both hear of it") else {
        panic!("the node runs");
    };
    assert!(matches!(first, Item::Notice(Notice::SigningFailed { .. })), "{first:?}");
    assert!(before <= at && at <= std::time::Instant::now());
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

/// N-46, N-47, N-48, C-29, C-30, C-31, W-30.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_data_is_sent_taken_and_acknowledged() {
    let (net, channel) = in_one_channel(&["a", "b", "c"]).await;
    let [a, b, c] = &net.peers[..] else { panic!("three were started") };
    let kinds = vec![MessageKind::PrivateData];
    let mut taken = b.handle.accept_messages(kinds, 8).await.unwrap();
    let keeper = async {
        for error in [None, Some("disk full".to_owned())] {
            let Some(Item::Notice(Notice::Message { conn, from, nonce, message })) =
                taken.recv().await
            else {
                panic!("nothing else was asked for")
            };
            assert_eq!((from, &message), (toy::pki_id("a"), &private_data(&channel)));
            b.handle.acknowledge(conn, nonce, error).await.unwrap();
        }
    };
    let sender = async {
        let acks = send(a, &channel, criteria(&channel, 2, 1)).await.unwrap();
        assert_eq!(acks.accepted, [toy::pki_id("b")]);
        let error = send(a, &channel, criteria(&channel, 2, 1)).await.unwrap_err();
        let SendError::TooFewAcks(few) = &error else { panic!("{error}") };
        assert_eq!((few.wanted, few.acks.refused.len()), (1, 2), "c does not keep private data");
        assert!(error.to_string().contains("disk full"), "{error}");
    };
    timeout(Duration::from_secs(20), async { tokio::join!(keeper, sender) })
        .await
        .expect("in time");

    let is_c = |proof: &PeerProof| proof.identity == Identity::new("c");
    let to = a.handle.peer_filter(channel.clone(), is_c).await.unwrap();
    assert_eq!(to, Some(vec![toy::pki_id("c")]));
    let only_c = Criteria { to, ..criteria(&channel, 2, 2) };
    let few = CommandError::TooFewPeers { wanted: 2, known: 1 };
    assert_eq!(send(a, &channel, only_c).await, Err(SendError::Refused(few)));
    c.handle.stop().await;
    let stopped = SendError::Refused(CommandError::Stopped);
    assert_eq!(send(c, &channel, criteria(&channel, 0, 0)).await, Err(stopped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_leaves_no_sender_waiting() {
    let (net, channel) = in_one_channel(&["a", "b"]).await;
    let [a, b] = &net.peers[..] else { panic!("two were started") };
    let mut taken = b.handle.accept_messages(vec![MessageKind::PrivateData], 8).await.unwrap();
    let stopper = async {
        // It has arrived, and is not acknowledged.
        taken.recv().await.expect("private data");
        a.handle.stop().await;
    };
    let sender = send(a, &channel, criteria(&channel, 1, 1));
    let both = async { tokio::join!(stopper, sender) };
    let ((), result) = timeout(Duration::from_secs(20), both).await.expect("in time");
    let Err(SendError::TooFewAcks(few)) = result else { panic!("{result:?}") };
    assert_eq!(few.acks.unanswered, [toy::pki_id("b")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_hears_of_what_it_asked_for_alone() {
    let (net, channel) = in_one_channel(&["a", "b"]).await;
    let [a, b] = &net.peers[..] else { panic!("two were started") };
    let is_leadership = |notice: &Notice| matches!(notice, Notice::Leadership { .. });
    let mut leaders = b.handle.accept(1, is_leadership).await.unwrap();
    let mut broken = b.handle.accept(8, |_| panic!("a predicate with a bug")).await.unwrap();
    let mut all = b.handle.subscribe(1024).await.unwrap();
    a.handle.set_ledger_height(channel.clone(), 7).await.unwrap();
    loop {
        let next = timeout(Duration::from_secs(20), all.recv()).await.expect("in time");
        if let Some(Item::Notice(Notice::ChannelPeer { height: 7, .. })) = next {
            break;
        }
    }
    a.handle.send_leadership(channel, true).await.unwrap();
    let heard = timeout(Duration::from_secs(20), leaders.recv()).await.expect("in time");
    assert!(matches!(
        heard,
        Some(Item::Notice(Notice::Leadership { pki_id, is_declaration: true, .. }))
            if pki_id == toy::pki_id("a")
    ));
    assert!(broken.recv().await.is_none(), "it ends, and the node lives on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_knows_itself_and_others() {
    let (net, channel) = in_one_channel(&["a", "b"]).await;
    let a = &net.peers[0].handle;
    let own = a.self_membership().await.unwrap();
    assert_eq!((own.pki_id, own.external_endpoint.is_some()), (toy::pki_id("a"), true));
    let said = a.self_channel(channel.clone()).await.unwrap().expect("it was published");
    assert_eq!((said.ledger_height, said.left), (1, false));
    let identity = a.identity(toy::pki_id("b")).await.unwrap();
    assert_eq!(identity.map(|(identity, _)| identity), Some(Identity::new("b")));
    assert_eq!(a.is_in_my_org(toy::pki_id("b")).await, Ok(true));
    assert_eq!(a.is_in_my_org(toy::pki_id("nobody")).await, Ok(false));
    assert_eq!(a.channel_size(channel).await, Ok(Some(1)));
}

/// Starts peers that know each other in a channel.
async fn in_one_channel(names: &[&'static str]) -> (Net, ChannelId) {
    let mut net = Net::new(Some(loopback(&Authority::new("ca"))));
    for name in names {
        net.start(name).await;
    }
    let channel = ChannelId::from("mychannel");
    for peer in &net.peers {
        let config = toy::channel_config();
        peer.handle.join_channel(channel.clone(), config, Some(1)).await.unwrap();
    }
    for peer in &net.peers {
        peer.until_channel_peers(&channel, names.len() - 1).await;
    }
    (net, channel)
}

/// `gossip.PrivateDataMessage` with `private_rwset` = "x".
fn private_data(channel: &ChannelId) -> Message {
    let body = Bytes::from_static(&[0x0a, 3, 0x22, 1, b'x']);
    Message { channel: channel.clone(), kind: MessageKind::PrivateData, body }
}

fn criteria(channel: &ChannelId, max_peers: usize, min_ack: usize) -> Criteria {
    let channel = Some(channel.clone());
    Criteria { channel, to: None, max_peers, min_ack, timeout: Duration::from_secs(10) }
}

async fn send(peer: &Running, channel: &ChannelId, criteria: Criteria) -> Result<Acks, SendError> {
    peer.handle.send_by_criteria(private_data(channel), criteria).await
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
        let notices = builder.subscribe(1024);
        let (handle, addr) = builder.listen(&port.to_string()).await.unwrap();
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
