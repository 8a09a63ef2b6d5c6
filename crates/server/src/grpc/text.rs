//! Values that came as text, as Feast's older clients send them.

use arrow::array::ArrayRef;
use lodestore::core::types::{FeatureType, Value, ValueBuilder};
use lodestore::core::{Error, Result};
use serde_json::Value as Json;

/// Returns a value, given as text, as an array of length 1: text as it is, numbers and times as they are written,
/// bytes in hexadecimal, and lists, structs and maps as JSON.
///
/// # Errors
/// `Invalid`, naming `column`, for text that is no value of the type.
pub(super) fn array(column: &str, text: &str, ty: &FeatureType) -> Result<ArrayRef> {
    let wrong = || Error::invalid(format!("column '{column}': {text:?} is not a value of type {ty}"));
    let json = match ty {
        FeatureType::Float32 | FeatureType::Float64 => return float(text, ty).ok_or_else(wrong)?,
        FeatureType::String
        | FeatureType::Json
        | FeatureType::Uuid
        | FeatureType::Bytes
        | FeatureType::Timestamp
        | FeatureType::Date
        | FeatureType::Decimal { .. } => Json::from(text),
        // Python writes True.
        FeatureType::Bool => Json::from(text.to_ascii_lowercase().parse::<bool>().map_err(|_| wrong())?),
        FeatureType::Int32 | FeatureType::Int64 => Json::from(text.parse::<i64>().map_err(|_| wrong())?),
        _ => serde_json::from_str(text).map_err(|_| wrong())?,
    };
    ty.array_from_json(&json).map_err(|error| wrong().with_source(error))
}

/// Returns a floating-point number, also one that JSON lacks, such as NaN.
fn float(text: &str, ty: &FeatureType) -> Option<Result<ArrayRef>> {
    let value = match ty {
        FeatureType::Float32 => Value::Float32(text.parse().ok()?),
        _ => Value::Float64(text.parse().ok()?),
    };
    let mut builder = ValueBuilder::new(ty, 1);
    Some(builder.push(Some(value)).and_then(|()| builder.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, ty: &str) -> String {
        match array("x", text, &ty.parse().unwrap()) {
            Ok(array) => format!("{:?}", Value::of(array.as_ref(), 0).unwrap().unwrap()),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn text_is_read_as_its_column_s_type() {
        assert_eq!(read("True", "bool"), "Bool(true)");
        assert_eq!(read("-7", "int32"), "Int32(-7)");
        assert_eq!(read("9007199254740993", "int64"), "Int64(9007199254740993)");
        assert_eq!(read("nan", "float64"), "Float64(NaN)");
        assert_eq!(read("0.1", "float32"), "Float32(0.1)");
        assert_eq!(read("007", "string"), "Text(\"007\")");
        assert_eq!(read("00ff", "bytes"), "Bytes([0, 255])");
        assert_eq!(read("1970-01-01T00:00:01Z", "timestamp"), "Timestamp(1000000)");
        assert_eq!(read("1970-01-02", "date"), "Date(1)");
        assert!(read("[1,null]", "list<int64>").contains("Nested"));
        for (text, ty) in
            [("1.5", "int64"), ("yes", "bool"), ("3000000000", "int32"), ("one", "float64"), ("[1", "list<int64>")]
        {
            assert_eq!(read(text, ty), format!("column 'x': {text:?} is not a value of type {ty}"));
        }
    }
}
