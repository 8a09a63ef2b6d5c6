//! What happens to requests when the server is told to stop.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use lodestore::core::time::Stopwatch;
use lodestore_server::{Limits, ServerOptions};

use crate::client::{connect, read_one, send};
use crate::faults::{READ, SLOWLY, slow};
use crate::support::{Running, options};

#[test]
fn requests_that_have_begun_end_and_no_others_begin() {
    let server = slow(&options(Limits::default()));
    let address = server.address;
    let mut idle = connect(address);
    let mut used = connect(address);
    used.write_all(b"GET /health HTTP/1.1\r\nhost: t\r\n\r\n").unwrap();
    read_one(&mut used).ok();
    let reading = std::thread::spawn(move || send(address, "POST", "/get-online-features", &[], READ.as_bytes()));
    while server.state.in_flight() == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let state = std::sync::Arc::clone(&server.state);
    let told = Stopwatch::start();
    let stopping = server.begin_to_stop();
    let rest = |stream: &mut TcpStream| {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).map(|_| rest)
    };
    // Connections that wait for nothing are closed at once, long before the slow read is done.
    assert_eq!(rest(&mut idle).unwrap(), b"");
    assert_eq!(rest(&mut used).unwrap(), b"");
    assert!(state.is_draining() && told.elapsed() < SLOWLY, "{:?}", told.elapsed());
    // The port is closed as soon as whoever accepts has heard of it, while the slow read goes on.
    while TcpStream::connect(address).is_ok() {
        assert!(told.elapsed() < SLOWLY, "the server still accepts connections");
        std::thread::sleep(Duration::from_millis(5));
    }
    reading.join().unwrap().ok();
    stopping.end().unwrap();
}

#[test]
fn what_does_not_end_in_time_is_cut_off() {
    let server = slow(&ServerOptions { drain: Duration::from_millis(50), ..options(Limits::default()) });
    let address = server.address;
    let reading = std::thread::spawn(move || {
        let mut stream = connect(address);
        let head =
            format!("POST /get-online-features HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n{READ}", READ.len());
        stream.write_all(head.as_bytes()).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        rest
    });
    while server.state.in_flight() == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let error = server.begin_to_stop().end().unwrap_err();
    assert!(error.message().contains("1 requests did not end"), "{error}");
    drop(reading);
}

#[test]
fn a_server_without_requests_stops_at_once() {
    let server = Running::new();
    server.get("/health").ok();
    let told = Stopwatch::start();
    server.begin_to_stop().end().unwrap();
    assert!(told.elapsed() < Duration::from_secs(5));
}
