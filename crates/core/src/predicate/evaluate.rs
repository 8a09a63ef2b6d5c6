//! Conditions over record batches, column by column.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Datum, RecordBatch, Scalar};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::kernels::cmp;
use arrow::compute::{CastOptions, and_kleene, cast_with_options, is_null, not, or_kleene, prep_null_mask_filter};
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::bind::{Condition, Slot, Value};
use super::parse::Operator;
use crate::error::{Error, Result};
use crate::types::{FeatureType, widen};

/// Two to the power of 63: the first float above every int64.
const ABOVE_INTS: f64 = 9_223_372_036_854_775_808.0;

/// Returns for each row whether the condition is true.
///
/// # Errors
/// As [`super::BoundPredicate::evaluate`].
pub(super) fn evaluate(condition: &Condition, slots: &[Slot], batch: &RecordBatch) -> Result<BooleanArray> {
    let columns = slots.iter().map(|slot| fill(slot, batch)).collect::<Result<Vec<_>>>()?;
    let answer = Evaluation { columns, rows: batch.num_rows() }.condition(condition)?;
    Ok(if answer.null_count() > 0 { prep_null_mask_filter(&answer) } else { answer })
}

/// Returns a column in the type that it is compared in.
fn fill(slot: &Slot, batch: &RecordBatch) -> Result<ArrayRef> {
    let Some(column) = batch.column_by_name(&slot.column) else {
        return Err(Error::invalid(format!("column '{}' is missing", slot.column)));
    };
    if *column.data_type() != slot.found {
        return Err(Error::invalid(format!(
            "column '{}' has type {}, but the condition was bound to {}",
            slot.column,
            column.data_type(),
            slot.found
        )));
    }
    let Some(widened) = &slot.widened else { return Ok(Arc::clone(column)) };
    // A date beside a timestamp is widened at once: Arrow's cast does not see an overflow.
    let is_time = matches!(slot.compared, DataType::Timestamp(..));
    let widened = widen(&slot.column, column, if is_time { &FeatureType::Timestamp } else { widened }, 0)?;
    if *widened.data_type() == slot.compared && slot.compared != DataType::Float64 {
        return Ok(widened);
    }
    let exact = CastOptions { safe: false, ..CastOptions::default() };
    let cast = cast_with_options(&widened, &slot.compared, &exact).map_err(|error| {
        Error::invalid(format!("a value of column '{}' does not fit into {}: {error}", slot.column, slot.compared))
    })?;
    Ok(match cast.as_primitive_opt::<Float64Type>() {
        Some(floats) => Arc::new(floats.unary::<_, Float64Type>(canonical)),
        None => cast,
    })
}

/// Returns a float such that Arrow's order is that of numbers: one zero, and one NaN, which is above all.
fn canonical(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value + 0.0 }
}

struct Evaluation {
    columns: Vec<ArrayRef>,
    rows: usize,
}

/// A value of each row, or one for all rows.
enum Operand {
    Each(ArrayRef),
    Same(ArrayRef),
}

impl Operand {
    fn array(&self) -> &ArrayRef {
        match self {
            Self::Each(array) | Self::Same(array) => array,
        }
    }

    fn datum(&self) -> Box<dyn Datum> {
        match self {
            Self::Each(array) => Box::new(Arc::clone(array)),
            Self::Same(array) => Box::new(Scalar::new(Arc::clone(array))),
        }
    }

    /// Returns the place of a row's value in the array.
    fn place(&self, row: usize) -> usize {
        match self {
            Self::Each(_) => row,
            Self::Same(_) => 0,
        }
    }

    /// Returns which rows have a value, where some have none.
    fn nulls(&self) -> Option<&NullBuffer> {
        match self {
            Self::Each(array) => array.nulls(),
            Self::Same(_) => None,
        }
    }
}

impl Evaluation {
    fn condition(&self, condition: &Condition) -> Result<BooleanArray> {
        Ok(match condition {
            Condition::Constant(value) => self.repeat(*value),
            Condition::Column(slot) => self.columns[*slot].as_boolean().clone(),
            Condition::Compare(operator, left, right) => self.compare(*operator, left, right)?,
            Condition::CompareMixed(operator, left, right) => self.compare_mixed(*operator, left, right)?,
            Condition::IsNull(slot) => is_null(&self.columns[*slot])?,
            Condition::IsUnknown(of) => is_null(&self.condition(of)?)?,
            Condition::Not(of) => not(&self.condition(of)?)?,
            Condition::And(parts) => self.fold(parts, Some(true), and_kleene)?,
            Condition::Or(parts) => self.fold(parts, Some(false), or_kleene)?,
        })
    }

    fn fold(
        &self,
        parts: &[Condition],
        empty: Option<bool>,
        join: fn(&BooleanArray, &BooleanArray) -> Result<BooleanArray, arrow::error::ArrowError>,
    ) -> Result<BooleanArray> {
        let mut answers = parts.iter().map(|part| self.condition(part));
        let first = answers.next().unwrap_or_else(|| Ok(self.repeat(empty)))?;
        answers.try_fold(first, |so_far, next| Ok(join(&so_far, &next?)?))
    }

    fn repeat(&self, value: Option<bool>) -> BooleanArray {
        match value {
            Some(true) => BooleanArray::new(BooleanBuffer::new_set(self.rows), None),
            Some(false) => BooleanArray::new(BooleanBuffer::new_unset(self.rows), None),
            None => BooleanArray::new_null(self.rows),
        }
    }

    fn operand(&self, value: &Value) -> Result<Operand> {
        Ok(match value {
            Value::Slot(slot) => Operand::Each(Arc::clone(&self.columns[*slot])),
            Value::Constant(array) => Operand::Same(Arc::clone(array)),
            Value::Condition(condition) => Operand::Each(Arc::new(self.condition(condition)?)),
        })
    }

    fn compare(&self, operator: Operator, left: &Value, right: &Value) -> Result<BooleanArray> {
        let (left, right) = (self.operand(left)?, self.operand(right)?);
        let kernel = match operator {
            Operator::Equal => cmp::eq,
            Operator::Unequal => cmp::neq,
            Operator::Less => cmp::lt,
            Operator::LessOrEqual => cmp::lt_eq,
            Operator::Greater => cmp::gt,
            Operator::GreaterOrEqual => cmp::gt_eq,
        };
        let answer = kernel(left.datum().as_ref(), right.datum().as_ref())?;
        Ok(match (left, right) {
            (Operand::Same(_), Operand::Same(_)) => self.repeat(answer.is_valid(0).then(|| answer.value(0))),
            _ => answer,
        })
    }

    /// Compares integers with floats, or floats with integers, row by row.
    fn compare_mixed(&self, operator: Operator, left: &Value, right: &Value) -> Result<BooleanArray> {
        let (left, right) = (self.operand(left)?, self.operand(right)?);
        let ints_first = *left.array().data_type() == DataType::Int64;
        let (int, float) = if ints_first { (&left, &right) } else { (&right, &left) };
        let (ints, floats) = (int.array().as_primitive::<Int64Type>(), float.array().as_primitive::<Float64Type>());
        let answer = BooleanBuffer::collect_bool(self.rows, |row| {
            let order = order(ints.value(int.place(row)), floats.value(float.place(row)));
            operator.holds(if ints_first { order } else { order.reverse() })
        });
        Ok(BooleanArray::new(answer, NullBuffer::union(left.nulls(), right.nulls())))
    }
}

/// Compares an integer with a float by what they are, without rounding the integer.
fn order(int: i64, float: f64) -> Ordering {
    if float.is_nan() || float >= ABOVE_INTS {
        return Ordering::Less;
    }
    if float < -ABOVE_INTS {
        return Ordering::Greater;
    }
    // Within these bounds the whole part of a float is an int64, exactly.
    let whole = float.trunc();
    int.cmp(&(whole as i64)).then(whole.total_cmp(&float))
}
