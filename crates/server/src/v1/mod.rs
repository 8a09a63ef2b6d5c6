//! Our own routes, below `/v1`, and those of whoever runs the server.

pub(crate) mod ipc;
pub(crate) mod online;
pub(crate) mod operation;
pub(crate) mod registry;
pub(crate) mod write;
