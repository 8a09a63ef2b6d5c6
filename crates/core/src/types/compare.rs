//! The total order of feature values that decides ties (rule P3).

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, OffsetSizeTrait};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};

use crate::error::{Error, Result};

/// Compares row i of one array with row j of another.
pub type Comparator = Box<dyn Fn(usize, usize) -> Ordering + Send + Sync>;

/// Returns a comparator of the rows of two arrays of one feature type.
///
/// # Behavior
/// - Null is below every value.
/// - NaN is above every number; two NaN compare by their bits, as -0.0 and 0.0 do.
/// - Lists and maps compare item by item, then by length; structs field by field.
///
/// # Errors
/// `Internal` for a type that no feature has.
pub fn comparator(left: &ArrayRef, right: &ArrayRef) -> Result<Comparator> {
    let values: Comparator = match (left.data_type(), right.data_type()) {
        (DataType::Boolean, DataType::Boolean) => {
            let (l, r) = (left.as_boolean().clone(), right.as_boolean().clone());
            Box::new(move |i, j| l.value(i).cmp(&r.value(j)))
        }
        (DataType::Int32, DataType::Int32) => primitive::<Int32Type>(left, right, Ord::cmp),
        (DataType::Int64, DataType::Int64) => primitive::<Int64Type>(left, right, Ord::cmp),
        (DataType::Date32, DataType::Date32) => primitive::<Date32Type>(left, right, Ord::cmp),
        (DataType::Timestamp(..), DataType::Timestamp(..)) => {
            primitive::<TimestampMicrosecondType>(left, right, Ord::cmp)
        }
        (DataType::Decimal128(..), DataType::Decimal128(..)) => primitive::<Decimal128Type>(left, right, Ord::cmp),
        (DataType::Float32, DataType::Float32) => primitive::<Float32Type>(left, right, |l, r| {
            nan_highest(l.is_nan(), r.is_nan(), l.total_cmp(r), l.to_bits().cmp(&r.to_bits()))
        }),
        (DataType::Float64, DataType::Float64) => primitive::<Float64Type>(left, right, |l, r| {
            nan_highest(l.is_nan(), r.is_nan(), l.total_cmp(r), l.to_bits().cmp(&r.to_bits()))
        }),
        (DataType::Utf8, DataType::Utf8) => {
            let (l, r) = (left.as_string::<i32>().clone(), right.as_string::<i32>().clone());
            Box::new(move |i, j| l.value(i).cmp(r.value(j)))
        }
        (DataType::Binary, DataType::Binary) => {
            let (l, r) = (left.as_binary::<i32>().clone(), right.as_binary::<i32>().clone());
            Box::new(move |i, j| l.value(i).cmp(r.value(j)))
        }
        (DataType::List(_), DataType::List(_)) => list(left, right)?,
        (DataType::FixedSizeList(_, n), DataType::FixedSizeList(_, m)) => {
            let (n, m) = (usize_of(*n), usize_of(*m));
            let items = comparator(left.as_fixed_size_list().values(), right.as_fixed_size_list().values())?;
            Box::new(move |i, j| runs(&items, i * n..(i + 1) * n, j * m..(j + 1) * m))
        }
        (DataType::Struct(_), DataType::Struct(_)) => structs(left, right)?,
        (DataType::Map(..), DataType::Map(..)) => {
            let (l, r) = (left.as_map().clone(), right.as_map().clone());
            let entries = |m: &arrow::array::MapArray| -> ArrayRef { std::sync::Arc::new(m.entries().clone()) };
            let items = comparator(&entries(&l), &entries(&r))?;
            Box::new(move |i, j| runs(&items, run(l.value_offsets(), i), run(r.value_offsets(), j)))
        }
        (l, r) => return Err(Error::internal(format!("no order between {l} and {r}"))),
    };
    let (left_nulls, right_nulls) = (left.nulls().cloned(), right.nulls().cloned());
    if left_nulls.is_none() && right_nulls.is_none() {
        return Ok(values);
    }
    Ok(Box::new(move |i, j| {
        let left_valid = left_nulls.as_ref().is_none_or(|n| n.is_valid(i));
        let right_valid = right_nulls.as_ref().is_none_or(|n| n.is_valid(j));
        match (left_valid, right_valid) {
            (true, true) => values(i, j),
            (l, r) => l.cmp(&r),
        }
    }))
}

fn nan_highest(left: bool, right: bool, by_number: Ordering, by_bits: Ordering) -> Ordering {
    match (left, right) {
        (false, false) => by_number,
        (true, true) => by_bits,
        _ => left.cmp(&right),
    }
}

fn primitive<T: ArrowPrimitiveType>(
    left: &ArrayRef,
    right: &ArrayRef,
    order: impl Fn(&T::Native, &T::Native) -> Ordering + Send + Sync + 'static,
) -> Comparator {
    let (l, r) = (left.as_primitive::<T>().values().clone(), right.as_primitive::<T>().values().clone());
    Box::new(move |i, j| order(&l[i], &r[j]))
}

fn list(left: &ArrayRef, right: &ArrayRef) -> Result<Comparator> {
    let (l, r) = (left.as_list::<i32>().clone(), right.as_list::<i32>().clone());
    let items = comparator(l.values(), r.values())?;
    Ok(Box::new(move |i, j| runs(&items, run(l.value_offsets(), i), run(r.value_offsets(), j))))
}

fn structs(left: &ArrayRef, right: &ArrayRef) -> Result<Comparator> {
    let fields = left.as_struct().columns().iter().zip(right.as_struct().columns());
    let fields = fields.map(|(l, r)| comparator(l, r)).collect::<Result<Vec<_>>>()?;
    Ok(Box::new(move |i, j| fields.iter().map(|f| f(i, j)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)))
}

fn runs(items: &Comparator, left: std::ops::Range<usize>, right: std::ops::Range<usize>) -> Ordering {
    let lengths = left.len().cmp(&right.len());
    left.zip(right).map(|(i, j)| items(i, j)).find(|o| o.is_ne()).unwrap_or(lengths)
}

fn run<O: OffsetSizeTrait>(offsets: &[O], row: usize) -> std::ops::Range<usize> {
    offsets[row].as_usize()..offsets[row + 1].as_usize()
}

fn usize_of(length: i32) -> usize {
    usize::try_from(length).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
