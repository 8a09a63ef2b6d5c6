//! Windows of events by rules W1 to W8: for every question, every event is looked at.

use libtest_mimic::Failed;
use lodestore_core::aggregation::Function;
use lodestore_core::definition::{Aggregation, ViewVersion};
use lodestore_core::time::Micros;
use lodestore_core::types::FeatureType;

use super::aggregate::Expected;
use super::rows::{KeyValue, Toward, key_values, micros};
use super::windows_online::WindowFeature;
use super::{Tables, Value, order_all, read};

/// An event of a view with aggregations.
#[derive(Debug, Clone)]
pub struct HistoryEvent {
    /// The key's values; `None` if one is null.
    pub key: Option<Vec<KeyValue>>,
    /// The event time in microseconds; `None` where it is null.
    pub event: Option<i128>,
    /// The created time in microseconds, where it is known.
    pub created: Option<i128>,
    /// The event's id, where it has one.
    pub id: Option<Value>,
    /// The inputs, in the view's order.
    pub inputs: Vec<Value>,
}

/// Decides by the inputs of an event whether the condition of an aggregation, given by its place, lets it through.
pub type Passes<'a> = &'a dyn Fn(usize, &[Value]) -> bool;

/// Returns a table's rows as events of a view.
///
/// # Errors
/// If a column is missing or can't be read.
pub fn history_events(view: &ViewVersion, tables: &Tables) -> Result<Vec<HistoryEvent>, Failed> {
    let table = view.table.as_ref().ok_or("the view has no table")?;
    let (_, batch) = tables.iter().find(|(other, _)| other.path == table.path).ok_or("the table is not there")?;
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| Failed::from(format!("no column '{name}'")));
    let time = |name: Option<&String>| match name {
        Some(name) => micros(column(name)?, Toward::Later),
        None => Ok(vec![None; batch.num_rows()]),
    };
    let event = time(table.times.timestamp_field.as_ref())?;
    let created = time(table.times.created_timestamp_column.as_ref())?;
    let keys = view.keys.iter().map(|key| Ok((column(key.name.as_str())?, key.key_type)));
    let keys = key_values(batch.num_rows(), &keys.collect::<Result<Vec<_>, Failed>>()?)?;
    let inputs = view.inputs().iter().map(|input| read(column(&input.name)?, &input.feature_type));
    let inputs = inputs.collect::<Result<Vec<_>, Failed>>()?;
    let ids = match &view.event_id {
        Some(name) => {
            let array = column(name)?;
            read(array, &FeatureType::from_arrow(array.data_type()).ok_or("ids of no type")?)?
        }
        None => vec![Value::Null; batch.num_rows()],
    };
    let row = |i: usize| HistoryEvent {
        key: keys[i].clone(),
        event: event[i],
        created: created[i],
        id: (!ids[i].is_null()).then(|| ids[i].clone()),
        inputs: inputs.iter().map(|column| column[i].clone()).collect(),
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

/// Returns what a feature of a view is for a key at a time; with `as_known`, of the events that were recorded then.
///
/// # Panics
/// For a function that has no twin, or grouped ones.
#[must_use]
pub fn history_window(
    view: &ViewVersion,
    feature: usize,
    events: &[HistoryEvent],
    key: Option<&Vec<KeyValue>>,
    at: i128,
    as_known: bool,
    passes: Passes<'_>,
) -> Expected {
    let window = feature_of(view, &view.aggregations()[feature]);
    let delay = view.availability_delay().as_micros();
    let known: Vec<&HistoryEvent> = events
        .iter()
        .filter(|event| key.is_some() && event.key.as_ref() == key && event.event.is_some())
        .filter(|event| !as_known || event.created.is_none_or(|created| created <= at))
        .collect();
    let is_repeated = |event: &HistoryEvent| {
        let earlier = |other: &&HistoryEvent| event.id.is_some() && other.id == event.id && is_before(other, event);
        known.iter().any(earlier)
    };
    let mut taken: Vec<&HistoryEvent> = Vec::new();
    for event in &known {
        let time = event.event.unwrap_or(0) as i64;
        // Two deliveries that are the same in all: the first of them stands for both.
        let is_second = event.id.is_some() && taken.iter().any(|other| other.id == event.id);
        if window.takes(time, delay, at as i64) && !is_repeated(event) && !is_second && passes(feature, &event.inputs) {
            taken.push(event);
        }
    }
    let sees = |event: &&HistoryEvent| {
        window.sees(event.event.unwrap_or(0) as i64, event.created.map(|created| created as i64), &event.inputs)
    };
    let ty = window.column.map_or(FeatureType::Int64, |place| view.inputs()[place].feature_type.clone());
    window.of(&ty, &taken.iter().map(sees).collect::<Vec<_>>())
}

/// Returns an aggregation in plain words; its condition is decided by who asks.
fn feature_of(view: &ViewVersion, aggregation: &Aggregation) -> WindowFeature {
    let place = |name: &Option<String>| {
        name.as_ref().and_then(|name| view.inputs().iter().position(|input| input.name == *name))
    };
    let (name, n, limit) = twin(&aggregation.function, aggregation.column.is_some());
    WindowFeature {
        function: aggregation.function.to_string(),
        naive: (name.to_owned(), n, limit),
        column: place(&aggregation.column),
        by: place(&aggregation.by),
        group_by: None,
        condition: None,
        length: aggregation.window.length().map(Micros::as_micros),
        hop: aggregation.window.hop().map_or(0, Micros::as_micros),
        offset: aggregation.window.offset().as_micros(),
    }
}

fn is_before(a: &HistoryEvent, b: &HistoryEvent) -> bool {
    a.event.cmp(&b.event).then(a.created.cmp(&b.created)).then_with(|| order_all(&a.inputs, &b.inputs)).is_lt()
}

/// Returns a function as its twin is called.
fn twin(function: &Function, has_column: bool) -> (&'static str, usize, usize) {
    match function {
        Function::Count if !has_column => ("count_rows", 0, 0),
        Function::FirstN(n) => ("first_n", *n as usize, 0),
        Function::LastN(n) => ("last_n", *n as usize, 0),
        Function::LastNDistinct(n) => ("last_n_distinct", *n as usize, 0),
        Function::CountDistinct(limit) => ("count_distinct", 0, *limit as usize),
        Function::TopK { k, limit } => ("top_k", *k as usize, *limit as usize),
        Function::Histogram(limit) => ("histogram", 0, *limit as usize),
        other => (other.name(), 0, 0),
    }
}
