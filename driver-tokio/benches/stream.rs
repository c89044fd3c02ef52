//! What one stream carries, against a bare TLS socket with length-prefixed frames.
//!
//! `cargo bench -p gossip-tokio --bench stream`

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use rustls::{ClientConfig, RootCertStore, ServerConfig, crypto::aws_lc_rs, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_stream::StreamExt;

use crate::support::{Authority, Server, connect, loopback, transport};

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("{:>9} {:>28} {:>28} {:>6}", "frame", "gRPC and TLS", "TLS socket", "ratio");
    for size in [100, 1 << 10, 10 << 10, 100 << 10, 1 << 20] {
        let count = ((1 << 30) / size).clamp(500, 400_000);
        let best = |run: &dyn Fn() -> Duration| (0..5).map(|_| run()).min().unwrap_or_default();
        let grpc = best(&|| runtime.block_on(grpc(size, count)));
        let bare = best(&|| runtime.block_on(bare(size, count)));
        let ratio = bare.as_secs_f64() / grpc.as_secs_f64();
        println!(
            "{size:>9} {:>28} {:>28} {ratio:>6.2}",
            rate(size, count, grpc),
            rate(size, count, bare)
        );
    }
}

fn rate(size: usize, count: usize, took: Duration) -> String {
    let per_second = count as f64 / took.as_secs_f64();
    format!("{per_second:>10.0}/s {:>7.0} MB/s", per_second * size as f64 / 1e6)
}

/// Sends frames over a connection of the driver.
async fn grpc(size: usize, count: usize) -> Duration {
    let tls = loopback(&Authority::new("ca"));
    let mut server = Server::start(Some(tls.clone())).await;
    let (here, mut there) = connect(&transport(Some(tls)), &mut server).await;
    let mut incoming = here.incoming;
    tokio::spawn(async move { while incoming.next().await.is_some() {} });
    let start = Instant::now();
    // All copies share their bytes: what is queued costs nothing.
    let frame = Bytes::from(vec![7; size]);
    (0..count).for_each(|_| here.writer.send(frame.clone()));
    for _ in 0..count {
        there.incoming.next().await.unwrap().unwrap();
    }
    start.elapsed()
}

/// The same over nothing but TLS.
async fn bare(size: usize, count: usize) -> Duration {
    let (client, server) = tls_pair();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let dialled = tokio::spawn(async move {
        let socket = TcpStream::connect(addr).await.unwrap();
        socket.set_nodelay(true).unwrap();
        TlsConnector::from(client).connect(ServerName::from(addr.ip()), socket).await.unwrap()
    });
    let (socket, _) = listener.accept().await.unwrap();
    let mut there = TlsAcceptor::from(server).accept(socket).await.unwrap();
    let here = dialled.await.unwrap();
    let start = Instant::now();
    let sender = tokio::spawn(write(here, Bytes::from(vec![7; size]), count));
    read(&mut there, count).await.unwrap();
    let took = start.elapsed();
    sender.await.unwrap().unwrap();
    took
}

/// Returns the socket: closed early, it would take what is under way with it.
async fn write<S: AsyncWrite + Unpin>(mut socket: S, frame: Bytes, count: usize) -> io::Result<S> {
    let mut buffer = BytesMut::with_capacity(64 << 10);
    for _ in 0..count {
        buffer.put_u32(frame.len() as u32);
        buffer.put_slice(&frame);
        if buffer.len() >= 32 << 10 {
            socket.write_all(&buffer).await?;
            buffer.clear();
        }
    }
    socket.write_all(&buffer).await?;
    socket.flush().await?;
    Ok(socket)
}

async fn read(socket: &mut (impl AsyncRead + Unpin), count: usize) -> io::Result<()> {
    let mut buffer = BytesMut::with_capacity(64 << 10);
    for _ in 0..count {
        while buffer.len() < 4 {
            socket.read_buf(&mut buffer).await?;
        }
        let length = buffer.get_u32() as usize;
        buffer.reserve(length.saturating_sub(buffer.len()).max(64 << 10));
        while buffer.len() < length {
            socket.read_buf(&mut buffer).await?;
        }
        std::hint::black_box(buffer.split_to(length).freeze());
    }
    Ok(())
}

fn tls_pair() -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let authority = Authority::new("ca");
    let issued = authority.issue("127.0.0.1");
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.der], issued.key)
        .unwrap();
    (Arc::new(client), Arc::new(server))
}
