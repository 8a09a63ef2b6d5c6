//! The registry in an SQLite file.

mod error;
mod file;
mod rows;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use lodestore_core::name::ProjectName;
use lodestore_core::registry::{ApplyRecord, Change, RegistryStore, Snapshot, conflict};
use lodestore_core::{Error, Result};
use rusqlite::{Connection, TransactionBehavior};

/// Keeps projects in one SQLite file, which many processes may use at once.
///
/// A commit is one transaction: it is there wholly or not at all, whenever the process is killed.
/// The file and its folders are created by the first commit.
///
/// The methods block for as long as the file system takes, some milliseconds; call them where that
/// is no harm. A connection lives for one call, so the file may be replaced or removed between calls
/// and the process may fork.
///
/// # Examples
/// ```
/// use lodestore_core::registry::RegistryStore;
/// use lodestore_registry::SqliteRegistry;
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("data/registry.db");
/// let registry = SqliteRegistry::open(&path)?;
/// let snapshot = futures::executor::block_on(registry.load(&"demo".parse()?))?;
/// assert_eq!(snapshot.revision, 0);
/// assert!(!path.exists());
/// # Ok::<(), lodestore_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SqliteRegistry {
    path: PathBuf,
}

impl SqliteRegistry {
    /// Opens the registry at `path`. A path without a file is an empty registry.
    ///
    /// # Errors
    /// `Corrupt` or `Invalid` for a file that is no registry, which is left as it is; `Unsupported` for
    /// a registry of a newer Lodestore; `PermissionDenied` or `Unavailable` if it can't be read.
    pub fn open(path: &Path) -> Result<Self> {
        let path =
            std::path::absolute(path).map_err(|e| Error::io(format!("finding the registry {}", path.display()), e))?;
        file::open_existing(&path)?;
        Ok(Self { path })
    }

    /// Returns where the registry is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `read` on one state of the registry; `None` where there is no registry yet.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> Result<T>) -> Result<Option<T>> {
        let Some(mut connection) = file::open_existing(&self.path)? else { return Ok(None) };
        let transaction = connection.transaction().map_err(|e| self.failed(e))?;
        read(&transaction).map(Some)
    }

    /// Runs `write` as one transaction, which alone writes while it runs.
    fn write<T>(&self, mut connection: Connection, write: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = transaction.map_err(|e| self.failed(e))?;
        let written = write(&transaction)?;
        transaction.commit().map_err(|e| self.failed(e))?;
        Ok(written)
    }

    fn failed(&self, error: rusqlite::Error) -> Error {
        error::from_sqlite(&self.path, error)
    }
}

#[async_trait]
impl RegistryStore for SqliteRegistry {
    async fn load(&self, project: &ProjectName) -> Result<Snapshot> {
        let snapshot = self.read(|connection| rows::snapshot(&self.path, connection, project))?;
        Ok(snapshot.unwrap_or_else(|| Snapshot::empty(project.clone())))
    }

    async fn revision(&self, project: &ProjectName) -> Result<u64> {
        let found = self.read(|connection| rows::revision(connection, project).map_err(|e| self.failed(e)))?;
        Ok(found.unwrap_or(0))
    }

    async fn commit(&self, project: &ProjectName, expected: u64, change: &Change) -> Result<u64> {
        self.write(file::open_or_create(&self.path)?, |connection| {
            let found = rows::revision(connection, project).map_err(|e| self.failed(e))?;
            if found != expected {
                return Err(conflict(project, expected, found));
            }
            let revision = found + 1;
            rows::set_revision(connection, project, revision).map_err(|e| self.failed(e))?;
            for mutation in &change.mutations {
                rows::apply(&self.path, connection, project, mutation)?;
            }
            let changes = crate::stored::encode("a record", &change.lines)?;
            let record = (project.as_str(), revision, change.at.as_micros(), &change.by, changes);
            rows::add_record(connection, record).map_err(|e| self.failed(e))?;
            Ok(revision)
        })
    }

    async fn history(&self, project: &ProjectName, limit: usize) -> Result<Vec<ApplyRecord>> {
        let records = self.read(|connection| rows::records(&self.path, connection, project, limit))?;
        Ok(records.unwrap_or_default())
    }

    async fn remove_project(&self, project: &ProjectName) -> Result<()> {
        match file::open_existing(&self.path)? {
            Some(connection) => self
                .write(connection, |connection| rows::remove_project(connection, project).map_err(|e| self.failed(e))),
            None => Ok(()),
        }
    }
}
