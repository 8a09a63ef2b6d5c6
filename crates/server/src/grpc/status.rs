//! Errors as gRPC tells them.

use lodestore::core::{Error, ErrorKind};
use tonic::{Code, Status};

/// Returns the status of an error: the code of its kind, and its message with the context.
pub(super) fn to_status(error: &Error) -> Status {
    let code = match error.kind() {
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        ErrorKind::Conflict => Code::Aborted,
        ErrorKind::Unauthenticated => Code::Unauthenticated,
        ErrorKind::PermissionDenied => Code::PermissionDenied,
        ErrorKind::Unsupported => Code::Unimplemented,
        ErrorKind::Exhausted => Code::ResourceExhausted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Corrupt => Code::DataLoss,
        _ => Code::Internal,
    };
    Status::new(code, error.to_string())
}

/// Returns the HTTP status that says about the same, so that one metric counts both.
pub(super) fn http_status(code: Code) -> u16 {
    match code {
        Code::Ok => 200,
        Code::InvalidArgument | Code::Unimplemented => 400,
        Code::Unauthenticated => 401,
        Code::PermissionDenied => 403,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::ResourceExhausted => 429,
        Code::Unavailable => 503,
        _ => 500,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code_of_its_own() {
        let code = |kind: ErrorKind| to_status(&Error::new(kind, "x").with_context("view", "v")).code();
        for (place, kind) in ErrorKind::ALL.into_iter().enumerate() {
            assert!(ErrorKind::ALL[..place].iter().all(|other| code(*other) != code(kind)), "{kind}");
        }
        let status = to_status(&Error::not_found("no").with_context("view", "v"));
        assert_eq!((status.code(), status.message()), (Code::NotFound, "no (view: v)"));
    }
}
