//! Runs the engine suite on DataFusion over Parquet files of several layouts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::RecordBatch;
use futures::future::LocalBoxFuture;
use lodestore_core::definition::TableRef;
use lodestore_core::offline::OfflineEngine;
use lodestore_core::{Error, Result};
use lodestore_offline::{DataFusionEngine, EngineConfig, ForcedStrategy, Tuning};
use lodestore_testkit::engine_suite::{self, EngineHarness};
use lodestore_testkit::{Arguments, Outcome};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use tempfile::TempDir;
use tokio::runtime::Runtime;

struct ParquetFiles {
    runtime: Arc<Runtime>,
    folders: TempDir,
    next: AtomicUsize,
    tuning: Tuning,
}

impl ParquetFiles {
    fn new(runtime: &Arc<Runtime>, tuning: Tuning) -> Arc<Self> {
        let folders = tempfile::tempdir().unwrap();
        Arc::new(Self { runtime: Arc::clone(runtime), folders, next: AtomicUsize::new(0), tuning })
    }
}

impl EngineHarness for ParquetFiles {
    fn engine(&self, tables: &[(TableRef, RecordBatch)]) -> Result<Arc<dyn OfflineEngine>> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let base = self.folders.path().join(number.to_string());
        for (i, (table, rows)) in tables.iter().enumerate() {
            write(&base.join(&table.path), rows, number + i)?;
        }
        let tuning = self.tuning.clone();
        Ok(Arc::new(DataFusionEngine::new(EngineConfig { threads: 1 + number % 3, tuning, ..EngineConfig::new(base) })))
    }

    fn block_on(&self, test: LocalBoxFuture<'_, Outcome>) -> Outcome {
        self.runtime.block_on(test)
    }
}

/// Writes a table as one file, as one of many small row groups without statistics, or as a folder.
fn write(path: &Path, rows: &RecordBatch, layout: usize) -> Result<()> {
    let io = |e| Error::io(format!("writing {}", path.display()), e);
    let parent = path.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(parent).map_err(io)?;
    match layout % 3 {
        0 => write_file(path, rows, WriterProperties::builder()),
        1 => {
            let small = WriterProperties::builder().set_max_row_group_row_count(Some(3)).set_dictionary_enabled(false);
            write_file(path, rows, small.set_statistics_enabled(EnabledStatistics::None))
        }
        _ => {
            std::fs::create_dir_all(path).map_err(io)?;
            let half = rows.num_rows() / 2;
            write_file(&path.join("a.parquet"), &rows.slice(0, half), WriterProperties::builder())?;
            write_file(&path.join("b.parquet"), &rows.slice(half, rows.num_rows() - half), WriterProperties::builder())
        }
    }
}

fn write_file(
    path: &Path,
    rows: &RecordBatch,
    properties: parquet::file::properties::WriterPropertiesBuilder,
) -> Result<()> {
    let file = File::create(path).map_err(|e| Error::io(format!("writing {}", path.display()), e))?;
    let parquet = |e: parquet::errors::ParquetError| Error::invalid(format!("writing {}: {e}", path.display()));
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties.build())).map_err(parquet)?;
    writer.write(rows).map_err(parquet)?;
    writer.close().map_err(parquet)?;
    Ok(())
}

fn main() {
    let arguments = Arguments::from_args();
    let runtime = Arc::new(tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap());
    let mut trials = engine_suite::trials(ParquetFiles::new(&runtime, Tuning::default()));
    let forced = |strategy| Tuning { strategy: Some(strategy), ..Tuning::default() };
    let ways = [
        ("dense_fetch", forced(ForcedStrategy::FetchDense)),
        ("sparse_fetch", forced(ForcedStrategy::FetchSparse)),
        ("chosen_fetch", forced(ForcedStrategy::FetchLate)),
        ("kept_rows", forced(ForcedStrategy::KeepRows)),
        ("built_rows", forced(ForcedStrategy::BuildRows)),
        ("placed_one_by_one", Tuning { columns_at_a_time: Some(1), ..forced(ForcedStrategy::FetchLate) }),
        ("placed_by_twos", Tuning { columns_at_a_time: Some(2), ..forced(ForcedStrategy::FetchDense) }),
        ("split", Tuning { parts: Some(3), ..forced(ForcedStrategy::FetchLate) }),
        ("split_kept_rows", Tuning { parts: Some(3), ..forced(ForcedStrategy::KeepRows) }),
        ("spilled", Tuning { spill_window: Some(3), parts: Some(2), ..forced(ForcedStrategy::FetchLate) }),
        ("spilled_kept_rows", Tuning { spill_window: Some(4), ..forced(ForcedStrategy::KeepRows) }),
        ("spilled_built_rows", Tuning { spill_window: Some(2), ..forced(ForcedStrategy::BuildRows) }),
    ];
    for (way, tuning) in ways {
        trials.extend(engine_suite::trials_of_way(way, ParquetFiles::new(&runtime, tuning)));
    }
    lodestore_testkit::run(&arguments, trials).exit();
}
