//! What a running job tells, and how it is told to stop.

use lodestore_core::online::OnlineView;

/// Hears of a job's progress, between batches.
pub trait Progress: Send + Sync {
    /// Called after each batch with the rows read so far.
    fn rows_read(&self, view: &OnlineView, rows: u64);

    /// Returns whether the job should stop before its next batch.
    fn is_interrupted(&self) -> bool;
}

/// Tells nobody and never stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn rows_read(&self, _: &OnlineView, _: u64) {}

    fn is_interrupted(&self) -> bool {
        false
    }
}
