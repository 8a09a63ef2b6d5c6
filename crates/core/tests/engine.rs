//! Runs the engine suite on the engine in memory.

use std::sync::Arc;

use arrow::array::RecordBatch;
use lodestore_core::definition::TableRef;
use lodestore_core::offline::{MemoryEngine, OfflineEngine};
use lodestore_testkit::engine_suite::{self, EngineHarness};

struct Memory;

impl EngineHarness for Memory {
    fn engine(&self, tables: &[(TableRef, RecordBatch)]) -> lodestore_core::Result<Arc<dyn OfflineEngine>> {
        let engine = MemoryEngine::new();
        tables.iter().for_each(|(table, rows)| engine.put(&table.path, rows.clone()));
        Ok(Arc::new(engine))
    }
}

fn main() {
    let arguments = lodestore_testkit::Arguments::from_args();
    lodestore_testkit::run(&arguments, engine_suite::trials(Arc::new(Memory))).exit();
}
