//! What SQLite's errors mean for the caller.

use std::path::Path;

use lodestore_core::{Error, ErrorKind};
use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_IOERR_SHMSIZE;

/// Returns the error of an operation on the registry at `path`.
pub(super) fn from_sqlite(path: &Path, error: rusqlite::Error) -> Error {
    let registry = format!("the registry {}", path.display());
    let Some(sqlite) = error.sqlite_error() else {
        return Error::corrupt(format!("{registry} holds what was never written to it: {error}")).with_source(error);
    };
    let (kind, message) = match sqlite.code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::FileLockingProtocolFailed => {
            (ErrorKind::Unavailable, format!("{registry} is locked by another process; try again"))
        }
        ErrorCode::DiskFull => (ErrorKind::Exhausted, format!("the disk of {registry} is full")),
        ErrorCode::OutOfMemory => (ErrorKind::Exhausted, format!("no memory is left to use {registry}")),
        ErrorCode::SystemIoFailure if sqlite.extended_code == SQLITE_IOERR_SHMSIZE => {
            (ErrorKind::Exhausted, format!("the disk of {registry} is full"))
        }
        ErrorCode::SystemIoFailure => (ErrorKind::Unavailable, format!("{registry} can't be read or written: {error}")),
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
            (ErrorKind::PermissionDenied, format!("{registry} may not be written; check the rights of file and folder"))
        }
        ErrorCode::CannotOpen => return cannot_open(path, error),
        ErrorCode::NotADatabase => (
            ErrorKind::Corrupt,
            format!("{registry} is not a Lodestore registry, or is damaged: it is no SQLite file; name another path"),
        ),
        ErrorCode::DatabaseCorrupt => (ErrorKind::Corrupt, format!("{registry} is damaged; restore it from a copy")),
        _ => (ErrorKind::Internal, format!("using {registry}: {error}")),
    };
    Error::new(kind, message).with_source(error)
}

/// SQLite doesn't tell why it can't open a file, so the file system is asked. The file must not be
/// opened for that: closing it would drop the locks that other connections of this process hold on it.
fn cannot_open(path: &Path, error: rusqlite::Error) -> Error {
    let doing = format!("opening the registry {}", path.display());
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Error::invalid(format!("{doing}: it is a folder; name a file in it")),
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => Error::io(doing, cause),
        _ => Error::new(ErrorKind::PermissionDenied, format!("{doing}: check the rights of file and folder"))
            .with_source(error),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn each_sqlite_error_says_what_to_do() {
        for (code, kind) in [
            (ffi::SQLITE_BUSY, ErrorKind::Unavailable),
            (ffi::SQLITE_BUSY_SNAPSHOT, ErrorKind::Unavailable),
            (ffi::SQLITE_FULL, ErrorKind::Exhausted),
            (ffi::SQLITE_IOERR_SHMSIZE, ErrorKind::Exhausted),
            (ffi::SQLITE_IOERR_WRITE, ErrorKind::Unavailable),
            (ffi::SQLITE_READONLY, ErrorKind::PermissionDenied),
            (ffi::SQLITE_PERM, ErrorKind::PermissionDenied),
            (ffi::SQLITE_NOTADB, ErrorKind::Corrupt),
            (ffi::SQLITE_CORRUPT, ErrorKind::Corrupt),
            (ffi::SQLITE_ERROR, ErrorKind::Internal),
        ] {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let error = from_sqlite(Path::new("/a/registry.db"), error);
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.message().contains("/a/registry.db"), "{error}");
        }
    }
}
