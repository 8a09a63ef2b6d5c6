//! Arrow values to text and JSON, and text to the values of join keys.

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::concat;
use arrow::datatypes::{Field, Schema};
use arrow::json::LineDelimitedWriter;
use arrow::json::writer::{LineDelimited, WriterBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use lodestore::core::types::KeyType;
use lodestore::core::{Error, Result};
use serde_json::{Map, Value};

/// Parses values of a join key, one row each.
///
/// # Errors
/// `Invalid`, naming the key, the value and the type.
pub(super) fn parse_key(name: &str, texts: &[String], ty: KeyType) -> Result<ArrayRef> {
    let value = |text: &String| {
        let wrong = || Error::invalid(format!("{text:?} is not a value of join key '{name}', which is {}", form(ty)));
        let json = match ty {
            KeyType::Int32 | KeyType::Int64 => Value::from(text.trim().parse::<i64>().map_err(|_| wrong())?),
            KeyType::Bool => Value::from(text.trim().parse::<bool>().map_err(|_| wrong())?),
            _ => Value::from(text.as_str()),
        };
        ty.feature_type().array_from_json(&json).map_err(|error| wrong().with_source(error))
    };
    let values = texts.iter().map(value).collect::<Result<Vec<_>>>()?;
    let parts: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
    Ok(concat(&parts)?)
}

fn form(ty: KeyType) -> String {
    match ty {
        KeyType::Bytes => "bytes, in hexadecimal".to_owned(),
        KeyType::Bool => "bool: true or false".to_owned(),
        KeyType::Timestamp => "a timestamp, such as 2024-01-31T12:00:00Z".to_owned(),
        KeyType::Date => "a date, such as 2024-01-31".to_owned(),
        other => other.to_string(),
    }
}

/// Returns the values as text, null as nothing.
///
/// # Errors
/// `Invalid` for a type that has no text form.
pub(super) fn to_texts(array: &dyn Array) -> Result<Vec<String>> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    Ok((0..array.len()).map(|row| formatter.value(row).to_string()).collect())
}

/// Returns rows as JSON objects. Values that JSON lacks, such as NaN, are null; bytes are hexadecimal text.
///
/// # Errors
/// `Invalid` for a type that has no JSON form.
pub(super) fn to_objects(batch: &RecordBatch) -> Result<Vec<Map<String, Value>>> {
    let builder = WriterBuilder::new().with_explicit_nulls(true);
    let mut writer: LineDelimitedWriter<Vec<u8>> = builder.build::<_, LineDelimited>(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    let lines = writer.into_inner();
    let objects = serde_json::Deserializer::from_slice(&lines).into_iter().collect::<Result<Vec<_>, _>>();
    objects.map_err(|e| Error::internal("reading what was written as JSON").with_source(e))
}

/// Returns the values as JSON.
///
/// # Errors
/// As [`to_objects`].
pub(super) fn to_json(array: &ArrayRef) -> Result<Vec<Value>> {
    let schema = Schema::new(vec![Field::new("value", array.data_type().clone(), true)]);
    let rows = to_objects(&RecordBatch::try_new(schema.into(), vec![array.clone()])?)?;
    Ok(rows.into_iter().map(|mut row| row.remove("value").unwrap_or(Value::Null)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ty: KeyType, text: &str, expected: &str) {
        let shown = match parse_key("k", &[text.to_owned()], ty) {
            Ok(array) => to_texts(&array).unwrap().join(","),
            Err(error) => error.message().to_owned(),
        };
        assert_eq!(shown, expected, "{ty}");
    }

    #[test]
    fn keys_are_parsed_as_their_types() {
        check(KeyType::Int64, "-7", "-7");
        check(KeyType::Int32, "7", "7");
        check(KeyType::String, "007", "007");
        check(KeyType::Bool, "true", "true");
        check(KeyType::Bytes, "00ff", "00ff");
        check(KeyType::Timestamp, "2024-01-31T12:00:00+01:00", "2024-01-31T11:00:00Z");
        check(KeyType::Timestamp, "2024-01-31 12:00:00", "2024-01-31T12:00:00Z");
        check(KeyType::Date, "2024-01-31", "2024-01-31");
        check(KeyType::Uuid, "67e55044-10b1-426f-9247-bb680e5fe0c8", "67e55044-10b1-426f-9247-bb680e5fe0c8");
        check(KeyType::Int64, "7.5", "\"7.5\" is not a value of join key 'k', which is int64");
        check(KeyType::Int32, "3000000000", "\"3000000000\" is not a value of join key 'k', which is int32");
        check(KeyType::Bool, "yes", "\"yes\" is not a value of join key 'k', which is bool: true or false");
        check(KeyType::Bytes, "xy", "\"xy\" is not a value of join key 'k', which is bytes, in hexadecimal");
        check(
            KeyType::Date,
            "January",
            "\"January\" is not a value of join key 'k', which is a date, such as 2024-01-31",
        );
    }

    #[test]
    fn nulls_stay_nulls_in_json() -> Result<()> {
        let array: ArrayRef = std::sync::Arc::new(arrow::array::Int64Array::from(vec![Some(1), None]));
        assert_eq!(to_json(&array)?, [Value::from(1), Value::Null]);
        Ok(())
    }
}
