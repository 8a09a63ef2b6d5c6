//! Answers to online requests.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use lodestore::core::Error;
use lodestore::core::online::OnlineCell;
use lodestore::core::types::Value;
use lodestore::{OnlineAnswer, OnlinePlan, PlannedKey};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyCapsule, PyDict, PyList, PyString};

use crate::arrow_stream::{schema_capsule, table_capsule};
use crate::convert::{from_value, moment, to_list};
use crate::error::Result;

/// A plan, and the names of its columns as Python has them.
#[pyclass(name = "OnlinePlan", module = "lodestore._lodestore", frozen)]
pub(crate) struct PyOnlinePlan {
    pub(crate) plan: Arc<OnlinePlan>,
    names: Vec<Py<PyString>>,
    key_names: Vec<Py<PyString>>,
    key_schema: SchemaRef,
}

impl PyOnlinePlan {
    pub(crate) fn new(py: Python<'_>, plan: Arc<OnlinePlan>) -> Self {
        let text = |name: &str| PyString::intern(py, name).unbind();
        let names = plan.columns().iter().map(|column| text(&column.name)).collect();
        let key_names = plan.key_columns().iter().map(|key| text(&key.name)).collect();
        let field = |key: &PlannedKey| Field::new(&key.name, key.key_type.feature_type().to_arrow(), true);
        let key_schema = Arc::new(Schema::new(plan.key_columns().iter().map(field).collect::<Vec<_>>()));
        Self { plan, names, key_names, key_schema }
    }

    /// Returns the names of the caller's key columns.
    pub(crate) fn key_names(&self) -> &[Py<PyString>] {
        &self.key_names
    }

    /// Returns the key columns as those of a batch.
    pub(crate) fn key_schema(&self) -> SchemaRef {
        Arc::clone(&self.key_schema)
    }
}

#[pyclass(name = "OnlineResponse", module = "lodestore._lodestore", frozen)]
pub(crate) struct PyOnlineResponse {
    pub(crate) answer: OnlineAnswer,
    pub(crate) plan: Py<PyOnlinePlan>,
}

impl PyOnlineResponse {
    /// Puts a list of something of each cell of a column under the column's name, column by column.
    fn put_lists<'py>(
        &self,
        py: Python<'py>,
        dict: &Bound<'py, PyDict>,
        suffix: Option<&str>,
        item: impl Fn(OnlineCell<'_>) -> Result<Bound<'py, PyAny>>,
    ) -> Result<()> {
        let mut items = Vec::with_capacity(self.answer.len());
        for (column, name) in self.plan.get().names.iter().enumerate() {
            for row in 0..self.answer.len() {
                items.push(item(self.answer.cell(column, row)?)?);
            }
            let list = PyList::new(py, items.drain(..))?;
            match suffix {
                None => dict.set_item(name, list)?,
                Some(suffix) => dict.set_item(format!("{}{suffix}", name.bind(py).to_str()?), list)?,
            }
        }
        Ok(())
    }
}

#[pymethods]
impl PyOnlineResponse {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> Result<Bound<'py, PyAny>> {
        let batch = self.answer.to_batch()?;
        Ok(table_capsule(py, batch.schema(), vec![batch], requested_schema)?)
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>> {
        Ok(schema_capsule(py, &self.answer.to_batch()?.schema())?)
    }

    fn to_dict<'py>(&self, py: Python<'py>, include_event_timestamps: bool) -> Result<Bound<'py, PyDict>> {
        let columns = PyDict::new(py);
        let rows = self.answer.rows();
        for (field, array) in rows.schema_ref().fields().iter().zip(rows.columns()) {
            columns.set_item(field.name(), to_list(py, array)?)?;
        }
        self.put_lists(py, &columns, None, |cell| from_value(py, cell.value))?;
        if include_event_timestamps {
            let none = || py.None().into_bound(py);
            let time = |cell: OnlineCell<'_>| {
                Ok(cell.event_time.map_or_else(|| Ok(none()), |time| moment(py, time.as_micros()))?)
            };
            self.put_lists(py, &columns, Some("__ts"), time)?;
        }
        Ok(columns)
    }

    /// The features' values as float64, row by row: nulls and missing values are NaN.
    fn matrix<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyByteArray>> {
        let columns = self.answer.plan().columns();
        let mut bytes = Vec::with_capacity(self.answer.len() * columns.len() * size_of::<f64>());
        for row in 0..self.answer.len() {
            for (place, column) in columns.iter().enumerate() {
                let number = match self.answer.cell(place, row)?.value {
                    None => f64::NAN,
                    Some(Value::Bool(value)) => f64::from(u8::from(value)),
                    Some(Value::Int32(value)) => f64::from(value),
                    Some(Value::Int64(value)) => value as f64,
                    Some(Value::Float32(value)) => f64::from(value),
                    Some(Value::Float64(value)) => value,
                    Some(_) => {
                        let (name, ty) = (&column.name, &column.feature_type);
                        let what = format!(
                            "feature '{name}' is of type {ty}: only numbers and bools make an array; use to_arrow()"
                        );
                        return Err(Error::invalid(what).into());
                    }
                };
                bytes.extend_from_slice(&number.to_ne_bytes());
            }
        }
        Ok(PyByteArray::new(py, &bytes))
    }

    /// How many features there are.
    fn width(&self) -> usize {
        self.answer.plan().columns().len()
    }

    fn statuses<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyDict>> {
        let statuses = PyDict::new(py);
        self.put_lists(py, &statuses, None, |cell| Ok(PyString::intern(py, cell.status.as_str()).into_any()))?;
        Ok(statuses)
    }
}
