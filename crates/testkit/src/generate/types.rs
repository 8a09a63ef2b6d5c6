//! Random feature types and values of them.

use arrow::datatypes::{DataType, TimeUnit};
use lodestore_core::types::{FeatureType, KeyType};

use super::Rng;
use crate::oracle::Value;

/// 2024-01-01T00:00:00Z.
pub(super) const EPOCH: i64 = 1_704_067_200_000_000;

/// Returns one type of each kind that rule V1 names, nested ones included.
#[must_use]
pub fn every_type() -> Vec<FeatureType> {
    use FeatureType as F;
    let list = |ty: F| F::List(Box::new(ty));
    vec![
        F::Bool,
        F::Int32,
        F::Int64,
        F::Float32,
        F::Float64,
        F::String,
        F::Bytes,
        F::Timestamp,
        F::Date,
        F::Json,
        F::Uuid,
        F::Decimal { precision: 12, scale: 2 },
        F::Decimal { precision: 38, scale: 0 },
        list(F::Int64),
        list(list(F::Float64)),
        F::Set(Box::new(F::String)),
        F::Vector { double: false, dim: 3 },
        F::Vector { double: true, dim: 1 },
        F::Struct(vec![("a".into(), F::Int32), ("b".into(), list(F::String))]),
        F::Map(Box::new(F::String), Box::new(list(F::Int64))),
        F::Map(Box::new(F::Int64), Box::new(F::Float32)),
        list(F::Struct(vec![("t".into(), F::Timestamp), ("u".into(), F::Bool)])),
        F::Struct(vec![("m".into(), F::Map(Box::new(F::String), Box::new(F::Bytes))), ("d".into(), F::Date)]),
    ]
}

/// Returns a random type, simple ones more often.
pub fn feature_type(rng: &mut Rng) -> FeatureType {
    if rng.chance(45) {
        rng.pick(&[FeatureType::Int64, FeatureType::Float64, FeatureType::String, FeatureType::Bool]).clone()
    } else {
        rng.pick(&every_type()).clone()
    }
}

/// Returns a random value, null in about one of six.
pub fn value(rng: &mut Rng, ty: &FeatureType) -> Value {
    if rng.chance(16) { Value::Null } else { present(rng, ty) }
}

/// Returns a random value that is not null; its items may be.
pub(super) fn present(rng: &mut Rng, ty: &FeatureType) -> Value {
    match ty {
        FeatureType::Bool => Value::Bool(rng.chance(50)),
        FeatureType::Int32 => Value::Int32(*rng.pick(&[0, 1, 2, -1, i32::MIN, i32::MAX])),
        FeatureType::Int64 => Value::Int64(*rng.pick(&[0, 1, 2, -1, i64::MIN, i64::MAX, 1 << 53 | 1])),
        FeatureType::Float32 => {
            let negative_nan = f32::from_bits(f32::NAN.to_bits() | 1 << 31);
            Value::float32(*rng.pick(&[0.0, -0.0, 1.5, -1.5, 0.1, f32::INFINITY, f32::NAN, negative_nan]))
        }
        FeatureType::Float64 => {
            let negative_nan = f64::from_bits(f64::NAN.to_bits() | 1 << 63);
            let small = f64::from_bits(1);
            let values = [0.0, -0.0, 1.5, -1.5, 0.1, small, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, negative_nan];
            Value::float64(*rng.pick(&values))
        }
        FeatureType::String => Value::text(rng.pick(&["", "a", "ab", "b", "null", "NaN", "\0", "é", "\u{1f600}"])),
        FeatureType::Json => Value::text(rng.pick(&["{}", "null", "[1, 2]", "{\"a\": 1.0}", "{\"a\":1}"])),
        FeatureType::Uuid => {
            Value::text(rng.pick(&["00000000-0000-0000-0000-000000000000", "0f8fad5b-d9cb-469f-a165-70867728950e"]))
        }
        FeatureType::Bytes => Value::Bytes(rng.pick(&[&b""[..], &[0], &[0, 255], &[255], b"ab"]).to_vec()),
        FeatureType::Timestamp => Value::Timestamp(*rng.pick(&[0, 1, -1, EPOCH, EPOCH + 1, -62_135_596_800_000_000])),
        FeatureType::Date => Value::Date(*rng.pick(&[0, 1, -1, 19_723, -719_162])),
        FeatureType::Decimal { precision, .. } => {
            let most = 10_i128.pow(u32::from(*precision)) - 1;
            Value::Decimal(*rng.pick(&[0, 1, -1, 50, most, -most]))
        }
        FeatureType::List(item) => {
            let length = rng.below(4);
            Value::List((0..length).map(|_| value(rng, item)).collect())
        }
        FeatureType::Set(item) => {
            let mut items: Vec<Value> = Vec::new();
            for _ in 0..rng.below(4) {
                let item = value(rng, item);
                if !items.contains(&item) {
                    items.push(item);
                }
            }
            Value::List(items)
        }
        FeatureType::Vector { double, dim } => {
            let item = if *double { FeatureType::Float64 } else { FeatureType::Float32 };
            Value::List((0..*dim).map(|_| present(rng, &item)).collect())
        }
        FeatureType::Struct(fields) => Value::Struct(fields.iter().map(|(_, ty)| value(rng, ty)).collect()),
        FeatureType::Map(key, item) => {
            let mut entries: Vec<(Value, Value)> = Vec::new();
            for _ in 0..rng.below(3) {
                let key = present(rng, key);
                if entries.iter().all(|(other, _)| *other != key) {
                    entries.push((key, value(rng, item)));
                }
            }
            Value::Map(entries)
        }
    }
}

/// Returns an encoding in which a source may have a column of a type: the type's own, or another
/// one that widens to it without loss.
pub(super) fn encoding(rng: &mut Rng, ty: &FeatureType) -> DataType {
    let own = ty.to_arrow();
    if rng.chance(60) {
        return own;
    }
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let others = match ty {
        FeatureType::Int32 => vec![DataType::Int8, DataType::Int16, DataType::UInt8],
        FeatureType::Int64 => vec![DataType::Int32, DataType::UInt32, DataType::Int16],
        FeatureType::Float64 => vec![DataType::Float32, DataType::Int32],
        FeatureType::String | FeatureType::Json => vec![DataType::LargeUtf8, DataType::Utf8View, dictionary],
        FeatureType::Bytes => vec![DataType::LargeBinary, DataType::BinaryView],
        FeatureType::Timestamp => vec![
            DataType::Timestamp(TimeUnit::Millisecond, None),
            DataType::Timestamp(TimeUnit::Microsecond, Some("+05:00".into())),
            DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
            DataType::Date32,
        ],
        FeatureType::Date => vec![DataType::Date64],
        FeatureType::List(item) | FeatureType::Set(item) => {
            vec![DataType::LargeList(std::sync::Arc::new(arrow::datatypes::Field::new(
                "element",
                item.to_arrow(),
                true,
            )))]
        }
        _ => vec![],
    };
    if others.is_empty() { own } else { rng.pick(&others).clone() }
}

/// Returns an encoding in which questions or a source may have a key column.
pub(super) fn key_encoding(rng: &mut Rng, ty: KeyType) -> DataType {
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let encodings = match ty {
        KeyType::Int32 | KeyType::Int64 => {
            vec![DataType::Int64, DataType::Int32, DataType::Int16, DataType::UInt8, DataType::UInt64]
        }
        KeyType::String => vec![DataType::Utf8, DataType::LargeUtf8, DataType::Utf8View, dictionary],
        KeyType::Bytes => vec![DataType::Binary, DataType::LargeBinary],
        KeyType::Timestamp => vec![
            ty.feature_type().to_arrow(),
            DataType::Timestamp(TimeUnit::Nanosecond, None),
            DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into())),
        ],
        KeyType::Bool | KeyType::Date | KeyType::Uuid => vec![ty.feature_type().to_arrow()],
    };
    if rng.chance(60) { encodings[0].clone() } else { rng.pick(&encodings).clone() }
}

/// Returns the few values that a join key has in one case.
pub(super) fn key_pool(rng: &mut Rng, ty: KeyType) -> Vec<Value> {
    let uuids = ["0f8fad5b-d9cb-469f-a165-70867728950e", "0F8FAD5BD9CB469FA16570867728950E", &"0".repeat(32)];
    let all: Vec<Value> = match ty {
        KeyType::Int32 => [0, 1, -1, i32::MIN, i32::MAX].map(Value::Int32).to_vec(),
        KeyType::Int64 => [0, 1, -1, i64::from(i32::MAX) + 1, i64::MIN, i64::MAX].map(Value::Int64).to_vec(),
        KeyType::String => ["", "1", "12", "23", "3", "1\0", "é"].map(Value::text).to_vec(),
        KeyType::Bytes => [&b""[..], &[0], &[0, 0], &[255]].map(|b| Value::Bytes(b.to_vec())).to_vec(),
        KeyType::Bool => [true, false].map(Value::Bool).to_vec(),
        KeyType::Timestamp => [0, 1, -1, EPOCH].map(Value::Timestamp).to_vec(),
        KeyType::Date => [0, -1, 19_723].map(Value::Date).to_vec(),
        KeyType::Uuid => uuids.map(Value::text).to_vec(),
    };
    let kept = 1 + rng.below(3);
    (0..kept).map(|_| rng.pick(&all).clone()).collect()
}
