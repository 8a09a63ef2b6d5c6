//! Where answers are kept: files, folders of files and Delta tables, here or in an object store. What is
//! written is there wholly or not at all.

mod delta;
mod encode;
mod files;
mod local;
mod objects;
mod partition;
mod upload;

use futures::StreamExt;
use lodestore_core::Result;
use lodestore_core::offline::{BatchStream, WriteFormat, WriteTarget, Written};

use self::delta::write_delta;
use self::files::Files;
use crate::source::Stores;

pub(crate) use lodestore_core::offline::WriteMode;

/// Writes the rows of an answer to a target, as they come.
///
/// # Errors
/// What the answer says; `Invalid` for a target whose settings do not go together or with the columns,
/// `AlreadyExists` for a folder that has files in it or a Delta table that is there.
pub(crate) async fn write(stores: &Stores, mut answer: BatchStream, target: &WriteTarget) -> Result<Written> {
    target.check()?;
    if target.format == WriteFormat::Delta {
        let rows = write_delta(stores, &target.path, answer, &target.partition_by, target.mode).await?;
        return Ok(Written { rows, files: vec![target.path.clone()] });
    }
    let mut files = Files::open(stores.place(&target.path)?, target, &answer.schema).await?;
    while let Some(batch) = answer.batches.next().await {
        files.write(&batch?).await?;
    }
    files.finish().await
}
