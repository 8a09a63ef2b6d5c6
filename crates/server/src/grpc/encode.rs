//! Values of features and keys as they travel.
//!
//! A timestamp or date travels as seconds, which is all that the message has: microseconds are cut off. A list
//! travels as the list of its type; one with a null inside, or of a type without a list of its own, as a list of
//! values. A null travels as a value with nothing set.

use arrow::array::{Array, ArrayRef, AsArray};
use lodestore::core::types::{FeatureType, Value};
use lodestore::core::{Error, Result};

use super::proto::feast::types as wire;
use wire::map_key::Key;
use wire::value::Val;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;

/// Returns a value of a feature type as it travels.
///
/// # Errors
/// `Unsupported` for a map whose keys can't travel; `Internal` for a value of another type.
pub(super) fn value(value: Option<Value<'_>>, ty: &FeatureType) -> Result<wire::Value> {
    let val = value.map(|value| match value {
        Value::Nested(array) => nested(&array, ty),
        scalar => scalar_val(&scalar, ty),
    });
    Ok(wire::Value { val: val.transpose()? })
}

/// Returns the values of an array, each as it travels.
///
/// # Errors
/// As [`value`].
pub(super) fn values(array: &dyn Array, ty: &FeatureType) -> Result<Vec<wire::Value>> {
    (0..array.len()).map(|row| value(Value::of(array, row)?, ty)).collect()
}

fn scalar_val(value: &Value<'_>, ty: &FeatureType) -> Result<Val> {
    Ok(match *value {
        Value::Bool(value) => Val::BoolVal(value),
        Value::Int32(value) => Val::Int32Val(value),
        Value::Int64(value) => Val::Int64Val(value),
        Value::Float32(value) => Val::FloatVal(value),
        Value::Float64(value) => Val::DoubleVal(value),
        Value::Timestamp(micros) => Val::UnixTimestampVal(seconds(micros)),
        Value::Date(days) => Val::UnixTimestampVal(midnight(days)),
        Value::Decimal { unscaled, scale } => Val::DecimalVal(decimal(unscaled, scale)),
        Value::Text(text) => match ty {
            FeatureType::Json => Val::JsonVal(text.to_owned()),
            FeatureType::Uuid => Val::UuidVal(text.to_owned()),
            _ => Val::StringVal(text.to_owned()),
        },
        Value::Bytes(bytes) => Val::BytesVal(bytes.to_vec()),
        Value::Nested(_) => return Err(not_of(ty)),
    })
}

fn nested(array: &ArrayRef, ty: &FeatureType) -> Result<Val> {
    match ty {
        FeatureType::List(item) => list(array.as_list::<i32>().value(0).as_ref(), item, Collection::List),
        FeatureType::Set(item) => list(array.as_list::<i32>().value(0).as_ref(), item, Collection::Set),
        FeatureType::Vector { double, .. } => {
            let item = if *double { FeatureType::Float64 } else { FeatureType::Float32 };
            list(array.as_fixed_size_list().value(0).as_ref(), &item, Collection::List)
        }
        FeatureType::Struct(fields) => {
            let columns = array.as_struct();
            let field = |(place, (name, ty)): (usize, &(String, FeatureType))| {
                Ok((name.clone(), value(Value::of(columns.column(place), 0)?, ty)?))
            };
            Ok(Val::StructVal(wire::Map { val: fields.iter().enumerate().map(field).collect::<Result<_>>()? }))
        }
        FeatureType::Map(key, item) => {
            let entries = array.as_map().value(0);
            map(values(entries.column(0), key)?, key, values(entries.column(1), item)?)
        }
        other => Err(not_of(other)),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Collection {
    List,
    Set,
}

/// Returns a list or set in the form that its items' type has, or as values where it has none.
fn list(items: &dyn Array, ty: &FeatureType, kind: Collection) -> Result<Val> {
    let items = values(items, ty)?;
    Ok(match typed_list(&items, ty, kind) {
        Some(val) => val,
        None if kind == Collection::Set => Val::SetVal(wire::RepeatedValue { val: items }),
        None => Val::ListVal(wire::RepeatedValue { val: items }),
    })
}

/// Returns items of one type in the list or set of that type; `None` if there is none, or an item is null.
fn typed_list(items: &[wire::Value], ty: &FeatureType, kind: Collection) -> Option<Val> {
    use Collection::{List, Set};
    use FeatureType as F;
    /// Takes the items of one kind, and gives them to the list or the set of that kind.
    macro_rules! of {
        ($val:ident, $list:ident, $list_of:ident, $set:ident, $set_of:ident) => {{
            let val = items.iter().map(|item| match &item.val {
                Some(Val::$val(value)) => Some(value.clone()),
                _ => None,
            });
            let val = val.collect::<Option<Vec<_>>>()?;
            Some(match kind {
                List => Val::$list(wire::$list_of { val }),
                Set => Val::$set(wire::$set_of { val }),
            })
        }};
    }
    match (ty, kind) {
        (F::Bool, _) => of!(BoolVal, BoolListVal, BoolList, BoolSetVal, BoolSet),
        (F::Int32, _) => of!(Int32Val, Int32ListVal, Int32List, Int32SetVal, Int32Set),
        (F::Int64, _) => of!(Int64Val, Int64ListVal, Int64List, Int64SetVal, Int64Set),
        (F::Float32, _) => of!(FloatVal, FloatListVal, FloatList, FloatSetVal, FloatSet),
        (F::Float64, _) => of!(DoubleVal, DoubleListVal, DoubleList, DoubleSetVal, DoubleSet),
        (F::String, _) => of!(StringVal, StringListVal, StringList, StringSetVal, StringSet),
        (F::Bytes, _) => of!(BytesVal, BytesListVal, BytesList, BytesSetVal, BytesSet),
        (F::Timestamp | F::Date, _) => {
            of!(UnixTimestampVal, UnixTimestampListVal, Int64List, UnixTimestampSetVal, Int64Set)
        }
        (F::Uuid, _) => of!(UuidVal, UuidListVal, StringList, UuidSetVal, StringSet),
        (F::Decimal { .. }, _) => of!(DecimalVal, DecimalListVal, StringList, DecimalSetVal, StringSet),
        (F::Json, List) => of!(JsonVal, JsonListVal, StringList, StringSetVal, StringSet),
        (F::Struct(_), List) => maps(items).map(|val| Val::StructListVal(wire::MapList { val })),
        (F::Map(..), List) => maps(items).map(|val| Val::MapListVal(wire::MapList { val })),
        (F::Json | F::Struct(_) | F::Map(..), Set) | (F::List(_) | F::Set(_) | F::Vector { .. }, _) => None,
    }
}

fn maps(items: &[wire::Value]) -> Option<Vec<wire::Map>> {
    let map = |item: &wire::Value| match &item.val {
        Some(Val::StructVal(map) | Val::MapVal(map)) => Some(map.clone()),
        _ => None,
    };
    items.iter().map(map).collect()
}

fn map(keys: Vec<wire::Value>, key_type: &FeatureType, values: Vec<wire::Value>) -> Result<Val> {
    if matches!(key_type, FeatureType::String | FeatureType::Json) {
        let name = |key: wire::Value| match key.val {
            Some(Val::StringVal(text) | Val::JsonVal(text)) => Ok(text),
            _ => Err(not_of(key_type)),
        };
        let entries = keys.into_iter().map(name).zip(values).map(|(name, value)| Ok((name?, value)));
        return Ok(Val::MapVal(wire::Map { val: entries.collect::<Result<_>>()? }));
    }
    let entry = |(key, value): (wire::Value, wire::Value)| {
        let key = match key.val {
            Some(Val::Int32Val(key)) => Key::Int32Key(key),
            Some(Val::Int64Val(key)) => Key::Int64Key(key),
            Some(Val::FloatVal(key)) => Key::FloatKey(key),
            Some(Val::DoubleVal(key)) => Key::DoubleKey(key),
            Some(Val::BoolVal(key)) => Key::BoolKey(key),
            Some(Val::UnixTimestampVal(key)) => Key::UnixTimestampKey(key),
            Some(Val::BytesVal(key)) => Key::BytesKey(key),
            Some(Val::UuidVal(key)) => Key::UuidKey(key),
            Some(Val::DecimalVal(key)) => Key::DecimalKey(key),
            _ => return Err(Error::unsupported(format!("a map with keys of type {key_type} can't be sent over gRPC"))),
        };
        Ok(wire::ScalarMapEntry { key: Some(wire::MapKey { key: Some(key) }), value: Some(value) })
    };
    let val = keys.into_iter().zip(values).map(entry).collect::<Result<_>>()?;
    Ok(Val::ScalarMapVal(wire::ScalarMap { val }))
}

fn not_of(ty: &FeatureType) -> Error {
    Error::internal(format!("a value that is read is not of its type, {ty}"))
}

fn seconds(micros: i64) -> i64 {
    micros.div_euclid(MICROS_PER_SECOND)
}

fn midnight(days: i32) -> i64 {
    i64::from(days) * SECONDS_PER_DAY
}

/// Returns a decimal number with all digits of its scale.
fn decimal(unscaled: i128, scale: i8) -> String {
    let scale = usize::try_from(scale).unwrap_or(0);
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if unscaled < 0 { "-" } else { "" };
    let point = if scale == 0 { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_digits() {
        assert_eq!(decimal(-5, 2), "-0.05");
        assert_eq!(decimal(1200, 2), "12.00");
        assert_eq!(decimal(7, 0), "7");
        assert_eq!(decimal(i128::MIN, 38), "-1.70141183460469231731687303715884105728");
    }

    #[test]
    fn times_before_the_epoch_are_cut_off_downwards() {
        assert_eq!((seconds(-1), seconds(1_999_999)), (-1, 1));
        assert_eq!(midnight(-1), -86_400);
    }
}
