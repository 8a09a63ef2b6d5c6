//! `lodestore get-online-features`

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use lodestore::core::name::unknown;
use lodestore::core::online::FeatureStatus;
use lodestore::core::time::EventTime;
use lodestore::core::{Error, Result};
use lodestore::{Defaults, OnlineAnswer, OnlinePlan};
use serde_json::{Map, Value, json};

use super::{features, values};
use crate::args::OnlineArgs;
use crate::error::Exit;
use crate::printer::{Format, table};
use crate::session::Session;

pub(super) fn run(session: &Session, args: &OnlineArgs) -> Result<Exit> {
    let (features, names) = features(&args.features)?;
    let given = by_key(&args.entities)?;
    let defaults = if args.features.use_defaults { Defaults::ForMissing } else { Defaults::None };
    let store = session.store()?;
    let answer = session.block_on(async {
        let plan = store.new_online_plan(&features, names).await?;
        let rows = rows(&plan, &given)?;
        store.online_features(&plan, rows, defaults).await
    })?;
    match session.printer.format() {
        Format::Text => session.printer.answer(to_table(&answer)?, &Value::Null)?,
        Format::Json => session.printer.answer("", &to_json(&answer)?)?,
    }
    Ok(Exit::Fine)
}

/// Returns the values given for each key, in order.
fn by_key(entities: &[String]) -> Result<BTreeMap<&str, Vec<String>>> {
    let mut given: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for entity in entities {
        let (key, value) = entity
            .split_once('=')
            .ok_or_else(|| Error::invalid(format!("{entity:?} is not KEY=VALUE, as in driver_id=1001")))?;
        given.entry(key).or_default().push(value.to_owned());
    }
    Ok(given)
}

/// Returns the rows of keys, of the types that the views declare.
fn rows(plan: &OnlinePlan, given: &BTreeMap<&str, Vec<String>>) -> Result<RecordBatch> {
    let types: BTreeMap<_, _> = plan.key_columns().iter().map(|key| (key.name.as_str(), key.key_type)).collect();
    if let Some(key) = given.keys().find(|key| !types.contains_key(*key)) {
        return Err(unknown(format!("join key '{key}' of the features asked for"), key, types.keys()));
    }
    let mut columns = Vec::new();
    let mut fields = Vec::new();
    let mut first: Option<(&str, usize)> = None;
    for (key, ty) in types {
        let Some(texts) = given.get(key) else {
            let views: Vec<_> = plan.request().key_columns().remove(key).unwrap_or_default();
            let views: Vec<_> = views.iter().map(|view| format!("'{view}'")).collect();
            let what = format!("join key '{key}' of view {} is missing; give it as -e {key}=VALUE", views.join(", "));
            return Err(Error::invalid(what));
        };
        let (other, rows) = *first.get_or_insert((key, texts.len()));
        if rows != texts.len() {
            return Err(Error::invalid(format!(
                "join key '{key}' has {} values, but '{other}' has {rows}; each row needs a value of every key",
                texts.len()
            )));
        }
        let array = values::parse_key(key, texts, ty)?;
        fields.push(Field::new(key, array.data_type().clone(), false));
        columns.push(array);
    }
    // Views without entities answer one row without keys.
    let options = RecordBatchOptions::new().with_row_count(Some(first.map_or(1, |(_, rows)| rows)));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}

/// Returns a line for each row and feature.
fn to_table(answer: &OnlineAnswer) -> Result<String> {
    let keys = answer.rows().columns().iter().map(|column| values::to_texts(column)).collect::<Result<Vec<_>>>()?;
    let mut headings: Vec<String> =
        answer.rows().schema_ref().fields().iter().map(|field| field.name().clone()).collect();
    headings.extend(["feature", "value", "status", "event time"].map(str::to_owned));
    let mut lines = Vec::new();
    for (place, planned) in answer.plan().columns().iter().enumerate() {
        let found = answer.column(place)?;
        let texts = values::to_texts(&found.values)?;
        for (row, text) in texts.into_iter().enumerate() {
            let time = found.event_times[row].map_or_else(String::new, |time| time.to_string());
            let mut line: Vec<String> = keys.iter().map(|column| column[row].clone()).collect();
            line.extend([planned.name.clone(), text, found.statuses[row].as_str().to_owned(), time]);
            lines.push((row, line));
        }
    }
    lines.sort_by_key(|(row, _)| *row);
    Ok(table(&headings, lines.into_iter().map(|(_, line)| line)))
}

/// Returns lists by column, row i answering key i.
fn to_json(answer: &OnlineAnswer) -> Result<Value> {
    let mut all = Map::new();
    let mut statuses = Map::new();
    let mut times = Map::new();
    for (field, column) in answer.rows().schema_ref().fields().iter().zip(answer.rows().columns()) {
        all.insert(field.name().clone(), values::to_json(column)?.into());
    }
    for (place, planned) in answer.plan().columns().iter().enumerate() {
        let found = answer.column(place)?;
        let of_rows: Vec<_> = found.statuses.iter().copied().map(FeatureStatus::as_str).collect();
        let at: Vec<_> = found.event_times.iter().map(|time| time.map(|time: EventTime| time.to_string())).collect();
        all.insert(planned.name.clone(), values::to_json(&found.values)?.into());
        statuses.insert(planned.name.clone(), of_rows.into());
        times.insert(planned.name.clone(), at.into());
    }
    Ok(json!({"values": all, "statuses": statuses, "event_timestamps": times}))
}
