//! Random views with windows, events and questions on the edges of their windows.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field as ArrowField, Schema};
use libtest_mimic::Failed;
use lodestore_core::definition::{DataSource, Field};
use lodestore_core::document::Document;
use lodestore_core::name::FeatureRef;
use lodestore_core::offline::HistoricalOptions;
use lodestore_core::request::{ColumnNames, FeatureRequest};
use lodestore_core::types::FeatureType;
use serde_json::{Map, Value as Json, json};

use super::types::{EPOCH, value};
use super::{Rng, size_of_case};
use crate::fixture::{Retrieval, snapshot};
use crate::oracle::{Value, build};

/// The columns of the events that aggregations look at, with their types.
const INPUTS: [(&str, &str); 4] = [("amount", "float64"), ("n", "int64"), ("city", "string"), ("small", "float32")];

const FUNCTIONS: [(&str, &[&str]); 18] = [
    ("count", &["amount", "city"]),
    ("sum", &["amount", "n", "small"]),
    ("mean", &["amount", "n"]),
    ("min", &["amount", "n", "city", "small"]),
    ("max", &["amount", "n", "city"]),
    ("stddev_samp", &["amount", "n"]),
    ("var_pop", &["amount"]),
    ("skew", &["amount"]),
    ("first", &["amount", "city"]),
    ("last", &["n", "city"]),
    ("first_n(2)", &["n"]),
    ("last_n(3)", &["city", "amount"]),
    ("last_n_distinct(2)", &["city", "amount"]),
    ("min_by", &["amount", "city"]),
    ("max_by", &["n", "city"]),
    ("count_distinct", &["city", "amount"]),
    ("top_k(2)", &["city", "n"]),
    ("kurtosis", &["n"]),
];

/// Conditions and what they let through: a number above zero.
const CONDITIONS: [(&str, usize); 2] = [("amount > 0", 0), ("n > 0 and n is not null", 1)];

/// A random retrieval from one view with windows.
#[derive(Debug, Clone)]
pub struct WindowedRetrieval {
    /// The retrieval.
    pub retrieval: Retrieval,
    /// For each aggregation of the view the input that must be above zero, if it has a condition.
    pub conditions: Vec<Option<usize>>,
}

impl WindowedRetrieval {
    /// Returns the case of a seed.
    ///
    /// # Errors
    /// If the generator makes something that is refused: a bug of the generator.
    pub fn from_seed(seed: u64) -> Result<Self, Failed> {
        let mut rng = Rng::new(seed);
        let rng = &mut rng;
        let step = *rng.pick(&[7, 1_000_000, 3_600_000_000]);
        let mut conditions = Vec::new();
        let aggregations = (0..1 + rng.below(5)).map(|i| aggregation(rng, i, step, &mut conditions));
        let aggregations: Vec<Json> = aggregations.collect();
        let has_created = rng.chance(50);
        let mut source = json!({"type": "file", "name": "events", "path": "events.parquet", "timestamp_field": "at"});
        if has_created {
            source["created_timestamp_column"] = "created".into();
        }
        if rng.chance(40) {
            source["event_id"] = "id".into();
        }
        if rng.chance(25) {
            source["availability_delay"] = format!("{}us", step * rng.between(1, 3)).into();
        }
        let document = json!({
            "version": 1,
            "entities": [{"name": "user", "join_keys": [{"name": "user_id", "type": "int64"}]}],
            "data_sources": [source],
            "feature_views": [{
                "name": "windows",
                "entities": if rng.chance(85) { vec!["user"] } else { vec![] },
                "source": "events",
                "aggregations": aggregations,
            }],
        });
        let mut definitions = Document::parse_json(&document.to_string(), "random")?.into_definitions()?;
        let mut names = Vec::new();
        for view in definitions.feature_views.values_mut() {
            let columns: Vec<String> = view.input_columns().into_iter().map(str::to_owned).collect();
            for (name, ty) in INPUTS.iter().filter(|(name, _)| columns.iter().any(|column| column == name)) {
                view.inputs.push(Field::new(name, ty.parse()?));
            }
            names.extend(view.aggregations.iter().map(|aggregation| aggregation.name.to_string()));
        }
        definitions.check()?;
        let sources = definitions.data_sources.values();
        let tables: Vec<_> = sources
            .filter_map(|source| if let DataSource::File(file) = source { Some(file.table()) } else { None })
            .collect::<Result<_, _>>()?;
        let size = 2 * size_of_case(seed / 3);
        let events = events(rng, 3 * size, step)?;
        let tables = tables.into_iter().map(|table| (table, events.clone())).collect();
        rng.shuffle(&mut names);
        names.truncate(1 + rng.below(names.len()));
        let refs = names.iter().map(|name| format!("windows:{name}").parse::<FeatureRef>());
        let refs = refs.collect::<Result<Vec<_>, _>>()?;
        let request = FeatureRequest::from_refs(&snapshot(&definitions)?, &refs, ColumnNames::Feature)?;
        let options = HistoricalOptions { as_known: has_created && rng.chance(30), use_defaults: false };
        let questions = questions(rng, size, step, &aggregations)?;
        Ok(Self { retrieval: Retrieval { tables, request, questions, options }, conditions })
    }
}

fn aggregation(rng: &mut Rng, index: usize, step: i64, conditions: &mut Vec<Option<usize>>) -> Json {
    let (function, columns) = *rng.pick(&FUNCTIONS);
    let mut fields = Map::new();
    let mut put = |name: &str, value: Json| fields.insert(name.to_owned(), value);
    put("name", format!("f{index}").into());
    put("function", function.into());
    if function != "count" || rng.chance(50) {
        put("column", (*rng.pick(columns)).into());
    }
    if function.ends_with("_by") {
        put("by", (*rng.pick(&["amount", "n"])).into());
    }
    let condition = rng.chance(30).then(|| *rng.pick(&CONDITIONS));
    conditions.push(condition.map(|(_, input)| input));
    if let Some((text, _)) = condition {
        put("where", text.into());
    }
    if rng.chance(15) {
        put("time_window", "lifetime".into());
    } else {
        let hops = rng.between(1, 4);
        let hop = step * rng.between(1, 3);
        put("time_window", format!("{}us", hops * hop + if rng.chance(20) { 1 } else { 0 }).into());
        put("slide_interval", if rng.chance(35) { json!(0) } else { format!("{hop}us").into() });
    }
    if rng.chance(25) {
        put("offset", format!("{}us", step * rng.between(1, 3)).into());
    }
    Json::Object(fields)
}

/// Returns a time on a step of the grid, or a microsecond beside it.
fn near_a_step(rng: &mut Rng, step: i64) -> i64 {
    let start = EPOCH - EPOCH.rem_euclid(step * 6);
    let beside = if rng.chance(40) { *rng.pick(&[-1, 1]) } else { 0 };
    start + step * rng.between(-4, 12) + beside
}

fn events(rng: &mut Rng, size: usize, step: i64) -> Result<RecordBatch, Failed> {
    let rows = rng.below(size + 1);
    let mut columns: Vec<Vec<Value>> = vec![Vec::new(); 8];
    let wild = rng.chance(50);
    for row in 0..rows {
        // Some events come again: the same in all, or with other words.
        if row > 0 && rng.chance(20) {
            let other = rng.below(row);
            columns.iter_mut().for_each(|column| column.push(column[other].clone()));
            if rng.chance(30) {
                columns[2][row] = Value::Timestamp(near_a_step(rng, step));
            }
            continue;
        }
        let at = near_a_step(rng, step);
        let float = match rng.below(10) {
            0 => Value::Null,
            1 if wild => Value::float64(*rng.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY])),
            2..=4 if wild => Value::float64(*rng.pick(&[1e300, -1e300, 1e-300, 0.1, -0.0, 0.0])),
            _ => Value::float64(rng.between(-40, 40) as f64 / 10.0),
        };
        let of_type = |rng: &mut Rng, ty: FeatureType| value(rng, &ty);
        let cells = [
            if rng.chance(5) { Value::Null } else { Value::Int64(rng.between(1, 3)) },
            if rng.chance(5) { Value::Null } else { Value::Timestamp(at) },
            if rng.chance(20) { Value::Null } else { Value::Timestamp(at + step * rng.between(0, 4)) },
            if rng.chance(15) { Value::Null } else { Value::Int64(row as i64) },
            float,
            if rng.chance(10) { Value::Null } else { Value::Int64(rng.between(-5, 5)) },
            of_type(rng, FeatureType::String),
            of_type(rng, FeatureType::Float32),
        ];
        columns.iter_mut().zip(cells).for_each(|(column, cell)| column.push(cell));
    }
    let types = ["int64", "timestamp", "timestamp", "int64", "float64", "int64", "string", "float32"];
    let names = ["user_id", "at", "created", "id", "amount", "n", "city", "small"];
    batch(&names, &types, &columns)
}

/// Returns questions at times where windows and hops begin and end.
fn questions(rng: &mut Rng, size: usize, step: i64, aggregations: &[Json]) -> Result<RecordBatch, Failed> {
    let rows = rng.below(size + 1);
    let micros = |text: &Json| text.as_str().and_then(|text| text.strip_suffix("us")?.parse::<i64>().ok());
    let lengths: Vec<i64> = aggregations
        .iter()
        .flat_map(|one| ["time_window", "slide_interval", "offset"].map(|field| micros(&one[field])))
        .flatten()
        .chain([0])
        .collect();
    let mut columns = vec![Vec::new(); 2];
    for _ in 0..rows {
        let beside = *rng.pick(&[0, 0, 1, -1]);
        let time = near_a_step(rng, step) + rng.pick(&lengths) + beside;
        columns[0].push(if rng.chance(5) { Value::Null } else { Value::Int64(rng.between(1, 4)) });
        columns[1].push(if rng.chance(5) { Value::Null } else { Value::Timestamp(time) });
    }
    batch(&["user_id", "event_timestamp"], &["int64", "timestamp"], &columns)
}

fn batch(names: &[&str], types: &[&str], columns: &[Vec<Value>]) -> Result<RecordBatch, Failed> {
    let arrays = types.iter().zip(columns).map(|(ty, values)| build(&ty.parse()?, values));
    let arrays = arrays.collect::<Result<Vec<ArrayRef>, Failed>>()?;
    let fields = names.iter().zip(&arrays).map(|(name, array)| ArrowField::new(*name, array.data_type().clone(), true));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), arrays)?)
}
