//! The stages of the point-in-time join, one at a time, on a table of a million rows; and, as
//! `count`, a fixed small case for counting instructions.
//!
//! ```text
//! cargo test --workspace --bench join -- --bench     times, by stage
//! make bench-check                                   instructions, against the stored count
//! ```

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::SchemaRef;
use futures::TryStreamExt;
use lodestore_core::document::Document;
use lodestore_core::offline::{HistoricalOptions, HistoricalPlan, OfflineEngine};
use lodestore_core::registry::{Mutation, Snapshot};
use lodestore_core::request::{ColumnNames, FeatureRequest};
use lodestore_core::time::EventTime;
use lodestore_offline::{DataFusionEngine, EngineConfig, ForcedStrategy, Tuning};
use parquet::arrow::ArrowWriter;
use tempfile::TempDir;
use tokio::runtime::Runtime;

const FEATURES: usize = 8;

/// A table in a folder, and questions about it.
struct Case {
    folder: TempDir,
    runtime: Runtime,
    plan: HistoricalPlan,
    questions: RecordBatch,
}

/// Numbers that look random and are the same each time (splitmix64).
fn number(seed: u64) -> u64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Returns `count` keys and times; keys are from `first_key` on.
fn keys_and_times(count: usize, keys: u64, first_key: i64, seed: u64) -> [(&'static str, ArrayRef); 2] {
    let key = (0..count as u64).map(|i| first_key + (number(seed + 2 * i) % keys) as i64);
    let time = (0..count as u64).map(|i| (number(seed + 2 * i + 1) % 90_000_000_000) as i64);
    [
        ("driver_id", Arc::new(Int64Array::from_iter_values(key))),
        ("at", Arc::new(TimestampMicrosecondArray::from_iter_values(time).with_timezone("UTC"))),
    ]
}

impl Case {
    /// Returns a case of so many rows and questions; the questions' keys are from `first_key` on.
    fn new(rows: usize, questions: usize, keys: u64, first_key: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut columns = keys_and_times(rows, keys, 0, 1).to_vec();
        let names: Vec<String> = (0..FEATURES).map(|i| format!("f{i}")).collect();
        for (i, name) in names.iter().enumerate() {
            let values = (0..rows as u64).map(|row| number(row * 31 + i as u64) as f64 / 1e9);
            columns.push((name.as_str(), Arc::new(Float64Array::from_iter_values(values)) as ArrayRef));
        }
        write(&folder.path().join("rows.parquet"), &RecordBatch::try_from_iter(columns).unwrap());
        let [key, (_, times)] = keys_and_times(questions, keys, first_key, 7_000_000_000);
        let questions = RecordBatch::try_from_iter([key, ("event_timestamp", times)]).unwrap();
        let plan = plan(&names, questions.schema());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        Self { folder, runtime, plan, questions }
    }

    /// Answers the questions on one thread; returns how many rows there are.
    fn run(&self, strategy: ForcedStrategy) -> usize {
        let tuning = Tuning { strategy: Some(strategy), ..Tuning::default() };
        let engine =
            DataFusionEngine::new(EngineConfig { threads: 1, tuning, ..EngineConfig::new(self.folder.path()) });
        let rows = async {
            let answer = engine.historical(&self.plan, vec![self.questions.clone()], &Arc::default()).await?;
            answer.batches.try_fold(0, async |rows, batch| Ok(rows + batch.num_rows())).await
        };
        self.runtime.block_on(rows).unwrap()
    }
}

fn write(path: &Path, rows: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

fn plan(features: &[String], questions: SchemaRef) -> HistoricalPlan {
    let schema: Vec<String> = features.iter().map(|name| format!("{{name: {name}, type: float64}}")).collect();
    let yaml = format!(
        "version: 1
entities: [{{name: driver, join_keys: [{{name: driver_id, type: int64}}]}}]
data_sources: [{{name: rows, type: file, path: rows.parquet, timestamp_field: at}}]
feature_views:
  - {{name: rows, entities: [driver], source: rows, schema: [{}]}}
",
        schema.join(", ")
    );
    let definitions = Document::parse_yaml(&yaml, "bench").unwrap().into_definitions().unwrap();
    let mut snapshot = Snapshot::empty("bench".parse().unwrap());
    let view = definitions.resolve(&definitions.feature_views["rows"], EventTime::MIN, 1).unwrap();
    snapshot.apply(&Mutation::PutView(Arc::new(view)));
    let refs: Vec<_> = features.iter().map(|name| format!("rows:{name}").parse().unwrap()).collect();
    let request = FeatureRequest::from_refs(&snapshot, &refs, ColumnNames::Feature).unwrap();
    HistoricalPlan::build(request, questions, HistoricalOptions::default()).unwrap()
}

static MANY: LazyLock<Case> = LazyLock::new(|| Case::new(1_000_000, 100_000, 10_000, 0));
static FEW: LazyLock<Case> = LazyLock::new(|| Case::new(1_000_000, 1_000, 10_000, 0));
static OTHERS: LazyLock<Case> = LazyLock::new(|| Case::new(1_000_000, 100_000, 10_000, 9_999));
static NONE: LazyLock<Case> = LazyLock::new(|| Case::new(1_000_000, 100_000, 10_000, 20_000));

/// Questions are indexed; every row group is ruled out by its keys.
#[divan::bench]
fn index_alone() -> usize {
    NONE.run(ForcedStrategy::FetchLate)
}

/// Keys and times are decoded and looked up; nearly no row has a key that is asked for.
#[divan::bench]
fn index_and_pass_without_matches() -> usize {
    OTHERS.run(ForcedStrategy::FetchLate)
}

/// All rows match; a tenth of them answer, and whole row groups are decoded.
#[divan::bench]
fn pass_and_dense_fetch() -> usize {
    MANY.run(ForcedStrategy::FetchDense)
}

/// The same with runs as they are chosen.
#[divan::bench]
fn pass_and_chosen_fetch() -> usize {
    MANY.run(ForcedStrategy::FetchLate)
}

/// A thousandth of the rows answer, and are decoded one by one.
#[divan::bench]
fn pass_and_sparse_fetch() -> usize {
    FEW.run(ForcedStrategy::FetchSparse)
}

/// Whole rows are decoded in one pass, and those that win are kept.
#[divan::bench]
fn kept_rows() -> usize {
    MANY.run(ForcedStrategy::KeepRows)
}

/// All rows are held in memory, and questions are looked up.
#[divan::bench]
fn built_rows() -> usize {
    MANY.run(ForcedStrategy::BuildRows)
}

fn main() {
    if std::env::args().any(|argument| argument == "count") {
        let case = Case::new(200_000, 20_000, 2_000, 0);
        assert_eq!(case.run(ForcedStrategy::FetchLate), 20_000);
        return;
    }
    divan::main();
}
