//! Traces, as a collector receives them.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::response::Response;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use lodestore_server::{LogOptions, start_logging};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::client::send;
use crate::support::{Running, runtime};

/// A trace that a client began, as W3C writes it.
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Answers gRPC calls with an empty message, and hands on path and body of each.
fn collector(runtime: &Runtime) -> (SocketAddr, Receiver<(String, Vec<u8>)>) {
    let (calls, received) = channel();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let router = Router::new().fallback(answer).layer(axum::Extension(calls.clone()));
            tokio::spawn(async move {
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
            });
        }
    });
    (address, received)
}

async fn answer(axum::Extension(calls): axum::Extension<Sender<(String, Vec<u8>)>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let body = to_bytes(request.into_body(), 1 << 20).await.unwrap();
    calls.send((path, body.to_vec())).unwrap();
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
    let message = Full::new(bytes::Bytes::from_static(&[0; 5])).with_trailers(async move { Some(Ok(trailers)) });
    Response::builder().header("content-type", "application/grpc").body(Body::new(message)).unwrap()
}

#[test]
fn a_request_is_a_span_of_the_clients_trace() {
    let runtime = runtime();
    let (address, received) = collector(&runtime);
    let options = LogOptions { otlp_endpoint: Some(format!("http://{address}")), ..LogOptions::default() };
    let logging = runtime.block_on(async { start_logging(&options) }).unwrap();
    let server = Running::new();
    let body = json!({"feature_service": "activity", "entities": {"driver_id": [1]}}).to_string();
    let headers = [("traceparent", PARENT), ("x-request-id", "traced-1")];
    send(server.address, "POST", "/get-online-features", &headers, body.as_bytes()).ok();
    // What is left is sent at the end.
    drop(logging);
    let (path, body) = received.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    let contains = |part: &[u8]| body.windows(part.len()).any(|window| window == part);
    let trace = u128::from_str_radix(&PARENT[3..35], 16).unwrap().to_be_bytes();
    let parent = u64::from_str_radix(&PARENT[36..52], 16).unwrap().to_be_bytes();
    assert!(contains(b"/get-online-features") && contains(b"traced-1") && contains(b"http.response.status_code"));
    assert!(contains(&trace) && contains(&parent));
}
