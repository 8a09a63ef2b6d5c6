//! The stored form of states.
//!
//! A byte with the form's version, then what the aggregate keeps. Equal states have equal bytes. Bytes are read with
//! the aggregate that wrote them, and never trusted.

use hashbrown::HashMap;

use super::aggregate::{Aggregate, Kind};
use super::codec::{Reader, Writer};
use super::counts::ValueCounts;
use super::decay::DecayedSum;
use super::exact::{FloatSum, IntegerSum, Moments};
use super::hll::DistinctSketch;
use super::percentile::PercentileSketch;
use super::places::{Places, decode_choice, decode_extreme, encode_choice};
use super::state::{State, Truths};
use super::value::{OwnedValue, encode_option};
use super::vectors::{VectorExtremes, VectorSums};
use crate::error::{Error, Result};
use crate::types::FeatureType;

/// The version of the form.
const VERSION: u8 = 1;

impl Aggregate {
    /// Appends a state's bytes.
    pub fn encode(&self, state: &State, to: &mut Vec<u8>) {
        let mut to = Writer(to);
        to.byte(VERSION);
        write(state, &mut to);
    }

    /// Returns the state that bytes hold.
    ///
    /// # Errors
    /// `Corrupt` for bytes that no state of this aggregate has.
    pub fn decode(&self, bytes: &[u8]) -> Result<State> {
        let mut from = Reader::new(bytes);
        let version = from.byte()?;
        if version != VERSION {
            return Err(Error::corrupt(format!("a stored aggregate has form {version}; this program reads {VERSION}")));
        }
        let state = self.read(&mut from).map_err(|error| error.with_context("function", &self.function))?;
        from.end()?;
        Ok(state)
    }

    fn read(&self, from: &mut Reader<'_>) -> Result<State> {
        let Some(group) = &self.grouped else { return self.read_one(from) };
        if from.flag()? {
            return Ok(State::Groups(None));
        }
        let length = from.length(2)?;
        let mut groups = HashMap::new();
        for _ in 0..length {
            let key = OwnedValue::decode(group, from)?.into_key();
            groups.insert(key, self.read_one(from)?);
        }
        if groups.len() != length || length > Self::group_limit() as usize {
            return Err(Error::corrupt(format!("{length} stored groups are not distinct, or too many")));
        }
        Ok(State::Groups(Some(groups)))
    }

    fn read_one(&self, from: &mut Reader<'_>) -> Result<State> {
        let internal = || Error::internal(format!("'{}' has no column of the type it needs", self.function));
        let input = || self.inputs.first().ok_or_else(internal);
        Ok(match self.kind {
            Kind::Rows | Kind::Values => State::Count(from.natural()?),
            Kind::Truths(_) => State::Truths(Truths { yes: from.natural()?, no: from.natural()? }),
            Kind::Integers(_) => State::Integers(IntegerSum::decode(from)?),
            Kind::Floats(_) => State::Floats(FloatSum::decode(from)?),
            Kind::Moments(moment) => State::Moments(Box::new(Moments::decode(moment.order(), from)?)),
            Kind::Extreme(_) => State::Extreme(decode_extreme(input()?, from)?),
            Kind::Places(keep, _) => State::Places(Places::decode(input()?, keep, from)?),
            Kind::Choice(_) => State::Choice(decode_choice(input()?, self.inputs.get(1).ok_or_else(internal)?, from)?),
            Kind::Counts(limit) => State::Counts(ValueCounts::decode(input()?, limit, from)?),
            Kind::Distinct => State::Distinct(DistinctSketch::decode(from)?),
            Kind::Percentile => State::Percentile(PercentileSketch::decode(from)?),
            Kind::Decayed(_) => State::Decayed(DecayedSum::decode(from)?),
            Kind::VectorSums(_) | Kind::VectorExtremes(_) => {
                let FeatureType::Vector { double, dim } = input()? else { return Err(internal()) };
                let dim = dim.unsigned_abs() as usize;
                let item = if *double { FeatureType::Float64 } else { FeatureType::Float32 };
                match self.kind {
                    Kind::VectorSums(_) => State::VectorSums(VectorSums::decode(dim, from)?),
                    _ => State::VectorExtremes(VectorExtremes::decode(dim, &item, from)?),
                }
            }
        })
    }
}

fn write(state: &State, to: &mut Writer<'_>) {
    match state {
        State::Count(count) => to.natural(*count),
        State::Truths(truths) => {
            to.natural(truths.yes);
            to.natural(truths.no);
        }
        State::Integers(sum) => sum.encode(to),
        State::Floats(sum) => sum.encode(to),
        State::Moments(moments) => moments.encode(to),
        State::Extreme(best) => encode_option(best.as_ref(), to),
        State::Places(places) => places.encode(to),
        State::Choice(choice) => encode_choice(choice.as_deref(), to),
        State::Counts(counts) => counts.encode(to),
        State::Distinct(sketch) => sketch.encode(to),
        State::Percentile(sketch) => sketch.encode(to),
        State::Decayed(sum) => sum.encode(to),
        State::VectorSums(sums) => sums.encode(to),
        State::VectorExtremes(extremes) => extremes.encode(to),
        State::Groups(None) => to.byte(1),
        State::Groups(Some(groups)) => {
            to.byte(0);
            to.natural(groups.len() as u64);
            let mut all: Vec<_> = groups.iter().collect();
            all.sort_unstable_by_key(|(key, _)| *key);
            for (key, state) in all {
                key.encode(to);
                write(state, to);
            }
        }
    }
}
