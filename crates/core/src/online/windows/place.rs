//! Where entries of a key are, and what a store does with them.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::error::{Error, Result};

/// How many bytes a place has.
pub const PLACE_BYTES: usize = 17;

/// Where an entry of a key is. Places have the order of their bytes, and all are of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place([u8; PLACE_BYTES]);

/// What is at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Head,
    Events,
    Ids,
    Tile { group: u16, level: u8, tile: i64 },
}

const EVENTS: u8 = 1;
const IDS: u8 = 2;
const TILE: u8 = 3;

impl Place {
    /// Before all other places.
    pub const FIRST: Self = Self([0; PLACE_BYTES]);
    /// After all other places.
    pub const LAST: Self = Self([0xff; PLACE_BYTES]);

    /// The place of the head.
    pub(super) const HEAD: Self = Self::FIRST;

    /// Returns the place that has these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; PLACE_BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; PLACE_BYTES] {
        &self.0
    }

    pub(super) fn events(order: (i64, u64)) -> Self {
        Self::ordered(EVENTS, order)
    }

    pub(super) fn ids(order: (i64, u64)) -> Self {
        Self::ordered(IDS, order)
    }

    fn ordered(kind: u8, (number, hash): (i64, u64)) -> Self {
        let mut place = [0; PLACE_BYTES];
        place[0] = kind;
        place[1..9].copy_from_slice(&flipped(number));
        place[9..].copy_from_slice(&hash.to_be_bytes());
        Self(place)
    }

    pub(super) fn tile(group: u16, level: u8, tile: i64) -> Self {
        let mut place = [0; PLACE_BYTES];
        place[0] = TILE;
        place[1..3].copy_from_slice(&group.to_be_bytes());
        place[3] = level;
        place[4..12].copy_from_slice(&flipped(tile));
        Self(place)
    }

    /// Returns what is there.
    pub(super) fn kind(&self) -> Result<Kind> {
        let p = &self.0;
        Ok(match p[0] {
            0 => Kind::Head,
            EVENTS => Kind::Events,
            IDS => Kind::Ids,
            TILE => Kind::Tile { group: u16::from_be_bytes([p[1], p[2]]), level: p[3], tile: unflipped(&p[4..12]) },
            other => return Err(Error::corrupt(format!("a stored entry of windows has the unknown kind {other}"))),
        })
    }

    /// Returns the number and hash that leaves begin with.
    pub(super) fn order(&self) -> (i64, u64) {
        let hash = self.0[9..].iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        (unflipped(&self.0[1..9]), hash)
    }
}

/// Returns bytes that have the order of the numbers.
fn flipped(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ 1 << 63).to_be_bytes()
}

fn unflipped(bytes: &[u8]) -> i64 {
    (bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)) ^ 1 << 63).cast_signed()
}

/// What a scan hands entries over to; it says whether to go on.
pub type EachEntry<'a> = dyn FnMut(Place, &[u8]) -> Result<ControlFlow<()>> + 'a;

/// The entries of one key, to read. Both ends of a range belong to it.
pub trait Entries {
    /// Returns the bytes at a place.
    ///
    /// # Errors
    /// What the store says.
    fn get(&self, place: &Place) -> Result<Option<&[u8]>>;

    /// Returns the last entry of a range.
    ///
    /// # Errors
    /// What the store says.
    fn last(&self, from: &Place, to: &Place) -> Result<Option<(Place, &[u8])>>;

    /// Hands the entries of a range over, in order, until told to stop.
    ///
    /// # Errors
    /// What the store or the function says.
    fn scan(&self, from: &Place, to: &Place, each: &mut EachEntry<'_>) -> Result<()>;
}

/// The entries of one key, to change.
pub trait EntriesMut: Entries {
    /// Puts bytes at a place, instead of what is there.
    ///
    /// # Errors
    /// What the store says.
    fn put(&mut self, place: &Place, bytes: &[u8]) -> Result<()>;

    /// Removes the entries of a range.
    ///
    /// # Errors
    /// What the store says.
    fn remove(&mut self, from: &Place, to: &Place) -> Result<()>;
}

/// The entries of one key in memory.
pub type MemoryEntries = BTreeMap<Place, Vec<u8>>;

impl Entries for MemoryEntries {
    fn get(&self, place: &Place) -> Result<Option<&[u8]>> {
        Ok(BTreeMap::get(self, place).map(Vec::as_slice))
    }

    fn last(&self, from: &Place, to: &Place) -> Result<Option<(Place, &[u8])>> {
        Ok(self.range(from..=to).next_back().map(|(place, bytes)| (*place, bytes.as_slice())))
    }

    fn scan(&self, from: &Place, to: &Place, each: &mut EachEntry<'_>) -> Result<()> {
        for (place, bytes) in self.range(from..=to) {
            if each(*place, bytes)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl EntriesMut for MemoryEntries {
    fn put(&mut self, place: &Place, bytes: &[u8]) -> Result<()> {
        self.insert(*place, bytes.to_vec());
        Ok(())
    }

    fn remove(&mut self, from: &Place, to: &Place) -> Result<()> {
        self.retain(|place, _| place < from || place > to);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_the_order_of_what_they_name() -> Result<()> {
        let tile = |group, level, tile| Place::tile(group, level, tile);
        let ascending = [
            Place::HEAD,
            Place::events((i64::MIN, 0)),
            Place::events((-1, 5)),
            Place::events((0, 4)),
            Place::events((0, u64::MAX)),
            Place::ids((-3, 9)),
            Place::ids((i64::MAX, u64::MAX)),
            tile(0, 0, i64::MIN),
            tile(0, 0, -1),
            tile(0, 0, 0),
            tile(0, 1, -9),
            tile(256, 0, i64::MAX),
            Place::LAST,
        ];
        assert!(ascending.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(Place::events((-1, 5)).order(), (-1, 5));
        assert_eq!(tile(256, 3, -7).kind()?, Kind::Tile { group: 256, level: 3, tile: -7 });
        assert!(Place::LAST.kind().is_err());
        Ok(())
    }
}
