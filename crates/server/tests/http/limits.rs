//! Limits, each with a status of its own.

use std::io::{Read, Write};
use std::time::Duration;

use lodestore::core::time::Stopwatch;
use lodestore_server::Limits;
use serde_json::json;

use crate::client::{connect, read_to_end, send};
use crate::support::Running;

#[test]
fn a_body_that_is_too_large_is_413_however_it_comes() {
    let server = Running::with_limits(Limits { body_bytes: 100_000, ..Limits::default() });
    let large = format!("{{\"entities\": {{\"driver_id\": [{}1]}}}}", "1,".repeat(5_000_000));
    for path in ["/get-online-features", "/push", "/materialize"] {
        assert!(server.post_text(path, &large).has_status(413).feast_error().1.contains("100000 bytes (max_body)"));
    }
    let own = server.post_text("/v1/push", &large).has_status(413).own_error();
    assert!(own.1.contains("max_body"));
    let mut stream = connect(server.address);
    stream
        .write_all(b"POST /push HTTP/1.1\r\nhost: t\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n")
        .unwrap();
    for _ in 0..200 {
        stream.write_all(format!("3e8\r\n{}\r\n", " ".repeat(1_000)).as_bytes()).unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    read_to_end(&mut stream).has_status(413);
}

#[test]
fn ten_megabytes_are_taken_by_default_and_one_byte_more_is_not() {
    let server = Running::new();
    let body = r#"{"features": ["driver_stats:trips"], "entities": {"driver_id": [1]}}"#;
    let padded = format!("{body}{}", " ".repeat((10 << 20) - body.len()));
    server.post_text("/get-online-features", &padded).ok();
    server.post_text("/get-online-features", &format!("{padded} ")).has_status(413);
}

#[test]
fn too_many_rows_are_400_and_the_limit_is_named() {
    let server = Running::with_limits(Limits { entities: 3, ..Limits::default() });
    let online = |keys: &[i64]| server.online(&["driver_stats:trips"], &json!({"driver_id": keys}));
    online(&[1, 2, 3]).ok();
    assert!(online(&[1, 2, 3, 4]).has_status(400).feast_error().1.contains("at most 3 are taken (max_entities)"));
    let df = json!({"driver_id": [1, 2, 3, 4], "at": vec!["2024-01-09"; 4], "trips": [1, 2, 3, 4]});
    server.post("/push", &json!({"push_source_name": "stats_push", "df": df})).has_status(400);
    server.post("/v1/write", &json!({"feature_view": "driver_stats", "rows": df})).has_status(400);
}

#[test]
fn a_busy_server_refuses_at_once_says_when_to_come_back_and_stays_healthy() {
    let server = Running::with_limits(Limits { in_flight: 0, ..Limits::default() });
    let refused = server.online(&["driver_stats:trips"], &json!({"driver_id": [1]})).has_status(503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(refused.feast_error().1.contains("max_in_flight"));
    assert_eq!(server.post("/v1/push", &json!({})).has_status(503).own_error().0, "unavailable");
    for path in ["/health", "/v1/health/live", "/v1/health/ready"] {
        server.get(path).ok();
    }
}

#[test]
fn bodies_may_not_take_all_the_memory_together() {
    let server = Running::with_limits(Limits { buffered_bytes: 1_000, ..Limits::default() });
    server.post_text("/push", &" ".repeat(2_000)).has_status(503);
    server.online(&["driver_stats:trips"], &json!({"driver_id": [1]})).ok();
}

#[test]
fn whoever_is_slow_is_left() {
    let patience = Duration::from_millis(200);
    let server = Running::with_limits(Limits { idle_time: patience, transfer_time: patience, ..Limits::default() });
    let started = Stopwatch::start();
    for part in ["", "POST /push HT", "POST /push HTTP/1.1\r\nhost: t\r\n"] {
        let mut stream = connect(server.address);
        stream.write_all(part.as_bytes()).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&rest));
    }
    let mut stream = connect(server.address);
    stream.write_all(b"POST /push HTTP/1.1\r\nhost: t\r\ncontent-length: 10\r\nconnection: close\r\n\r\n{").unwrap();
    assert!(read_to_end(&mut stream).has_status(408).feast_error().1.contains("did not arrive"));
    assert!(started.elapsed() < Duration::from_secs(10));
    server.get("/health").ok();
}

#[test]
fn what_is_no_http_ends_the_connection_and_nothing_else() {
    let server = Running::new();
    for part in ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "POST /push HTTP/1.1\r\ncontent-length: -1\r\n\r\n"] {
        let mut stream = connect(server.address);
        stream.write_all(part.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // What the client has sent and the server has not read may reset the connection.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&answer));
    }
    let long = "x".repeat(1 << 20);
    let mut stream = connect(server.address);
    // The server may close before all is sent.
    let _ = stream.write_all(format!("GET /{long} HTTP/1.1\r\n\r\n").as_bytes());
    send(server.address, "GET", "/health", &[], b"").ok();
}
