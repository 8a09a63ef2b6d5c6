//! Data sources: where the rows of feature views come from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Field, Tags};
use crate::error::{Error, Result};
use crate::name::SourceName;
use crate::time::{EventTime, Micros};

/// Where rows come from. In definition files `type` tells which kind it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DataSource {
    /// Files, or a lakehouse table made of files.
    File(FileSource),
    /// A table or query of a PostgreSQL database.
    Postgres(PostgresSource),
    /// A frame in the memory of the process, for tests and notebooks.
    Memory(MemorySource),
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
            Self::Postgres(source) => &source.name,
            Self::Memory(source) => &source.name,
            Self::Push(source) => &source.name,
            Self::Request(source) => &source.name,
        }
    }

    /// Returns the column that identifies an event, where the source itself names one.
    #[must_use]
    pub fn event_id(&self) -> Option<&str> {
        let column = match self {
            Self::File(source) => &source.event_id,
            Self::Postgres(source) => &source.event_id,
            Self::Memory(source) => &source.event_id,
            Self::Push(source) => &source.event_id,
            Self::Request(_) => &None,
        };
        column.as_deref()
    }

    /// Returns what of a source with history decides values: all but its name and its words for
    /// people. `None` for a source that keeps none itself.
    ///
    /// # Errors
    /// `Invalid`, naming the source, for settings that contradict each other.
    pub fn table(&self) -> Result<Option<TableRef>> {
        match self {
            Self::File(source) => source.table().map(Some),
            Self::Postgres(source) => source.table().map(Some),
            Self::Memory(source) => source.table().map(Some),
            Self::Push(_) | Self::Request(_) => Ok(None),
        }
    }
}

/// What a table is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableFormat {
    /// Apache Parquet files.
    Parquet,
    /// Comma-separated values with a header line.
    Csv,
    /// One JSON object a line.
    Json,
    /// Arrow IPC files (Feather version 2).
    Arrow,
    /// A Delta Lake table.
    Delta,
    /// An Apache Iceberg table.
    Iceberg,
    /// A table or query of a PostgreSQL database.
    Postgres,
    /// A frame in the memory of the process.
    Memory,
}

impl TableFormat {
    /// Returns whether the table has versions, each of which can be read.
    #[must_use]
    pub fn has_versions(self) -> bool {
        matches!(self, Self::Delta | Self::Iceberg)
    }

    /// Returns whether the columns have types of their own; in text formats they have those of the views.
    #[must_use]
    pub fn is_typed(self) -> bool {
        !matches!(self, Self::Csv | Self::Json)
    }
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

/// Defines a source of tables: its own fields, then those that all of them have.
macro_rules! table_source {
    ($(#[$doc:meta])* $source:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $source {
            /// The source's name.
            pub name: SourceName,
            $($(#[$field_doc])* pub $field: $ty,)*
            /// The column with a row's event time.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub timestamp_field: Option<String>,
            /// The column that tells which of two rows of one key and time came later.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub created_timestamp_column: Option<String>,
            /// The column that identifies an event: of rows with one id, aggregations take one (rule W5).
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub event_id: Option<String>,
            /// How long after its event time a row becomes visible.
            #[serde(default, skip_serializing_if = "Micros::is_zero")]
            pub availability_delay: Micros,
            /// The column with the moment from which a row is valid.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub valid_from: Option<String>,
            /// The column with the moment from which a row is no longer valid.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub valid_to: Option<String>,
            /// Columns that are called otherwise in the views: name in the table to name in the views.
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

        impl $source {
            fn table_at(&self, path: String, format: TableFormat) -> Result<TableRef> {
                let times = RowTimes {
                    timestamp_field: self.timestamp_field.clone(),
                    created_timestamp_column: self.created_timestamp_column.clone(),
                    availability_delay: self.availability_delay,
                    valid_from: self.valid_from.clone(),
                    valid_to: self.valid_to.clone(),
                };
                times.check().map_err(|why| Error::invalid(format!("data source '{}' {why}", self.name)))?;
                let field_mapping = self.field_mapping.clone();
                Ok(TableRef { path, format, times, field_mapping, version: None, timestamp: None, connection: None, query: None })
            }
        }
    };
}

table_source! {
    /// Files: one, a glob or a folder (Hive partitions included), or a lakehouse table.
    FileSource {
        /// Where the files are: a path or a URL. A relative path starts at the feature repository.
        path: String,
        /// What the files are; told by the path's ending where it is left out, Parquet for a folder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        format: Option<TableFormat>,
        /// Reads a lakehouse table as of this version (Delta) or snapshot (Iceberg).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<i64>,
        /// Reads a lakehouse table as it was at this time.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timestamp: Option<EventTime>,
    }
}

table_source! {
    /// A table or a query of a PostgreSQL database.
    PostgresSource {
        /// The database, by the name of its connection in the settings; may be left out where there is just one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        connection: Option<String>,
        /// The table, with its schema where that is not `public`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        table: Option<String>,
        /// A query whose answer is the table.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        query: Option<String>,
    }
}

table_source! {
    /// A frame in the memory of the process, found by the source's name.
    MemorySource {}
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
            version: None,
            timestamp: None,
            timestamp_field: None,
            created_timestamp_column: None,
            event_id: None,
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
    /// `Invalid`, naming the source, for time columns that contradict each other, an ending that
    /// tells no format, or a version of files that have none.
    pub fn table(&self) -> Result<TableRef> {
        let format = self.resolved_format()?;
        let invalid = |why: &str| Err(Error::invalid(format!("data source '{}' {why}", self.name)));
        if self.version.is_some() && self.timestamp.is_some() {
            return invalid("has both a version and a timestamp to read as of; give one of them");
        }
        let as_of = self.version.is_some() || self.timestamp.is_some();
        if as_of && !format.has_versions() {
            return invalid("is read as of a version or timestamp, which only delta and iceberg tables have");
        }
        let table = self.table_at(self.path.clone(), format)?;
        Ok(TableRef { version: self.version, timestamp: self.timestamp, ..table })
    }

    fn resolved_format(&self) -> Result<TableFormat> {
        match self.format {
            Some(TableFormat::Postgres | TableFormat::Memory) => {
                return Err(Error::invalid(format!(
                    "data source '{}' of type file has a format that no files have; known: parquet, csv, json, arrow, delta, iceberg",
                    self.name
                )));
            }
            Some(format) => return Ok(format),
            None => {}
        }
        let last = self.path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let ending = last.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        match ending.as_deref() {
            None | Some("parquet" | "pq") => Ok(TableFormat::Parquet),
            Some("csv") => Ok(TableFormat::Csv),
            Some("json" | "jsonl" | "ndjson") => Ok(TableFormat::Json),
            Some("arrow" | "feather" | "ipc") => Ok(TableFormat::Arrow),
            Some(_) if last.contains('*') => Ok(TableFormat::Parquet),
            Some(other) => Err(Error::invalid(format!(
                "data source '{}': the ending '.{other}' of {:?} tells no format; set format to parquet, csv, json, arrow, delta or iceberg",
                self.name, self.path
            ))),
        }
    }
}

impl PostgresSource {
    /// Returns what of the source decides values.
    ///
    /// # Errors
    /// `Invalid`, naming the source, for time columns that contradict each other, or where not exactly
    /// one of `table` and `query` is given.
    pub fn table(&self) -> Result<TableRef> {
        let path = match (&self.table, &self.query) {
            (Some(table), None) => table.clone(),
            (None, Some(_)) => self.name.as_str().to_owned(),
            _ => return Err(Error::invalid(format!("data source '{}' needs either a table or a query", self.name))),
        };
        let table = self.table_at(path, TableFormat::Postgres)?;
        Ok(TableRef { connection: self.connection.clone(), query: self.query.clone(), ..table })
    }
}

impl MemorySource {
    /// Returns what of the source decides values.
    ///
    /// # Errors
    /// `Invalid`, naming the source, for time columns that contradict each other.
    pub fn table(&self) -> Result<TableRef> {
        self.table_at(self.name.as_str().to_owned(), TableFormat::Memory)
    }
}

/// A table to read: what of a source decides values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableRef {
    /// Where the files are, the name of a database's table, or that of the source of a query or frame.
    /// A relative path starts at the feature repository.
    pub path: String,
    /// What the table is made of.
    pub format: TableFormat,
    /// Which columns tell when a row is visible, by their names in the views.
    #[serde(default)]
    pub times: RowTimes,
    /// Name in the table to name in the views.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub field_mapping: BTreeMap<String, String>,
    /// Which version (Delta) or snapshot (Iceberg) is read; the latest where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// As of when a lakehouse table is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<EventTime>,
    /// The database, by the name of its connection in the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// The query whose answer is the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

impl TableRef {
    /// Returns what a column of the views is called in the table.
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
    /// The column that identifies an event (rule W5); where there is a batch source, that one tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
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
