//! The service that peers call.

use std::{
    convert::Infallible,
    future::{Future, Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use gossip_core::TlsBinding;
use tonic::{
    Request, Response, Status, Streaming,
    body::Body,
    codegen::{Body as HttpBody, Service, StdError, http},
    server::{Grpc, NamedService, StreamingService, UnaryService},
};

use super::{GrpcOptions, PING_PATH, SERVICE, STREAM_PATH, codec::Untouched, streams};
use crate::transport::{Acceptor, Connection, outgoing};

/// The gRPC service `gossip.Gossip` of one node, for a tonic server or any other tower server.
///
/// What TLS said about the caller must be in the request's extensions as a [`ConnectionInfo`]; if
/// it is not, the connection counts as one without TLS.
#[derive(Clone, Debug)]
pub struct GossipService {
    acceptor: Acceptor,
    message_bytes_max: usize,
    sent_message_bytes_max: usize,
}

impl GossipService {
    /// Makes the service. Of the options the sizes of messages count.
    #[must_use]
    pub const fn new(acceptor: Acceptor, options: &GrpcOptions) -> Self {
        let GrpcOptions { message_bytes_max, sent_message_bytes_max, .. } = *options;
        Self { acceptor, message_bytes_max, sent_message_bytes_max }
    }
}

impl NamedService for GossipService {
    const NAME: &'static str = SERVICE;
}

/// What a server knows of the transport connection that a request came on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ConnectionInfo {
    /// The remote's transport address, for logs alone.
    pub remote: String,
    /// The certificates of the connection, `None` without TLS.
    pub tls: Option<TlsBinding>,
}

impl<B> Service<http::Request<B>> for GossipService
where
    B: HttpBody + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let mut grpc = Grpc::new(Untouched)
            .max_decoding_message_size(self.message_bytes_max)
            .max_encoding_message_size(self.sent_message_bytes_max);
        match request.uri().path() {
            STREAM_PATH => {
                let open = OpenStream { acceptor: self.acceptor.clone() };
                Box::pin(async move { Ok(grpc.streaming(open, request).await) })
            }
            PING_PATH => Box::pin(async move { Ok(grpc.unary(AnswerPing, request).await) }),
            path => {
                let status = Status::unimplemented(format!("{SERVICE} has no method {path}"));
                Box::pin(ready(Ok(status.into_http())))
            }
        }
    }
}

/// Answers anybody (W-2).
struct AnswerPing;

impl UnaryService<Bytes> for AnswerPing {
    type Response = Bytes;
    type Future = Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, _request: Request<Bytes>) -> Self::Future {
        ready(Ok(Response::new(Bytes::new())))
    }
}

/// Gives the node a stream, and answers without waiting for its first frame (W-3).
struct OpenStream {
    acceptor: Acceptor,
}

impl StreamingService<Bytes> for OpenStream {
    type Response = Bytes;
    type ResponseStream = streams::Replies;
    type Future = Pin<Box<dyn Future<Output = Result<Response<streams::Replies>, Status>> + Send>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let acceptor = self.acceptor.clone();
        Box::pin(async move {
            let (_, mut extensions, requests) = request.into_parts();
            let ConnectionInfo { remote, tls } = extensions.remove().unwrap_or_default();
            let (writer, outgoing) = outgoing();
            let incoming = Box::pin(streams::Requests(requests));
            let connection = Connection { remote, tls, incoming, writer };
            match acceptor.accept(connection).await {
                Ok(()) => Ok(Response::new(streams::Replies(outgoing))),
                Err(_) => Err(Status::unknown("shutting down")),
            }
        })
    }
}
