//! The one error type: a kind that says what the caller should do, a message, context and a source.

use std::error::Error as StdError;
use std::fmt;

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller should do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Correct the definition, argument, setting or data that the message names.
    Invalid,
    /// Check the name: nothing is registered or stored under it.
    NotFound,
    /// Choose another name: something else has this one.
    AlreadyExists,
    /// Reload and plan again: somebody else changed the state in between.
    Conflict,
    /// Obtain credentials.
    Unauthenticated,
    /// Obtain access.
    PermissionDenied,
    /// Use another store or engine: this one can't.
    Unsupported,
    /// Slow down, or raise the limit that the message names.
    Exhausted,
    /// Try again later: a file, disk or service can't be reached now.
    Unavailable,
    /// Repair the stored data that the message names.
    Corrupt,
    /// Report a bug.
    Internal,
}

impl ErrorKind {
    /// Every kind, for tables that must cover them all.
    pub const ALL: [Self; 11] = [
        Self::Invalid,
        Self::NotFound,
        Self::AlreadyExists,
        Self::Conflict,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::Unsupported,
        Self::Exhausted,
        Self::Unavailable,
        Self::Corrupt,
        Self::Internal,
    ];

    /// Returns the kind's name as it is printed and logged.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::Conflict => "conflict",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission denied",
            Self::Unsupported => "unsupported",
            Self::Exhausted => "exhausted",
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error of any part of Lodestore. One pointer wide.
///
/// `Display` prints the message and, where there is any, the context on one line. The source is
/// reached through [`std::error::Error::source`] and is not repeated in the message.
///
/// # Examples
/// ```
/// use lodestore_core::{Error, ErrorKind};
/// let error = Error::invalid("ttl must not be negative").with_context("view", "driver_stats");
/// assert_eq!(error.kind(), ErrorKind::Invalid);
/// assert_eq!(error.to_string(), "ttl must not be negative (view: driver_stats)");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Returns an error of `kind`. The message is lower-case and names the object.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), context: Vec::new(), source: None }))
    }

    /// Returns an [`ErrorKind::Invalid`] error.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Returns an [`ErrorKind::NotFound`] error.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Returns an [`ErrorKind::Unsupported`] error.
    #[must_use]
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// Returns an [`ErrorKind::Corrupt`] error.
    #[must_use]
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// Returns an [`ErrorKind::Internal`] error: a broken invariant of ours.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// Returns an [`ErrorKind::Unavailable`] error.
    #[must_use]
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Returns an error about a file or folder, its kind chosen from the I/O error's.
    ///
    /// # Examples
    /// ```
    /// use lodestore_core::{Error, ErrorKind};
    /// let missing = std::fs::read("no-such-file").unwrap_err();
    /// let error = Error::io("reading 'no-such-file'", missing);
    /// assert_eq!(error.kind(), ErrorKind::NotFound);
    /// ```
    #[must_use]
    pub fn io(doing: impl fmt::Display, source: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match source.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
            Io::StorageFull | Io::QuotaExceeded | Io::OutOfMemory => ErrorKind::Exhausted,
            Io::InvalidData | Io::UnexpectedEof => ErrorKind::Corrupt,
            Io::NotADirectory | Io::IsADirectory | Io::InvalidInput => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, format!("{doing}: {source}")).with_source(source)
    }

    /// Adds a named value to the error's context.
    #[must_use]
    pub fn with_context(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// Sets the error that caused this one.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Returns what the caller should do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the message without the context.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the context, in the order it was added.
    #[must_use]
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }

    /// Returns whether the same call may succeed later without a change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind(), ErrorKind::Unavailable | ErrorKind::Exhausted)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (i, (name, value)) in self.0.context.iter().enumerate() {
            let open = if i == 0 { " (" } else { ", " };
            write!(f, "{open}{name}: {value}")?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.kind())?;
        let mut source = self.source();
        while let Some(cause) = source {
            write!(f, "\n  caused by: {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|e| e as &(dyn StdError + 'static))
    }
}

impl From<arrow::error::ArrowError> for Error {
    /// Keeps one of our own errors that travelled through Arrow; a Parquet file's is damage, anything
    /// else is bad data.
    fn from(error: arrow::error::ArrowError) -> Self {
        match error {
            arrow::error::ArrowError::ExternalError(source) => match source.downcast::<Self>() {
                Ok(ours) => *ours,
                Err(other) => Self::invalid(other.to_string()).with_source(other),
            },
            arrow::error::ArrowError::IoError(_, source) => Self::io("reading data", source),
            arrow::error::ArrowError::ParquetError(_) => Self::corrupt(error.to_string()).with_source(error),
            other => Self::invalid(other.to_string()).with_source(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_kind_context_and_causes() {
        let cause = Error::corrupt("page 7 has a wrong checksum");
        let error = Error::unavailable("reading the registry").with_context("path", "r.db").with_source(cause);
        assert_eq!(
            format!("{error:?}"),
            "unavailable: reading the registry (path: r.db)\n  caused by: page 7 has a wrong checksum"
        );
        assert!(error.is_retryable());
    }

    #[test]
    fn an_error_that_travelled_through_arrow_keeps_its_kind() {
        let arrow = arrow::error::ArrowError::ExternalError(Box::new(Error::not_found("no file")));
        assert_eq!(Error::from(arrow).kind(), ErrorKind::NotFound);
    }

    #[test]
    fn an_error_is_one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
