//! Answers computed the slow and obvious way: every row is looked at for every question.
//!
//! The oracles take definitions and plans as plain data and share no code with the engines and
//! stores that they judge: not the key encoding, not the comparison, not the merge.

mod aggregate;
mod arrays;
mod join;
mod json;
mod online;
mod predicate;
mod rows;
mod value;
mod windows;
mod windows_online;

pub use aggregate::{AggregateEvent, Expected, aggregate, decayed};
pub use arrays::{build, read};
pub use join::{Tables, historical};
pub use json::{from_json, to_json};
pub use online::{OnlineAnswer, OnlineHistory, OnlineRow};
pub use predicate::{Condition, Operand};
pub use rows::{KeyValue, TableRow, interval_questions, key_values, scan, table_rows};
pub use value::{Value, order_all};
pub use windows::{HistoryEvent, Passes, history_events, history_window};
pub use windows_online::{WindowEvent, WindowFeature, windowed};
