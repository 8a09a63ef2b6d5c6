//! Errors as clients read them: one table from kinds to status codes, and the two forms of bodies.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use lodestore::core::{Error, ErrorKind};
use serde_json::{Map, Value, json};

use crate::respond::json_text;

/// The class of errors that Feast's client builds where no other fits: it takes one text.
const ANY_CLASS: &str = "FeastError";

/// When a client may try again, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// Why a request is not answered.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    error: Error,
    /// The name of the class in `feast.errors`.
    class: &'static str,
}

impl Refusal {
    /// Returns a refusal with a status of its own.
    pub(crate) fn new(status: StatusCode, error: Error) -> Self {
        Self { status, error, class: ANY_CLASS }
    }

    /// Returns the refusal of a body that is not what the route takes.
    pub(crate) fn body(why: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, Error::invalid(why.to_string()))
    }

    /// Names the class of errors that Feast's client raises.
    pub(crate) fn with_class(mut self, class: &'static str) -> Self {
        self.class = class;
        self
    }

    /// Returns the response in the form that Feast's client parses: text that holds JSON. A body that was
    /// not understood has the form of Feast's validation.
    pub(crate) fn to_feast(&self) -> Response {
        let message = self.error.to_string();
        let body = match self.status {
            StatusCode::UNPROCESSABLE_ENTITY => {
                json!({"detail": [{"type": "value_error", "loc": ["body"], "msg": message}]})
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED if self.class.is_empty() => {
                json!({"detail": message})
            }
            _ => {
                let inner = json!({"module": "feast.errors", "class": self.class, "message": message});
                Value::String(inner.to_string())
            }
        };
        self.respond(&body)
    }

    /// Returns the response in our form: kind, message and context.
    pub(crate) fn to_own(&self) -> Response {
        let context =
            self.error.context().iter().map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
        let kind = self.error.kind().as_str().replace(' ', "_");
        let error = json!({"kind": kind, "message": self.error.message(), "context": context.collect::<Map<_, _>>()});
        self.respond(&json!({"error": error}))
    }

    fn respond(&self, body: &Value) -> Response {
        let mut response = json_text(self.status, body.to_string());
        let headers = response.headers_mut();
        match self.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response.extensions_mut().insert(Why(format!("{:?}", self.error)));
        response
    }
}

/// What went wrong, for the log.
#[derive(Debug, Clone)]
pub(crate) struct Why(pub(crate) String);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let class = match error.kind() {
            ErrorKind::NotFound => "FeastObjectNotFoundException",
            ErrorKind::PermissionDenied => "FeastPermissionError",
            _ => ANY_CLASS,
        };
        Self { status: status(error.kind()), error, class }
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Error::invalid(rejection.body_text()).into()
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Error::invalid(rejection.body_text()).into()
    }
}

/// Returns the status code of a kind of error.
fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Invalid | ErrorKind::Unsupported => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::AlreadyExists | ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        // Kinds that are added later are faults until they are given a status.
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// An error of a route of Feast's.
#[derive(Debug)]
pub(crate) struct FeastRefusal(pub(crate) Refusal);

/// An error of a route of ours.
#[derive(Debug)]
pub(crate) struct OwnRefusal(pub(crate) Refusal);

impl<T: Into<Refusal>> From<T> for FeastRefusal {
    fn from(error: T) -> Self {
        Self(error.into())
    }
}

impl<T: Into<Refusal>> From<T> for OwnRefusal {
    fn from(error: T) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for FeastRefusal {
    fn into_response(self) -> Response {
        self.0.to_feast()
    }
}

impl IntoResponse for OwnRefusal {
    fn into_response(self) -> Response {
        self.0.to_own()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_faults_are_5xx() {
        for kind in ErrorKind::ALL {
            let is_ours = matches!(kind, ErrorKind::Unavailable | ErrorKind::Corrupt | ErrorKind::Internal);
            assert_eq!(status(kind).is_server_error(), is_ours, "{kind}");
            assert!(status(kind).is_client_error() || is_ours, "{kind}");
        }
    }
}
