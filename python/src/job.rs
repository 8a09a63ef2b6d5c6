//! Historical retrievals.

use std::path::Path;

use lodestore::{HistoricalJob, write_frame};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::arrow_stream::{schema_capsule, stream_capsule};
use crate::error::Result;
use crate::runtime::wait;

#[pyclass(name = "RetrievalJob", module = "lodestore._lodestore", frozen)]
pub(crate) struct PyRetrievalJob(pub(crate) HistoricalJob);

#[pymethods]
impl PyRetrievalJob {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> Result<Bound<'py, PyAny>> {
        // The join itself is awaited here, so that its errors are raised as what they are.
        let stream = wait(py, async { self.0.run().await?.started().await })?;
        Ok(stream_capsule(py, stream, requested_schema)?)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        schema_capsule(py, &self.0.plan().schema())
    }

    #[getter]
    fn feature_names(&self) -> Vec<String> {
        self.0.plan().request.columns.iter().map(|column| column.name.clone()).collect()
    }

    fn explain(&self, py: Python<'_>) -> Result<String> {
        wait(py, self.0.explain())
    }

    fn write_parquet(&self, py: Python<'_>, path: &str) -> Result<u64> {
        wait(py, async { write_frame(self.0.run().await?, Path::new(path)).await })
    }
}
