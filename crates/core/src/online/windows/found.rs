//! Reads of one key.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, OnceLock};

use super::head::Head;
use super::leaves::{KeptEvent, events_between};
use super::place::{Entries, Kind, Place};
use super::plan::{Group, WindowPlan, WindowedFeature};
use super::tiles::{Parts, runs};
use crate::aggregation::{Outcome, OwnedValue, State};
use crate::error::{Error, Result};
use crate::online::{FeatureStatus, OnlineCell};
use crate::time::EventTime;
use crate::types::{FeatureType, Value};

/// A moment that windows are asked for, and the entries that this takes; for any number of keys.
#[derive(Debug, Clone)]
pub struct Asked {
    plan: Arc<WindowPlan>,
    at: EventTime,
    ranges: Vec<(Place, Place)>,
}

impl Asked {
    /// Returns what a read of all features at a moment takes.
    #[must_use]
    pub fn new(plan: &Arc<WindowPlan>, at: EventTime) -> Self {
        // Windows of a group take the same tiles of the last level, and of the others a few before a multiple of four.
        let mut firsts: BTreeMap<(u16, u8, i64), i64> = BTreeMap::new();
        for (place, group) in plan.groups.iter().enumerate() {
            for window in &group.windows {
                for run in runs(Group::first_of(window, at), group.levels) {
                    let first = firsts.entry((place as u16, run.level, run.to)).or_insert(run.from);
                    *first = run.from.min(*first);
                }
            }
        }
        let range = |((group, level, to), from): ((u16, u8, i64), i64)| {
            (Place::tile(group, level, from), Place::tile(group, level, to))
        };
        Self { plan: Arc::clone(plan), at, ranges: firsts.into_iter().map(range).collect() }
    }

    /// Copies what the windows of a key take.
    ///
    /// # Errors
    /// `Corrupt` if an entry is damaged, and what the store says.
    pub fn find(&self, entries: &dyn Entries) -> Result<FoundKey> {
        let texts = self.plan.features.iter().map(|_| OnceLock::new()).collect();
        let head = Head::read(entries)?;
        let mut found = FoundKey { head, bytes: Vec::new(), tiles: Vec::new(), events: Vec::new(), texts };
        let Some(head) = head.filter(|head| head.newest != EventTime::MIN) else { return Ok(found) };
        for (from, to) in &self.ranges {
            entries.scan(from, to, &mut |place, bytes| {
                let start = found.bytes.len();
                found.bytes.extend_from_slice(bytes);
                found.tiles.push((place, start..found.bytes.len()));
                Ok(ControlFlow::Continue(()))
            })?;
        }
        let (after, until) = (self.kept_after(&head), self.at.minus(self.plan.delay));
        if head.newest > after {
            events_between(entries, after, until, &mut |event| {
                found.events.push(event);
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// Returns the time after which events are looked at one by one.
    fn kept_after(&self, head: &Head) -> EventTime {
        let entered = self.plan.groups.iter().map(|group| head.folded.minus(group.lag));
        let exact = self.plan.features.iter().filter(|feature| feature.tiles.is_none());
        let started = exact.filter_map(|feature| feature.window.start(self.at));
        entered.chain(started).chain([head.folded.minus(self.plan.delay)]).min().unwrap_or(EventTime::MIN)
    }

    /// Returns what was found for a feature, given by its place in the view's order.
    ///
    /// # Errors
    /// `Corrupt` if an entry is damaged; `Internal` if there is no such feature.
    pub fn cell<'a>(&self, found: &'a FoundKey, feature: usize) -> Result<OnlineCell<'a>> {
        let windowed =
            self.plan.features.get(feature).ok_or_else(|| Error::internal(format!("there is no feature {feature}")))?;
        let event_time = self.newest(found);
        let value = match self.outcome(found, windowed)? {
            Outcome::Value(value) => Some(value),
            _ => None,
        };
        let value = value.map(|value| found.borrowed(feature, &windowed.feature_type, value)).transpose()?;
        let status = match (&value, event_time) {
            (Some(_), _) => FeatureStatus::Present,
            (None, Some(_)) => FeatureStatus::NullValue,
            (None, None) => FeatureStatus::NotFound,
        };
        Ok(OnlineCell { status, value, event_time })
    }

    /// Returns the time of the newest visible event that is after the starts of all windows.
    fn newest(&self, found: &FoundKey) -> Option<EventTime> {
        let head = found.head.as_ref()?;
        let kept = found.events.iter().map(|event| event.time);
        let newest = kept.chain([head.visible]).max()?;
        (newest > self.plan.expired(self.at)).then_some(newest)
    }

    fn outcome(&self, found: &FoundKey, feature: &WindowedFeature) -> Result<Outcome> {
        let WindowedFeature { window, measure, .. } = feature;
        let mut state: Option<State> = None;
        let mut folded = EventTime::MIN;
        if let (Some((group, slot)), Some(head)) = (feature.tiles, &found.head) {
            let tiles = &self.plan.groups[group];
            folded = head.folded.minus(tiles.lag);
            for run in runs(Group::first_of(window, self.at), tiles.levels) {
                let at = |tile| Place::tile(group as u16, run.level, tile);
                for bytes in found.tiles_between(&at(run.from), &at(run.to)) {
                    self.plan.merge_part(*measure, Parts::of_tile(bytes)?.at(slot)?, &mut state)?;
                }
            }
        }
        for event in found.events.iter().filter(|event| event.time > folded && window.contains(self.at, event.time)) {
            self.plan.merge_part(*measure, Parts::new(&event.parts).at(*measure)?, &mut state)?;
        }
        let aggregate = &self.plan.measures[*measure].aggregate;
        let state = state.unwrap_or_else(|| aggregate.empty());
        Ok(aggregate.finish(&state, window.end(self.at).as_micros()))
    }
}

/// What was found for a key: looked at when a feature is asked for.
#[derive(Debug)]
pub struct FoundKey {
    head: Option<Head>,
    bytes: Vec<u8>,
    /// Where the bytes of each tile lie, in the order of their places.
    tiles: Vec<(Place, Range<usize>)>,
    /// The events that are kept and visible.
    events: Vec<KeptEvent>,
    /// Values that answers borrow, of the features that were asked for.
    texts: Box<[OnceLock<OwnedValue>]>,
}

impl FoundKey {
    /// Returns what is found for a key that can't be stored, such as null.
    #[must_use]
    pub fn nothing(asked: &Asked) -> Self {
        let texts = asked.plan.features.iter().map(|_| OnceLock::new()).collect();
        Self { head: None, bytes: Vec::new(), tiles: Vec::new(), events: Vec::new(), texts }
    }

    fn tiles_between(&self, from: &Place, to: &Place) -> impl Iterator<Item = &[u8]> {
        let first = self.tiles.partition_point(|(place, _)| place < from);
        let tiles = self.tiles[first..].iter().take_while(move |(place, _)| place <= to);
        tiles.map(|(_, range)| &self.bytes[range.clone()])
    }

    /// Returns a value that lives as long as what was found.
    fn borrowed(&self, feature: usize, ty: &FeatureType, value: OwnedValue) -> Result<Value<'_>> {
        Ok(match value {
            OwnedValue::Bool(value) => Value::Bool(value),
            OwnedValue::Int32(value) => Value::Int32(value),
            OwnedValue::Int64(value) => Value::Int64(value),
            OwnedValue::Float32(value) => Value::Float32(value),
            OwnedValue::Float64(value) => Value::Float64(value),
            OwnedValue::Timestamp(value) => Value::Timestamp(value),
            OwnedValue::Date(value) => Value::Date(value),
            OwnedValue::Decimal(unscaled) => {
                let scale = if let FeatureType::Decimal { scale, .. } = ty { *scale } else { 0 };
                Value::Decimal { unscaled, scale }
            }
            OwnedValue::Items(_) => Value::Nested(OwnedValue::array(ty, &[Some(&value)])?),
            OwnedValue::Text(_) | OwnedValue::Bytes(_) => match self.texts[feature].get_or_init(|| value) {
                OwnedValue::Text(text) => Value::Text(text),
                OwnedValue::Bytes(bytes) => Value::Bytes(bytes),
                other => return Err(Error::internal(format!("{other:?} is no text"))),
            },
        })
    }
}

impl Place {
    /// Returns whether this is the place of a key's head, which comes before its other entries.
    #[must_use]
    pub fn is_head(&self) -> bool {
        matches!(self.kind(), Ok(Kind::Head))
    }
}
