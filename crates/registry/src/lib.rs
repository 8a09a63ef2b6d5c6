//! Stored definitions: the plan of what an apply changes, the apply, and the registry in an SQLite file.
//! A plan is a value: it is made without I/O, prints what will happen and is committed as a whole or not at all.
//!
//! It is not: the judge of who may apply, a parser of definition files, or a store of feature values. What an
//! online store must make room for or drop, a plan only says.
//!
//! Read first: [`Plan`], [`PlanOptions`], [`SqliteRegistry`].
//!
//! # Examples
//! ```
//! use lodestore_core::document::Document;
//! use lodestore_core::registry::{MemoryRegistry, RegistryStore};
//! use lodestore_core::time::EventTime;
//! use lodestore_registry::{PlanOptions, apply, plan};
//!
//! # futures::executor::block_on(async {
//! let registry = MemoryRegistry::new();
//! let yaml = "{version: 1, entities: [{name: driver, join_keys: [{name: driver_id, type: int64}]}]}";
//! let wanted = Document::parse_yaml(yaml, "features.yaml")?.into_definitions()?;
//! let now = EventTime::parse("2024-01-01")?;
//!
//! let current = registry.load(&"demo".parse()?).await?;
//! let plan = plan(&current, &wanted, &PlanOptions::default(), now)?;
//! assert_eq!(plan.summary(), "1 to add, 0 to change, 0 to remove");
//! assert_eq!(apply(&registry, &plan, "me", now).await?, 1);
//! # Ok::<(), lodestore_core::Error>(())
//! # }).unwrap();
//! ```

mod apply;
pub mod plan;
pub mod sqlite;
mod stored;

pub use apply::apply;
pub use plan::{Plan, PlanOptions, Scope, plan};
pub use sqlite::SqliteRegistry;
