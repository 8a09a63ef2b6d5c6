//! The binary, run as people run it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod faults;
mod flights;
mod minimal;
mod reference;
mod support;
mod training;
mod wrong;
