//! What is known of a key beside its events and tiles.

use super::WINDOW_FORMAT;
use super::place::{Entries, EntriesMut, Place};
use crate::error::{Error, Result};
use crate::time::EventTime;

/// The head of a key: 33 bytes, the format and four times in little-endian order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Up to when events were folded: the latest time of a write.
    pub(super) folded: EventTime,
    /// The newest of all events that are kept or in tiles; the least time for none.
    pub(super) newest: EventTime,
    /// The newest of those that were visible at the fold.
    pub(super) visible: EventTime,
    /// Events up to this time stay out; the least time where the key was never deleted.
    pub(super) deleted: EventTime,
}

impl Head {
    /// Returns the head of a key that has nothing.
    pub(super) fn new(now: EventTime) -> Self {
        Self { folded: now, newest: EventTime::MIN, visible: EventTime::MIN, deleted: EventTime::MIN }
    }

    pub(super) fn read(entries: &dyn Entries) -> Result<Option<Self>> {
        entries.get(&Place::HEAD)?.map(Self::decode).transpose()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let rest = check_format(bytes, "head")?;
        let (times, []) = rest.as_chunks::<8>() else { return Err(damaged()) };
        let &[folded, newest, visible, deleted] = times else { return Err(damaged()) };
        let time = |bytes| EventTime::from_micros(i64::from_le_bytes(bytes));
        Ok(Self { folded: time(folded), newest: time(newest), visible: time(visible), deleted: time(deleted) })
    }

    pub(super) fn write(self, entries: &mut dyn EntriesMut) -> Result<()> {
        let mut bytes = vec![WINDOW_FORMAT];
        for time in [self.folded, self.newest, self.visible, self.deleted] {
            bytes.extend_from_slice(&time.as_micros().to_le_bytes());
        }
        entries.put(&Place::HEAD, &bytes)
    }
}

fn damaged() -> Error {
    Error::corrupt("the stored head of a key's windows is damaged")
}

/// Returns what follows the format, if this version reads it.
pub(super) fn check_format<'a>(bytes: &'a [u8], what: &str) -> Result<&'a [u8]> {
    match bytes {
        [WINDOW_FORMAT, rest @ ..] => Ok(rest),
        [format, ..] if *format > WINDOW_FORMAT => Err(Error::unsupported(format!(
            "a stored {what} of windows has format {format}, and this version reads formats up to {WINDOW_FORMAT}"
        ))),
        _ => Err(Error::corrupt(format!("a stored {what} of windows does not tell its format"))),
    }
}
