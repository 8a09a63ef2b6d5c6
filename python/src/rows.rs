//! Rows in from Python: Arrow streams and arrays, or dicts of lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema};
use lodestore::core::definition::ViewVersion;
use lodestore::core::request::FeatureRequest;
use lodestore::core::rows::TimeColumns;
use lodestore::core::types::FeatureType;
use lodestore::{Frame, OnlinePlan};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use pyo3_arrow::input::AnyRecordBatch;

use crate::convert::{column, inferred_type};
use crate::error::Result;
use crate::response::PyOnlinePlan;

/// The types that columns of plain Python values take.
pub(crate) enum Declared<'a> {
    /// Those that the values look like.
    Nothing,
    /// These.
    Types(BTreeMap<String, FeatureType>),
    /// Those of the keys of a plan.
    KeysOf(&'a OnlinePlan),
}

impl Declared<'_> {
    fn of(&self, name: &str) -> Option<FeatureType> {
        match self {
            Self::Nothing => None,
            Self::Types(types) => types.get(name).cloned(),
            Self::KeysOf(plan) => {
                let key = plan.key_columns().iter().find(|key| key.name == name);
                key.map(|key| key.key_type.feature_type())
            }
        }
    }
}

/// Returns the declared types of the key columns of a request.
pub(crate) fn key_types(request: &FeatureRequest) -> BTreeMap<String, FeatureType> {
    let keys = request.views.iter().flat_map(|view| view.version.keys.iter().zip(&view.key_columns));
    keys.map(|(key, column)| (column.clone(), key.key_type.feature_type())).collect()
}

/// Returns the declared types of a view's columns.
pub(crate) fn view_types(view: &ViewVersion) -> BTreeMap<String, FeatureType> {
    let keys = view.keys.iter().map(|key| (key.name.to_string(), key.key_type.feature_type()));
    let values = view.source_columns().into_iter().map(|(name, ty)| (name.to_owned(), ty.clone()));
    let TimeColumns { event, created, valid_to } = TimeColumns::of(view);
    let times = [event, created, valid_to].into_iter().flatten().map(|name| (name, FeatureType::Timestamp));
    keys.chain(values).chain(times).collect()
}

/// Reads rows.
pub(crate) fn frame(rows: &Bound<'_, PyAny>, declared: &Declared<'_>) -> Result<Frame> {
    if let Ok(columns) = rows.cast::<PyDict>() {
        let batch = from_columns(columns, declared)?;
        return Ok(Frame { schema: batch.schema(), batches: vec![batch] });
    }
    let table = rows.extract::<AnyRecordBatch>()?.into_table().map_err(PyErr::from)?;
    let (batches, schema) = table.into_inner();
    Ok(Frame { schema, batches })
}

/// Reads rows as one batch.
pub(crate) fn batch(rows: &Bound<'_, PyAny>, declared: &Declared<'_>) -> Result<RecordBatch> {
    let Frame { schema, mut batches } = frame(rows, declared)?;
    if let [_] = batches.as_slice() {
        return batches.pop().ok_or_else(|| lodestore::core::Error::internal("a batch went missing").into());
    }
    Ok(concat_batches(&schema, &batches).map_err(lodestore::core::Error::from)?)
}

/// Reads the rows of an online request, also as the list of dicts or the dict of lists that the caller has.
pub(crate) fn online_rows(rows: &Bound<'_, PyAny>, plan: &PyOnlinePlan) -> Result<RecordBatch> {
    let declared = Declared::KeysOf(&plan.plan);
    let keys = if let Ok(list) = rows.cast_exact::<PyList>() {
        keys_of_rows(list, plan.key_names())?
    } else if let Ok(columns) = rows.cast_exact::<PyDict>() {
        keys_of_columns(columns, plan.key_names())?
    } else {
        return batch(rows, &declared);
    };
    let Some(keys) = keys else {
        let rows = rows.py().import("lodestore._rows")?.call_method1("rows_of", ("entity_rows", rows))?;
        return batch(&rows, &declared);
    };
    let columns = plan.plan.key_columns().iter().zip(&keys);
    let arrays = columns.map(|(key, values)| column(&key.name, values, Some(&key.key_type.feature_type())));
    let keys = RecordBatch::try_new(plan.key_schema(), arrays.collect::<Result<_>>()?);
    Ok(keys.map_err(lodestore::core::Error::from)?)
}

type Columns<'py> = Vec<Vec<Bound<'py, PyAny>>>;

/// Reads lists that are keys in their order and nothing else, as most requests have them; `None` for any other.
fn keys_of_columns<'py>(columns: &Bound<'py, PyDict>, names: &[Py<PyString>]) -> Result<Option<Columns<'py>>> {
    if names.is_empty() || columns.len() != names.len() {
        return Ok(None);
    }
    let mut values: Columns<'py> = Vec::with_capacity(names.len());
    for (name, (given, list)) in names.iter().zip(columns) {
        let Ok(list) = list.cast_into_exact::<PyList>() else { return Ok(None) };
        if !given.eq(name)? || values.first().is_some_and(|first| first.len() != list.len()) {
            return Ok(None);
        }
        values.push(list.iter().collect());
    }
    Ok(Some(values))
}

/// Reads dicts that have keys and nothing else, as most requests do; `None` for any other.
fn keys_of_rows<'py>(rows: &Bound<'py, PyList>, names: &[Py<PyString>]) -> Result<Option<Columns<'py>>> {
    if rows.is_empty() || names.is_empty() {
        return Ok(None);
    }
    let mut values: Columns<'py> = names.iter().map(|_| Vec::with_capacity(rows.len())).collect();
    for row in rows {
        let Ok(row) = row.cast_exact::<PyDict>() else { return Ok(None) };
        if row.len() != names.len() {
            return Ok(None);
        }
        for (name, values) in names.iter().zip(&mut values) {
            let Some(value) = row.get_item(name)? else { return Ok(None) };
            values.push(value);
        }
    }
    Ok(Some(values))
}

fn from_columns(columns: &Bound<'_, PyDict>, declared: &Declared<'_>) -> Result<RecordBatch> {
    let mut fields = Vec::with_capacity(columns.len());
    let mut arrays = Vec::with_capacity(columns.len());
    let mut length = 0;
    for (name, values) in columns {
        let (name, values) = (name.extract::<String>()?, values.cast_into::<PyList>().map_err(PyErr::from)?);
        let values: Vec<_> = values.iter().collect();
        let ty = match declared.of(&name) {
            Some(ty) => Some(ty),
            None => inferred_type(&name, &values)?,
        };
        length = values.len();
        let array = column(&name, &values, ty.as_ref())?;
        fields.push(Field::new(&name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(length));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options);
    Ok(batch.map_err(lodestore::core::Error::from)?)
}
