//! A view, its table, a store and a clock. Times are microseconds.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::executor::block_on;
use futures::{StreamExt, stream};
use lodestore_core::Result;
use lodestore_core::definition::TableRef;
use lodestore_core::offline::{
    BatchStream, HistoricalPlan, MemoryEngine, OfflineEngine, RunReport, ScanPlan, WriteTarget, Written,
};
use lodestore_core::online::{FeatureStatus, MemoryOnlineStore, OnlineStore, OnlineView, Watermark, WriteReport};
use lodestore_core::rows::{TimeColumns, keys_of, normalize};
use lodestore_core::time::{EventTime, ManualClock, Micros};
use lodestore_materialize::{Interval, JobOptions, MaterializationJob, Progress, Report, Silent};
use lodestore_testkit::Failed;
use lodestore_testkit::fixture::{definitions, online_view};
use lodestore_testkit::oracle::{Value, read};

/// The path of the one table.
pub(crate) const PATH: &str = "s.parquet";

/// An engine in memory whose scans come in batches of a few rows.
#[derive(Debug)]
pub(crate) struct Batched {
    pub(crate) memory: MemoryEngine,
    pub(crate) rows: usize,
}

#[async_trait]
impl OfflineEngine for Batched {
    async fn schema(&self, table: &TableRef) -> Result<SchemaRef> {
        self.memory.schema(table).await
    }

    async fn historical(
        &self,
        plan: &HistoricalPlan,
        questions: Vec<RecordBatch>,
        report: &Arc<RunReport>,
    ) -> Result<BatchStream> {
        self.memory.historical(plan, questions, report).await
    }

    async fn scan(&self, plan: &ScanPlan) -> Result<BatchStream> {
        let BatchStream { schema, mut batches } = self.memory.scan(plan).await?;
        let mut cut = Vec::new();
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let starts = (0..batch.num_rows()).step_by(self.rows);
            cut.extend(starts.map(|start| Ok(batch.slice(start, self.rows.min(batch.num_rows() - start)))));
        }
        Ok(BatchStream { schema, batches: stream::iter(cut).boxed() })
    }

    async fn explain(&self, plan: &HistoricalPlan, questions: &[RecordBatch]) -> Result<String> {
        self.memory.explain(plan, questions).await
    }

    async fn fingerprint(&self, table: &TableRef) -> Result<String> {
        self.memory.fingerprint(table).await
    }

    async fn query(&self, sql: &str, tables: &[(String, TableRef)]) -> Result<BatchStream> {
        self.memory.query(sql, tables).await
    }

    async fn write(&self, answer: BatchStream, target: &WriteTarget) -> Result<Written> {
        self.memory.write(answer, target).await
    }

    fn keep_frame(&self, source: &str, schema: SchemaRef, rows: Vec<RecordBatch>) {
        self.memory.keep_frame(source, schema, rows);
    }
}

/// Stops a job before the batch after the first `batches`.
#[derive(Debug)]
pub(crate) struct StopAfter {
    pub(crate) batches: usize,
    pub(crate) heard: std::sync::atomic::AtomicUsize,
}

impl StopAfter {
    pub(crate) fn batches(batches: usize) -> Self {
        Self { batches, heard: 0.into() }
    }
}

impl Progress for StopAfter {
    fn rows_read(&self, _: &OnlineView, _: u64) {
        self.heard.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    fn is_interrupted(&self) -> bool {
        self.heard.load(std::sync::atomic::Ordering::Relaxed) >= self.batches
    }
}

/// A row: key, event time, created time (0 for none), value. A negative key is null, as is a negative event time.
pub(crate) type Row = (i64, i64, i64, i64);

pub(crate) fn us(micros: i64) -> EventTime {
    EventTime::from_micros(micros)
}

pub(crate) fn between(start: i64, until: i64) -> Interval {
    Interval::Between { start: us(start), until: us(until) }
}

pub(crate) fn since(until: i64) -> Interval {
    Interval::Since { until: us(until) }
}

/// Returns rows with the columns `user_id`, `at`, `created`, `a` and `b`, the text of `a`.
pub(crate) fn rows(rows: &[Row]) -> RecordBatch {
    let times = |time: fn(&Row) -> Option<i64>| -> ArrayRef {
        Arc::new(rows.iter().map(time).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    };
    let keys: Int64Array = rows.iter().map(|row| (row.0 >= 0).then_some(row.0)).collect();
    let a = Int64Array::from_iter_values(rows.iter().map(|row| row.3));
    let b = StringArray::from_iter_values(rows.iter().map(|row| row.3.to_string()));
    let columns: [(&str, ArrayRef); 5] = [
        ("user_id", Arc::new(keys)),
        ("at", times(|row| (row.1 >= 0).then_some(row.1))),
        ("created", times(|row| (row.2 != 0).then_some(row.2))),
        ("a", Arc::new(a)),
        ("b", Arc::new(b)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap()
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) view: OnlineView,
    pub(crate) engine: Batched,
    pub(crate) store: MemoryOnlineStore,
    pub(crate) clock: ManualClock,
    pub(crate) options: JobOptions,
}

/// What is seen of a store: for each moment the answer of each key, and the watermark.
pub(crate) type State = (Vec<Vec<Option<i64>>>, Watermark);

impl World {
    /// Returns a view of `a: int64` and `b: string` over a source with these time settings.
    pub(crate) fn new(times: &str, table: &[Row]) -> std::result::Result<Self, Failed> {
        let comma = if times.is_empty() { "" } else { ", " };
        let definitions = definitions(&format!(
            "entities: [{{name: user, join_keys: [{{name: user_id, type: int64}}]}}]
data_sources: [{{name: s, type: file, path: {PATH}{comma}{times}}}]
feature_views: [{{name: v, entities: [user], source: s, schema: [{{name: a, type: int64}}, {{name: b, type: string}}]}}]"
        ))?;
        let world = Self {
            view: online_view(&definitions, "v", "job")?,
            engine: Batched { memory: MemoryEngine::new(), rows: 2 },
            store: MemoryOnlineStore::new(),
            clock: ManualClock::new(us(1_000)),
            options: JobOptions { late_arrival_overlap: Micros::new(20)?, ..JobOptions::default() },
        };
        world.put(table);
        Ok(world)
    }

    /// Replaces the table.
    pub(crate) fn put(&self, table: &[Row]) {
        self.engine.memory.put(PATH, rows(table));
    }

    pub(crate) fn run(&self, interval: Interval) -> Result<Report> {
        self.run_with(interval, &Silent)
    }

    pub(crate) fn run_with(&self, interval: Interval, progress: &dyn Progress) -> Result<Report> {
        let job = MaterializationJob::new(self.view.clone(), interval).with_options(self.options.clone());
        let report = block_on(job.run(&self.engine, &self.store, &self.clock, progress))?;
        assert_eq!(report.rows_read, report.rows_written + report.rows_skipped + report.rows_refused, "M3: {report:?}");
        assert_eq!(report.refused.values().sum::<u64>(), report.rows_refused, "M3: {report:?}");
        assert_eq!(report.watermark, self.watermark());
        Ok(report)
    }

    /// Writes rows as a push does.
    pub(crate) fn push(&self, pushed: &[Row]) -> Result<WriteReport> {
        let rows = normalize(&self.view.version, &TimeColumns::of(&self.view.version), &rows(pushed))?.rows;
        block_on(self.store.write(&self.view, &rows, us(1_000), None))
    }

    pub(crate) fn watermark(&self) -> Watermark {
        block_on(self.store.watermark(&self.view)).unwrap()
    }

    /// Returns `a` of each key at a moment, `None` where it is not there. `b` is checked to be its text.
    pub(crate) fn read(&self, keys: &[i64], at: i64) -> std::result::Result<Vec<Option<i64>>, Failed> {
        let asked: Vec<Row> = keys.iter().map(|&key| (key, 0, 0, 0)).collect();
        let keys = keys_of(&self.view.version, &rows(&asked))?;
        let columns = block_on(self.store.read(&self.view, &keys, &[0, 1], us(at)))?;
        let values = |place: usize| read(&columns[place].values, &self.view.version.features[place].feature_type);
        let answers = values(0)?.into_iter().zip(values(1)?).zip(&columns[0].statuses);
        let answer = answers.map(|((a, b), status)| match (a, b, status) {
            (Value::Int64(a), Value::Text(b), FeatureStatus::Present) if b == a.to_string() => Some(a),
            (Value::Null, Value::Null, FeatureStatus::NotFound) => None,
            other => panic!("{other:?} is no whole row"),
        });
        Ok(answer.collect())
    }

    /// Returns everything that can be seen of the store: answers at many moments, and the watermark.
    pub(crate) fn state(&self) -> std::result::Result<State, Failed> {
        let moments = (1_000..1_010).chain([2_000, i64::MAX - 1]);
        let answers = moments.map(|at| self.read(&(0..10).collect::<Vec<_>>(), at));
        Ok((answers.collect::<std::result::Result<_, Failed>>()?, self.watermark()))
    }
}
