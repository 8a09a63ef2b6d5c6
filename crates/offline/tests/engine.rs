//! Runs the engine suite on DataFusion over Parquet files of several layouts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::future::LocalBoxFuture;
use lodestore_core::definition::TableRef;
use lodestore_core::offline::OfflineEngine;
use lodestore_core::{Error, Result};
use lodestore_offline::{DataFusionEngine, EngineConfig};
use lodestore_testkit::engine_suite::{self, EngineHarness};
use lodestore_testkit::{Arguments, Outcome};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use tempfile::TempDir;
use tokio::runtime::Runtime;

struct ParquetFiles {
    runtime: Runtime,
    folders: TempDir,
    next: std::sync::atomic::AtomicUsize,
}

impl EngineHarness for ParquetFiles {
    fn engine(&self, tables: &[(TableRef, RecordBatch)]) -> Result<Arc<dyn OfflineEngine>> {
        let number = self.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let base = self.folders.path().join(number.to_string());
        for (i, (table, rows)) in tables.iter().enumerate() {
            write(&base.join(&table.path), rows, number + i)?;
        }
        let threads = 1 + number % 3;
        Ok(Arc::new(DataFusionEngine::new(EngineConfig { base, threads })))
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
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let harness = ParquetFiles { runtime, folders: tempfile::tempdir().unwrap(), next: Default::default() };
    lodestore_testkit::run(&arguments, engine_suite::trials(Arc::new(harness))).exit();
}
