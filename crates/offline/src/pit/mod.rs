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
//! Required of the rows: nothing. They may come in any order, from any number of threads; each thread
//! keeps winners of its own, which are merged. Where rows have addresses (tables of Parquet files) the
//! pass reads keys and times alone, and the features of the winners are fetched when these are known;
//! elsewhere the features of those that win so far are kept. A table that is small beside the
//! questions is held in memory instead. `strategy` chooses, `view` does.
//!
//! Memory is that of the questions and of what answers them. Over a limit, the questions are split by
//! key and the pass is made for each part; and the fetched features go to temporary files, one for
//! each window of questions, from which the answer is put together in order.

mod answered;
mod build;
mod exec;
mod features;
mod fetch;
mod index;
mod kept;
mod keys;
mod nodes;
mod pass;
mod placed;
mod spill;
mod strategy;
mod view;
mod windows;
mod winners;

pub use exec::PointInTimeJoinExec;
pub(crate) use index::Asked;
pub(crate) use pass::Visibility;
pub use strategy::{ForcedStrategy, Tuning};
pub(crate) use strategy::{Known, Limits, Strategy, choose, width};
pub(crate) use view::{ViewPlan, interval};
