//! The messages and services of `proto/`, in code that `tests/grpc/generated.rs` writes and compares.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    clippy::all,
    clippy::cloned_instead_of_copied,
    clippy::needless_pass_by_value,
    clippy::semicolon_if_nothing_returned,
    clippy::too_many_lines,
    reason = "the code is generated"
)]

include!("generated/no_package.rs");

/// The packages below `feast`.
pub mod feast {
    /// Values.
    pub mod types {
        include!("generated/feast.types.rs");
    }

    /// Reading online.
    pub mod serving {
        include!("generated/feast.serving.rs");
    }
}
