//! The gRPC services as clients see them: a real client, a real socket, a real embedded store.
#![allow(clippy::expect_used, reason = "a test may end like this")]

mod access;
mod generated;
mod reads;
mod world;
mod writes;
