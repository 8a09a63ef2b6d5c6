//! Historical retrievals.

use std::path::Path;
use std::sync::{Arc, Mutex};

use futures::TryStreamExt;
use lodestore::core::offline::RunReport;
use lodestore::{Frame, HistoricalJob, write_frame};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::arrow_stream::{Answer, PyArrowTable, PyRecordBatches, schema_capsule, stream_capsule};
use crate::error::Result;
use crate::runtime::run;

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
        Ok(stream_capsule(py, self.started(py)?, requested_schema)?)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        schema_capsule(py, &self.0.plan().schema())
    }

    #[getter]
    fn feature_names(&self) -> Vec<String> {
        self.0.plan().request.columns.iter().map(|column| column.name.clone()).collect()
    }

    fn collect(&self, py: Python<'_>) -> Result<PyArrowTable> {
        let (job, report) = self.new_run();
        let collected = {
            let report = Arc::clone(&report);
            async move {
                let answer = report.until_cancelled(job.run_reporting(&report).await?);
                Ok(Frame { schema: answer.schema, batches: answer.batches.try_collect().await? })
            }
        };
        run(py, &report, collected).map(PyArrowTable)
    }

    fn batches(&self, py: Python<'_>) -> Result<PyRecordBatches> {
        Ok(PyRecordBatches(Mutex::new(self.started(py)?)))
    }

    fn explain(&self, py: Python<'_>, analyze: bool) -> Result<String> {
        let (job, report) = self.new_run();
        run(py, &report, async move { if analyze { job.explain_analyze().await } else { job.explain().await } })
    }

    fn write_parquet(&self, py: Python<'_>, path: &str) -> Result<u64> {
        let (job, report) = self.new_run();
        let path = path.to_owned();
        let written = {
            let report = Arc::clone(&report);
            async move {
                let answer = report.until_cancelled(job.run_reporting(&report).await?);
                write_frame(answer, Path::new(&path)).await
            }
        };
        run(py, &report, written)
    }
}

impl PyRetrievalJob {
    fn new_run(&self) -> (HistoricalJob, Arc<RunReport>) {
        (self.0.clone(), Arc::default())
    }

    /// Runs the job up to its first batch: by then the join is done, and its errors are raised as what they are.
    fn started(&self, py: Python<'_>) -> Result<Answer> {
        let (job, report) = self.new_run();
        let started = {
            let report = Arc::clone(&report);
            async move { report.until_cancelled(job.run_reporting(&report).await?).started().await }
        };
        Ok(Answer::new(run(py, &report, started)?, report))
    }
}
