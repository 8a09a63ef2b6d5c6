//! Values out of Arrow arrays of any encoding, and back into a type's own.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BooleanArray, Date32Array, Decimal128Array,
    FixedSizeListArray, Float32Array, Float64Array, Int32Array, Int64Array, ListArray, MapArray, StringArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use libtest_mimic::Failed;
use lodestore_core::types::FeatureType;

use super::Value;

/// Reads a column of any encoding as values of a feature type.
///
/// # Errors
/// If the column can't hold such values.
pub fn read(array: &ArrayRef, ty: &FeatureType) -> Result<Vec<Value>, Failed> {
    let array = plain(array)?;
    (0..array.len()).map(|row| read_row(&array, row, ty)).collect()
}

/// Returns a column without dictionary.
pub(crate) fn plain(array: &ArrayRef) -> Result<ArrayRef, Failed> {
    match array.data_type() {
        DataType::Dictionary(_, value) => Ok(cast(array, value)?),
        _ => Ok(Arc::clone(array)),
    }
}

fn read_row(array: &ArrayRef, row: usize, ty: &FeatureType) -> Result<Value, Failed> {
    if array.data_type() == &DataType::Null || array.is_null(row) {
        return Ok(Value::Null);
    }
    let wrong = || Failed::from(format!("the oracle can't read {} as {ty}", array.data_type()));
    Ok(match ty {
        FeatureType::Bool => Value::Bool(array.as_boolean_opt().ok_or_else(wrong)?.value(row)),
        FeatureType::Int32 => Value::Int32(integer(array, row).ok_or_else(wrong)?.try_into()?),
        FeatureType::Int64 => Value::Int64(integer(array, row).ok_or_else(wrong)?.try_into()?),
        FeatureType::Float32 => Value::float32(float(array, row).ok_or_else(wrong)?.0),
        FeatureType::Float64 => Value::float64(float(array, row).ok_or_else(wrong)?.1),
        FeatureType::String | FeatureType::Json => Value::Text(text(array, row).ok_or_else(wrong)?),
        FeatureType::Uuid => Value::Text(uuid_text(array, row).ok_or_else(wrong)?),
        FeatureType::Bytes => Value::Bytes(bytes(array, row).ok_or_else(wrong)?),
        FeatureType::Timestamp => Value::Timestamp((nanos(array, row).ok_or_else(wrong)? / 1_000).try_into()?),
        FeatureType::Date => Value::Date((nanos(array, row).ok_or_else(wrong)? / 86_400_000_000_000).try_into()?),
        FeatureType::Decimal { scale, .. } => Value::Decimal(decimal(array, row, *scale).ok_or_else(wrong)?),
        FeatureType::List(item) | FeatureType::Set(item) => {
            Value::List(read(&items(array, row).ok_or_else(wrong)?, item)?)
        }
        FeatureType::Vector { double, .. } => {
            let item = if *double { FeatureType::Float64 } else { FeatureType::Float32 };
            Value::List(read(&items(array, row).ok_or_else(wrong)?, &item)?)
        }
        FeatureType::Struct(fields) => {
            let columns = array.as_struct_opt().ok_or_else(wrong)?;
            let field = |(name, ty): &(String, FeatureType)| {
                read_row(&plain(columns.column_by_name(name).ok_or_else(wrong)?)?, row, ty)
            };
            Value::Struct(fields.iter().map(field).collect::<Result<_, Failed>>()?)
        }
        FeatureType::Map(key, value) => {
            let entries = array.as_map_opt().ok_or_else(wrong)?.value(row);
            let keys = read(entries.column(0), key)?;
            Value::Map(keys.into_iter().zip(read(entries.column(1), value)?).collect())
        }
    })
}

pub(crate) fn integer(array: &ArrayRef, row: usize) -> Option<i128> {
    fn of<T: ArrowPrimitiveType>(array: &ArrayRef, row: usize) -> Option<i128>
    where
        T::Native: Into<i128>,
    {
        array.as_primitive_opt::<T>().map(|a| a.value(row).into())
    }
    of::<Int8Type>(array, row)
        .or_else(|| of::<Int16Type>(array, row))
        .or_else(|| of::<Int32Type>(array, row))
        .or_else(|| of::<Int64Type>(array, row))
        .or_else(|| of::<UInt8Type>(array, row))
        .or_else(|| of::<UInt16Type>(array, row))
        .or_else(|| of::<UInt32Type>(array, row))
        .or_else(|| of::<UInt64Type>(array, row))
}

fn float(array: &ArrayRef, row: usize) -> Option<(f32, f64)> {
    if let Some(floats) = array.as_primitive_opt::<Float32Type>() {
        let value = floats.value(row);
        return Some((value, f64::from(value)));
    }
    let double = match array.as_primitive_opt::<Float64Type>() {
        Some(floats) => floats.value(row),
        None => integer(array, row)? as f64,
    };
    Some((double as f32, double))
}

pub(crate) fn text(array: &ArrayRef, row: usize) -> Option<String> {
    match array.data_type() {
        DataType::Utf8 => Some(array.as_string::<i32>().value(row).to_owned()),
        DataType::LargeUtf8 => Some(array.as_string::<i64>().value(row).to_owned()),
        DataType::Utf8View => Some(array.as_string_view().value(row).to_owned()),
        _ => None,
    }
}

fn uuid_text(array: &ArrayRef, row: usize) -> Option<String> {
    let Some(fixed) = array.as_fixed_size_binary_opt() else { return text(array, row) };
    let hex: String = fixed.value(row).iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

pub(crate) fn bytes(array: &ArrayRef, row: usize) -> Option<Vec<u8>> {
    match array.data_type() {
        DataType::Binary => Some(array.as_binary::<i32>().value(row).to_vec()),
        DataType::LargeBinary => Some(array.as_binary::<i64>().value(row).to_vec()),
        DataType::BinaryView => Some(array.as_binary_view().value(row).to_vec()),
        DataType::FixedSizeBinary(_) => Some(array.as_fixed_size_binary().value(row).to_vec()),
        _ => None,
    }
}

/// Returns a moment as exact nanoseconds.
pub(crate) fn nanos(array: &ArrayRef, row: usize) -> Option<i128> {
    fn scaled<T: ArrowPrimitiveType>(array: &ArrayRef, row: usize, by: i128) -> i128
    where
        T::Native: Into<i128>,
    {
        let value: i128 = array.as_primitive::<T>().value(row).into();
        value * by
    }
    Some(match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => scaled::<TimestampSecondType>(array, row, 1_000_000_000),
        DataType::Timestamp(TimeUnit::Millisecond, _) => scaled::<TimestampMillisecondType>(array, row, 1_000_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => scaled::<TimestampMicrosecondType>(array, row, 1_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => scaled::<TimestampNanosecondType>(array, row, 1),
        DataType::Date32 => scaled::<Date32Type>(array, row, 86_400_000_000_000),
        DataType::Date64 => scaled::<Date64Type>(array, row, 1_000_000),
        _ => return None,
    })
}

fn decimal(array: &ArrayRef, row: usize, scale: i8) -> Option<i128> {
    let (digits, has) = match array.data_type() {
        DataType::Decimal128(_, has) => (array.as_primitive::<Decimal128Type>().value(row), *has),
        _ => (integer(array, row)?, 0),
    };
    Some(digits * 10_i128.pow(u32::try_from(scale - has).ok()?))
}

fn items(array: &ArrayRef, row: usize) -> Option<ArrayRef> {
    match array.data_type() {
        DataType::List(_) => Some(array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => Some(array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => Some(array.as_fixed_size_list().value(row)),
        _ => None,
    }
}

/// Returns an array of a feature type's own Arrow type.
///
/// # Errors
/// If Arrow refuses the parts.
pub fn build(ty: &FeatureType, values: &[Value]) -> Result<ArrayRef, Failed> {
    macro_rules! flat {
        ($array:ty, $variant:ident, $read:expr) => {
            Arc::new(
                values
                    .iter()
                    .map(|value| match value {
                        Value::$variant(value) => Some($read(value)),
                        _ => None,
                    })
                    .collect::<$array>(),
            )
        };
    }
    let array: ArrayRef = match ty {
        FeatureType::Bool => flat!(BooleanArray, Bool, |v: &bool| *v),
        FeatureType::Int32 => flat!(Int32Array, Int32, |v: &i32| *v),
        FeatureType::Int64 => flat!(Int64Array, Int64, |v: &i64| *v),
        FeatureType::Float32 => flat!(Float32Array, Float32, |v: &u32| f32::from_bits(*v)),
        FeatureType::Float64 => flat!(Float64Array, Float64, |v: &u64| f64::from_bits(*v)),
        FeatureType::String | FeatureType::Json | FeatureType::Uuid => flat!(StringArray, Text, |v: &String| v.clone()),
        FeatureType::Bytes => flat!(BinaryArray, Bytes, |v: &Vec<u8>| v.clone()),
        FeatureType::Date => flat!(Date32Array, Date, |v: &i32| *v),
        FeatureType::Timestamp => {
            let times = flat!(TimestampMicrosecondArray, Timestamp, |v: &i64| *v);
            Arc::new(times.as_ref().clone().with_timezone("UTC"))
        }
        FeatureType::Decimal { precision, scale } => {
            let digits = flat!(Decimal128Array, Decimal, |v: &i128| *v);
            Arc::new(digits.as_ref().clone().with_precision_and_scale(*precision, *scale)?)
        }
        FeatureType::List(item) | FeatureType::Set(item) => build_list(ty, item, values)?,
        FeatureType::Vector { double, dim } => build_vector(ty, *double, *dim, values)?,
        FeatureType::Struct(fields) => build_struct(ty, fields, values)?,
        FeatureType::Map(key, value) => build_map(ty, key, value, values)?,
    };
    Ok(array)
}

fn validity(values: &[Value]) -> Option<NullBuffer> {
    values.iter().any(Value::is_null).then(|| values.iter().map(|v| !v.is_null()).collect())
}

fn build_list(ty: &FeatureType, item: &FeatureType, values: &[Value]) -> Result<ArrayRef, Failed> {
    let items = |value: &Value| if let Value::List(items) = value { items.clone() } else { Vec::new() };
    let offsets = OffsetBuffer::from_lengths(values.iter().map(|value| items(value).len()));
    let flat: Vec<Value> = values.iter().flat_map(items).collect();
    let DataType::List(field) = ty.to_arrow() else { return Err("a list's Arrow type is a list".into()) };
    Ok(Arc::new(ListArray::try_new(field, offsets, build(item, &flat)?, validity(values))?))
}

fn build_vector(ty: &FeatureType, double: bool, dim: i32, values: &[Value]) -> Result<ArrayRef, Failed> {
    let item = if double { FeatureType::Float64 } else { FeatureType::Float32 };
    let missing = vec![Value::Null; usize::try_from(dim)?];
    let items = |value: &Value| if let Value::List(items) = value { items.clone() } else { missing.clone() };
    let flat: Vec<Value> = values.iter().flat_map(items).collect();
    let DataType::FixedSizeList(field, _) = ty.to_arrow() else { return Err("a vector is a fixed-size list".into()) };
    Ok(Arc::new(FixedSizeListArray::try_new(field, dim, build(&item, &flat)?, validity(values))?))
}

fn build_struct(ty: &FeatureType, fields: &[(String, FeatureType)], values: &[Value]) -> Result<ArrayRef, Failed> {
    let column =
        |i: usize| values.iter().map(move |v| if let Value::Struct(f) = v { f[i].clone() } else { Value::Null });
    let columns = fields.iter().enumerate().map(|(i, (_, ty))| build(ty, &column(i).collect::<Vec<_>>()));
    let columns = columns.collect::<Result<Vec<_>, Failed>>()?;
    let DataType::Struct(arrow_fields) = ty.to_arrow() else { return Err("a struct's Arrow type is a struct".into()) };
    Ok(Arc::new(StructArray::try_new_with_length(arrow_fields, columns, validity(values), values.len())?))
}

fn build_map(ty: &FeatureType, key: &FeatureType, value: &FeatureType, values: &[Value]) -> Result<ArrayRef, Failed> {
    let entries = |v: &Value| if let Value::Map(entries) = v { entries.clone() } else { Vec::new() };
    let offsets = OffsetBuffer::from_lengths(values.iter().map(|v| entries(v).len()));
    let (keys, items): (Vec<Value>, Vec<Value>) = values.iter().flat_map(entries).unzip();
    let DataType::Map(field, _) = ty.to_arrow() else { return Err("a map's Arrow type is a map".into()) };
    let DataType::Struct(fields) = field.data_type() else { return Err("a map's entries are structs".into()) };
    let columns = vec![build(key, &keys)?, build(value, &items)?];
    let entries = StructArray::try_new(fields.clone(), columns, None)?;
    Ok(Arc::new(MapArray::try_new(field, offsets, entries, validity(values), false)?))
}
