//! The canonical byte form of entity keys.
//!
//! A key is the values of a view's join keys, in ascending order of the join keys' names, each
//! written one after the other:
//!
//! | type | bytes |
//! | --- | --- |
//! | int32, int64, timestamp, date | the value as a signed 64-bit integer, big-endian, its sign bit flipped (8 bytes) |
//! | bool | 0 or 1 (1 byte) |
//! | string, bytes | each 0x00 as 0x00 0xFF, the rest as it is, then 0x00 0x00 |
//! | uuid | the value's 16 bytes |
//!
//! The order of the bytes is the order of the values within a type, no key is a prefix of another
//! of the same view, and equal values have equal bytes: int32 7 and int64 7 are the same key. The
//! key of a view without entities is empty. Nothing in the bytes tells the types: they are the view's.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type, Int64Type, TimeUnit, TimestampMicrosecondType};

use crate::error::{Error, Result};
use crate::types::KeyType;

/// The keys of some rows in their canonical form: row i of the array is the key of row i, null
/// where a value of the key is null, and such a key matches nothing (rule P6).
#[derive(Debug, Clone, PartialEq)]
pub struct EntityKeys(BinaryArray);

impl EntityKeys {
    /// Encodes keys from the values of their join keys, given in ascending order of the names.
    ///
    /// Integer columns of any width are compared by value with integer keys; text columns of any
    /// encoding with text keys.
    ///
    /// # Errors
    /// `Invalid` if a column's type can't hold values of its join key's type; it names the column.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use arrow::array::{ArrayRef, Int32Array};
    /// use lodestore_core::entity_key::EntityKeys;
    /// use lodestore_core::types::KeyType;
    /// let column: ArrayRef = Arc::new(Int32Array::from(vec![Some(-1), None]));
    /// let keys = EntityKeys::encode(2, &[("driver_id", &column, KeyType::Int64)])?;
    /// assert_eq!(keys.get(0), Some(&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..]));
    /// assert_eq!(keys.get(1), None);
    /// # Ok::<(), lodestore_core::Error>(())
    /// ```
    pub fn encode(rows: usize, columns: &[(&str, &ArrayRef, KeyType)]) -> Result<Self> {
        let parts =
            columns.iter().map(|(name, array, ty)| KeyPart::new(name, array, *ty)).collect::<Result<Vec<_>>>()?;
        let mut keys = BinaryBuilder::with_capacity(rows, rows * 8 * parts.len());
        let mut key = Vec::new();
        for row in 0..rows {
            key.clear();
            if parts.iter().all(|part| part.append(row, &mut key)) {
                keys.append_value(&key);
            } else {
                keys.append_null();
            }
        }
        Ok(Self(keys.finish()))
    }

    /// Returns keys that were encoded before.
    #[must_use]
    pub fn from_encoded(keys: BinaryArray) -> Self {
        Self(keys)
    }

    /// Returns the key of a row, `None` where a value of the key is null.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        self.0.is_valid(row).then(|| self.0.value(row))
    }

    /// Returns how many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the keys as an Arrow array.
    #[must_use]
    pub fn as_array(&self) -> &BinaryArray {
        &self.0
    }

    /// Returns the keys of all rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.0.iter()
    }
}

/// Returns whether the values of a column of type `from` can be compared with keys of type `to` (rule P6).
///
/// # Examples
/// ```
/// use arrow::datatypes::DataType;
/// use lodestore_core::entity_key::can_be_key;
/// use lodestore_core::types::KeyType;
/// assert!(can_be_key(&DataType::UInt64, KeyType::Int32));
/// assert!(!can_be_key(&DataType::Float64, KeyType::Int64));
/// ```
#[must_use]
pub fn can_be_key(from: &DataType, to: KeyType) -> bool {
    match from {
        DataType::Null => true,
        DataType::Dictionary(_, value) => can_be_key(value, to),
        _ => match to {
            KeyType::Int32 | KeyType::Int64 => from.is_integer(),
            KeyType::String => is_text(from),
            KeyType::Bytes => is_bytes(from),
            KeyType::Bool => matches!(from, DataType::Boolean),
            KeyType::Timestamp => matches!(from, DataType::Timestamp(..)),
            KeyType::Date => matches!(from, DataType::Date32),
            KeyType::Uuid => is_text(from) || matches!(from, DataType::FixedSizeBinary(16)),
        },
    }
}

/// The values of one join key, in one of two forms: equal values of the key are equal there.
#[derive(Debug, Clone)]
pub enum KeyColumn {
    /// Of an integer, date, timestamp or bool key.
    Integers(Int64Array),
    /// Of a string, bytes or uuid key.
    Bytes(BinaryArray),
}

impl KeyColumn {
    /// Returns the values of a column, null where the column is null or its value equals no key.
    ///
    /// # Errors
    /// `Invalid` if the column's type can't hold values of the join key's type; it names the column.
    pub fn new(name: &str, array: &ArrayRef, ty: KeyType) -> Result<Self> {
        Ok(match KeyPart::new(name, array, ty)? {
            KeyPart::Integer(values) => Self::Integers(values),
            KeyPart::Bool(values) => Self::Integers(values.iter().map(|value| value.map(i64::from)).collect()),
            KeyPart::Bytes(values) => Self::Bytes(values),
            KeyPart::Uuid(values) => {
                Self::Bytes(values.iter().map(|value| value.as_ref().map(|v| v.as_slice())).collect())
            }
        })
    }
}

/// One join key's column, ready to be appended row by row.
enum KeyPart {
    Integer(Int64Array),
    Bool(arrow::array::BooleanArray),
    Bytes(BinaryArray),
    Uuid(Vec<Option<[u8; 16]>>),
}

impl KeyPart {
    fn new(name: &str, array: &ArrayRef, ty: KeyType) -> Result<Self> {
        let from = array.data_type();
        if !can_be_key(from, ty) {
            return Err(Error::invalid(format!(
                "column '{name}' has type {from}, but join key '{name}' is {ty}; keys of different types are never equal"
            )));
        }
        Ok(match ty {
            // A value that is out of the type's range equals no key: the cast makes it null.
            KeyType::Int32 | KeyType::Int64 => {
                Self::Integer(cast(array, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            KeyType::Bool => Self::Bool(cast(array, &DataType::Boolean)?.as_boolean().clone()),
            KeyType::String | KeyType::Bytes => Self::Bytes(cast(array, &DataType::Binary)?.as_binary::<i32>().clone()),
            KeyType::Date => {
                let days = cast(array, &DataType::Date32)?;
                Self::Integer(days.as_primitive::<Date32Type>().unary(i64::from))
            }
            KeyType::Timestamp => Self::Integer(exact_micros(array)?),
            KeyType::Uuid => Self::Uuid(uuids(name, array)?),
        })
    }

    /// Appends the value of a row; returns false where it is null.
    fn append(&self, row: usize, key: &mut Vec<u8>) -> bool {
        match self {
            Self::Integer(values) => {
                key.extend_from_slice(&((values.value(row) ^ i64::MIN).to_be_bytes()));
                values.is_valid(row)
            }
            Self::Bool(values) => {
                key.push(u8::from(values.value(row)));
                values.is_valid(row)
            }
            Self::Bytes(values) => {
                for &byte in values.value(row) {
                    key.push(byte);
                    if byte == 0 {
                        key.push(0xff);
                    }
                }
                key.extend_from_slice(&[0, 0]);
                values.is_valid(row)
            }
            Self::Uuid(values) => {
                key.extend_from_slice(&values[row].unwrap_or_default());
                values[row].is_some()
            }
        }
    }
}

fn is_text(ty: &DataType) -> bool {
    matches!(ty, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_bytes(ty: &DataType) -> bool {
    matches!(ty, DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_))
}

/// Returns timestamps in microseconds, null where a finer one falls between two.
fn exact_micros(array: &ArrayRef) -> Result<Int64Array> {
    let unit = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let micros = cast(array, &unit)?;
    let back = cast(&micros, array.data_type())?;
    let same = arrow::compute::kernels::cmp::eq(&back, array)?;
    let micros = micros.as_primitive::<TimestampMicrosecondType>();
    Ok((0..micros.len())
        .map(|i| (micros.is_valid(i) && same.is_valid(i) && same.value(i)).then(|| micros.value(i)))
        .collect())
}

fn uuids(name: &str, array: &ArrayRef) -> Result<Vec<Option<[u8; 16]>>> {
    if let DataType::FixedSizeBinary(16) = array.data_type() {
        return Ok(array.as_fixed_size_binary().iter().map(|v| v.and_then(|v| v.try_into().ok())).collect());
    }
    let text = cast(array, &DataType::Utf8)?;
    let parse = |text: &str| {
        parse_uuid(text).ok_or_else(|| Error::invalid(format!("{text:?} in column '{name}' is not a uuid")))
    };
    text.as_string::<i32>().iter().map(|text| text.map(parse).transpose()).collect()
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> =
        text.chars().filter(|&c| c != '-').map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if digits.len() == 32 { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, Float64Array, Int32Array, LargeStringArray, StringArray, TimestampNanosecondArray, UInt64Array,
    };

    use super::*;

    fn one(array: impl Array + 'static, ty: KeyType) -> Result<EntityKeys> {
        let array: ArrayRef = Arc::new(array);
        EntityKeys::encode(array.len(), &[("k", &array, ty)])
    }

    #[test]
    fn p6_integers_of_any_width_are_equal_by_value() -> Result<()> {
        let wide = one(Int64Array::from(vec![Some(7), Some(-3), None]), KeyType::Int64)?;
        assert_eq!(one(Int32Array::from(vec![Some(7), Some(-3), None]), KeyType::Int64)?, wide);
        assert_eq!(one(Int64Array::from(vec![Some(7), Some(-3), None]), KeyType::Int32)?, wide);
        assert_eq!(one(UInt64Array::from(vec![u64::MAX]), KeyType::Int64)?.get(0), None);
        Ok(())
    }

    #[test]
    fn p6_a_column_of_another_type_is_refused_by_name() {
        for array in [Arc::new(Float64Array::from(vec![1.0])) as ArrayRef, Arc::new(StringArray::from(vec!["1"]))] {
            let error = EntityKeys::encode(1, &[("driver_id", &array, KeyType::Int64)]).unwrap_err();
            assert!(error.message().starts_with("column 'driver_id' has type"), "{error}");
        }
    }

    #[test]
    fn keys_are_in_the_order_of_their_values_within_a_type() -> Result<()> {
        let ints = one(Int64Array::from(vec![i64::MIN, -1, 0, 1, i64::MAX]), KeyType::Int64)?;
        let text = one(StringArray::from(vec!["", "\0", "\0a", "a", "a\0", "a\0b", "ab", "b"]), KeyType::String)?;
        let bools = one(BooleanArray::from(vec![false, true]), KeyType::Bool)?;
        for keys in [ints, text, bools] {
            let bytes: Vec<_> = keys.iter().collect();
            assert!(bytes.windows(2).all(|pair| pair[0] < pair[1]));
        }
        Ok(())
    }

    #[test]
    fn composite_keys_do_not_run_into_each_other() -> Result<()> {
        let a: ArrayRef = Arc::new(StringArray::from(vec!["1", "12", "1\0"]));
        let b: ArrayRef = Arc::new(LargeStringArray::from(vec!["23", "3", "23"]));
        let keys = EntityKeys::encode(3, &[("a", &a, KeyType::String), ("b", &b, KeyType::String)])?;
        assert_eq!(keys.get(0), Some(&b"1\0\x0023\0\0"[..]));
        assert_ne!(keys.get(0), keys.get(1));
        assert_ne!(keys.get(0), keys.get(2));
        Ok(())
    }

    #[test]
    fn p7_the_key_of_a_view_without_entities_is_empty() -> Result<()> {
        assert_eq!(EntityKeys::encode(2, &[])?.get(1), Some(&[][..]));
        Ok(())
    }

    #[test]
    fn uuids_are_equal_by_value_and_odd_nanoseconds_match_nothing() -> Result<()> {
        let uuids = one(
            StringArray::from(vec!["0F8FAD5B-D9CB-469F-A165-70867728950E", "0f8fad5bd9cb469fa16570867728950e"]),
            KeyType::Uuid,
        )?;
        assert_eq!(uuids.get(0), uuids.get(1));
        assert!(one(StringArray::from(vec!["no"]), KeyType::Uuid).is_err());
        let times = one(TimestampNanosecondArray::from(vec![1_000, 1_001]), KeyType::Timestamp)?;
        assert_eq!((times.get(0).is_some(), times.get(1)), (true, None));
        Ok(())
    }
}
