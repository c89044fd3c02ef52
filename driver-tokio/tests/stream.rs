//! Streams over real sockets: frames, limits, ends.

mod support;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use gossip_core::DialPurpose;
use gossip_tokio::{
    grpc::{ConnectionInfo, GossipService, GrpcOptions, GrpcTransport, Listener},
    tls::KeyPair,
    transport::{Counters, Dialled, Farewell, StreamError, Transport, acceptor},
};
use tokio::{io::AsyncReadExt, net::TcpStream, time::timeout};
use tokio_stream::StreamExt;

use crate::support::{
    Authority, Server, connect, dial, echo, loopback, next_frame, stream_error, transport,
};

#[tokio::test]
async fn frames_travel_byte_for_byte_both_ways_with_tls_and_without() {
    let tls = loopback(&Authority::new("ca"));
    for tls in [Some(tls), None] {
        let mut server = Server::start(tls.clone()).await;
        let (mut here, there) = connect(&transport(tls), &mut server).await;
        tokio::spawn(echo(there));
        for size in [0, 1, 5, 1 << 10, 100 << 10, 3 << 20, 17] {
            let frame: Bytes = (0..size).map(|n: u32| n.wrapping_mul(31) as u8).collect();
            here.writer.send(frame.clone());
            assert!(next_frame(&mut here.incoming).await == frame, "{size} bytes changed");
        }
        here.writer.finish(None);
        assert!(here.incoming.next().await.is_none(), "the server ends well after us");
    }
}

#[tokio::test]
async fn many_frames_arrive_in_order() {
    let mut server = Server::start(None).await;
    let (mut here, there) = connect(&transport(None), &mut server).await;
    tokio::spawn(echo(there));
    for number in 0..10_000_u32 {
        here.writer.send(Bytes::copy_from_slice(&number.to_be_bytes()));
    }
    for number in 0..10_000_u32 {
        assert_eq!(next_frame(&mut here.incoming).await[..], number.to_be_bytes());
    }
    assert_eq!(here.writer.waiting(), 0);
}

/// W-3.
#[tokio::test]
async fn the_server_speaks_without_waiting_for_the_client() {
    let mut server = Server::start(None).await;
    let (mut here, there) = connect(&transport(None), &mut server).await;
    there.writer.send(Bytes::from_static(b"server first"));
    assert_eq!(next_frame(&mut here.incoming).await, "server first");
}

/// W-6.
#[tokio::test]
async fn a_frame_up_to_the_limit_passes_and_a_larger_one_ends_the_stream() {
    assert_eq!(GrpcOptions::default().message_bytes_max, 104_857_600);
    let options = GrpcOptions { message_bytes_max: 1 << 20, ..GrpcOptions::default() };
    let mut server = Server::with_options(None, options).await;
    let (mut here, mut there) = connect(&transport(None), &mut server).await;

    here.writer.send(Bytes::from(vec![7; 1 << 20]));
    let read = tokio::join!(next_frame(&mut there.incoming), async {
        let _ = timeout(Duration::ZERO, here.incoming.next()).await;
    });
    assert_eq!(read.0.len(), 1 << 20);

    here.writer.send(Bytes::from(vec![7; (1 << 20) + 1]));
    let StreamError::Invalid(reason) = stream_error(&mut there.incoming).await else {
        panic!("an oversized frame is the remote's fault");
    };
    there.writer.finish(Some(Farewell::Invalid(reason)));
    let StreamError::Refused(told) = stream_error(&mut here.incoming).await else {
        panic!("the remote is told");
    };
    assert!(told.contains("too large"), "{told}");
}

#[tokio::test]
async fn what_may_be_sent_and_what_may_arrive_are_two_limits() {
    let options = GrpcOptions {
        message_bytes_max: 1000,
        sent_message_bytes_max: 10,
        ..GrpcOptions::default()
    };
    let mut server = Server::with_options(None, options.clone()).await;
    let transport = GrpcTransport::new(None, GrpcOptions::default(), Arc::default());
    let (mut here, mut there) = connect(&transport, &mut server).await;
    here.writer.send(Bytes::from(vec![7; 1000]));
    assert_eq!(next_frame(&mut there.incoming).await.len(), 1000);
    there.writer.send(Bytes::from(vec![7; 10]));
    assert_eq!(next_frame(&mut here.incoming).await.len(), 10);
    there.writer.send(Bytes::from(vec![7; 11]));
    stream_error(&mut here.incoming).await;
}

#[tokio::test]
async fn a_server_that_refuses_tells_why() {
    let mut server = Server::start(None).await;
    let (mut here, there) = connect(&transport(None), &mut server).await;
    there.writer.finish(Some(Farewell::Refused("authentication failed".to_owned())));
    let error = stream_error(&mut here.incoming).await;
    assert_eq!(error, StreamError::Refused("authentication failed".to_owned()));
}

#[tokio::test]
async fn what_was_queued_is_written_before_the_stream_ends() {
    let mut server = Server::start(None).await;
    let (here, mut there) = connect(&transport(None), &mut server).await;
    for _ in 0..100 {
        here.writer.send(Bytes::from(vec![1; 10_000]));
    }
    here.writer.finish(None);
    let mut incoming = here.incoming;
    tokio::spawn(async move { while let Some(Ok(_)) = incoming.next().await {} });
    for _ in 0..100 {
        assert_eq!(next_frame(&mut there.incoming).await.len(), 10_000);
    }
    assert!(there.incoming.next().await.is_none());
}

#[tokio::test]
async fn a_client_that_goes_ends_the_stream() {
    let mut server = Server::start(None).await;
    let (here, mut there) = connect(&transport(None), &mut server).await;
    drop(here);
    let end = there.incoming.next().await;
    assert!(end.is_none_or(|end| end.is_err()));
    there.writer.finish(None);
    there.writer.finished().await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_blocks_only_itself() {
    let tls = loopback(&Authority::new("ca"));
    let mut server = Server::start(Some(tls.clone())).await;
    let dialler = transport(Some(tls));
    let (slow, slow_there) = connect(&dialler, &mut server).await;
    let (mut quick, quick_there) = connect(&dialler, &mut server).await;
    tokio::spawn(echo(quick_there));
    for _ in 0..64 {
        slow.writer.send(Bytes::from(vec![0; 1 << 20]));
    }
    let mut slow_incoming = slow.incoming;
    tokio::spawn(async move { slow_incoming.next().await });
    for _ in 0..100 {
        quick.writer.send(Bytes::from_static(b"still here"));
        assert_eq!(next_frame(&mut quick.incoming).await, "still here");
    }
    assert!(slow.writer.waiting() > 48, "what nobody reads stays with the sender");
    drop(slow_there);
}

#[tokio::test]
async fn a_broken_connection_is_told_from_an_ended_stream() {
    let (acceptor, mut accepted) = acceptor();
    let counters = Arc::<Counters>::default();
    let listener =
        Listener::bind("127.0.0.1:0", None, GrpcOptions::default(), counters).await.unwrap();
    let endpoint = listener.local_addr().to_string().into();
    let life = acceptor.lifeline();
    let service = GossipService::new(acceptor, &GrpcOptions::default());
    let serving = tokio::spawn(listener.serve(service, life));
    let mut here = dial(&transport(None), endpoint).await.unwrap();
    let _there = tokio::select! {
        there = accepted.recv() => there.unwrap(),
        frame = here.incoming.next() => panic!("{frame:?}"),
    };
    serving.abort();
    let error = stream_error(&mut here.incoming).await;
    assert!(matches!(error, StreamError::Broken(_)), "{error}");
}

#[tokio::test]
async fn a_stalled_tls_handshake_is_dropped_and_delays_nobody() {
    let tls = loopback(&Authority::new("ca"));
    let options =
        GrpcOptions { accept_timeout: Duration::from_millis(200), ..GrpcOptions::default() };
    let mut server = Server::with_options(Some(tls.clone()), options).await;
    let mut stalled = Vec::new();
    for _ in 0..20 {
        stalled.push(TcpStream::connect(server.addr).await.unwrap());
    }
    let (mut here, there) = connect(&transport(Some(tls)), &mut server).await;
    tokio::spawn(echo(there));
    here.writer.send(Bytes::from_static(b"hello"));
    assert_eq!(next_frame(&mut here.incoming).await, "hello");
    for mut socket in stalled {
        assert_eq!(socket.read(&mut [0; 1]).await.unwrap_or(0), 0, "the server hung up");
    }
    assert_eq!(server.counters.read().accept_failed, 20);
}

#[tokio::test]
async fn handshakes_beyond_the_limit_are_refused_at_once() {
    let tls = loopback(&Authority::new("ca"));
    let options = GrpcOptions { handshakes_max: 2, ..GrpcOptions::default() };
    let server = Server::with_options(Some(tls), options).await;
    let _first = TcpStream::connect(server.addr).await.unwrap();
    let _second = TcpStream::connect(server.addr).await.unwrap();
    let mut third = TcpStream::connect(server.addr).await.unwrap();
    assert_eq!(third.read(&mut [0; 1]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn wire_bytes_are_counted_below_tls() {
    let tls = loopback(&Authority::new("ca"));
    let mut server = Server::start(Some(tls.clone())).await;
    let counters = Arc::<Counters>::default();
    let dialler = GrpcTransport::new(Some(tls), GrpcOptions::default(), Arc::clone(&counters));
    let (here, mut there) = connect(&dialler, &mut server).await;
    here.writer.send(Bytes::from(vec![0; 100_000]));
    let mut incoming = here.incoming;
    tokio::spawn(async move { incoming.next().await });
    next_frame(&mut there.incoming).await;
    let stats = counters.read();
    assert!((100_000..110_000).contains(&stats.wire_bytes_out), "{stats:?}");
    assert!((500..10_000).contains(&stats.wire_bytes_in), "{stats:?}");
    assert_eq!((stats.dialled, stats.open), (1, 1));
    assert_eq!(server.counters.read().accepted, 1);
}

#[tokio::test]
async fn a_busy_port_is_named_with_what_to_do() {
    let server = Server::start(None).await;
    let address = server.addr.to_string();
    let error = Listener::bind(&address, None, GrpcOptions::default(), Arc::default())
        .await
        .expect_err("the port is taken")
        .to_string();
    assert_eq!(
        error,
        format!(
            "cannot listen on {address}: another process uses this port; stop it or choose \
             another listen address"
        )
    );
    let error = Listener::bind("nonsense", None, GrpcOptions::default(), Arc::default())
        .await
        .expect_err("no port")
        .to_string();
    assert!(error.contains("nonsense (expected host:port)"), "{error}");
}

/// W-5.
#[tokio::test]
async fn a_client_that_would_ping_too_often_is_held_to_a_minute() {
    let options = GrpcOptions {
        client_keep_alive_interval: Duration::from_secs(1),
        ..GrpcOptions::default()
    };
    let dialler = GrpcTransport::new(None, options, Arc::default());
    assert_eq!(dialler.options().client_keep_alive_interval, Duration::from_secs(60));
    assert_eq!(dialler.options().client_keep_alive_timeout, Duration::from_secs(20));
}

#[tokio::test]
async fn certificate_errors_name_the_file_and_what_was_expected() {
    let authority = Authority::new("ca");
    let (one, other) = (authority.issue("one"), authority.issue("other"));
    let mismatch = KeyPair::from_pem("tls pair", one.pem.as_bytes(), other.key_pem.as_bytes());
    assert_eq!(
        mismatch.unwrap_err().to_string(),
        "tls pair: expected the private key of the certificate: the key belongs to another \
         certificate"
    );
    let missing = KeyPair::from_files("/nowhere/server.crt", "/nowhere/server.key").unwrap_err();
    assert!(
        missing.to_string().starts_with("/nowhere/server.crt: expected a certificate in PEM: "),
        "{missing}"
    );
    let no_key = KeyPair::from_pem("server.pem", one.pem.as_bytes(), one.pem.as_bytes());
    let no_key = no_key.unwrap_err().to_string();
    assert!(no_key.starts_with("server.pem: expected a private key in PEM"), "{no_key}");
    let no_certificate = KeyPair::from_pem("server.pem", b"hello", one.key_pem.as_bytes());
    assert_eq!(
        no_certificate.unwrap_err().to_string(),
        "server.pem: expected one certificate or more in PEM (-----BEGIN CERTIFICATE-----): found \
         none"
    );
}

/// W-2, C-5.
#[tokio::test]
async fn a_ping_needs_no_stream_and_no_gossip() {
    let tls = loopback(&Authority::new("ca"));
    let mut server = Server::start(Some(tls.clone())).await;
    let dialled = transport(Some(tls)).dial(server.endpoint(), DialPurpose::Ping).await.unwrap();
    assert!(matches!(dialled, Dialled::Pinged));
    server.accepted.stop();
    assert!(server.accepted.recv().await.is_none(), "no stream was opened");
}

#[tokio::test]
async fn the_service_lives_in_a_server_that_the_user_runs_beside_another() {
    let (acceptor, mut accepted) = acceptor();
    let info = ConnectionInfo { remote: "somebody".to_owned(), tls: None };
    let gossip = tonic::service::interceptor::InterceptedService::new(
        GossipService::new(acceptor, &GrpcOptions::default()),
        move |mut request: tonic::Request<()>| {
            request.extensions_mut().insert(info.clone());
            Ok(request)
        },
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let router = tonic::transport::Server::builder().add_service(gossip).add_service(Other);
    tokio::spawn(router.serve_with_incoming(incoming));

    let mut here = dial(&transport(None), addr.to_string().into()).await.unwrap();
    let there = tokio::select! {
        there = accepted.recv() => there.unwrap(),
        frame = here.incoming.next() => panic!("{frame:?}"),
    };
    assert_eq!(there.remote, "somebody");
    tokio::spawn(echo(there));
    here.writer.send(Bytes::from_static(b"hello"));
    assert_eq!(next_frame(&mut here.incoming).await, "hello");
    let (status, _) = support::raw::call(addr, "/other.Service/Anything", &[]).await;
    assert_eq!(status.as_deref(), Some("0"), "the other service answers too");
}

/// W-1.
#[tokio::test]
async fn the_paths_are_fabrics_and_no_others() {
    let server = Server::start(None).await;
    let empty_message = [0, 0, 0, 0, 0];
    let (status, body) =
        support::raw::call(server.addr, "/gossip.Gossip/Ping", &empty_message).await;
    assert_eq!((status.as_deref(), &body[..]), (Some("0"), &empty_message[..]));
    let (status, _) = support::raw::call(server.addr, "/gossip.Gossip/Pong", &empty_message).await;
    assert_eq!(status.as_deref(), Some("12"));
}

/// W-6.
#[tokio::test]
async fn an_oversized_frame_is_answered_with_resource_exhausted() {
    let options = GrpcOptions { message_bytes_max: 100, ..GrpcOptions::default() };
    let mut server = Server::with_options(None, options).await;
    let mut frame = vec![0, 0, 0, 0, 101];
    frame.extend([0; 101]);
    let addr = server.addr;
    let refuse = async {
        let mut there = server.next().await;
        let error = stream_error(&mut there.incoming).await.to_string();
        there.writer.finish(Some(Farewell::Invalid(error)));
    };
    let call = support::raw::call(addr, "/gossip.Gossip/GossipStream", &frame);
    let ((status, _), ()) = tokio::join!(call, refuse);
    assert_eq!(status.as_deref(), Some("8"));
}

/// Answers every call with success and nothing else.
#[derive(Clone)]
struct Other;

impl tonic::server::NamedService for Other {
    const NAME: &'static str = "other.Service";
}

impl<B> tonic::codegen::Service<tonic::codegen::http::Request<B>> for Other {
    type Response = tonic::codegen::http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(
        &mut self,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: tonic::codegen::http::Request<B>) -> Self::Future {
        std::future::ready(Ok(tonic::Status::ok("").into_http()))
    }
}
