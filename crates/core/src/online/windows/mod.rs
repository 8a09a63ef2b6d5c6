//! What a store keeps of the events of one key, and what windows make of it (rules W1 to W8, O2 and O5).
//!
//! A store keeps *entries* for a view and key: bytes at [`Place`]s, which have an order. This module decides what they
//! are; a store copies them. So every store gives the same bits, and a write rewrites a few small entries, however many
//! events there were. Read first: [`WindowPlan`], [`EventBatch`], [`FoundKey`].
//!
//! # What is kept
//! | kind | place | bytes |
//! | --- | --- | --- |
//! | 0 head | | when the key was last folded, its newest events, since when it is deleted |
//! | 1 events | the first event's time and hash | up to 64 events in order, each as one state a measure |
//! | 2 ids | an era, the first id | up to 256 ids, 16 bytes each |
//! | 3 tiles | group, level, number | one state for each measure of the group |
//!
//! - A *measure* is what aggregations share that differ in their windows alone: function, columns, condition, groups.
//! - A *group* of tiles has one hop and one lag, and the measures whose windows have these. The lag is how long after its
//!   time an event enters the windows: the offset or the availability delay, whichever is longer.
//! - A tile of *level* n has the events of 4^n tiles of a hop; a window takes up to three of each level and a few of the last. A lifetime window
//!   takes one tile without end.
//!
//! # Folding
//! The clock does not go back. So an event that has entered the windows by the time of a write is in all later ones, until
//! their starts pass it: it goes into tiles and is forgotten. Kept as they are: events that have not entered yet, and for exact
//! windows, whose starts pass them one by one, those of the window. The head says up to when events were folded
//! (the *fold*); a read adds the kept events that have entered since. A read at a time before the last write of
//! its key may see events that had not entered by then.
//!
//! # Late and repeated events, deletes
//! - Events that no window can take any more are skipped by writes. What no later read can ask for is removed by writes of
//!   its key, and by [`WindowPlan::collect`] for keys without writes.
//! - Of events with one id the first to be told counts; of those in one write the one with the least event time, created
//!   time and values. Ids are known by 16 bytes of their SHA-256, for as long as an event of their time can be in a
//!   window: for ever beside a lifetime window.
//! - Without an id two equal events are two. A writer then has to write each exactly once.
//! - A delete removes all events, and keeps out those up to its time or the newest of them, if that is later.
//!
//! # Answers
//! A value is what its aggregate makes of the events in the window. A sum that overflows, and values past a limit, are
//! null here, for a read can't fail for one feature. Decayed values are as of the window's end. The status of null is `NULL_VALUE` if an event of
//! the key is visible and after the starts of all windows, else `NOT_FOUND`; a value is `PRESENT`, also the count 0 of a
//! key that nobody wrote (rules O2 and W3). The event time is that of the newest such event.

mod batch;
mod collect;
mod found;
mod head;
mod leaves;
mod place;
mod plan;
mod tiles;
mod write;

pub use batch::EventBatch;
pub use collect::Collected;
pub use found::{Asked, FoundKey};
pub use place::{EachEntry, Entries, EntriesMut, MemoryEntries, PLACE_BYTES, Place};
pub use plan::WindowPlan;

/// The version of the stored form of heads, leaves and tiles.
pub const WINDOW_FORMAT: u8 = 1;
