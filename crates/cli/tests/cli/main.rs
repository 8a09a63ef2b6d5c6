//! The binary, run as people run it.

mod faults;
mod flights;
mod minimal;
mod reference;
mod support;
mod wrong;
