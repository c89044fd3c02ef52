//! A listener of our own.

use std::{fmt, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tonic::{body::Body, codegen::Service};
use tracing::{debug, trace, warn};

use super::{
    CONNECTION_WINDOW, ConnectionInfo, GossipService, GrpcOptions, HTTP2_FRAME_MAX, SEND_BUFFER,
    STREAM_WINDOW,
    io::{Counted, Io},
};
use crate::{
    tls::TlsConfig,
    transport::{Counters, Lifeline},
};

/// A TCP port that the service is offered on, with TLS or without.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    local: SocketAddr,
    tls: Option<TlsConfig>,
    options: GrpcOptions,
    counters: Arc<Counters>,
}

impl Listener {
    /// Binds `address`: `host:port`, where port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// If the address is not one, or is taken.
    pub async fn bind(
        address: &str,
        tls: Option<TlsConfig>,
        options: GrpcOptions,
        counters: Arc<Counters>,
    ) -> Result<Self, BindError> {
        let bound = async {
            let socket = TcpListener::bind(address).await?;
            Ok((socket.local_addr()?, socket))
        };
        let (local, socket) =
            bound.await.map_err(|error| BindError { address: address.to_owned(), error })?;
        Ok(Self { socket, local, tls, options, counters })
    }

    /// Returns the address that was bound.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Serves until the node stops, then closes what is open, gently for a second.
    pub async fn serve(self, service: GossipService, mut life: Lifeline) {
        debug!(address = %self.local, tls = self.tls.is_some(), "listening");
        let handshakes = Arc::new(Semaphore::new(self.options.handshakes_max));
        let mut connections = JoinSet::new();
        loop {
            let room = connections.len() < self.options.connections_max;
            tokio::select! {
                () = life.stopping() => break,
                Some(_) = connections.join_next() => {}
                accepted = self.socket.accept(), if room => match accepted {
                    Ok((socket, remote)) => {
                        let Ok(permit) = Arc::clone(&handshakes).try_acquire_owned() else {
                            self.counters.accept_failed();
                            debug!(%remote, "refused: too many TLS handshakes under way");
                            continue;
                        };
                        let accepting = self.accept(socket, remote);
                        let serve = self.server(service.clone(), life.clone());
                        connections.spawn(async move {
                            let accepted = accepting.await;
                            drop(permit);
                            if let Some((io, info)) = accepted {
                                serve(io, info).await;
                            }
                        });
                    }
                    Err(error) => {
                        warn!(%error, "cannot accept connections");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(self.socket);
        let all_closed = async { while connections.join_next().await.is_some() {} };
        let _ = timeout(LINGER, all_closed).await;
        connections.shutdown().await;
    }

    /// Does what comes before HTTP/2, in bounded time.
    fn accept(
        &self,
        socket: TcpStream,
        remote: SocketAddr,
    ) -> impl Future<Output = Option<(Io, ConnectionInfo)>> + Send + 'static {
        let tls = self.tls.clone();
        let counters = Arc::clone(&self.counters);
        let limit = self.options.accept_timeout;
        async move {
            counters.accepted();
            let result = match timeout(limit, handshake(socket, tls, Arc::clone(&counters))).await {
                Ok(Ok((io, tls))) => {
                    return Some((io, ConnectionInfo { remote: remote.to_string(), tls }));
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no TLS handshake within {limit:?}"),
            };
            counters.accept_failed();
            debug!(%remote, error = result, "connection refused");
            None
        }
    }

    /// Returns what serves HTTP/2 on one connection.
    fn server(
        &self,
        service: GossipService,
        mut life: Lifeline,
    ) -> impl FnOnce(Io, ConnectionInfo) -> ServeFuture + Send + 'static {
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(self.options.server_keep_alive_interval)
            .keep_alive_timeout(self.options.server_keep_alive_timeout)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(HTTP2_FRAME_MAX)
            .max_send_buf_size(SEND_BUFFER)
            .max_concurrent_streams(STREAMS_MAX);
        move |io, info| {
            Box::pin(async move {
                let remote = info.remote.clone();
                let handler = service_fn(move |mut request: hyper::Request<_>| {
                    request.extensions_mut().insert(info.clone());
                    service.clone().call(request.map(Body::new))
                });
                let connection = http2.serve_connection(TokioIo::new(io), handler);
                let mut connection = std::pin::pin!(connection);
                let ended = tokio::select! {
                    ended = &mut connection => ended,
                    () = life.stopping() => {
                        connection.as_mut().graceful_shutdown();
                        connection.await
                    }
                };
                trace!(remote, ?ended, "transport connection ended");
            })
        }
    }
}

type ServeFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

async fn handshake(
    socket: TcpStream,
    tls: Option<TlsConfig>,
    counters: Arc<Counters>,
) -> io::Result<(Io, Option<gossip_core::TlsBinding>)> {
    socket.set_nodelay(true)?;
    let socket = Counted::new(socket, counters);
    let Some(tls) = tls else {
        return Ok((Io::Plain(socket), None));
    };
    let server = tls.server();
    let stream = TlsAcceptor::from(Arc::clone(&server.config)).accept(socket).await?;
    let binding = server.bind(stream.get_ref().1.peer_certificates());
    Ok((Io::Tls(Box::new(stream.into())), Some(binding)))
}

/// A listening address that cannot be had.
#[derive(Debug)]
pub struct BindError {
    address: String,
    error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, error } = self;
        match error.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "cannot listen on {address}: another process uses this port; stop it or choose \
                 another listen address"
            ),
            io::ErrorKind::AddrNotAvailable => write!(
                f,
                "cannot listen on {address}: this machine has no such address; 0.0.0.0 stands for \
                 all that it has"
            ),
            io::ErrorKind::PermissionDenied => {
                write!(f, "cannot listen on {address}: not permitted; choose a port above 1023")
            }
            _ => write!(f, "cannot listen on {address} (expected host:port): {error}"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Streams that one remote may have open on one connection; gossip needs one, and one for a ping.
const STREAMS_MAX: u32 = 16;

/// The pause after the system would not accept a connection, as when files run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long connections may take to end when the node stops.
const LINGER: Duration = Duration::from_secs(1);
