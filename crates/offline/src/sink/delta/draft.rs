//! Tables that are not there yet.
//!
//! The kernel appends to tables, but creates none. So a table without rows is drafted in memory, by a
//! first commit of two actions written here; the kernel appends to the draft, and both commits together
//! become the real table's first one.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, TimeUnit};
use bytes::Bytes;
use lodestore_core::{Error, Result};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use crate::error::from_store;
use crate::source::delta::TableEngine;

/// Where a draft's table is in its store.
pub(super) const ROOT: &str = "memory:///table/";

/// The name of a table's first commit.
pub(super) const FIRST: &str = "00000000000000000000.json";

/// The name of the commit by which the kernel appends to a draft.
const SECOND: &str = "00000000000000000001.json";

/// What columns can't have in their names, for the sake of Parquet readers.
const NOT_IN_NAMES: &str = " ,;{}()\n\t=";

/// A table in memory.
pub(super) struct Draft {
    store: Arc<InMemory>,
    root: Url,
}

impl Draft {
    /// Returns a table of these columns, without rows.
    ///
    /// # Errors
    /// `Invalid`, naming the column, for one that Delta has no type for, or whose name it does not take.
    pub(super) async fn of(columns: &Schema, partition_by: &[String]) -> Result<Self> {
        let root = Url::parse(ROOT).map_err(|e| Error::internal(format!("{ROOT} is a URL: {e}")))?;
        let draft = Self { store: Arc::new(InMemory::new()), root };
        let actions = first_actions(columns, partition_by)?;
        draft.store.put(&log_path(FIRST), actions.into()).await.map_err(in_draft)?;
        Ok(draft)
    }

    /// Returns an engine over the draft.
    pub(super) fn engine(&self) -> TableEngine {
        TableEngine::new(Arc::clone(&self.store) as Arc<dyn ObjectStore>, self.root.clone())
    }

    /// Returns what was committed to the draft, as one commit.
    pub(super) async fn first_commit(&self) -> Result<Bytes> {
        let mut actions = Vec::new();
        for name in [FIRST, SECOND] {
            let commit = async { self.store.get(&log_path(name)).await?.bytes().await };
            actions.extend_from_slice(&commit.await.map_err(in_draft)?);
        }
        Ok(actions.into())
    }
}

/// Returns the type that values of a type have in Delta tables, all of it nullable; `None` if there is none.
pub(super) fn delta_type(ty: &DataType) -> Option<DataType> {
    let field = |name: &str, field: &FieldRef| Some(Field::new(name, delta_type(field.data_type())?, true));
    Some(match ty {
        DataType::Boolean | DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => ty.clone(),
        DataType::Float32 | DataType::Float64 | DataType::Date32 => ty.clone(),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            DataType::Binary
        }
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Decimal32(digits, scale)
        | DataType::Decimal64(digits, scale)
        | DataType::Decimal128(digits, scale)
            if *scale >= 0 =>
        {
            DataType::Decimal128(*digits, *scale)
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            DataType::List(Arc::new(field("element", item)?))
        }
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|child| field(child.name(), child)).collect::<Option<_>>()?)
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else { return None };
            let [key, value] = fields.iter().as_slice() else { return None };
            let key = field("key", key)?.with_nullable(false);
            let entries = Field::new_struct("key_value", vec![key, field("value", value)?], false);
            DataType::Map(Arc::new(entries), false)
        }
        DataType::Dictionary(_, value) => return delta_type(value),
        _ => return None,
    })
}

/// Returns the actions that make an empty table: its protocol and its metadata, a JSON object in each line.
fn first_actions(columns: &Schema, partition_by: &[String]) -> Result<String> {
    let mut fields = Vec::with_capacity(columns.fields().len());
    for column in columns.fields() {
        let name = column.name();
        if let Some(wrong) = name.chars().find(|c| NOT_IN_NAMES.contains(*c)) {
            return Err(Error::invalid(format!(
                "column {name:?} can't be in a delta table: its name has a {wrong:?} in it"
            )));
        }
        let no_type = || {
            Error::invalid(format!("column '{name}' is of type {}, which delta tables have not", column.data_type()))
        };
        fields.push(Field::new(name, delta_type(column.data_type()).ok_or_else(no_type)?, true));
    }
    if let Some(missing) = partition_by.iter().find(|name| columns.index_of(name).is_err()) {
        return Err(Error::invalid(format!("there is no column '{missing}' to partition by")));
    }
    let zoneless = DataType::Timestamp(TimeUnit::Microsecond, None);
    let protocol = if fields.iter().any(|field| holds(field.data_type(), &zoneless)) {
        r#"{"minReaderVersion":3,"minWriterVersion":7,"readerFeatures":["timestampNtz"],"writerFeatures":["timestampNtz"]}"#
    } else {
        r#"{"minReaderVersion":1,"minWriterVersion":2}"#
    };
    let schema = quoted(&struct_json(fields.iter())?);
    let partitions: Vec<_> = partition_by.iter().map(|name| quoted(name)).collect();
    let (id, partitions) = (quoted(&super::files::random_name()?), partitions.join(","));
    let format = r#"{"provider":"parquet","options":{}}"#;
    Ok(format!(
        "{{\"protocol\":{protocol}}}\n{{\"metaData\":{{\"id\":{id},\"format\":{format},\"schemaString\":{schema},\"partitionColumns\":[{partitions}],\"configuration\":{{}}}}}}\n"
    ))
}

fn holds(ty: &DataType, wanted: &DataType) -> bool {
    match ty {
        DataType::Struct(fields) => fields.iter().any(|field| holds(field.data_type(), wanted)),
        DataType::List(item) | DataType::Map(item, _) => holds(item.data_type(), wanted),
        other => other == wanted,
    }
}

fn struct_json<'a>(fields: impl Iterator<Item = &'a Field>) -> Result<String> {
    let field = |field: &'a Field| {
        let (name, ty) = (quoted(field.name()), type_json(field.data_type())?);
        Ok(format!(r#"{{"name":{name},"type":{ty},"nullable":true,"metadata":{{}}}}"#))
    };
    let fields = fields.map(field).collect::<Result<Vec<_>>>()?;
    Ok(format!(r#"{{"type":"struct","fields":[{}]}}"#, fields.join(",")))
}

fn type_json(ty: &DataType) -> Result<String> {
    Ok(match ty {
        DataType::Boolean => r#""boolean""#.to_owned(),
        DataType::Int8 => r#""byte""#.to_owned(),
        DataType::Int16 => r#""short""#.to_owned(),
        DataType::Int32 => r#""integer""#.to_owned(),
        DataType::Int64 => r#""long""#.to_owned(),
        DataType::Float32 => r#""float""#.to_owned(),
        DataType::Float64 => r#""double""#.to_owned(),
        DataType::Utf8 => r#""string""#.to_owned(),
        DataType::Binary => r#""binary""#.to_owned(),
        DataType::Date32 => r#""date""#.to_owned(),
        DataType::Timestamp(_, Some(_)) => r#""timestamp""#.to_owned(),
        DataType::Timestamp(_, None) => r#""timestamp_ntz""#.to_owned(),
        DataType::Decimal128(digits, scale) => format!(r#""decimal({digits},{scale})""#),
        DataType::Struct(fields) => struct_json(fields.iter().map(AsRef::as_ref))?,
        DataType::List(item) => {
            format!(r#"{{"type":"array","elementType":{},"containsNull":true}}"#, type_json(item.data_type())?)
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else {
                return Err(Error::internal("the entries of a map are structs"));
            };
            let types = fields.iter().map(|field| type_json(field.data_type())).collect::<Result<Vec<_>>>()?;
            let [key, value] = types.as_slice() else { return Err(Error::internal("a map has keys and values")) };
            format!(r#"{{"type":"map","keyType":{key},"valueType":{value},"valueContainsNull":true}}"#)
        }
        other => return Err(Error::internal(format!("{other} is no type of delta tables"))),
    })
}

/// Returns a text as a JSON string.
fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c.is_control() => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

fn log_path(name: &str) -> Path {
    Path::from_iter(["table", "_delta_log", name])
}

fn in_draft(error: object_store::Error) -> Error {
    from_store("the draft of a table", error)
}
