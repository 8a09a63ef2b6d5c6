//! Errors of PostgreSQL and its client as our own.

use std::error::Error as _;
use std::io;

use lodestore_core::{Error, ErrorKind};

/// Returns an error of the kind that the server's code calls for, or the way the connection failed.
pub(super) fn from_postgres(doing: &str, error: tokio_postgres::Error) -> Error {
    let (kind, message) = match error.as_db_error() {
        Some(db) => {
            let notes = db.detail().into_iter().chain(db.hint());
            (kind_of(db.code().code()), notes.fold(db.message().to_owned(), |all, note| format!("{all}; {note}")))
        }
        None => of_client(&error),
    };
    Error::new(kind, format!("{doing}: {message}")).with_source(error)
}

/// Returns the kind of an error by its SQLSTATE: the first two characters are its class.
fn kind_of(code: &str) -> ErrorKind {
    match code {
        "42501" => ErrorKind::PermissionDenied,
        "42P01" => ErrorKind::NotFound,
        // A statement that took longer than the server allows.
        "57014" => ErrorKind::Exhausted,
        // A session that was idle for longer than the server allows.
        "25P03" | "25P04" => ErrorKind::Unavailable,
        "XX001" | "XX002" => ErrorKind::Corrupt,
        _ => match code.get(..2) {
            Some("28") => ErrorKind::Unauthenticated,
            Some("3D" | "3F") => ErrorKind::NotFound,
            Some("0A") => ErrorKind::Unsupported,
            Some("53" | "54") => ErrorKind::Exhausted,
            Some("08" | "40" | "55" | "57" | "58" | "XX") => ErrorKind::Unavailable,
            _ => ErrorKind::Invalid,
        },
    }
}

fn of_client(error: &tokio_postgres::Error) -> (ErrorKind, String) {
    let mut message = error.to_string();
    let mut kind = if message == "invalid configuration" { ErrorKind::Invalid } else { ErrorKind::Unavailable };
    let mut cause = error.source();
    while let Some(error) = cause {
        message = format!("{message}: {error}");
        if error.to_string() == "password missing" {
            kind = ErrorKind::Unauthenticated;
        }
        let io = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if io == Some(io::ErrorKind::InvalidInput) {
            kind = ErrorKind::Invalid;
        }
        cause = error.source();
    }
    (kind, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_what_to_do() {
        for (code, kind) in [
            ("28P01", ErrorKind::Unauthenticated),
            ("42P01", ErrorKind::NotFound),
            ("42703", ErrorKind::Invalid),
            ("42501", ErrorKind::PermissionDenied),
            ("25006", ErrorKind::Invalid),
            ("53300", ErrorKind::Exhausted),
            ("57P01", ErrorKind::Unavailable),
        ] {
            assert_eq!(kind_of(code), kind, "{code}");
        }
    }
}
