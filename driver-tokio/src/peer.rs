//! A whole peer: node, threads, transport and listener.

use std::{fmt, net::SocketAddr, sync::Arc};

use gossip_core::{Config, ConfigError, Crypto, Ledger, Notice, UnixTime};
use rustls::crypto::aws_lc_rs;

use crate::{
    grpc::{BindError, GossipService, GrpcOptions, GrpcTransport, Listener},
    runtime::{self, Backends, CryptoPool, Handle, Subscription, Watchers},
    tls::TlsConfig,
    transport::{Acceptor, Counters},
};

/// Composes and starts a peer.
#[derive(Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct Peer {
    config: Config,
    backends: Backends,
    tls: Option<TlsConfig>,
    pool: Option<CryptoPool>,
    options: GrpcOptions,
    watchers: Watchers,
}

impl Peer {
    /// Begins with a node's configuration, and what signs, checks and commits for it.
    ///
    /// A seed of zeros and a wall clock of zero are replaced by random bytes and the time of the
    /// start. Whether connections carry TLS follows from [`tls`](Self::tls).
    pub fn builder(
        config: Config,
        crypto: Arc<dyn Crypto + Send + Sync>,
        ledger: Arc<dyn Ledger + Send + Sync>,
    ) -> Self {
        let options = GrpcOptions::of(&config);
        let backends = Backends { crypto, ledger };
        let watchers = Watchers::default();
        Self { config, backends, tls: None, pool: None, options, watchers }
    }

    /// Uses TLS. Without, connections are in the clear and handshakes bound to nothing.
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Shares the threads of a pool with other peers of the process.
    pub fn pool(mut self, pool: CryptoPool) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Replaces the transport's options, which follow from the configuration.
    pub fn options(mut self, options: GrpcOptions) -> Self {
        self.options = options;
        self
    }

    /// As [`Handle::subscribe`], from the very start: a peer may meet others before whoever started
    /// it can subscribe.
    pub fn subscribe(&mut self, capacity: usize) -> Subscription {
        self.watchers.publisher.subscribe(capacity, None)
    }

    /// As [`Handle::accept`], from the very start.
    pub fn accept(
        &mut self,
        capacity: usize,
        predicate: impl Fn(&Notice) -> bool + Send + 'static,
    ) -> Subscription {
        self.watchers.publisher.subscribe(capacity, Some(Box::new(predicate)))
    }

    /// Records what the node is told and does.
    #[cfg(feature = "record")]
    pub fn record(mut self, recording: crate::Recording) -> Self {
        self.watchers.recording = Some(recording);
        self
    }

    /// Starts the peer with a listener on `address`: `host:port`, where port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// If no node can run with the configuration, or the address cannot be had.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn listen(self, address: &str) -> Result<(Handle, SocketAddr), StartError> {
        let counters = Arc::<Counters>::default();
        let (tls, options) = (self.tls.clone(), self.options.clone());
        let listener = Listener::bind(address, tls, options, Arc::clone(&counters)).await?;
        let local = listener.local_addr();
        let options = self.options.clone();
        let (handle, acceptor) = self.start(counters)?;
        let life = acceptor.lifeline();
        let service = GossipService::new(acceptor, &options);
        tokio::spawn(listener.serve(service, life));
        Ok((handle, local))
    }

    /// Starts the peer without a listener, and returns the service to add to a server that runs
    /// anyway. That server must put a [`ConnectionInfo`](crate::grpc::ConnectionInfo) into the
    /// extensions of its requests.
    ///
    /// # Errors
    ///
    /// If no node can run with the configuration.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn service(self) -> Result<(Handle, GossipService), StartError> {
        let options = self.options.clone();
        let (handle, acceptor) = self.start(Arc::default())?;
        Ok((handle, GossipService::new(acceptor.detached(), &options)))
    }

    fn start(self, counters: Arc<Counters>) -> Result<(Handle, Acceptor), StartError> {
        let Self { mut config, backends, tls, pool, options, watchers } = self;
        config.tls = tls.is_some();
        if config.rng_seed == [0; 32] {
            let random = aws_lc_rs::default_provider().secure_random;
            random.fill(&mut config.rng_seed).map_err(|_| StartError::NoEntropy)?;
        }
        if config.wall_clock == UnixTime::default() {
            config.wall_clock = runtime::wall();
        }
        let transport = Arc::new(GrpcTransport::new(tls, options, Arc::clone(&counters)));
        let pool = pool.unwrap_or_default();
        Ok(runtime::start_with(watchers, config, backends, pool, transport, counters)?)
    }
}

/// A peer that could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The node's configuration makes no sense.
    Config(ConfigError),
    /// The listening address cannot be had.
    Bind(BindError),
    /// The system has no random bytes.
    NoEntropy,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Bind(error) => error.fmt(f),
            Self::NoEntropy => f.write_str("the system has no random bytes"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<BindError> for StartError {
    fn from(error: BindError) -> Self {
        Self::Bind(error)
    }
}
