//! What a historical retrieval does, told while it runs.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What the answers to the questions of one view took so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ViewReport {
    /// The view, with its version.
    pub view: String,
    /// How it is answered.
    pub strategy: String,
    /// Why in this way.
    pub reason: String,
    /// Files of the table that are read.
    pub files_read: u64,
    /// Files that statistics or partition values ruled out.
    pub files_pruned: u64,
    /// Row groups that are read.
    pub row_groups_read: u64,
    /// Row groups that statistics ruled out.
    pub row_groups_pruned: u64,
    /// Rows that are to be scanned, as far as that is known beforehand.
    pub rows_expected: u64,
    /// Rows whose key and times were read.
    pub rows_scanned: u64,
    /// Rows that were candidates for some question.
    pub rows_matched: u64,
    /// Rows whose features were decoded to fetch those of winners.
    pub rows_decoded: u64,
    /// Distinct rows that answer a question.
    pub rows_fetched: u64,
    /// Compressed bytes that were read.
    pub bytes_read: u64,
    /// Bytes that were written to spill files.
    pub bytes_spilled: u64,
    /// How many parts the questions were split into.
    pub parts: u64,
    /// Time to open the table and to choose what is read.
    pub open_time: Duration,
    /// Time to group the questions by key and time.
    pub index_time: Duration,
    /// Time of the pass over keys and times.
    pub scan_time: Duration,
    /// Time to fetch the features of the winners.
    pub fetch_time: Duration,
}

/// Tells how a historical retrieval goes: written by the engine that runs it, read by whoever waits.
#[derive(Debug, Default)]
pub struct RunReport {
    views: Mutex<Vec<ViewReport>>,
    peak_memory: AtomicU64,
    rows_answered: AtomicU64,
    cancelled: AtomicBool,
}

impl RunReport {
    /// Changes what is told of the view at a place of the plan's views.
    pub fn update(&self, view: usize, change: impl FnOnce(&mut ViewReport)) {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        if views.len() <= view {
            views.resize(view + 1, ViewReport::default());
        }
        change(&mut views[view]);
    }

    /// Returns what each view took so far, in the order of the plan's views.
    #[must_use]
    pub fn views(&self) -> Vec<ViewReport> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes how many bytes the engine holds.
    pub fn memory_held(&self, bytes: u64) {
        self.peak_memory.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Returns the most bytes that the engine held at a time, as far as it accounts for them.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        self.peak_memory.load(Ordering::Relaxed)
    }

    /// Notes that so many more questions were answered.
    pub fn answered(&self, rows: u64) {
        self.rows_answered.fetch_add(rows, Ordering::Relaxed);
    }

    /// Returns how many questions were answered.
    #[must_use]
    pub fn rows_answered(&self) -> u64 {
        self.rows_answered.load(Ordering::Relaxed)
    }

    /// Asks the run to stop; it ends with an error soon after.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Returns whether the run was asked to stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for view in self.views() {
            writeln!(f, "{view}")?;
        }
        write!(f, "answered {} questions, peak memory {}", self.rows_answered(), Bytes(self.peak_memory()))
    }
}

impl fmt::Display for ViewReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} ({})", self.view, self.strategy, self.reason)?;
        writeln!(
            f,
            "  files: {} read, {} pruned; row groups: {} read, {} pruned; {} read",
            self.files_read,
            self.files_pruned,
            self.row_groups_read,
            self.row_groups_pruned,
            Bytes(self.bytes_read)
        )?;
        writeln!(
            f,
            "  rows: {} scanned, {} matched, {} decoded, {} fetched; parts: {}; spilled {}",
            self.rows_scanned,
            self.rows_matched,
            self.rows_decoded,
            self.rows_fetched,
            self.parts,
            Bytes(self.bytes_spilled)
        )?;
        write!(
            f,
            "  time: open {:.1?}, index {:.1?}, scan {:.1?}, fetch {:.1?}",
            self.open_time, self.index_time, self.scan_time, self.fetch_time
        )
    }
}

/// Shows a number of bytes with a fitting unit.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes < 10_000 => write!(f, "{bytes} B"),
            bytes if bytes < 10_000_000 => write!(f, "{} kB", bytes / 1_000),
            bytes => write!(f, "{} MB", bytes / 1_000_000),
        }
    }
}
