//! Answers to online requests.

use lodestore::OnlineAnswer;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyList};

use crate::arrow_stream::{schema_capsule, table_capsule};
use crate::convert::{moment, to_list};
use crate::error::Result;

#[pyclass(name = "OnlineResponse", module = "lodestore._lodestore", frozen)]
pub(crate) struct PyOnlineResponse(pub(crate) OnlineAnswer);

#[pymethods]
impl PyOnlineResponse {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> Result<Bound<'py, PyAny>> {
        let batch = self.0.to_batch()?;
        Ok(table_capsule(py, batch.schema(), vec![batch], requested_schema)?)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        Ok(schema_capsule(py, &self.0.to_batch()?.schema())?)
    }

    fn to_dict<'py>(&self, py: Python<'py>, include_event_timestamps: bool) -> Result<Bound<'py, PyDict>> {
        let columns = PyDict::new(py);
        let rows = &self.0.rows;
        for (field, array) in rows.schema_ref().fields().iter().zip(rows.columns()) {
            columns.set_item(field.name(), to_list(py, array)?)?;
        }
        for feature in &self.0.features {
            columns.set_item(&feature.name, to_list(py, &feature.values)?)?;
        }
        if include_event_timestamps {
            for feature in &self.0.features {
                let times = feature.event_times.iter().map(|time| time.map(|t| moment(py, t.as_micros())).transpose());
                let times = times.collect::<PyResult<Vec<_>>>()?;
                columns.set_item(format!("{}__ts", feature.name), PyList::new(py, times)?)?;
            }
        }
        Ok(columns)
    }

    fn statuses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let statuses = PyDict::new(py);
        for feature in &self.0.features {
            let of_feature = feature.statuses.iter().map(|status| status.as_str());
            statuses.set_item(&feature.name, PyList::new(py, of_feature)?)?;
        }
        Ok(statuses)
    }
}
