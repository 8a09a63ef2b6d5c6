//! Tables of every kind behind one seam: which columns they have, and streams of their rows.
//!
//! A table knows nothing of questions and joins. It may leave out rows that the [`Bounds`] of a scan
//! rule out, and must bring all others. Tables of Parquet files also say so ([`Table::as_parquet`]):
//! their rows have addresses, by which the features of a join's winners are fetched late.

mod conform;
pub(crate) mod delta;
mod files;
mod iceberg;
mod memory;
mod parquet;
mod postgres;
mod sql;
mod store;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::stream::BoxStream;
use lodestore_core::definition::{TableFormat, TableRef, UNTYPED, ViewVersion};
use lodestore_core::time::EventTime;
use lodestore_core::{Error, Result};

pub(crate) use files::NULL_PARTITION;
pub(crate) use memory::Frames;
pub(crate) use parquet::{Chunk, Found, ParquetTable, RowNumbers, TableScan};
pub use postgres::{Encryption, PostgresConfig};
pub(crate) use sql::SqlTable;
pub(crate) use store::{Place, Stores};

/// Rows of a table: columns as asked, called as in the views.
pub(crate) type Rows = BoxStream<'static, Result<RecordBatch>>;

/// A table that was opened: what it looks like is fixed until it is dropped.
#[async_trait]
pub(crate) trait Table: fmt::Debug + Send + Sync {
    /// Returns the columns, called as in the views.
    fn schema(&self) -> SchemaRef;

    /// Returns streams that together bring the rows once, in any order: columns by their names in the
    /// views, in that order. There are about as many streams as `streams`, to be read at the same time.
    ///
    /// # Errors
    /// `Invalid` for a column that is not there.
    async fn scan(&self, columns: &[&str], bounds: &Bounds, streams: usize) -> Result<Scan>;

    /// Returns a line that changes when the table's rows do.
    async fn fingerprint(&self) -> Result<String>;

    /// Returns whether some columns may have the types that a view declares, and not the table's own.
    fn has_declared_types(&self) -> bool {
        false
    }

    /// Returns the table's files, if its rows can be fetched from them by address.
    fn as_parquet(&self) -> Option<&Arc<ParquetTable>> {
        None
    }
}

/// Streams of a table's rows, and what is known of them beforehand.
pub(crate) struct Scan {
    pub(crate) streams: Vec<Rows>,
    pub(crate) found: Found,
}

/// What rules out rows that can't matter. Columns have their names in the views.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bounds {
    /// Only rows whose time in this column is within these, both inclusive. Times finer than a
    /// microsecond round up before they are compared (rule T2); null is out.
    pub(crate) times: Option<TimeBounds>,
    /// Only rows whose keys are within all of these; null is out.
    pub(crate) keys: Vec<KeyBounds>,
}

/// The earliest and latest time that matter.
#[derive(Debug, Clone)]
pub(crate) struct TimeBounds {
    pub(crate) column: String,
    pub(crate) earliest: Option<EventTime>,
    pub(crate) latest: Option<EventTime>,
}

/// The keys that matter, in one key column.
#[derive(Debug, Clone)]
pub(crate) struct KeyBounds {
    pub(crate) column: String,
    pub(crate) values: KeyValues,
}

/// Values of a key column: the least and the greatest and, where they are few, all of them.
#[derive(Debug, Clone)]
pub(crate) enum KeyValues {
    /// Of an integer key.
    Integers { least: i64, greatest: i64, few: Option<Vec<i64>> },
    /// Of a text key.
    Texts { least: String, greatest: String, few: Option<Vec<String>> },
}

/// Settings of sources: where relative paths start, how stores and databases are reached.
#[derive(Debug, Clone, Default)]
pub struct SourceConfig {
    /// Where relative paths of sources start.
    pub base: PathBuf,
    /// Options of object stores, by the names that their client library has for them.
    pub storage_options: BTreeMap<String, String>,
    /// Databases, by the names that sources have for them.
    pub connections: BTreeMap<String, ConnectionConfig>,
}

/// How a database is reached.
#[derive(Debug, Clone)]
pub enum ConnectionConfig {
    /// A PostgreSQL database.
    Postgres(PostgresConfig),
}

/// Opens tables.
#[derive(Debug)]
pub(crate) struct Sources {
    config: SourceConfig,
    stores: Stores,
    frames: Frames,
    runtime: Arc<RuntimeEnv>,
}

impl Sources {
    /// Returns what opens tables by these settings.
    pub(crate) fn new(config: SourceConfig, runtime: Arc<RuntimeEnv>) -> Self {
        let stores = Stores::new(config.base.clone(), config.storage_options.clone());
        Self { config, stores, frames: Frames::default(), runtime }
    }

    /// Returns the frames in memory.
    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }

    /// Returns the stores of files.
    pub(crate) fn stores(&self) -> &Stores {
        &self.stores
    }

    /// Opens a table. Columns of text formats have the types that `view` declares, their times are text;
    /// so have Hive partition columns. Other columns have the types of the table.
    ///
    /// # Errors
    /// `NotFound` if there is no such table; `Corrupt` or `Invalid` if it can't be read.
    pub(crate) async fn open(&self, reference: &TableRef, view: Option<&ViewVersion>) -> Result<Arc<dyn Table>> {
        match reference.format {
            TableFormat::Parquet => Ok(Arc::new(Arc::new(parquet::open_files(&self.stores, reference, view).await?))),
            TableFormat::Csv | TableFormat::Json | TableFormat::Arrow => {
                Ok(Arc::new(text::TextTable::open(&self.stores, &self.runtime, reference, view).await?))
            }
            TableFormat::Memory => self.frames.open(reference),
            TableFormat::Postgres => {
                Ok(Arc::new(postgres::PostgresTable::open(&self.config.connections, reference).await?))
            }
            TableFormat::Delta => Ok(Arc::new(Arc::new(delta::open(&self.stores, reference).await?))),
            TableFormat::Iceberg => Ok(Arc::new(Arc::new(iceberg::open(&self.stores, reference).await?))),
        }
    }
}

/// Returns a table's schema with the columns called as in the views, all of them nullable.
pub(crate) fn as_in_views(schema: &Schema, reference: &TableRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let name = reference.field_mapping.get(field.name()).unwrap_or(field.name());
        let untyped = field.metadata().get_key_value(UNTYPED).map(|(key, value)| (key.clone(), value.clone()));
        Field::new(name, field.data_type().clone(), true).with_metadata(untyped.into_iter().collect())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Returns the places in a table of columns that are called as in the views.
///
/// # Errors
/// `Invalid` for a column that is not there.
pub(crate) fn projection(reference: &TableRef, in_table: &Schema, columns: &[&str]) -> Result<Vec<usize>> {
    let place = |name: &&str| {
        in_table.index_of(reference.file_column(name)).map_err(|_| {
            let in_views = as_in_views(in_table, reference);
            let known: Vec<_> = in_views.fields().iter().map(|f| format!("'{}'", f.name())).collect();
            Error::invalid(format!("'{}' has no column '{name}'; columns: {}", reference.path, known.join(", ")))
        })
    };
    columns.iter().map(place).collect()
}
