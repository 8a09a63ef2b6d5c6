//! The point-in-time join: the questions in memory, one pass over the rows of each view in any order.
//!
//! ```text
//! questions   key 7: e = 10, 20, 30            rows of a view, as they come
//!             places  0   1   2                (7, 15, a) -> first question at or after 15: place 1
//!                                              (7,  8, b) -> place 0
//! at the end  place 0: b                       (7, 12, c) -> place 1, loses to a
//!             place 1: a  (a beats b)
//!             place 2: a  (carried along)
//! ```
//!
//! Required of the inputs: nothing. Rows may come in any order, in any number of partitions; each
//! partition keeps winners of its own, which are merged. Memory is that of the questions, their
//! winners' features and, for a while, as much again of rows that were winners. One index of the
//! questions serves all views with the same key columns. When only some of a view's features are
//! asked for and two rows of the same times differ, the features that were not read decide (rule
//! P3): the view is read once more with all of them.

mod exec;
mod index;
mod kept;
mod pass;
mod winners;

pub use exec::PointInTimeJoinExec;
pub(crate) use exec::ViewInput;
pub(crate) use index::QuestionIndex;
pub(crate) use pass::{ViewScan, Visibility};
pub(crate) use winners::TieColumns;
