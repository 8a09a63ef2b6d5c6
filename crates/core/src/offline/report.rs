//! What a historical retrieval does, told while it runs.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;

use super::BatchStream;
use crate::error::Error;
use crate::time::Stopwatch;

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
    views: Mutex<Vec<RunningView>>,
    peak_memory: AtomicU64,
    rows_answered: AtomicU64,
    cancelled: AtomicBool,
}

/// A view, and since when it is told of.
#[derive(Debug)]
struct RunningView {
    told: ViewReport,
    since: Stopwatch,
}

impl RunReport {
    /// Changes what is told of the view at a place of the plan's views.
    pub fn update(&self, view: usize, change: impl FnOnce(&mut ViewReport)) {
        let mut views = self.running();
        if views.len() <= view {
            views.resize_with(view + 1, || RunningView { told: ViewReport::default(), since: Stopwatch::start() });
        }
        change(&mut views[view].told);
    }

    /// Returns what each view took so far, in the order of the plan's views.
    #[must_use]
    pub fn views(&self) -> Vec<ViewReport> {
        self.running().iter().map(|view| view.told.clone()).collect()
    }

    /// Returns a line, for people, on what the run does now; `None` before it does anything.
    #[must_use]
    pub fn progress(&self) -> Option<String> {
        match self.rows_answered() {
            0 => self.running().last().and_then(|view| view.told.progress(view.since.elapsed())),
            rows => Some(format!("{} questions answered", Count(rows))),
        }
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

    /// Returns the answer as a stream that ends with an error once the run was asked to stop, even where
    /// everything is computed already.
    #[must_use]
    pub fn until_cancelled(self: &Arc<Self>, answer: BatchStream) -> BatchStream {
        let report = Arc::clone(self);
        let checked = move |batch| {
            if report.is_cancelled() { Err(Error::unavailable("the retrieval was interrupted")) } else { batch }
        };
        BatchStream { schema: answer.schema, batches: answer.batches.map(checked).boxed() }
    }

    fn running(&self) -> MutexGuard<'_, Vec<RunningView>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for view in self.views() {
            writeln!(f, "{view}")?;
        }
        write!(f, "{} questions answered, peak memory {}", Count(self.rows_answered()), Bytes(self.peak_memory()))
    }
}

impl ViewReport {
    /// Returns a line on what is done now, after so much time.
    fn progress(&self, elapsed: Duration) -> Option<String> {
        let name = if self.view.is_empty() { return None } else { &self.view };
        if self.rows_fetched > 0 {
            return Some(format!("{name}: fetch of {} rows", Count(self.rows_fetched)));
        }
        if self.rows_scanned == 0 {
            return Some(format!("{name}: open"));
        }
        let per_second = self.rows_scanned as f64 / elapsed.as_secs_f64().max(0.001);
        // With several parts the table is scanned as often, and what is expected grows with each scan.
        let scanned = match (self.rows_scanned * 100).checked_div(self.rows_expected) {
            Some(percent) if self.parts <= 1 => format!("{} % of {}", percent.min(100), Count(self.rows_expected)),
            _ => Count(self.rows_scanned).to_string(),
        };
        Some(format!("{name}: scan {scanned} rows, {:.1} M rows/s", per_second / 1e6))
    }
}

impl fmt::Display for ViewReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.view, self.strategy, self.reason)?;
        let mut line = |label: &str, text: fmt::Arguments<'_>| write!(f, "\n  {label:<12}{text}");
        let (read, pruned) = (Count(self.files_read), Count(self.files_pruned));
        if self.files_read + self.files_pruned > 0 {
            line("files", format_args!("{read} read, {pruned} pruned"))?;
        }
        let (read, pruned) = (Count(self.row_groups_read), Count(self.row_groups_pruned));
        if self.row_groups_read + self.row_groups_pruned > 0 {
            line("row groups", format_args!("{read} read, {pruned} pruned"))?;
        }
        line("bytes", format_args!("{} read, {} spilled", Bytes(self.bytes_read), Bytes(self.bytes_spilled)))?;
        let (scanned, matched) = (Count(self.rows_scanned), Count(self.rows_matched));
        let (decoded, fetched) = (Count(self.rows_decoded), Count(self.rows_fetched));
        line("rows", format_args!("{scanned} scanned, {matched} matched, {decoded} decoded, {fetched} fetched"))?;
        line("parts", format_args!("{}", self.parts))?;
        let (open, index) = (Time(self.open_time), Time(self.index_time));
        let (scan, fetch) = (Time(self.scan_time), Time(self.fetch_time));
        line("time", format_args!("open {open}, index {index}, scan {scan}, fetch {fetch}"))
    }
}

/// Shows a count in groups of three digits.
struct Count(u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (place, digit) in digits.chars().enumerate() {
            let separator = if place > 0 && (digits.len() - place).is_multiple_of(3) { "," } else { "" };
            write!(f, "{separator}{digit}")?;
        }
        Ok(())
    }
}

/// Shows a length of time in milliseconds, or in seconds where it is one at least.
struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        if seconds < 1.0 { write!(f, "{:.1} ms", seconds * 1e3) } else { write!(f, "{seconds:.2} s") }
    }
}

/// Shows a number of bytes with a fitting unit.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        match self.0 {
            0..1_000 => write!(f, "{} B", self.0),
            1_000..1_000_000 => write!(f, "{:.1} kB", bytes / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.1} MB", bytes / 1e6),
            _ => write!(f, "{:.2} GB", bytes / 1e9),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;

    fn scanned() -> RunReport {
        let report = RunReport::default();
        report.update(0, |view| {
            *view = ViewReport {
                view: "driver_stats@1".into(),
                strategy: "one pass over keys and times".into(),
                reason: "20 questions".into(),
                files_read: 3,
                files_pruned: 1_200,
                row_groups_read: 18,
                rows_expected: 10_000_000,
                rows_scanned: 4_567_890,
                rows_matched: 999,
                bytes_read: 48_250_000,
                parts: 1,
                scan_time: Duration::from_millis(1_240),
                ..ViewReport::default()
            };
        });
        report
    }

    #[test]
    fn a_report_is_aligned_and_leaves_out_what_there_is_none_of() {
        let report = scanned();
        report.update(1, |view| {
            view.view = "frame@1".into();
            view.strategy = "rows in memory".into();
            view.reason = "9 rows".into();
        });
        report.answered(20);
        report.memory_held(1_250_000_000);
        let expected = "\
driver_stats@1: one pass over keys and times (20 questions)
  files       3 read, 1,200 pruned
  row groups  18 read, 0 pruned
  bytes       48.2 MB read, 0 B spilled
  rows        4,567,890 scanned, 999 matched, 0 decoded, 0 fetched
  parts       1
  time        open 0.0 ms, index 0.0 ms, scan 1.24 s, fetch 0.0 ms
frame@1: rows in memory (9 rows)
  bytes       0 B read, 0 B spilled
  rows        0 scanned, 0 matched, 0 decoded, 0 fetched
  parts       0
  time        open 0.0 ms, index 0.0 ms, scan 0.0 ms, fetch 0.0 ms
20 questions answered, peak memory 1.25 GB";
        assert_eq!(report.to_string(), expected);
    }

    #[test]
    fn progress_tells_the_present_stage() {
        let line = |change: fn(&mut ViewReport)| {
            let report = scanned();
            report.update(0, change);
            let told = report.views()[0].progress(Duration::from_secs(2));
            told.unwrap_or_default()
        };
        assert_eq!(line(|_| ()), "driver_stats@1: scan 45 % of 10,000,000 rows, 2.3 M rows/s");
        assert_eq!(line(|view| view.parts = 4), "driver_stats@1: scan 4,567,890 rows, 2.3 M rows/s");
        assert_eq!(line(|view| view.rows_expected = 0), "driver_stats@1: scan 4,567,890 rows, 2.3 M rows/s");
        assert_eq!(line(|view| view.rows_scanned = 0), "driver_stats@1: open");
        assert_eq!(line(|view| view.rows_fetched = 1_000), "driver_stats@1: fetch of 1,000 rows");
        assert_eq!(RunReport::default().progress(), None);
        let answering = scanned();
        answering.answered(8_192);
        assert_eq!(answering.progress().as_deref(), Some("8,192 questions answered"));
    }

    #[test]
    fn a_cancelled_run_answers_no_more() -> Result<()> {
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        let batch = arrow::array::RecordBatch::new_empty(Arc::clone(&schema));
        let batches = futures::stream::iter([Ok(batch.clone()), Ok(batch)]).boxed();
        let report = Arc::new(RunReport::default());
        let mut answer = report.until_cancelled(BatchStream { schema, batches });
        assert!(futures::executor::block_on(answer.batches.next()).transpose()?.is_some());
        report.cancel();
        let next = futures::executor::block_on(answer.batches.next());
        assert!(next.is_some_and(|batch| batch.is_err()));
        Ok(())
    }
}
