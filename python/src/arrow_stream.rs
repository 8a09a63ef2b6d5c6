//! Arrow streams out to Python, through the PyCapsule interface.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{RecordBatch, RecordBatchReader};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use futures::StreamExt;
use lodestore::Frame;
use lodestore::core::offline::{BatchStream, RunReport};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::ffi::to_schema_pycapsule;
use pyo3_arrow::{PyRecordBatch, PyRecordBatchReader, PyTable};

use crate::error::{PyError, Result};
use crate::runtime::run;

/// Returns an answer as a capsule; its batches are computed as they are asked for.
pub(crate) fn stream_capsule<'py>(
    py: Python<'py>,
    answer: Answer,
    requested: Option<Bound<'py, PyCapsule>>,
) -> PyResult<Bound<'py, PyAny>> {
    capsule_of(py, PyRecordBatchReader::new(Box::new(answer)), requested)
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

/// A job's answer, read by whoever asks, on its thread.
pub(crate) struct Answer {
    schema: SchemaRef,
    /// None when it ended.
    stream: Option<BatchStream>,
    report: Arc<RunReport>,
}

impl Answer {
    pub(crate) fn new(stream: BatchStream, report: Arc<RunReport>) -> Self {
        Self { schema: Arc::clone(&stream.schema), stream: Some(stream), report }
    }

    fn next_batch(&mut self, py: Python<'_>) -> Result<Option<RecordBatch>> {
        let Some(mut stream) = self.stream.take() else { return Ok(None) };
        let next = async {
            let next = stream.batches.next().await.transpose()?;
            Ok(next.map(|batch| (batch, stream)))
        };
        Ok(run(py, &self.report, next)?.map(|(batch, stream)| {
            self.stream = Some(stream);
            batch
        }))
    }
}

impl Iterator for Answer {
    type Item = std::result::Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let outcome = Python::attach(|py| self.next_batch(py));
        outcome.map_err(|error| ArrowError::ExternalError(message(error).into())).transpose()
    }
}

/// Errors cross the Arrow interface as text, under the name of what would have been raised.
fn message(error: PyError) -> String {
    let error = PyErr::from(error);
    Python::attach(|py| error.value(py).to_string())
}

impl RecordBatchReader for Answer {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

/// The lock is never waited for: it is here because streams can't be shared between threads.
#[pyclass(name = "RecordBatches", module = "lodestore._lodestore")]
pub(crate) struct PyRecordBatches(pub(crate) Mutex<Answer>);

#[pymethods]
impl PyRecordBatches {
    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __next__(&mut self, py: Python<'_>) -> Result<Option<PyRecordBatch>> {
        Ok(self.answer().next_batch(py)?.map(PyRecordBatch::new))
    }

    fn __arrow_c_schema__<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        schema_capsule(py, &self.answer().schema)
    }
}

impl PyRecordBatches {
    fn answer(&mut self) -> &mut Answer {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
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
