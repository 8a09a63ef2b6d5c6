//! Lossless widening of a source's columns into the declared types (rule V2).

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, FixedSizeListArray, Int32Array, ListArray, MapArray, StringArray,
    StructArray, TimestampMicrosecondArray, make_array, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Field, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};

use super::{FeatureType, plain_values};
use crate::error::{Error, Result};

/// Returns whether a column of type `from` can be widened to `to` without loss, as far as the types tell.
///
/// A value may still not fit, as a nanosecond may not fit into microseconds: [`widen`] finds it.
///
/// # Examples
/// ```
/// use arrow::datatypes::DataType;
/// use lodestore_core::types::{FeatureType, can_widen};
/// assert!(can_widen(&DataType::Int32, &FeatureType::Float64));
/// assert!(!can_widen(&DataType::Int64, &FeatureType::Float64));
/// ```
#[must_use]
pub fn can_widen(from: &DataType, to: &FeatureType) -> bool {
    use DataType as D;
    use FeatureType as F;
    match (from, to) {
        (D::Null, _) => true,
        (D::Dictionary(_, value), _) => can_widen(value, to),
        (_, F::Bool) => matches!(from, D::Boolean),
        (_, F::Int32) => matches!(from, D::Int8 | D::Int16 | D::Int32 | D::UInt8 | D::UInt16),
        (_, F::Int64) => matches!(from, D::UInt32 | D::Int64) || can_widen(from, &F::Int32),
        (_, F::Float32) => matches!(from, D::Int8 | D::Int16 | D::UInt8 | D::UInt16 | D::Float16 | D::Float32),
        (_, F::Float64) => matches!(from, D::Int32 | D::UInt32 | D::Float64) || can_widen(from, &F::Float32),
        (_, F::String | F::Json) => is_text(from),
        (_, F::Uuid) => is_text(from) || matches!(from, D::FixedSizeBinary(16)),
        (_, F::Bytes) => matches!(from, D::Binary | D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_)),
        (_, F::Timestamp) => matches!(from, D::Timestamp(..) | D::Date32 | D::Date64),
        (_, F::Date) => matches!(from, D::Date32 | D::Date64),
        (_, F::Decimal { precision, scale }) => decimal_digits(from).is_some_and(|(whole, fraction)| {
            fraction <= i16::from(*scale) && whole <= i16::from(*precision) - i16::from(*scale)
        }),
        (D::List(f) | D::LargeList(f) | D::FixedSizeList(f, _) | D::ListView(f), F::List(item) | F::Set(item)) => {
            can_widen(f.data_type(), item)
        }
        (D::FixedSizeList(f, n), F::Vector { dim, .. }) => n == dim && can_widen(f.data_type(), &vector_item(to)),
        (D::List(f) | D::LargeList(f) | D::ListView(f), F::Vector { .. }) => can_widen(f.data_type(), &vector_item(to)),
        (D::Struct(fields), F::Struct(wanted)) => {
            fields.len() == wanted.len()
                && wanted.iter().all(|(name, ty)| fields.find(name).is_some_and(|(_, f)| can_widen(f.data_type(), ty)))
        }
        (D::Map(entries, _), F::Map(key, value)) => match entries.data_type() {
            D::Struct(kv) if kv.len() == 2 => can_widen(kv[0].data_type(), key) && can_widen(kv[1].data_type(), value),
            _ => false,
        },
        _ => false,
    }
}

/// Returns the column widened to the Arrow form of `to`. Row i of the answer is row i of `array`.
///
/// # Errors
/// `Invalid`, naming `column` and both types where the types don't fit, or the row (counted from
/// `first_row`) of the first value that does not.
pub fn widen(column: &str, array: &ArrayRef, to: &FeatureType, first_row: usize) -> Result<ArrayRef> {
    if *array.data_type() == to.to_arrow() {
        return Ok(Arc::clone(array));
    }
    if !can_widen(array.data_type(), to) {
        return Err(Error::invalid(format!(
            "column '{column}' has type {}, which can't be widened to {to} without loss",
            array.data_type()
        )));
    }
    convert(array, to).map_err(|error| {
        let row = (0..array.len()).find(|&row| convert(&array.slice(row, 1), to).is_err());
        Error::invalid(format!(
            "the value in row {} of column '{column}' of type {} does not fit into {to}: {error}",
            first_row + row.unwrap_or(0),
            array.data_type()
        ))
    })
}

fn is_text(ty: &DataType) -> bool {
    matches!(ty, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Returns how many digits a number has before and after its point, at the most.
fn decimal_digits(ty: &DataType) -> Option<(i16, i16)> {
    Some(match ty {
        DataType::Int8 | DataType::UInt8 => (3, 0),
        DataType::Int16 | DataType::UInt16 => (5, 0),
        DataType::Int32 | DataType::UInt32 => (10, 0),
        DataType::Int64 => (19, 0),
        DataType::UInt64 => (20, 0),
        DataType::Decimal32(p, s)
        | DataType::Decimal64(p, s)
        | DataType::Decimal128(p, s)
        | DataType::Decimal256(p, s) => (i16::from(*p) - i16::from(*s), i16::from(*s)),
        _ => return None,
    })
}

fn vector_item(vector: &FeatureType) -> FeatureType {
    match vector {
        FeatureType::Vector { double: true, .. } => FeatureType::Float64,
        _ => FeatureType::Float32,
    }
}

/// Converts a column whose type is known to be widenable.
fn convert(array: &ArrayRef, to: &FeatureType) -> Result<ArrayRef> {
    let target = to.to_arrow();
    if *array.data_type() == target {
        return Ok(Arc::clone(array));
    }
    if matches!(array.data_type(), DataType::Null) {
        return Ok(new_null_array(&target, array.len()));
    }
    let array = &plain_values(array)?;
    match to {
        FeatureType::Timestamp => timestamps(array),
        FeatureType::Uuid if matches!(array.data_type(), DataType::FixedSizeBinary(_)) => Ok(uuid_text(array)),
        FeatureType::List(item) | FeatureType::Set(item) => list(array, item),
        FeatureType::Vector { dim, .. } => vector(array, *dim, &vector_item(to)),
        FeatureType::Struct(fields) => structs(array, fields),
        FeatureType::Map(key, value) => map(array, key, value),
        FeatureType::Date => whole_days(array, &target),
        _ => exact_cast(array, &target),
    }
}

fn exact_cast(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    Ok(cast_with_options(array, target, &CastOptions { safe: false, ..CastOptions::default() })?)
}

fn whole_days(array: &ArrayRef, target: &DataType) -> Result<ArrayRef> {
    let days = exact_cast(array, target)?;
    if exact_cast(&days, array.data_type())?.to_data() != array.to_data() {
        return Err(Error::invalid("it is not a whole day"));
    }
    Ok(days)
}

fn timestamps(array: &ArrayRef) -> Result<ArrayRef> {
    let micros = match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            scaled(array.as_primitive::<TimestampSecondType>(), |t| t.checked_mul(1_000_000))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            scaled(array.as_primitive::<TimestampMillisecondType>(), |t| t.checked_mul(1_000))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            scaled(array.as_primitive::<TimestampNanosecondType>(), |t| (t % 1_000 == 0).then_some(t / 1_000))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            let same = array.as_primitive::<TimestampMicrosecondType>();
            Ok(TimestampMicrosecondArray::new(same.values().clone(), same.nulls().cloned()))
        }
        _ => {
            let micros = exact_cast(array, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            Ok(micros.as_primitive::<TimestampMicrosecondType>().clone())
        }
    };
    Ok(Arc::new(micros?.with_timezone("UTC")))
}

fn scaled<T: ArrowPrimitiveType<Native = i64>>(
    array: &arrow::array::PrimitiveArray<T>,
    scale: impl Fn(i64) -> Option<i64>,
) -> Result<TimestampMicrosecondArray> {
    let micros = array.iter().map(|value| match value {
        None => Ok(None),
        Some(value) => match scale(value) {
            Some(micros) => Ok(Some(micros)),
            None => Err(Error::invalid(format!("{value} is not a whole number of microseconds in 64 bits"))),
        },
    });
    micros.collect()
}

fn uuid_text(array: &ArrayRef) -> ArrayRef {
    let text = array.as_fixed_size_binary().iter().map(|bytes| {
        bytes.map(|bytes| {
            let mut text = String::with_capacity(36);
            for (i, byte) in bytes.iter().enumerate() {
                if matches!(i, 4 | 6 | 8 | 10) {
                    text.push('-');
                }
                for nibble in [byte >> 4, byte & 15] {
                    text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
                }
            }
            text
        })
    });
    Arc::new(text.collect::<StringArray>())
}

/// Returns the array as a list with 32-bit offsets, its items untouched.
fn as_list(array: &ArrayRef) -> Result<ListArray> {
    let item = match array.data_type() {
        DataType::List(f) | DataType::LargeList(f) | DataType::ListView(f) | DataType::FixedSizeList(f, _) => f,
        other => return Err(Error::internal(format!("{other} is no list"))),
    };
    Ok(exact_cast(array, &DataType::List(Arc::clone(item)))?.as_list::<i32>().clone())
}

fn list(array: &ArrayRef, item: &FeatureType) -> Result<ArrayRef> {
    let (_, offsets, values, nulls) = as_list(array)?.into_parts();
    let values = convert(&values, item)?;
    Ok(Arc::new(ListArray::try_new(super::item_field(item.to_arrow()), offsets, values, nulls)?))
}

fn vector(array: &ArrayRef, dim: i32, item: &FeatureType) -> Result<ArrayRef> {
    let field = super::item_field(item.to_arrow());
    if let DataType::FixedSizeList(..) = array.data_type() {
        let (_, size, values, nulls) = array.as_fixed_size_list().clone().into_parts();
        return Ok(Arc::new(FixedSizeListArray::try_new(field, size, convert(&values, item)?, nulls)?));
    }
    let list = as_list(array)?;
    let width = usize::try_from(dim).unwrap_or(0);
    if let Some(row) = (0..list.len()).find(|&row| list.is_valid(row) && list.value_length(row) != dim) {
        return Err(Error::invalid(format!("it has {} items, not {dim}", list.value_length(row))));
    }
    // A null row has as many items as its list happened to hold: take the items of each row, or nulls.
    let indices = (0..list.len()).flat_map(|row| {
        let start = list.is_valid(row).then(|| list.value_offsets()[row]);
        (0..dim).map(move |i| start.map(|s| s + i))
    });
    let items = arrow::compute::take(list.values(), &indices.collect::<Int32Array>(), None)?;
    debug_assert_eq!(items.len(), list.len() * width);
    Ok(Arc::new(FixedSizeListArray::try_new(field, dim, convert(&items, item)?, list.nulls().cloned())?))
}

fn structs(array: &ArrayRef, wanted: &[(String, FeatureType)]) -> Result<ArrayRef> {
    let source = array.as_struct();
    let mut fields = Vec::with_capacity(wanted.len());
    let mut columns = Vec::with_capacity(wanted.len());
    for (name, ty) in wanted {
        let column = source.column_by_name(name).ok_or_else(|| Error::invalid(format!("it has no field '{name}'")))?;
        columns.push(convert(column, ty)?);
        fields.push(Field::new(name, ty.to_arrow(), true));
    }
    Ok(Arc::new(StructArray::try_new_with_length(fields.into(), columns, source.nulls().cloned(), source.len())?))
}

fn map(array: &ArrayRef, key: &FeatureType, value: &FeatureType) -> Result<ArrayRef> {
    let source = array.as_map();
    let DataType::Map(entries_field, _) = FeatureType::Map(Box::new(key.clone()), Box::new(value.clone())).to_arrow()
    else {
        return Err(Error::internal("a map's Arrow type is a map"));
    };
    let DataType::Struct(fields) = entries_field.data_type() else {
        return Err(Error::internal("a map's entries are structs"));
    };
    let columns = vec![convert(source.keys(), key)?, convert(source.values(), value)?];
    let entries = StructArray::try_new(fields.clone(), columns, None)?;
    let (offsets, nulls): (OffsetBuffer<i32>, Option<NullBuffer>) = (source.offsets().clone(), source.nulls().cloned());
    let map = MapArray::try_new(entries_field, offsets, entries, nulls, false)?;
    Ok(make_array(map.to_data()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BinaryViewArray, DictionaryArray, FixedSizeBinaryArray, Int16Array, Int64Array, LargeListArray,
        TimestampNanosecondArray, UInt64Array,
    };
    use arrow::datatypes::{Float64Type, Int32Type};

    use super::*;

    fn check(array: impl Array + 'static, to: &str) -> Result<ArrayRef> {
        let to: FeatureType = to.parse()?;
        let array: ArrayRef = Arc::new(array);
        let widened = widen("x", &array, &to, 100)?;
        assert_eq!(*widened.data_type(), to.to_arrow());
        assert_eq!(widened.len(), array.len());
        assert_eq!(widened.logical_null_count(), array.logical_null_count());
        Ok(widened)
    }

    fn message(array: impl Array + 'static, to: &str) -> String {
        check(array, to).map_or_else(|error| error.message().to_owned(), |_| "widened".to_owned())
    }

    #[test]
    fn v2_narrowing_is_refused_and_names_the_column_and_both_types() {
        assert_eq!(
            message(Int64Array::from(vec![1]), "int32"),
            "column 'x' has type Int64, which can't be widened to int32 without loss"
        );
        assert_eq!(
            message(UInt64Array::from(vec![1]), "int64"),
            "column 'x' has type UInt64, which can't be widened to int64 without loss"
        );
    }

    #[test]
    fn v2_a_value_that_does_not_fit_names_its_row() -> Result<()> {
        let nanos = TimestampNanosecondArray::from(vec![Some(1_000), None, Some(1_001)]);
        assert!(message(nanos, "timestamp").starts_with("the value in row 102 of column 'x' of type Timestamp(ns)"));
        let lists = ListArray::from_iter_primitive::<Float64Type, _, _>([
            Some(vec![Some(1.0), None]),
            None,
            Some(vec![Some(1.0)]),
        ]);
        assert!(message(lists, "vector<float64, 2>").contains("row 102"));
        Ok(())
    }

    #[test]
    fn v1_nulls_stay_nulls_and_empty_lists_stay_empty() -> Result<()> {
        check(Int16Array::from(vec![Some(1), None]), "int64")?;
        let rows = [Some(vec![]), None, Some(vec![None, Some(7)])];
        let lists = check(LargeListArray::from_iter_primitive::<Int32Type, _, _>(rows), "list<int64>")?;
        let lists = lists.as_list::<i32>();
        assert_eq!((lists.value_length(0), lists.is_null(1), lists.value(2).is_null(0)), (0, true, true));
        Ok(())
    }

    #[test]
    fn v2_other_encodings_of_the_same_values_are_read() -> Result<()> {
        let text: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("a")].into_iter().collect();
        check(text, "string")?;
        check(BinaryViewArray::from_iter([Some(&b"a"[..]), None]), "bytes")?;
        let uuid = FixedSizeBinaryArray::try_from_iter([[0x12_u8; 16]].iter())?;
        assert_eq!(check(uuid, "uuid")?.as_string::<i32>().value(0), "12121212-1212-1212-1212-121212121212");
        let rows = [Some(vec![Some(1.0), Some(2.0)]), None];
        let vectors = check(ListArray::from_iter_primitive::<Float64Type, _, _>(rows), "vector<float64, 2>")?;
        assert_eq!(vectors.as_fixed_size_list().values().len(), 4);
        Ok(())
    }
}
