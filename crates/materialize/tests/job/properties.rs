//! Random tables that grow, materialised step by step, against the join oracle (rules M1 and O2).

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use futures::executor::block_on;
use lodestore_core::definition::{TableRef, ViewVersion};
use lodestore_core::offline::{HistoricalOptions, HistoricalPlan, MemoryEngine};
use lodestore_core::online::{FeatureStatus, MemoryOnlineStore, OnlineStore, OnlineView};
use lodestore_core::request::{FeatureRequest, RequestedColumn, RequestedView};
use lodestore_core::rows::keys_of;
use lodestore_core::time::{ManualClock, Micros};
use lodestore_core::types::FeatureType;
use lodestore_materialize::{Interval, JobOptions, MaterializationJob, Silent};
use lodestore_testkit::fixture::{definitions, online_view};
use lodestore_testkit::generate::{Rng, for_each_seed};
use lodestore_testkit::oracle::{self, Value, build, read};
use lodestore_testkit::{Failed, Outcome, check, check_eq};

use crate::world::{Batched, PATH, us};

/// Keys that are written; the one after them never is.
const KEYS: i64 = 3;
/// The first event time.
const START: i64 = 1_000;

#[test]
fn o2_after_each_run_answers_are_those_of_the_join_over_the_rows_so_far() -> Outcome {
    block_on(for_each_seed("o2_after_each_run", async |seed| check_case(&Case::from_seed(seed)?).await))
}

/// How a case is materialised.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    /// All rows are there from the start; each run takes the interval since the one before.
    Between,
    /// Rows arrive late, but within the overlap.
    SinceWithOverlap(i64),
    /// Rows arrive however late, stamped with when they did.
    SinceByCreated,
}

#[derive(Debug, Clone)]
struct Row {
    key: Option<i64>,
    event: Option<i64>,
    created: Option<i64>,
    valid_to: Option<i64>,
    a: Option<i64>,
    b: f64,
    /// The first run that can find it.
    arrives: usize,
}

#[derive(Debug)]
struct Case {
    view: OnlineView,
    mode: Mode,
    rows: Vec<Row>,
    /// The end of each run, and the moment it runs at.
    ends: Vec<i64>,
    batch_rows: usize,
    batch_bytes: usize,
    rng: Rng,
}

impl Case {
    fn from_seed(seed: u64) -> Result<Self, Failed> {
        let mut rng = Rng::new(seed);
        let mode = match rng.below(3) {
            0 => Mode::Between,
            1 => Mode::SinceWithOverlap(rng.between(0, 6)),
            _ => Mode::SinceByCreated,
        };
        let view = view(&mut rng, mode, seed)?;
        let mut ends = vec![START + rng.between(0, 8)];
        for _ in 0..rng.below(4) {
            ends.push(ends[ends.len() - 1] + rng.between(1, 8));
        }
        let size = 1 + (seed / 8).min(seed % 30) as usize;
        let rows = (0..size).map(|_| row(&mut rng, mode, &ends)).collect();
        let (batch_rows, batch_bytes) = (1 + rng.below(5), *rng.pick(&[1, 400, 1 << 20]));
        Ok(Self { view, mode, rows, ends, batch_rows, batch_bytes, rng })
    }

    /// Returns the rows that a run can have found.
    fn arrived(&self, run: usize) -> Vec<Row> {
        self.rows.iter().filter(|row| row.arrives <= run).cloned().collect()
    }

    fn interval(&self, run: usize) -> Interval {
        let until = us(self.ends[run]);
        match self.mode {
            Mode::Between => Interval::Between { start: us(if run == 0 { 0 } else { self.ends[run - 1] }), until },
            _ => Interval::Since { until },
        }
    }
}

fn view(rng: &mut Rng, mode: Mode, seed: u64) -> Result<OnlineView, Failed> {
    let times = *rng.pick(&[
        "timestamp_field: at",
        "timestamp_field: at, availability_delay: 3us",
        "valid_from: at, valid_to: until",
    ]);
    let with_created = mode == Mode::SinceByCreated || (mode == Mode::Between && rng.chance(50));
    let created = if with_created { ", created_timestamp_column: created" } else { "" };
    let ttl = if rng.chance(60) { ", ttl: 4us" } else { "" };
    let definitions = definitions(&format!(
        "entities: [{{name: user, join_keys: [{{name: user_id, type: int64}}]}}]
data_sources: [{{name: s, type: file, path: {PATH}, {times}{created}}}]
feature_views:
  - {{name: v, entities: [user], source: s{ttl}, schema: [{{name: a, type: int64}}, {{name: b, type: float64}}]}}"
    ))?;
    online_view(&definitions, "v", &format!("property-{seed}"))
}

fn row(rng: &mut Rng, mode: Mode, ends: &[i64]) -> Row {
    let last = ends[ends.len() - 1];
    let event = rng.between(START - 4, last + 2);
    let arrives = match mode {
        Mode::Between => 0,
        Mode::SinceByCreated => rng.below(ends.len()),
        // A run looks no further back than the overlap before the end of the one before.
        Mode::SinceWithOverlap(overlap) => {
            let latest = ends.iter().take_while(|&&end| event > end - overlap).count();
            rng.below(latest.min(ends.len() - 1) + 1)
        }
    };
    let arrived_at = if arrives == 0 { START - 5 } else { ends[arrives - 1] };
    let created = match mode {
        Mode::SinceByCreated => Some(rng.between(arrived_at, ends[arrives])),
        _ => rng.chance(60).then(|| rng.between(START, START + 2)),
    };
    Row {
        key: (!rng.chance(5)).then(|| rng.between(0, KEYS - 1)),
        event: (!rng.chance(5)).then_some(event),
        created,
        valid_to: rng.chance(50).then(|| event + rng.between(-1, 6)),
        a: (!rng.chance(25)).then(|| rng.between(0, 2)),
        b: *rng.pick(&[0.0, -0.0, 1.5, f64::NAN]),
        arrives,
    }
}

/// Returns rows as a table; `here` is never null and tells whether a row answered.
fn table(rows: &[Row]) -> Result<RecordBatch, Failed> {
    let column =
        |ty: FeatureType, value: &dyn Fn(&Row) -> Value| build(&ty, &rows.iter().map(value).collect::<Vec<_>>());
    let int = |value: Option<i64>| value.map_or(Value::Null, Value::Int64);
    let time = |value: Option<i64>| value.map_or(Value::Null, Value::Timestamp);
    let columns: [(&str, ArrayRef); 7] = [
        ("user_id", column(FeatureType::Int64, &|row| int(row.key))?),
        ("at", column(FeatureType::Timestamp, &|row| time(row.event))?),
        ("created", column(FeatureType::Timestamp, &|row| time(row.created))?),
        ("until", column(FeatureType::Timestamp, &|row| time(row.valid_to))?),
        ("a", column(FeatureType::Int64, &|row| int(row.a))?),
        ("b", column(FeatureType::Float64, &|row| Value::float64(row.b))?),
        ("here", column(FeatureType::Int64, &|_| Value::Int64(1))?),
    ];
    Ok(RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))?)
}

async fn check_case(case: &Case) -> Outcome {
    let engine = Batched { memory: MemoryEngine::new(), rows: case.batch_rows };
    let store = MemoryOnlineStore::new();
    let clock = ManualClock::new(us(0));
    let overlap = if let Mode::SinceWithOverlap(overlap) = case.mode { overlap } else { 0 };
    let options = JobOptions {
        batch_bytes: case.batch_bytes,
        late_arrival_overlap: Micros::new(overlap)?,
        ..JobOptions::default()
    };
    let mut rng = case.rng.clone();
    for (run, &end) in case.ends.iter().enumerate() {
        engine.memory.put(PATH, table(&case.arrived(run))?);
        clock.set(us(end));
        let job = MaterializationJob::new(case.view.clone(), case.interval(run)).with_options(options.clone());
        let runs = 1 + rng.below(2);
        for _ in 0..runs {
            let report = job.run(&engine, &store, &clock, &Silent).await?;
            let accounted = report.rows_written + report.rows_skipped + report.rows_refused;
            check_eq!(report.rows_read, accounted, "M3: {case:#?}");
            check_eq!(report.watermark.event, Some(us(end)), "M2: {case:#?}");
        }
        let mut taken = case.arrived(run);
        taken.retain(|row| row.event.is_some_and(|event| event <= end));
        for now in [end, end + rng.between(0, 9)] {
            check_answers(case, &store, &taken, now).await.map_err(|failed| {
                format!("run {run}, read at {now}: {}\n{case:#?}", failed.message().unwrap_or_default())
            })?;
        }
    }
    Ok(())
}

/// Checks value and status of every key against the join over the rows that were taken.
async fn check_answers(case: &Case, store: &MemoryOnlineStore, taken: &[Row], now: i64) -> Outcome {
    let view = &case.view.version;
    let fresh = joined(view, taken, now)?;
    let mut of_any_age = ViewVersion::clone(view);
    of_any_age.definition.ttl = None;
    let any_age = joined(&of_any_age, taken, now)?;
    let keys = keys_of(view, &questions(now)?)?;
    let found = store.read(&case.view, &keys, &[0, 1], us(now)).await?;
    for (place, column) in found.iter().enumerate() {
        let values = read(&column.values, &view.features[place].feature_type)?;
        check!(values.len() == KEYS as usize + 1, "a value for each key");
        for (key, found) in values.into_iter().zip(&column.statuses).enumerate() {
            let status = match (any_age[2][key].is_null(), fresh[2][key].is_null(), fresh[place][key].is_null()) {
                (true, ..) => FeatureStatus::NotFound,
                (_, true, _) => FeatureStatus::OutsideMaxAge,
                (_, _, true) => FeatureStatus::NullValue,
                _ => FeatureStatus::Present,
            };
            check_eq!(found, (fresh[place][key].clone(), &status), "O2: key {key}, feature {place}");
        }
    }
    Ok(())
}

/// Returns a question for each key.
fn questions(now: i64) -> Result<RecordBatch, Failed> {
    let keys: Vec<Value> = (0..=KEYS).map(Value::Int64).collect();
    let times = vec![Value::Timestamp(now); keys.len()];
    let columns =
        [("user_id", build(&FeatureType::Int64, &keys)?), ("event_timestamp", build(&FeatureType::Timestamp, &times)?)];
    Ok(RecordBatch::try_from_iter(columns)?)
}

/// Returns `a`, `b` and `here` of every key by the join oracle.
fn joined(view: &ViewVersion, taken: &[Row], now: i64) -> Result<Vec<Vec<Value>>, Failed> {
    let mut view = view.clone();
    let mut here = view.features[0].clone();
    here.name = "here".parse()?;
    view.features.push(here);
    let tables: [(TableRef, RecordBatch); 1] = [(view.table.clone().ok_or("the view has a table")?, table(taken)?)];
    let columns = (0..3).map(|feature| RequestedColumn { name: format!("answer {feature}"), view: 0, feature });
    let request = FeatureRequest {
        columns: columns.collect(),
        views: vec![RequestedView {
            version: Arc::new(view),
            shown_name: "v".into(),
            key_columns: vec!["user_id".into()],
        }],
    };
    let questions = questions(now)?;
    let plan = HistoricalPlan::build(request, questions.schema(), HistoricalOptions::default())?;
    oracle::historical(&plan, &tables, &questions)
}
