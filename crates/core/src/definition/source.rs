//! Data sources: where the rows of feature views come from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Field, Tags};
use crate::error::{Error, Result};
use crate::name::SourceName;
use crate::time::Micros;

/// Where rows come from. In definition files `type` tells which kind it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DataSource {
    /// Files: Parquet, CSV or newline-delimited JSON.
    File(FileSource),
    /// Rows that are pushed; history, if any, comes from another source.
    Push(PushSource),
    /// Values that the request brings along.
    Request(RequestSource),
}

impl DataSource {
    /// Returns the source's name.
    #[must_use]
    pub fn name(&self) -> &SourceName {
        match self {
            Self::File(source) => &source.name,
            Self::Push(source) => &source.name,
            Self::Request(source) => &source.name,
        }
    }
}

/// The format of a file source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values with a header line.
    Csv,
    /// One JSON object a line.
    Json,
}

/// When the rows of a table are visible, by the names of its columns (rules T4, T5 and P3).
///
/// With neither `timestamp_field` nor `valid_from` the table is timeless.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowTimes {
    /// The column with a row's event time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_field: Option<String>,
    /// The column that tells which of two rows of one key and time came later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_timestamp_column: Option<String>,
    /// How long after its event time a row becomes visible.
    #[serde(default, skip_serializing_if = "Micros::is_zero")]
    pub availability_delay: Micros,
    /// The column with the moment from which a row is valid; it is the row's event time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// The column with the moment from which a row is no longer valid; null for still valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<String>,
}

impl RowTimes {
    /// Returns the column that holds a row's event time; `None` for a timeless table.
    #[must_use]
    pub fn event_time_column(&self) -> Option<&str> {
        self.timestamp_field.as_deref().or(self.valid_from.as_deref())
    }

    /// Returns every column that tells times, in a fixed order.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let columns = [&self.timestamp_field, &self.created_timestamp_column, &self.valid_from, &self.valid_to];
        columns.into_iter().filter_map(Option::as_deref)
    }

    fn check(&self) -> Result<(), String> {
        if self.timestamp_field.is_some() && self.valid_from.is_some() {
            return Err("has both timestamp_field and valid_from; give one of them".into());
        }
        if self.valid_to.is_some() && self.valid_from.is_none() {
            return Err("has valid_to but not valid_from".into());
        }
        if !self.availability_delay.is_zero() && self.timestamp_field.is_none() {
            return Err("has an availability_delay but no timestamp_field to count it from".into());
        }
        Ok(())
    }
}

/// One file, a glob of files or a folder of files (Hive partitions included).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSource {
    /// The source's name.
    pub name: SourceName,
    /// Where the files are. A relative path starts at the feature repository.
    pub path: String,
    /// The files' format; told by the path's ending where it is left out, Parquet for a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<FileFormat>,
    /// The column with a row's event time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_field: Option<String>,
    /// The column that tells which of two rows of one key and time came later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_timestamp_column: Option<String>,
    /// How long after its event time a row becomes visible.
    #[serde(default, skip_serializing_if = "Micros::is_zero")]
    pub availability_delay: Micros,
    /// The column with the moment from which a row is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<String>,
    /// The column with the moment from which a row is no longer valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<String>,
    /// Columns that are called otherwise in the views: name in the files to name in the views.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub field_mapping: BTreeMap<String, String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
}

impl FileSource {
    /// Returns a source of the files at `path`, timeless until a time column is set.
    ///
    /// # Errors
    /// `Invalid` if the name can't be one.
    pub fn new(name: &str, path: &str) -> Result<Self> {
        Ok(Self {
            name: SourceName::new(name)?,
            path: path.to_owned(),
            format: None,
            timestamp_field: None,
            created_timestamp_column: None,
            availability_delay: Micros::ZERO,
            valid_from: None,
            valid_to: None,
            field_mapping: BTreeMap::new(),
            description: String::new(),
            tags: Tags::new(),
            owner: String::new(),
        })
    }

    /// Returns what of the source decides values: all but its name and its words for people.
    ///
    /// # Errors
    /// `Invalid`, naming the source, for time columns that contradict each other or an ending that
    /// tells no format.
    pub fn table(&self) -> Result<TableRef> {
        let times = RowTimes {
            timestamp_field: self.timestamp_field.clone(),
            created_timestamp_column: self.created_timestamp_column.clone(),
            availability_delay: self.availability_delay,
            valid_from: self.valid_from.clone(),
            valid_to: self.valid_to.clone(),
        };
        times.check().map_err(|why| Error::invalid(format!("data source '{}' {why}", self.name)))?;
        Ok(TableRef {
            path: self.path.clone(),
            format: self.resolved_format()?,
            times,
            field_mapping: self.field_mapping.clone(),
        })
    }

    fn resolved_format(&self) -> Result<FileFormat> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let last = self.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let ending = last.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        match ending.as_deref() {
            None | Some("parquet" | "pq") => Ok(FileFormat::Parquet),
            Some("csv") => Ok(FileFormat::Csv),
            Some("json" | "jsonl" | "ndjson") => Ok(FileFormat::Json),
            Some(_) if last.contains('*') => Ok(FileFormat::Parquet),
            Some(other) => Err(Error::invalid(format!(
                "data source '{}': the ending '.{other}' of {:?} tells no format; set format to parquet, csv or json",
                self.name, self.path
            ))),
        }
    }
}

/// A table to read: what of a file source decides values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableRef {
    /// Where the files are. A relative path starts at the feature repository.
    pub path: String,
    /// The files' format.
    pub format: FileFormat,
    /// Which columns tell when a row is visible, by their names in the views.
    #[serde(default)]
    pub times: RowTimes,
    /// Name in the files to name in the views.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub field_mapping: BTreeMap<String, String>,
}

impl TableRef {
    /// Returns what a column of the views is called in the files.
    #[must_use]
    pub fn file_column<'a>(&'a self, column: &'a str) -> &'a str {
        self.field_mapping.iter().find(|(_, to)| *to == column).map_or(column, |(from, _)| from)
    }
}

/// Rows that arrive by push. History, where it is kept, is in the batch source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushSource {
    /// The source's name.
    pub name: SourceName,
    /// The source with the history; it also tells the time columns of what is pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_source: Option<SourceName>,
    /// What it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
}

/// Values that a request brings along.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestSource {
    /// The source's name.
    pub name: SourceName,
    /// The values' names and types.
    pub schema: Vec<Field>,
    /// What it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
}
