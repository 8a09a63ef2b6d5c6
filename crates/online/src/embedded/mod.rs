//! The embedded online store: LMDB in a folder, read and written by any number of processes of one
//! machine, with no server.
//!
//! A write is one transaction: all of its rows and the watermark are there, or nothing is, also
//! after a kill at any instant. Readers never wait for a writer and see the last commit. Writers
//! wait for each other. A read costs microseconds and a write one flush of the disk; both are done
//! on the calling thread, also by the `async` methods.
//!
//! # The folder
//! `data.mdb` holds everything and `lock.mdb` who is reading and writing. Reading where nothing was
//! ever written creates nothing. Both are LMDB's; a network file system can't hold them, and nothing
//! else may change them while the store is open. Where `data.mdb` can't be written, as on a read-only
//! file system, it can be read.
//!
//! All view versions share one tree: a request that reads several views pays for one transaction,
//! and there is no limit to how many there are. A database each would make every transaction set up
//! room for the most there may be, and need a handle for each in each process. A key is at most 511
//! bytes long and begins with a number, big-endian, that tells whose it is:
//!
//! | key | value |
//! | --- | --- |
//! | 0 (4 bytes), `f` | the format, 1 (1 byte), and the next free view number (4) |
//! | 0 (4 bytes), `v`, the view's id | the view |
//! | 0 (4 bytes), `r`, a view number (4, big-endian) | nothing: rows of this number are waiting to be removed |
//! | a view's number (4 bytes), an entity key | the key's rows, as in [`crate::row`] |
//! | the same, and a place (17 bytes) | of a view with aggregations: an entry of the key's windows, as in [`lodestore_core::online::windows`] |
//!
//! | bytes | a view |
//! | --- | --- |
//! | 1 | the format, 1 |
//! | 4 | its number; numbers are never used again |
//! | 1 | bit 0: there is a watermark of event times; bit 1: of created times |
//! | 8 + 8 | the watermarks; 0 where there is none |
//! | rest | its keys and features with their types, as text |
//!
//! The rows of a view lie together, and not those of a key. Keys first, a read of many views would walk down the tree once
//! and not once for each view. But a read of one view would find its rows on as many pages as there are views, and a view
//! that is written again would change the pages of all of them.
//!
//! Retiring a view removes its record, which makes its rows invisible at once, and then the rows, a
//! part at a time, so that other writers get their turn; an interrupted removal is taken up by the
//! next `prepare` or `retire`.
//!
//! What follows the number or letter is kept as it is up to 506 bytes. Of longer ones the first 475
//! bytes are kept, followed by the SHA-256 of the whole. Before a place, it is kept as it is below 490 bytes, and
//! else the first 458 bytes are.

mod backend;
mod codec;
mod config;
mod environment;
mod error;
mod group;
mod snapshot;
mod windows;
mod write;

#[cfg(test)]
mod tests;

pub use backend::EmbeddedStore;
pub use config::EmbeddedConfig;
pub use snapshot::Snapshot;
