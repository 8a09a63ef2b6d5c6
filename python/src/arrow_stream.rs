//! Arrow streams out to Python, through the PyCapsule interface.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use futures::StreamExt;
use lodestore::Frame;
use lodestore::core::offline::BatchStream;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::ffi::to_schema_pycapsule;
use pyo3_arrow::{PyRecordBatchReader, PyTable};

use crate::error::PyError;
use crate::runtime::wait;

/// Returns a stream as a capsule; its batches are computed as they are asked for.
pub(crate) fn stream_capsule<'py>(
    py: Python<'py>,
    stream: BatchStream,
    requested: Option<Bound<'py, PyCapsule>>,
) -> PyResult<Bound<'py, PyAny>> {
    let reader = PyRecordBatchReader::new(Box::new(JobReader(stream)));
    capsule_of(py, reader, requested)
}

/// Returns batches as a capsule.
pub(crate) fn table_capsule<'py>(
    py: Python<'py>,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    requested: Option<Bound<'py, PyCapsule>>,
) -> PyResult<Bound<'py, PyAny>> {
    capsule_of(py, PyTable::try_new(batches, schema)?, requested)
}

/// Returns a schema as a capsule.
pub(crate) fn schema_capsule<'py>(py: Python<'py>, schema: &SchemaRef) -> PyResult<Bound<'py, PyAny>> {
    Ok(to_schema_pycapsule(py, schema.as_ref())?.into_any())
}

fn capsule_of<'py, T>(py: Python<'py>, rows: T, requested: Option<Bound<'py, PyCapsule>>) -> PyResult<Bound<'py, PyAny>>
where
    T: pyo3::PyClass + Into<pyo3::PyClassInitializer<T>>,
{
    Bound::new(py, rows)?.into_any().call_method1("__arrow_c_stream__", (requested,))
}

/// Reads a job's answer for whoever consumes the capsule, on its thread.
struct JobReader(BatchStream);

impl Iterator for JobReader {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = async { self.0.batches.next().await.transpose() };
        let outcome = Python::attach(|py| wait(py, next));
        outcome.map_err(|error| ArrowError::ExternalError(message(error).into())).transpose()
    }
}

/// Errors cross the Arrow interface as text, under the name of what would have been raised.
fn message(error: PyError) -> String {
    let error = PyErr::from(error);
    Python::attach(|py| error.value(py).to_string())
}

impl RecordBatchReader for JobReader {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0.schema)
    }
}

#[pyclass(name = "ArrowTable", module = "lodestore._lodestore", frozen)]
pub(crate) struct PyArrowTable(pub(crate) Frame);

#[pymethods]
impl PyArrowTable {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        table_capsule(py, Arc::clone(&self.0.schema), self.0.batches.clone(), requested_schema)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        schema_capsule(py, &self.0.schema)
    }
}
