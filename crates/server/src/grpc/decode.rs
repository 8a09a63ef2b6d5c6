//! Values that came over the wire as columns of a declared type.
//!
//! A value is taken where it fits without loss: an int32 for an int64, a whole number within range for any other
//! number, text for a UUID, a decimal, a date or a time. Anything else is an error that names the column and row.

use std::sync::Arc;

use arrow::array::{ArrayRef, FixedSizeListArray, ListArray, MapArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType;
use lodestore::core::time::EventTime;
use lodestore::core::types::{FeatureType, Rounding, Value, ValueBuilder};
use lodestore::core::{Error, Result};

use super::proto::feast::types as wire;
use wire::map_key::Key;
use wire::value::Val;

/// Returns values as an array of a feature type. Item i of the array is value i.
///
/// # Errors
/// `Invalid`, naming `column` and the row, for a value that is not of the type.
pub(super) fn array(column: &str, values: &[wire::Value], ty: &FeatureType) -> Result<ArrayRef> {
    let all: Vec<_> = values.iter().map(known).collect();
    convert(&all, ty).map_err(|error| {
        let row = all.iter().position(|value| convert(&[*value], ty).is_err()).unwrap_or(0);
        Error::invalid(format!("row {row} of column '{column}': {}", error.message()))
    })
}

/// Returns what is set in a value, `None` for null.
fn known(value: &wire::Value) -> Option<&Val> {
    value.val.as_ref().filter(|val| !matches!(val, Val::NullVal(_)))
}

fn convert(values: &[Option<&Val>], ty: &FeatureType) -> Result<ArrayRef> {
    match ty {
        FeatureType::List(item) | FeatureType::Set(item) => lists(values, ty, item),
        FeatureType::Vector { double, dim } => vectors(values, ty, *double, *dim),
        FeatureType::Struct(fields) => structs(values, ty, fields),
        FeatureType::Map(key, item) => maps(values, ty, key, item),
        _ => {
            let mut builder = ValueBuilder::new(ty, values.len());
            for value in values {
                builder.push(value.map(|value| scalar(value, ty)).transpose()?)?;
            }
            builder.finish()
        }
    }
}

fn scalar<'a>(val: &'a Val, ty: &FeatureType) -> Result<Value<'a>> {
    use FeatureType as F;
    let wrong = || not_a(val, ty);
    Ok(match (ty, val) {
        (F::Bool, Val::BoolVal(value)) => Value::Bool(*value),
        (F::Int32, _) => Value::Int32(whole(val).and_then(|value| i32::try_from(value).ok()).ok_or_else(wrong)?),
        (F::Int64, _) => Value::Int64(whole(val).ok_or_else(wrong)?),
        (F::Float32, _) => Value::Float32(float32(val).ok_or_else(wrong)?),
        (F::Float64, _) => Value::Float64(float64(val).ok_or_else(wrong)?),
        (F::String, Val::StringVal(text))
        | (F::Json, Val::JsonVal(text) | Val::StringVal(text))
        | (F::Uuid, Val::UuidVal(text) | Val::TimeUuidVal(text) | Val::StringVal(text)) => Value::Text(text),
        (F::Bytes, Val::BytesVal(bytes)) => Value::Bytes(bytes),
        (F::Timestamp, _) => Value::Timestamp(micros(val, ty)?),
        (F::Date, _) => {
            let (days, rest) =
                (micros(val, ty)?.div_euclid(MICROS_PER_DAY), micros(val, ty)?.rem_euclid(MICROS_PER_DAY));
            let days = i32::try_from(days).ok().filter(|_| rest == 0);
            Value::Date(days.ok_or_else(wrong)?)
        }
        (F::Decimal { precision, scale }, Val::DecimalVal(text) | Val::StringVal(text)) => {
            Value::Decimal { unscaled: unscaled(text, *precision, *scale).ok_or_else(wrong)?, scale: *scale }
        }
        (F::Decimal { precision, scale }, Val::Int32Val(_) | Val::Int64Val(_)) => {
            let text = whole(val).ok_or_else(wrong)?.to_string();
            Value::Decimal { unscaled: unscaled(&text, *precision, *scale).ok_or_else(wrong)?, scale: *scale }
        }
        _ => return Err(wrong()),
    })
}

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// Whole numbers up to this one are exact in 32 and in 64 bits of floating point.
const EXACT_IN_32: i64 = 1 << 24;
const EXACT_IN_64: i64 = 1 << 53;

fn whole(val: &Val) -> Option<i64> {
    match val {
        Val::Int32Val(value) => Some(i64::from(*value)),
        Val::Int64Val(value) => Some(*value),
        _ => None,
    }
}

fn float32(val: &Val) -> Option<f32> {
    match val {
        Val::FloatVal(value) => Some(*value),
        Val::DoubleVal(value) if value.is_nan() => Some(f32::NAN),
        Val::DoubleVal(value) => Some(*value as f32).filter(|narrow| f64::from(*narrow) == *value),
        _ => whole(val).filter(|value| value.abs() <= EXACT_IN_32).map(|value| value as f32),
    }
}

fn float64(val: &Val) -> Option<f64> {
    match val {
        Val::FloatVal(value) => Some(f64::from(*value)),
        Val::DoubleVal(value) => Some(*value),
        _ => whole(val).filter(|value| value.abs() <= EXACT_IN_64).map(|value| value as f64),
    }
}

fn micros(val: &Val, ty: &FeatureType) -> Result<i64> {
    let seconds = match val {
        Val::UnixTimestampVal(seconds) => *seconds,
        Val::ZonedTimestampVal(zoned) => zoned.unix_timestamp,
        Val::StringVal(text) => return Ok(EventTime::parse_rounded(text, Rounding::Up)?.as_micros()),
        _ => return Err(not_a(val, ty)),
    };
    seconds.checked_mul(MICROS_PER_SECOND).ok_or_else(|| not_a(val, ty))
}

/// Returns a decimal number without its point, `None` unless it has at most the digits of its type.
fn unscaled(text: &str, precision: u8, scale: i8) -> Option<i128> {
    let scale = usize::try_from(scale).ok()?;
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let (kept, lost) = fraction.split_at_checked(scale).unwrap_or((fraction, ""));
    if lost.bytes().any(|digit| digit != b'0') {
        return None;
    }
    let unscaled: i128 = format!("{sign}{whole}{kept:0<scale$}").parse().ok()?;
    let limit = 10_i128.checked_pow(u32::from(precision))?;
    (-limit < unscaled && unscaled < limit).then_some(unscaled)
}

fn lists(values: &[Option<&Val>], ty: &FeatureType, item: &FeatureType) -> Result<ArrayRef> {
    let items = values.iter().map(|val| val.map(|val| items(val, ty)).transpose()).collect::<Result<Vec<_>>>()?;
    let nulls = NullBuffer::from_iter(items.iter().map(Option::is_some));
    let offsets = OffsetBuffer::from_lengths(items.iter().map(|items| items.as_ref().map_or(0, Vec::len)));
    let flat: Vec<_> = items.into_iter().flatten().flatten().collect();
    let children = convert(&flat.iter().map(known).collect::<Vec<_>>(), item)?;
    match ty.to_arrow() {
        DataType::List(field) => Ok(Arc::new(ListArray::try_new(field, offsets, children, Some(nulls))?)),
        other => Err(Error::internal(format!("{other} is no list"))),
    }
}

fn vectors(values: &[Option<&Val>], ty: &FeatureType, double: bool, dim: i32) -> Result<ArrayRef> {
    let width = usize::try_from(dim).unwrap_or(0);
    let item = if double { FeatureType::Float64 } else { FeatureType::Float32 };
    let mut flat = Vec::with_capacity(values.len() * width);
    for val in values {
        match val {
            None => flat.resize(flat.len() + width, wire::Value { val: None }),
            Some(val) => {
                let items = items(val, ty)?;
                if items.len() != width {
                    return Err(Error::invalid(format!("it has {} items, but its type is {ty}", items.len())));
                }
                flat.extend(items);
            }
        }
    }
    let children = convert(&flat.iter().map(known).collect::<Vec<_>>(), &item)?;
    let nulls = NullBuffer::from_iter(values.iter().map(Option::is_some));
    match ty.to_arrow() {
        DataType::FixedSizeList(field, _) => {
            Ok(Arc::new(FixedSizeListArray::try_new(field, dim, children, Some(nulls))?))
        }
        other => Err(Error::internal(format!("{other} is no vector"))),
    }
}

fn structs(values: &[Option<&Val>], ty: &FeatureType, fields: &[(String, FeatureType)]) -> Result<ArrayRef> {
    let rows = values.iter().map(|val| val.map(|val| entries(val, ty)).transpose()).collect::<Result<Vec<_>>>()?;
    for name in rows.iter().flatten().flat_map(|row| row.val.keys()) {
        if fields.iter().all(|(field, _)| field != name) {
            return Err(Error::invalid(format!("'{name}' is no field of {ty}")));
        }
    }
    let column = |(name, ty): &(String, FeatureType)| {
        let values: Vec<_> = rows.iter().map(|row| row.and_then(|row| row.val.get(name)).and_then(known)).collect();
        convert(&values, ty)
    };
    let columns = fields.iter().map(column).collect::<Result<Vec<_>>>()?;
    let nulls = NullBuffer::from_iter(rows.iter().map(Option::is_some));
    match ty.to_arrow() {
        DataType::Struct(fields) => {
            Ok(Arc::new(StructArray::try_new_with_length(fields, columns, Some(nulls), values.len())?))
        }
        other => Err(Error::internal(format!("{other} is no struct"))),
    }
}

fn maps(values: &[Option<&Val>], ty: &FeatureType, key: &FeatureType, item: &FeatureType) -> Result<ArrayRef> {
    let (mut keys, mut items, mut lengths) = (Vec::new(), Vec::new(), Vec::with_capacity(values.len()));
    for val in values {
        let before = keys.len();
        match val {
            None => {}
            Some(Val::ScalarMapVal(map)) => {
                for entry in &map.val {
                    let key = entry.key.as_ref().and_then(|key| key.key.as_ref());
                    keys.push(key_val(key.ok_or_else(|| Error::invalid("an entry of the map has no key"))?));
                    items.push(entry.value.as_ref().and_then(known));
                }
            }
            Some(val) => {
                for (name, value) in &entries(val, ty)?.val {
                    keys.push(Val::StringVal(name.clone()));
                    items.push(known(value));
                }
            }
        }
        lengths.push(keys.len() - before);
    }
    let keys = convert(&keys.iter().map(Some).collect::<Vec<_>>(), key)?;
    let items = convert(&items, item)?;
    let nulls = NullBuffer::from_iter(values.iter().map(Option::is_some));
    match ty.to_arrow() {
        DataType::Map(field, sorted) => match field.data_type() {
            DataType::Struct(fields) => {
                let entries = StructArray::try_new(fields.clone(), vec![keys, items], None)?;
                let offsets = OffsetBuffer::from_lengths(lengths);
                Ok(Arc::new(MapArray::try_new(Arc::clone(&field), offsets, entries, Some(nulls), sorted)?))
            }
            other => Err(Error::internal(format!("{other} is no entry of a map"))),
        },
        other => Err(Error::internal(format!("{other} is no map"))),
    }
}

fn entries<'a>(val: &'a Val, ty: &FeatureType) -> Result<&'a wire::Map> {
    match val {
        Val::MapVal(map) | Val::StructVal(map) => Ok(map),
        other => Err(not_a(other, ty)),
    }
}

fn key_val(key: &Key) -> Val {
    match key {
        Key::Int32Key(key) => Val::Int32Val(*key),
        Key::Int64Key(key) => Val::Int64Val(*key),
        Key::FloatKey(key) => Val::FloatVal(*key),
        Key::DoubleKey(key) => Val::DoubleVal(*key),
        Key::BoolKey(key) => Val::BoolVal(*key),
        Key::UnixTimestampKey(key) => Val::UnixTimestampVal(*key),
        Key::BytesKey(key) => Val::BytesVal(key.clone()),
        Key::UuidKey(key) => Val::UuidVal(key.clone()),
        Key::TimeUuidKey(key) => Val::TimeUuidVal(key.clone()),
        Key::DecimalKey(key) => Val::DecimalVal(key.clone()),
    }
}

/// Returns the items of a list or a set of any kind.
fn items(val: &Val, ty: &FeatureType) -> Result<Vec<wire::Value>> {
    /// Wraps each item of a list in a value.
    macro_rules! of {
        ($list:expr, $val:ident) => {
            $list.val.iter().cloned().map(|item| wire::Value { val: Some(Val::$val(item)) }).collect()
        };
    }
    Ok(match val {
        Val::BoolListVal(list) => of!(list, BoolVal),
        Val::BoolSetVal(list) => of!(list, BoolVal),
        Val::Int32ListVal(list) => of!(list, Int32Val),
        Val::Int32SetVal(list) => of!(list, Int32Val),
        Val::Int64ListVal(list) => of!(list, Int64Val),
        Val::Int64SetVal(list) => of!(list, Int64Val),
        Val::FloatListVal(list) => of!(list, FloatVal),
        Val::FloatSetVal(list) => of!(list, FloatVal),
        Val::DoubleListVal(list) => of!(list, DoubleVal),
        Val::DoubleSetVal(list) => of!(list, DoubleVal),
        Val::BytesListVal(list) => of!(list, BytesVal),
        Val::BytesSetVal(list) => of!(list, BytesVal),
        Val::StringListVal(list) => of!(list, StringVal),
        Val::StringSetVal(list) => of!(list, StringVal),
        Val::JsonListVal(list) => of!(list, JsonVal),
        Val::UnixTimestampListVal(list) => of!(list, UnixTimestampVal),
        Val::UnixTimestampSetVal(list) => of!(list, UnixTimestampVal),
        Val::UuidListVal(list) | Val::TimeUuidListVal(list) => of!(list, UuidVal),
        Val::UuidSetVal(list) | Val::TimeUuidSetVal(list) => of!(list, UuidVal),
        Val::DecimalListVal(list) => of!(list, DecimalVal),
        Val::DecimalSetVal(list) => of!(list, DecimalVal),
        Val::MapListVal(list) | Val::StructListVal(list) => of!(list, MapVal),
        Val::ListVal(list) | Val::SetVal(list) => list.val.clone(),
        other => return Err(not_a(other, ty)),
    })
}

/// Returns the error about a value that is not of a type; it shows the value if that is short.
fn not_a(val: &Val, ty: &FeatureType) -> Error {
    const LONGEST: usize = 80;
    let shown = format!("{val:?}");
    let shown = if shown.len() <= LONGEST { shown } else { "the value".to_owned() };
    Error::invalid(format!("{shown} is not a value of type {ty}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(val: Val, ty: &str) -> String {
        let ty = ty.parse().unwrap();
        match array("x", &[wire::Value { val: Some(val) }], &ty) {
            Ok(array) => format!("{:?}", Value::of(array.as_ref(), 0).unwrap().unwrap()),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn numbers_are_taken_where_they_are_exact() {
        assert_eq!(read(Val::Int32Val(7), "int64"), "Int64(7)");
        assert_eq!(read(Val::Int64Val(7), "int32"), "Int32(7)");
        assert_eq!(read(Val::Int64Val(7), "float32"), "Float32(7.0)");
        assert_eq!(read(Val::DoubleVal(0.5), "float32"), "Float32(0.5)");
        assert_eq!(read(Val::DoubleVal(f64::NAN), "float32"), "Float32(NaN)");
        for (val, ty, shown) in [
            (Val::Int64Val(1 << 31), "int32", "Int64Val(2147483648)"),
            (Val::DoubleVal(0.1), "float32", "DoubleVal(0.1)"),
            (Val::Int64Val((1 << 53) + 1), "float64", "Int64Val(9007199254740993)"),
            (Val::DoubleVal(1.0), "int64", "DoubleVal(1.0)"),
            (Val::BoolVal(true), "int64", "BoolVal(true)"),
        ] {
            assert_eq!(read(val, ty), format!("row 0 of column 'x': {shown} is not a value of type {ty}"));
        }
    }

    #[test]
    fn decimals_have_the_digits_of_their_type() {
        assert_eq!(unscaled("-12.3", 5, 2), Some(-1230));
        assert_eq!(unscaled("+.50", 5, 1), Some(5));
        assert_eq!(unscaled("7", 1, 0), Some(7));
        for wrong in ["", ".", "-", "1e3", "1000.00", "0.001", "--1", "0x1", " 1", "1_0", "NaN"] {
            assert_eq!(unscaled(wrong, 5, 2), None, "{wrong}");
        }
    }

    #[test]
    fn times_are_read_from_seconds_and_from_text() {
        assert_eq!(read(Val::UnixTimestampVal(-1), "timestamp"), "Timestamp(-1000000)");
        assert_eq!(read(Val::StringVal("1970-01-01T00:00:01.5Z".into()), "timestamp"), "Timestamp(1500000)");
        assert_eq!(read(Val::UnixTimestampVal(86_400), "date"), "Date(1)");
        assert!(read(Val::UnixTimestampVal(86_401), "date").contains("is not a value of type date"));
        assert!(read(Val::UnixTimestampVal(i64::MAX), "timestamp").contains("is not a value of type timestamp"));
        assert!(read(Val::Int64Val(1), "timestamp").contains("is not a value of type timestamp"));
    }

    #[test]
    fn the_first_wrong_row_is_named() {
        let values = [Val::Int64Val(1), Val::StringVal("1".into())].map(|val| wire::Value { val: Some(val) });
        let error = array("driver_id", &values, &FeatureType::Int64).unwrap_err();
        assert_eq!(error.message(), "row 1 of column 'driver_id': StringVal(\"1\") is not a value of type int64");
    }
}
