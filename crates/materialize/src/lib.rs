//! Moves the rows of feature views from their tables into an online store: batch jobs, with the
//! watermark in the same commit as the rows.
//!
//! It is not: an engine (it reads through `OfflineEngine`), a store (it writes through
//! `OnlineStore`), or a scheduler.
//!
//! Read first: [`MaterializationJob`], [`Report`], [`Interval`].
//!
//! # Examples
//! ```no_run
//! # use std::sync::Arc;
//! # use lodestore_core::{offline::OfflineEngine, online::{OnlineStore, OnlineView}, time::SystemClock};
//! # async fn example(
//! #     engine: Arc<dyn OfflineEngine>, store: Arc<dyn OnlineStore>, view: OnlineView,
//! # ) -> lodestore_core::Result<()> {
//! use lodestore_core::time::EventTime;
//! use lodestore_materialize::{Interval, MaterializationJob, Silent};
//!
//! let job = MaterializationJob::new(view, Interval::Since { until: EventTime::parse("2024-01-31")? });
//! let report = job.run(engine.as_ref(), store.as_ref(), &SystemClock, &Silent).await?;
//! assert_eq!(report.rows_read, report.rows_written + report.rows_skipped + report.rows_refused);
//! # Ok(())
//! # }
//! ```

mod job;
mod newest;
mod once;
mod progress;
mod refused;

pub use job::{Interval, JobOptions, MaterializationJob, Report};
pub use progress::{Progress, Silent};
