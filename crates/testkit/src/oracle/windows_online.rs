//! What the windows of a key amount to, from all events that were ever told: each is looked at for every answer.

use lodestore_core::aggregation::{Aggregate, Event, Outcome, OwnedValue};
use lodestore_core::online::FeatureStatus;
use lodestore_core::time::EventTime;
use lodestore_core::types::{FeatureType, Value as CoreValue};

use super::{AggregateEvent, Expected, OnlineAnswer, Value, aggregate, build, read};
use crate::Failed;

/// An event of a key.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowEvent {
    /// Which key it belongs to.
    pub key: usize,
    /// Its event time, in microseconds.
    pub time: i64,
    /// Its created time.
    pub created: Option<i64>,
    /// Its id, where events have some.
    pub id: Option<i64>,
    /// The value of each column.
    pub values: Vec<Value>,
}

/// An aggregation over a window.
#[derive(Debug, Clone)]
pub struct WindowFeature {
    /// The function, as a definition says it.
    pub function: String,
    /// Its name, its number and its limit, as [`aggregate`] takes them.
    pub naive: (String, usize, usize),
    /// The places of its columns.
    pub column: Option<usize>,
    /// The column that decides.
    pub by: Option<usize>,
    /// The column that groups.
    pub group_by: Option<usize>,
    /// Which rows count.
    pub condition: Option<fn(&[Value]) -> bool>,
    /// The length, `None` for a lifetime.
    pub length: Option<i64>,
    /// The hop, 0 for an exact window.
    pub hop: i64,
    /// The offset.
    pub offset: i64,
}

impl WindowFeature {
    /// Returns the time that the events of a window are after, `None` for a window without a start.
    fn start(&self, at: i64) -> Option<i64> {
        let start = at - self.offset - self.length?;
        Some(if self.hop == 0 { start } else { start - start.rem_euclid(self.hop) })
    }

    /// Rules W1, T4 and W8: whether the window of a question takes events of a time.
    pub(super) fn takes(&self, time: i64, delay: i64, at: i64) -> bool {
        time <= at - self.offset && time + delay <= at && self.start(at).is_none_or(|start| time > start)
    }

    /// Returns an event as the function sees it.
    pub(super) fn sees(&self, time: i64, created: Option<i64>, values: &[Value]) -> AggregateEvent {
        let of = |column: Option<usize>| column.map_or(Value::Null, |column| values[column].clone());
        AggregateEvent { time, created, value: of(self.column), by: of(self.by) }
    }

    /// Returns what the function of events is, the values being of a type.
    pub(super) fn of(&self, ty: &FeatureType, events: &[AggregateEvent]) -> Expected {
        let (name, n, limit) = &self.naive;
        aggregate(name, *n, *limit, ty, events)
    }
}

/// The columns of the events, with their types.
type Columns = [(String, FeatureType)];

/// Answers for a feature of a key at a moment.
///
/// # Errors
/// If a sketch can't be made.
pub fn windowed(
    features: &[WindowFeature],
    place: usize,
    columns: &Columns,
    delay: i64,
    told: &[&WindowEvent],
    at: i64,
) -> Result<OnlineAnswer, Failed> {
    // Of events with one id the first counts.
    let counts = |i: usize| told[i].id.is_none() || told[..i].iter().all(|other| other.id != told[i].id);
    let events: Vec<&WindowEvent> = (0..told.len()).filter(|i| counts(*i)).map(|i| told[i]).collect();
    let feature = &features[place];
    let holds = |event: &WindowEvent| feature.condition.is_none_or(|holds| holds(&event.values));
    let takes = |event: &&WindowEvent| feature.takes(event.time, delay, at) && holds(event);
    let taken: Vec<&WindowEvent> = events.iter().copied().filter(takes).collect();
    let value = value(feature, columns, &taken, at)?;
    let in_any = |time: i64| features.iter().any(|feature| feature.start(at).is_none_or(|start| time > start));
    let visible = events.iter().map(|event| event.time).filter(|time| time + delay <= at && in_any(*time));
    let event_time = visible.max().map(EventTime::from_micros);
    let status = match (value.is_null(), event_time) {
        (false, _) => FeatureStatus::Present,
        (true, Some(_)) => FeatureStatus::NullValue,
        (true, None) => FeatureStatus::NotFound,
    };
    Ok(OnlineAnswer { value, status, event_time })
}

fn value(feature: &WindowFeature, columns: &Columns, taken: &[&WindowEvent], at: i64) -> Result<Value, Failed> {
    let Some(group_by) = feature.group_by else { return ungrouped(feature, columns, taken, at) };
    let mut groups: Vec<&Value> = taken.iter().map(|event| &event.values[group_by]).filter(|v| !v.is_null()).collect();
    groups.sort_by(|left, right| left.order(right));
    groups.dedup();
    let mut entries = Vec::new();
    for group in groups {
        let skipped = |event: &WindowEvent| feature.column.is_some_and(|column| event.values[column].is_null());
        let of_group = taken.iter().copied().filter(|event| event.values[group_by] == *group && !skipped(event));
        let of_group: Vec<&WindowEvent> = of_group.collect();
        if !of_group.is_empty() {
            entries.push((group.clone(), ungrouped(feature, columns, &of_group, at)?));
        }
    }
    // A group that can't be answered leaves the map without an answer.
    let is_refused = entries.iter().any(|(_, value)| value.is_null());
    Ok(if entries.is_empty() || is_refused { Value::Null } else { Value::Map(entries) })
}

fn ungrouped(feature: &WindowFeature, columns: &Columns, taken: &[&WindowEvent], at: i64) -> Result<Value, Failed> {
    let ty = feature.column.map_or(FeatureType::Int64, |column| columns[column].1.clone());
    let events: Vec<AggregateEvent> =
        taken.iter().map(|event| feature.sees(event.time, event.created, &event.values)).collect();
    if feature.naive.0 == "sketch" {
        return sketch(feature, &ty, &events, at - feature.offset);
    }
    Ok(match feature.of(&ty, &events) {
        Expected::Value(value) => value,
        Expected::Overflow | Expected::TooMany => Value::Null,
    })
}

/// Sketches are judged elsewhere: here one that met the events in one go stands for what they should be.
fn sketch(feature: &WindowFeature, ty: &FeatureType, events: &[AggregateEvent], end: i64) -> Result<Value, Failed> {
    let aggregate = Aggregate::new(feature.function.parse()?, std::slice::from_ref(ty))?;
    let values = build(ty, &events.iter().map(|event| event.value.clone()).collect::<Vec<_>>())?;
    let mut state = aggregate.empty();
    for (row, event) in events.iter().enumerate() {
        aggregate.update(&mut state, &Event::new(event.time, CoreValue::of(&values, row)?))?;
    }
    let outcome = aggregate.finish(&state, end);
    let value = if let Outcome::Value(value) = &outcome { Some(value) } else { None };
    Ok(read(&OwnedValue::array(aggregate.output(), &[value])?, aggregate.output())?.remove(0))
}
