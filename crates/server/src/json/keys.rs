//! Keys as they come in JSON: read once, without a copy of texts, and turned into Arrow by the types of a plan.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Int64Builder, RecordBatch, RecordBatchOptions,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{Field, Schema};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lodestore::OnlinePlan;
use lodestore::core::time::EventTime;
use lodestore::core::types::KeyType;
use lodestore::core::{Error, Result};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::read::Text;

/// One value of a key.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// Above the range of `Int`.
    Huge(u64),
    Float(f64),
    Text(Cow<'a, str>),
    List,
    Object,
}

impl fmt::Display for Scalar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Huge(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::List => f.write_str("a list"),
            Self::Object => f.write_str("an object"),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct ScalarVisitor;

        impl<'de> Visitor<'de> for ScalarVisitor {
            type Value = Scalar<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value of a key")
            }

            fn visit_unit<E>(self) -> std::result::Result<Scalar<'de>, E> {
                Ok(Scalar::Null)
            }

            fn visit_bool<E>(self, value: bool) -> std::result::Result<Scalar<'de>, E> {
                Ok(Scalar::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> std::result::Result<Scalar<'de>, E> {
                Ok(Scalar::Int(value))
            }

            fn visit_u64<E>(self, value: u64) -> std::result::Result<Scalar<'de>, E> {
                Ok(i64::try_from(value).map_or(Scalar::Huge(value), Scalar::Int))
            }

            fn visit_f64<E>(self, value: f64) -> std::result::Result<Scalar<'de>, E> {
                Ok(Scalar::Float(value))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> std::result::Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> std::result::Result<Scalar<'de>, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> std::result::Result<Scalar<'de>, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> std::result::Result<Scalar<'de>, A::Error> {
                while items.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Object)
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

/// Key columns, in the order of the request. Given as an object of lists, or as a list of objects.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Columns<'a> {
    columns: Vec<(Cow<'a, str>, Vec<Scalar<'a>>)>,
    /// It came as a list without any row, so that nothing names its columns.
    is_empty_list: bool,
}

impl<'de: 'a, 'a> Deserialize<'de> for Columns<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct ColumnsVisitor;

        impl<'de> Visitor<'de> for ColumnsVisitor {
            type Value = Columns<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a list of values for each join key")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Columns<'de>, A::Error> {
                let mut columns: Vec<(Cow<'de, str>, Vec<Scalar<'de>>)> = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    if columns.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom(format_args!("join key '{name}' is given twice")));
                    }
                    columns.push((name, map.next_value()?));
                }
                Ok(Columns { columns, is_empty_list: false })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> std::result::Result<Columns<'de>, A::Error> {
                let (mut columns, mut count) = (Vec::<(Cow<'de, str>, Vec<Scalar<'de>>)>::new(), 0);
                while let Some(Row(row)) = rows.next_element()? {
                    for (name, value) in row {
                        let place = columns.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
                            columns.push((name, vec![Scalar::Null; count]));
                            columns.len() - 1
                        });
                        columns[place].1.resize(count, Scalar::Null);
                        columns[place].1.push(value);
                    }
                    count += 1;
                    columns.iter_mut().for_each(|(_, values)| values.resize(count, Scalar::Null));
                }
                Ok(Columns { columns, is_empty_list: count == 0 })
            }
        }

        deserializer.deserialize_any(ColumnsVisitor)
    }
}

/// The keys of one row.
struct Row<'a>(Vec<(Cow<'a, str>, Scalar<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Row<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct RowVisitor;

        impl<'de> Visitor<'de> for RowVisitor {
            type Value = Row<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with a value for each join key")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Row<'de>, A::Error> {
                let mut row: Vec<(Cow<'de, str>, Scalar<'de>)> = Vec::new();
                while let Some(Text(name)) = map.next_key()? {
                    if row.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom(format_args!("join key '{name}' is given twice")));
                    }
                    row.push((name, map.next_value()?));
                }
                Ok(Row(row))
            }
        }

        deserializer.deserialize_map(RowVisitor)
    }
}

impl Columns<'_> {
    /// Returns how many rows there are; a request without any column asks for one row.
    ///
    /// # Errors
    /// `Invalid`, naming two columns, where their lengths differ.
    pub(crate) fn rows(&self) -> Result<usize> {
        let Some((first, values)) = self.columns.first() else { return Ok(usize::from(!self.is_empty_list)) };
        match self.columns.iter().find(|(_, others)| others.len() != values.len()) {
            Some((other, others)) => Err(Error::invalid(format!(
                "'{first}' has {} values, but '{other}' has {}; each row needs a value of every key",
                values.len(),
                others.len()
            ))),
            None => Ok(values.len()),
        }
    }

    /// Returns the columns that a plan needs, of the types of its keys; others are left out.
    ///
    /// # Errors
    /// `Invalid`, naming the key, for a column that is missing or a value of another type.
    pub(crate) fn to_batch(&self, plan: &OnlinePlan, rows: usize) -> Result<RecordBatch> {
        let needed = plan.key_columns();
        if self.is_empty_list {
            return none(plan);
        }
        if let Some(missing) = needed.iter().find(|key| self.columns.iter().all(|(name, _)| *name != key.name)) {
            let known: Vec<_> = self.columns.iter().map(|(name, _)| format!("'{name}'")).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Error::invalid(format!("join key '{}' is missing; given: {known}", missing.name)));
        }
        let mut fields = Vec::with_capacity(needed.len());
        let mut arrays = Vec::with_capacity(needed.len());
        for (name, values) in &self.columns {
            if let Some(key) = needed.iter().find(|key| *name == key.name) {
                let array = array(name, values, key.key_type)?;
                fields.push(Field::new(name.as_ref(), array.data_type().clone(), true));
                arrays.push(array);
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)?)
    }
}

/// Returns no rows of a plan's keys.
fn none(plan: &OnlinePlan) -> Result<RecordBatch> {
    let keys = plan.key_columns();
    let arrays = keys.iter().map(|key| array(&key.name, &[], key.key_type)).collect::<Result<Vec<_>>>()?;
    let fields = keys.iter().zip(&arrays).map(|(key, array)| Field::new(&key.name, array.data_type().clone(), true));
    let options = RecordBatchOptions::new().with_row_count(Some(0));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields.collect::<Vec<_>>())), arrays, &options)?)
}

/// Returns the values of a key. Numbers may be written as texts, and whole numbers with a point.
fn array(name: &str, values: &[Scalar<'_>], ty: KeyType) -> Result<ArrayRef> {
    macro_rules! build {
        ($builder:expr, $value:expr) => {{
            let mut builder = $builder;
            for (row, scalar) in values.iter().enumerate() {
                match scalar {
                    Scalar::Null => builder.append_null(),
                    other => builder.append_value($value(other).ok_or_else(|| wrong(name, row, other, ty))?),
                }
            }
            Arc::new(builder.finish()) as ArrayRef
        }};
    }
    let count = values.len();
    Ok(match ty {
        KeyType::Int32 | KeyType::Int64 => build!(Int64Builder::with_capacity(count), int),
        KeyType::String => build!(StringBuilder::new(), text),
        KeyType::Uuid => build!(StringBuilder::new(), uuid),
        KeyType::Bytes => build!(BinaryBuilder::new(), bytes),
        KeyType::Bool => build!(BooleanBuilder::with_capacity(count), boolean),
        KeyType::Timestamp => {
            build!(TimestampMicrosecondBuilder::with_capacity(count).with_timezone("UTC"), micros)
        }
        KeyType::Date => build!(Date32Builder::with_capacity(count), days),
    })
}

#[cold]
fn wrong(name: &str, row: usize, value: &Scalar<'_>, ty: KeyType) -> Error {
    let form = match ty {
        KeyType::Bytes => "bytes, in base64".to_owned(),
        KeyType::Timestamp => "a timestamp, such as \"2024-01-31T12:00:00Z\" or seconds since 1970".to_owned(),
        KeyType::Date => "a date, such as \"2024-01-31\"".to_owned(),
        other => other.to_string(),
    };
    Error::invalid(format!("{value} in row {row} is not a value of join key '{name}', which is {form}"))
}

fn int(value: &Scalar<'_>) -> Option<i64> {
    match value {
        Scalar::Int(value) => Some(*value),
        Scalar::Float(value) => whole(*value),
        Scalar::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Returns a float as the whole number that it surely is: beyond 2^53 it may have been another one.
fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (value.fract() == 0.0 && value.abs() < EXACT).then_some(value as i64)
}

fn text<'a>(value: &'a Scalar<'_>) -> Option<&'a str> {
    match value {
        Scalar::Text(text) => Some(text),
        _ => None,
    }
}

fn uuid<'a>(value: &'a Scalar<'_>) -> Option<&'a str> {
    let text = text(value)?;
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    (digits == 32 && text.bytes().all(|c| c.is_ascii_hexdigit() || b"-{}".contains(&c))).then_some(text)
}

fn bytes(value: &Scalar<'_>) -> Option<Vec<u8>> {
    STANDARD.decode(text(value)?).ok()
}

fn boolean(value: &Scalar<'_>) -> Option<bool> {
    match value {
        Scalar::Bool(value) => Some(*value),
        Scalar::Text(text) => text.trim().to_ascii_lowercase().parse().ok(),
        _ => None,
    }
}

fn micros(value: &Scalar<'_>) -> Option<i64> {
    match value {
        Scalar::Int(seconds) => seconds.checked_mul(1_000_000),
        Scalar::Text(text) => Some(EventTime::parse(text.trim()).ok()?.as_micros()),
        _ => None,
    }
}

fn days(value: &Scalar<'_>) -> Option<i32> {
    const DAY: i64 = 86_400_000_000;
    let micros = EventTime::parse(text(value)?.trim()).ok()?.as_micros();
    (micros % DAY == 0).then(|| i32::try_from(micros / DAY).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(json: &str) -> Columns<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn rows_and_columns_say_the_same() {
        let by_column = columns(r#"{"a": [1, null, 3], "b": ["x", "y", null]}"#);
        let by_row = columns(r#"[{"a": 1, "b": "x"}, {"b": "y"}, {"a": 3}]"#);
        assert_eq!(by_column, by_row);
        assert_eq!(by_column.rows().unwrap(), 3);
        assert_eq!(columns("{}").rows().unwrap(), 1);
        assert!(columns(r#"{"a": [1], "b": []}"#).rows().unwrap_err().message().contains("'b' has 0"));
        assert!(serde_json::from_str::<Columns<'_>>(r#"{"a": [1], "a": [2]}"#).is_err());
        assert!(serde_json::from_str::<Columns<'_>>("7").is_err());
    }

    fn check(ty: KeyType, json: &str, expected: Option<&str>) {
        let values: Vec<Scalar<'_>> = serde_json::from_str(json).unwrap();
        let shown = array("k", &values, ty).ok().map(|array| {
            let options = arrow::util::display::FormatOptions::default().with_null("null");
            let texts = arrow::util::display::ArrayFormatter::try_new(&array, &options).unwrap();
            (0..array.len()).map(|row| texts.value(row).to_string()).collect::<Vec<_>>().join(",")
        });
        assert_eq!(shown.as_deref(), expected, "{json}");
    }

    #[test]
    fn values_are_taken_by_the_type_of_the_key() {
        check(KeyType::Int64, r#"[1, "2", 3.0, null]"#, Some("1,2,3,null"));
        for wrong in ["[\"abc\"]", "[1.5]", "[true]", "[[1]]", "[{}]", "[18446744073709551615]", "[1e300]", "[\"\"]"] {
            check(KeyType::Int64, wrong, None);
        }
        check(KeyType::String, r#"["é\n", null]"#, Some("é\n,null"));
        check(KeyType::String, "[7]", None);
        check(KeyType::Bool, r#"[true, "False"]"#, Some("true,false"));
        check(KeyType::Bool, "[1]", None);
        check(KeyType::Bytes, r#"["/w=="]"#, Some("ff"));
        check(KeyType::Bytes, r#"["!"]"#, None);
        check(KeyType::Timestamp, r#"[1, "1970-01-01T00:00:02Z"]"#, Some("1970-01-01T00:00:01Z,1970-01-01T00:00:02Z"));
        check(KeyType::Timestamp, "[9223372036854775807]", None);
        check(KeyType::Date, r#"["1970-01-02"]"#, Some("1970-01-02"));
        check(KeyType::Date, r#"["1970-01-02T01:00:00"]"#, None);
        check(
            KeyType::Uuid,
            r#"["67e55044-10b1-426f-9247-bb680e5fe0c8"]"#,
            Some("67e55044-10b1-426f-9247-bb680e5fe0c8"),
        );
        check(KeyType::Uuid, r#"["67e5"]"#, None);
    }
}
