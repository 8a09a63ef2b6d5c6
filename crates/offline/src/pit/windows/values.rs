//! The values of a feature, one after the other.

use arrow::array::{ArrayRef, Float64Builder, Int64Builder};
use lodestore_core::aggregation::{Aggregate, Outcome, OwnedValue};
use lodestore_core::types::FeatureType;
use lodestore_core::{Error, Result};
use std::sync::Arc;

/// The values of a feature. Numbers of the usual types go straight to their array.
pub(super) enum Values {
    Floats(Float64Builder),
    Integers(Int64Builder),
    Others(Vec<Outcome>),
}

impl Values {
    pub(super) fn new(aggregate: &Aggregate) -> Self {
        match aggregate.output() {
            FeatureType::Float64 => Self::Floats(Float64Builder::new()),
            FeatureType::Int64 => Self::Integers(Int64Builder::new()),
            _ => Self::Others(Vec::new()),
        }
    }

    /// Adds the value of the next question.
    ///
    /// # Errors
    /// As [`Outcome::value`].
    #[inline]
    pub(super) fn push(&mut self, aggregate: &Aggregate, outcome: Outcome) -> Result<()> {
        match (self, outcome) {
            (Self::Floats(values), Outcome::Value(OwnedValue::Float64(value))) => values.append_value(value),
            (Self::Floats(values), Outcome::Null) => values.append_null(),
            (Self::Integers(values), Outcome::Value(OwnedValue::Int64(value))) => values.append_value(value),
            (Self::Integers(values), Outcome::Null) => values.append_null(),
            (Self::Others(values), outcome) => values.push(outcome),
            (_, outcome) => {
                outcome.value(aggregate)?;
                return Err(Error::internal("an aggregate gave a value of another type"));
            }
        }
        Ok(())
    }

    /// Returns the values as a column, and is empty again.
    ///
    /// # Errors
    /// As [`Aggregate::column`].
    pub(super) fn take(&mut self, aggregate: &Aggregate) -> Result<ArrayRef> {
        Ok(match self {
            Self::Floats(values) => Arc::new(values.finish()),
            Self::Integers(values) => Arc::new(values.finish()),
            Self::Others(values) => aggregate.column(&std::mem::take(values))?,
        })
    }
}
