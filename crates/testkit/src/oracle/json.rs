//! Values as JSON: how defaults are written in definitions and cells in text tables.

use libtest_mimic::Failed;
use lodestore_core::time::EventTime;
use lodestore_core::types::FeatureType;
use serde_json::{Value as Json, json};

use super::Value;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Reads a value of a type. Floats that JSON has no number for are text: `"NaN"`, `"-inf"`. A map
/// is an object, or an array of pairs.
///
/// # Errors
/// If the JSON is no value of the type.
pub fn from_json(json: &Json, ty: &FeatureType) -> Result<Value, Failed> {
    let wrong = || Failed::from(format!("{json} is no {ty}"));
    let text = || json.as_str().ok_or_else(wrong);
    let items = |ty: &FeatureType| -> Result<Value, Failed> {
        let items = json.as_array().ok_or_else(wrong)?.iter();
        Ok(Value::List(items.map(|item| from_json(item, ty)).collect::<Result<_, Failed>>()?))
    };
    if json.is_null() {
        return Ok(Value::Null);
    }
    Ok(match ty {
        FeatureType::Bool => Value::Bool(json.as_bool().ok_or_else(wrong)?),
        FeatureType::Int32 => Value::Int32(json.as_i64().ok_or_else(wrong)?.try_into()?),
        FeatureType::Int64 => Value::Int64(json.as_i64().ok_or_else(wrong)?),
        FeatureType::Float32 => Value::float32(number(json).ok_or_else(wrong)? as f32),
        FeatureType::Float64 => Value::float64(number(json).ok_or_else(wrong)?),
        FeatureType::String | FeatureType::Json | FeatureType::Uuid => Value::text(text()?),
        FeatureType::Bytes => Value::Bytes(from_hex(text()?).ok_or_else(wrong)?),
        FeatureType::Timestamp => Value::Timestamp(EventTime::parse(text()?)?.as_micros()),
        FeatureType::Date => Value::Date(EventTime::parse(text()?)?.as_micros().div_euclid(MICROS_PER_DAY).try_into()?),
        FeatureType::Decimal { scale, .. } => {
            let shown = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
            Value::Decimal(digits(&shown, usize::try_from(*scale)?).ok_or_else(wrong)?)
        }
        FeatureType::List(item) | FeatureType::Set(item) => items(item)?,
        FeatureType::Vector { double: true, .. } => items(&FeatureType::Float64)?,
        FeatureType::Vector { double: false, .. } => items(&FeatureType::Float32)?,
        FeatureType::Struct(fields) => {
            let object = json.as_object().ok_or_else(wrong)?;
            let field = |(name, ty): &(String, FeatureType)| from_json(object.get(name).unwrap_or(&Json::Null), ty);
            Value::Struct(fields.iter().map(field).collect::<Result<_, Failed>>()?)
        }
        FeatureType::Map(key, value) => {
            let pairs: Vec<(Json, &Json)> = match json {
                Json::Object(object) => object.iter().map(|(k, v)| (json!(k), v)).collect(),
                Json::Array(pairs) => pairs.iter().map(|pair| (pair[0].clone(), &pair[1])).collect(),
                _ => return Err(wrong()),
            };
            let entry = |(k, v): (Json, &Json)| Ok((from_json(&k, key)?, from_json(v, value)?));
            Value::Map(pairs.into_iter().map(entry).collect::<Result<_, Failed>>()?)
        }
    })
}

/// Writes a value of a type as [`from_json`] reads it.
#[must_use]
pub fn to_json(value: &Value, ty: &FeatureType) -> Json {
    match (value, ty) {
        (Value::Bool(v), _) => json!(v),
        (Value::Int32(v), _) => json!(v),
        (Value::Int64(v), _) => json!(v),
        (Value::Float32(bits), _) => float(f64::from(f32::from_bits(*bits)), &format!("nan:{bits:08x}")),
        (Value::Float64(bits), _) => float(f64::from_bits(*bits), &format!("nan:{bits:016x}")),
        (Value::Text(v), _) => json!(v),
        (Value::Bytes(v), _) => json!(v.iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        (Value::Timestamp(v), _) => json!(EventTime::from_micros(*v).to_string()),
        (Value::Date(v), _) => {
            let day = EventTime::from_micros(i64::from(*v) * MICROS_PER_DAY).to_string();
            json!(day.trim_end_matches("T00:00:00Z"))
        }
        (Value::Decimal(v), FeatureType::Decimal { scale, .. }) => json!(decimal_text(*v, *scale)),
        (Value::List(items), FeatureType::List(item) | FeatureType::Set(item)) => {
            items.iter().map(|v| to_json(v, item)).collect()
        }
        (Value::List(items), _) => items.iter().map(|v| to_json(v, &FeatureType::Float64)).collect(),
        (Value::Struct(values), FeatureType::Struct(fields)) => {
            Json::Object(fields.iter().zip(values).map(|((name, ty), v)| (name.clone(), to_json(v, ty))).collect())
        }
        (Value::Map(entries), FeatureType::Map(key, ty)) if **key == FeatureType::String => {
            let name = |k: &Value| if let Value::Text(k) = k { k.clone() } else { String::new() };
            Json::Object(entries.iter().map(|(k, v)| (name(k), to_json(v, ty))).collect())
        }
        (Value::Map(entries), FeatureType::Map(key, ty)) => {
            entries.iter().map(|(k, v)| json!([to_json(k, key), to_json(v, ty)])).collect()
        }
        _ => Json::Null,
    }
}

fn float(value: f64, nan: &str) -> Json {
    let usual_nan = [f64::from(f32::NAN).to_bits(), f64::NAN.to_bits()].contains(&value.to_bits());
    if value.is_finite() {
        json!(value)
    } else if value.is_nan() && !usual_nan {
        json!(nan)
    } else {
        json!(value.to_string())
    }
}

fn number(json: &Json) -> Option<f64> {
    json.as_f64().or_else(|| json.as_str()?.parse().ok())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(text.get(i..i + 2)?, 16).ok()).collect()
}

fn digits(text: &str, scale: usize) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let zeros = scale.checked_sub(fraction.len())?;
    format!("{whole}{fraction}{}", "0".repeat(zeros)).parse().ok()
}

fn decimal_text(digits: i128, scale: i8) -> String {
    let scale = usize::try_from(scale).unwrap_or(0);
    let sign = if digits < 0 { "-" } else { "" };
    let shown = format!("{:0>width$}", digits.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = shown.split_at(shown.len() - scale);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}
