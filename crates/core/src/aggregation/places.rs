//! Values by their place in time, and by another column.

use super::codec::{Reader, Writer};
use super::value::{OwnedValue, decode_option, encode_option};
use crate::error::{Error, Result};
use crate::types::{FeatureType, Value};

/// A value with its place: ordered by event time, then created time, then value (rule W6).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The event time, in UTC microseconds.
    pub time: i64,
    /// The created time, in UTC microseconds; none is lowest.
    pub created: Option<i64>,
    /// The value.
    pub value: OwnedValue,
}

impl Place {
    pub(super) fn encode(&self, to: &mut Writer<'_>) {
        to.integer(self.time);
        to.byte(u8::from(self.created.is_some()));
        if let Some(created) = self.created {
            to.integer(created);
        }
        self.value.encode(to);
    }

    pub(super) fn decode(ty: &FeatureType, from: &mut Reader<'_>) -> Result<Self> {
        let time = from.integer()?;
        let created = if from.flag()? { Some(from.integer()?) } else { None };
        Ok(Self { time, created, value: OwnedValue::decode(ty, from)? })
    }
}

/// Which places are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// The earliest.
    First(usize),
    /// The latest.
    Last(usize),
    /// The latest place of each value, and of these the latest.
    LastDistinct(usize),
}

/// The places kept of all that were seen, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places(Vec<Place>);

impl Places {
    /// Returns whether a place of these times would be dropped at once, whatever its value.
    #[inline]
    pub(super) fn is_beyond(&self, time: i64, created: Option<i64>, keep: Keep) -> bool {
        let times = |place: &Place| (place.time, place.created);
        match keep {
            Keep::First(n) => self.0.len() >= n && self.0.last().is_some_and(|last| (time, created) > times(last)),
            Keep::Last(n) | Keep::LastDistinct(n) => {
                self.0.len() >= n && self.0.first().is_some_and(|first| (time, created) < times(first))
            }
        }
    }

    pub(super) fn add(&mut self, place: Place, keep: Keep) {
        if let Keep::LastDistinct(_) = keep
            && let Some(other) = self.0.iter().position(|other| other.value == place.value)
        {
            if self.0[other] >= place {
                return;
            }
            self.0.remove(other);
        }
        if let ([only], Keep::First(1) | Keep::Last(1) | Keep::LastDistinct(1)) = (&mut self.0[..], keep) {
            if (keep == Keep::First(1)) == (place < *only) {
                *only = place;
            }
            return;
        }
        let at = self.0.partition_point(|other| *other < place);
        self.0.insert(at, place);
        match keep {
            Keep::First(n) => self.0.truncate(n),
            Keep::Last(n) | Keep::LastDistinct(n) => {
                let spare = self.0.len().saturating_sub(n);
                self.0.drain(..spare);
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self, keep: Keep) {
        for place in &other.0 {
            if !self.is_beyond(place.time, place.created, keep) {
                self.add(place.clone(), keep);
            }
        }
    }

    /// Returns the places, the oldest first.
    #[must_use]
    pub fn as_slice(&self) -> &[Place] {
        &self.0
    }

    pub(super) fn encode(&self, to: &mut Writer<'_>) {
        to.natural(self.0.len() as u64);
        self.0.iter().for_each(|place| place.encode(to));
    }

    pub(super) fn decode(ty: &FeatureType, keep: Keep, from: &mut Reader<'_>) -> Result<Self> {
        let mut places = Self::default();
        for _ in 0..from.length(2)? {
            places.add(Place::decode(ty, from)?, keep);
        }
        Ok(places)
    }
}

/// The value of the row where another column is least or greatest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What the other column holds there.
    pub by: OwnedValue,
    /// The value and its place: of rows with equal `by` the greatest.
    pub place: Place,
}

/// Which row is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extreme {
    Least,
    Greatest,
}

impl Choice {
    /// Returns whether this row is chosen before another one.
    fn is_before(&self, other: &Self, extreme: Extreme) -> bool {
        let by = self.by.cmp(&other.by);
        let by = if extreme == Extreme::Least { by.reverse() } else { by };
        by.then_with(|| self.place.cmp(&other.place)).is_gt()
    }
}

pub(super) fn choose(among: &mut Option<Box<Choice>>, choice: Choice, extreme: Extreme) {
    match among {
        Some(best) if !choice.is_before(best, extreme) => {}
        Some(best) => **best = choice,
        None => *among = Some(Box::new(choice)),
    }
}

pub(super) fn encode_choice(choice: Option<&Choice>, to: &mut Writer<'_>) {
    encode_option(choice.map(|choice| &choice.by), to);
    if let Some(choice) = choice {
        choice.place.encode(to);
    }
}

pub(super) fn decode_choice(ty: &FeatureType, by: &FeatureType, from: &mut Reader<'_>) -> Result<Option<Box<Choice>>> {
    Ok(match decode_option(by, from)? {
        Some(by) => Some(Box::new(Choice { by, place: Place::decode(ty, from)? })),
        None => None,
    })
}

/// Returns whether a number is known at once not to be the extreme; most are.
#[inline]
pub(super) fn loses(best: Option<&OwnedValue>, value: &Value<'_>, extreme: Extreme) -> bool {
    match (best, value, extreme) {
        (Some(OwnedValue::Float64(best)), Value::Float64(value), Extreme::Least) => value > best,
        (Some(OwnedValue::Float64(best)), Value::Float64(value), Extreme::Greatest) => value < best,
        (Some(OwnedValue::Int64(best)), Value::Int64(value), Extreme::Least) => value >= best,
        (Some(OwnedValue::Int64(best)), Value::Int64(value), Extreme::Greatest) => value <= best,
        _ => false,
    }
}

/// Keeps the less or greater of two values; a NaN wins over every number (rule W4) and is one NaN for all.
pub(super) fn keep_extreme(best: &mut Option<OwnedValue>, value: OwnedValue, extreme: Extreme) {
    let value = if value.is_nan() { value.into_key() } else { value };
    let wins = match &best {
        None => true,
        Some(best) if best.is_nan() => false,
        Some(best) => value.is_nan() || if extreme == Extreme::Least { value < *best } else { value > *best },
    };
    if wins {
        *best = Some(value);
    }
}

/// Reads an extreme value.
pub(super) fn decode_extreme(ty: &FeatureType, from: &mut Reader<'_>) -> Result<Option<OwnedValue>> {
    let value = decode_option(ty, from)?;
    match value {
        Some(value) if value.is_nan() && value != value.clone().into_key() => {
            Err(Error::corrupt("a stored NaN is not the one of all"))
        }
        value => Ok(value),
    }
}
