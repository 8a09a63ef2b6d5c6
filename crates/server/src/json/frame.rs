//! Rows that are written, from JSON to Arrow by the types of the views.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use arrow::json::ReaderBuilder;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lodestore::core::definition::ViewVersion;
use lodestore::core::name::unknown;
use lodestore::core::rows::TimeColumns;
use lodestore::core::time::EventTime;
use lodestore::core::types::{FeatureType, Rounding};
use lodestore::core::{Error, Result};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The names that Feast's client gives times, whatever they are called in the view's source.
const FEAST_TIMES: [&str; 2] = ["event_timestamp", "created"];

/// What happens to columns that no view has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// They are left out, as Feast does.
    Ignored,
    /// They are refused: a misspelt feature would be missing without a word.
    Refused,
}

/// The columns that rows of some views may have.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    types: BTreeMap<String, FeatureType>,
    /// Other names of columns.
    renamed: BTreeMap<&'static str, String>,
}

impl Frame {
    /// Returns the columns of views: keys, times and what their values are made of.
    pub(crate) fn of<'a>(views: impl IntoIterator<Item = &'a Arc<ViewVersion>>) -> Self {
        let mut frame = Self::default();
        for view in views {
            let times = TimeColumns::of(view);
            for (name, other) in FEAST_TIMES.into_iter().zip([&times.event, &times.created]) {
                if let Some(other) = other.as_ref().filter(|other| *other != name) {
                    frame.renamed.insert(name, other.clone());
                }
            }
            for time in [times.event, times.created, times.valid_to].into_iter().flatten() {
                frame.types.insert(time, FeatureType::Timestamp);
            }
            for (name, ty) in view.source_columns() {
                frame.types.insert(name.to_owned(), ty.clone());
            }
            for key in &view.keys {
                frame.types.insert(key.name.to_string(), key.key_type.feature_type());
            }
        }
        frame
    }

    /// Returns the rows. Columns that are called as in Feast stand for the view's own.
    ///
    /// # Errors
    /// `Invalid`, naming the column and row, for a value of another type or columns of different lengths.
    pub(crate) fn to_batch(&self, mut columns: Map<String, Value>, others: Unknown) -> Result<RecordBatch> {
        for (name, own) in &self.renamed {
            if !self.types.contains_key(*name)
                && !columns.contains_key(own)
                && let Some(values) = columns.remove(*name)
            {
                columns.insert(own.clone(), values);
            }
        }
        let (mut fields, mut arrays, mut rows) = (Vec::new(), Vec::new(), None);
        for (name, values) in columns {
            let Value::Array(values) = values else {
                return Err(Error::invalid(format!("column '{name}' is not a list of values")));
            };
            let (first, count) = rows.get_or_insert_with(|| (name.clone(), values.len()));
            if *count != values.len() {
                return Err(Error::invalid(format!(
                    "column '{name}' has {} values, but '{first}' has {count}",
                    values.len()
                )));
            }
            match self.types.get(&name) {
                Some(ty) => {
                    let array = array(&name, values, ty)?;
                    fields.push(Field::new(name, array.data_type().clone(), true));
                    arrays.push(array);
                }
                None if others == Unknown::Ignored || FEAST_TIMES.contains(&name.as_str()) => {}
                None => return Err(self.unknown(&name)),
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.map_or(0, |(_, count)| count)));
        Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?)
    }

    fn unknown(&self, name: &str) -> Error {
        Error::invalid(unknown(format!("column '{name}'"), name, self.types.keys()).message())
    }
}

/// Returns rows, given as a list of objects, as columns; what an object lacks is null.
pub(crate) fn columns(rows: Vec<Map<String, Value>>) -> Map<String, Value> {
    let count = rows.len();
    let mut columns: Map<String, Value> = Map::new();
    for (row, values) in rows.into_iter().enumerate() {
        for (name, value) in values {
            let column = columns.entry(name).or_insert_with(|| Value::Array(vec![Value::Null; count]));
            if let Some(slot) = column.as_array_mut().and_then(|column| column.get_mut(row)) {
                *slot = value;
            }
        }
    }
    columns
}

#[derive(Serialize)]
struct OneColumn<'a> {
    value: &'a Value,
}

fn array(name: &str, values: Vec<Value>, ty: &FeatureType) -> Result<ArrayRef> {
    let wrong = |row: usize, why: &dyn std::fmt::Display| {
        Error::invalid(format!("row {row} of column '{name}' is not a value of type {ty} ({why})"))
    };
    let values = values.into_iter().enumerate();
    let values = values.map(|(row, value)| plain(value, ty).map_err(|why| wrong(row, &why)));
    let values = values.collect::<Result<Vec<_>>>()?;
    let decode = |values: &[Value]| -> Result<ArrayRef> {
        let schema = Arc::new(Schema::new(vec![Field::new("value", ty.to_arrow(), true)]));
        let builder = ReaderBuilder::new(schema).with_strict_mode(true).with_batch_size(values.len().max(1));
        let mut decoder = builder.build_decoder()?;
        let rows: Vec<_> = values.iter().map(|value| OneColumn { value }).collect();
        decoder.serialize(&rows)?;
        match decoder.flush()? {
            Some(batch) => Ok(Arc::clone(batch.column(0))),
            None => Ok(arrow::array::new_empty_array(&ty.to_arrow())),
        }
    };
    decode(&values).map_err(|error| {
        // Found again one by one, so that the row can be named.
        let row = values.iter().position(|value| decode(std::slice::from_ref(value)).is_err());
        wrong(row.unwrap_or(0), &error.message())
    })
}

/// Returns a value in the form that Arrow's reader takes for its type.
fn plain(value: Value, ty: &FeatureType) -> std::result::Result<Value, String> {
    if value.is_null() {
        return Ok(value);
    }
    Ok(match ty {
        FeatureType::Int32 | FeatureType::Int64 => match value.as_f64() {
            // A column with a null in it often comes as floats.
            Some(float) if !value.is_i64() => {
                if float.fract() != 0.0 || float.abs() > 9_007_199_254_740_992.0 {
                    return Err(format!("{value} is no integer of 64 bits"));
                }
                json!(float as i64)
            }
            _ => value,
        },
        FeatureType::Bool => match value {
            Value::Bool(_) => value,
            other => return Err(format!("{other} is neither true nor false")),
        },
        FeatureType::String | FeatureType::Uuid => match value {
            Value::String(_) => value,
            other => return Err(format!("{other} is no text")),
        },
        FeatureType::Json => match value {
            Value::String(_) => value,
            other => Value::String(other.to_string()),
        },
        FeatureType::Bytes => {
            let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
            let bytes = bytes.ok_or_else(|| format!("{value} is not base64"))?;
            Value::String(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
        }
        FeatureType::Timestamp => json!(micros(&value)?),
        FeatureType::List(_) | FeatureType::Set(_) | FeatureType::Vector { .. } => {
            let item = match ty {
                FeatureType::List(item) | FeatureType::Set(item) => FeatureType::clone(item),
                _ => FeatureType::Float64,
            };
            match unwrapped(value)? {
                Value::Array(items) => {
                    Value::Array(items.into_iter().map(|value| plain(value, &item)).collect::<Result<_, _>>()?)
                }
                other => return Err(format!("{other} is no list")),
            }
        }
        FeatureType::Struct(fields) => {
            let known = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, ty)| ty);
            object(value, |name| known(name).ok_or_else(|| format!("there is no field '{name}'")))?
        }
        FeatureType::Map(_, values) => object(value, |_| Ok(values.as_ref()))?,
        FeatureType::Float32 | FeatureType::Float64 | FeatureType::Date | FeatureType::Decimal { .. } => value,
    })
}

fn object<'a>(
    value: Value,
    type_of: impl Fn(&str) -> std::result::Result<&'a FeatureType, String>,
) -> std::result::Result<Value, String> {
    match unwrapped(value)? {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| {
                let value = plain(value, type_of(&name)?)?;
                Ok((name, value))
            });
            Ok(Value::Object(fields.collect::<std::result::Result<_, String>>()?))
        }
        other => Err(format!("{other} is no object")),
    }
}

/// Returns a list or object that came as JSON text, as Feast's client sends them.
fn unwrapped(value: Value) -> std::result::Result<Value, String> {
    match &value {
        Value::String(text) => serde_json::from_str(text).map_err(|error| error.to_string()),
        _ => Ok(value),
    }
}

/// Returns a moment: text, or a number of seconds since 1970.
fn micros(value: &Value) -> std::result::Result<i64, String> {
    let wrong = || format!("{value} is neither a time, such as \"2024-01-31T12:00:00Z\", nor seconds since 1970");
    match value {
        Value::String(text) => EventTime::parse_rounded(text, Rounding::Up)
            .map(EventTime::as_micros)
            .map_err(|error| error.message().to_owned()),
        Value::Number(number) => match number.as_i64() {
            Some(seconds) => seconds.checked_mul(1_000_000).ok_or_else(wrong),
            None => {
                let micros = number.as_f64().ok_or_else(wrong)? * 1e6;
                if micros.abs() < 9e18 { Ok(micros.ceil() as i64) } else { Err(wrong()) }
            }
        },
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ty: &str, json: &str, expected: &str) {
        let ty: FeatureType = ty.parse().unwrap();
        let shown = match array("c", serde_json::from_str(json).unwrap(), &ty) {
            Ok(array) => {
                let options = arrow::util::display::FormatOptions::default().with_null("null");
                let texts = arrow::util::display::ArrayFormatter::try_new(&array, &options).unwrap();
                (0..array.len()).map(|row| texts.value(row).to_string()).collect::<Vec<_>>().join("; ")
            }
            Err(error) => error.message().to_owned(),
        };
        assert!(shown.starts_with(expected), "{shown}\ndoes not start with\n{expected}");
    }

    #[test]
    fn v1_values_of_every_type_are_read() {
        check("int64", "[1, null, 2.0, \"3\"]", "1; null; 2; 3");
        check("int64", "[9223372036854775807, -9223372036854775808]", "9223372036854775807; -9223372036854775808");
        check("float64", "[1, 0.1, \"NaN\", \"-Infinity\"]", "1.0; 0.1; NaN; -inf");
        check("bool", "[true, null]", "true; null");
        check("string", "[\"é\\n\", \"\"]", "é\n; ");
        check("json", "[\"{}\", {\"a\": [1]}]", "{}; {\"a\":[1]}");
        check("bytes", "[\"/w==\", \"\"]", "ff; ");
        check(
            "timestamp",
            "[\"2024-01-01T00:00:00\", 1, 0.5]",
            "2024-01-01T00:00:00Z; 1970-01-01T00:00:01Z; 1970-01-01T00:00:00.5",
        );
        check("timestamp", "[\"2024-01-01T00:00:00.0000001Z\"]", "2024-01-01T00:00:00.000001Z");
        check("date", "[\"2024-01-31\"]", "2024-01-31");
        check("decimal(5, 2)", "[\"1.25\", 3]", "1.25; 3.00");
        check("list<timestamp>", "[[1, null], []]", "[1970-01-01T00:00:01Z, null]; []");
        check("vector<float32, 2>", "[[0.5, 1]]", "[0.5, 1.0]");
        check("map<string, string>", "[{\"a\": \"b\"}, \"{\\\"c\\\": \\\"d\\\"}\"]", "{a: b}; {c: d}");
        check("struct<a: int64>", "[{\"a\": 1}, null]", "{a: 1}; null");
        check("int64", "[]", "");
    }

    #[test]
    fn v2_what_does_not_fit_is_refused_with_its_row() {
        for (ty, json, row) in [
            ("int64", "[1, 1.5]", 1),
            ("int32", "[1, 2, 3000000000]", 2),
            ("int64", "[18446744073709551615]", 0),
            ("int64", "[\"x\"]", 0),
            ("bool", "[1]", 0),
            ("string", "[\"a\", 7]", 1),
            ("bytes", "[\"!\"]", 0),
            ("timestamp", "[\"yesterday\"]", 0),
            ("timestamp", "[1e300]", 0),
            ("list<int64>", "[[1], [\"x\"]]", 1),
            ("vector<float32, 2>", "[[1, 2], [1, 2, 3]]", 1),
            ("struct<a: int64>", "[{\"a\": 1}, {\"b\": 1}]", 1),
            ("map<string, int64>", "[7]", 0),
        ] {
            check(ty, json, &format!("row {row} of column 'c' is not a value of type {ty}"));
        }
    }

    #[test]
    fn rows_become_columns() {
        let rows = serde_json::from_str(r#"[{"a": 1}, {"b": 2, "a": 3}]"#).unwrap();
        assert_eq!(Value::Object(columns(rows)), json!({"a": [1, 3], "b": [null, 2]}));
    }
}
