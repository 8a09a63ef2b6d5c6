//! The DataFusion engine: tables of files as sources, and the point-in-time join as an operator of
//! its own.
//!
//! It is not: a place for definitions or online rows, and it decides no meaning: rules P1 to P9 are
//! those of `lodestore_core`, which the operator follows and the oracle checks.
//!
//! Read first: [`DataFusionEngine`], [`PointInTimeJoinExec`], `pit::pass`.
//!
//! # Examples
//! ```
//! use lodestore_core::definition::FileSource;
//! use lodestore_core::offline::OfflineEngine;
//! use lodestore_offline::{DataFusionEngine, EngineConfig};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = std::env::temp_dir().join("lodestore-offline-example");
//! std::fs::create_dir_all(&folder)?;
//! std::fs::write(folder.join("trips.csv"), "driver_id,trips\n1,7\n")?;
//! let engine = DataFusionEngine::new(EngineConfig::new(&folder));
//! let schema = engine.schema(&FileSource::new("trips", "trips.csv")?.table()?).await?;
//! assert_eq!(schema.fields().len(), 2);
//! # Ok(())
//! # }
//! ```

mod engine;
mod error;
mod explain;
mod frame;
mod memory;
mod pit;
mod prefetch;
mod questions;
mod rows;
mod sink;
mod source;

pub use engine::{DataFusionEngine, EngineConfig};
pub use frame::{Frame, read_frame, write_frame};
pub use pit::{ForcedStrategy, PointInTimeJoinExec, Tuning};
pub use source::{ConnectionConfig, Encryption, PostgresConfig, SourceConfig};
