//! Sessions with a server: connecting, reading, and leaving nothing running behind.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lodestore_core::{Error, Result};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_postgres::{Client, Config, CopyOutStream, Row, Statement};

use super::config::PostgresConfig;
use super::error::from_postgres;
use super::tls::Tls;

/// How long a session that was dropped may take to cancel what it was reading.
const WIND_UP: Duration = Duration::from_secs(5);

/// A server that looks this often whether its client is still there ends a query for which nobody waits,
/// even if the client had no time to cancel it. Servers before version 14 don't know the setting.
const WATCH_CLIENT: &str = "SET client_connection_check_interval = '2s'";

/// Nothing can be written, and all statements see the same rows.
const BEGIN: &str = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";

/// A database, by the name of its connection in the settings.
#[derive(Clone)]
pub(super) struct Database {
    name: String,
    config: Config,
    tls: Tls,
}

impl Database {
    /// Returns the database of a connection.
    ///
    /// # Errors
    /// `Invalid`, naming the connection, for settings that are wrong.
    pub(super) fn new(name: &str, config: &PostgresConfig) -> Result<Self> {
        let (config, tls) =
            config.client().map_err(|e| Error::new(e.kind(), format!("connection '{name}': {}", e.message())))?;
        Ok(Self { name: name.to_owned(), config, tls })
    }

    /// Returns the name of the connection.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Returns a new session.
    ///
    /// # Errors
    /// `Unavailable`, naming the connection, if the server can't be reached; `Unauthenticated` or
    /// `NotFound` if it does not know the user or the database.
    pub(super) async fn connect(&self) -> Result<Session> {
        let doing = format!("connecting to '{}'", self.name);
        let connecting = self.config.connect(self.tls.clone());
        let limit = self.config.get_connect_timeout().copied().unwrap_or(Duration::MAX);
        let (client, connection) = timeout(limit, connecting)
            .await
            .map_err(|_| Error::unavailable(format!("{doing}: no answer within {} s", limit.as_secs())))?
            .map_err(|e| from_postgres(&doing, e))?;
        let is_utf8 = connection.parameter("server_encoding") == Some("UTF8");
        let is_reading = Arc::new(AtomicBool::new(false));
        let (alive, dropped) = oneshot::channel::<()>();
        let (was_reading, cancel, tls) = (Arc::clone(&is_reading), client.cancel_token(), self.tls.clone());
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => return,
                _ = dropped => {}
            }
            let wind_up = async {
                if was_reading.load(Ordering::Acquire) {
                    let _ = cancel.cancel_query(tls).await;
                }
                // What is under way must be read, or the server would wait for that and not see the request.
                let _ = connection.await;
            };
            let _ = timeout(WIND_UP, wind_up).await;
        });
        let _ = client.batch_execute(WATCH_CLIENT).await;
        client.batch_execute(BEGIN).await.map_err(|e| from_postgres(&doing, e))?;
        Ok(Session { client, is_utf8, is_reading, _alive: alive })
    }
}

/// A session with a server: one read-only transaction, so all of its statements see the same rows. A query that
/// is still being read when the session is dropped is cancelled.
pub(super) struct Session {
    client: Client,
    is_utf8: bool,
    is_reading: Arc<AtomicBool>,
    _alive: oneshot::Sender<()>,
}

impl Session {
    /// Returns whether the server or the network ended the session.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Returns whether the database can hold all text, and orders it by its code points under `COLLATE "C"`.
    pub(super) fn is_utf8(&self) -> bool {
        self.is_utf8
    }

    /// Returns what a statement would answer with; it is not run.
    pub(super) async fn prepare(&self, sql: &str) -> Result<Statement, tokio_postgres::Error> {
        self.client.prepare(sql).await
    }

    /// Returns the only row of an answer, if it has one; `$1` in the statement is `parameter`.
    pub(super) async fn query(&self, sql: &str, parameter: &str) -> Result<Option<Row>, tokio_postgres::Error> {
        self.client.query_opt(sql, &[&parameter]).await
    }

    /// Starts to read what a `COPY ... TO STDOUT` statement brings. [`Session::finish`] tells when all was read.
    pub(super) async fn copy(&self, sql: &str) -> Result<CopyOutStream, tokio_postgres::Error> {
        self.is_reading.store(true, Ordering::Release);
        let bytes = self.client.copy_out(sql).await;
        if bytes.is_err() {
            self.finish();
        }
        bytes
    }

    /// Marks what was read as read to its end.
    pub(super) fn finish(&self) {
        self.is_reading.store(false, Ordering::Release);
    }
}
