//! The stored form of a key's rows, shared by the stores that keep one value a key.
//!
//! All that a view version knows of a key is one run of bytes, the *row*. Numbers are
//! little-endian; times are UTC microseconds. This is format 1:
//!
//! | at | bytes | a row |
//! | --- | --- | --- |
//! | 0 | 1 | the format, 1 |
//! | 1 | 1 | the form: 0 for one entry, 1 for several |
//!
//! *One entry* is the usual form: a single row with all features, always valid, of a key that was
//! never deleted. A feature of fixed width lies at an offset that only depends on the view.
//!
//! | at | bytes | one entry |
//! | --- | --- | --- |
//! | 2 | 8 | event time |
//! | 10 | 8 | created time |
//! | 18 | rest | record |
//!
//! *Several entries* is every other state of a key, the newest entry first.
//!
//! | at | bytes | several entries |
//! | --- | --- | --- |
//! | 2 | 1 | 1 if the key was deleted, else 0 |
//! | 3 | 8 | as of when; 0 if it was not deleted |
//! | 11 | 4 | how many entries follow |
//! | | | for each entry: |
//! | | 4 | length of the rest of the entry |
//! | | 8 + 8 + 8 | event time, created time, end of validity |
//! | | 1 | 1 if it has some of the features, 0 if it has all |
//! | | (n + 7) / 8 | if some: which, feature f at bit f % 8 of byte f / 8 |
//! | | rest | record; features that it does not have are null |
//!
//! A *record* holds n values in order: the features of a view, or the fields of a struct.
//!
//! | bytes | a record |
//! | --- | --- |
//! | (n + 7) / 8 | bit f % 8 of byte f / 8 is 1 if value f is not null |
//! | fixed part | the values of fixed width, one after the other; zeros where null |
//! | 4 for each value of variable width | where it ends, from the start of the variable part |
//! | variable part | the values of variable width; no bytes where null |
//!
//! A *value*, by its type:
//!
//! | type | bytes |
//! | --- | --- |
//! | bool | 1: 0 or 1 |
//! | int32, float32, date (days) | 4 |
//! | int64, float64, timestamp | 8 |
//! | decimal | 16, the unscaled number |
//! | string, json, uuid, bytes | variable: the bytes themselves |
//! | list, set | variable: how many items (4), then a sequence of them |
//! | vector | variable: a sequence of its items |
//! | struct | variable: a record of its fields |
//! | map | variable: how many pairs (4), then a sequence of records of key and value |
//!
//! A *sequence* of n items is a byte that is 1 if any is null, else 0; if 1, (n + 7) / 8 bytes of
//! bits as in a record; then, for items of fixed width, the items, zeros where null; for items of
//! variable width, 4 bytes for each item that say where it ends, from the start of the first, then
//! the items.
//!
//! Equal rows have equal bytes, and bytes that differ are different rows: floats are kept to the
//! bit, unused bits and the places of nulls are zero.

mod column;
mod encode;
mod found;
mod layout;
mod merge;
mod state;
mod value;
mod view;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

pub use encode::RowEncoder;
pub use found::FoundRows;
pub use layout::RowLayout;
pub use merge::{RowMerger, delete_row};

/// The format that is written, and the newest that is read.
pub const ROW_FORMAT: u8 = 1;

const ONE_ENTRY: u8 = 0;
const SEVERAL_ENTRIES: u8 = 1;

#[cfg(target_endian = "big")]
compile_error!("rows are copied from Arrow's little-endian buffers; big-endian machines are not supported");
