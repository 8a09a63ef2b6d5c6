//! The vocabulary and meaning of Lodestore: definitions, names, time, keys, types, errors, and the
//! seams to stores and engines with their versions in memory.
//!
//! What a value means is decided here, once, for training, batch, push and serving.
//!
//! It is not: I/O (no file, socket or clock but [`time::SystemClock`] is read here), a runtime, a
//! stored form or a wire format.
//!
//! Read first: [`definition::FeatureView`], [`offline::HistoricalPlan`], [`online::KeyState`].
//!
//! # Examples
//! ```
//! use lodestore_core::document::Document;
//!
//! let yaml = "
//! version: 1
//! entities: [{name: driver, join_keys: [{name: driver_id, type: int64}]}]
//! data_sources: [{name: stats, type: file, path: stats.parquet, timestamp_field: at}]
//! feature_views:
//!   - name: driver_stats
//!     entities: [driver]
//!     source: stats
//!     ttl: 1d
//!     schema: [{name: trips, type: int64}]
//! ";
//! let definitions = Document::parse_yaml(yaml, "features.yaml")?.into_definitions()?;
//! definitions.check()?;
//! assert_eq!(definitions.feature_views.len(), 1);
//! # Ok::<(), lodestore_core::Error>(())
//! ```

pub mod aggregation;
pub mod definition;
pub mod document;
pub mod entity_key;
mod error;
pub mod name;
pub mod offline;
pub mod online;
pub mod predicate;
pub mod registry;
pub mod request;
pub mod rows;
pub mod time;
pub mod types;
pub mod windows;

pub use error::{Error, ErrorKind, Result};
