//! Batch jobs: a view version and an interval, read, normalised and written (rules M1 to M4).

use std::collections::BTreeMap;
use std::path::PathBuf;

use arrow::array::RecordBatch;
use futures::StreamExt;
use lodestore_core::offline::{OfflineEngine, ScanColumns, ScanPlan};
use lodestore_core::online::windows::WindowPlan;
use lodestore_core::online::{OnlineStore, OnlineView, Watermark};
use lodestore_core::rows::{FeatureRows, TimeColumns, normalize};
use lodestore_core::time::{Clock, EventTime, Micros, Stopwatch};
use lodestore_core::{Error, ErrorKind, Result};

use crate::newest::Newest;
use crate::progress::Progress;
use crate::refused::RefusedRows;

/// Which rows a job takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    /// Event times in `(start, until]`.
    Between {
        /// Only later rows.
        start: EventTime,
        /// Only rows up to here.
        until: EventTime,
    },
    /// What has arrived since the watermark, with event times up to `until`: by created time where the
    /// source has it, else by event time less [`JobOptions::late_arrival_overlap`].
    Since {
        /// Only rows up to here.
        until: EventTime,
    },
}

impl Interval {
    /// Returns the end.
    #[must_use]
    pub fn until(self) -> EventTime {
        match self {
            Self::Between { until, .. } | Self::Since { until } => until,
        }
    }

    /// Returns what of the interval lies behind a watermark.
    #[must_use]
    pub fn beyond(self, watermark: Watermark) -> Self {
        match (self, watermark.event) {
            (Self::Between { start, until }, Some(event)) => Self::Between { start: start.max(event), until },
            _ => self,
        }
    }
}

/// Limits of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOptions {
    /// Rows are written whenever this many bytes of them have been read (rule M4).
    pub batch_bytes: usize,
    /// How far behind the watermark an incremental run of a source without created times looks for
    /// late rows.
    pub late_arrival_overlap: Micros,
    /// The job fails when more rows are refused.
    pub max_refused_rows: u64,
    /// The folder for files of refused rows; `None` to count them only.
    pub refused_folder: Option<PathBuf>,
}

impl Default for JobOptions {
    fn default() -> Self {
        Self {
            batch_bytes: 256 << 20,
            late_arrival_overlap: Micros::from_seconds(86_400),
            max_refused_rows: 10_000,
            refused_folder: None,
        }
    }
}

/// What a job did. `rows_read` is the sum of the three that follow it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The view version, as `view@3`.
    pub view: String,
    /// Only rows after this event time were taken; `None` from the beginning.
    pub start: Option<EventTime>,
    /// Only rows up to this event time were taken.
    pub until: EventTime,
    /// Rows of the interval.
    pub rows_read: u64,
    /// Rows that the store now has.
    pub rows_written: u64,
    /// Rows that lost to newer ones, stored or of the same run.
    pub rows_skipped: u64,
    /// Rows that could not be taken.
    pub rows_refused: u64,
    /// How many rows were refused for which reason.
    pub refused: BTreeMap<String, u64>,
    /// The file with the refused rows.
    pub refused_file: Option<PathBuf>,
    /// How far the view is materialised now.
    pub watermark: Watermark,
    /// How long it took.
    pub seconds: f64,
}

impl Report {
    /// Adds what a job over another part of the same version did. Name and watermark stay those of this one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.start = self.start.min(other.start);
        self.rows_read += other.rows_read;
        self.rows_written += other.rows_written;
        self.rows_skipped += other.rows_skipped;
        self.rows_refused += other.rows_refused;
        for (reason, count) in other.refused {
            *self.refused.entry(reason).or_default() += count;
        }
        self.refused_file = self.refused_file.or(other.refused_file);
        self.seconds += other.seconds;
        self
    }
}

/// A run over one view version.
#[derive(Debug, Clone)]
pub struct MaterializationJob {
    view: OnlineView,
    interval: Interval,
    options: JobOptions,
}

impl MaterializationJob {
    /// Returns a job with the default limits.
    #[must_use]
    pub fn new(view: OnlineView, interval: Interval) -> Self {
        Self { view, interval, options: JobOptions::default() }
    }

    /// Sets the limits.
    #[must_use]
    pub fn with_options(mut self, options: JobOptions) -> Self {
        self.options = options;
        self
    }

    /// Runs the job.
    ///
    /// # Behavior
    /// - The watermark moves in the same commit as the last rows. A run that is killed, interrupted or
    ///   fails leaves what was committed; run again, it ends in the same state.
    /// - A first run takes everything up to `until`, unless a start is given.
    /// - Of a view with aggregations the rows are events. Those that are older than every window reaches are not read.
    /// - Events without ids are taken exactly once, by created time where the source has it, else by event time
    ///   without an overlap. An interval has to begin at the watermark, and takes late events too; more of
    ///   them than `batch_bytes` are read and committed in several passes. An event with the created time
    ///   of the newest one so far is taken for known.
    /// - Then what no window reaches any more is removed from the store.
    ///
    /// # Errors
    /// `Invalid` for an end in the future or before the start, an interval that would take events without ids twice or
    /// leave some out, or more refused rows than the limit;
    /// `Unavailable` when it was interrupted; else what the engine or the store says.
    pub async fn run(
        &self,
        engine: &dyn OfflineEngine,
        store: &dyn OnlineStore,
        clock: &dyn Clock,
        progress: &dyn Progress,
    ) -> Result<Report> {
        let stopwatch = Stopwatch::start();
        let now = clock.now();
        self.check(now)?;
        let before = store.watermark(&self.view).await?;
        let scan = self.scan(before, now)?;
        let mut run = Run::new(self, store, clock, now);
        let version = &self.view.version;
        let watermark = if version.definition.is_aggregated() && version.event_id.is_none() {
            run.take_once(engine, &scan, before, progress).await?
        } else {
            run.take_all(engine, &scan, before, progress).await?
        };
        if version.definition.is_aggregated() {
            store.collect(&self.view, clock.now()).await?;
        }
        Ok(Report {
            view: self.view.version.reference().to_string(),
            start: scan.after,
            until: self.interval.until(),
            rows_read: run.rows_read,
            rows_written: run.rows_written,
            rows_skipped: run.rows_skipped,
            rows_refused: run.refused.count,
            refused_file: run.refused.path().map(PathBuf::from),
            refused: run.refused.reasons,
            watermark,
            seconds: stopwatch.elapsed().as_secs_f64(),
        })
    }

    fn check(&self, now: EventTime) -> Result<()> {
        let until = self.interval.until();
        if until > now {
            return Err(Error::invalid(format!(
                "the end {until} lies in the future (now is {now}); rows up to it may still arrive"
            )));
        }
        if let Interval::Between { start, until } = self.interval
            && start >= until
        {
            return Err(Error::invalid(format!("the start {start} is not before the end {until}")));
        }
        Ok(())
    }

    pub(crate) fn view(&self) -> &OnlineView {
        &self.view
    }

    pub(crate) fn interval(&self) -> Interval {
        self.interval
    }

    pub(crate) fn options(&self) -> &JobOptions {
        &self.options
    }

    fn scan(&self, watermark: Watermark, now: EventTime) -> Result<ScanPlan> {
        let (after, created_since) = match self.interval {
            Interval::Between { start, .. } => (Some(start), None),
            // While no row with a created time was taken, every such row is one that has arrived since.
            Interval::Since { .. } if TimeColumns::of(&self.view.version).created.is_some() => {
                (watermark.event, Some(watermark.created.unwrap_or(EventTime::MIN)))
            }
            Interval::Since { .. } => {
                (watermark.event.map(|event| event.minus(self.options.late_arrival_overlap)), None)
            }
        };
        let is_aggregated = self.view.version.definition.is_aggregated();
        let reach = if is_aggregated { WindowPlan::new(&self.view.version)?.reach() } else { None };
        Ok(ScanPlan {
            view: self.view.version.clone(),
            after: after.max(reach.map(|reach| now.minus(reach))),
            until: Some(self.interval.until()),
            created_since,
            columns: ScanColumns::All,
        })
    }

    /// Returns the watermark after the run. A run over an interval that leaves a gap behind the old
    /// watermark does not move it, and only a run that looked for late rows moves the created time.
    fn watermark(&self, before: Watermark, newest_created: Option<EventTime>) -> Watermark {
        let until = Some(self.interval.until());
        match self.interval {
            Interval::Between { start, .. } if before.event.is_some_and(|event| start > event) => before,
            Interval::Between { .. } if before.event.is_some() => {
                Watermark { event: before.event.max(until), created: before.created }
            }
            _ => Watermark { event: before.event.max(until), created: before.created.max(newest_created) },
        }
    }

    fn refused_file(&self) -> Option<PathBuf> {
        let folder = self.options.refused_folder.as_ref()?;
        let until = self.interval.until().to_string().replace(':', "");
        Some(folder.join(format!("{}-{}-{until}.jsonl", self.view.project, self.view.version.reference())))
    }
}

/// Whether refused rows were reported before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusals {
    Reported,
    Known,
}

/// The state of a run.
pub(crate) struct Run<'a> {
    pub(crate) job: &'a MaterializationJob,
    store: &'a dyn OnlineStore,
    clock: &'a dyn Clock,
    times: TimeColumns,
    /// What rows of a timeless source without created times are stamped with, so that a later run's
    /// rows win over this one's.
    recorded: Option<EventTime>,
    /// Rows that lose to newer ones need not be written; events all count.
    newest: Option<Newest>,
    pending: Vec<FeatureRows>,
    pending_bytes: usize,
    pub(crate) refused: RefusedRows,
    pub(crate) rows_read: u64,
    rows_written: u64,
    rows_skipped: u64,
    newest_created: Option<EventTime>,
}

impl<'a> Run<'a> {
    fn new(job: &'a MaterializationJob, store: &'a dyn OnlineStore, clock: &'a dyn Clock, now: EventTime) -> Self {
        let times = TimeColumns::of(&job.view.version);
        let recorded = (times.event.is_none() && times.created.is_none()).then_some(now);
        Self {
            job,
            store,
            clock,
            times,
            recorded,
            newest: (!job.view.version.definition.is_aggregated())
                .then(|| Newest::new(job.view.version.availability_delay(), now, job.options.batch_bytes / 4)),
            pending: Vec::new(),
            pending_bytes: 0,
            refused: RefusedRows::new(job.refused_file()),
            rows_read: 0,
            rows_written: 0,
            rows_skipped: 0,
            newest_created: None,
        }
    }

    /// Returns whether the source says when its rows were recorded.
    pub(crate) fn has_created(&self) -> bool {
        self.times.created.is_some()
    }

    /// Takes the rows of a scan, in several writes if they are many; returns the new watermark.
    async fn take_all(
        &mut self,
        engine: &dyn OfflineEngine,
        scan: &ScanPlan,
        before: Watermark,
        progress: &dyn Progress,
    ) -> Result<Watermark> {
        let mut batches = engine.scan(scan).await?.batches;
        while let Some(batch) = batches.next().await {
            if progress.is_interrupted() {
                return Err(self.interrupted());
            }
            self.take(&batch?).await?;
            progress.rows_read(&self.job.view, self.rows_read);
        }
        let watermark = self.job.watermark(before, self.newest_created);
        self.refused.finish()?;
        self.write(Some(watermark)).await?;
        Ok(watermark)
    }

    async fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows_read += batch.num_rows() as u64;
        let rows = self.normalized(batch, Refusals::Reported)?;
        if self.times.created.is_some() {
            let created = rows.stamps().iter().map(|stamp| stamp.created).filter(|&c| c != EventTime::MIN).max();
            self.newest_created = self.newest_created.max(created);
        }
        let (rows, lost) = match &mut self.newest {
            Some(newest) => newest.candidates(rows)?,
            None => (rows, 0),
        };
        self.rows_skipped += lost;
        self.pending_bytes += rows.memory_size();
        self.pending.push(rows);
        if self.pending_bytes >= self.job.options.batch_bytes {
            self.write(None).await?;
        }
        Ok(())
    }

    /// Returns the rows of a batch that can be taken.
    pub(crate) fn normalized(&mut self, batch: &RecordBatch, refusals: Refusals) -> Result<FeatureRows> {
        if batch.num_rows() == 0 {
            return Ok(FeatureRows::none());
        }
        let normalized = normalize(&self.job.view.version, &self.times, batch)?;
        if refusals == Refusals::Reported {
            self.refused.add(batch, &normalized.refused)?;
        }
        if self.refused.count > self.job.options.max_refused_rows {
            return Err(self.too_many_refused());
        }
        Ok(match self.recorded {
            Some(now) => normalized.rows.created_at(now),
            None => normalized.rows,
        })
    }

    async fn write(&mut self, watermark: Option<Watermark>) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        self.put(pending, watermark).await
    }

    pub(crate) async fn put(&mut self, mut rows: Vec<FeatureRows>, watermark: Option<Watermark>) -> Result<()> {
        rows.retain(|rows| !rows.is_empty());
        let all = if rows.is_empty() { FeatureRows::none() } else { FeatureRows::concat(&rows)? };
        drop(rows);
        let written = self.store.write(&self.job.view, &all, self.clock.now(), watermark).await?;
        self.rows_written += written.written;
        self.rows_skipped += written.skipped;
        Ok(())
    }

    pub(crate) fn interrupted(&self) -> Error {
        Error::unavailable(format!(
            "materializing view '{}' was interrupted after {} rows; what was committed stays, and running it again goes on",
            self.job.view.version.reference(),
            self.rows_read
        ))
    }

    fn too_many_refused(&self) -> Error {
        let reasons: Vec<_> =
            self.refused.reasons.iter().map(|(reason, count)| format!("{count} x {reason}")).collect();
        let kept = self.refused.path().map_or_else(String::new, |path| format!("; they are in '{}'", path.display()));
        Error::new(
            ErrorKind::Invalid,
            format!(
                "more than {} rows of view '{}' were refused: {}{kept}; the watermark did not move \
                 (setting: materialization.max_refused_rows)",
                self.job.options.max_refused_rows,
                self.job.view.version.reference(),
                reasons.join("; ")
            ),
        )
    }
}
