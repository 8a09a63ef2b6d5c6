//! Time columns of sources and questions as UTC microseconds (rules T1 and T2).

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, Int64Array};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};

use super::plain_values;
use crate::error::{Error, Result};
use crate::time::EventTime;

/// Which microsecond a finer time becomes (rule T2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// The next one: for the rows of a source, so that no value is visible early.
    Up,
    /// The one before: for questions, for the same reason.
    Down,
}

/// Returns whether columns of this type tell times.
///
/// # Examples
/// ```
/// use arrow::datatypes::{DataType, TimeUnit};
/// use lodestore_core::types::is_time;
/// assert!(is_time(&DataType::Timestamp(TimeUnit::Nanosecond, None)));
/// assert!(!is_time(&DataType::Int64));
/// ```
#[must_use]
pub fn is_time(ty: &DataType) -> bool {
    match ty {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => true,
        DataType::Dictionary(_, value) => is_time(value),
        _ => false,
    }
}

/// Returns a column's times as UTC microseconds, null where the column is null.
///
/// Takes timestamps of any unit, with or without a zone, and dates (their midnight, UTC).
///
/// # Errors
/// `Invalid`, naming `column`, for any other type, and naming the row for a time out of range.
pub fn event_times(column: &str, array: &ArrayRef, rounding: Rounding) -> Result<Int64Array> {
    let array = &plain_values(array)?;
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => scaled::<TimestampSecondType>(column, array, 1_000_000),
        DataType::Timestamp(TimeUnit::Millisecond, _) => scaled::<TimestampMillisecondType>(column, array, 1_000),
        DataType::Timestamp(TimeUnit::Microsecond, _) => scaled::<TimestampMicrosecondType>(column, array, 1),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            let nanos = array.as_primitive::<TimestampNanosecondType>();
            Ok(nanos.unary(|ns| match rounding {
                Rounding::Down => ns.div_euclid(1_000),
                Rounding::Up => ns.div_euclid(1_000) + i64::from(ns.rem_euclid(1_000) != 0),
            }))
        }
        DataType::Date32 => scaled::<Date32Type>(column, array, 86_400_000_000),
        DataType::Date64 => scaled::<Date64Type>(column, array, 1_000),
        other => {
            Err(Error::invalid(format!("time column '{column}' has type {other}; expected a timestamp or a date")))
        }
    }
}

fn scaled<T: ArrowPrimitiveType>(column: &str, array: &ArrayRef, factor: i64) -> Result<Int64Array>
where
    T::Native: Into<i64>,
{
    let values = array.as_primitive::<T>();
    let mut micros = Vec::with_capacity(values.len());
    for row in 0..values.len() {
        let value: i64 = if values.is_null(row) { 0 } else { values.value(row).into() };
        match value.checked_mul(factor).filter(|&m| m != EventTime::MIN.as_micros() && m != EventTime::MAX.as_micros())
        {
            Some(m) => micros.push(m),
            None => {
                return Err(Error::invalid(format!(
                    "the time in row {row} of column '{column}' is out of the range of 64-bit microseconds"
                )));
            }
        }
    }
    Ok(Int64Array::new(micros.into(), values.nulls().cloned()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Date32Array, StringArray, TimestampNanosecondArray, TimestampSecondArray};

    use super::*;

    #[test]
    fn t2_finer_times_round_up_for_rows_and_down_for_questions() -> Result<()> {
        let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![-1_001, -1, 0, 1, 1_000, 1_001]));
        assert_eq!(event_times("t", &nanos, Rounding::Up)?.values(), &[-1, 0, 0, 1, 1, 2]);
        assert_eq!(event_times("t", &nanos, Rounding::Down)?.values(), &[-2, -1, 0, 0, 1, 1]);
        Ok(())
    }

    #[test]
    fn t1_zones_do_not_change_the_moment_and_dates_are_midnight_utc() -> Result<()> {
        let zoned: ArrayRef = Arc::new(TimestampSecondArray::from(vec![Some(2), None]).with_timezone("+05:00"));
        let micros = event_times("t", &zoned, Rounding::Down)?;
        assert_eq!((micros.value(0), micros.is_null(1)), (2_000_000, true));
        let dates: ArrayRef = Arc::new(Date32Array::from(vec![1]));
        assert_eq!(event_times("t", &dates, Rounding::Down)?.value(0), 86_400_000_000);
        Ok(())
    }

    #[test]
    fn other_types_and_times_out_of_range_are_refused() {
        let text: ArrayRef = Arc::new(StringArray::from(vec!["2024-01-01"]));
        let error = event_times("seen_at", &text, Rounding::Down).map(|_| ()).unwrap_err();
        assert_eq!(error.message(), "time column 'seen_at' has type Utf8; expected a timestamp or a date");
        let far: ArrayRef = Arc::new(TimestampSecondArray::from(vec![0, i64::MAX]));
        assert!(event_times("t", &far, Rounding::Down).unwrap_err().message().contains("row 1"));
    }
}
