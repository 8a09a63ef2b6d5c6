//! What states amount to.

use hashbrown::HashMap;

use super::aggregate::{Aggregate, Kind, Outcome, Quantifier, Shape, Total};
use super::counts::ValueCounts;
use super::exact::{FloatSum, IntegerSum};
use super::function::Function;
use super::percentile::PercentileSketch;
use super::places::Place;
use super::state::{State, Truths};
use super::value::OwnedValue;
use crate::types::FeatureType;

impl Aggregate {
    /// Returns what a state amounts to, asked at a time in UTC microseconds, which only decayed functions look at.
    #[must_use]
    pub fn finish(&self, state: &State, at: i64) -> Outcome {
        let float = |value: Option<f64>| Outcome::of(value.map(OwnedValue::Float64));
        let count = |count: u64| OwnedValue::Int64(count.cast_signed());
        match (state, self.kind) {
            (State::Groups(groups), _) => self.finish_groups(groups.as_ref(), at),
            // What keeps more than an aggregate needs serves it too.
            (State::Moments(moments), Kind::Values) => Outcome::Value(count(moments.values().count())),
            (State::Floats(sum), Kind::Values) => Outcome::Value(count(sum.count())),
            (State::Integers(sum), Kind::Values) => Outcome::Value(count(sum.count())),
            (State::Moments(moments), Kind::Floats(Total::Sum)) => float(moments.values().sum()),
            (State::Moments(moments), Kind::Floats(Total::Mean)) => float(moments.values().mean()),
            (State::Count(rows), _) => Outcome::Value(count(*rows)),
            (State::Truths(Truths { yes: 0, no: 0 }), _) => Outcome::Null,
            (State::Truths(truths), Kind::Truths(quantifier)) => Outcome::Value(OwnedValue::Bool(match quantifier {
                Quantifier::Any => truths.yes > 0,
                Quantifier::All => truths.no == 0,
            })),
            (State::Integers(sum), Kind::Integers(Total::Sum)) => self.finish_integers(sum),
            (State::Integers(sum), _) => float(sum.mean(self.scale())),
            (State::Floats(sum), Kind::Floats(Total::Sum)) => float(sum.sum()),
            (State::Floats(sum), _) => float(sum.mean()),
            (State::Moments(moments), Kind::Moments(moment)) => float(moments.finish(moment, self.scale())),
            (State::Extreme(best), _) => Outcome::of(best.clone()),
            (State::Places(places), Kind::Places(_, shape)) => finish_places(places.as_slice(), shape),
            (State::Choice(best), _) => Outcome::of(best.as_ref().map(|best| best.place.value.clone())),
            (State::Counts(counts), Kind::Counts(limit)) => {
                self.finish_counts(counts).unwrap_or(Outcome::TooMany(limit))
            }
            (State::Distinct(sketch), _) => Outcome::Value(OwnedValue::Int64(sketch.estimate())),
            (State::Percentile(sketch), _) => self.finish_percentile(sketch),
            (State::Decayed(sum), Kind::Decayed(Total::Sum)) => float(sum.sum(at, self.half_life())),
            (State::Decayed(sum), _) => float(sum.mean()),
            (State::VectorSums(sums), Kind::VectorSums(Total::Sum)) => Outcome::of(sums.finish(FloatSum::sum)),
            (State::VectorSums(sums), _) => Outcome::of(sums.finish(FloatSum::mean)),
            (State::VectorExtremes(extremes), _) => Outcome::of(extremes.finish()),
            // A state of another aggregate has nothing to say here.
            _ => Outcome::Null,
        }
    }

    fn finish_groups(&self, groups: Option<&HashMap<OwnedValue, State>>, at: i64) -> Outcome {
        let Some(groups) = groups else { return Outcome::TooMany(Self::group_limit()) };
        let mut all: Vec<_> = groups.iter().collect();
        all.sort_unstable_by_key(|(key, _)| *key);
        let mut items = Vec::with_capacity(2 * all.len());
        for (key, state) in all {
            let value = match self.finish(state, at) {
                Outcome::Value(value) => Some(value),
                Outcome::Null => None,
                refused => return refused,
            };
            items.extend([Some(key.clone()), value]);
        }
        if items.is_empty() { Outcome::Null } else { Outcome::Value(OwnedValue::Items(items.into())) }
    }

    fn finish_integers(&self, sum: &IntegerSum) -> Outcome {
        if sum.count() == 0 {
            return Outcome::Null;
        }
        let value = match (&self.inputs[..], sum.sum()) {
            ([FeatureType::Decimal { .. }], sum) => {
                sum.filter(|sum| sum.unsigned_abs() < 10_u128.pow(38)).map(OwnedValue::Decimal)
            }
            (_, sum) => sum.and_then(|sum| i64::try_from(sum).ok()).map(OwnedValue::Int64),
        };
        value.map_or(Outcome::Overflow, Outcome::Value)
    }

    fn finish_counts(&self, counts: &ValueCounts) -> Option<Outcome> {
        let distinct = counts.distinct()?;
        let items: Vec<Option<OwnedValue>> = match &self.function {
            Function::CountDistinct(_) => return Some(Outcome::Value(OwnedValue::Int64(distinct as i64))),
            Function::TopK { k, .. } => {
                counts.most_frequent(*k as usize)?.into_iter().map(|value| Some(value.clone())).collect()
            }
            _ => {
                let entry = |(value, times): (&OwnedValue, u64)| {
                    [Some(value.clone()), Some(OwnedValue::Int64(times.cast_signed()))]
                };
                counts.ascending()?.into_iter().flat_map(entry).collect()
            }
        };
        Some(if distinct == 0 { Outcome::Null } else { Outcome::Value(OwnedValue::Items(items.into())) })
    }

    fn finish_percentile(&self, sketch: &PercentileSketch) -> Outcome {
        let Function::ApproxPercentile(fractions) = &self.function else { return Outcome::Null };
        Outcome::of(sketch.values_at(fractions).map(|values| match values[..] {
            [value] => OwnedValue::Float64(value),
            _ => OwnedValue::Items(values.into_iter().map(|value| Some(OwnedValue::Float64(value))).collect()),
        }))
    }
}

fn finish_places(places: &[Place], shape: Shape) -> Outcome {
    match (shape, places) {
        (_, []) => Outcome::Null,
        (Shape::One, [place, ..]) => Outcome::Value(place.value.clone()),
        (Shape::List, places) => {
            Outcome::Value(OwnedValue::Items(places.iter().map(|place| Some(place.value.clone())).collect()))
        }
    }
}
