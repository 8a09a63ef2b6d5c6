//! A function bound to the types of its inputs.

use arrow::array::ArrayRef;

use super::exact::Moment;
use super::function::{DEFAULT_LIMIT, Function};
use super::places::{Extreme, Keep};
use super::value::OwnedValue;
use crate::error::{Error, ErrorKind, Result};
use crate::types::{FeatureType, Value};

/// A function bound to the types of its inputs: makes states, fills, merges, stores and finishes them.
///
/// # Examples
/// ```
/// use lodestore_core::aggregation::{Aggregate, Event, Outcome, OwnedValue};
/// use lodestore_core::types::{FeatureType, Value};
///
/// let mean = Aggregate::new("mean".parse()?, &[FeatureType::Int64])?;
/// let (mut morning, mut evening) = (mean.empty(), mean.empty());
/// mean.update(&mut morning, &Event::new(1, Some(Value::Int64(3))))?;
/// mean.update(&mut evening, &Event::new(2, Some(Value::Int64(4))))?;
/// mean.merge(&mut morning, &evening)?;
/// assert_eq!(mean.finish(&morning, 2), Outcome::Value(OwnedValue::Float64(3.5)));
/// # Ok::<(), lodestore_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    pub(super) function: Function,
    pub(super) inputs: Vec<FeatureType>,
    pub(super) kind: Kind,
    pub(super) output: FeatureType,
    /// What is aggregated for each group, with the type of the groups.
    pub(super) grouped: Option<FeatureType>,
}

/// What an aggregate keeps, and what it makes of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Rows,
    Values,
    Truths(Quantifier),
    Integers(Total),
    Floats(Total),
    Moments(Moment),
    Extreme(Extreme),
    Places(Keep, Shape),
    Choice(Extreme),
    Counts(u32),
    Distinct,
    Percentile,
    Decayed(Total),
    VectorSums(Total),
    VectorExtremes(Extreme),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantifier {
    Any,
    All,
}

/// What a sum becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Total {
    Sum,
    Mean,
}

/// What places become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    One,
    List,
}

/// An event of a key, as an aggregate sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event<'a> {
    /// The event time, in UTC microseconds.
    pub time: i64,
    /// The created time, in UTC microseconds.
    pub created: Option<i64>,
    /// The value of the column that is aggregated.
    pub value: Option<Value<'a>>,
    /// The value of the column that `min_by` and `max_by` look at.
    pub by: Option<Value<'a>>,
    /// The value of the column that groups.
    pub group: Option<Value<'a>>,
}

impl<'a> Event<'a> {
    /// Returns an event of a time and value.
    #[must_use]
    pub fn new(time: i64, value: Option<Value<'a>>) -> Self {
        Self { time, created: None, value, by: None, group: None }
    }
}

/// What an aggregate amounts to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A value of the output's type.
    Value(OwnedValue),
    /// There were no values, or too few.
    Null,
    /// The sum does not fit into the output's type.
    Overflow,
    /// There were more distinct values or groups than this limit.
    TooMany(u32),
}

impl Outcome {
    pub(super) fn of(value: Option<OwnedValue>) -> Self {
        value.map_or(Self::Null, Self::Value)
    }

    /// Returns the value, `None` for null.
    ///
    /// # Errors
    /// `Invalid` for a sum that does not fit; `Exhausted` past a limit.
    pub fn value(&self, aggregate: &Aggregate) -> Result<Option<&OwnedValue>> {
        match self {
            Self::Value(value) => Ok(Some(value)),
            Self::Null => Ok(None),
            Self::Overflow => Err(Error::invalid(format!(
                "a {} does not fit into {}; cast the column to a float to have it rounded",
                aggregate.function, aggregate.output
            ))),
            Self::TooMany(limit) => Err(Error::new(
                ErrorKind::Exhausted,
                format!("'{}' met more than {limit} distinct values; raise its limit", aggregate.function),
            )),
        }
    }
}

impl Aggregate {
    /// Returns the function bound to its inputs: none or the column, and for `min_by` and `max_by` the other column.
    ///
    /// # Errors
    /// `Invalid` for inputs that the function does not take; it names the function and the types.
    pub fn new(function: Function, inputs: &[FeatureType]) -> Result<Self> {
        let most = if function.needs_by() { 2 } else { 1 };
        let least = if function.needs_column() { most } else { 0 };
        if !(least..=most).contains(&inputs.len()) {
            return Err(Error::invalid(format!("'{function}' takes {most} columns, not {}", inputs.len())));
        }
        let Some(input) = inputs.first() else {
            return Ok(Self::of(function, inputs, Kind::Rows, FeatureType::Int64));
        };
        let wrong = |expected: &str| {
            Error::invalid(format!("'{function}' of {input} can't be computed; expected a column of {expected}"))
        };
        if let Some(by) = inputs.get(1).filter(|by| !has_order(by)) {
            let expected = "a type with an order, such as a number, text or time";
            return Err(Error::invalid(format!("'{function}' by {by} can't be computed; expected {expected}")));
        }
        let (kind, output) = bind(&function, input).map_err(wrong)?;
        Ok(Self::of(function, inputs, kind, output))
    }

    fn of(function: Function, inputs: &[FeatureType], kind: Kind, output: FeatureType) -> Self {
        Self { function, inputs: inputs.to_vec(), kind, output, grouped: None }
    }

    /// Returns the aggregate of each group: a map from the group's value. Groups are bounded by [`DEFAULT_LIMIT`].
    ///
    /// # Errors
    /// `Invalid` for groups of a nested type, or an aggregate that is no single plain value.
    pub fn grouped_by(mut self, group: &FeatureType) -> Result<Self> {
        if !has_order(group) {
            return Err(Error::invalid(format!(
                "'{}' can't be grouped by {group}; expected a plain type",
                self.function
            )));
        }
        if self.grouped.is_some() || is_nested(&self.output) {
            return Err(Error::invalid(format!(
                "'{}' of {} can't be grouped; expected an aggregate that is a single value",
                self.function, self.output
            )));
        }
        self.output = FeatureType::Map(Box::new(group.clone()), Box::new(self.output));
        self.grouped = Some(group.clone());
        Ok(self)
    }

    /// Returns the function.
    #[must_use]
    pub fn function(&self) -> &Function {
        &self.function
    }

    /// Returns the type of the results.
    #[must_use]
    pub fn output(&self) -> &FeatureType {
        &self.output
    }

    /// Returns whether states of this aggregate, filled with the same events, can be finished as those of another one:
    /// both keep the same, as sums and means do, or this one keeps more, as a deviation does.
    #[must_use]
    pub fn serves(&self, other: &Self) -> bool {
        let is_served = match (self.kind, other.kind) {
            (Kind::Moments(one), Kind::Moments(another)) => one.order() >= another.order(),
            (Kind::Moments(_), Kind::Floats(_))
            | (Kind::Moments(_) | Kind::Floats(_) | Kind::Integers(_), Kind::Values)
            | (Kind::Floats(_), Kind::Floats(_))
            | (Kind::Integers(_), Kind::Integers(_))
            | (Kind::VectorSums(_), Kind::VectorSums(_))
            | (Kind::Truths(_), Kind::Truths(_))
            | (Kind::Percentile, Kind::Percentile) => true,
            (Kind::Counts(limit), Kind::Counts(other)) => limit == other,
            (Kind::Decayed(_), Kind::Decayed(_)) => self.half_life() == other.half_life(),
            _ => self.function == other.function,
        };
        is_served && (&self.inputs, &self.grouped) == (&other.inputs, &other.grouped)
    }

    /// Returns how much a state keeps: an aggregate [serves](Self::serves) none that keeps more.
    pub(crate) fn extent(&self) -> u8 {
        match self.kind {
            Kind::Moments(moment) => 2 + moment.order() as u8,
            Kind::Floats(_) | Kind::Integers(_) => 1,
            _ => 0,
        }
    }

    /// Returns whether events and states can be taken off again ([`Aggregate::remove`], [`Aggregate::subtract`]).
    #[must_use]
    pub fn is_invertible(&self) -> bool {
        self.grouped.is_none()
            && matches!(
                self.kind,
                Kind::Rows
                    | Kind::Values
                    | Kind::Truths(_)
                    | Kind::Integers(_)
                    | Kind::Floats(_)
                    | Kind::Moments(_)
                    | Kind::Percentile
                    | Kind::VectorSums(_)
            )
    }

    /// Returns results as a column of the output's type; row i is outcome i.
    ///
    /// # Errors
    /// `Invalid` or `Exhausted` as [`Outcome::value`], with the row as context.
    pub fn column(&self, outcomes: &[Outcome]) -> Result<ArrayRef> {
        let values = outcomes.iter().enumerate();
        let values = values.map(|(row, outcome)| outcome.value(self).map_err(|error| error.with_context("row", row)));
        OwnedValue::array(&self.output, &values.collect::<Result<Vec<_>>>()?)
    }

    /// Returns the digits after the point of the column's values.
    pub(super) fn scale(&self) -> i8 {
        match self.inputs.first() {
            Some(FeatureType::Decimal { scale, .. }) => *scale,
            _ => 0,
        }
    }

    /// Returns how many groups there may be.
    pub(super) fn group_limit() -> u32 {
        DEFAULT_LIMIT
    }
}

/// Returns what is kept and the output's type, or which columns the function takes.
fn bind(function: &Function, input: &FeatureType) -> Result<(Kind, FeatureType), &'static str> {
    use FeatureType as F;
    let list = |item: &F| F::List(Box::new(item.clone()));
    let plain = "a plain type, no list, vector, struct or map";
    let number = "numbers";
    Ok(match function {
        Function::Count => (Kind::Values, F::Int64),
        Function::Sum => total(Total::Sum, input).ok_or("numbers or vectors")?,
        Function::Mean => total(Total::Mean, input).ok_or("numbers or vectors")?,
        Function::Min => extreme(Extreme::Least, input).ok_or("numbers, text, times or vectors")?,
        Function::Max => extreme(Extreme::Greatest, input).ok_or("numbers, text, times or vectors")?,
        Function::VarPop => (Kind::Moments(Moment::VarPop), float(input).ok_or(number)?),
        Function::VarSamp => (Kind::Moments(Moment::VarSamp), float(input).ok_or(number)?),
        Function::StddevPop => (Kind::Moments(Moment::StddevPop), float(input).ok_or(number)?),
        Function::StddevSamp => (Kind::Moments(Moment::StddevSamp), float(input).ok_or(number)?),
        Function::Skew => (Kind::Moments(Moment::Skew), float(input).ok_or(number)?),
        Function::Kurtosis => (Kind::Moments(Moment::Kurtosis), float(input).ok_or(number)?),
        Function::First => (Kind::Places(Keep::First(1), Shape::One), input.clone()),
        Function::Last => (Kind::Places(Keep::Last(1), Shape::One), input.clone()),
        Function::FirstN(n) => (Kind::Places(Keep::First(*n as usize), Shape::List), list(input)),
        Function::LastN(n) => (Kind::Places(Keep::Last(*n as usize), Shape::List), list(input)),
        Function::LastNDistinct(n) if has_order(input) => {
            (Kind::Places(Keep::LastDistinct(*n as usize), Shape::List), list(input))
        }
        Function::MinBy => (Kind::Choice(Extreme::Least), input.clone()),
        Function::MaxBy => (Kind::Choice(Extreme::Greatest), input.clone()),
        Function::Any if *input == F::Bool => (Kind::Truths(Quantifier::Any), F::Bool),
        Function::All if *input == F::Bool => (Kind::Truths(Quantifier::All), F::Bool),
        Function::Any | Function::All => return Err("bool"),
        Function::CountDistinct(limit) if has_order(input) => (Kind::Counts(*limit), F::Int64),
        Function::ApproxCountDistinct if has_order(input) => (Kind::Distinct, F::Int64),
        Function::TopK { limit, .. } if has_order(input) => (Kind::Counts(*limit), list(input)),
        Function::Histogram(limit) if has_order(input) => {
            (Kind::Counts(*limit), F::Map(Box::new(input.clone()), Box::new(F::Int64)))
        }
        Function::LastNDistinct(_)
        | Function::CountDistinct(_)
        | Function::ApproxCountDistinct
        | Function::TopK { .. }
        | Function::Histogram(_) => return Err(plain),
        Function::ApproxPercentile(fractions) => {
            let one = float(input).ok_or(number)?;
            (Kind::Percentile, if fractions.len() == 1 { one } else { list(&one) })
        }
        Function::DecayedSum(_) => (Kind::Decayed(Total::Sum), float(input).ok_or(number)?),
        Function::DecayedMean(_) => (Kind::Decayed(Total::Mean), float(input).ok_or(number)?),
    })
}

fn total(total: Total, input: &FeatureType) -> Option<(Kind, FeatureType)> {
    use FeatureType as F;
    let output = |sum: F| if total == Total::Sum { sum } else { F::Float64 };
    Some(match input {
        F::Int32 | F::Int64 => (Kind::Integers(total), output(F::Int64)),
        F::Decimal { scale, .. } => (Kind::Integers(total), output(F::Decimal { precision: 38, scale: *scale })),
        F::Float32 | F::Float64 => (Kind::Floats(total), F::Float64),
        F::Vector { dim, .. } => (Kind::VectorSums(total), F::Vector { double: true, dim: *dim }),
        _ => return None,
    })
}

fn extreme(extreme: Extreme, input: &FeatureType) -> Option<(Kind, FeatureType)> {
    match input {
        FeatureType::Vector { .. } => Some((Kind::VectorExtremes(extreme), input.clone())),
        _ if has_order(input) => Some((Kind::Extreme(extreme), input.clone())),
        _ => None,
    }
}

/// Returns the type of results that are rounded, for columns of numbers.
fn float(input: &FeatureType) -> Option<FeatureType> {
    use FeatureType as F;
    matches!(input, F::Int32 | F::Int64 | F::Float32 | F::Float64 | F::Decimal { .. }).then_some(F::Float64)
}

fn is_nested(ty: &FeatureType) -> bool {
    use FeatureType as F;
    matches!(ty, F::List(_) | F::Set(_) | F::Vector { .. } | F::Struct(_) | F::Map(..))
}

/// Returns whether values of a type are plain: told apart and ordered by themselves. JSON is only text.
fn has_order(ty: &FeatureType) -> bool {
    !is_nested(ty) && *ty != FeatureType::Json
}
