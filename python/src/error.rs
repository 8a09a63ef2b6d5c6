//! Errors as the exceptions of `lodestore.errors`.

use lodestore::core::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::PyType;

/// An error of the facade or of Python on its way to a caller.
pub(crate) enum PyError {
    Lodestore(Error),
    Python(PyErr),
}

pub(crate) type Result<T> = std::result::Result<T, PyError>;

impl From<Error> for PyError {
    fn from(error: Error) -> Self {
        Self::Lodestore(error)
    }
}

impl From<PyErr> for PyError {
    fn from(error: PyErr) -> Self {
        Self::Python(error)
    }
}

impl From<PyError> for PyErr {
    fn from(error: PyError) -> Self {
        match error {
            PyError::Python(error) => error,
            PyError::Lodestore(error) => Python::attach(|py| raised(py, &error).unwrap_or_else(|failure| failure)),
        }
    }
}

fn raised(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let class = py.import("lodestore.errors")?.getattr(class_name(error.kind()))?;
    Ok(PyErr::from_type(class.cast_into::<PyType>()?, error.to_string()))
}

fn class_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid => "InvalidError",
        ErrorKind::NotFound => "NotFoundError",
        ErrorKind::AlreadyExists => "AlreadyExistsError",
        ErrorKind::Conflict => "ConflictError",
        ErrorKind::Unauthenticated => "UnauthenticatedError",
        ErrorKind::PermissionDenied => "PermissionDeniedError",
        ErrorKind::Unsupported => "UnsupportedError",
        ErrorKind::Exhausted => "ExhaustedError",
        ErrorKind::Unavailable => "UnavailableError",
        ErrorKind::Corrupt => "CorruptError",
        _ => "InternalError",
    }
}
