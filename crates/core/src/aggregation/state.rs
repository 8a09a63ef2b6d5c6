//! What is kept of the events, and what is made of it.

use hashbrown::HashMap;

use super::aggregate::{Aggregate, Event, Kind};
use super::counts::ValueCounts;
use super::decay::DecayedSum;
use super::exact::{Dyadic, FloatSum, IntegerSum, Moments};
use super::function::Function;
use super::hll::DistinctSketch;
use super::percentile::PercentileSketch;
use super::places::{Choice, Keep, Place, Places, choose, keep_extreme, loses};
use super::value::OwnedValue;
use super::vectors::{VectorExtremes, VectorSums};
use crate::error::{Error, Result};
use crate::time::Micros;
use crate::types::Value;

/// What an aggregate keeps of the events it saw. Equal for the same events, in whatever order they came.
///
/// Where columns have one type, what a variant holds may be filled directly, as with
/// [`FloatSum::add`]; [`Aggregate::update`] does the same for any event.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// How many rows or values there are.
    Count(u64),
    /// How many values are true, and false.
    Truths(Truths),
    /// A sum of integers or of the digits of decimals.
    Integers(IntegerSum),
    /// A sum of floats.
    Floats(FloatSum),
    /// Sums of powers.
    Moments(Box<Moments>),
    /// The least or greatest value.
    Extreme(Option<OwnedValue>),
    /// Values by their place in time.
    Places(Places),
    /// A value by another column.
    Choice(Option<Box<Choice>>),
    /// Distinct values and their counts.
    Counts(ValueCounts),
    /// A sketch of the distinct values.
    Distinct(DistinctSketch),
    /// A sketch of the values' distribution.
    Percentile(PercentileSketch),
    /// Values that weigh less with time.
    Decayed(DecayedSum),
    /// Sums of the elements of vectors.
    VectorSums(VectorSums),
    /// Extremes of the elements of vectors.
    VectorExtremes(VectorExtremes),
    /// A state for each group; `None` once there were too many.
    Groups(Option<HashMap<OwnedValue, State>>),
}

/// How many values are true, and false.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Truths {
    /// How many are true.
    pub yes: u64,
    /// How many are false.
    pub no: u64,
}

/// Whether something comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Add,
    Remove,
}

impl Step {
    #[inline]
    fn count(self, count: &mut u64, by: u64) {
        *count = if self == Self::Add { count.wrapping_add(by) } else { count.wrapping_sub(by) };
    }
}

impl Aggregate {
    /// Returns the state of no events.
    #[must_use]
    pub fn empty(&self) -> State {
        if self.grouped.is_some() { State::Groups(Some(HashMap::new())) } else { self.empty_of_group() }
    }

    fn empty_of_group(&self) -> State {
        match self.kind {
            Kind::Rows | Kind::Values => State::Count(0),
            Kind::Truths(_) => State::Truths(Truths::default()),
            Kind::Integers(_) => State::Integers(IntegerSum::default()),
            Kind::Floats(_) => State::Floats(FloatSum::default()),
            Kind::Moments(moment) => State::Moments(Box::new(Moments::new(moment.order()))),
            Kind::Extreme(_) => State::Extreme(None),
            Kind::Places(..) => State::Places(Places::default()),
            Kind::Choice(_) => State::Choice(None),
            Kind::Counts(_) => State::Counts(ValueCounts::default()),
            Kind::Distinct => State::Distinct(DistinctSketch::default()),
            Kind::Percentile => State::Percentile(PercentileSketch::default()),
            Kind::Decayed(_) => State::Decayed(DecayedSum::default()),
            Kind::VectorSums(_) => State::VectorSums(VectorSums::default()),
            Kind::VectorExtremes(_) => State::VectorExtremes(VectorExtremes::default()),
        }
    }

    /// Adds an event to a state.
    ///
    /// # Errors
    /// `Internal` for a state or value of another aggregate.
    #[inline]
    pub fn update(&self, state: &mut State, event: &Event<'_>) -> Result<()> {
        if self.grouped.is_none() {
            return self.step(state, event, Step::Add);
        }
        let State::Groups(groups) = state else { return Err(self.foreign()) };
        let (Some(of_group), Some(value)) = (groups.as_mut(), &event.group) else { return Ok(()) };
        let is_skipped = (event.value.is_none() && self.kind != Kind::Rows)
            || (event.by.is_none() && matches!(self.kind, Kind::Choice(_)));
        if is_skipped {
            return Ok(());
        }
        let key = OwnedValue::new(value)?.into_key();
        if of_group.len() >= Self::group_limit() as usize && !of_group.contains_key(&key) {
            *groups = None;
            return Ok(());
        }
        self.step(of_group.entry(key).or_insert_with(|| self.empty_of_group()), event, Step::Add)
    }

    /// Takes an event off that was added before. The state is then equal to one that never met it.
    ///
    /// # Errors
    /// `Unsupported` where [`Aggregate::is_invertible`] is false; `Internal` as [`Aggregate::update`].
    pub fn remove(&self, state: &mut State, event: &Event<'_>) -> Result<()> {
        if !self.is_invertible() {
            return Err(self.not_invertible());
        }
        self.step(state, event, Step::Remove)
    }

    fn not_invertible(&self) -> Error {
        Error::unsupported(format!("'{}' can't take events off; aggregate again what stays", self.function))
    }

    pub(super) fn foreign(&self) -> Error {
        Error::internal(format!("a state or value of another aggregate was given to '{}'", self.function))
    }

    #[inline]
    fn step(&self, state: &mut State, event: &Event<'_>, step: Step) -> Result<()> {
        if let (Kind::Rows, State::Count(count)) = (&self.kind, &mut *state) {
            step.count(count, 1);
            return Ok(());
        }
        let Some(value) = &event.value else { return Ok(()) };
        match (state, value) {
            (State::Count(count), _) => step.count(count, 1),
            (State::Truths(truths), Value::Bool(value)) => {
                step.count(if *value { &mut truths.yes } else { &mut truths.no }, 1);
            }
            (State::Integers(sum), value) => {
                let value = integer(value).ok_or_else(|| self.foreign())?;
                if step == Step::Add { sum.add_wide(value) } else { sum.remove_wide(value) }
            }
            (State::Floats(sum), value) => {
                let value = number(value).ok_or_else(|| self.foreign())?;
                if step == Step::Add { sum.add(value) } else { sum.remove(value) }
            }
            (State::Moments(moments), value) => self.step_moments(moments, value, step)?,
            (State::Percentile(sketch), value) => {
                let value = number(value).ok_or_else(|| self.foreign())?;
                if step == Step::Add { sketch.add(value) } else { sketch.remove(value) }
            }
            (State::VectorSums(sums), Value::Nested(vector)) => {
                sums.combine(vector, if step == Step::Add { FloatSum::add } else { FloatSum::remove })?;
            }
            (state, _) => return self.keep(state, event),
        }
        Ok(())
    }

    fn step_moments(&self, moments: &mut Moments, value: &Value<'_>, step: Step) -> Result<()> {
        match (value, step) {
            (Value::Float64(value), Step::Add) => moments.add(*value),
            (Value::Float64(value), Step::Remove) => moments.remove(*value),
            (Value::Float32(value), Step::Add) => moments.add(f64::from(*value)),
            (Value::Float32(value), Step::Remove) => moments.remove(f64::from(*value)),
            (Value::Decimal { unscaled, .. }, Step::Add) => moments.add_wide(*unscaled),
            (Value::Decimal { unscaled, .. }, Step::Remove) => moments.remove_wide(*unscaled),
            (Value::Int32(value), Step::Add) => moments.add_i64(i64::from(*value)),
            (Value::Int32(value), Step::Remove) => moments.remove_i64(i64::from(*value)),
            (Value::Int64(value), Step::Add) => moments.add_i64(*value),
            (Value::Int64(value), Step::Remove) => moments.remove_i64(*value),
            _ => return Err(self.foreign()),
        }
        Ok(())
    }

    /// Adds an event to a state that nothing can be taken off of.
    fn keep(&self, state: &mut State, event: &Event<'_>) -> Result<()> {
        let Some(value) = &event.value else { return Ok(()) };
        match (state, self.kind) {
            (State::Extreme(best), Kind::Extreme(extreme)) => {
                if !loses(best.as_ref(), value, extreme) {
                    keep_extreme(best, OwnedValue::new(value)?, extreme);
                }
            }
            (State::Places(places), Kind::Places(keep, _)) => {
                if !places.is_beyond(event.time, event.created, keep) {
                    let value = OwnedValue::new(value)?;
                    let value = if let Keep::LastDistinct(_) = keep { value.into_key() } else { value };
                    places.add(Place { time: event.time, created: event.created, value }, keep);
                }
            }
            (State::Choice(best), Kind::Choice(extreme)) => {
                if let Some(by) = &event.by {
                    let place = Place { time: event.time, created: event.created, value: OwnedValue::new(value)? };
                    choose(best, Choice { by: OwnedValue::new(by)?, place }, extreme);
                }
            }
            (State::Counts(counts), Kind::Counts(limit)) => counts.add(OwnedValue::new(value)?.into_key(), 1, limit),
            (State::Distinct(sketch), _) => sketch.add(&OwnedValue::new(value)?),
            (State::Decayed(sum), _) => {
                sum.add(event.time, number(value).ok_or_else(|| self.foreign())?, self.half_life());
            }
            (State::VectorExtremes(extremes), Kind::VectorExtremes(extreme)) => match value {
                Value::Nested(vector) => extremes.add(vector, extreme)?,
                _ => return Err(self.foreign()),
            },
            _ => return Err(self.foreign()),
        }
        Ok(())
    }

    /// Adds all events of another state.
    ///
    /// # Errors
    /// `Internal` for a state of another aggregate.
    pub fn merge(&self, into: &mut State, other: &State) -> Result<()> {
        match (into, other, self.kind) {
            (State::Groups(into), State::Groups(other), _) => return self.merge_groups(into, other.as_ref()),
            (State::Extreme(into), State::Extreme(other), Kind::Extreme(extreme)) => {
                other.iter().for_each(|value| keep_extreme(into, value.clone(), extreme));
            }
            (State::Places(into), State::Places(other), Kind::Places(keep, _)) => into.merge(other, keep),
            (State::Choice(into), State::Choice(other), Kind::Choice(extreme)) => {
                other.iter().for_each(|choice| choose(into, choice.as_ref().clone(), extreme));
            }
            (State::Counts(into), State::Counts(other), Kind::Counts(limit)) => into.merge(other, limit),
            (State::Distinct(into), State::Distinct(other), _) => into.merge(other),
            (State::Decayed(into), State::Decayed(other), _) => into.merge(other),
            (State::VectorExtremes(into), State::VectorExtremes(other), Kind::VectorExtremes(extreme)) => {
                into.merge(other, extreme);
            }
            (into, other, _) => return self.combine(into, other, Step::Add),
        }
        Ok(())
    }

    /// Takes off all events of another state, each of which was added before.
    ///
    /// # Errors
    /// `Unsupported` where [`Aggregate::is_invertible`] is false; `Internal` for a state of another aggregate.
    pub fn subtract(&self, from: &mut State, other: &State) -> Result<()> {
        if !self.is_invertible() {
            return Err(self.not_invertible());
        }
        self.combine(from, other, Step::Remove)
    }

    #[inline]
    fn combine(&self, into: &mut State, other: &State, step: Step) -> Result<()> {
        match (into, other, step) {
            (State::Count(into), State::Count(other), _) => step.count(into, *other),
            (State::Truths(into), State::Truths(other), _) => {
                step.count(&mut into.yes, other.yes);
                step.count(&mut into.no, other.no);
            }
            (State::Integers(into), State::Integers(other), Step::Add) => into.merge(other),
            (State::Integers(into), State::Integers(other), Step::Remove) => into.subtract(other),
            (State::Floats(into), State::Floats(other), Step::Add) => into.merge(other),
            (State::Floats(into), State::Floats(other), Step::Remove) => into.subtract(other),
            (State::Moments(into), State::Moments(other), _) if into.order() != other.order() => {
                return Err(self.foreign());
            }
            (State::Moments(into), State::Moments(other), Step::Add) => into.merge(other),
            (State::Moments(into), State::Moments(other), Step::Remove) => into.subtract(other),
            (State::Percentile(into), State::Percentile(other), Step::Add) => into.merge(other),
            (State::Percentile(into), State::Percentile(other), Step::Remove) => into.subtract(other),
            (State::VectorSums(into), State::VectorSums(other), Step::Add) => into.merge(other, FloatSum::merge),
            (State::VectorSums(into), State::VectorSums(other), Step::Remove) => into.merge(other, FloatSum::subtract),
            _ => return Err(self.foreign()),
        }
        Ok(())
    }

    fn merge_groups(
        &self,
        into: &mut Option<HashMap<OwnedValue, State>>,
        other: Option<&HashMap<OwnedValue, State>>,
    ) -> Result<()> {
        let (Some(groups), Some(other)) = (into.as_mut(), other) else {
            *into = None;
            return Ok(());
        };
        for (key, state) in other {
            match groups.get_mut(key) {
                Some(own) => self.merge(own, state)?,
                None => {
                    groups.insert(key.clone(), state.clone());
                }
            }
        }
        if groups.len() > Self::group_limit() as usize {
            *into = None;
        }
        Ok(())
    }

    pub(super) fn half_life(&self) -> Micros {
        match &self.function {
            Function::DecayedSum(half_life) | Function::DecayedMean(half_life) => *half_life,
            _ => Micros::ZERO,
        }
    }
}

/// Returns an integer, or the digits of a decimal.
#[inline]
fn integer(value: &Value<'_>) -> Option<i128> {
    Some(match value {
        Value::Int32(value) => i128::from(*value),
        Value::Int64(value) => i128::from(*value),
        Value::Decimal { unscaled, .. } => *unscaled,
        _ => return None,
    })
}

/// Returns the float nearest to a number.
#[inline]
fn number(value: &Value<'_>) -> Option<f64> {
    Some(match value {
        Value::Float64(value) => *value,
        Value::Float32(value) => f64::from(*value),
        Value::Int32(value) => f64::from(*value),
        Value::Int64(value) => *value as f64,
        Value::Decimal { unscaled, scale } => Dyadic::decimal(*unscaled, *scale),
        _ => return None,
    })
}
