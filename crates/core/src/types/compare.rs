//! The total order of feature values that decides ties (rule P3).

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, FixedSizeListArray, OffsetSizeTrait};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};

use super::FeatureType;
use crate::error::{Error, Result};

/// Compares row i of one array with row j of another.
pub type Comparator = Box<dyn Fn(usize, usize) -> Ordering + Send + Sync>;

/// Returns a comparator of the rows of two arrays of one feature type, by [`compare_values`].
///
/// # Errors
/// `Internal` for arrays of different types, or of a type that no feature has.
pub fn comparator(left: &ArrayRef, right: &ArrayRef) -> Result<Comparator> {
    let (l, r) = (left.data_type(), right.data_type());
    if l != r || FeatureType::from_arrow(l).is_none_or(|ty| ty.to_arrow() != *l) {
        return Err(Error::internal(format!("no order between {l} and {r}")));
    }
    let (left, right) = (Arc::clone(left), Arc::clone(right));
    Ok(Box::new(move |i, j| compare_values(left.as_ref(), i, right.as_ref(), j)))
}

/// Compares row i of some columns with row j of others of the same feature types, column by column, by
/// [`compare_values`].
#[must_use]
pub fn compare_rows(left: &[ArrayRef], i: usize, right: &[ArrayRef], j: usize) -> Ordering {
    let mut orders = left.iter().zip(right).map(|(left, right)| compare_values(left.as_ref(), i, right.as_ref(), j));
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Compares row i of one array with row j of another of the same feature type.
///
/// # Behavior
/// - Null is below every value.
/// - NaN is above every number; two NaN compare by their bits, as -0.0 and 0.0 do.
/// - Lists and maps compare item by item, then by length; structs field by field.
/// - Values of types that no feature has are equal.
#[must_use]
pub fn compare_values(left: &dyn Array, i: usize, right: &dyn Array, j: usize) -> Ordering {
    match (left.is_valid(i), right.is_valid(j)) {
        (true, true) => {}
        (l, r) => return l.cmp(&r),
    }
    match left.data_type() {
        DataType::Boolean => left.as_boolean().value(i).cmp(&right.as_boolean().value(j)),
        DataType::Int32 => primitive::<Int32Type>(left, i).cmp(&primitive::<Int32Type>(right, j)),
        DataType::Int64 => primitive::<Int64Type>(left, i).cmp(&primitive::<Int64Type>(right, j)),
        DataType::Date32 => primitive::<Date32Type>(left, i).cmp(&primitive::<Date32Type>(right, j)),
        DataType::Timestamp(..) => {
            primitive::<TimestampMicrosecondType>(left, i).cmp(&primitive::<TimestampMicrosecondType>(right, j))
        }
        DataType::Decimal128(..) => primitive::<Decimal128Type>(left, i).cmp(&primitive::<Decimal128Type>(right, j)),
        DataType::Float32 => {
            let (l, r) = (primitive::<Float32Type>(left, i), primitive::<Float32Type>(right, j));
            nan_highest(l.is_nan(), r.is_nan(), l.total_cmp(&r), l.to_bits().cmp(&r.to_bits()))
        }
        DataType::Float64 => {
            let (l, r) = (primitive::<Float64Type>(left, i), primitive::<Float64Type>(right, j));
            nan_highest(l.is_nan(), r.is_nan(), l.total_cmp(&r), l.to_bits().cmp(&r.to_bits()))
        }
        DataType::Utf8 => left.as_string::<i32>().value(i).cmp(right.as_string::<i32>().value(j)),
        DataType::Binary => left.as_binary::<i32>().value(i).cmp(right.as_binary::<i32>().value(j)),
        DataType::List(_) => {
            let (l, r) = (left.as_list::<i32>(), right.as_list::<i32>());
            runs(l.values(), run(l.value_offsets(), i), r.values(), run(r.value_offsets(), j))
        }
        DataType::FixedSizeList(..) => {
            let (l, r) = (left.as_fixed_size_list(), right.as_fixed_size_list());
            let fixed = |list: &FixedSizeListArray, row: usize| {
                let start = usize_of(list.value_offset(row));
                start..start + usize_of(list.value_length())
            };
            runs(l.values(), fixed(l, i), r.values(), fixed(r, j))
        }
        DataType::Struct(_) => {
            let fields = left.as_struct().columns().iter().zip(right.as_struct().columns());
            fields.map(|(l, r)| compare_values(l, i, r, j)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
        }
        DataType::Map(..) => {
            let (l, r) = (left.as_map(), right.as_map());
            runs(l.entries(), run(l.value_offsets(), i), r.entries(), run(r.value_offsets(), j))
        }
        _ => Ordering::Equal,
    }
}

fn nan_highest(left: bool, right: bool, by_number: Ordering, by_bits: Ordering) -> Ordering {
    match (left, right) {
        (false, false) => by_number,
        (true, true) => by_bits,
        _ => left.cmp(&right),
    }
}

fn primitive<T: ArrowPrimitiveType>(array: &dyn Array, row: usize) -> T::Native {
    array.as_primitive::<T>().value(row)
}

fn runs(left: &dyn Array, l: Range<usize>, right: &dyn Array, r: Range<usize>) -> Ordering {
    let lengths = l.len().cmp(&r.len());
    l.zip(r).map(|(i, j)| compare_values(left, i, right, j)).find(|o| o.is_ne()).unwrap_or(lengths)
}

fn run<O: OffsetSizeTrait>(offsets: &[O], row: usize) -> Range<usize> {
    offsets[row].as_usize()..offsets[row + 1].as_usize()
}

fn usize_of(length: i32) -> usize {
    usize::try_from(length).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int32Array, ListArray};

    use super::*;

    /// Asserts that each row of the array is below the next.
    fn check_ascending(array: &ArrayRef) -> Result<()> {
        let compare = comparator(array, array)?;
        for i in 0..array.len() {
            for j in 0..array.len() {
                assert_eq!(compare(i, j), i.cmp(&j), "rows {i} and {j}");
            }
        }
        Ok(())
    }

    #[test]
    fn p3_null_is_lowest_and_every_nan_is_above_all_numbers() -> Result<()> {
        let negative_nan = f64::from_bits(f64::NAN.to_bits() | 1 << 63);
        let values = [f64::NEG_INFINITY, -1.0, -0.0, 0.0, 1.0, f64::INFINITY, f64::NAN, negative_nan];
        let array = std::iter::once(None).chain(values.map(Some)).collect::<Float64Array>();
        check_ascending(&(Arc::new(array) as ArrayRef))
    }

    #[test]
    fn p3_lists_compare_item_by_item_then_by_length() -> Result<()> {
        let rows = [None, Some(vec![]), Some(vec![None]), Some(vec![Some(1)]), Some(vec![Some(1), None])];
        let array = ListArray::from_iter_primitive::<Int32Type, _, _>(rows);
        check_ascending(&(Arc::new(array) as ArrayRef))?;
        let ints: ArrayRef = Arc::new(Int32Array::from(vec![None, Some(-1), Some(2)]));
        check_ascending(&ints)
    }
}
