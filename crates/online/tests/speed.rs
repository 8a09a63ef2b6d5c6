//! How fast the embedded store is. Run with `cargo test -p lodestore-online --test speed -- --ignored --nocapture`.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Float64Array, Int64Array};
use lodestore_core::document::Document;
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::online::{FeatureStatus, OnlineRows, OnlineView, ViewKeys};
use lodestore_core::rows::{FeatureRows, RowStamp};
use lodestore_core::time::{EventTime, Stopwatch};
use lodestore_core::types::{KeyType, Value};
use lodestore_core::{Error, Result};
use lodestore_online::embedded::{EmbeddedConfig, EmbeddedStore};

const ROWS: i64 = 1_000_000;
const BATCH: i64 = 250_000;
const FEATURES: usize = 10;
const VIEWS: usize = 25;
const KEYS_OF_EACH: i64 = 10_000;

fn view(name: &str) -> Result<OnlineView> {
    let schema: Vec<_> = (0..FEATURES).map(|i| format!("{{name: f{i}, type: float64}}")).collect();
    let yaml = format!(
        "{{version: 1, entities: [{{name: e, join_keys: [{{name: id, type: int64}}]}}], \
         data_sources: [{{name: s, type: file, path: s.parquet, timestamp_field: at}}], \
         feature_views: [{{name: {name}, entities: [e], source: s, ttl: 1d, schema: [{}]}}]}}",
        schema.join(", ")
    );
    let definitions = Document::parse_yaml(&yaml, "test")?.into_definitions()?;
    let view = &definitions.feature_views[name];
    let version = definitions.resolve(view, EventTime::from_micros(0), 1)?;
    Ok(OnlineView::new("p".parse()?, Arc::new(version)))
}

fn keys(ids: &[i64]) -> Result<EntityKeys> {
    let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
    EntityKeys::encode(ids.len(), &[("id", &ids, KeyType::Int64)])
}

fn rows(ids: &[i64], event: i64) -> Result<FeatureRows> {
    let column = |feature: usize| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(ids.iter().map(|id| *id as f64 + feature as f64)))
    };
    let stamps = vec![RowStamp::at(EventTime::from_micros(event)); ids.len()];
    FeatureRows::new(keys(ids)?, stamps, (0..FEATURES).map(|f| (f, column(f))).collect())
}

fn shuffled(count: i64) -> Vec<i64> {
    let order = RandomState::new();
    let mut ids: Vec<i64> = (0..count).collect();
    ids.sort_by_key(|id| order.hash_one(id));
    ids
}

fn report_writes(what: &str, store: &EmbeddedStore, view: &OnlineView, ids: &[i64], event: i64) -> Result<()> {
    let batches = ids.chunks(BATCH as usize).map(|ids| rows(ids, event)).collect::<Result<Vec<_>>>()?;
    let time = Stopwatch::start();
    for batch in &batches {
        store.write_now(view, batch, EventTime::from_micros(100), None)?;
    }
    println!("{what}: {:.2} M rows/s", ids.len() as f64 / time.elapsed().as_secs_f64() / 1e6);
    Ok(())
}

fn report_reads(what: &str, count: usize, mut read: impl FnMut(usize) -> Result<()>) -> Result<()> {
    let mut times: Vec<Duration> = Vec::with_capacity(count);
    for i in 0..count {
        let time = Stopwatch::start();
        read(i)?;
        times.push(time.elapsed());
    }
    times.sort_unstable();
    let us = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e6;
    println!("{what}: p50 {:.2} us, p99 {:.2} us", us(50), us(99));
    Ok(())
}

#[test]
#[ignore = "takes seconds and judges nothing; it prints"]
fn speed_of_writes_and_reads() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| Error::io("making a folder", e))?;
    let (store, view) = (EmbeddedStore::open(EmbeddedConfig::at(folder.path()))?, view("v")?);
    let (sorted, random) = ((0..ROWS).collect::<Vec<_>>(), shuffled(ROWS));
    report_writes("sorted bulk load", &store, &view, &sorted, 1)?;
    report_writes("random updates", &store, &view, &random, 2)?;
    report_writes("random rows written again", &store, &view, &random, 2)?;
    report_writes("random older rows", &store, &view, &random, 1)?;

    let as_of = EventTime::from_micros(100);
    let all: Vec<usize> = (0..FEATURES).collect();
    report_reads("1 key x 10 features, where they lie", 200_000, |i| {
        let keys = keys(&random[i..=i])?;
        let found = store.find_now(&[ViewKeys { view: &view, keys: &keys }], as_of)?;
        for feature in 0..FEATURES {
            let cell = found.get(0, 0, feature)?;
            assert!(matches!(cell.value, Some(Value::Float64(_))) && cell.status == FeatureStatus::Present);
        }
        Ok(())
    })?;
    for count in [1, 100] {
        let asked = random.chunks(count).take(10_000).map(keys).collect::<Result<Vec<_>>>()?;
        report_reads(&format!("{count} keys x 10 features, as columns"), asked.len(), |i| {
            let columns = store.read_now(&view, &asked[i], &all, as_of)?;
            assert_eq!(columns.len(), FEATURES);
            Ok(())
        })?;
    }
    report_reads("write of one row", 200, |i| {
        store.write_now(&view, &rows(&random[i..=i], 3)?, as_of, None).map(|_| ())
    })
}

#[test]
#[ignore = "takes seconds and judges nothing; it prints"]
fn speed_of_reads_of_many_views() -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| Error::io("making a folder", e))?;
    let store = EmbeddedStore::open(EmbeddedConfig::at(folder.path()))?;
    let views = (0..VIEWS).map(|i| view(&format!("v{i}"))).collect::<Result<Vec<_>>>()?;
    let (ids, as_of) = (shuffled(KEYS_OF_EACH), EventTime::from_micros(100));
    views.iter().try_for_each(|view| store.write_now(view, &rows(&ids, 1)?, as_of, None).map(|_| ()))?;
    for count in [1, 100] {
        let asked = ids.chunks(count).map(keys).collect::<Result<Vec<_>>>()?;
        report_reads(&format!("{count} keys x {VIEWS} views, where they lie"), asked.len(), |i| {
            let asked: Vec<_> = views.iter().map(|view| ViewKeys { view, keys: &asked[i] }).collect();
            let found = store.find_now(&asked, as_of)?;
            assert!(found.get(VIEWS - 1, count - 1, 0)?.status == FeatureStatus::Present);
            Ok(())
        })?;
    }
    Ok(())
}
