//! Tiles: states side by side, and which tiles make up a window.
//!
//! | bytes | a tile |
//! | --- | --- |
//! | 1 | the format |
//! | | a part for each measure of the group: |
//! | 1 or more | its length, seven bits a byte, the lowest first; 0 for a measure without events |
//! | | the state, as [`Aggregate::encode`] writes it |

use super::WINDOW_FORMAT;
use super::head::check_format;
use crate::aggregation::{Aggregate, State};
use crate::error::{Error, Result};

/// By how many bits levels differ: a tile has the events of 4 tiles of the level below. More levels make reads cheaper, which
/// look at one or two tiles of each, and writes dearer, which change one of each.
pub(super) const LEVEL_BITS: u32 = 2;

const FAN: i64 = 1 << LEVEL_BITS;

/// Tiles of one level, from one number to another, both of them included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) level: u8,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// Returns the tiles that have what is in the tiles of a hop from one on: up to three of each level but the last.
pub(super) fn runs(first: i64, levels: u8) -> impl Iterator<Item = Run> {
    let mut next = Some(first);
    (0..levels).filter_map(move |level| {
        let from = next?;
        if level + 1 == levels {
            return Some(Run { level, from, to: i64::MAX });
        }
        // The first of the next level that begins here or later; beyond the end of time there is none.
        let above = (from >> LEVEL_BITS) + i64::from(from & (FAN - 1) != 0);
        next = Some(above);
        match above.checked_mul(FAN) {
            Some(end) => (from < end).then(|| Run { level, from, to: end - 1 }),
            None => Some(Run { level, from, to: i64::MAX }),
        }
    })
}

/// Returns how many levels are kept for windows of so many tiles.
pub(super) fn levels(tiles: i64) -> u8 {
    let (mut levels, mut tiles) = (1, tiles);
    while tiles > 2 * FAN && levels < 24 {
        tiles >>= LEVEL_BITS;
        levels += 1;
    }
    levels
}

/// Reads parts, each after its length.
#[derive(Debug, Clone)]
pub(super) struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the parts of a tile.
    pub(super) fn of_tile(bytes: &'a [u8]) -> Result<Self> {
        check_format(bytes, "tile").map(Self)
    }

    pub(super) fn next(&mut self) -> Result<&'a [u8]> {
        let mut length = 0_usize;
        for shift in (0..usize::BITS).step_by(7) {
            let (&byte, rest) = self.0.split_first().ok_or_else(ends_early)?;
            self.0 = rest;
            length |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                let (part, rest) = self.0.split_at_checked(length).ok_or_else(ends_early)?;
                self.0 = rest;
                return Ok(part);
            }
        }
        Err(Error::corrupt("a stored part of windows has a length of more than 64 bits"))
    }

    /// Returns the part at a place, counted from here.
    #[inline]
    pub(super) fn at(mut self, place: usize) -> Result<&'a [u8]> {
        for _ in 0..place {
            self.next()?;
        }
        self.next()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }
}

fn ends_early() -> Error {
    Error::corrupt("stored parts of windows end early")
}

pub(super) fn write_length(mut length: usize, to: &mut Vec<u8>) {
    while length >= 0x80 {
        to.push(length as u8 | 0x80);
        length >>= 7;
    }
    to.push(length as u8);
}

/// Appends the part of a state.
pub(super) fn write_part(aggregate: &Aggregate, state: &State, to: &mut Vec<u8>) {
    let mut bytes = Vec::new();
    aggregate.encode(state, &mut bytes);
    write_length(bytes.len(), to);
    to.extend_from_slice(&bytes);
}

/// The states of a tile, in the order of its group's measures; `None` where there was no event.
pub(super) type States = Vec<Option<State>>;

/// Adds a state to another, or puts it where there is none.
pub(super) fn merge_state(aggregate: &Aggregate, into: &mut Option<State>, state: &State) -> Result<()> {
    match into {
        Some(into) => aggregate.merge(into, state),
        None => {
            *into = Some(state.clone());
            Ok(())
        }
    }
}

/// Returns the bytes of a tile after some states were added.
pub(super) fn add_to_tile(aggregates: &[&Aggregate], stored: Option<&[u8]>, added: &States) -> Result<Vec<u8>> {
    let mut parts = stored.map(Parts::of_tile).transpose()?;
    let mut bytes = vec![WINDOW_FORMAT];
    for (aggregate, added) in aggregates.iter().zip(added) {
        let part = parts.as_mut().map(Parts::next).transpose()?.unwrap_or_default();
        match added {
            None => {
                write_length(part.len(), &mut bytes);
                bytes.extend_from_slice(part);
            }
            Some(added) if part.is_empty() => write_part(aggregate, added, &mut bytes),
            Some(added) => {
                let mut state = aggregate.decode(part)?;
                aggregate.merge(&mut state, added)?;
                write_part(aggregate, &state, &mut bytes);
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_have_each_tile_once() {
        for levels in 1..6_u8 {
            for first in -600..600 {
                let runs: Vec<Run> = runs(first, levels).collect();
                assert!(runs.iter().all(|run| run.level + 1 == levels || run.to - run.from < FAN - 1), "{runs:?}");
                for tile in first - 40..first + 700 {
                    let has = |run: &&Run| (run.from..=run.to).contains(&(tile >> (LEVEL_BITS * u32::from(run.level))));
                    let found = runs.iter().filter(has).count();
                    assert_eq!(found, usize::from(tile >= first), "tile {tile} from {first}: {runs:?}");
                }
            }
        }
        assert!(runs(i64::MAX - 3, 3).all(|run| run.from <= run.to));
        assert!(runs(i64::MIN, 3).all(|run| run.from <= run.to));
    }

    #[test]
    fn lengths_are_read_as_written() -> Result<()> {
        let mut bytes = Vec::new();
        for length in [0, 1, 127, 128, 300, 20_000] {
            write_length(length, &mut bytes);
            bytes.resize(bytes.len() + length, 7);
        }
        let mut parts = Parts::new(&bytes);
        for length in [0, 1, 127, 128, 300, 20_000] {
            assert_eq!(parts.next()?.len(), length);
        }
        assert!(parts.next().is_err() && parts.rest().is_empty());
        assert_eq!(Parts::new(&bytes).at(3)?.len(), 128);
        Ok(())
    }
}
