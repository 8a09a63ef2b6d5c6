//! The behaviour suite of registries, over the SQLite file.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use lodestore_core::registry::RegistryStore;
use lodestore_core::{Error, Result};
use lodestore_registry::SqliteRegistry;
use lodestore_testkit::registry_suite::{RegistryHarness, trials};
use lodestore_testkit::{Arguments, run};
use tempfile::TempDir;

/// A folder; each place is a file in it.
struct Sqlite(TempDir);

#[async_trait]
impl RegistryHarness for Sqlite {
    async fn open(&self, place: &str) -> Result<Arc<dyn RegistryStore>> {
        Ok(Arc::new(SqliteRegistry::open(&self.0.path().join(place).join("registry.db"))?))
    }

    fn is_durable(&self) -> bool {
        true
    }
}

fn main() -> Result<ExitCode> {
    let folder = TempDir::new().map_err(|e| Error::io("creating a folder for the tests", e))?;
    Ok(run(&Arguments::from_args(), trials(Arc::new(Sqlite(folder)))).exit_code())
}
