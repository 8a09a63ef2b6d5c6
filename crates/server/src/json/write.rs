//! Values as JSON text, written straight into a buffer: no tree, no copy.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Decimal128Type, DecimalType};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lodestore::core::types::Value;
use lodestore::core::{Error, Result};

/// How moments are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moments {
    /// As Feast does: whole seconds since 1970, a number.
    Seconds,
    /// As text, to the microsecond.
    Text,
}

/// Writes a text in quotes.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[start..at]);
        start = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
        }
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

/// Writes a whole number.
pub(crate) fn int(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Writes the shortest number that is read as the same; what is no number as the text that Feast has for it.
pub(crate) fn float(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value > 0.0 {
        out.extend_from_slice(b"\"Infinity\"");
    } else {
        out.extend_from_slice(b"\"-Infinity\"");
    }
}

/// Writes a moment as RFC 3339 with 0, 3 or 6 digits of the second, without quotes.
pub(crate) fn moment(out: &mut Vec<u8>, micros: i64) {
    const DAY: i64 = 86_400_000_000;
    let (year, month, day) = civil(micros.div_euclid(DAY));
    date_parts(out, year, month, day);
    let rest = micros.rem_euclid(DAY) as u64;
    let (seconds, fraction) = (rest / 1_000_000, rest % 1_000_000);
    out.push(b'T');
    padded(out, seconds / 3_600, 2);
    out.push(b':');
    padded(out, seconds / 60 % 60, 2);
    out.push(b':');
    padded(out, seconds % 60, 2);
    if fraction % 1_000 != 0 {
        out.push(b'.');
        padded(out, fraction, 6);
    } else if fraction != 0 {
        out.push(b'.');
        padded(out, fraction / 1_000, 3);
    }
    out.push(b'Z');
}

fn date_parts(out: &mut Vec<u8>, year: i64, month: u64, day: u64) {
    if year < 0 {
        out.push(b'-');
    } else if year > 9_999 {
        out.push(b'+');
    }
    padded(out, year.unsigned_abs(), if (0..=9_999).contains(&year) { 4 } else { 6 });
    out.push(b'-');
    padded(out, month, 2);
    out.push(b'-');
    padded(out, day, 2);
}

fn padded(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value).as_bytes();
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(digits.len())));
    out.extend_from_slice(digits);
}

/// Returns year, month and day of a day since 1970-01-01, in the proleptic Gregorian calendar: years that begin in
/// March have their leap day at the end, and 400 of them have equal lengths.
fn civil(days: i64) -> (i64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097) as u64;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era as i64 + era * 400 + i64::from(month <= 2), month, day)
}

/// Writes a value.
///
/// # Errors
/// `Internal` for a value of a type that no feature has.
pub(crate) fn value(out: &mut Vec<u8>, value: &Value<'_>, moments: Moments) -> Result<()> {
    match value {
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Int32(value) => int(out, i64::from(*value)),
        Value::Int64(value) => int(out, *value),
        Value::Float32(value) => float(out, f64::from(*value)),
        Value::Float64(value) => float(out, *value),
        Value::Timestamp(micros) => match moments {
            Moments::Seconds => int(out, micros.div_euclid(1_000_000)),
            Moments::Text => {
                out.push(b'"');
                moment(out, *micros);
                out.push(b'"');
            }
        },
        Value::Date(days) => {
            let (year, month, day) = civil(i64::from(*days));
            out.push(b'"');
            date_parts(out, year, month, day);
            out.push(b'"');
        }
        // As text: as a number, most readers would round it.
        Value::Decimal { unscaled, scale } => {
            text(out, &Decimal128Type::format_decimal(*unscaled, DECIMAL128_MAX_PRECISION, *scale));
        }
        Value::Text(value) => text(out, value),
        Value::Bytes(value) => text(out, &STANDARD.encode(value)),
        Value::Nested(array) => nested(out, array.as_ref(), 0, moments)?,
    }
    Ok(())
}

/// Writes a value of an array, or null.
pub(crate) fn item(out: &mut Vec<u8>, array: &dyn Array, row: usize, moments: Moments) -> Result<()> {
    if array.is_null(row) {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    match array.data_type() {
        DataType::List(_) | DataType::FixedSizeList(..) | DataType::Struct(_) | DataType::Map(..) => {
            nested(out, array, row, moments)
        }
        _ => match Value::of(array, row)? {
            Some(found) => value(out, &found, moments),
            None => Err(Error::internal("a value that is not null is none")),
        },
    }
}

/// Writes a list, struct or map. Keys of a map that are no texts are written as texts.
fn nested(out: &mut Vec<u8>, array: &dyn Array, row: usize, moments: Moments) -> Result<()> {
    match array.data_type() {
        DataType::List(_) => items(out, array.as_list::<i32>().value(row).as_ref(), moments),
        DataType::FixedSizeList(..) => items(out, array.as_fixed_size_list().value(row).as_ref(), moments),
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            out.push(b'{');
            for (place, (field, column)) in fields.iter().zip(columns).enumerate() {
                separator(out, place);
                text(out, field.name());
                out.push(b':');
                item(out, column.as_ref(), row, moments)?;
            }
            out.push(b'}');
            Ok(())
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            out.push(b'{');
            for place in 0..entries.len() {
                separator(out, place);
                map_key(out, keys.as_ref(), place, moments)?;
                out.push(b':');
                item(out, values.as_ref(), place, moments)?;
            }
            out.push(b'}');
            Ok(())
        }
        other => Err(Error::internal(format!("{other} is not nested"))),
    }
}

fn items(out: &mut Vec<u8>, values: &dyn Array, moments: Moments) -> Result<()> {
    out.push(b'[');
    for place in 0..values.len() {
        separator(out, place);
        item(out, values, place, moments)?;
    }
    out.push(b']');
    Ok(())
}

fn map_key(out: &mut Vec<u8>, keys: &dyn Array, place: usize, moments: Moments) -> Result<()> {
    let mut key = Vec::new();
    item(&mut key, keys, place, moments)?;
    if key.starts_with(b"\"") {
        out.extend_from_slice(&key);
    } else {
        text(out, &String::from_utf8_lossy(&key));
    }
    Ok(())
}

/// Writes a comma before all but the first.
#[inline]
pub(crate) fn separator(out: &mut Vec<u8>, place: usize) {
    if place > 0 {
        out.push(b',');
    }
}

/// Writes texts as a list.
pub(crate) fn texts<T: AsRef<str>>(out: &mut Vec<u8>, all: impl IntoIterator<Item = T>) {
    out.push(b'[');
    for (place, one) in all.into_iter().enumerate() {
        separator(out, place);
        text(out, one.as_ref());
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lodestore::core::types::FeatureType;

    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_are_escaped_as_json_wants() {
        for sample in ["", "plain", "é \u{1F600}", "a\"b\\c\n\r\t\u{0}\u{1f}\u{7f}"] {
            let json = written(|out| text(out, sample));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), sample, "{json}");
        }
    }

    #[test]
    fn numbers_come_back_as_they_were() {
        for sample in [0.0, -0.0, 1.0, 0.1, 1e21, 1e-7, f64::MAX, f64::MIN_POSITIVE, 5e-324] {
            let json = written(|out| float(out, sample));
            assert_eq!(serde_json::from_str::<f64>(&json).unwrap().to_bits(), sample.to_bits(), "{json}");
        }
        assert_eq!(written(|out| float(out, f64::NAN)), "\"NaN\"");
        assert_eq!(written(|out| float(out, f64::NEG_INFINITY)), "\"-Infinity\"");
        assert_eq!(
            written(|out| value(out, &Value::Float32(0.907_648_8), Moments::Text).unwrap()),
            "0.9076488018035889"
        );
        assert_eq!(written(|out| int(out, i64::MIN)), "-9223372036854775808");
    }

    #[test]
    fn moments_have_as_many_digits_as_they_need() {
        for sample in [
            "1970-01-01T00:00:00Z",
            "1969-12-31T23:59:59.999Z",
            "2024-02-29T12:34:56.000001Z",
            "2000-03-01T00:00:00Z",
            "1900-02-28T23:00:00Z",
            "0001-01-01T00:00:00Z",
            "9999-12-30T21:59:59.999999Z",
        ] {
            let micros = lodestore::core::time::EventTime::parse(sample).unwrap().as_micros();
            assert_eq!(written(|out| moment(out, micros)), sample);
        }
        assert!(written(|out| moment(out, i64::MAX)).starts_with("+294247-01-10T"));
    }

    #[test]
    fn decimals_keep_all_their_digits() {
        for (unscaled, scale, expected) in
            [(1_230, 2, "12.30"), (-5, 3, "-0.005"), (0, 2, "0.00"), (7, 0, "7"), (-70, 1, "-7.0")]
        {
            let json = written(|out| value(out, &Value::Decimal { unscaled, scale }, Moments::Text).unwrap());
            assert_eq!(json, format!("\"{expected}\""));
        }
    }

    fn check_nested(ty: &str, json: &str, expected: &str) {
        let ty: FeatureType = ty.parse().unwrap();
        let array = ty.array_from_json(&serde_json::from_str(json).unwrap()).unwrap();
        let found = written(|out| value(out, &Value::Nested(Arc::clone(&array)), Moments::Seconds).unwrap());
        assert_eq!(found, expected);
    }

    #[test]
    fn nested_values_are_lists_and_objects() {
        check_nested("list<int64>", "[1, null]", "[1,null]");
        check_nested("list<list<string>>", "[[], null, [\"a\"]]", "[[],null,[\"a\"]]");
        check_nested("vector<float32, 2>", "[0.5, 1]", "[0.5,1.0]");
        check_nested("struct<a: int64, b: bytes>", "{\"a\": 1, \"b\": \"ff\"}", "{\"a\":1,\"b\":\"/w==\"}");
        check_nested("map<string, bool>", "{\"x\": true, \"y\": null}", "{\"x\":true,\"y\":null}");
    }
}
