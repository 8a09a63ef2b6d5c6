//! Tables and queries of PostgreSQL databases.
//!
//! The columns are what the server says of a prepared statement. Rows are read by one `COPY` in binary form, with
//! the bounds of the scan as its conditions, and decoded as they come. All that is read of an opened table is
//! read in one read-only transaction, so later scans see the rows that the first one saw, unless two of them run
//! at the same time.

mod config;
mod copy;
mod error;
mod session;
mod sql;
mod tls;
mod types;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use lodestore_core::definition::TableRef;
use lodestore_core::{Error, Result};
use tokio_postgres::CopyOutStream;

pub use config::{Encryption, PostgresConfig};

use self::copy::CopyReader;
use self::error::from_postgres;
use self::session::{Database, Session};
use self::types::ValueType;
use super::parquet::Found;
use super::{Bounds, ConnectionConfig, Rows, Scan, Table, as_in_views, projection};

/// A column of a table, called as there.
#[derive(Debug, Clone)]
struct Column {
    name: String,
    ty: ValueType,
}

/// A table or query of a PostgreSQL database.
pub(crate) struct PostgresTable {
    database: Database,
    reference: TableRef,
    /// What stands behind `FROM`.
    relation: String,
    columns: Vec<Column>,
    idle: IdleSession,
}

/// The session that a table was opened with, while nothing is read in it.
type IdleSession = Arc<Mutex<Option<Session>>>;

impl fmt::Debug for PostgresTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.database.name();
        f.debug_struct("PostgresTable").field("connection", &name).field("path", &self.reference.path).finish()
    }
}

impl PostgresTable {
    /// Opens a table or query; its columns have the types of the server.
    ///
    /// # Errors
    /// `Invalid` for a connection that is not configured or a query that is none, `NotFound` if there is no such
    /// table, `Unavailable` if the server can't be reached.
    pub(crate) async fn open(connections: &BTreeMap<String, ConnectionConfig>, reference: &TableRef) -> Result<Self> {
        let (name, ConnectionConfig::Postgres(config)) = connection_of(connections, reference)?;
        let database = Database::new(name, config)?;
        let session = database.connect().await?;
        let relation = sql::relation(reference);
        let doing = reading(reference, &database);
        let statement = session.prepare(&sql::select_all(&relation)).await.map_err(|e| from_postgres(&doing, e))?;
        let columns = statement.columns().iter().map(|column| Column {
            name: column.name().to_owned(),
            ty: ValueType::of(column.type_(), column.type_modifier()),
        });
        let columns: Vec<Column> = columns.collect();
        let mut names = BTreeSet::new();
        if let Some(twice) = columns.iter().find(|column| !names.insert(&column.name)) {
            return Err(Error::invalid(format!("{doing}: it has two columns '{}'; name one otherwise", twice.name)));
        }
        let idle = Arc::new(Mutex::new(Some(session)));
        Ok(Self { database, reference: reference.clone(), relation, columns, idle })
    }

    /// Returns the session that the table was opened with, or a new one if that is in use or closed.
    async fn session(&self) -> Result<Session> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        match idle.filter(|session| !session.is_closed()) {
            Some(session) => Ok(session),
            None => self.database.connect().await,
        }
    }

    /// Returns the columns, called as in the table.
    fn table_schema(&self) -> Schema {
        let fields = self.columns.iter().map(|column| Field::new(&column.name, column.ty.arrow(), true));
        Schema::new(fields.collect::<Vec<_>>())
    }

    fn column(&self, name: &str) -> Option<&Column> {
        let in_table = self.reference.file_column(name);
        self.columns.iter().find(|column| column.name == in_table)
    }

    /// Returns about how many rows the server thinks the table has.
    async fn rows(&self, session: &Session) -> Result<Option<u64>> {
        if self.reference.query.is_some() {
            return Ok(None);
        }
        const ROWS: &str = "SELECT reltuples::int8 FROM pg_class \
                            WHERE oid = to_regclass($1) AND relkind IN ('r', 'm', 'p') AND reltuples > 0";
        let row = session.query(ROWS, &self.relation).await.map_err(|e| self.error(e))?;
        Ok(row.and_then(|row| row.try_get::<_, i64>(0).ok()).and_then(|rows| u64::try_from(rows).ok()))
    }

    fn error(&self, error: tokio_postgres::Error) -> Error {
        from_postgres(&reading(&self.reference, &self.database), error)
    }
}

fn reading(reference: &TableRef, database: &Database) -> String {
    format!("reading '{}' from '{}'", reference.path, database.name())
}

/// Returns the connection that a table names, or the only one.
fn connection_of<'a>(
    connections: &'a BTreeMap<String, ConnectionConfig>,
    reference: &TableRef,
) -> Result<(&'a str, &'a ConnectionConfig)> {
    let found = match &reference.connection {
        Some(name) => connections.get_key_value(name),
        None => connections.first_key_value().filter(|_| connections.len() == 1),
    };
    found.map(|(name, config)| (name.as_str(), config)).ok_or_else(|| {
        let known = connections.keys().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "none".to_owned() } else { known };
        let path = &reference.path;
        Error::invalid(match &reference.connection {
            Some(name) => format!(
                "'{path}' is read from the connection '{name}', which the settings don't have; they have: {known}"
            ),
            None => format!("'{path}' does not say which connection it is read from; the settings have: {known}"),
        })
    })
}

#[async_trait]
impl Table for PostgresTable {
    fn schema(&self) -> SchemaRef {
        as_in_views(&self.table_schema(), &self.reference)
    }

    async fn scan(&self, columns: &[&str], bounds: &Bounds, _: usize) -> Result<Scan> {
        let places = projection(&self.reference, &self.table_schema(), columns)?;
        let found: Vec<&Column> = places.into_iter().map(|place| &self.columns[place]).collect();
        let fields = columns.iter().zip(&found).map(|(name, column)| Field::new(*name, column.ty.arrow(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let reader = CopyReader::new(schema, &found)
            .map_err(|e| Error::new(e.kind(), format!("'{}': {}", self.reference.path, e.message())))?;
        let session = self.session().await?;
        let conditions = sql::conditions(bounds, |name| self.column(name), session.is_utf8());
        let rows = if conditions.is_empty() { self.rows(&session).await? } else { None };
        let statement = sql::copy(&self.relation, found.into_iter(), &conditions);
        let bytes = session.copy(&statement).await.map_err(|e| self.error(e))?;
        let doing = reading(&self.reference, &self.database);
        let reading =
            Reading { bytes: Box::pin(bytes), reader, doing, session: Some(session), idle: Arc::clone(&self.idle) };
        Ok(Scan { streams: vec![reading.into_rows()], found: Found { rows, ..Found::default() } })
    }

    /// Returns a line with what the server counts for a table: rows inserted, updated and deleted, of all of its
    /// partitions, and where it keeps them. For queries, views and foreign tables the line has the transactions
    /// whose rows are seen: it changes with any that writes to the databases of the server.
    async fn fingerprint(&self) -> Result<String> {
        let session = self.session().await?;
        let counted = match self.reference.query {
            Some(_) => None,
            None => session.query(COUNTED, &self.relation).await.map_err(|e| self.error(e))?,
        };
        let seen = match counted {
            Some(row) => row,
            None => {
                let row = session.query(SEEN, "").await.map_err(|e| self.error(e))?;
                row.ok_or_else(|| Error::internal("a statement without a table has one row"))?
            }
        };
        let seen: String = seen.try_get(0).map_err(|e| self.error(e))?;
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
        let what = self.reference.query.as_ref().unwrap_or(&self.reference.path);
        Ok(format!("{what} of {}, {seen}", self.database.name()))
    }
}

/// No row for what is no table, or has a partition elsewhere.
const COUNTED: &str = "
SELECT format('table %s: %s inserted, %s updated, %s deleted', string_agg(format('%s/%s', c.oid, c.relfilenode), ' ' ORDER BY c.oid),
    sum(pg_stat_get_tuples_inserted(c.oid)), sum(pg_stat_get_tuples_updated(c.oid)), sum(pg_stat_get_tuples_deleted(c.oid)))
FROM (SELECT to_regclass($1)::oid AS relid UNION SELECT relid::oid FROM pg_partition_tree(to_regclass($1))) AS p
JOIN pg_class AS c ON c.oid = p.relid
HAVING bool_and(c.relkind IN ('r', 'm', 'p'))";

const SEEN: &str = "SELECT format('seen by %s', txid_current_snapshot()) WHERE $1 = ''";

/// Rows that are being read in a session.
struct Reading {
    bytes: Pin<Box<CopyOutStream>>,
    reader: CopyReader,
    doing: String,
    session: Option<Session>,
    idle: IdleSession,
}

impl Reading {
    fn into_rows(self) -> Rows {
        stream::try_unfold(self, |mut reading| async move { Ok(reading.next().await?.map(|batch| (batch, reading))) })
            .boxed()
    }

    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        while !self.reader.is_full() && self.session.is_some() {
            match self.bytes.try_next().await.map_err(|e| from_postgres(&self.doing, e))? {
                Some(bytes) => self.reader.push(&bytes).map_err(|e| self.error(&e))?,
                None if self.reader.is_at_end() => self.finish(),
                None => return Err(Error::unavailable(format!("{}: the answer ended too early", self.doing))),
            }
        }
        self.reader.batch()
    }

    /// Leaves the session to later scans.
    fn finish(&mut self) {
        if let Some(session) = self.session.take() {
            session.finish();
            *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
        }
    }

    fn error(&self, error: &Error) -> Error {
        Error::new(error.kind(), format!("{}: {}", self.doing, error.message()))
    }
}
