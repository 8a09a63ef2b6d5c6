//! Feature types: their names, their Arrow forms, lossless widening and a total order of values.

mod compare;
mod parse;
mod times;
mod value;
mod widen;

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field as ArrowField, Fields, Schema, TimeUnit};

use crate::error::{Error, Result};

pub use compare::{Comparator, comparator, compare_rows, compare_values};
pub use times::{Rounding, event_times, is_time};
pub use value::{Value, ValueBuilder};
pub use widen::{can_widen, widen};

/// The type of a feature (rule V1). `Display` and `FromStr` use the names of the definition files.
///
/// # Examples
/// ```
/// use lodestore_core::types::FeatureType;
/// let ty: FeatureType = "map<string, list<float64>>".parse()?;
/// assert_eq!(ty.to_string(), "map<string, list<float64>>");
/// # Ok::<(), lodestore_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FeatureType {
    /// True or false.
    Bool,
    /// A signed integer of 32 bits.
    Int32,
    /// A signed integer of 64 bits.
    Int64,
    /// An IEEE 754 number of 32 bits.
    Float32,
    /// An IEEE 754 number of 64 bits.
    Float64,
    /// UTF-8 text.
    String,
    /// Bytes.
    Bytes,
    /// UTC microseconds.
    Timestamp,
    /// A calendar day.
    Date,
    /// JSON text, kept as it was written.
    Json,
    /// A UUID in its text form.
    Uuid,
    /// A decimal number of `precision` digits, `scale` of them after the point.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point, at most `precision`.
        scale: i8,
    },
    /// Values in order; may be null inside.
    List(Box<Self>),
    /// Distinct values, kept in the order they were given.
    Set(Box<Self>),
    /// Exactly `dim` floats: an embedding.
    Vector {
        /// Whether the floats have 64 bits; they have 32 otherwise.
        double: bool,
        /// How many floats, at least 1.
        dim: i32,
    },
    /// Named values.
    Struct(Vec<(String, Self)>),
    /// Keys, each with a value.
    Map(Box<Self>, Box<Self>),
}

/// The name of a list's only child in Arrow.
const ITEM: &str = "item";

impl FeatureType {
    /// Returns the Arrow type that values of this type have on every path.
    #[must_use]
    pub fn to_arrow(&self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::String | Self::Json | Self::Uuid => DataType::Utf8,
            Self::Bytes => DataType::Binary,
            Self::Timestamp => timestamp_type(),
            Self::Date => DataType::Date32,
            Self::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            Self::List(item) | Self::Set(item) => DataType::List(item_field(item.to_arrow())),
            Self::Vector { double, dim } => {
                let item = if *double { DataType::Float64 } else { DataType::Float32 };
                DataType::FixedSizeList(item_field(item), *dim)
            }
            Self::Struct(fields) => DataType::Struct(
                fields.iter().map(|(name, ty)| ArrowField::new(name, ty.to_arrow(), true)).collect::<Fields>(),
            ),
            Self::Map(key, value) => {
                let entries = Fields::from(vec![
                    ArrowField::new("keys", key.to_arrow(), false),
                    ArrowField::new("values", value.to_arrow(), true),
                ]);
                DataType::Map(Arc::new(ArrowField::new("entries", DataType::Struct(entries), false)), false)
            }
        }
    }

    /// Returns the narrowest feature type that holds every value of an Arrow type, if there is one.
    #[must_use]
    pub fn from_arrow(ty: &DataType) -> Option<Self> {
        let boxed = |field: &ArrowField| Self::from_arrow(field.data_type()).map(Box::new);
        Some(match ty {
            DataType::Boolean => Self::Bool,
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => Self::Int32,
            DataType::Int64 | DataType::UInt32 => Self::Int64,
            DataType::Float16 | DataType::Float32 => Self::Float32,
            DataType::Float64 => Self::Float64,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::String,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Self::Bytes
            }
            DataType::Timestamp(..) => Self::Timestamp,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) => {
                Self::Decimal { precision: *p, scale: *s }
            }
            DataType::List(f) | DataType::LargeList(f) | DataType::ListView(f) => Self::List(boxed(f)?),
            DataType::FixedSizeList(f, dim) => match f.data_type() {
                DataType::Float32 => Self::Vector { double: false, dim: *dim },
                DataType::Float64 => Self::Vector { double: true, dim: *dim },
                _ => Self::List(boxed(f)?),
            },
            DataType::Struct(fields) => Self::Struct(
                fields
                    .iter()
                    .map(|f| Some((f.name().clone(), Self::from_arrow(f.data_type())?)))
                    .collect::<Option<_>>()?,
            ),
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(kv) if kv.len() == 2 => Self::Map(boxed(&kv[0])?, boxed(&kv[1])?),
                _ => return None,
            },
            DataType::Dictionary(_, value) => return Self::from_arrow(value),
            _ => return None,
        })
    }

    /// Returns one value, given as JSON, as an array of length one.
    ///
    /// Timestamps and dates are ISO 8601 text, decimals text or numbers, bytes hexadecimal text.
    ///
    /// # Errors
    /// `Invalid` if the JSON value is not of this type.
    pub fn array_from_json(&self, value: &serde_json::Value) -> Result<ArrayRef> {
        let schema = Arc::new(Schema::new(vec![ArrowField::new("value", self.to_arrow(), true)]));
        let wrong = |why: &dyn fmt::Display| Error::invalid(format!("{value} is not a value of type {self} ({why})"));
        let mut decoder =
            arrow::json::ReaderBuilder::new(schema).with_strict_mode(true).build_decoder().map_err(|e| wrong(&e))?;
        decoder.serialize(&[serde_json::json!({ "value": value })]).map_err(|e| wrong(&e))?;
        match decoder.flush().map_err(|e| wrong(&e))? {
            Some(batch) => Ok(Arc::clone(batch.column(0))),
            None => Err(wrong(&"nothing was read")),
        }
    }
}

/// Returns the Arrow type of every event time: microseconds, UTC.
#[must_use]
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Returns the field of a list's items: nullable, called `item`.
fn item_field(ty: DataType) -> Arc<ArrowField> {
    Arc::new(ArrowField::new(ITEM, ty, true))
}

impl fmt::Display for FeatureType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int32 => f.write_str("int32"),
            Self::Int64 => f.write_str("int64"),
            Self::Float32 => f.write_str("float32"),
            Self::Float64 => f.write_str("float64"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Date => f.write_str("date"),
            Self::Json => f.write_str("json"),
            Self::Uuid => f.write_str("uuid"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision}, {scale})"),
            Self::List(item) => write!(f, "list<{item}>"),
            Self::Set(item) => write!(f, "set<{item}>"),
            Self::Vector { double, dim } => write!(f, "vector<{}, {dim}>", if *double { "float64" } else { "float32" }),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (i, (name, ty)) in fields.iter().enumerate() {
                    let separator = if i == 0 { "" } else { ", " };
                    write!(f, "{separator}{name}: {ty}")?;
                }
                f.write_str(">")
            }
            Self::Map(key, value) => write!(f, "map<{key}, {value}>"),
        }
    }
}

/// The type of a join key: the types whose values can be told apart exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// A signed integer of 32 bits; equal by value to one of 64 bits.
    Int32,
    /// A signed integer of 64 bits.
    Int64,
    /// UTF-8 text.
    String,
    /// Bytes.
    Bytes,
    /// True or false.
    Bool,
    /// UTC microseconds.
    Timestamp,
    /// A calendar day.
    Date,
    /// A UUID; equal by value, however its text is written.
    Uuid,
}

impl KeyType {
    /// Returns the feature type of the same name.
    #[must_use]
    pub fn feature_type(self) -> FeatureType {
        match self {
            Self::Int32 => FeatureType::Int32,
            Self::Int64 => FeatureType::Int64,
            Self::String => FeatureType::String,
            Self::Bytes => FeatureType::Bytes,
            Self::Bool => FeatureType::Bool,
            Self::Timestamp => FeatureType::Timestamp,
            Self::Date => FeatureType::Date,
            Self::Uuid => FeatureType::Uuid,
        }
    }
}

impl TryFrom<&FeatureType> for KeyType {
    type Error = Error;

    fn try_from(ty: &FeatureType) -> Result<Self> {
        Ok(match ty {
            FeatureType::Int32 => Self::Int32,
            FeatureType::Int64 => Self::Int64,
            FeatureType::String => Self::String,
            FeatureType::Bytes => Self::Bytes,
            FeatureType::Bool => Self::Bool,
            FeatureType::Timestamp => Self::Timestamp,
            FeatureType::Date => Self::Date,
            FeatureType::Uuid => Self::Uuid,
            other => {
                return Err(Error::invalid(format!(
                    "{other} can't be the type of a join key; expected int32, int64, string, bytes, bool, timestamp, date or uuid"
                )));
            }
        })
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.feature_type().fmt(f)
    }
}

/// Returns the values behind a dictionary, or the array itself.
fn plain_values(array: &ArrayRef) -> Result<ArrayRef> {
    match array.as_any_dictionary_opt() {
        Some(dictionary) => {
            let value_type = dictionary.values().data_type().clone();
            Ok(arrow::compute::cast(array, &value_type)?)
        }
        None => Ok(Arc::clone(array)),
    }
}
