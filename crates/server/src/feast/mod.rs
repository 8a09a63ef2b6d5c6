//! The routes of Feast's feature server, with its JSON: an unmodified client of Feast talks to them.
//!
//! What differs is told in `docs/server.md`: statuses are ours, and a client's mistake is no 500.

pub(crate) mod materialize;
pub(crate) mod online;
pub(crate) mod write;
