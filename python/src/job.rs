//! Historical retrievals.

use std::sync::{Arc, Mutex};

use futures::TryStreamExt;
use lodestore::core::offline::{RunReport, WriteFormat, WriteMode, WriteTarget};
use lodestore::{Frame, HistoricalJob};
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

    fn write_parquet(
        &self,
        py: Python<'_>,
        path: &str,
        partition_by: Vec<String>,
        max_rows_per_file: Option<u64>,
    ) -> Result<u64> {
        let target = WriteTarget::new(path, WriteFormat::Parquet);
        self.write(py, WriteTarget { partition_by, max_rows_per_file, ..target })
    }

    fn write_csv(&self, py: Python<'_>, path: &str) -> Result<u64> {
        self.write(py, WriteTarget::new(path, WriteFormat::Csv))
    }

    fn write_delta(&self, py: Python<'_>, path: &str, partition_by: Vec<String>, append: bool) -> Result<u64> {
        let mode = if append { WriteMode::Append } else { WriteMode::Create };
        let target = WriteTarget { partition_by, mode, ..WriteTarget::new(path, WriteFormat::Delta) };
        self.write(py, target)
    }
}

impl PyRetrievalJob {
    fn new_run(&self) -> (HistoricalJob, Arc<RunReport>) {
        (self.0.clone(), Arc::default())
    }

    /// Runs the job, and returns how many rows were written.
    fn write(&self, py: Python<'_>, target: WriteTarget) -> Result<u64> {
        let (job, report) = self.new_run();
        let written = {
            let report = Arc::clone(&report);
            async move { job.write(&target, &report).await }
        };
        Ok(run(py, &report, written)?.rows)
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
