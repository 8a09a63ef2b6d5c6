//! Rule M2 with real files: processes that materialise are killed at random instants; every online row is
//! whole, no watermark runs ahead of its rows, and the end is that of a store that was never killed.
//!
//! The test runs its own program again as the process to be killed.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test may end like this, and tell why")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::Int64Type;
use futures::{StreamExt, stream};
use lodestore::core::document::Document;
use lodestore::core::offline::BatchStream;
use lodestore::core::online::{FeatureStatus, Watermark};
use lodestore::core::request::ColumnNames;
use lodestore::core::time::{EventTime, Micros};
use lodestore::{Defaults, FeatureStore, Features, Interval, OpenOptions, PlanOptions, Silent, write_frame};
use lodestore_testkit::generate::Rng;
use lodestore_testkit::{Arguments, Failed, Outcome, Trial, check, check_eq, run};

/// The variable that tells a process that it is there to be killed, and in which folder.
const CHILD: &str = "LODESTORE_CRASH_CHILD";
const KILLS: usize = 25;
const ROWS: i64 = 200_000;
const KEYS: i64 = 2_000;
/// How many runs take a store through all rows.
const RUNS: i64 = 200;
const SETTINGS: &str = "
project: crash
materialization: {batch_bytes: 65536, late_arrival_overlap: 1s}
";

/// The moment of row 0; each row is a second after the one before.
fn at(row: i64) -> EventTime {
    EventTime::from_micros(1_700_000_000_000_000 + row * 1_000_000)
}

fn main() {
    if let Some(folder) = std::env::var_os(CHILD) {
        let error = block_on(materialize_for_ever(Path::new(&folder))).unwrap_err();
        eprintln!("{}", error.message().unwrap_or_default());
        std::process::exit(1);
    }
    let trial = Trial::test("m2_killed_at_any_instant_it_ends_in_the_same_state", || block_on(kill_and_compare()));
    run(&Arguments::from_args(), vec![trial]).exit();
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(work)
}

async fn kill_and_compare() -> Outcome {
    let (killed, spared) = (repository().await?, repository().await?);
    let mut rng = Rng::new(25);
    let mut before = None;
    for kill in 0..KILLS {
        let mut child = Running::start(killed.path())?;
        std::thread::sleep(Duration::from_millis(rng.between(30, 500) as u64));
        child.kill()?;
        let store = open(killed.path())?;
        let (state, watermark) = observe(&store).await.map_err(|e| format!("kill {kill}: {}", text(&e)))?;
        check_ahead(&state, watermark).map_err(|e| format!("kill {kill}: {}", text(&e)))?;
        check!(watermark.event >= before, "kill {kill}: the watermark went back from {before:?} to {watermark:?}");
        before = watermark.event;
    }
    check!(before.is_some(), "no process lived long enough to commit a run");
    let (found, expected) = (open(killed.path())?, open(spared.path())?);
    for store in [&found, &expected] {
        apply(store, "the end").await?;
        materialize(store, at(ROWS)).await?;
    }
    let (found, expected) = (observe(&found).await?, observe(&expected).await?);
    check_eq!(expected.1.event, Some(at(ROWS)), "the watermark of the store that was never killed");
    check!(expected.0.iter().enumerate().all(|(key, row)| *row == Some(ROWS - KEYS + key as i64)), "its rows");
    check_eq!(found, expected, "the store whose writers were killed");
    Ok(())
}

fn text(failed: &Failed) -> &str {
    failed.message().unwrap_or_default()
}

/// A process that is killed, whatever becomes of the test.
struct Running(Child);

impl Running {
    fn start(folder: &Path) -> Result<Self, Failed> {
        let program = std::env::current_exe()?;
        Ok(Self(Command::new(program).env(CHILD, folder).stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?))
    }

    /// Kills the process, which must not have ended by itself.
    fn kill(&mut self) -> Outcome {
        if let Some(status) = self.0.try_wait()? {
            let mut errors = String::new();
            self.0.stderr.take().map(|mut pipe| std::io::Read::read_to_string(&mut pipe, &mut errors)).transpose()?;
            return Err(format!("the process ended by itself, {status}: {errors}").into());
        }
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn materialize_for_ever(folder: &Path) -> Outcome {
    let store = open(folder)?;
    for step in 0_u64.. {
        apply(&store, &format!("step {step} of process {}", std::process::id())).await?;
        let done = store.watermark(view(&store).await?).await?.event.unwrap_or(at(-1));
        let next = done.plus(Micros::new(ROWS / RUNS * 1_000_000)?);
        materialize(&store, next.min(at(ROWS))).await?;
    }
    Ok(())
}

async fn materialize(store: &FeatureStore, until: EventTime) -> Outcome {
    let report = store.materialize(view(store).await?, Interval::Since { until }, &Silent).await?;
    check_eq!(report.rows_read, report.rows_written + report.rows_skipped, "M3: rows written and skipped");
    Ok(())
}

async fn view(store: &FeatureStore) -> Result<Arc<lodestore::core::definition::ViewVersion>, Failed> {
    Ok(store.feature_view(&"v".parse()?).await?)
}

async fn apply(store: &FeatureStore, description: &str) -> Outcome {
    let yaml = format!(
        "version: 1
entities: [{{name: user, join_keys: [{{name: user_id, type: int64}}]}}]
data_sources: [{{name: s, type: file, path: rows.parquet, timestamp_field: at}}]
feature_views:
  - name: v
    entities: [user]
    source: s
    description: {description}
    schema: [{{name: row, type: int64}}, {{name: double, type: int64}}, {{name: words, type: string}}]
"
    );
    let wanted = Document::parse_yaml(&yaml, "features.yaml")?.into_definitions()?;
    let change = store.plan(wanted, PlanOptions::default()).await?;
    store.apply(&change.plan).await?;
    Ok(())
}

fn open(folder: &Path) -> Result<FeatureStore, Failed> {
    Ok(FeatureStore::open(&OpenOptions { now: Some(at(ROWS)), ..OpenOptions::in_folder(folder) })?)
}

/// Returns a repository with its settings and the file of all rows: row i is of key i modulo the keys.
async fn repository() -> Result<tempfile::TempDir, Failed> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("feature_store.yaml"), SETTINGS)?;
    let rows: Vec<i64> = (0..ROWS).collect();
    let times = rows.iter().map(|&row| at(row).as_micros());
    let columns: [(&str, ArrayRef); 5] = [
        ("user_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row % KEYS)))),
        ("at", Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))),
        ("row", Arc::new(Int64Array::from_iter_values(rows.iter().copied()))),
        ("double", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| 2 * row)))),
        ("words", Arc::new(StringArray::from_iter_values(rows.iter().map(|row| words(*row))))),
    ];
    let batch = RecordBatch::try_from_iter(columns)?;
    let stream = BatchStream { schema: batch.schema(), batches: stream::iter([Ok(batch)]).boxed() };
    let path: PathBuf = folder.path().join("rows.parquet");
    write_frame(stream, &path).await?;
    Ok(folder)
}

fn words(row: i64) -> String {
    format!("row {row} ").repeat(1 + row as usize % 5)
}

/// What is seen of a store: for each key the number of its row, and the watermark.
type State = (Vec<Option<i64>>, Watermark);

/// Reads every key; each row must be whole, and of its key.
async fn observe(store: &FeatureStore) -> Result<State, Failed> {
    if store.snapshot().await?.views.is_empty() {
        return Ok((vec![None; KEYS as usize], Watermark::default()));
    }
    let features = Features::parse(&["v:row", "v:double", "v:words"])?;
    let plan = store.new_online_plan(&features, ColumnNames::Feature).await?;
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(0..KEYS));
    let keys = RecordBatch::try_from_iter([("user_id", keys)])?;
    let answer = store.online_features(&plan, keys, Defaults::None).await?;
    let (row, double, all_words) = (answer.column(0)?, answer.column(1)?, answer.column(2)?);
    let (rows, doubles) = (row.values.as_primitive::<Int64Type>(), double.values.as_primitive::<Int64Type>());
    let all_words = all_words.values.as_string::<i32>();
    let mut state = Vec::new();
    for key in 0..KEYS as usize {
        if row.statuses[key] == FeatureStatus::NotFound {
            check_eq!(double.statuses[key], FeatureStatus::NotFound, "half a row for key {key}");
            state.push(None);
            continue;
        }
        let number = rows.value(key);
        let found = (doubles.value(key), all_words.value(key), row.event_times[key], number % KEYS);
        check_eq!(found, (2 * number, words(number).as_str(), Some(at(number)), key as i64), "half a row");
        state.push(Some(number));
    }
    Ok((state, store.watermark(view(store).await?).await?))
}

/// Checks that every row up to the watermark is there, or one after it.
fn check_ahead(state: &[Option<i64>], watermark: Watermark) -> Outcome {
    let Some(event) = watermark.event else { return Ok(()) };
    for (key, row) in (0..).zip(state) {
        let due = (at(0)..=event).contains(&at(key)).then(|| {
            let last = ((event.as_micros() - at(0).as_micros()) / 1_000_000).min(ROWS - 1);
            last - (last - key).rem_euclid(KEYS)
        });
        check!(*row >= due, "key {key} has row {row:?}, but the watermark is {event}, after row {due:?}");
    }
    Ok(())
}
