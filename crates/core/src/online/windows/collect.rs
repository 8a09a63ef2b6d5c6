//! What no later read can ask for, of keys that nobody writes.

use super::head::Head;
use super::leaves::is_expired;
use super::place::{Kind, Place};
use super::plan::{Group, WindowPlan};
use crate::error::{Error, Result};
use crate::time::EventTime;

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collected {
    /// It stays.
    Kept,
    /// It can be removed.
    Expired,
}

impl WindowPlan {
    /// Returns whether an entry can be removed, since no read at `now` or later asks for it.
    ///
    /// # Errors
    /// `Corrupt` if the entry is damaged.
    pub fn collect(&self, place: &Place, bytes: &[u8], now: EventTime) -> Result<Collected> {
        let is_expired = match place.kind()? {
            Kind::Head => {
                let head = Head::decode(bytes)?;
                // Without the head nothing says that a key was deleted, or up to when events are in tiles.
                head.deleted == EventTime::MIN && head.newest <= self.expired(now) && self.matters.is_some()
            }
            Kind::Events => {
                // Not all that is kept is in tiles, so what a window may still take stays.
                self.matters.is_some() && is_expired(bytes, self.expired(now))?
            }
            Kind::Ids => place.order().0 < self.first_era(now),
            Kind::Tile { group, level, tile } => {
                let found = self.groups.get(usize::from(group));
                let group = found.ok_or_else(|| Error::corrupt(format!("a stored tile is of group {group}")))?;
                tile <= Group::last_expired(group.first(now), level) && group.first(now) != i64::MIN
            }
        };
        Ok(if is_expired { Collected::Expired } else { Collected::Kept })
    }
}
