//! The server over HTTP: a real one, on a port of this machine, over a real store.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod arrow_bodies;
mod auth;
mod client;
mod definitions;
mod faults;
mod feast_errors;
mod feast_online;
mod feast_write;
mod limits;
mod materialize;
mod operation;
mod stopping;
mod support;
mod traces;
mod types;
mod v1;
