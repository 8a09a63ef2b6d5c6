//! Random histories of an online view: writes, partial rows and deletes.

use arrow::array::ArrayRef;
use libtest_mimic::Failed;
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::online::OnlineView;
use lodestore_core::rows::{FeatureRows, RowStamp};
use lodestore_core::time::{EventTime, Micros};
use lodestore_core::types::FeatureType;

use super::types::EPOCH;
use super::{Rng, feature_type, size_of_case, value};
use crate::fixture::{definitions, online_view};
use crate::oracle::{OnlineHistory, OnlineRow, Value, build};

/// How many keys a history writes; the key of this number is never written.
const KEYS: usize = 4;

/// Rows that are written together: of one shape, at one moment.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The rows; all have the same features.
    pub rows: Vec<OnlineRow>,
    /// The moment of the write.
    pub now: EventTime,
}

/// One step of a history.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Rows are written.
    Write(Batch),
    /// A key is deleted as of a moment.
    Delete(usize, EventTime),
}

/// A view, and what happens to it.
#[derive(Debug, Clone)]
pub struct History {
    /// The view, in a project of its own.
    pub view: OnlineView,
    /// What happens, in order.
    pub operations: Vec<Operation>,
    /// What it amounts to.
    pub expected: OnlineHistory,
    /// Moments to read at: none before a write.
    pub moments: Vec<EventTime>,
    /// The features to read, by their places; in any order, perhaps twice.
    pub features: Vec<usize>,
}

impl History {
    /// Returns the case of a seed. `partial` is how many of 100 writes are partial.
    ///
    /// # Errors
    /// If the generator makes something that is refused: a bug of the generator.
    pub fn from_seed(family: &str, partial: usize, seed: u64) -> Result<Self, Failed> {
        let mut rng = Rng::new(seed);
        let size = size_of_case(seed);
        let view = view(&mut rng, &format!("{family}-{seed}"))?;
        let mut operations = Vec::new();
        let mut expected = OnlineHistory::default();
        for _ in 0..1 + rng.below(3) {
            let rows: Vec<OnlineRow> = (0..rng.below(2 * size + 1)).map(|_| row(&mut rng, &view, partial)).collect();
            rows.iter().for_each(|row| expected.write(row.clone()));
            operations.extend(writes(&mut rng, rows).into_iter().map(Operation::Write));
            if rng.chance(25) {
                let (key, at) = (rng.below(KEYS + 1), time(&mut rng));
                expected.delete(key, at);
                operations.push(Operation::Delete(key, at));
            }
        }
        let last =
            operations.iter().filter_map(|op| if let Operation::Write(batch) = op { Some(batch.now) } else { None });
        let last = last.max().unwrap_or(EventTime::from_micros(EPOCH));
        let moments = (0..4).map(|_| moment(&mut rng, &view, last)).collect();
        let features = (0..1 + rng.below(4)).map(|_| rng.below(view.version.features.len())).collect();
        Ok(Self { view, operations, expected, moments, features })
    }

    /// Returns the keys to read: each that was written, one that was not, a null; then one again.
    #[must_use]
    pub fn keys_to_read() -> Vec<Option<usize>> {
        (0..=KEYS).map(Some).chain([None, Some(0)]).collect()
    }
}

/// Returns the columns of key numbers, in the order of the view's keys.
///
/// # Errors
/// If Arrow refuses the values.
pub fn key_columns(view: &OnlineView, keys: &[Option<usize>]) -> Result<Vec<(String, ArrayRef)>, Failed> {
    let names = ["", "1", "12", "1\0", "not there"];
    let columns = view.version.keys.iter().map(|key| {
        let ty = key.key_type.feature_type();
        let value = |key: &Option<usize>| match (key, &ty) {
            (None, _) => Value::Null,
            (Some(key), FeatureType::Int64) => Value::Int64(*key as i64 - 1),
            (Some(key), _) => Value::text(names[*key]),
        };
        Ok((key.name.to_string(), build(&ty, &keys.iter().map(value).collect::<Vec<_>>())?))
    });
    columns.collect()
}

/// Returns the canonical keys of key numbers.
///
/// # Errors
/// If they can't be encoded.
pub fn online_keys(view: &OnlineView, keys: &[Option<usize>]) -> Result<EntityKeys, Failed> {
    let columns = key_columns(view, keys)?;
    let types = view.version.keys.iter().map(|key| key.key_type);
    let columns: Vec<_> = columns.iter().zip(types).map(|((name, array), ty)| (name.as_str(), array, ty)).collect();
    Ok(EntityKeys::encode(keys.len(), &columns)?)
}

/// Returns rows as a store takes them.
///
/// # Errors
/// If the rows don't fit together.
pub fn online_rows(view: &OnlineView, rows: &[OnlineRow]) -> Result<FeatureRows, Failed> {
    let keys: Vec<Option<usize>> = rows.iter().map(|row| Some(row.key)).collect();
    let mut columns = Vec::new();
    for (place, feature) in view.version.features.iter().enumerate() {
        if rows.iter().all(|row| row.values[place].is_some()) {
            let values: Vec<Value> = rows.iter().filter_map(|row| row.values[place].clone()).collect();
            columns.push((place, build(&feature.feature_type, &values)?));
        }
    }
    let stamps = rows.iter().map(|row| row.stamp).collect();
    Ok(FeatureRows::new(online_keys(view, &keys)?, stamps, columns)?)
}

fn view(rng: &mut Rng, project: &str) -> Result<OnlineView, Failed> {
    let times = match rng.below(10) {
        0 => "",
        1 | 2 => ", valid_from: at, valid_to: until",
        3..=5 => ", timestamp_field: at, availability_delay: 2us",
        _ => ", timestamp_field: at",
    };
    let ttl = if times.is_empty() || rng.chance(40) { "" } else { ", ttl: 3us" };
    let features: Vec<String> =
        (0..1 + rng.below(3)).map(|i| format!("{{name: f{i}, type: '{}'}}", feature_type(rng))).collect();
    let key = if rng.chance(50) { "int64" } else { "string" };
    let definitions = definitions(&format!(
        "entities: [{{name: user, join_keys: [{{name: user_id, type: {key}}}]}}]
data_sources: [{{name: s, type: file, path: s.parquet{times}}}]
feature_views: [{{name: v, entities: [user], source: s{ttl}, schema: [{}]}}]",
        features.join(", ")
    ))?;
    online_view(&definitions, "v", project)
}

fn time(rng: &mut Rng) -> EventTime {
    EventTime::from_micros(EPOCH + rng.between(0, 9))
}

fn row(rng: &mut Rng, view: &OnlineView, partial: usize) -> OnlineRow {
    let version = &view.version;
    let has_validity = version.table.as_ref().is_some_and(|table| table.times.valid_to.is_some());
    let stamp = RowStamp {
        event: if version.is_timeless() { EventTime::MIN } else { time(rng) },
        created: if rng.chance(50) { EventTime::MIN } else { time(rng) },
        valid_to: if has_validity && rng.chance(60) { time(rng) } else { EventTime::MAX },
    };
    let mut values: Vec<Option<Value>> =
        version.features.iter().map(|feature| Some(value(rng, &feature.feature_type))).collect();
    if rng.chance(partial) && values.len() > 1 {
        let kept = rng.below(values.len());
        let also = rng.below(values.len());
        for (i, value) in values.iter_mut().enumerate() {
            if i != kept && i != also {
                *value = None;
            }
        }
    }
    OnlineRow { key: rng.below(KEYS), stamp, values }
}

/// Cuts rows into writes, in any order, some of them twice.
fn writes(rng: &mut Rng, mut rows: Vec<OnlineRow>) -> Vec<Batch> {
    for _ in 0..rows.len() / 3 {
        rows.push(rng.pick(&rows).clone());
    }
    rng.shuffle(&mut rows);
    let mut batches: Vec<Batch> = Vec::new();
    let shape = |row: &OnlineRow| row.values.iter().map(Option::is_some).collect::<Vec<_>>();
    for row in rows {
        match batches.last_mut() {
            Some(last) if shape(&last.rows[0]) == shape(&row) && rng.chance(60) => last.rows.push(row),
            _ => batches.push(Batch { rows: vec![row], now: time(rng) }),
        }
    }
    batches
}

/// Returns a moment to read at: often just where a delay or the TTL ends, or a microsecond beside it.
fn moment(rng: &mut Rng, view: &OnlineView, last: EventTime) -> EventTime {
    let mut moment = time(rng).as_micros();
    if rng.chance(50) {
        moment += view.version.availability_delay().as_micros();
    }
    if rng.chance(50) {
        moment += view.version.ttl().map_or(0, Micros::as_micros);
    }
    EventTime::from_micros(moment + rng.between(-1, 1)).max(last)
}
