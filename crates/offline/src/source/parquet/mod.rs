//! Tables of Parquet files: plain folders of them, and what lakehouse tables are made of.
//!
//! Every row has an address: its place when all rows of all files stand one after the other. A scan
//! tells the address of the first row of each batch; rows are fetched again by their addresses.

mod file;
mod numbers;
mod open;
mod prune;
mod read;
mod table;

pub(crate) use file::{DataFile, TableColumn};
pub(crate) use numbers::RowNumbers;
pub(crate) use open::open_files;
pub(crate) use table::{Chunk, Found, ParquetTable, TableScan};
