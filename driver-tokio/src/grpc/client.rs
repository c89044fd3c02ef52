//! Dialling peers.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use gossip_core::{DialPurpose, Endpoint, TlsBinding};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use tokio::{
    net::TcpStream,
    sync::oneshot,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;
use tonic::{
    Request,
    body::Body,
    client::Grpc,
    codegen::{
        Service,
        http::{self, Uri, uri::PathAndQuery},
    },
};
use tracing::{trace, warn};

use super::{
    CONNECTION_WINDOW, GrpcOptions, HTTP2_FRAME_MAX, KEEP_ALIVE_INTERVAL_MIN, PING_PATH,
    SEND_BUFFER, STREAM_PATH, STREAM_WINDOW,
    codec::Untouched,
    io::{Counted, Io},
    streams::{Frames, Responses, describe},
};
use crate::{
    tls::{ALPN_H2, TlsConfig},
    transport::{Connection, Counters, Dialled, Dialling, Transport, outgoing},
};

/// Dials peers: each time a transport connection of its own (C3.1.a).
#[derive(Debug)]
pub struct GrpcTransport {
    dialler: Arc<Dialler>,
}

impl GrpcTransport {
    /// Dials with TLS if `tls` is given.
    #[must_use]
    pub fn new(tls: Option<TlsConfig>, mut options: GrpcOptions, counters: Arc<Counters>) -> Self {
        let interval = &mut options.client_keep_alive_interval;
        if *interval < KEEP_ALIVE_INTERVAL_MIN {
            warn!(
                "a client keep-alive interval of {interval:?} would have Fabric's servers cut us \
                 off; {KEEP_ALIVE_INTERVAL_MIN:?} is used"
            );
            *interval = KEEP_ALIVE_INTERVAL_MIN;
        }
        Self { dialler: Arc::new(Dialler { tls, options, counters }) }
    }

    /// Returns the options in force.
    #[must_use]
    pub fn options(&self) -> &GrpcOptions {
        &self.dialler.options
    }
}

impl Transport for GrpcTransport {
    fn dial(&self, endpoint: Endpoint, purpose: DialPurpose) -> Dialling {
        let dialler = Arc::clone(&self.dialler);
        Box::pin(async move { dialler.dial(&endpoint, purpose).await })
    }
}

#[derive(Debug)]
struct Dialler {
    tls: Option<TlsConfig>,
    options: GrpcOptions,
    counters: Arc<Counters>,
}

impl Dialler {
    async fn dial(&self, endpoint: &Endpoint, purpose: DialPurpose) -> Result<Dialled, String> {
        let limit = self.options.dial_timeout;
        let (remote, tls, io) = timeout(limit, self.connect(endpoint))
            .await
            .map_err(|_| format!("{endpoint}: no connection within {limit:?}"))??;
        let (mut grpc, connection) = self.speak_http2(endpoint, io).await?;
        self.counters.dialled();
        self.ping(endpoint, &mut grpc).await?;
        if purpose == DialPurpose::Ping {
            return Ok(Dialled::Pinged);
        }
        let lifetime = match purpose {
            DialPurpose::Handshake => Some(self.options.handshake_stream_timeout),
            DialPurpose::Stream | DialPurpose::Ping => None,
        };
        let (writer, outgoing) = outgoing();
        let request = with_deadline(Request::new(Frames(outgoing)), lifetime);
        // The server's answer is not awaited here: one that waits for our first frame before it
        // answers would wait for ever.
        let opening = Box::pin(async move {
            let path = PathAndQuery::from_static(STREAM_PATH);
            Ok(grpc.streaming(request, path, Untouched).await?.into_inner())
        });
        let deadline = lifetime.map(|lifetime| Box::pin(sleep(lifetime)));
        let incoming = Box::pin(Responses::new(opening, deadline, connection));
        Ok(Dialled::Stream(Connection { remote, tls, incoming, writer }))
    }

    /// Connects, up to and including TLS.
    async fn connect(
        &self,
        endpoint: &Endpoint,
    ) -> Result<(String, Option<TlsBinding>, Io), String> {
        let fail = |error: &dyn std::fmt::Display| format!("{endpoint}: {error}");
        let socket = TcpStream::connect(endpoint.as_str()).await.map_err(|error| fail(&error))?;
        socket.set_nodelay(true).map_err(|error| fail(&error))?;
        let remote = socket.peer_addr().map_or_else(|_| String::new(), |addr| addr.to_string());
        let socket = Counted::new(socket, Arc::clone(&self.counters));
        let Some(tls) = &self.tls else {
            return Ok((remote, None, Io::Plain(socket)));
        };
        let client = tls.client();
        let stream = TlsConnector::from(Arc::clone(&client.config))
            .connect(server_name(endpoint)?, socket)
            .await
            .map_err(|error| fail(&format_args!("TLS: {error}")))?;
        let (_, session) = stream.get_ref();
        if session.alpn_protocol() != Some(ALPN_H2) {
            return Err(fail(&"TLS: the server does not speak HTTP/2 (no ALPN protocol h2)"));
        }
        let binding = client.bind(session.peer_certificates());
        Ok((remote, Some(binding), Io::Tls(Box::new(stream.into()))))
    }

    /// Begins HTTP/2 on a connection, which lives until the sender that is returned goes.
    async fn speak_http2(
        &self,
        endpoint: &Endpoint,
        io: Io,
    ) -> Result<(Grpc<Channel>, oneshot::Sender<()>), String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let origin = Uri::builder()
            .scheme(scheme)
            .authority(endpoint.as_str())
            .path_and_query("/")
            .build()
            .map_err(|error| format!("{endpoint}: {error}"))?;
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(self.options.client_keep_alive_interval)
            .keep_alive_timeout(self.options.client_keep_alive_timeout)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(HTTP2_FRAME_MAX)
            .max_send_buf_size(SEND_BUFFER)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| format!("{endpoint}: HTTP/2: {error}"))?;
        let (open, given_up) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = &mut connection => Ok(ended),
                _ = given_up => timeout(LINGER, connection).await,
            };
            trace!(?ended, "transport connection ended");
        });
        let grpc = Grpc::with_origin(Channel(sender), origin)
            .max_decoding_message_size(self.options.message_bytes_max)
            .max_encoding_message_size(self.options.sent_message_bytes_max);
        Ok((grpc, open))
    }

    async fn ping(&self, endpoint: &Endpoint, grpc: &mut Grpc<Channel>) -> Result<(), String> {
        let limit = self.options.ping_timeout;
        let request = with_deadline(Request::new(Bytes::new()), Some(limit));
        let path = PathAndQuery::from_static(PING_PATH);
        let call = async {
            grpc.ready().await.map_err(|error| error.to_string())?;
            let answer = grpc.unary::<_, Bytes, _>(request, path, Untouched).await;
            answer.map_err(|status| describe(&status))
        };
        match timeout(limit, call).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(format!("{endpoint}: ping failed: {error}")),
            Err(_) => Err(format!("{endpoint}: ping was not answered within {limit:?}")),
        }
    }
}

/// One HTTP/2 connection as a tower service.
#[derive(Debug)]
struct Channel(SendRequest<Body>);

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

fn with_deadline<T>(mut request: Request<T>, deadline: Option<Duration>) -> Request<T> {
    if let Some(deadline) = deadline {
        request.set_timeout(deadline);
    }
    request
}

/// Takes the name that the server's certificate must be for from `host:port` (W1.2.g).
fn server_name(endpoint: &Endpoint) -> Result<ServerName<'static>, String> {
    let host = endpoint.as_str().rsplit_once(':').map_or(endpoint.as_str(), |(host, _)| host);
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(host.to_owned())
        .map_err(|_| format!("{endpoint}: {host:?} is neither a DNS name nor an IP address"))
}

/// How long a connection that was given up may take to say goodbye.
const LINGER: Duration = Duration::from_secs(1);
