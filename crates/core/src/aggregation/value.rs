//! Values that outlive the row they were read from.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, ListArray, MapArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType;

use super::codec::{Reader, Writer};
use crate::error::{Error, Result};
use crate::types::{FeatureType, Value, ValueBuilder};

/// A value of a feature that is not null, held by itself. Ordered as [`crate::types::compare_values`] orders.
#[derive(Debug, Clone)]
pub enum OwnedValue {
    /// True or false.
    Bool(bool),
    /// A signed integer of 32 bits.
    Int32(i32),
    /// A signed integer of 64 bits.
    Int64(i64),
    /// A number of 32 bits.
    Float32(f32),
    /// A number of 64 bits.
    Float64(f64),
    /// UTC microseconds since 1970-01-01.
    Timestamp(i64),
    /// Days since 1970-01-01.
    Date(i32),
    /// The digits of a decimal; its type has the scale.
    Decimal(i128),
    /// A string, JSON text or a UUID in its text form.
    Text(Box<str>),
    /// Bytes.
    Bytes(Box<[u8]>),
    /// The items of a list, set or vector; the fields of a struct; the keys of a map, each before its value.
    Items(Box<[Option<Self>]>),
}

impl OwnedValue {
    /// Returns a copy of a value.
    ///
    /// # Errors
    /// `Internal` for values of a type that no feature has.
    #[inline]
    pub fn new(value: &Value<'_>) -> Result<Self> {
        Ok(match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Int32(value) => Self::Int32(*value),
            Value::Int64(value) => Self::Int64(*value),
            Value::Float32(value) => Self::Float32(*value),
            Value::Float64(value) => Self::Float64(*value),
            Value::Timestamp(value) => Self::Timestamp(*value),
            Value::Date(value) => Self::Date(*value),
            Value::Decimal { unscaled, .. } => Self::Decimal(*unscaled),
            Value::Text(value) => Self::Text((*value).into()),
            Value::Bytes(value) => Self::Bytes((*value).into()),
            Value::Nested(array) => nested(array)?,
        })
    }

    /// Returns whether this is NaN.
    #[inline]
    #[must_use]
    pub fn is_nan(&self) -> bool {
        match self {
            Self::Float32(value) => value.is_nan(),
            Self::Float64(value) => value.is_nan(),
            _ => false,
        }
    }

    /// Returns the value with one NaN for all, and 0.0 for -0.0: what distinct values are told apart by.
    #[inline]
    #[must_use]
    pub fn into_key(self) -> Self {
        match self {
            Self::Float32(value) if value.is_nan() => Self::Float32(f32::NAN),
            Self::Float64(value) if value.is_nan() => Self::Float64(f64::NAN),
            // The sum with 0.0 is 0.0 for both zeros.
            Self::Float32(value) => Self::Float32(value + 0.0),
            Self::Float64(value) => Self::Float64(value + 0.0),
            other => other,
        }
    }

    /// Returns an array of a type from values, with null for `None`.
    ///
    /// # Errors
    /// `Internal` for values of other types.
    pub fn array(ty: &FeatureType, values: &[Option<&Self>]) -> Result<ArrayRef> {
        match ty {
            FeatureType::List(_) | FeatureType::Set(_) | FeatureType::Vector { .. } => lists(ty, values),
            FeatureType::Struct(fields) => structs(ty, fields, values),
            FeatureType::Map(key, value) => maps(ty, key, value, values),
            _ => {
                let mut builder = ValueBuilder::new(ty, values.len());
                for value in values {
                    builder.push(value.map(|value| value.as_value(ty)).transpose()?)?;
                }
                builder.finish()
            }
        }
    }

    /// Returns a plain value as it lies here.
    fn as_value(&self, ty: &FeatureType) -> Result<Value<'_>> {
        Ok(match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Int32(value) => Value::Int32(*value),
            Self::Int64(value) => Value::Int64(*value),
            Self::Float32(value) => Value::Float32(*value),
            Self::Float64(value) => Value::Float64(*value),
            Self::Timestamp(value) => Value::Timestamp(*value),
            Self::Date(value) => Value::Date(*value),
            Self::Decimal(unscaled) => {
                let scale = if let FeatureType::Decimal { scale, .. } = ty { *scale } else { 0 };
                Value::Decimal { unscaled: *unscaled, scale }
            }
            Self::Text(value) => Value::Text(value),
            Self::Bytes(value) => Value::Bytes(value),
            Self::Items(_) => return Err(Error::internal(format!("items are no value of {ty}"))),
        })
    }

    /// Returns a number that orders the kinds; values of one type are of one kind.
    fn kind(&self) -> u8 {
        match self {
            Self::Bool(_) => 0,
            Self::Int32(_) => 1,
            Self::Int64(_) => 2,
            Self::Float32(_) => 3,
            Self::Float64(_) => 4,
            Self::Timestamp(_) => 5,
            Self::Date(_) => 6,
            Self::Decimal(_) => 7,
            Self::Text(_) => 8,
            Self::Bytes(_) => 9,
            Self::Items(_) => 10,
        }
    }

    pub(super) fn encode(&self, to: &mut Writer<'_>) {
        match self {
            Self::Bool(value) => to.byte(u8::from(*value)),
            Self::Int32(value) | Self::Date(value) => to.integer(i64::from(*value)),
            Self::Int64(value) | Self::Timestamp(value) => to.integer(*value),
            Self::Float32(value) => to.bytes(&value.to_le_bytes()),
            Self::Float64(value) => to.bytes(&value.to_le_bytes()),
            Self::Decimal(value) => to.bytes(&value.to_le_bytes()),
            Self::Text(value) => to.sized(value.as_bytes()),
            Self::Bytes(value) => to.sized(value),
            Self::Items(items) => {
                to.natural(items.len() as u64);
                items.iter().for_each(|item| encode_option(item.as_ref(), to));
            }
        }
    }

    pub(super) fn decode(ty: &FeatureType, from: &mut Reader<'_>) -> Result<Self> {
        Ok(match ty {
            FeatureType::Bool => Self::Bool(from.flag()?),
            FeatureType::Int32 => Self::Int32(int32(from)?),
            FeatureType::Date => Self::Date(int32(from)?),
            FeatureType::Int64 => Self::Int64(from.integer()?),
            FeatureType::Timestamp => Self::Timestamp(from.integer()?),
            FeatureType::Float32 => Self::Float32(f32::from_le_bytes(from.array()?)),
            FeatureType::Float64 => Self::Float64(f64::from_le_bytes(from.array()?)),
            FeatureType::Decimal { .. } => Self::Decimal(i128::from_le_bytes(from.array()?)),
            FeatureType::String | FeatureType::Json | FeatureType::Uuid => {
                let text = std::str::from_utf8(from.sized()?)
                    .map_err(|error| Error::corrupt("a stored text is not UTF-8").with_source(error))?;
                Self::Text(text.into())
            }
            FeatureType::Bytes => Self::Bytes(from.sized()?.into()),
            FeatureType::List(_)
            | FeatureType::Set(_)
            | FeatureType::Vector { .. }
            | FeatureType::Struct(_)
            | FeatureType::Map(..) => Self::Items(decode_items(ty, from)?),
        })
    }
}

pub(super) fn encode_option(value: Option<&OwnedValue>, to: &mut Writer<'_>) {
    to.byte(u8::from(value.is_some()));
    if let Some(value) = value {
        value.encode(to);
    }
}

pub(super) fn decode_option(ty: &FeatureType, from: &mut Reader<'_>) -> Result<Option<OwnedValue>> {
    Ok(if from.flag()? { Some(OwnedValue::decode(ty, from)?) } else { None })
}

fn int32(from: &mut Reader<'_>) -> Result<i32> {
    i32::try_from(from.integer()?).map_err(|error| Error::corrupt("a stored integer has 32 bits").with_source(error))
}

fn decode_items(ty: &FeatureType, from: &mut Reader<'_>) -> Result<Box<[Option<OwnedValue>]>> {
    let wrong = |length: usize| Error::corrupt(format!("a stored value of {length} items is no {ty}"));
    let length = from.length(1)?;
    let fits = match ty {
        FeatureType::Struct(fields) => length == fields.len(),
        FeatureType::Vector { dim, .. } => length as u64 == u64::from(dim.unsigned_abs()),
        FeatureType::Map(..) => length % 2 == 0,
        _ => true,
    };
    if !fits {
        return Err(wrong(length));
    }
    let items = (0..length).map(|i| {
        let item = match ty {
            FeatureType::List(item) | FeatureType::Set(item) => item.as_ref(),
            FeatureType::Vector { double: true, .. } => &FeatureType::Float64,
            FeatureType::Vector { .. } => &FeatureType::Float32,
            FeatureType::Struct(fields) => &fields[i].1,
            FeatureType::Map(key, value) => {
                if i % 2 == 0 {
                    key
                } else {
                    value
                }
            }
            other => other,
        };
        let value = decode_option(item, from)?;
        let is_key = matches!(ty, FeatureType::Map(..)) && i % 2 == 0;
        if is_key && value.is_none() { Err(wrong(length)) } else { Ok(value) }
    });
    items.collect()
}

/// Returns the items of an array of length 1.
fn nested(array: &ArrayRef) -> Result<OwnedValue> {
    let all = |items: &ArrayRef| -> Result<Vec<Option<OwnedValue>>> {
        (0..items.len()).map(|row| Value::of(items.as_ref(), row)?.as_ref().map(OwnedValue::new).transpose()).collect()
    };
    let items = match array.data_type() {
        DataType::List(_) => all(&array.as_list::<i32>().value(0))?,
        DataType::FixedSizeList(..) => all(&array.as_fixed_size_list().value(0))?,
        DataType::Struct(_) => {
            let fields = array.as_struct().columns().iter();
            fields
                .map(|field| Value::of(field.as_ref(), 0)?.as_ref().map(OwnedValue::new).transpose())
                .collect::<Result<_>>()?
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(0);
            let (keys, values) = (all(entries.column(0))?, all(entries.column(1))?);
            keys.into_iter().zip(values).flat_map(|(key, value)| [key, value]).collect()
        }
        other => return Err(Error::internal(format!("{other} has no items"))),
    };
    Ok(OwnedValue::Items(items.into()))
}

/// Returns the items of each value, none for null.
fn items_of<'a>(values: &[Option<&'a OwnedValue>]) -> Vec<&'a [Option<OwnedValue>]> {
    let items = values.iter().map(|value| match value {
        Some(OwnedValue::Items(items)) => &**items,
        _ => &[],
    });
    items.collect()
}

fn validity(values: &[Option<&OwnedValue>]) -> Option<NullBuffer> {
    values.iter().any(Option::is_none).then(|| values.iter().map(Option::is_some).collect())
}

fn lists(ty: &FeatureType, values: &[Option<&OwnedValue>]) -> Result<ArrayRef> {
    let rows = items_of(values);
    let flat: Vec<Option<&OwnedValue>> = rows.iter().flat_map(|row| row.iter().map(Option::as_ref)).collect();
    match (ty, ty.to_arrow()) {
        (FeatureType::List(item) | FeatureType::Set(item), DataType::List(field)) => {
            let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| row.len()));
            Ok(Arc::new(ListArray::try_new(field, offsets, OwnedValue::array(item, &flat)?, validity(values))?))
        }
        (FeatureType::Vector { double, dim }, DataType::FixedSizeList(field, size)) => {
            let item = if *double { FeatureType::Float64 } else { FeatureType::Float32 };
            let missing = vec![None; dim.unsigned_abs() as usize];
            let row = |row: &&[Option<OwnedValue>]| -> Vec<Option<OwnedValue>> {
                if row.is_empty() { missing.clone() } else { row.to_vec() }
            };
            let flat: Vec<Option<OwnedValue>> = rows.iter().flat_map(row).collect();
            let items = OwnedValue::array(&item, &flat.iter().map(Option::as_ref).collect::<Vec<_>>())?;
            Ok(Arc::new(FixedSizeListArray::try_new(field, size, items, validity(values))?))
        }
        _ => Err(Error::internal(format!("{ty} is no list"))),
    }
}

fn structs(ty: &FeatureType, fields: &[(String, FeatureType)], values: &[Option<&OwnedValue>]) -> Result<ArrayRef> {
    let rows = items_of(values);
    let columns = fields.iter().enumerate().map(|(i, (_, ty))| {
        let column: Vec<Option<&OwnedValue>> = rows.iter().map(|row| row.get(i).and_then(Option::as_ref)).collect();
        OwnedValue::array(ty, &column)
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let DataType::Struct(fields) = ty.to_arrow() else { return Err(Error::internal(format!("{ty} is no struct"))) };
    Ok(Arc::new(StructArray::try_new_with_length(fields, columns, validity(values), values.len())?))
}

fn maps(ty: &FeatureType, key: &FeatureType, value: &FeatureType, values: &[Option<&OwnedValue>]) -> Result<ArrayRef> {
    let rows = items_of(values);
    let half = |odd: usize| -> Vec<Option<&OwnedValue>> {
        rows.iter().flat_map(|row| row.iter().skip(odd).step_by(2).map(Option::as_ref)).collect()
    };
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| row.len() / 2));
    let columns = vec![OwnedValue::array(key, &half(0))?, OwnedValue::array(value, &half(1))?];
    let DataType::Map(field, sorted) = ty.to_arrow() else { return Err(Error::internal(format!("{ty} is no map"))) };
    let DataType::Struct(fields) = field.data_type() else {
        return Err(Error::internal(format!("the entries of {ty} are no structs")));
    };
    let entries = StructArray::try_new(fields.clone(), columns, None)?;
    Ok(Arc::new(MapArray::try_new(field, offsets, entries, validity(values), sorted)?))
}

impl Ord for OwnedValue {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(l), Self::Bool(r)) => l.cmp(r),
            (Self::Int32(l), Self::Int32(r)) | (Self::Date(l), Self::Date(r)) => l.cmp(r),
            (Self::Int64(l), Self::Int64(r)) | (Self::Timestamp(l), Self::Timestamp(r)) => l.cmp(r),
            (Self::Float32(l), Self::Float32(r)) => {
                let bits = || l.to_bits().cmp(&r.to_bits());
                l.is_nan().cmp(&r.is_nan()).then_with(|| if l.is_nan() { bits() } else { l.total_cmp(r) })
            }
            (Self::Float64(l), Self::Float64(r)) => {
                let bits = || l.to_bits().cmp(&r.to_bits());
                l.is_nan().cmp(&r.is_nan()).then_with(|| if l.is_nan() { bits() } else { l.total_cmp(r) })
            }
            (Self::Decimal(l), Self::Decimal(r)) => l.cmp(r),
            (Self::Text(l), Self::Text(r)) => l.cmp(r),
            (Self::Bytes(l), Self::Bytes(r)) => l.cmp(r),
            (Self::Items(l), Self::Items(r)) => l.cmp(r),
            _ => self.kind().cmp(&other.kind()),
        }
    }
}

impl PartialOrd for OwnedValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for OwnedValue {
    /// Equal bits: NaN equals itself, and -0.0 is not 0.0.
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for OwnedValue {}

impl Hash for OwnedValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Bool(value) => value.hash(state),
            Self::Int32(value) | Self::Date(value) => value.hash(state),
            Self::Int64(value) | Self::Timestamp(value) => value.hash(state),
            Self::Float32(value) => value.to_bits().hash(state),
            Self::Float64(value) => value.to_bits().hash(state),
            Self::Decimal(value) => value.hash(state),
            Self::Text(value) => value.hash(state),
            Self::Bytes(value) => value.hash(state),
            Self::Items(items) => items.hash(state),
        }
    }
}
