//! How fast windows are. Run with `cargo test -p lodestore-online --test window_speed -- --ignored --nocapture`.
#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use lodestore_core::document::Document;
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::online::{FeatureStatus, OnlineRows, OnlineView, ViewKeys};
use lodestore_core::rows::{FeatureRows, RowStamp};
use lodestore_core::time::{EventTime, Stopwatch};
use lodestore_core::types::KeyType;
use lodestore_core::{Error, Result};
use lodestore_online::embedded::{EmbeddedConfig, EmbeddedStore};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
const NOW: i64 = 1_700_000_000_000_000;

fn view(name: &str, aggregations: &[String]) -> Result<OnlineView> {
    let yaml = format!(
        "{{version: 1, entities: [{{name: e, join_keys: [{{name: id, type: int64}}]}}], \
         data_sources: [{{name: s, type: file, path: s.parquet, timestamp_field: at}}], \
         feature_views: [{{name: {name}, entities: [e], source: s, aggregations: [{}], \
         inputs: [{{name: x, type: float64}}, {{name: city, type: string}}]}}]}}",
        aggregations.join(", ")
    );
    let definitions = Document::parse_yaml(&yaml, "test")?.into_definitions()?;
    let version = definitions.resolve(&definitions.feature_views[name], EventTime::from_micros(0), 1)?;
    Ok(OnlineView::new("p".parse()?, Arc::new(version)))
}

/// Returns 20 windows: five lengths of four functions; one looks at the city.
fn twenty(functions: [&str; 4]) -> Vec<String> {
    let lengths = ["1h", "24h", "7d", "30d", "90d"];
    let window = |function: &str, length: &str| {
        let column = if function.contains("distinct") { "city" } else { "x" };
        format!("{{function: {function}, column: {column}, time_window: {length}}}")
    };
    let mut all: Vec<String> = functions.iter().flat_map(|f| lengths.map(|length| window(f, length))).collect();
    all.push("{function: last, column: city, time_window: lifetime}".into());
    all
}

fn keys(ids: &[i64]) -> Result<EntityKeys> {
    let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
    EntityKeys::encode(ids.len(), &[("id", &ids, KeyType::Int64)])
}

fn events(ids: &[i64], times: &[i64]) -> Result<FeatureRows> {
    let x: ArrayRef = Arc::new(Float64Array::from_iter_values(times.iter().map(|time| (time % 100_003) as f64 / 7.0)));
    let city: ArrayRef =
        Arc::new(StringArray::from_iter_values(times.iter().map(|time| format!("city {}", time % 97))));
    let stamps = times.iter().map(|time| RowStamp::at(EventTime::from_micros(*time))).collect();
    FeatureRows::new(keys(ids)?, stamps, vec![(0, x), (1, city)])
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let us = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e6;
    println!("{what}: p50 {:.2} us, p99 {:.2} us", us(50), us(99));
}

fn timed(count: usize, mut run: impl FnMut(usize) -> Result<()>) -> Result<Vec<Duration>> {
    (0..count)
        .map(|i| {
            let time = Stopwatch::start();
            run(i)?;
            Ok(time.elapsed())
        })
        .collect()
}

fn speed(name: &str, aggregations: &[String]) -> Result<()> {
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    let folder = folder.map_err(|e| Error::io("making a folder", e))?;
    let store = EmbeddedStore::open(EmbeddedConfig::at(folder.path()))?;
    let view = view(name, aggregations)?;
    // A thousand events a day for half a year, and 100 of other keys beside each day.
    const EVENTS: i64 = 180_000;
    let times: Vec<i64> = (0..EVENTS).map(|i| NOW - 180 * DAY + i * (180 * DAY / EVENTS)).collect();
    let ids: Vec<i64> = (0..EVENTS).map(|i| if i % 10 == 0 { i % 1_000 } else { 1 }).collect();
    let time = Stopwatch::start();
    store.write_now(&view, &events(&ids, &times)?, EventTime::from_micros(NOW), None)?;
    println!("{name}: {EVENTS} events in one write: {:.0} events/s", EVENTS as f64 / time.elapsed().as_secs_f64());
    let (asked, as_of) = (keys(&[1])?, EventTime::from_micros(NOW + HOUR / 7));
    let features = view.version.features.len();
    let mut reads = timed(20_000, |_| {
        let found = store.find_now(&[ViewKeys { view: &view, keys: &asked }], as_of)?;
        for feature in 0..features {
            assert_eq!(found.get(0, 0, feature)?.status, FeatureStatus::Present);
        }
        Ok(())
    })?;
    report(&format!("{name}: read of {features} windows of a key"), &mut reads);
    let mut found_only = timed(20_000, |_| store.find_now(&[ViewKeys { view: &view, keys: &asked }], as_of).map(drop))?;
    report(&format!("{name}: of this, copying from the store"), &mut found_only);
    let mut pushes = timed(2_000, |i| {
        let at = NOW + i as i64 * 1_000_000;
        store.write_now(&view, &events(&[1], &[at])?, EventTime::from_micros(at), None).map(drop)
    })?;
    report(&format!("{name}: push of one event"), &mut pushes);
    let at = NOW + HOUR;
    let time = Stopwatch::start();
    for i in 0..100 {
        let ids: Vec<i64> = (0..1_000).collect();
        let times: Vec<i64> = (0..1_000).map(|event| at + i * 1_000 + event).collect();
        store.write_now(&view, &events(&ids, &times)?, EventTime::from_micros(at + i * 1_000), None)?;
    }
    println!("{name}: pushes of 1,000 events of 1,000 keys: {:.0} events/s", 100_000.0 / time.elapsed().as_secs_f64());
    let time = Stopwatch::start();
    let removed = store.collect_now(&view, EventTime::from_micros(NOW + 80 * DAY))?;
    println!("{name}: collected {removed} entries in {:.2} s", time.elapsed().as_secs_f64());
    Ok(())
}

#[test]
#[ignore = "takes seconds and judges nothing; it prints"]
fn speed_of_windows() -> Result<()> {
    speed("sums", &twenty(["count", "sum", "max", "mean"]))?;
    speed("moments", &twenty(["count", "mean", "stddev_samp", "min"]))?;
    speed("sketches", &twenty(["approx_count_distinct", "sum", "approx_percentile(0.5)", "last"]))?;
    // These keep events by themselves: of 10 hours, and of a week.
    let exact = ["count", "sum"].map(|f| format!("{{function: {f}, column: x, time_window: 10h, slide_interval: 0}}"));
    speed("exact", &[&exact[..], &["{function: last, column: city, time_window: 30d}".into()]].concat())?;
    let offset = ["count", "sum"].map(|f| format!("{{function: {f}, column: x, time_window: 7d, offset: 7d}}"));
    speed("offset", &[&offset[..], &["{function: last, column: city, time_window: 30d}".into()]].concat())
}
