//! Writes answers as Delta Lake tables. Data files are written first; one commit makes them part of the
//! table, all or none. Files without a commit are seen by no reader.

mod draft;
mod files;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use delta_kernel::committer::FileSystemCommitter;
use delta_kernel::engine::arrow_conversion::TryIntoArrow;
use delta_kernel::engine::arrow_data::ArrowEngineData;
use delta_kernel::transaction::{CommitResult, Transaction, UpdateTableOperation, WriteState};
use delta_kernel::{Engine, Snapshot, SnapshotRef};
use futures::StreamExt;
use lodestore_core::offline::BatchStream;
use lodestore_core::{Error, ErrorKind, Result};
use url::Url;

use self::draft::Draft;
use self::files::{AddedFile, DataFiles};
use super::WriteMode;
use crate::source::delta::{TableEngine, from_kernel, url_of, with_kernel};
use crate::source::{Place, Stores};

/// What the log says made a commit.
const ENGINE_INFO: &str = concat!("lodestore/", env!("CARGO_PKG_VERSION"));

/// How often a commit is tried again after another writer's.
const TRIES: usize = 16;

/// Writes the rows of an answer to the Delta table at a path; returns how many there were. A new table is
/// partitioned by the columns that are named.
///
/// # Errors
/// `AlreadyExists` in mode `Create` if there is a table, `Invalid` for columns that it does not take,
/// `Conflict` if other writers were faster too often, `Unsupported` for a table that only others can write.
pub(crate) async fn write_delta(
    stores: &Stores,
    path: &str,
    mut answer: BatchStream,
    partition_by: &[String],
    mode: WriteMode,
) -> Result<u64> {
    let target = Target::open(stores.place(path)?, path, &answer.schema, partition_by, mode).await?;
    let mut files = DataFiles::new(target.place.clone(), target.layout().await?)?;
    while let Some(batch) = answer.batches.next().await {
        files.write(&batch?).await?;
    }
    let added = files.finish().await?;
    let rows = added.iter().map(|file| file.rows).sum();
    // From here on the files may be part of the table even if this fails, so they stay.
    files.keep();
    target.commit(added).await?;
    Ok(rows)
}

/// The table that is written to.
struct Target {
    place: Place,
    path: String,
    /// Reads and writes the log of `snapshot`.
    engine: TableEngine,
    snapshot: SnapshotRef,
    /// The table is not there yet, and `snapshot` is one of its draft.
    draft: Option<Draft>,
}

/// How rows become data files of a table.
struct Layout {
    /// The table's path, for messages.
    path: String,
    engine: TableEngine,
    state: Arc<WriteState>,
    /// The table's columns.
    columns: Vec<Field>,
    partition_by: Vec<String>,
}

impl Target {
    async fn open(
        place: Place,
        path: &str,
        columns: &Schema,
        partition_by: &[String],
        mode: WriteMode,
    ) -> Result<Self> {
        let path = path.to_owned();
        let engine = TableEngine::new(Arc::clone(&place.store), place.root.clone());
        let root = url_of(&place.root, &place.path).map_err(|e| from_kernel(&path, e))?;
        let what = path.clone();
        let opened = with_kernel(move || {
            let snapshot = Snapshot::builder_for(&root).build(&engine).map_err(|e| from_kernel(&what, e))?;
            Ok((engine, snapshot))
        });
        let target = match opened.await {
            Ok(_) if mode == WriteMode::Create => return Err(exists(&path)),
            Ok((engine, snapshot)) => Self { place, path, engine, snapshot, draft: None },
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let draft = Draft::of(columns, partition_by).await.map_err(|e| e.with_context("table", &path))?;
                let (engine, what) = (draft.engine(), path.clone());
                let opened = with_kernel(move || {
                    let snapshot = Snapshot::builder_for(draft::ROOT).build(&engine);
                    Ok((snapshot.map_err(|e| from_kernel(&what, e))?, engine))
                });
                let (snapshot, engine) = opened.await?;
                Self { place, path, engine, snapshot, draft: Some(draft) }
            }
            Err(error) => return Err(error),
        };
        target.check(columns, partition_by).await?;
        Ok(target)
    }

    /// Checks that rows with these columns can be written to the table.
    async fn check(&self, columns: &Schema, partition_by: &[String]) -> Result<()> {
        let Layout { columns: there, partition_by: partitioned_by, .. } = self.layout().await?;
        let invalid = |why: String| Err(Error::invalid(format!("the delta table '{}' {why}", self.path)));
        if !partition_by.is_empty() && partition_by != partitioned_by {
            return invalid(format!("is partitioned by {partitioned_by:?}, not by {partition_by:?}"));
        }
        for column in columns.fields() {
            let Some(in_table) = there.iter().find(|field| field.name() == column.name()) else {
                let known: Vec<_> = there.iter().map(|field| format!("'{}'", field.name())).collect();
                return invalid(format!("has no column '{}'; columns: {}", column.name(), known.join(", ")));
            };
            if draft::delta_type(column.data_type()) != draft::delta_type(in_table.data_type()) {
                let (name, new, old) = (column.name(), column.data_type(), in_table.data_type());
                return invalid(format!("has column '{name}' of type {old}, and no room in it for {new}"));
            }
        }
        let is_missing = |field: &&Field| !field.is_nullable() && columns.index_of(field.name()).is_err();
        match there.iter().find(is_missing) {
            Some(field) => invalid(format!("needs a value in column '{}', which the rows do not have", field.name())),
            None => Ok(()),
        }
    }

    async fn layout(&self) -> Result<Layout> {
        let (engine, snapshot, path) = (self.engine.clone(), Arc::clone(&self.snapshot), self.path.clone());
        with_kernel(move || {
            let transaction = transaction(&engine, &snapshot, &path)?;
            let schema: Schema = snapshot.schema().as_ref().try_into_arrow()?;
            Ok(Layout {
                state: transaction.write_state().map_err(|e| from_kernel(&path, e))?,
                columns: schema.fields().iter().map(|field| field.as_ref().clone()).collect(),
                partition_by: transaction.logical_partition_columns().to_vec(),
                engine,
                path,
            })
        })
        .await
    }

    /// Makes files part of the table.
    async fn commit(self, added: Vec<AddedFile>) -> Result<()> {
        let Self { place, path, engine, snapshot, draft } = self;
        let what = path.clone();
        with_kernel(move || commit(&engine, snapshot, &added, &what)).await?;
        let Some(draft) = draft else { return Ok(()) };
        let first = draft.first_commit().await?;
        let log = url_of(&place.root, &place.path.join("_delta_log").join(draft::FIRST))
            .map_err(|e| from_kernel(&path, e))?;
        let engine = TableEngine::new(place.store, place.root);
        with_kernel(move || match engine.storage_handler().put(&log, first, false) {
            Err(delta_kernel::KernelError::FileAlreadyExists(_)) => Err(exists(&path)),
            put => put.map_err(|e| from_kernel(&path, e)),
        })
        .await
    }
}

fn exists(path: &str) -> Error {
    let message = format!("a delta table is at '{path}' already; append to it, or write to another path");
    Error::new(ErrorKind::AlreadyExists, message)
}

fn transaction(engine: &TableEngine, snapshot: &SnapshotRef, path: &str) -> Result<Transaction> {
    let update = Arc::clone(snapshot).update_table(UpdateTableOperation::Write, ENGINE_INFO, true);
    update.build(engine, Box::new(FileSystemCommitter::new())).map_err(|e| from_kernel(path, e))
}

/// Adds files to the table as of its newest version. A file that is added twice is there once, so a commit
/// of which it is not known whether it was made can be made again.
fn commit(engine: &TableEngine, mut snapshot: SnapshotRef, added: &[AddedFile], path: &str) -> Result<()> {
    let wrong = |e| from_kernel(path, e);
    for _ in 0..TRIES {
        let mut transaction = transaction(engine, &snapshot, path)?;
        let actions = AddedFile::batch(added).map_err(wrong)?;
        transaction.add_files(Box::new(ArrowEngineData::new(actions)));
        match transaction.commit(engine).map_err(wrong)? {
            CommitResult::Committed(_) => return Ok(()),
            CommitResult::Retryable(again) => return Err(wrong(again.error)),
            CommitResult::Conflicted(_) => {
                let root: Url = snapshot.table_root().clone();
                let newest = Snapshot::builder_for(&root).build(engine).map_err(wrong)?;
                if newest.schema() != snapshot.schema() {
                    let message =
                        format!("the columns of the delta table '{path}' changed while rows were written to it");
                    return Err(Error::new(ErrorKind::Conflict, message));
                }
                snapshot = newest;
            }
        }
    }
    let message = format!("other writers of the delta table '{path}' were faster {TRIES} times; try again");
    Err(Error::new(ErrorKind::Conflict, message))
}
