//! Answers to online requests.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use lodestore::core::Error;
use lodestore::core::online::OnlineCell;
use lodestore::core::time::EventTime;
use lodestore::core::types::Value;
use lodestore::{OnlineAnswer, OnlinePlan, PlannedKey};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyCapsule, PyDict, PyList, PyString};

use crate::arrow_stream::{schema_capsule, table_capsule};
use crate::convert::{Item, from_value, moment, to_list};
use crate::error::Result;

/// A plan, and the names of its columns as Python has them.
#[pyclass(name = "OnlinePlan", module = "lodestore._lodestore", frozen)]
pub(crate) struct PyOnlinePlan {
    pub(crate) plan: Arc<OnlinePlan>,
    names: Vec<Py<PyString>>,
    key_names: Vec<Py<PyString>>,
    key_schema: SchemaRef,
    /// The keys, then the features, without values. Answers begin as copies of it, which have all their entries and
    /// their room; it is never handed out itself.
    columns: Py<PyDict>,
}

impl PyOnlinePlan {
    pub(crate) fn new(py: Python<'_>, plan: Arc<OnlinePlan>) -> Result<Self> {
        let text = |name: &str| PyString::intern(py, name).unbind();
        let names: Vec<_> = plan.columns().iter().map(|column| text(&column.name)).collect();
        let key_names: Vec<_> = plan.key_columns().iter().map(|key| text(&key.name)).collect();
        let columns = PyDict::new(py);
        key_names.iter().chain(&names).try_for_each(|name| columns.set_item(name, py.None()))?;
        let field = |key: &PlannedKey| Field::new(&key.name, key.key_type.feature_type().to_arrow(), true);
        let key_schema = Arc::new(Schema::new(plan.key_columns().iter().map(field).collect::<Vec<_>>()));
        Ok(Self { plan, names, key_names, key_schema, columns: columns.unbind() })
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
        mut item: impl FnMut(&OnlineCell<'_>) -> Result<Bound<'py, PyAny>>,
    ) -> Result<()> {
        let mut cells = Vec::with_capacity(self.answer.len());
        for (column, name) in self.plan.get().names.iter().enumerate() {
            cells.clear();
            self.answer.cells(column, &mut cells)?;
            let list = PyList::new(py, cells.iter().map(|cell| Item(item(cell))))?;
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
        let (rows, plan) = (self.answer.rows(), self.plan.get());
        let has_keys_alone = Arc::ptr_eq(rows.schema_ref(), &plan.key_schema);
        let columns = if has_keys_alone { plan.columns.bind(py).copy()? } else { PyDict::new(py) };
        for (field, array) in rows.schema_ref().fields().iter().zip(rows.columns()) {
            columns.set_item(field.name(), to_list(py, array)?)?;
        }
        self.put_lists(py, &columns, None, |cell| from_value(py, cell.value.as_ref()))?;
        if include_event_timestamps {
            // Rows next to each other often have the same time: one object stands for it.
            let mut last: Option<(EventTime, Bound<'py, PyAny>)> = None;
            let time = |cell: &OnlineCell<'_>| {
                let Some(time) = cell.event_time else { return Ok(py.None().into_bound(py)) };
                if let Some((known, same)) = &last
                    && *known == time
                {
                    return Ok(same.clone());
                }
                let made = moment(py, time.as_micros())?;
                last = Some((time, made.clone()));
                Ok(made)
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
