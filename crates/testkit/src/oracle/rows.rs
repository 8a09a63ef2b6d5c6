//! The rows of a view's table as plain values, and which of them a scan takes.

use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef};
use libtest_mimic::Failed;
use lodestore_core::definition::ViewVersion;
use lodestore_core::offline::ScanPlan;
use lodestore_core::types::KeyType;

use super::arrays::{bytes, integer, nanos, plain, read, text};
use super::{Tables, Value};

/// One value of an entity key, in a form where equal means equal by rule P6.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyValue {
    /// An integer of any width, a timestamp's microseconds or a date's days.
    Number(i128),
    /// Text.
    Text(String),
    /// Bytes; a UUID's are 16.
    Bytes(Vec<u8>),
}

/// A row of a view's table.
#[derive(Debug, Clone)]
pub struct TableRow {
    /// The key's values in the order of the view's keys; `None` if one is null.
    pub key: Option<Vec<KeyValue>>,
    /// The event time in microseconds; `None` where it is null or the table is timeless.
    pub event: Option<i128>,
    /// The created time in microseconds; `None` where it is unknown.
    pub created: Option<i128>,
    /// The end of validity in microseconds; `None` for none.
    pub valid_to: Option<i128>,
    /// The features, in the view's order.
    pub values: Vec<Value>,
}

/// Which way a time between two microseconds goes (rule T2).
#[derive(Clone, Copy)]
pub(super) enum Toward {
    Later,
    Earlier,
}

/// Returns a time column as whole microseconds.
pub(super) fn micros(array: &ArrayRef, toward: Toward) -> Result<Vec<Option<i128>>, Failed> {
    let array = plain(array)?;
    let one = |row: usize| {
        if array.is_null(row) {
            return Ok(None);
        }
        let nanos = nanos(&array, row).ok_or_else(|| Failed::from(format!("{} is no time", array.data_type())))?;
        let down = nanos.div_euclid(1_000);
        let is_between = nanos.rem_euclid(1_000) != 0;
        Ok(Some(if is_between && matches!(toward, Toward::Later) { down + 1 } else { down }))
    };
    (0..array.len()).map(one).collect()
}

/// Returns a table's rows as a view sees them.
///
/// # Errors
/// If a column is missing or can't be read.
pub fn table_rows(view: &ViewVersion, tables: &Tables) -> Result<Vec<TableRow>, Failed> {
    let table = view.table.as_ref().ok_or("the view has no table")?;
    let (_, batch) = tables.iter().find(|(other, _)| other.path == table.path).ok_or("the table is not there")?;
    let column = |name: &str| {
        let in_file = table.field_mapping.iter().find(|(_, to)| *to == name).map_or(name, |(from, _)| from);
        batch.column_by_name(in_file).ok_or_else(|| Failed::from(format!("the table has no column '{in_file}'")))
    };
    let time = |name: Option<&String>| match name {
        Some(name) => micros(column(name)?, Toward::Later),
        None => Ok(vec![None; batch.num_rows()]),
    };
    let times = &table.times;
    let event = time(times.timestamp_field.as_ref().or(times.valid_from.as_ref()))?;
    let created = time(times.created_timestamp_column.as_ref())?;
    let valid_to = time(times.valid_to.as_ref())?;
    let keys = view.keys.iter().map(|key| Ok((column(key.name.as_str())?, key.key_type)));
    let keys = key_values(batch.num_rows(), &keys.collect::<Result<Vec<_>, Failed>>()?)?;
    let features = view.features.iter().map(|f| read(column(f.name.as_str())?, &f.feature_type));
    let features = features.collect::<Result<Vec<_>, Failed>>()?;
    let row = |i: usize| TableRow {
        key: keys[i].clone(),
        event: event[i],
        created: created[i],
        valid_to: valid_to[i],
        values: features.iter().map(|column| column[i].clone()).collect(),
    };
    Ok((0..batch.num_rows()).map(row).collect())
}

/// Returns the key of each row, `None` where a value is null or not one of the key's type.
///
/// # Errors
/// If a column can't be a key of that type.
pub fn key_values(rows: usize, columns: &[(&ArrayRef, KeyType)]) -> Result<Vec<Option<Vec<KeyValue>>>, Failed> {
    let mut keys = vec![Some(Vec::new()); rows];
    for (array, ty) in columns {
        let array = plain(array)?;
        for (row, key) in keys.iter_mut().enumerate() {
            let value = if array.is_null(row) || array.logical_nulls().is_some_and(|nulls| nulls.is_null(row)) {
                None
            } else {
                key_value(&array, row, *ty)?
            };
            *key = key.take().zip(value).map(|(mut key, value)| {
                key.push(value);
                key
            });
        }
    }
    Ok(keys)
}

fn key_value(array: &ArrayRef, row: usize, ty: KeyType) -> Result<Option<KeyValue>, Failed> {
    let wrong = || Failed::from(format!("{} can't be a key of type {ty}", array.data_type()));
    let hex = |text: String| -> Option<Vec<u8>> {
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        (0..16).map(|i| u8::from_str_radix(digits.get(2 * i..2 * i + 2)?, 16).ok()).collect()
    };
    Ok(match ty {
        KeyType::Int32 | KeyType::Int64 => Some(KeyValue::Number(integer(array, row).ok_or_else(wrong)?)),
        KeyType::String => Some(KeyValue::Text(text(array, row).ok_or_else(wrong)?)),
        KeyType::Bytes => Some(KeyValue::Bytes(bytes(array, row).ok_or_else(wrong)?)),
        KeyType::Bool => match read(&array.slice(row, 1), &ty.feature_type())?.as_slice() {
            [Value::Bool(value)] => Some(KeyValue::Number(i128::from(*value))),
            _ => return Err(wrong()),
        },
        KeyType::Timestamp => {
            let nanos = nanos(array, row).ok_or_else(wrong)?;
            (nanos % 1_000 == 0).then_some(KeyValue::Number(nanos / 1_000))
        }
        KeyType::Date => Some(KeyValue::Number(nanos(array, row).ok_or_else(wrong)? / 86_400_000_000_000)),
        KeyType::Uuid => match bytes(array, row) {
            Some(bytes) => Some(KeyValue::Bytes(bytes)),
            None => Some(KeyValue::Bytes(text(array, row).and_then(hex).ok_or_else(wrong)?)),
        },
    })
}

/// Returns the rows that a scan takes, in the table's order.
///
/// # Errors
/// As [`table_rows`].
pub fn scan(plan: &ScanPlan, tables: &Tables) -> Result<Vec<TableRow>, Failed> {
    let mut rows = table_rows(&plan.view, tables)?;
    let times = &plan.view.table.as_ref().ok_or("the view has no table")?.times;
    let is_timeless = times.timestamp_field.is_none() && times.valid_from.is_none();
    let at = |time: Option<lodestore_core::time::EventTime>| time.map(|time| i128::from(time.as_micros()));
    let (after, until, since) = (at(plan.after), at(plan.until), at(plan.created_since));
    rows.retain(|row| {
        let Some(event) = row.event else { return is_timeless };
        let is_late = since.is_some_and(|since| row.created.is_some_and(|created| created >= since));
        (after.is_none_or(|after| event > after) || is_late) && until.is_none_or(|until| event <= until)
    });
    Ok(rows)
}

/// Returns the questions of a retrieval without an entity frame: each key and event time of the
/// rows, once (rule P9).
#[must_use]
pub fn interval_questions(rows: &[TableRow]) -> BTreeSet<(Vec<KeyValue>, i128)> {
    rows.iter().filter_map(|row| Some((row.key.clone()?, row.event?))).collect()
}
