//! A client that knows HTTP/2 and nothing of gRPC.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// Posts a body and returns the `grpc-status` and the body of the answer.
pub(crate) async fn call(addr: SocketAddr, path: &str, body: &[u8]) -> (Option<String>, Bytes) {
    let socket = TokioIo::new(TcpStream::connect(addr).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), socket).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post(format!("http://{addr}{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::copy_from_slice(body)))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let status_of = |headers: &hyper::HeaderMap| {
        headers.get("grpc-status").map(|status| status.to_str().unwrap().to_owned())
    };
    let early = status_of(response.headers());
    let collected = response.into_body().collect().await.unwrap();
    let late = collected.trailers().and_then(status_of);
    (early.or(late), collected.to_bytes())
}
