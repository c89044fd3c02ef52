//! What a dial does, step by step, seen from a server that knows nothing of this project.

mod support;

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use gossip_core::DialPurpose;
use gossip_tokio::{
    grpc::{GrpcOptions, GrpcTransport},
    transport::{Connection, Dialled, StreamError, Transport},
};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{Request, Response, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpListener, time::timeout};
use tokio_stream::StreamExt;

use crate::support::{stream_error, transport};

/// C-3.
#[tokio::test]
async fn a_stream_is_dialled_pinged_and_opened_in_this_order_without_a_deadline() {
    let fake = Fake::start(Answer::AfterTheFirstFrame).await;
    let mut connection = open(&transport(None), fake.addr, DialPurpose::Stream).await;
    connection.writer.send(Bytes::from_static(b"hello"));
    assert!(connection.incoming.next().await.is_none());
    assert_eq!(
        fake.calls(),
        [
            Call {
                connection: 0,
                path: "/gossip.Gossip/Ping".into(),
                deadline: Some("2000m".into())
            },
            Call { connection: 0, path: "/gossip.Gossip/GossipStream".into(), deadline: None },
        ]
    );
}

#[tokio::test]
async fn each_dial_has_a_connection_of_its_own() {
    let fake = Fake::start(Answer::Well).await;
    let dialler = transport(None);
    for _ in 0..3 {
        dialler.dial(fake.addr.to_string().into(), DialPurpose::Ping).await.unwrap();
    }
    let connections: Vec<_> = fake.calls().iter().map(|call| call.connection).collect();
    assert_eq!(connections, [0, 1, 2]);
}

/// C-4.
#[tokio::test]
async fn a_failing_ping_fails_every_dial_and_opens_no_stream() {
    let fake = Fake::start(Answer::Unimplemented).await;
    for purpose in [DialPurpose::Stream, DialPurpose::Handshake, DialPurpose::Ping] {
        let dialled = transport(None).dial(fake.addr.to_string().into(), purpose).await;
        let error = dialled.expect_err("the ping failed");
        assert!(error.contains("ping failed"), "{error}");
    }
    assert!(fake.calls().iter().all(|call| call.path == "/gossip.Gossip/Ping"));
}

/// C-4.
#[tokio::test]
async fn a_ping_that_is_not_answered_fails_the_dial_in_time() {
    let fake = Fake::start(Answer::Never).await;
    let options = GrpcOptions { ping_timeout: Duration::from_millis(100), ..Default::default() };
    let dialler = GrpcTransport::new(None, options, Arc::default());
    let dialled = dialler.dial(fake.addr.to_string().into(), DialPurpose::Stream).await;
    let error = dialled.expect_err("nobody answers");
    assert!(error.ends_with("ping was not answered within 100ms"), "{error}");
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_fails_the_dial_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    let tls = support::loopback(&support::Authority::new("ca"));
    let options = GrpcOptions { dial_timeout: Duration::from_millis(100), ..Default::default() };
    let dialler = GrpcTransport::new(Some(tls), options, Arc::default());
    let error = dialler.dial(endpoint.clone().into(), DialPurpose::Stream).await.unwrap_err();
    assert_eq!(error, format!("{endpoint}: no connection within 100ms"));
}

#[tokio::test]
async fn what_cannot_be_dialled_is_named() {
    let dialler = transport(None);
    for (endpoint, expected) in
        [("127.0.0.1:1", "127.0.0.1:1: Connection refused"), ("no port", "no port: "), ("", ": ")]
    {
        let error = dialler.dial(endpoint.into(), DialPurpose::Ping).await.unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

/// C-6.
#[tokio::test]
async fn the_stream_of_a_handshake_ends_at_its_deadline() {
    assert_eq!(GrpcOptions::default().handshake_stream_timeout, Duration::from_secs(10));
    let fake = Fake::start(Answer::Well).await;
    let options =
        GrpcOptions { handshake_stream_timeout: Duration::from_millis(200), ..Default::default() };
    let dialler = GrpcTransport::new(None, options, Arc::default());
    let mut connection = open(&dialler, fake.addr, DialPurpose::Handshake).await;
    let error = stream_error(&mut connection.incoming).await;
    assert_eq!(error, StreamError::TimedOut("the stream's deadline passed".to_owned()));
    assert_eq!(fake.calls()[1].deadline.as_deref(), Some("200m"));
}

#[tokio::test]
async fn frames_are_written_before_the_server_has_answered() {
    let fake = Fake::start(Answer::AfterTheFirstFrame).await;
    let mut connection = open(&transport(None), fake.addr, DialPurpose::Stream).await;
    connection.writer.send(Bytes::from_static(b"hello"));
    let end = timeout(Duration::from_secs(5), connection.incoming.next()).await;
    assert!(end.expect("no deadlock").is_none());
}

async fn open(dialler: &GrpcTransport, addr: SocketAddr, purpose: DialPurpose) -> Connection {
    match dialler.dial(addr.to_string().into(), purpose).await.unwrap() {
        Dialled::Stream(connection) => connection,
        Dialled::Pinged => panic!("a stream was asked for"),
    }
}

/// A server of the two methods that writes down what it is called for.
struct Fake {
    addr: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Call {
    connection: usize,
    path: String,
    deadline: Option<String>,
}

#[derive(Clone, Copy)]
enum Answer {
    /// Pings with success, streams never.
    Well,
    /// Pings with success, streams with success once a frame has come.
    AfterTheFirstFrame,
    Unimplemented,
    Never,
}

impl Fake {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let calls = Arc::<Mutex<Vec<Call>>>::default();
        let fake = Self { addr, calls: Arc::clone(&calls) };
        tokio::spawn(async move {
            for connection in 0.. {
                let (socket, _) = listener.accept().await.unwrap();
                let calls = Arc::clone(&calls);
                let service = service_fn(move |request: Request<Incoming>| {
                    let deadline = request.headers().get("grpc-timeout");
                    calls.lock().unwrap().push(Call {
                        connection,
                        path: request.uri().path().to_owned(),
                        deadline: deadline.map(|value| millis(value.to_str().unwrap())),
                    });
                    respond(answer, request)
                });
                let server = http2::Builder::new(TokioExecutor::new());
                tokio::spawn(server.serve_connection(TokioIo::new(socket), service));
            }
        });
        fake
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }
}

async fn respond(
    answer: Answer,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
    let is_ping = request.uri().path().ends_with("/Ping");
    let ok = |body: &'static [u8]| {
        let trailers = [("grpc-status", "0")]
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let body = Full::new(Bytes::from_static(body))
            .with_trailers(async move { Some(Ok(trailers.into_iter().collect())) });
        Response::builder().header("content-type", "application/grpc").body(body.boxed()).unwrap()
    };
    match answer {
        Answer::Well | Answer::AfterTheFirstFrame if is_ping => Ok(ok(&[0; 5])),
        Answer::AfterTheFirstFrame => {
            request.into_body().frame().await.unwrap().unwrap();
            Ok(ok(&[]))
        }
        Answer::Unimplemented => Ok(Response::builder()
            .header("content-type", "application/grpc")
            .header("grpc-status", "12")
            .body(Full::default().boxed())
            .unwrap()),
        Answer::Well | Answer::Never => std::future::pending().await,
    }
}

/// Reads a `grpc-timeout` in whatever unit as milliseconds.
fn millis(value: &str) -> String {
    let (number, unit) = value.split_at(value.len() - 1);
    let number: u64 = number.parse().unwrap();
    let millis = match unit {
        "S" => number * 1000,
        "m" => number,
        "u" => number / 1000,
        "n" => number / 1_000_000,
        other => panic!("unit {other}"),
    };
    format!("{millis}m")
}
