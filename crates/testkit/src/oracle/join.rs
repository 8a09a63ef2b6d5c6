//! The point-in-time join, by rules T1 to T5 and P1 to P8.

use std::cmp::Ordering;

use arrow::array::RecordBatch;
use libtest_mimic::Failed;
use lodestore_core::definition::TableRef;
use lodestore_core::offline::HistoricalPlan;
use lodestore_core::request::RequestedView;

use super::rows::{KeyValue, TableRow, Toward, key_values, micros, table_rows};
use super::{Value, from_json, order_all};

/// Tables, their columns called as in the files.
pub type Tables = [(TableRef, RecordBatch)];

/// Returns the answer's feature columns, in the order requested: value i answers question i.
///
/// # Errors
/// If a table or question can't be read.
pub fn historical(plan: &HistoricalPlan, tables: &Tables, questions: &RecordBatch) -> Result<Vec<Vec<Value>>, Failed> {
    let times = match &plan.time_column {
        Some(name) => micros(&questions[name.as_str()], Toward::Earlier)?,
        None => vec![None; questions.num_rows()],
    };
    let mut winners = Vec::new();
    for view in &plan.request.views {
        winners.push(winning_rows(view, plan, tables, questions, &times)?);
    }
    let mut columns = Vec::new();
    for column in &plan.request.columns {
        let feature = &plan.request.views[column.view].version.features[column.feature];
        let missing = match &feature.default {
            Some(default) if plan.options.use_defaults => from_json(default, &feature.feature_type)?,
            _ => Value::Null,
        };
        let value = |row: &Option<TableRow>| row.as_ref().map_or(missing.clone(), |r| r.values[column.feature].clone());
        columns.push(winners[column.view].iter().map(value).collect());
    }
    Ok(columns)
}

fn winning_rows(
    view: &RequestedView,
    plan: &HistoricalPlan,
    tables: &Tables,
    questions: &RecordBatch,
    times: &[Option<i128>],
) -> Result<Vec<Option<TableRow>>, Failed> {
    let rows = table_rows(&view.version, tables)?;
    let columns = view.version.keys.iter().zip(&view.key_columns);
    let columns: Vec<_> = columns.map(|(key, name)| (&questions[name.as_str()], key.key_type)).collect();
    let keys = key_values(questions.num_rows(), &columns)?;
    let mut winners = Vec::new();
    for (key, time) in keys.iter().zip(times) {
        let mut best: Option<&TableRow> = None;
        for row in &rows {
            let counts = is_candidate(row, view, plan, key.as_ref(), *time);
            if counts && best.is_none_or(|best| order(row, best) == Ordering::Greater) {
                best = Some(row);
            }
        }
        winners.push(best.cloned());
    }
    Ok(winners)
}

fn is_candidate(
    row: &TableRow,
    view: &RequestedView,
    plan: &HistoricalPlan,
    key: Option<&Vec<KeyValue>>,
    time: Option<i128>,
) -> bool {
    let has_key = key.is_some() && row.key.as_ref() == key;
    let is_known = !plan.options.as_known || time.is_some_and(|e| row.created.is_none_or(|created| created <= e));
    let Some(table) = &view.version.table else { return false };
    let is_timeless = table.times.timestamp_field.is_none() && table.times.valid_from.is_none();
    if is_timeless {
        return has_key && is_known;
    }
    let (Some(t), Some(e)) = (row.event, time) else { return false };
    let delay = i128::from(table.times.availability_delay.as_micros());
    let ttl = view.version.definition.ttl.map_or(0, |ttl| i128::from(ttl.as_micros()));
    let is_visible = t + delay <= e && row.valid_to.is_none_or(|to| e < to);
    let is_fresh = ttl == 0 || t >= e - ttl;
    has_key && is_known && is_visible && is_fresh
}

/// Rule P3: event time, created time, values.
fn order(a: &TableRow, b: &TableRow) -> Ordering {
    a.event.cmp(&b.event).then(a.created.cmp(&b.created)).then(order_all(&a.values, &b.values))
}
