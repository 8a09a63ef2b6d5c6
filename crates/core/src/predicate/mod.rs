//! Conditions on the columns of a row, as text: the `where` of an aggregation.
//!
//! ```text
//! condition   condition or condition | condition and condition | not condition | ( condition )
//!             value = value, and likewise == != <> < <= > >=
//!             value is [not] null | value [not] in ( value, ... ) | value [not] between value and value
//!             a column of bools
//! value       a column, "quoted" where it is not a plain word, or a number, 'text', true, false, null
//! ```
//!
//! Keywords may be in capitals. `"` within a quoted column and `'` within text are doubled.
//!
//! What a condition means:
//! - It is SQL's logic of three values: a comparison with null is unknown, and a row counts where the
//!   condition is true.
//! - Numbers compare by value and exactly, an integer with a float too: 2^53 + 1 is above 9007199254740992.0.
//!   -0.0 equals 0.0. NaN equals itself and is above every number, as in rule P3.
//! - A number as written is an int64 if it is whole and fits, else the nearest float64; beside a decimal it
//!   is that very number. A float32 column has the values that it has: its 0.1 is not the float64 0.1.
//!   Decimals don't compare with columns of floats.
//! - Text compares by its bytes. Beside a timestamp or date, text as written is one; a date beside a
//!   timestamp is its midnight in UTC.
//!
//! It is not: SQL. There is no arithmetic, no function and no pattern.
//!
//! Read first: [`Predicate`], [`BoundPredicate`].

mod bind;
mod evaluate;
mod literal;
mod parse;
mod token;

use std::fmt;
use std::str::FromStr;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::datatypes::Schema;

use self::bind::{Condition, Slot};
use self::parse::Expr;
use crate::error::{Error, Result};

/// A condition as it was written. Two are equal if their texts are.
///
/// # Examples
/// ```
/// use std::sync::Arc;
/// use arrow::array::{ArrayRef, Int32Array, RecordBatch};
/// use lodestore_core::predicate::Predicate;
///
/// let delays: ArrayRef = Arc::new(Int32Array::from(vec![Some(20), Some(5), None]));
/// let batch = RecordBatch::try_from_iter([("dep_delay", delays)])?;
/// let late = Predicate::parse("dep_delay > 15")?.bind(batch.schema_ref())?;
/// assert_eq!(late.evaluate(&batch)?.iter().collect::<Vec<_>>(), [Some(true), Some(false), Some(false)]);
/// # Ok::<(), lodestore_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Predicate {
    text: String,
    expr: Expr,
}

impl Predicate {
    /// Parses a condition; whether its columns exist is seen when it is bound.
    ///
    /// # Errors
    /// `Invalid`, naming the text, the place of what is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self> {
        let expr = parse::parse(text)
            .map_err(|wrong| Error::invalid(format!("condition {text:?} is wrong at character {wrong}")))?;
        Ok(Self { text: text.to_owned(), expr })
    }

    /// Returns the condition as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the columns that the condition looks at, each once, in the order they are named.
    #[must_use]
    pub fn columns(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.expr.collect_columns(&mut names);
        names
    }

    /// Returns the condition for rows with the columns of `schema`; other columns may be there too.
    ///
    /// # Errors
    /// `NotFound` for a column that is not in the schema, with near names; `Invalid` for values that
    /// can't be compared, or a column whose type no feature has.
    pub fn bind(&self, schema: &Schema) -> Result<BoundPredicate> {
        let (condition, slots) =
            bind::bind(&self.expr, schema).map_err(|error| error.with_context("condition", &self.text))?;
        Ok(BoundPredicate { text: self.text.clone(), condition, slots })
    }
}

impl PartialEq for Predicate {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Predicate {}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Predicate {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// A condition whose columns and types are known.
#[derive(Debug, Clone)]
pub struct BoundPredicate {
    text: String,
    condition: Condition,
    slots: Vec<Slot>,
}

impl BoundPredicate {
    /// Returns for each row whether the condition is true for it. No item is null: where the condition is
    /// unknown, it is not true.
    ///
    /// # Errors
    /// `Invalid` for a column that is missing or of another type than it was bound to, or a value that
    /// does not fit into the type it is compared in, as a time that is finer than a microsecond.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<BooleanArray> {
        evaluate::evaluate(&self.condition, &self.slots, batch)
            .map_err(|error| error.with_context("condition", &self.text))
    }
}

#[cfg(test)]
mod tests;
