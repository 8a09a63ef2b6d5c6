//! The aggregations of a view, bound to columns of events: which events a question takes, and what they amount to.
//!
//! An event stamped s counts for a question at e if start(e) < s <= min(e - offset, e - delay), where the delay is
//! how long after its time an event is available (rules T4, W1 and W8). Of several deliveries of an event, rows of a
//! key with the same event id, the first counts: the one of the least event time, created time and values (rule W5),
//! so that a later delivery changes no answer about the past.

use std::cmp::Ordering;
use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema, SchemaRef};

use crate::aggregation::{Aggregate, Event, Outcome, State};
use crate::definition::{Aggregation, ViewVersion, Window};
use crate::entity_key::EntityKeys;
use crate::error::{Error, Result};
use crate::predicate::BoundPredicate;
use crate::time::{EventTime, Micros};
use crate::types::{FeatureType, KeyType, Value, compare_rows};

/// Some aggregations of a view, and the columns of events that they look at.
#[derive(Debug, Clone)]
pub struct BoundAggregations {
    inputs: Vec<(String, FeatureType)>,
    schema: SchemaRef,
    aggregations: Vec<BoundAggregation>,
}

/// An aggregation, bound to the types of its columns.
#[derive(Debug, Clone)]
pub struct BoundAggregation {
    /// What is computed.
    pub aggregate: Aggregate,
    window: Window,
    delay: Micros,
    value: Option<usize>,
    by: Option<usize>,
    group: Option<usize>,
    /// The condition, with its text: equal texts select the same rows.
    filter: Option<(String, BoundPredicate)>,
}

impl BoundAggregations {
    /// Returns the aggregations of some of a view's features, given by their places, in that order.
    ///
    /// # Errors
    /// `Internal` for a view without aggregations, or one that was not checked.
    pub fn new(view: &ViewVersion, features: &[usize]) -> Result<Self> {
        let all = view.aggregations();
        let chosen = features.iter().map(|&feature| {
            all.get(feature).ok_or_else(|| Error::internal(format!("there is no aggregation {feature}")))
        });
        let chosen = chosen.collect::<Result<Vec<&Aggregation>>>()?;
        // All inputs decide which of several deliveries of an event is the first.
        let is_input = |name: &str| {
            view.event_id.is_some() || chosen.iter().any(|aggregation| aggregation.columns().contains(&name))
        };
        let inputs: Vec<(String, FeatureType)> = view
            .source_columns()
            .into_iter()
            .filter(|(name, _)| is_input(name))
            .map(|(name, ty)| (name.to_owned(), ty.clone()))
            .collect();
        let fields = inputs.iter().map(|(name, ty)| Field::new(name, ty.to_arrow(), true));
        let schema = SchemaRef::new(Schema::new(fields.collect::<Vec<_>>()));
        let place =
            |name: &Option<String>| name.as_ref().and_then(|name| inputs.iter().position(|(input, _)| input == name));
        let bind = |aggregation: &&Aggregation| {
            let filter = match &aggregation.filter {
                Some(filter) => Some((filter.as_str().to_owned(), filter.bind(&schema)?)),
                None => None,
            };
            Ok(BoundAggregation {
                aggregate: aggregation
                    .bind(view.inputs())
                    .map_err(|error: Error| error.with_context("aggregation", &aggregation.name))?,
                window: aggregation.window,
                delay: view.availability_delay(),
                value: place(&aggregation.column),
                by: place(&aggregation.by),
                group: place(&aggregation.group_by),
                filter,
            })
        };
        let aggregations = chosen.iter().map(bind).collect::<Result<_>>()?;
        Ok(Self { inputs, schema, aggregations })
    }

    /// Returns the columns of events that are looked at, with their types.
    #[must_use]
    pub fn inputs(&self) -> &[(String, FeatureType)] {
        &self.inputs
    }

    /// Returns the aggregations.
    #[must_use]
    pub fn as_slice(&self) -> &[BoundAggregation] {
        &self.aggregations
    }

    /// Returns for each aggregation the place of the one whose states serve it, itself where no other's do: aggregations
    /// that differ in their windows, or of which one keeps more than the others, are added up once.
    #[must_use]
    pub fn shared(&self) -> Vec<usize> {
        let mut by_extent: Vec<usize> = (0..self.aggregations.len()).collect();
        by_extent.sort_by_key(|&place| std::cmp::Reverse(self.aggregations[place].aggregate.extent()));
        let mut shared = vec![0; by_extent.len()];
        let mut kept: Vec<usize> = Vec::new();
        for place in by_extent {
            let serves = |&&one: &&usize| self.aggregations[one].serves(&self.aggregations[place]);
            let one = kept.iter().find(serves).copied();
            shared[place] = one.unwrap_or(place);
            if one.is_none() {
                kept.push(place);
            }
        }
        shared
    }

    /// Returns what an aggregation amounts to for a question at a time, of those of some events that its window takes.
    /// Each is looked at.
    ///
    /// # Errors
    /// `Internal` for events of other aggregations.
    pub fn outcome(&self, aggregation: usize, events: &Events, known: &[u32], at: EventTime) -> Result<Outcome> {
        let one = &self.aggregations[aggregation];
        let (start, end) = (one.start(at), one.end(at));
        let mut state = one.aggregate.empty();
        for &event in known {
            let time = EventTime::from_micros(events.times()[event as usize]);
            if time <= end && start.is_none_or(|start| time > start) {
                events.update(self, aggregation, &mut state, event as usize)?;
            }
        }
        Ok(one.finish(&state, at))
    }

    /// Returns events by their times and the columns that are looked at, of their types.
    ///
    /// # Errors
    /// `Internal` for columns of other types; what a condition says of a value.
    pub fn events(&self, times: Int64Array, created: Option<Int64Array>, inputs: Vec<ArrayRef>) -> Result<Events> {
        let options = RecordBatchOptions::new().with_row_count(Some(times.len()));
        let rows = RecordBatch::try_new_with_options(SchemaRef::clone(&self.schema), inputs, &options)?;
        let mut conditions: Vec<(&str, BooleanArray)> = Vec::new();
        let mut columns = Vec::with_capacity(self.aggregations.len());
        for aggregation in &self.aggregations {
            let counts = match &aggregation.filter {
                None => None,
                Some((text, predicate)) => Some(match conditions.iter().find(|(known, _)| known == text) {
                    Some((_, counts)) => counts.clone(),
                    None => {
                        let counts = predicate.evaluate(&rows)?;
                        conditions.push((text, counts.clone()));
                        counts
                    }
                }),
            };
            let column = |place: Option<usize>| place.map(|place| ArrayRef::clone(rows.column(place)));
            let value = match column(aggregation.value) {
                None => Values::None,
                Some(array) if *array.data_type() == DataType::Float64 => {
                    Values::Floats(array.as_primitive::<Float64Type>().clone())
                }
                Some(array) if *array.data_type() == DataType::Int64 => {
                    Values::Integers(array.as_primitive::<Int64Type>().clone())
                }
                Some(array) => Values::Any(array),
            };
            columns.push(Columns { value, by: column(aggregation.by), group: column(aggregation.group), counts });
        }
        Ok(Events { times, created, columns })
    }
}

impl BoundAggregation {
    /// Returns the time after which events count for a question at a time; `None` if all before count.
    #[inline]
    #[must_use]
    pub fn start(&self, at: EventTime) -> Option<EventTime> {
        self.window.start(at)
    }

    /// Returns the time up to which events count for a question at a time.
    #[inline]
    #[must_use]
    pub fn end(&self, at: EventTime) -> EventTime {
        self.window.end(at).min(at.minus(self.delay))
    }

    /// Returns what a state amounts to for a question at a time. Decayed values weigh less up to the window's end.
    #[inline]
    #[must_use]
    pub fn finish(&self, state: &State, at: EventTime) -> Outcome {
        self.aggregate.finish(state, self.window.end(at).as_micros())
    }

    /// Returns whether another one takes the same events for every question.
    #[must_use]
    pub fn has_window_of(&self, other: &Self) -> bool {
        (self.window, self.delay) == (other.window, other.delay)
    }

    /// Returns whether its states of the same events can be finished as those of another one.
    fn serves(&self, other: &Self) -> bool {
        let columns = |one: &Self| (one.value, one.by, one.group);
        let condition = |one: &Self| one.filter.as_ref().map(|(text, _)| text.clone());
        columns(self) == columns(other)
            && condition(self) == condition(other)
            && self.aggregate.serves(&other.aggregate)
    }

    /// Returns whether it is computed for each value of another column.
    #[must_use]
    pub fn is_grouped(&self) -> bool {
        self.group.is_some()
    }
}

/// Events as columns: row i of each is event i.
#[derive(Debug, Clone)]
pub struct Events {
    times: Int64Array,
    created: Option<Int64Array>,
    /// For each aggregation what it looks at.
    columns: Vec<Columns>,
}

#[derive(Debug, Clone)]
struct Columns {
    value: Values,
    by: Option<ArrayRef>,
    group: Option<ArrayRef>,
    /// Which events its condition lets through.
    counts: Option<BooleanArray>,
}

/// The column that is aggregated; those of the usual types are looked at without a detour.
#[derive(Debug, Clone)]
enum Values {
    None,
    Floats(Float64Array),
    Integers(Int64Array),
    Any(ArrayRef),
}

impl Events {
    /// Returns the event times, in UTC microseconds.
    #[must_use]
    pub fn times(&self) -> &[i64] {
        self.times.values()
    }

    /// Returns whether an event was recorded by a time.
    #[must_use]
    pub fn is_known(&self, event: usize, at: EventTime) -> bool {
        let created = self.created.as_ref().filter(|created| created.is_valid(event));
        created.is_none_or(|created| created.value(event) <= at.as_micros())
    }

    /// Returns the values that an aggregation computes of, if they are floats of 64 bits.
    #[must_use]
    pub fn floats(&self, aggregation: usize) -> Option<&Float64Array> {
        match &self.columns[aggregation].value {
            Values::Floats(values) => Some(values),
            _ => None,
        }
    }

    /// Returns the values that an aggregation computes of, if they are integers of 64 bits.
    #[must_use]
    pub fn integers(&self, aggregation: usize) -> Option<&Int64Array> {
        match &self.columns[aggregation].value {
            Values::Integers(values) => Some(values),
            _ => None,
        }
    }

    /// Returns whether the condition of an aggregation lets an event through.
    #[inline]
    #[must_use]
    pub fn counts(&self, aggregation: usize, event: usize) -> bool {
        self.columns[aggregation].counts.as_ref().is_none_or(|counts| counts.value(event))
    }

    /// Adds an event to a state of one of the aggregations, unless its condition leaves it out.
    ///
    /// # Errors
    /// `Internal` for a state of another aggregation.
    #[inline]
    pub fn update(
        &self,
        aggregations: &BoundAggregations,
        aggregation: usize,
        state: &mut State,
        event: usize,
    ) -> Result<()> {
        let columns = &self.columns[aggregation];
        if !self.counts(aggregation, event) {
            return Ok(());
        }
        match (&mut *state, &columns.value) {
            (State::Count(count), Values::None) => *count += 1,
            (State::Count(count), Values::Floats(values)) => *count += u64::from(values.is_valid(event)),
            (State::Count(count), Values::Integers(values)) => *count += u64::from(values.is_valid(event)),
            (State::Floats(sum), Values::Floats(values)) => {
                if values.is_valid(event) {
                    sum.add(values.value(event));
                }
            }
            (State::Integers(sum), Values::Integers(values)) => {
                if values.is_valid(event) {
                    sum.add(values.value(event));
                }
            }
            (State::Moments(moments), Values::Floats(values)) => {
                if values.is_valid(event) {
                    moments.add(values.value(event));
                }
            }
            _ => return aggregations.aggregations[aggregation].aggregate.update(state, &self.event(columns, event)?),
        }
        Ok(())
    }

    fn event<'a>(&'a self, columns: &'a Columns, event: usize) -> Result<Event<'a>> {
        let of = |array: &'a Option<ArrayRef>| array.as_ref().map_or(Ok(None), |array| Value::of(array, event));
        let value = match &columns.value {
            Values::None => None,
            Values::Floats(values) => values.is_valid(event).then(|| Value::Float64(values.value(event))),
            Values::Integers(values) => values.is_valid(event).then(|| Value::Int64(values.value(event))),
            Values::Any(array) => Value::of(array, event)?,
        };
        let created = self.created.as_ref().filter(|created| created.is_valid(event));
        Ok(Event {
            time: self.times.value(event),
            created: created.map(|created| created.value(event)),
            value,
            by: of(&columns.by)?,
            group: of(&columns.group)?,
        })
    }
}

/// Which rows are the same events as others: by the key they belong to and their event ids (rule W5).
#[derive(Debug)]
pub struct Deliveries {
    ids: EntityKeys,
    times: Int64Array,
    created: Option<Int64Array>,
    inputs: Vec<ArrayRef>,
}

impl Deliveries {
    /// Returns the deliveries of events with ids in a column; null is no id, and such a row an event of its own.
    ///
    /// # Errors
    /// `Invalid` for ids of a type that no key has.
    pub fn new(
        ids: (&str, &ArrayRef),
        times: Int64Array,
        created: Option<Int64Array>,
        inputs: Vec<ArrayRef>,
    ) -> Result<Self> {
        let (name, column) = ids;
        let ty = FeatureType::from_arrow(column.data_type()).and_then(|ty| KeyType::try_from(&ty).ok());
        let ty = ty.ok_or_else(|| {
            Error::invalid(format!("event id column '{name}' has type {}, which no key has", column.data_type()))
        })?;
        Ok(Self { ids: EntityKeys::encode(column.len(), &[(name, column, ty)])?, times, created, inputs })
    }

    /// Returns those of some rows of one key that are not later deliveries of another one among them, in their order.
    #[must_use]
    pub fn first(&self, rows: &[u32]) -> Vec<u32> {
        let mut firsts: HashMap<&[u8], u32> = HashMap::new();
        for &row in rows {
            let Some(id) = self.ids.get(row as usize) else { continue };
            let first = firsts.entry(id).or_insert(row);
            if self.order(row as usize, *first as usize).is_lt() {
                *first = row;
            }
        }
        let is_first = |row: &u32| self.ids.get(*row as usize).is_none_or(|id| firsts.get(id) == Some(row));
        rows.iter().copied().filter(is_first).collect()
    }

    fn order(&self, a: usize, b: usize) -> Ordering {
        let created = |row: usize| self.created.as_ref().filter(|created| created.is_valid(row)).map(|c| c.value(row));
        let times = self.times.value(a).cmp(&self.times.value(b)).then_with(|| created(a).cmp(&created(b)));
        times.then_with(|| compare_rows(&self.inputs, a, &self.inputs, b))
    }
}
