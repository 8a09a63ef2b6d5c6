//! What one request, and all of them together, may take.

use std::time::Duration;

/// Limits of a server. A request past one of them gets a 4xx or 503 that says which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The bytes of a request's body.
    pub body_bytes: usize,
    /// The rows of a request: entity keys to read, or rows to write.
    pub entities: usize,
    /// The values of an answer: rows times features.
    pub values: usize,
    /// The requests that are worked on at the same time; more are refused at once.
    pub in_flight: usize,
    /// The bytes of all bodies that are being received, and of large answers that are being sent.
    pub buffered_bytes: usize,
    /// How long an answer may take. Materialisation has no such limit.
    pub request_time: Duration,
    /// How long a client may take to send a body, and to take any part of an answer.
    pub transfer_time: Duration,
    /// How long a connection may stay open without a whole request head.
    pub idle_time: Duration,
    /// The connections that may be open; more wait to be accepted.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 10 << 20,
            entities: 10_000,
            values: 2_500_000,
            in_flight: 1_024,
            buffered_bytes: 256 << 20,
            request_time: Duration::from_secs(30),
            transfer_time: Duration::from_secs(20),
            idle_time: Duration::from_secs(75),
            connections: 100_000,
        }
    }
}
