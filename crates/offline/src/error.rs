//! Errors of DataFusion, Parquet and object stores as our own.

use std::io;

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use lodestore_core::{Error, ErrorKind};
use parquet::errors::ParquetError;

/// Returns an error about `what` (a table, by its path) with the kind that the cause calls for.
pub(crate) fn from_datafusion(what: &str, error: DataFusionError) -> Error {
    match error {
        DataFusionError::External(source) => match source.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => Error::new(ErrorKind::Unavailable, format!("reading {what}: {other}")),
        },
        DataFusionError::ArrowError(source, _) => match Error::from(*source) {
            ours if ours.message().contains(what) => ours,
            other => Error::new(other.kind(), format!("reading {what}: {}", other.message())).with_source(other),
        },
        DataFusionError::Context(_, source) | DataFusionError::Diagnostic(_, source) => from_datafusion(what, *source),
        DataFusionError::Shared(source) => {
            Error::new(kind_of(&source), format!("reading {what}: {}", innermost(&source))).with_source(source)
        }
        other => Error::new(kind_of(&other), format!("reading {what}: {}", innermost(&other))).with_source(other),
    }
}

/// Returns an error about `what` with the kind that an object store's error calls for.
pub(crate) fn from_store(what: &str, error: object_store::Error) -> Error {
    Error::new(kind_of_object_store(&error), format!("reading {what}: {error}")).with_source(error)
}

/// Returns an error about `what` that was being written, with the kind that an object store's error calls for.
pub(crate) fn writing_to_store(what: &str, error: object_store::Error) -> Error {
    Error::new(kind_of_object_store(&error), format!("writing {what}: {error}")).with_source(error)
}

/// Returns an error about `what`, a Parquet file.
pub(crate) fn from_parquet(what: &str, error: ParquetError) -> Error {
    from_datafusion(what, DataFusionError::ParquetError(Box::new(error)))
}

/// Returns an error about `what`, a Parquet file that was being decoded.
pub(crate) fn from_arrow(what: &str, error: ArrowError) -> Error {
    match error {
        ArrowError::ParquetError(message) => Error::corrupt(format!("reading {what}: {message}")),
        ArrowError::ExternalError(source) => match source.downcast::<ParquetError>() {
            Ok(parquet) => from_parquet(what, *parquet),
            Err(other) => Error::new(ErrorKind::Unavailable, format!("reading {what}: {other}")),
        },
        other => {
            let ours = Error::from(other);
            Error::new(ours.kind(), format!("reading {what}: {}", ours.message())).with_source(ours)
        }
    }
}

fn kind_of(error: &DataFusionError) -> ErrorKind {
    match error.find_root() {
        DataFusionError::ParquetError(_) => ErrorKind::Corrupt,
        DataFusionError::IoError(source) => kind_of_io(source.kind()),
        DataFusionError::ObjectStore(source) => kind_of_object_store(source),
        DataFusionError::ResourcesExhausted(_) => ErrorKind::Exhausted,
        DataFusionError::NotImplemented(_) => ErrorKind::Unsupported,
        DataFusionError::Plan(_)
        | DataFusionError::SQL(..)
        | DataFusionError::SchemaError(..)
        | DataFusionError::ArrowError(..) => ErrorKind::Invalid,
        DataFusionError::Execution(_) => ErrorKind::Invalid,
        _ => ErrorKind::Internal,
    }
}

fn kind_of_io(kind: io::ErrorKind) -> ErrorKind {
    match kind {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => ErrorKind::Corrupt,
        io::ErrorKind::StorageFull => ErrorKind::Exhausted,
        _ => ErrorKind::Unavailable,
    }
}

fn kind_of_object_store(error: &object_store::Error) -> ErrorKind {
    match error {
        object_store::Error::NotFound { .. } => ErrorKind::NotFound,
        object_store::Error::PermissionDenied { .. } => ErrorKind::PermissionDenied,
        object_store::Error::Unauthenticated { .. } => ErrorKind::Unauthenticated,
        object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. } => ErrorKind::Unsupported,
        object_store::Error::AlreadyExists { .. } => ErrorKind::AlreadyExists,
        object_store::Error::Precondition { .. } => ErrorKind::Conflict,
        object_store::Error::Generic { source, .. } => {
            let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(source.as_ref());
            while let Some(error) = cause {
                if let Some(io) = error.downcast_ref::<io::Error>() {
                    return kind_of_io(io.kind());
                }
                cause = error.source();
            }
            // Of a listing or an upload that fails the client library tells the status in words only.
            let text = source.to_string();
            let told = |(status, _): &&(&str, ErrorKind)| text.contains(&format!("status code: {status}"));
            STATUSES.iter().find(told).map_or(ErrorKind::Unavailable, |(_, kind)| *kind)
        }
        _ => ErrorKind::Unavailable,
    }
}

/// What statuses of HTTP call for, but for those after which a request is tried again.
const STATUSES: [(&str, ErrorKind); 4] = [
    ("400", ErrorKind::Invalid),
    ("401", ErrorKind::Unauthenticated),
    ("403", ErrorKind::PermissionDenied),
    ("404", ErrorKind::NotFound),
];

/// Returns the cause's own message, without DataFusion's layers.
fn innermost(error: &DataFusionError) -> String {
    error.find_root().message().into_owned()
}
