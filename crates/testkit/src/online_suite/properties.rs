//! Random histories of writes and deletes against the oracle.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use libtest_mimic::Failed;
use lodestore_core::definition::TableRef;
use lodestore_core::offline::{HistoricalOptions, HistoricalPlan};
use lodestore_core::online::{OnlineStore, OnlineView};
use lodestore_core::request::{FeatureRequest, RequestedColumn, RequestedView};
use lodestore_core::time::EventTime;
use lodestore_core::types::FeatureType;

use super::OnlineHarness;
use super::example::answers;
use crate::generate::{History, Operation, for_each_seed, online_keys, online_rows};
use crate::oracle::{self, OnlineAnswer, OnlineRow, Value, build};
use crate::{Outcome, check_eq};

type Harness<'a> = &'a dyn OnlineHarness;

pub(super) async fn o1_property(harness: Harness<'_>) -> Outcome {
    let store = harness.open("o1_property").await?;
    for_each_seed("o1_property", async |seed| check_history(&store, &History::from_seed("o1", 0, seed)?).await).await
}

pub(super) async fn o4_property(harness: Harness<'_>) -> Outcome {
    let store = harness.open("o4_property").await?;
    if !store.capability().partial_rows {
        return Ok(());
    }
    for_each_seed("o4_property", async |seed| check_history(&store, &History::from_seed("o4", 50, seed)?).await).await
}

async fn check_history(store: &Arc<dyn OnlineStore>, history: &History) -> Outcome {
    let view = &history.view;
    play(store, history).await?;
    let keys = History::keys_to_read();
    for &moment in &history.moments {
        let found = answers(store, view, &keys, &history.features, moment).await?;
        for (key, found) in keys.iter().zip(found) {
            for (&feature, found) in history.features.iter().zip(found) {
                // A null key is a key that nobody wrote.
                let expected = history.expected.answer(&view.version, key.unwrap_or(usize::MAX), feature, moment);
                check_eq!(found, expected, "key {key:?}, feature {feature}, at {moment}\n{}", describe(history));
            }
        }
    }
    Ok(store.retire(std::slice::from_ref(view)).await?)
}

async fn play(store: &Arc<dyn OnlineStore>, history: &History) -> Outcome {
    let view = &history.view;
    store.prepare(std::slice::from_ref(view)).await?;
    for operation in &history.operations {
        match operation {
            Operation::Write(batch) => {
                let report = store.write(view, &online_rows(view, &batch.rows)?, batch.now, None).await?;
                let rows = batch.rows.len() as u64;
                check_eq!(report.written + report.skipped, rows, "M3: rows written and skipped\n{}", describe(history));
            }
            Operation::Delete(key, at) => store.delete(view, &online_keys(view, &[Some(*key)])?, *at).await?,
        }
    }
    Ok(())
}

fn describe(history: &History) -> String {
    let version = &history.view.version;
    let mut text = format!("ttl {:?}, table {:?}\n", version.ttl(), version.table);
    for operation in &history.operations {
        text += &match operation {
            Operation::Write(batch) => format!("write at {}: {:#?}\n", batch.now, batch.rows),
            Operation::Delete(key, at) => format!("delete key {key} as of {at}\n"),
        };
    }
    text
}

/// Rule O2 from its other side: the join oracle, over all rows that were written, says the same.
pub(super) async fn o2_answers_are_those_of_the_historical_join(harness: Harness<'_>) -> Outcome {
    let store = harness.open("o2_join").await?;
    for_each_seed("o2_answers_are_those_of_the_historical_join", async |seed| {
        let mut history = History::from_seed("o2", 0, seed)?;
        history.operations.retain(|operation| matches!(operation, Operation::Write(_)));
        play(&store, &history).await?;
        let view = &history.view;
        let written = history.operations.iter().flat_map(|op| match op {
            Operation::Write(batch) => batch.rows.as_slice(),
            Operation::Delete(..) => &[],
        });
        let table = table_of(view, &written.cloned().collect::<Vec<_>>())?;
        let keys: Vec<Option<usize>> = History::keys_to_read();
        let all: Vec<usize> = (0..view.version.features.len()).collect();
        for &moment in &history.moments {
            let expected = joined(view, &table, &keys, moment)?;
            let found = answers(&store, view, &keys, &all, moment).await?;
            for (row, found) in found.into_iter().enumerate() {
                let found: Vec<Value> = found.into_iter().map(|OnlineAnswer { value, .. }| value).collect();
                let expected: Vec<Value> = expected.iter().map(|column| column[row].clone()).collect();
                check_eq!(found, expected, "key {:?} at {moment}\n{}", keys[row], describe(&history));
            }
        }
        Ok(store.retire(std::slice::from_ref(view)).await?)
    })
    .await
}

/// Returns the rows as a table of the view's source.
fn table_of(view: &OnlineView, rows: &[OnlineRow]) -> Result<(TableRef, RecordBatch), Failed> {
    let table = view.version.table.clone().ok_or("the view has a table")?;
    let time = |time: fn(&OnlineRow) -> EventTime| {
        let value = |row: &OnlineRow| match time(row) {
            EventTime::MIN | EventTime::MAX => Value::Null,
            time => Value::Timestamp(time.as_micros()),
        };
        build(&FeatureType::Timestamp, &rows.iter().map(value).collect::<Vec<_>>())
    };
    let mut table = table;
    table.times.created_timestamp_column = Some("created".into());
    let keys: Vec<Option<usize>> = rows.iter().map(|row| Some(row.key)).collect();
    let mut columns: Vec<(String, ArrayRef)> = crate::generate::key_columns(view, &keys)?;
    columns.push(("at".into(), time(|row| row.stamp.event)?));
    columns.push(("created".into(), time(|row| row.stamp.created)?));
    columns.push(("until".into(), time(|row| row.stamp.valid_to)?));
    for (place, feature) in view.version.features.iter().enumerate() {
        let values: Vec<Value> = rows.iter().map(|row| row.values[place].clone().unwrap_or(Value::Null)).collect();
        columns.push((feature.name.to_string(), build(&feature.feature_type, &values)?));
    }
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    Ok((table, RecordBatch::try_from_iter_with_nullable(columns)?))
}

fn joined(
    view: &OnlineView,
    table: &(TableRef, RecordBatch),
    keys: &[Option<usize>],
    moment: EventTime,
) -> Result<Vec<Vec<Value>>, Failed> {
    let mut version = lodestore_core::definition::ViewVersion::clone(&view.version);
    version.table = Some(table.0.clone());
    let names = |i: usize| RequestedColumn { name: format!("answer {i}"), view: 0, feature: i };
    let request = FeatureRequest {
        columns: (0..version.features.len()).map(names).collect(),
        views: vec![RequestedView {
            key_columns: version.keys.iter().map(|key| key.name.to_string()).collect(),
            shown_name: "v".into(),
            version: Arc::new(version),
        }],
    };
    let mut columns = crate::generate::key_columns(view, keys)?;
    let times = vec![Value::Timestamp(moment.as_micros()); keys.len()];
    columns.push(("event_timestamp".into(), build(&FeatureType::Timestamp, &times)?));
    let questions = RecordBatch::try_from_iter(columns)?;
    let plan = HistoricalPlan::build(request, questions.schema(), HistoricalOptions::default())?;
    oracle::historical(&plan, std::slice::from_ref(table), &questions)
}
