//! Random views with aggregations.

use libtest_mimic::Failed;
use lodestore_core::definition::Definitions;
use lodestore_core::document::Document;
use serde_json::{Map, Value, json};

use super::Rng;

/// The columns of the events, with their types.
const COLUMNS: [(&str, &str); 6] = [
    ("amount", "float64"),
    ("n", "int32"),
    ("price", "decimal(12, 2)"),
    ("city name", "string"),
    ("was_late", "bool"),
    ("seen_at", "timestamp"),
];

const NUMBERS: &[&str] = &["amount", "n", "price"];
const ANY: &[&str] = &["amount", "n", "price", "city name", "was_late", "seen_at"];

/// Functions, and the columns that they take; the parameters are as users write them.
const FUNCTIONS: [(&str, &[&str]); 16] = [
    ("count", ANY),
    ("sum", NUMBERS),
    ("avg", NUMBERS),
    ("stddev_pop", &["amount", "n"]),
    ("min", NUMBERS),
    ("max", &["amount", "city name", "seen_at"]),
    ("last", ANY),
    ("last_n(3)", ANY),
    ("first_n( 2 )", ANY),
    ("any", &["was_late"]),
    ("count_distinct(50)", &["city name", "n"]),
    ("top_k(3)", &["city name"]),
    ("approx_percentile(0.5,0.99)", &["amount"]),
    ("decayed_sum(36h)", &["amount", "n"]),
    ("min_by", ANY),
    ("max_by", ANY),
];

const CONDITIONS: [&str; 4] = [
    "was_late",
    "amount > 1.5 and \"city name\" <> 'it''s'",
    "n in (1, 2, null) or seen_at < '2024-01-01'",
    "not (price between 0 and 9.99)",
];

/// Returns the definitions of one view, called `windows`, with some aggregations, its source and its entity.
///
/// # Errors
/// If the definitions are wrong.
pub fn aggregated_view(rng: &mut Rng) -> Result<Definitions, Failed> {
    let mut source = json!({"type": "file", "name": "events", "path": "events.parquet", "timestamp_field": "at"});
    if rng.chance(50) {
        source["event_id"] = "id".into();
    }
    let aggregations: Vec<Value> = (0..1 + rng.below(8)).map(|index| aggregation(rng, index)).collect();
    let view = json!({
        "name": "windows",
        "entities": if rng.chance(80) { vec!["user"] } else { vec![] },
        "source": if rng.chance(70) { "events" } else { "live" },
        "aggregations": aggregations,
    });
    let document = json!({
        "version": 1,
        "entities": [{"name": "user", "join_keys": [{"name": "user_id", "type": "int64"}]}],
        "data_sources": [source, {"type": "push", "name": "live", "batch_source": "events"}],
        "feature_views": [view],
    });
    let mut definitions = Document::parse_json(&document.to_string(), "random")?.into_definitions()?;
    for view in definitions.feature_views.values_mut() {
        let columns: Vec<String> = view.input_columns().into_iter().map(str::to_owned).collect();
        for (name, ty) in COLUMNS.iter().filter(|(name, _)| columns.iter().any(|column| column == name)) {
            view.inputs.push(lodestore_core::definition::Field::new(name, ty.parse()?));
        }
    }
    definitions.check()?;
    Ok(definitions)
}

fn aggregation(rng: &mut Rng, index: usize) -> Value {
    let (function, columns) = *rng.pick(&FUNCTIONS);
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("function", function.into());
    let is_grouped = function != "count" && !function.contains('(') && rng.chance(20);
    if function != "count" || rng.chance(50) {
        put("column", (*rng.pick(columns)).into());
    }
    if function.ends_with("_by") {
        put("by", (*rng.pick(NUMBERS)).into());
    }
    if is_grouped {
        put("group_by", (*rng.pick(&["city name", "n"])).into());
    }
    if rng.chance(30) {
        put("where", (*rng.pick(&CONDITIONS)).into());
    }
    // Windows of different lengths keep default names apart.
    let is_lifetime = rng.chance(15);
    if is_lifetime || rng.chance(30) {
        put("name", format!("feature {index}").into());
    }
    let hours = 1 + index * 50 + rng.below(40);
    put("time_window", if is_lifetime { "lifetime".into() } else { format!("{hours}h").into() });
    if !is_lifetime && rng.chance(40) {
        put("slide_interval", rng.pick(&[json!(0), json!("0s"), json!("1h"), json!("90s"), json!("7m 1us")]).clone());
    }
    if rng.chance(25) {
        put("offset", (*rng.pick(&["7d", "1us", "0s"])).into());
    }
    if rng.chance(20) {
        put("description", "words: äöü".into());
        put("tags", json!({"a": "b"}));
    }
    Value::Object(fields)
}
