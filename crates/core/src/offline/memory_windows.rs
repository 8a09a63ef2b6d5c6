//! Windows over tables in memory: every question looks at all events of its key.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, UInt32Array};

use super::HistoricalPlan;
use crate::aggregation::Outcome;
use crate::entity_key::EntityKeys;
use crate::error::{Error, Result};
use crate::request::RequestedView;
use crate::rows::{TimeColumns, keys_of};
use crate::time::EventTime;
use crate::types::{Rounding, event_times, widen};
use crate::windows::{BoundAggregations, Deliveries};

/// Returns the features of a view with aggregations and, for each question, the row of these that answers it.
pub(super) fn answer(
    view: &RequestedView,
    table: &RecordBatch,
    questions: &RecordBatch,
    times: Option<&Int64Array>,
    plan: &HistoricalPlan,
) -> Result<(Vec<ArrayRef>, UInt32Array)> {
    let version = &view.version;
    let in_view = |error: Error| error.with_context("view", version.reference());
    let all: Vec<usize> = (0..version.features.len()).collect();
    let bound = BoundAggregations::new(version, &all).map_err(in_view)?;
    let column = |name: &str| {
        table.column_by_name(name).ok_or_else(|| Error::invalid(format!("the source has no column '{name}'")))
    };
    let inputs = bound.inputs().iter().map(|(name, ty)| widen(name, column(name)?, ty, 0));
    let inputs = inputs.collect::<Result<Vec<_>>>().map_err(in_view)?;
    let TimeColumns { event, created, .. } = TimeColumns::of(version);
    let time = |name: Option<String>| match name {
        Some(name) => event_times(&name, column(&name)?, Rounding::Up).map(Some),
        None => Ok(None),
    };
    let (Some(event), created) = (time(event)?, time(created)?) else {
        return Err(Error::internal(format!("view '{}' has aggregations and no event times", version.reference())));
    };
    let deliveries = match &version.event_id {
        Some(name) => Some(Deliveries::new((name, column(name)?), event.clone(), created.clone(), inputs.clone())?),
        None => None,
    };
    let mut by_key: HashMap<Vec<u8>, Vec<u32>> = HashMap::new();
    for (row, key) in keys_of(version, table).map_err(in_view)?.iter().enumerate() {
        if let Some(key) = key.filter(|_| event.is_valid(row)) {
            by_key.entry(key.to_vec()).or_default().push(row as u32);
        }
    }
    let events = bound.events(event, created, inputs).map_err(in_view)?;
    let columns = version.keys.iter().zip(&view.key_columns);
    let columns: Vec<_> = columns.map(|(key, name)| (name.as_str(), &questions[name.as_str()], key.key_type)).collect();
    let keys = EntityKeys::encode(questions.num_rows(), &columns)?;
    let mut outcomes = vec![Vec::with_capacity(questions.num_rows()); bound.as_slice().len()];
    let mut answered = Vec::with_capacity(questions.num_rows());
    for question in 0..questions.num_rows() {
        let asked = times.filter(|times| times.is_valid(question)).map(|times| times.value(question));
        answered.push(asked.map(|_| question as u32));
        let at = EventTime::from_micros(asked.unwrap_or(0));
        let rows = keys.get(question).and_then(|key| by_key.get(key));
        let known = rows.into_iter().flatten().copied();
        let known: Vec<u32> =
            known.filter(|&row| !plan.options.as_known || events.is_known(row as usize, at)).collect();
        let known = deliveries.as_ref().map_or_else(|| known.clone(), |deliveries| deliveries.first(&known));
        for (place, outcomes) in outcomes.iter_mut().enumerate() {
            outcomes.push(match asked {
                Some(_) => bound.outcome(place, &events, &known, at)?,
                None => Outcome::Null,
            });
        }
    }
    let features = bound.as_slice().iter().zip(&outcomes).zip(&version.features);
    let features = features.map(|((one, outcomes), feature)| {
        one.aggregate.column(outcomes).map_err(|error| in_view(error.with_context("feature", &feature.name)))
    });
    Ok((features.collect::<Result<_>>()?, answered.into()))
}
