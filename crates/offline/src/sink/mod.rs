//! Where answers are kept: tables that are written.

mod delta;

pub(crate) use delta::write_delta;

/// What becomes of a table that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteMode {
    /// There must be none.
    Create,
    /// It keeps its rows; if there is none, it is created.
    Append,
}
