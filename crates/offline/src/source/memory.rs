//! Frames in the memory of the process.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::{StreamExt, stream};
use lodestore_core::definition::TableRef;
use lodestore_core::{Error, Result};

use super::parquet::Found;
use super::{Bounds, Rows, Scan, Table, as_in_views, projection};

/// Frames by the names of their sources.
#[derive(Debug, Default)]
pub(crate) struct Frames(RwLock<HashMap<String, KeptFrame>>);

type KeptFrame = (SchemaRef, Arc<[RecordBatch]>);

impl Frames {
    /// Keeps a frame, in place of the one that was kept under this name.
    pub(crate) fn keep(&self, source: &str, schema: SchemaRef, rows: Vec<RecordBatch>) {
        let mut frames = self.0.write().unwrap_or_else(PoisonError::into_inner);
        frames.insert(source.to_owned(), (schema, rows.into()));
    }

    /// Opens the frame of a table.
    ///
    /// # Errors
    /// `NotFound` if this process keeps none of that name.
    pub(crate) fn open(&self, reference: &TableRef) -> Result<Arc<dyn Table>> {
        let frames = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (schema, rows) = frames.get(&reference.path).cloned().ok_or_else(|| {
            Error::not_found(format!(
                "data source '{}' is a frame in memory, and this process was not given it; apply the source again with its frame",
                reference.path
            ))
        })?;
        Ok(Arc::new(Frame { schema, rows, reference: reference.clone() }))
    }
}

#[derive(Debug)]
struct Frame {
    schema: SchemaRef,
    rows: Arc<[RecordBatch]>,
    reference: TableRef,
}

#[async_trait]
impl Table for Frame {
    fn schema(&self) -> SchemaRef {
        as_in_views(&self.schema, &self.reference)
    }

    async fn scan(&self, columns: &[&str], _: &Bounds, streams: usize) -> Result<Scan> {
        let projection = projection(&self.reference, &self.schema, columns)?;
        let streams = streams.clamp(1, self.rows.len().max(1));
        let stream = |first: usize| -> Rows {
            let (rows, projection) = (Arc::clone(&self.rows), projection.clone());
            let mine = (first..rows.len()).step_by(streams);
            stream::iter(mine.map(move |batch| Ok(rows[batch].project(&projection)?))).boxed()
        };
        let rows = self.rows.iter().map(|batch| batch.num_rows() as u64).sum();
        let found = Found { rows: Some(rows), ..Found::default() };
        Ok(Scan { streams: (0..streams).map(stream).collect(), found })
    }

    async fn fingerprint(&self) -> Result<String> {
        let rows: usize = self.rows.iter().map(RecordBatch::num_rows).sum();
        Ok(format!("{} in memory, {rows} rows", self.reference.path))
    }
}
