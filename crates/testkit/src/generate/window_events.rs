//! Random windows and events of a few keys. Times are microseconds and collide often.

use arrow::array::RecordBatch;
use libtest_mimic::Failed;
use lodestore_core::document::Document;
use lodestore_core::online::OnlineView;
use lodestore_core::rows::{FeatureRows, TimeColumns, normalize};
use lodestore_core::types::FeatureType;
use serde_json::{Map, Value as Json, json};

use super::Rng;
use crate::fixture::online_view;
use crate::oracle::{Value, WindowEvent, WindowFeature, build};

/// How many keys have events.
pub const WINDOW_KEYS: usize = 3;

const COLUMNS: [(&str, &str); 4] = [("amount", "float64"), ("n", "int64"), ("city", "string"), ("was_late", "bool")];
const AMOUNT: usize = 0;
const N: usize = 1;
const CITY: usize = 2;
const LATE: usize = 3;
const ANY: &[usize] = &[AMOUNT, N, CITY, LATE];

type Condition = (&'static str, fn(&[Value]) -> bool);

const CONDITIONS: [Condition; 3] = [
    ("was_late", |values| values[LATE] == Value::Bool(true)),
    ("amount > 1.5", |values| is_above(&values[AMOUNT])),
    ("n = 2 or city = 'a'", |values| values[N] == Value::Int64(2) || values[CITY] == Value::text("a")),
];

/// NaN is above all numbers.
fn is_above(amount: &Value) -> bool {
    matches!(amount, Value::Float64(bits) if f64::from_bits(*bits).is_nan() || f64::from_bits(*bits) > 1.5)
}

/// Functions with the columns that they take: as written, as the oracle calls them, a number and a limit.
const FUNCTIONS: [(&str, &str, usize, usize, &[usize]); 27] = [
    ("sum", "sum", 0, 0, &[AMOUNT, N]),
    ("mean", "mean", 0, 0, &[AMOUNT, N]),
    ("sum", "sum", 0, 0, &[AMOUNT]),
    ("min", "min", 0, 0, &[AMOUNT, N, CITY]),
    ("max", "max", 0, 0, &[AMOUNT, N, CITY]),
    ("var_samp", "var_samp", 0, 0, &[AMOUNT, N]),
    ("stddev_pop", "stddev_pop", 0, 0, &[AMOUNT]),
    ("skew", "skew", 0, 0, &[AMOUNT]),
    ("kurtosis", "kurtosis", 0, 0, &[AMOUNT]),
    ("first", "first", 0, 0, ANY),
    ("last", "last", 0, 0, ANY),
    ("first_n(2)", "first_n", 2, 0, ANY),
    ("last_n(3)", "last_n", 3, 0, ANY),
    ("last_n_distinct(2)", "last_n_distinct", 2, 0, ANY),
    ("min_by", "min_by", 0, 0, ANY),
    ("max_by", "max_by", 0, 0, ANY),
    ("any", "any", 0, 0, &[LATE]),
    ("all", "all", 0, 0, &[LATE]),
    ("count", "count", 0, 0, ANY),
    ("count", "count", 0, 0, ANY),
    ("count_distinct(3)", "count_distinct", 0, 3, &[CITY, N, AMOUNT]),
    ("top_k(2)", "top_k", 2, 10_000, &[CITY, N]),
    ("histogram(4)", "histogram", 0, 4, &[CITY]),
    ("approx_count_distinct", "sketch", 0, 0, &[CITY, N]),
    ("approx_percentile(0.5, 0.99)", "sketch", 0, 0, &[AMOUNT]),
    ("decayed_sum(20us)", "sketch", 0, 0, &[AMOUNT]),
    ("decayed_mean(7us)", "sketch", 0, 0, &[AMOUNT]),
];

/// A random view with aggregations, and events of it.
#[derive(Debug)]
pub struct WindowCase {
    /// The view.
    pub view: OnlineView,
    /// Its features as the oracle knows them.
    pub features: Vec<WindowFeature>,
    /// The columns of the events, with their types.
    pub columns: Vec<(String, FeatureType)>,
    /// The availability delay.
    pub delay: i64,
    /// The events in a random order, some of them twice.
    pub events: Vec<WindowEvent>,
    /// About when the last of them happens.
    pub end: i64,
}

impl WindowCase {
    /// Returns the case of a seed, in a project of its own; `size` bounds the events.
    ///
    /// # Errors
    /// If the definitions are wrong.
    pub fn new(family: &str, seed: u64, size: usize) -> Result<(Self, Rng), Failed> {
        let mut rng = Rng::new(seed);
        let end = *rng.pick(&[30, 120, 900]);
        let has_ids = rng.chance(50);
        let delay = if rng.chance(30) { rng.between(1, 12) } else { 0 };
        let count = 1 + rng.below(4);
        let mut features = Vec::new();
        let mut written = Vec::new();
        for place in 0..count {
            let (feature, json) = aggregation(&mut rng, place, end);
            features.push(feature);
            written.push(json);
        }
        let view = view(&format!("{family}{seed}"), has_ids, delay, &written)?;
        let events = events(&mut rng, size, end, has_ids);
        Ok((Self { view, features, columns: columns()?, delay, events, end }, rng))
    }

    /// Returns a view with these aggregations, in JSON, over the same columns; without events.
    ///
    /// # Errors
    /// If the definitions are wrong.
    pub fn of(project: &str, has_ids: bool, aggregations: &str) -> Result<Self, Failed> {
        let written: Vec<Json> = serde_json::from_str(aggregations)?;
        let view = view(&project.replace('_', "-"), has_ids, 0, &written)?;
        Ok(Self { view, features: Vec::new(), columns: columns()?, delay: 0, events: Vec::new(), end: 0 })
    }

    /// Returns events as a store takes them.
    ///
    /// # Errors
    /// If they can't be put into columns.
    pub fn rows(&self, events: &[&WindowEvent]) -> Result<FeatureRows, Failed> {
        let times = TimeColumns::of(&self.view.version);
        Ok(normalize(&self.view.version, &times, &self.batch(events)?)?.rows)
    }

    /// Returns events as a table of the view's source.
    ///
    /// # Errors
    /// If they can't be put into columns.
    pub fn batch(&self, events: &[&WindowEvent]) -> Result<RecordBatch, Failed> {
        let column = |ty: &FeatureType, value: &dyn Fn(&WindowEvent) -> Value| {
            build(ty, &events.iter().map(|event| value(event)).collect::<Vec<_>>())
        };
        let (int, time) = (FeatureType::Int64, FeatureType::Timestamp);
        let mut columns = vec![
            ("user_id", column(&int, &|event| Value::Int64(event.key as i64 - 1))?),
            ("at", column(&time, &|event| Value::Timestamp(event.time))?),
            ("created", column(&time, &|event| event.created.map_or(Value::Null, Value::Timestamp))?),
            ("id", column(&int, &|event| event.id.map_or(Value::Null, Value::Int64))?),
        ];
        for (place, (name, ty)) in self.columns.iter().enumerate() {
            columns.push((name, column(ty, &|event| event.values[place].clone())?));
        }
        let columns = columns.into_iter().map(|(name, array)| (name, array, true));
        Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
    }

    /// Returns moments to ask at, ascending: at the edges of windows around some events, and others.
    pub fn moments(&self, rng: &mut Rng, from: i64, count: usize) -> Vec<i64> {
        let mut all = vec![from];
        for _ in 0..count {
            let feature = rng.pick(&self.features);
            let enters = match self.events.is_empty() {
                true => from,
                false => rng.pick(&self.events).time + if rng.chance(50) { feature.offset } else { self.delay },
            };
            let leaves = feature.length.map_or(enters, |length| {
                let hop = feature.hop.max(1);
                let start = enters - feature.offset;
                // The first start at or after the event.
                (start + (hop - start.rem_euclid(hop)) % hop) + length + feature.offset
            });
            let edge = if rng.chance(50) { enters } else { leaves };
            all.extend([edge - 1, edge, from + rng.between(0, self.end)]);
        }
        all.retain(|moment| *moment >= from);
        rng.shuffle(&mut all);
        all.truncate(count);
        all.sort_unstable();
        all
    }
}

fn columns() -> Result<Vec<(String, FeatureType)>, Failed> {
    COLUMNS.iter().map(|(name, ty)| Ok(((*name).to_owned(), ty.parse()?))).collect()
}

fn view(project: &str, has_ids: bool, delay: i64, aggregations: &[Json]) -> Result<OnlineView, Failed> {
    let mut source = json!({
        "type": "file", "name": "events", "path": "events.parquet", "timestamp_field": "at",
        "created_timestamp_column": "created", "availability_delay": format!("{delay}us"),
    });
    if has_ids {
        source["event_id"] = "id".into();
    }
    let document = json!({
        "version": 1,
        "entities": [{"name": "user", "join_keys": [{"name": "user_id", "type": "int64"}]}],
        "data_sources": [source],
        "feature_views": [{"name": "w", "entities": ["user"], "source": "events", "aggregations": aggregations}],
    });
    let mut definitions = Document::parse_json(&document.to_string(), "random")?.into_definitions()?;
    for view in definitions.feature_views.values_mut() {
        let columns: Vec<String> = view.input_columns().into_iter().map(str::to_owned).collect();
        for (name, ty) in COLUMNS.iter().filter(|(name, _)| columns.iter().any(|column| column == name)) {
            view.inputs.push(lodestore_core::definition::Field::new(name, ty.parse()?));
        }
    }
    online_view(&definitions, "w", project)
}

fn aggregation(rng: &mut Rng, place: usize, end: i64) -> (WindowFeature, Json) {
    let (function, name, n, limit, columns) = *rng.pick(&FUNCTIONS);
    let mut fields = Map::new();
    fields.insert("name".into(), format!("f{place}").into());
    fields.insert("function".into(), function.into());
    let column = (function != "count" || rng.chance(40)).then(|| *rng.pick(columns));
    let by = function.ends_with("_by").then(|| *rng.pick(&[AMOUNT, N]));
    let is_single = ["sum", "mean", "count", "last"].contains(&function);
    let group_by = (is_single && rng.chance(25)).then_some(CITY);
    for (key, column) in [("column", column), ("by", by), ("group_by", group_by)] {
        if let Some(column) = column {
            fields.insert(key.into(), COLUMNS[column].0.into());
        }
    }
    let condition = rng.chance(30).then(|| *rng.pick(&CONDITIONS));
    if let Some((text, _)) = condition {
        fields.insert("where".into(), text.into());
    }
    let length = (!rng.chance(15)).then(|| rng.between(1, end));
    fields.insert("time_window".into(), length.map_or("lifetime".into(), |length| format!("{length}us").into()));
    let mut hop = 0;
    if let Some(length) = length {
        hop = (*rng.pick(&[0, 1, 2, 5, 7, length])).min(length);
        fields.insert("slide_interval".into(), format!("{hop}us").into());
    }
    let offset = if rng.chance(30) { rng.between(1, 20) } else { 0 };
    fields.insert("offset".into(), format!("{offset}us").into());
    let called = if column.is_none() { "count_rows" } else { name };
    let feature = WindowFeature {
        function: function.to_owned(),
        naive: (called.to_owned(), n, limit),
        column,
        by,
        group_by,
        condition: condition.map(|(_, holds)| holds),
        length,
        hop,
        offset,
    };
    (feature, Json::Object(fields))
}

fn events(rng: &mut Rng, size: usize, end: i64, has_ids: bool) -> Vec<WindowEvent> {
    let mut events: Vec<WindowEvent> = (0..rng.below(size + 1)).map(|i| event(rng, end, has_ids, i)).collect();
    for _ in 0..events.len() / 4 {
        // With an id the same event again; without one another event that is equal.
        let again = rng.pick(&events).clone();
        events.push(again);
    }
    rng.shuffle(&mut events);
    events
}

fn event(rng: &mut Rng, end: i64, has_ids: bool, number: usize) -> WindowEvent {
    let extremes = [1e300, 1e-300, -1e300, 0.1, 1.5, -0.0, 2.0, f64::MAX, f64::NAN, f64::INFINITY];
    let amount = if rng.chance(85) { rng.between(-50, 50) as f64 / 10.0 } else { *rng.pick(&extremes) };
    let n = if rng.chance(95) { rng.between(-3, 3) } else { i64::MAX };
    let values = [
        Value::float64(amount),
        Value::Int64(n),
        Value::text(rng.pick(&["", "a", "b", "c", "d", "e"])),
        Value::Bool(rng.chance(50)),
    ];
    WindowEvent {
        key: rng.below(WINDOW_KEYS),
        time: rng.between(-5, end),
        created: rng.chance(50).then(|| rng.between(0, 2)),
        id: has_ids.then_some(number as i64),
        values: values.map(|value| if rng.chance(12) { Value::Null } else { value }).into(),
    }
}
