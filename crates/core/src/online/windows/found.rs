//! Reads of one key.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::{Arc, OnceLock};

use super::head::Head;
use super::leaves::{KeptEvent, events_between};
use super::place::{Entries, Place};
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
        let mut found = FoundKey::nothing(self);
        let Some(head) = Head::read(entries)?.filter(|head| head.newest != EventTime::MIN) else { return Ok(found) };
        found.folded = head.folded;
        for (from, to) in &self.ranges {
            entries.scan(from, to, &mut |place, bytes| {
                let start = found.bytes.len();
                found.bytes.extend_from_slice(bytes);
                found.tiles.push((place, start..found.bytes.len()));
                Ok(ControlFlow::Continue(()))
            })?;
        }
        for (after, until) in self.looked_at(&head) {
            if head.newest > after {
                events_between(entries, after, until, &mut |event| {
                    found.events.push(event);
                    Ok(())
                })?;
            }
        }
        let newest = found.events.iter().map(|event| event.time).chain([head.visible]).max();
        found.event_time = newest.filter(|newest| *newest > self.plan.expired(self.at));
        Ok(found)
    }

    /// Returns the times between which events are looked at one by one: those that have entered windows or become visible since
    /// they were folded, and those of exact windows. The ranges don't overlap.
    fn looked_at(&self, head: &Head) -> Vec<(EventTime, EventTime)> {
        let since_fold = |lag| (head.folded.minus(lag), self.at.minus(lag));
        let lags = self.plan.groups.iter().map(|group| group.lag).chain([self.plan.delay]);
        let exact = self.plan.features.iter().filter(|feature| feature.tiles.is_none()).map(|feature| {
            let start = feature.window.start(self.at).unwrap_or(EventTime::MIN);
            (start, feature.window.end(self.at).min(self.at.minus(self.plan.delay)))
        });
        let mut ranges: Vec<_> = lags.map(since_fold).chain(exact).filter(|(after, until)| after < until).collect();
        ranges.sort_unstable();
        let mut apart: Vec<(EventTime, EventTime)> = Vec::with_capacity(ranges.len());
        for (after, until) in ranges {
            match apart.last_mut() {
                Some(last) if after <= last.1 => last.1 = last.1.max(until),
                _ => apart.push((after, until)),
            }
        }
        apart
    }

    /// Returns what was found for a feature, given by its place in the view's order.
    ///
    /// # Errors
    /// `Corrupt` if an entry is damaged; `Internal` if there is no such feature.
    pub fn cell<'a>(&self, found: &'a FoundKey, feature: usize) -> Result<OnlineCell<'a>> {
        let windowed =
            self.plan.features.get(feature).ok_or_else(|| Error::internal(format!("there is no feature {feature}")))?;
        if found.values[feature].get().is_none() {
            let outcome = self.outcome(found, windowed)?;
            let value = if let Outcome::Value(value) = outcome { Some(value) } else { None };
            // Another thread may have been first; its value is the same.
            found.values[feature].get_or_init(|| value);
        }
        let value = found.values[feature].get().and_then(Option::as_ref);
        let value = value.map(|value| borrowed(value, windowed.aggregate.output())).transpose()?;
        let status = match (&value, found.event_time) {
            (Some(_), _) => FeatureStatus::Present,
            (None, Some(_)) => FeatureStatus::NullValue,
            (None, None) => FeatureStatus::NotFound,
        };
        Ok(OnlineCell { status, value, event_time: found.event_time })
    }

    fn outcome(&self, found: &FoundKey, feature: &WindowedFeature) -> Result<Outcome> {
        let state = match found.states[feature.state].get() {
            Some(state) => state,
            None => {
                let state = self.state(found, feature)?;
                found.states[feature.state].get_or_init(|| state)
            }
        };
        Ok(feature.aggregate.finish(state, feature.window.end(self.at).as_micros()))
    }

    /// Puts the state of a window together.
    fn state(&self, found: &FoundKey, feature: &WindowedFeature) -> Result<State> {
        let WindowedFeature { window, measure, .. } = feature;
        let mut state: Option<State> = None;
        let mut folded = EventTime::MIN;
        if let Some((group, slot)) = feature.tiles {
            let tiles = &self.plan.groups[group];
            folded = found.folded.minus(tiles.lag);
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
        Ok(state.unwrap_or_else(|| self.plan.aggregate(*measure).empty()))
    }
}

/// What was found for a key: looked at when a feature is asked for.
#[derive(Debug)]
pub struct FoundKey {
    /// Up to when events were folded.
    folded: EventTime,
    /// The time of the newest visible event that is after the starts of all windows.
    event_time: Option<EventTime>,
    bytes: Vec<u8>,
    /// Where the bytes of each tile lie, in the order of their places.
    tiles: Vec<(Place, Range<usize>)>,
    /// The events that are kept and visible.
    events: Vec<KeptEvent>,
    /// The states of the windows that were asked for, which features share.
    states: Box<[OnceLock<State>]>,
    /// The values of the features that were asked for, which answers borrow.
    values: Box<[OnceLock<Option<OwnedValue>>]>,
}

impl FoundKey {
    /// Returns what is found for a key that can't be stored, such as null.
    #[must_use]
    pub fn nothing(asked: &Asked) -> Self {
        Self {
            folded: EventTime::MIN,
            event_time: None,
            bytes: Vec::new(),
            tiles: Vec::new(),
            events: Vec::new(),
            states: (0..asked.plan.states).map(|_| OnceLock::new()).collect(),
            values: asked.plan.features.iter().map(|_| OnceLock::new()).collect(),
        }
    }

    fn tiles_between(&self, from: &Place, to: &Place) -> impl Iterator<Item = &[u8]> {
        let first = self.tiles.partition_point(|(place, _)| place < from);
        let tiles = self.tiles[first..].iter().take_while(move |(place, _)| place <= to);
        tiles.map(|(_, range)| &self.bytes[range.clone()])
    }
}

/// Returns a value where it lies.
fn borrowed<'a>(value: &'a OwnedValue, ty: &FeatureType) -> Result<Value<'a>> {
    Ok(match value {
        OwnedValue::Bool(value) => Value::Bool(*value),
        OwnedValue::Int32(value) => Value::Int32(*value),
        OwnedValue::Int64(value) => Value::Int64(*value),
        OwnedValue::Float32(value) => Value::Float32(*value),
        OwnedValue::Float64(value) => Value::Float64(*value),
        OwnedValue::Timestamp(value) => Value::Timestamp(*value),
        OwnedValue::Date(value) => Value::Date(*value),
        OwnedValue::Decimal(unscaled) => {
            let scale = if let FeatureType::Decimal { scale, .. } = ty { *scale } else { 0 };
            Value::Decimal { unscaled: *unscaled, scale }
        }
        OwnedValue::Text(text) => Value::Text(text),
        OwnedValue::Bytes(bytes) => Value::Bytes(bytes),
        OwnedValue::Items(_) => Value::Nested(OwnedValue::array(ty, &[Some(value)])?),
    })
}
