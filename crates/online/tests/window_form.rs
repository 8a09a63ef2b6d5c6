//! The stored form of windows, format 1: later versions read it too.
#![allow(clippy::expect_used, reason = "the golden file is in order, or the test fails")]

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use lodestore_core::document::Document;
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::online::windows::{Asked, EventBatch, MemoryEntries, Place, WindowPlan};
use lodestore_core::rows::{FeatureRows, RowStamp};
use lodestore_core::time::EventTime;
use lodestore_core::types::KeyType;
use lodestore_core::{ErrorKind, Result};

/// What was stored after each step: its name, then the entries of the key, place and bytes in hexadecimal.
const FORMAT_1: &str = include_str!("../test-data/windows-format-1.txt");

const VIEW: &str = "
version: 1
entities: [{name: e, join_keys: [{name: id, type: int64}]}]
data_sources: [{name: s, type: file, path: s.parquet, timestamp_field: at, event_id: event, availability_delay: 5us}]
feature_views:
  - name: v
    entities: [e]
    source: s
    inputs: [{name: x, type: float64}, {name: city, type: string}]
    aggregations:
      - {function: sum, column: x, time_window: 100us, slide_interval: 10us}
      - {function: count, time_window: 20us, slide_interval: 0s, where: x > 1}
      - {function: last, column: city, time_window: lifetime}
";

const FEATURES: usize = 3;

fn at(micros: i64) -> EventTime {
    EventTime::from_micros(micros)
}

fn plan() -> Result<Arc<WindowPlan>> {
    let definitions = Document::parse_yaml(VIEW, "test")?.into_definitions()?;
    let version = definitions.resolve(&definitions.feature_views["v"], at(0), 1)?;
    Ok(Arc::new(WindowPlan::new(&version)?))
}

/// Returns events of one key: time, value, city; their ids are their values.
fn events(all: &[(i64, f64, Option<&str>)]) -> Result<FeatureRows> {
    let one: ArrayRef = Arc::new(Int64Array::from(vec![7; all.len()]));
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(all.iter().map(|event| event.1 as i64)));
    let keys = |column: &ArrayRef| EntityKeys::encode(all.len(), &[("id", column, KeyType::Int64)]);
    let stamps = all.iter().map(|event| RowStamp { created: at(3), ..RowStamp::at(at(event.0)) }).collect();
    let x: ArrayRef = Arc::new(Float64Array::from_iter_values(all.iter().map(|event| event.1)));
    let city: ArrayRef = Arc::new(all.iter().map(|event| event.2).collect::<StringArray>());
    FeatureRows::new(keys(&one)?, stamps, vec![(0, x), (1, city)])?.with_event_ids(keys(&ids)?.as_array().clone())
}

/// Returns the entries after each step.
fn steps() -> Result<Vec<(&'static str, MemoryEntries)>> {
    let plan = plan()?;
    let mut entries = MemoryEntries::new();
    let mut steps = Vec::new();
    let mut write = |name, all: &[(i64, f64, Option<&str>)], now| -> Result<()> {
        let rows = events(all)?;
        let places: Vec<u32> = (0..rows.len() as u32).collect();
        EventBatch::new(&plan, &rows)?.write_key(&places, &mut entries, at(now))?;
        steps.push((name, entries.clone()));
        Ok(())
    };
    write("one event that is visible", &[(10, 1.5, Some("a"))], 40)?;
    write("others, two of them not yet visible", &[(38, 2.5, None), (41, 1e300, Some("b")), (12, 1e-300, None)], 42)?;
    write("later", &[(99, 4.0, Some("c")), (10, 1.5, Some("a"))], 104)?;
    plan.delete_key(&mut entries, at(101))?;
    steps.push(("deleted", entries));
    Ok(steps)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("a byte");
    hex.as_bytes().chunks(2).map(byte).collect()
}

fn lines(steps: &[(&str, MemoryEntries)]) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, entries) in steps {
        lines.push((*name).to_owned());
        lines.extend(entries.iter().map(|(place, bytes)| format!("  {} {}", hex(place.as_bytes()), hex(bytes))));
    }
    lines
}

fn golden() -> Vec<(&'static str, MemoryEntries)> {
    let mut steps: Vec<(&str, MemoryEntries)> = Vec::new();
    for line in FORMAT_1.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("  ").and_then(|entry| entry.split_once(' ')) {
            Some((place, value)) => {
                let place = Place::from_bytes(bytes(place).try_into().expect("17 bytes"));
                steps.last_mut().expect("a step").1.insert(place, bytes(value));
            }
            None => steps.push((line, MemoryEntries::new())),
        }
    }
    steps
}

fn answers(plan: &Arc<WindowPlan>, entries: &MemoryEntries, now: i64) -> Result<String> {
    let asked = Asked::new(plan, at(now));
    let found = asked.find(entries)?;
    let cells = (0..FEATURES).map(|feature| Ok(format!("{:?}", asked.cell(&found, feature)?)));
    Ok(cells.collect::<Result<Vec<_>>>()?.join("\n"))
}

#[test]
fn windows_are_written_in_format_1() -> Result<()> {
    let golden: Vec<_> = FORMAT_1.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines(&steps()?), golden, "\n{}", lines(&steps()?).join("\n"));
    Ok(())
}

#[test]
fn windows_of_format_1_are_read() -> Result<()> {
    let plan = plan()?;
    let mut seen = std::collections::BTreeSet::new();
    for ((name, stored), (_, now)) in golden().iter().zip(steps()?) {
        for moment in 40..260 {
            let found = answers(&plan, stored, moment)?;
            assert_eq!(found, answers(&plan, &now, moment)?, "{name} at {moment}");
            seen.insert(found);
        }
    }
    assert!(seen.len() > 10, "the answers differ: {seen:?}");
    Ok(())
}

#[test]
fn damaged_windows_are_errors_and_never_panics() -> Result<()> {
    let plan = plan()?;
    let rows = events(&[(100, 9.0, Some("d"))])?;
    let batch = EventBatch::new(&plan, &rows)?;
    let mut kinds = std::collections::BTreeSet::new();
    for (_, stored) in golden() {
        for (place, bytes) in &stored {
            let cut = (0..bytes.len()).map(|length| bytes[..length].to_vec());
            let changed = (0..bytes.len()).map(|i| {
                let mut changed = bytes.clone();
                changed[i] ^= 0xff;
                changed
            });
            for damaged in cut.chain(changed) {
                let mut entries = stored.clone();
                entries.insert(*place, damaged);
                for result in [
                    answers(&plan, &entries, 120).map(|_| ()),
                    plan.collect(place, &entries[place], at(500)).map(|_| ()),
                    batch.write_key(&[0], &mut entries, at(120)).map(|_| ()),
                ] {
                    kinds.extend(result.err().map(|error| format!("{:?}", error.kind())));
                }
            }
        }
    }
    let expected = [ErrorKind::Corrupt, ErrorKind::Unsupported].map(|kind| format!("{kind:?}"));
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), expected);
    Ok(())
}
