//! The registry's file: how it is opened, told from other files, and created.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lodestore_core::{Error, ErrorKind, Result};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::error::from_sqlite;

/// "LODE", which tells a registry from other SQLite files.
const APPLICATION_ID: i32 = i32::from_be_bytes(*b"LODE");
/// The layout of the tables that this code writes, and the newest that it reads.
const SCHEMA_VERSION: i32 = 1;
/// How long a writer waits for others; each of them takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
    CREATE TABLE project (
        name TEXT PRIMARY KEY,
        revision INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE object (
        project TEXT NOT NULL REFERENCES project ON DELETE CASCADE,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        form INTEGER NOT NULL,
        payload TEXT NOT NULL,
        PRIMARY KEY (project, kind, name)
    ) STRICT;
    CREATE TABLE view_version (
        project TEXT NOT NULL REFERENCES project ON DELETE CASCADE,
        view TEXT NOT NULL,
        number INTEGER NOT NULL,
        created_at_us INTEGER NOT NULL,
        form INTEGER NOT NULL,
        payload TEXT NOT NULL,
        PRIMARY KEY (project, view, number)
    ) STRICT;
    CREATE TABLE record (
        project TEXT NOT NULL REFERENCES project ON DELETE CASCADE,
        revision INTEGER NOT NULL,
        at_us INTEGER NOT NULL,
        author TEXT NOT NULL,
        changes TEXT NOT NULL,
        PRIMARY KEY (project, revision)
    ) STRICT;
";

/// What a file is to a registry.
#[derive(PartialEq, Eq)]
enum Content {
    /// Nothing yet: as SQLite sees it, a database without tables.
    Blank,
    /// Ours.
    Registry,
}

/// Opens the registry at `path` for reading; `None` if there is none yet. Creates nothing.
pub(super) fn open_existing(path: &Path) -> Result<Option<Connection>> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => {
            return Err(Error::invalid(format!("the registry {} is a folder; name a file in it", path.display())));
        }
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(format!("opening the registry {}", path.display()), error)),
    }
    let found = |connection| Ok((content(path, &connection)? == Content::Registry).then_some(connection));
    match connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(found) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied && !wal_of(path).exists() => {
            connect_immutable(path).and_then(found)
        }
        other => other,
    }
}

/// Opens the registry at `path` for writing. Creates it, and its folders, if there is none yet.
pub(super) fn open_or_create(path: &Path) -> Result<Connection> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|e| Error::io(format!("creating the folder {} of the registry", folder.display()), e))?;
    }
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    if content(path, &connection)? == Content::Blank {
        create(path, &mut connection)?;
    }
    use_wal(path, &connection)?;
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let failed = |error| from_sqlite(path, error);
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
    // An apply that was reported as done must outlive a power cut, which NORMAL with a WAL doesn't
    // promise. Applies are rare; what it costs is not felt.
    connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
    Ok(connection)
}

/// Opens a registry in a folder where this process can write nothing, not even the files by which readers
/// and writers agree. It reads without locks, which is safe on a disk that nobody writes.
fn connect_immutable(path: &Path) -> Result<Connection> {
    let mut uri = "file:".to_owned();
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => uri.push(char::from(byte)),
            _ => uri += &format!("%{byte:02x}"),
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(uri + "?immutable=1", flags).map_err(|e| from_sqlite(path, e))
}

/// Returns where commits are that did not yet get into the file itself.
fn wal_of(path: &Path) -> PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}

/// Returns what the file is, reading only. Must come before anything that writes.
fn content(path: &Path, connection: &Connection) -> Result<Content> {
    let query = "SELECT (SELECT application_id FROM pragma_application_id), \
                 (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)";
    let (application, version, tables): (i32, i32, i64) = connection
        .query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .map_err(|e| from_sqlite(path, e))?;
    let registry = path.display();
    match (application, version) {
        (0, 0) if tables == 0 => Ok(Content::Blank),
        (APPLICATION_ID, SCHEMA_VERSION) => Ok(Content::Registry),
        (APPLICATION_ID, newer) if newer > SCHEMA_VERSION => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the registry {registry} has version {newer}, but this Lodestore reads up to {SCHEMA_VERSION}; upgrade it"
            ),
        )),
        (APPLICATION_ID, other) => Err(Error::corrupt(format!("the registry {registry} has no version {other}"))),
        _ => Err(Error::invalid(format!(
            "{registry} is not a Lodestore registry: it is an SQLite file of something else; name another path"
        ))),
    }
}

fn create(path: &Path, connection: &mut Connection) -> Result<()> {
    let failed = |error| from_sqlite(path, error);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Another process may have created it while this one waited.
    if content(path, &transaction)? == Content::Blank {
        transaction.execute_batch(SCHEMA).map_err(failed)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(failed)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// Lets readers read while another process writes.
fn use_wal(path: &Path, connection: &Connection) -> Result<()> {
    match connection.pragma_update(None, "journal_mode", "WAL") {
        // Others use the file at this moment. Commits are as safe without, and the next one tries again.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Ok(()),
        other => other.map_err(|e| from_sqlite(path, e)),
    }
}
