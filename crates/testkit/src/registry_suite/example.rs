//! Definitions with something of everything, and changes made of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use lodestore_core::definition::{Definitions, ViewVersion};
use lodestore_core::registry::{Change, Mutation, RegistryStore, SavedDataset, Snapshot};
use lodestore_core::time::EventTime;

use super::RegistryHarness;
use crate::fixture::definitions;
use crate::{Failed, Outcome, check_eq};

const EVERYTHING: &str = r#"
entities:
  - {name: driver, join_keys: [{name: driver_id, type: int64}], description: "a person; äöü 'quoted'", owner: "a@b.c"}
  - {name: place, join_keys: [{name: city, type: string}, {name: street}], tags: {team: maps, empty: ""}}
data_sources:
  - type: file
    name: stats
    path: "s3://bucket/stats/*.parquet"
    format: parquet
    timestamp_field: at
    created_timestamp_column: created
    event_id: trip_id
    availability_delay: 1d 2h 3us
    field_mapping: {raw_trips: trips, "with space": e}
    description: "line one\nline two"
    tags: {a: "1"}
    owner: me
  - {type: file, name: prices, path: prices.csv, valid_from: begin, valid_to: end}
  - {type: file, name: timeless, path: folder/}
  - {type: push, name: pushed, batch_source: stats, description: pushed, tags: {b: c}, owner: you}
  - {type: push, name: pushed_only, event_id: "an id"}
  - {type: request, name: asked, schema: [{name: amount, type: float64, default: 0.5, description: d, tags: {x: z}}]}
feature_views:
  - name: driver_stats
    entities: [driver]
    source: stats
    ttl: 36h
    online: false
    description: what drivers did
    tags: {tier: "1"}
    owner: me
    schema:
      - {name: trips, type: int64, default: 9223372036854775807, description: how many, tags: {unit: n}}
      - {name: e, type: "vector<float32, 2>", default: [0.5, -1]}
      - {name: x_y, type: "struct<a: int32, b: map<string, list<decimal(12, 2)>>>"}
  - {name: driver_pushed, entities: [driver], source: pushed, schema: [{name: at_work, type: bool, default: false}]}
  - {name: driver_only, entities: [driver], source: pushed_only, schema: [{name: note, type: string, default: ""}]}
  - name: place_prices
    entities: [place, driver]
    source: prices
    schema: [{name: street, type: uuid}, {name: price, type: "decimal(38, 0)", default: "12"}]
  - name: driver_windows
    entities: [driver]
    source: pushed
    aggregations:
      - {column: fare, function: mean, time_window: 24h}
      - {function: count, time_window: 12h, slide_interval: 0, where: "fare > 1.5 and city <> 'it''s'"}
      - {column: fare, function: "approx_percentile(0.5, 0.99)", time_window: lifetime, offset: 7d, name: typical}
      - column: city
        function: max_by
        by: fare
        time_window: 36h
        slide_interval: 90s
        description: "where it was dearest; äöü"
        tags: {unit: none}
      - {column: fare, function: sum, group_by: city, time_window: 30d}
    inputs:
      - {name: fare, type: float64, description: in euros}
      - {name: city, type: string}
    schema:
      - {name: fare_mean_24h, type: float64, default: 0.5}
      - {name: count_12h, type: int64, default: 0}
      - {name: typical, type: "list<float64>"}
      - {name: city_max_by_fare_36h, type: string}
      - {name: fare_sum_by_city_30d, type: "map<string, float64>", description: by city}
  - name: pushed_windows
    entities: [driver]
    source: pushed_only
    aggregations: [{function: count, time_window: 1h}]
  - {name: constants, source: timeless, schema: [{name: j, type: json, default: "{}"}]}
feature_services:
  - name: model
    features:
      - driver_stats
      - {view: driver_stats, features: [e, trips], alias: other, join_key_map: {driver_id: other_id}}
      - "place_prices:price"
    description: serves
    tags: {model: m}
    owner: us
  - {name: small, features: ["constants:j"]}
"#;

/// Returns definitions with every kind of object and every field of them set somewhere.
pub(super) fn everything() -> Result<Definitions, Failed> {
    definitions(EVERYTHING)
}

/// Returns a change of some steps.
pub(super) fn change(mutations: Vec<Mutation>, at: i64) -> Change {
    let lines = vec!["+ entity 'driver'".to_owned(), String::new(), "two\nlines, ünï".to_owned()];
    Change { mutations, at: EventTime::from_micros(at), by: "somebody <a@b.c>".into(), lines }
}

pub(super) fn dataset(name: &str) -> Result<SavedDataset, Failed> {
    Ok(SavedDataset {
        name: name.parse()?,
        path: format!("data/{name}.parquet"),
        created_at: EventTime::from_micros(-1),
        rows: 1 << 40,
        features: vec!["driver_stats@1:trips".into(), "place_prices@2:price".into()],
        plan: "Historical: 2 question columns\n  View: driver_stats@1".into(),
        fingerprints: vec!["a.parquet 12 bytes".into()],
        tags: BTreeMap::from([("k".into(), "v".into())]),
    })
}

/// Returns the current version of a view under another number.
pub(super) fn renumbered(snapshot: &Snapshot, view: &str, number: u32) -> Result<Arc<ViewVersion>, Failed> {
    let version = ViewVersion::clone(snapshot.view(&view.parse()?)?);
    Ok(Arc::new(ViewVersion { number, created_at: EventTime::from_micros(i64::from(number)), ..version }))
}

/// Checks what a registry holds: in the handle that wrote it and, if it is durable, in a new one.
pub(super) async fn check_holds(
    harness: &dyn RegistryHarness,
    place: &str,
    registry: &Arc<dyn RegistryStore>,
    expected: &Snapshot,
) -> Outcome {
    check_eq!(registry.load(&expected.project).await?, *expected, "what the registry holds");
    if harness.is_durable() {
        let again = harness.open(place).await?;
        check_eq!(again.load(&expected.project).await?, *expected, "what the registry holds when opened again");
    }
    Ok(())
}
