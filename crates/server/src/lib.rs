//! The server: HTTP with Feast's routes and ours, gRPC with Feast's services, over one feature store.
//!
//! It is not: a place for meaning. What a value, a status or an error is, the facade says; routes parse, call it once and
//! write what it answers.
//!
//! Read first: [`Server`], [`AppState`], [`Limits`].
//!
//! # Examples
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use lodestore::{FeatureStore, OpenOptions};
//! use lodestore_server::{NoAuth, Server, ServerOptions, told_to_stop};
//!
//! # async fn example() -> lodestore::core::Result<()> {
//! let store = Arc::new(FeatureStore::open(&OpenOptions::in_folder(Path::new("my_repo")))?);
//! let server = Server::bind(store, &ServerOptions::default(), Arc::new(NoAuth)).await?;
//! println!("listening at http://{}", server.address());
//! server.run(told_to_stop()?).await
//! # }
//! ```

mod auth;
mod body;
mod error;
mod feast;
mod gate;
pub mod grpc;
mod jobs;
mod json;
mod limits;
mod metrics;
mod openapi;
mod respond;
mod routes;
mod serve;
mod state;
mod stream;
mod trace;
mod v1;

pub use auth::{Action, ApiKeys, Authorizer, Caller, NoAuth, authorizer, generate_key, hash_key};
pub use limits::Limits;
pub use metrics::{Found, Metrics};
pub use routes::{document, http};
pub use serve::{Server, ServerOptions, Unauthenticated, told_to_stop};
pub use state::AppState;
pub use trace::{LogFormat, LogLevel, LogOptions, Logging, start_logging};
