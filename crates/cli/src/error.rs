//! How a run ends: exit statuses, and errors as people and programs read them.

use std::error::Error as _;
use std::fmt::Write;
use std::process::ExitCode;

use lodestore::core::Error;
use serde_json::{Value, json};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is done, or there was nothing to do.
    Fine,
    /// Something was wrong, and was said.
    Failed,
    /// A plan has changes.
    Changes,
    /// Ctrl-C.
    Interrupted,
}

impl Exit {
    /// Returns the status that the process ends with.
    #[must_use]
    pub fn status(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Failed => 1,
            Self::Changes => 2,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}

/// Returns an error as people read it: the message, and those causes that the message does not repeat.
#[must_use]
pub(crate) fn to_text(error: &Error) -> String {
    let mut text = format!("error: {error}");
    let mut cause = error.source();
    while let Some(source) = cause {
        let said = source.to_string();
        // Parsers repeat their message in a cause, with its place in other words.
        let told = said.split(" at line ").next().unwrap_or_default().trim();
        if !text.contains(told) {
            let _ = write!(text, "\n  caused by: {said}");
        }
        cause = source.source();
    }
    text
}

/// Returns an error as programs read it.
#[must_use]
pub(crate) fn to_json(error: &Error) -> Value {
    let context: serde_json::Map<_, _> =
        error.context().iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str()))).collect();
    let kind = error.kind().as_str().replace(' ', "_");
    json!({"error": {"kind": kind, "message": error.message(), "context": context}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_that_the_message_repeats_are_left_out() {
        let cause = Error::corrupt("page 7 is damaged").with_source(std::io::Error::other("bad sector"));
        let error = Error::unavailable("reading: page 7 is damaged").with_context("path", "r.db").with_source(cause);
        assert_eq!(to_text(&error), "error: reading: page 7 is damaged (path: r.db)\n  caused by: bad sector");
        let expected =
            r#"{"error":{"kind":"unavailable","message":"reading: page 7 is damaged","context":{"path":"r.db"}}}"#;
        assert_eq!(to_json(&error).to_string(), expected);
    }
}
