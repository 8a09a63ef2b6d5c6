use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array};
use lodestore_core::Result;
use lodestore_core::rows::RowStamp;
use lodestore_core::types::FeatureType;
use serde_json::Value as Json;

use super::RowLayout;
use super::tests::{Map, cases, check_equal, column, decode, encode, times};
use crate::fixture::steps::{Store, feature_rows, merge_view};
use crate::fixture::{at, keys, rows};

/// Rows of format 1 as text: what was stored, then the row in hexadecimal. Later versions read them too.
const FORMAT_1: &str = include_str!("../../test-data/row-format-1.txt");

/// Returns the layout and the rows of each case: one for every value and null.
fn golden_cases() -> Result<Vec<(&'static str, RowLayout, ArrayRef)>> {
    let case = |(ty, values): (&'static str, Vec<Json>)| {
        let layout = RowLayout::of_types(vec![FeatureType::Int32, ty.parse()?]);
        let values = column(&layout.types()[1], &values)?;
        Ok((ty, layout, values))
    };
    cases().into_iter().map(case).collect()
}

fn golden_columns(values: &ArrayRef) -> Vec<ArrayRef> {
    let numbers: Int32Array = (0..values.len() as i32).collect();
    vec![Arc::new(numbers), Arc::clone(values)]
}

/// Returns a key's row after each of some writes that end in several entries.
fn golden_states() -> Result<Vec<(&'static str, Vec<u8>)>> {
    let view = merge_view("5us")?;
    let row = |event, valid_to, n| {
        let stamp = RowStamp { event: at(event), created: at(1), valid_to: at(valid_to) };
        (0, stamp, vec![Some(n), Some(n), Some(n)])
    };
    let writes = [
        ("one that is visible", vec![row(1, i64::MAX, 1)], vec![0, 1, 2]),
        ("then one that is not yet visible", vec![row(9, i64::MAX, 2)], vec![0, 1, 2]),
        ("then one with an end, and some features", vec![row(4, 12, 0)], vec![0, 2]),
    ];
    let mut map = Map::new(&view);
    let mut states = Vec::new();
    let stored = |map: &Map| map.stored.values().next().cloned().unwrap_or_default();
    for (name, rows, features) in writes {
        map.write(&feature_rows(&rows, &features)?, at(10))?;
        states.push((name, stored(&map)));
    }
    map.delete(&keys(&[0])?, at(20))?;
    states.push(("then deleted", stored(&map)));
    Ok(states)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn golden_lines(case: &str) -> Vec<Vec<u8>> {
    let lines = FORMAT_1.lines().filter_map(|line| line.strip_prefix(case)?.strip_prefix(": "));
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("a byte");
    lines.map(|line| line.as_bytes().chunks(2).map(byte).collect()).collect()
}

#[test]
fn rows_of_format_1_are_read() -> Result<()> {
    for (ty, layout, values) in golden_cases()? {
        let stored = golden_lines(ty);
        for (feature, expected) in golden_columns(&values).iter().enumerate() {
            check_equal(&decode(&layout, &stored, feature)?, expected);
        }
    }
    let view = merge_view("5us")?;
    for (name, expected) in golden_states()? {
        let mut map = Map::new(&view);
        let id = keys(&[0])?;
        let key = id.get(0).unwrap_or_default().to_vec();
        let mut now = Map::new(&view);
        map.stored.insert(key.clone(), golden_lines(name).remove(0));
        now.stored.insert(key, expected);
        for as_of in (0..25).map(at) {
            assert_eq!(format!("{:?}", map.read(&id, as_of)?), format!("{:?}", now.read(&id, as_of)?), "{name}");
        }
    }
    Ok(())
}

#[test]
fn rows_are_written_in_format_1() -> Result<()> {
    let mut lines = Vec::new();
    for (ty, layout, values) in golden_cases()? {
        let stored = encode(&layout, &rows(&times(values.len()), golden_columns(&values))?)?;
        lines.extend(stored.iter().map(|bytes| format!("{ty}: {}", hex(bytes))));
    }
    lines.extend(golden_states()?.iter().map(|(name, bytes)| format!("{name}: {}", hex(bytes))));
    let golden: Vec<_> = FORMAT_1.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, golden);
    Ok(())
}
