use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float32Array, Float64Array, Int64Array, StringArray};
use arrow::compute::concat;
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::online::{OnlineColumn, OnlineRows, OnlineView, WriteReport};
use lodestore_core::rows::{FeatureRows, RowStamp};
use lodestore_core::time::{EventTime, Micros};
use lodestore_core::types::{FeatureType, Value, compare_values};
use lodestore_core::{ErrorKind, Result};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::fixture::steps::{Store, check_like_memory, feature_rows, merge_view, run, step};
use crate::fixture::{at, rows};

/// Every type of rule V1 with values that are easily lost, as JSON.
pub(super) fn cases() -> Vec<(&'static str, Vec<Json>)> {
    vec![
        ("bool", vec![json!(true), json!(false)]),
        ("int32", vec![json!(i32::MIN), json!(0), json!(i32::MAX)]),
        ("int64", vec![json!(i64::MIN), json!(0), json!(i64::MAX)]),
        ("float32", vec![json!(0.5), json!(-1e30)]),
        ("float64", vec![json!(0.1), json!(-0.0), json!(1e300)]),
        ("string", vec![json!(""), json!("naïve ☕"), json!("a\u{0}b")]),
        ("bytes", vec![json!(""), json!("00ff10")]),
        ("timestamp", vec![json!("1969-12-31T23:59:59.999999Z"), json!("2024-01-01T00:00:00Z")]),
        ("date", vec![json!("1900-01-01"), json!("2024-02-29")]),
        ("json", vec![json!("{\"b\": 1,  \"a\": null}"), json!("null")]),
        ("uuid", vec![json!("0F8FAD5B-D9CB-469F-A165-70867728950E")]),
        ("decimal(38, 9)", vec![json!("-12345678901234567890.123456789"), json!("0")]),
        ("list<int64>", vec![json!([]), json!([1, null, 3]), json!([null]), json!([7])]),
        ("list<string>", vec![json!([]), json!(["", null, "x"])]),
        ("list<bool>", vec![json!([true, null, false]), json!([true])]),
        ("set<string>", vec![json!(["b", "a"])]),
        ("list<list<float64>>", vec![json!([[], null, [1.5, null]]), json!([[]])]),
        ("vector<float32, 3>", vec![json!([1.0, -0.5, 2.0])]),
        ("vector<float64, 2>", vec![json!([1e-300, 2.0])]),
        (
            "struct<a: int32, b: string, c: list<bytes>>",
            vec![json!({"a": 1, "b": "x", "c": ["00", null]}), json!({"a": null, "b": null, "c": null})],
        ),
        ("map<string, list<float64>>", vec![json!({}), json!({"k": [1.0], "": null})]),
        ("list<struct<a: map<int64, bool>>>", vec![json!([{"a": {"1": true}}, null, {"a": null}])]),
    ]
}

/// Returns a column of a case's values with nulls before, between and after them.
pub(super) fn column(ty: &FeatureType, values: &[Json]) -> Result<ArrayRef> {
    let null = arrow::array::new_null_array(&ty.to_arrow(), 1);
    let mut parts = vec![Arc::clone(&null)];
    for value in values {
        parts.extend([ty.array_from_json(value)?, Arc::clone(&null)]);
    }
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    Ok(concat(&parts)?)
}

pub(super) fn encode(layout: &RowLayout, rows: &FeatureRows) -> Result<Vec<Vec<u8>>> {
    let encoder = RowEncoder::new(layout, rows)?;
    let encode = |row: usize| {
        let mut bytes = Vec::new();
        encoder.encode(row, rows.stamps()[row], &mut bytes).map(|()| bytes)
    };
    (0..rows.len()).map(encode).collect()
}

/// Returns stored rows, of one view, as a reader finds them.
fn found(layout: &RowLayout, stored: &[Vec<u8>]) -> Result<FoundRows> {
    let mut found = FoundRows::new(at(i64::MAX - 1), 1, stored.len());
    found.add_view(&Arc::new(layout.clone()), Micros::ZERO, None);
    stored.iter().try_for_each(|bytes| found.add_row(Some(bytes)))?;
    Ok(found)
}

pub(super) fn decode(layout: &RowLayout, stored: &[Vec<u8>], feature: usize) -> Result<ArrayRef> {
    let found = found(layout, stored)?;
    Ok(OnlineColumn::of(&found, 0, stored.len(), feature, &layout.types()[feature])?.values)
}

/// Asserts that arrays are equal to the bit.
pub(super) fn check_equal(left: &ArrayRef, right: &ArrayRef) {
    assert_eq!(left.data_type(), right.data_type());
    assert_eq!(left.len(), right.len());
    for row in 0..left.len() {
        let order = compare_values(left.as_ref(), row, right.as_ref(), row);
        assert!(order.is_eq(), "row {row}: {left:?}\n{right:?}");
    }
}

pub(super) fn times(count: usize) -> Vec<(i64, i64)> {
    (0..count as i64).map(|i| (i, i)).collect()
}

#[test]
fn v1_every_type_comes_out_as_it_went_in() -> Result<()> {
    for (ty, values) in cases() {
        let ty: FeatureType = ty.parse()?;
        let layout = RowLayout::of_types(vec![FeatureType::Int32, ty.clone(), FeatureType::String]);
        let values = column(&ty, &values)?;
        // Also from the middle of an array, where offsets do not start at zero.
        for values in [values.slice(0, values.len()), values.slice(1, values.len() - 1), values.slice(2, 1)] {
            let count = values.len();
            let numbers: ArrayRef = Arc::new((0..count as i32).collect::<arrow::array::Int32Array>());
            let texts: ArrayRef = Arc::new((0..count).map(|i| (i % 2 == 0).then_some("t")).collect::<StringArray>());
            let columns = vec![Arc::clone(&numbers), Arc::clone(&values), Arc::clone(&texts)];
            let stored = encode(&layout, &rows(&times(count), columns)?)?;
            check_equal(&decode(&layout, &stored, 0)?, &numbers);
            check_equal(&decode(&layout, &stored, 1)?, &values);
            check_equal(&decode(&layout, &stored, 2)?, &texts);
        }
    }
    Ok(())
}

#[test]
fn a_column_has_the_cells_that_are_asked_for_one_by_one() -> Result<()> {
    for (ty, values) in cases() {
        let layout = RowLayout::of_types(vec![ty.parse()?]);
        let stored = encode(&layout, &rows(&times(values.len() * 2 + 1), vec![column(&ty.parse()?, &values)?])?)?;
        for (now, ttl) in [(1_000, None), (2, None), (3, Some(Micros::new(1)?))] {
            let mut found = FoundRows::new(at(now), 1, 3 * stored.len());
            found.add_view(&Arc::new(layout.clone()), Micros::ZERO, ttl);
            for bytes in &stored {
                found.add_row(Some(bytes))?;
                found.add_row(None)?;
                let mut deleted = Vec::new();
                delete_row(&layout, Some(bytes), at(0), &mut deleted)?;
                found.add_row(Some(&deleted))?;
            }
            let count = 3 * stored.len();
            let mut cells = Vec::new();
            found.cells(0, 0..count, 0, &mut cells)?;
            let single: Vec<_> = (0..count).map(|key| found.get(0, key, 0)).collect::<Result<_>>()?;
            assert_eq!(cells, single, "{ty}");
            assert!(found.cells(0, 0..count + 1, 0, &mut cells).is_err());
            assert!(found.cells(0, 0..1, 1, &mut cells).is_err());
        }
    }
    Ok(())
}

#[test]
fn v1_floats_are_kept_to_the_bit() -> Result<()> {
    let singles = [f32::NAN.to_bits(), 0xffc0_1234, 0x7f80_0001, (-0.0f32).to_bits(), 1].map(f32::from_bits);
    let doubles = [f64::NAN.to_bits(), 0xfff8_0000_0000_1234, 0x7ff0_0000_0000_0001, (-0.0f64).to_bits(), 1];
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Float32Array::from(singles.to_vec())),
        Arc::new(Float64Array::from(doubles.map(f64::from_bits).to_vec())),
    ];
    let layout = RowLayout::of_types(vec![FeatureType::Float32, FeatureType::Float64]);
    let stored = encode(&layout, &rows(&times(5), columns)?)?;
    let found = found(&layout, &stored)?;
    for row in 0..stored.len() {
        let value = |feature| found.get(0, row, feature).map(|cell| cell.value);
        let (Some(Value::Float32(single)), Some(Value::Float64(double))) = (value(0)?, value(1)?) else {
            panic!("both are there")
        };
        assert_eq!((single.to_bits(), double.to_bits()), (singles[row].to_bits(), doubles[row]));
    }
    Ok(())
}

#[test]
fn values_are_read_where_they_lie() -> Result<()> {
    let types = ["bool", "decimal(5, 2)", "string", "struct<a: int32, b: list<string>>", "map<string, int64>", "bytes"];
    let types = types.iter().map(|ty| ty.parse()).collect::<Result<Vec<FeatureType>>>()?;
    let values = [json!(true), json!("-1.25"), json!("hi"), json!({"a": 7, "b": ["x", null]}), json!({"k": 9})];
    let mut columns = types.iter().zip(&values).map(|(ty, v)| ty.array_from_json(v)).collect::<Result<Vec<_>>>()?;
    columns.push(arrow::array::new_null_array(&types[5].to_arrow(), 1));
    let layout = RowLayout::of_types(types);
    let nested = columns.clone();
    let stored = encode(&layout, &rows(&times(1), columns)?)?;
    let found = found(&layout, &stored)?;
    let value = |feature| found.get(0, 0, feature).map(|cell| cell.value);
    assert_eq!(value(0)?, Some(Value::Bool(true)));
    assert_eq!(value(1)?, Some(Value::Decimal { unscaled: -125, scale: 2 }));
    assert_eq!(value(2)?, Some(Value::Text("hi")));
    for feature in [3, 4] {
        assert_eq!(value(feature)?, Some(Value::Nested(Arc::clone(&nested[feature]))));
    }
    assert_eq!(value(5)?, None);
    assert_eq!(value(6).unwrap_err().kind(), ErrorKind::Internal);
    Ok(())
}

/// The rows of one view, each key's under its bytes: the least a store has to add to this module.
pub(super) struct Map {
    view: OnlineView,
    layout: RowLayout,
    pub(super) stored: HashMap<Vec<u8>, Vec<u8>>,
}

impl Map {
    pub(super) fn new(view: &OnlineView) -> Self {
        Self { view: view.clone(), layout: RowLayout::of(&view.version), stored: HashMap::new() }
    }
}

impl Store for Map {
    fn write(&mut self, rows: &FeatureRows, now: EventTime) -> Result<WriteReport> {
        let mut merger = RowMerger::new(&self.layout, &self.view.version, rows, now)?;
        let (mut report, mut out) = (WriteReport::default(), Vec::new());
        let mut newest_first: Vec<u32> = (0..rows.len() as u32).collect();
        newest_first.sort_by_key(|&row| std::cmp::Reverse(rows.stamps()[row as usize].order()));
        let mut by_key: HashMap<&[u8], Vec<u32>> = HashMap::new();
        newest_first.into_iter().for_each(|row| by_key.entry(rows.key(row as usize)).or_default().push(row));
        for (key, group) in by_key {
            let one = merger.merge(self.stored.get(key).map(Vec::as_slice), &group, &mut out)?;
            report = WriteReport { written: report.written + one.written, skipped: report.skipped + one.skipped };
            if !out.is_empty() {
                self.stored.insert(key.to_vec(), out.clone());
            }
        }
        Ok(report)
    }

    fn delete(&mut self, keys: &EntityKeys, at: EventTime) -> Result<()> {
        let mut out = Vec::new();
        for key in keys.iter().flatten() {
            delete_row(&self.layout, self.stored.get(key).map(Vec::as_slice), at, &mut out)?;
            self.stored.insert(key.to_vec(), out.clone());
        }
        Ok(())
    }

    fn read(&self, keys: &EntityKeys, as_of: EventTime) -> Result<Vec<OnlineColumn>> {
        let version = &self.view.version;
        let mut found = FoundRows::new(as_of, 1, keys.len());
        found.add_view(&Arc::new(self.layout.clone()), version.availability_delay(), version.ttl());
        for key in keys.iter() {
            found.add_row(key.and_then(|key| self.stored.get(key)).map(Vec::as_slice))?;
        }
        let read = |(feature, ty)| OnlineColumn::of(&found, 0, keys.len(), feature, ty);
        self.layout.types().iter().enumerate().map(read).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn o1_o2_o4_o5_rows_merge_and_answer_as_core_decides(steps in proptest::collection::vec(step(), 1..8), delay in 0usize..2) {
        let view = merge_view(["0s", "3us"][delay]).expect("a view");
        check_like_memory(&view, &mut Map::new(&view), &steps).expect("no error");
    }

    #[test]
    fn damaged_rows_are_errors_and_never_panics(
        steps in proptest::collection::vec(step(), 1..6),
        edits in proptest::collection::vec((0usize..4096, any::<u8>()), 1..4),
        cut in proptest::option::of(0usize..4096),
    ) {
        let view = merge_view("3us").expect("a view");
        let mut map = Map::new(&view);
        run(&mut map, &steps).expect("no error");
        for stored in map.stored.values() {
            let mut damaged = stored.clone();
            for (place, byte) in &edits {
                let place = place % damaged.len();
                damaged[place] = *byte;
            }
            damaged.truncate(cut.map_or(damaged.len(), |cut| cut % (damaged.len() + 1)));
            look_everywhere(&view, &map.layout, &damaged);
        }
    }
}

/// Reads and merges bytes in every way there is. Panics and errors of a wrong kind fail the test.
fn look_everywhere(view: &OnlineView, layout: &RowLayout, bytes: &[u8]) {
    read_everywhere(layout, bytes);
    let (mut out, merges) = (Vec::new(), [(vec![0, 1, 2], 5), (vec![1], 0), (vec![0, 1, 2], 11)]);
    for (features, event) in merges {
        let row = (0, RowStamp::at(at(event)), vec![Some(1), Some(1), Some(1)]);
        let rows = feature_rows(&[row], &features).expect("rows");
        let mut merger = RowMerger::new(layout, &view.version, &rows, at(20)).expect("a merger");
        check_corrupt(merger.merge(Some(bytes), &[0], &mut out).map(|_| ()));
    }
}

fn check_corrupt(result: Result<()>) {
    if let Err(error) = result {
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
}

fn read_everywhere(layout: &RowLayout, bytes: &[u8]) {
    for feature in 0..layout.types().len() {
        check_corrupt(decode(layout, &[bytes.to_vec()], feature).map(|_| ()));
    }
    check_corrupt(delete_row(layout, Some(bytes), at(5), &mut Vec::new()));
}

#[test]
fn damaged_values_of_every_type_are_errors_and_never_panics() -> Result<()> {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % below as u64) as usize
    };
    for (ty, values) in cases() {
        let layout = RowLayout::of_types(vec![ty.parse()?, ty.parse()?, FeatureType::Int64]);
        let values = column(&layout.types()[0], &values)?;
        let count = values.len();
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1; count]));
        let stored = encode(&layout, &rows(&times(count), vec![Arc::clone(&values), values, numbers])?)?;
        for bytes in &stored {
            for length in 0..bytes.len() {
                assert!(found(&layout, &[bytes[..length].to_vec()]).is_err(), "{ty} cut to {length}");
            }
            for _ in 0..300 {
                let mut damaged = bytes.clone();
                for _ in 0..=next(3) {
                    let place = next(damaged.len());
                    damaged[place] = [next(256) as u8, 0, 1, 255][next(4)];
                }
                read_everywhere(&layout, &damaged);
            }
        }
    }
    Ok(())
}

#[test]
fn equal_rows_have_equal_bytes_whatever_lies_under_their_nulls() -> Result<()> {
    let types: Vec<FeatureType> = vec!["int64".parse()?, "string".parse()?, "vector<float32, 2>".parse()?];
    let layout = RowLayout::of_types(types.clone());
    let nulls = arrow::buffer::NullBuffer::from(vec![false]);
    let hidden: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::new(vec![7].into(), Some(nulls.clone()))),
        Arc::new(StringArray::new(arrow::buffer::OffsetBuffer::from_lengths([3]), b"abc".into(), Some(nulls))),
        types[2].array_from_json(&json!([1.0, 2.0]))?,
    ];
    let plain: Vec<ArrayRef> = vec![
        arrow::array::new_null_array(&types[0].to_arrow(), 1),
        arrow::array::new_null_array(&types[1].to_arrow(), 1),
        types[2].array_from_json(&json!([1.0, 2.0]))?,
    ];
    let encoded = |columns| encode(&layout, &rows(&times(1), columns)?);
    assert_eq!(encoded(hidden)?, encoded(plain)?);
    Ok(())
}

#[test]
fn a_newer_format_is_named() {
    let layout = RowLayout::of_types(vec![FeatureType::Bool]);
    let error = found(&layout, &[vec![2, 0, 0]]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("format 2, and this version reads formats up to 1"), "{error}");
}
