//! Python values as Arrow columns, and back.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeListArray,
    Float32Array, Float64Array, Int32Array, Int64Array, ListArray, MapArray, NullArray, StringArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, DecimalType};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use lodestore::core::Error;
use lodestore::core::types::{FeatureType, Value};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};

use crate::error::Result;

/// The day 1970-01-01 as Python counts days.
const EPOCH_ORDINAL: i32 = 719_163;

type Given<'py> = Bound<'py, PyAny>;

/// Returns a column of Python values as an array of a type; without one, all values are None.
///
/// # Errors
/// `Invalid`, naming the column, row and value, for a value of another type.
pub(crate) fn column(name: &str, values: &[Given<'_>], ty: Option<&FeatureType>) -> Result<ArrayRef> {
    match ty {
        None => Ok(Arc::new(NullArray::new(values.len()))),
        Some(ty) => array(values, ty).map_err(|Mismatch(row)| {
            let shown = values.get(row).map_or_else(String::new, |value| {
                let text = value.repr().map_or_else(|_| "?".to_owned(), |text| text.to_string());
                let class = value.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
                format!("{text} ({class})")
            });
            Error::invalid(format!("column '{name}' has {shown} in row {row}, which is no {ty}")).into()
        }),
    }
}

/// Returns the type of a column of Python values; `None` if all are None.
///
/// # Errors
/// `Invalid`, naming the column, for values that have no type here.
pub(crate) fn inferred_type(name: &str, values: &[Given<'_>]) -> Result<Option<FeatureType>> {
    let mut found: Option<FeatureType> = None;
    for value in values.iter().filter(|value| !is_missing(value)) {
        let ty = type_of(value).ok_or_else(|| {
            Error::invalid(format!("column '{name}': no type is known for {:?}", value.get_type().to_string()))
        })?;
        found = match (found, ty) {
            (None, ty) => Some(ty),
            (Some(FeatureType::Int64), FeatureType::Float64) | (Some(FeatureType::Float64), FeatureType::Int64) => {
                Some(FeatureType::Float64)
            }
            (Some(FeatureType::List(_)), ty @ FeatureType::List(_)) => Some(ty),
            (Some(first), _) => Some(first),
        };
    }
    Ok(found)
}

fn type_of(value: &Given<'_>) -> Option<FeatureType> {
    if value.is_instance_of::<PyBool>() {
        return Some(FeatureType::Bool);
    }
    if value.is_instance_of::<PyInt>() {
        return Some(FeatureType::Int64);
    }
    if value.is_instance_of::<PyFloat>() {
        return Some(FeatureType::Float64);
    }
    if value.is_instance_of::<PyString>() {
        return Some(FeatureType::String);
    }
    if value.is_instance_of::<PyBytes>() {
        return Some(FeatureType::Bytes);
    }
    if let Ok(items) = value.cast::<PyList>() {
        let item = items.iter().find(|item| !is_missing(item)).and_then(|item| type_of(&item));
        return Some(FeatureType::List(Box::new(item.unwrap_or(FeatureType::String))));
    }
    if value.hasattr("hour").unwrap_or(false) && value.hasattr("toordinal").unwrap_or(false) {
        return Some(FeatureType::Timestamp);
    }
    if value.hasattr("toordinal").unwrap_or(false) {
        return Some(FeatureType::Date);
    }
    if value.extract::<i64>().is_ok() {
        return Some(FeatureType::Int64);
    }
    value.extract::<f64>().is_ok().then_some(FeatureType::Float64)
}

/// None, and what pandas puts for a missing time.
fn is_missing(value: &Given<'_>) -> bool {
    // The name of a type is a new text each time: values of the usual types are not asked for it.
    let is_usual = value.is_exact_instance_of::<PyInt>() || value.is_exact_instance_of::<PyString>();
    !is_usual && (value.is_none() || value.get_type().name().is_ok_and(|name| name == "NaTType"))
}

/// The row of the first value that is not of the type.
struct Mismatch(usize);

fn values_of<'py, T>(
    values: &[Given<'py>],
    extract: impl Fn(&Given<'py>) -> Option<T>,
) -> std::result::Result<Vec<Option<T>>, Mismatch> {
    let value = |(row, value)| if is_missing(value) { Ok(None) } else { extract(value).map(Some).ok_or(Mismatch(row)) };
    values.iter().enumerate().map(value).collect()
}

fn array(values: &[Given<'_>], ty: &FeatureType) -> std::result::Result<ArrayRef, Mismatch> {
    let integer = |value: &Given<'_>| if value.is_instance_of::<PyBool>() { None } else { value.extract::<i64>().ok() };
    let number = |value: &Given<'_>| {
        let is_number = !value.is_instance_of::<PyBool>() && !value.is_instance_of::<PyString>();
        if is_number { value.extract::<f64>().ok() } else { None }
    };
    Ok(match ty {
        FeatureType::Bool => Arc::new(BooleanArray::from(values_of(values, |v| v.extract::<bool>().ok())?)),
        FeatureType::Int32 => {
            let narrow = |v: &Given<'_>| i32::try_from(integer(v)?).ok();
            Arc::new(Int32Array::from(values_of(values, narrow)?))
        }
        FeatureType::Int64 => Arc::new(Int64Array::from(values_of(values, integer)?)),
        // A Python float has 64 bits: it is rounded to the 32 of the feature, as everywhere in Python.
        FeatureType::Float32 => Arc::new(Float32Array::from(values_of(values, |v| number(v).map(|n| n as f32))?)),
        FeatureType::Float64 => Arc::new(Float64Array::from(values_of(values, number)?)),
        FeatureType::String | FeatureType::Json => {
            Arc::new(StringArray::from(values_of(values, |v| v.extract::<String>().ok())?))
        }
        FeatureType::Uuid => {
            let text = |v: &Given<'_>| match v.extract::<String>() {
                Ok(text) => Some(text),
                Err(_) => v.hasattr("hex").ok().filter(|&has| has).and_then(|_| v.str().ok()).map(|s| s.to_string()),
            };
            Arc::new(StringArray::from(values_of(values, text)?))
        }
        FeatureType::Bytes => {
            Arc::new(values_of(values, |v| v.extract::<Vec<u8>>().ok())?.into_iter().collect::<BinaryArray>())
        }
        FeatureType::Timestamp => {
            let micros = TimestampMicrosecondArray::from(values_of(values, |v| micros(v).ok())?);
            Arc::new(micros.with_timezone("UTC"))
        }
        FeatureType::Date => {
            let days =
                |v: &Given<'_>| v.call_method0("toordinal").ok()?.extract::<i32>().ok().map(|d| d - EPOCH_ORDINAL);
            Arc::new(Date32Array::from(values_of(values, days)?))
        }
        FeatureType::Decimal { precision, scale } => {
            let unscaled = |v: &Given<'_>| decimal(v, *precision, *scale);
            let array = Decimal128Array::from(values_of(values, unscaled)?);
            Arc::new(array.with_precision_and_scale(*precision, *scale).map_err(|_| Mismatch(0))?)
        }
        FeatureType::List(_) | FeatureType::Set(_) | FeatureType::Vector { .. } => list(values, ty)?,
        FeatureType::Struct(fields) => structs(values, fields)?,
        FeatureType::Map(key, value) => map(values, key, value)?,
    })
}

fn list(values: &[Given<'_>], ty: &FeatureType) -> std::result::Result<ArrayRef, Mismatch> {
    let item = match ty {
        FeatureType::Vector { double: true, .. } => &FeatureType::Float64,
        FeatureType::Vector { .. } => &FeatureType::Float32,
        FeatureType::List(item) | FeatureType::Set(item) => item.as_ref(),
        _ => return Err(Mismatch(0)),
    };
    let dim = if let FeatureType::Vector { dim, .. } = ty { usize::try_from(*dim).ok() } else { None };
    let mut items = Vec::new();
    let mut owners = Vec::new();
    let mut lengths = Vec::with_capacity(values.len());
    let mut valid = Vec::with_capacity(values.len());
    for (row, value) in values.iter().enumerate() {
        let before = items.len();
        valid.push(!is_missing(value));
        if is_missing(value) {
            items.extend((0..dim.unwrap_or(0)).map(|_| value.py().None().into_bound(value.py())));
        } else if value.is_instance_of::<PyString>() || value.is_instance_of::<PyBytes>() {
            return Err(Mismatch(row));
        } else {
            for one in value.try_iter().map_err(|_| Mismatch(row))? {
                items.push(one.map_err(|_| Mismatch(row))?);
            }
        }
        if dim.is_some_and(|dim| items.len() - before != dim) {
            return Err(Mismatch(row));
        }
        owners.resize(items.len(), row);
        lengths.push(items.len() - before);
    }
    let items = array(&items, item).map_err(|Mismatch(place)| Mismatch(owners[place]))?;
    let nulls = Some(NullBuffer::from(valid));
    match ty.to_arrow() {
        DataType::List(field) => {
            let list = ListArray::try_new(field, OffsetBuffer::from_lengths(lengths), items, nulls);
            list.map(|list| Arc::new(list) as ArrayRef).map_err(|_| Mismatch(0))
        }
        DataType::FixedSizeList(field, size) => {
            let list = FixedSizeListArray::try_new(field, size, items, nulls);
            list.map(|list| Arc::new(list) as ArrayRef).map_err(|_| Mismatch(0))
        }
        _ => Err(Mismatch(0)),
    }
}

fn structs(values: &[Given<'_>], fields: &[(String, FeatureType)]) -> std::result::Result<ArrayRef, Mismatch> {
    let ty = FeatureType::Struct(fields.to_vec()).to_arrow();
    let (DataType::Struct(arrow_fields), mut columns) = (ty, Vec::with_capacity(fields.len())) else {
        return Err(Mismatch(0));
    };
    let valid: Vec<bool> = values.iter().map(|value| !is_missing(value)).collect();
    for (name, ty) in fields {
        let mut of_field = Vec::with_capacity(values.len());
        for (row, value) in values.iter().enumerate() {
            of_field.push(if valid[row] {
                let dict = value.cast::<PyDict>().map_err(|_| Mismatch(row))?;
                dict.get_item(name).ok().flatten().unwrap_or_else(|| value.py().None().into_bound(value.py()))
            } else {
                value.clone()
            });
        }
        columns.push(array(&of_field, ty)?);
    }
    let array = StructArray::try_new_with_length(arrow_fields, columns, Some(NullBuffer::from(valid)), values.len());
    array.map(|array| Arc::new(array) as ArrayRef).map_err(|_| Mismatch(0))
}

fn map(values: &[Given<'_>], key: &FeatureType, value: &FeatureType) -> std::result::Result<ArrayRef, Mismatch> {
    let ty = FeatureType::Map(Box::new(key.clone()), Box::new(value.clone())).to_arrow();
    let DataType::Map(entries_field, _) = ty else { return Err(Mismatch(0)) };
    let DataType::Struct(fields) = entries_field.data_type().clone() else { return Err(Mismatch(0)) };
    let (mut keys, mut items, mut owners) = (Vec::new(), Vec::new(), Vec::new());
    let mut lengths = Vec::with_capacity(values.len());
    let valid: Vec<bool> = values.iter().map(|value| !is_missing(value)).collect();
    for (row, one) in values.iter().enumerate() {
        let before = keys.len();
        if valid[row] {
            for (key, item) in one.cast::<PyDict>().map_err(|_| Mismatch(row))? {
                keys.push(key);
                items.push(item);
                owners.push(row);
            }
        }
        lengths.push(keys.len() - before);
    }
    let owner = |Mismatch(place): Mismatch| Mismatch(owners.get(place).copied().unwrap_or(0));
    let columns = vec![array(&keys, key).map_err(&owner)?, array(&items, value).map_err(&owner)?];
    let entries = StructArray::try_new(fields, columns, None).map_err(|_| Mismatch(0))?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let map = MapArray::try_new(entries_field, offsets, entries, Some(NullBuffer::from(valid)), false);
    map.map(|map| Arc::new(map) as ArrayRef).map_err(|_| Mismatch(0))
}

fn micros(value: &Given<'_>) -> PyResult<i64> {
    value.py().import("lodestore._rows")?.call_method1("micros", ("value", value))?.extract()
}

/// Returns UTC microseconds as an aware datetime.
pub(crate) fn moment(py: Python<'_>, micros: i64) -> PyResult<Bound<'_, PyAny>> {
    static MOMENT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    MOMENT.import(py, "lodestore._rows", "moment")?.call1((micros,))
}

/// Returns a decimal.Decimal, int or text times ten to the scale, if it is exact and fits.
fn decimal(value: &Given<'_>, precision: u8, scale: i8) -> Option<i128> {
    if value.is_instance_of::<PyFloat>() || value.is_instance_of::<PyBool>() {
        return None;
    }
    let decimal = value.py().import("decimal").ok()?.getattr("Decimal").ok()?.call1((value.str().ok()?,)).ok()?;
    let text = decimal.call_method1("__format__", ("f",)).ok()?.extract::<String>().ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let scale = usize::try_from(scale).ok()?;
    let (kept, rest) = fraction.split_at(fraction.len().min(scale));
    if rest.bytes().any(|digit| digit != b'0') {
        return None;
    }
    let unscaled: i128 = format!("{whole}{kept:0<scale$}").parse().ok()?;
    (unscaled.unsigned_abs() < 10_u128.pow(u32::from(precision))).then_some(unscaled)
}

/// An item of a list that is being made, or why there is none.
pub(crate) struct Item<'py>(pub(crate) Result<Given<'py>>);

impl<'py> IntoPyObject<'py> for Item<'py> {
    type Target = PyAny;
    type Output = Given<'py>;
    type Error = PyErr;

    #[inline]
    fn into_pyobject(self, _: Python<'py>) -> PyResult<Given<'py>> {
        Ok(self.0?)
    }
}

/// Returns an array's values as a list of Python values.
pub(crate) fn to_list<'py>(py: Python<'py>, array: &ArrayRef) -> Result<Bound<'py, PyList>> {
    Ok(PyList::new(py, (0..array.len()).map(|row| Item(to_value(py, array.as_ref(), row))))?)
}

fn to_value<'py>(py: Python<'py>, array: &dyn Array, row: usize) -> Result<Bound<'py, PyAny>> {
    match Value::of(array, row) {
        Ok(value) => from_value(py, value.as_ref()),
        Err(_) => other_value(py, array, row, array.data_type()),
    }
}

/// Returns a value of a feature, or None.
#[inline]
pub(crate) fn from_value<'py>(py: Python<'py>, value: Option<&Value<'_>>) -> Result<Bound<'py, PyAny>> {
    let Some(value) = value else { return Ok(py.None().into_bound(py)) };
    Ok(match *value {
        Value::Bool(value) => PyBool::new(py, value).to_owned().into_any(),
        Value::Int32(value) => value.into_pyobject(py).map_err(PyErr::from)?.into_any(),
        Value::Int64(value) => value.into_pyobject(py).map_err(PyErr::from)?.into_any(),
        Value::Float32(value) => PyFloat::new(py, f64::from(value)).into_any(),
        Value::Float64(value) => PyFloat::new(py, value).into_any(),
        Value::Text(value) => PyString::new(py, value).into_any(),
        Value::Bytes(value) => PyBytes::new(py, value).into_any(),
        Value::Timestamp(micros) => moment(py, micros)?,
        Value::Date(days) => {
            py.import("datetime")?.getattr("date")?.call_method1("fromordinal", (days + EPOCH_ORDINAL,))?
        }
        Value::Decimal { unscaled, scale } => {
            let text = Decimal128Type::format_decimal(unscaled, DECIMAL128_MAX_PRECISION, scale);
            py.import("decimal")?.getattr("Decimal")?.call1((text,))?
        }
        Value::Nested(ref array) => nested(py, array.as_ref())?,
    })
}

/// Returns the only value of an array of lists, vectors, structs or maps.
fn nested<'py>(py: Python<'py>, array: &dyn Array) -> Result<Bound<'py, PyAny>> {
    Ok(match array.data_type() {
        DataType::List(_) => to_list(py, &array.as_list::<i32>().value(0))?.into_any(),
        DataType::FixedSizeList(..) => to_list(py, &array.as_fixed_size_list().value(0))?.into_any(),
        DataType::Struct(fields) => {
            let dict = PyDict::new(py);
            for (field, column) in fields.iter().zip(array.as_struct().columns()) {
                dict.set_item(field.name(), to_value(py, column, 0)?)?;
            }
            dict.into_any()
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(0);
            let dict = PyDict::new(py);
            for entry in 0..entries.len() {
                let (key, value) = (entries.column(0), entries.column(1));
                dict.set_item(to_value(py, key, entry)?, to_value(py, value, entry)?)?;
            }
            dict.into_any()
        }
        other => return Err(Error::internal(format!("values of {other} are not nested")).into()),
    })
}

/// Returns a value of a type that only a caller's own columns have.
fn other_value<'py>(py: Python<'py>, array: &dyn Array, row: usize, ty: &DataType) -> Result<Bound<'py, PyAny>> {
    if let Some(feature_type) = FeatureType::from_arrow(ty) {
        let one = array.slice(row, 1);
        if let Ok(widened) = lodestore::core::types::widen("value", &one, &feature_type, row) {
            return to_value(py, widened.as_ref(), 0);
        }
    }
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options).map_err(Error::from)?;
    Ok(PyString::new(py, &formatter.value(row).to_string()).into_any())
}
