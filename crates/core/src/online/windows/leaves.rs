//! Sorted items of a key, cut into leaves: entries of some items each, so that one more rewrites a few of them.
//!
//! A leaf is at the place of the least item that it may have; the first of all is at the least place. An item is in the last
//! leaf that is not after it. A leaf that gets too large is cut in two, but never between equal orders.
//!
//! | bytes | a leaf of events |
//! | --- | --- |
//! | 1 | the format |
//! | | for each event: |
//! | 8 + 8 | its time and the `XXH64` of what follows the length, little-endian |
//! | 1 or more | the length of the rest, seven bits a byte |
//! | | a part for each measure, as in a tile |
//!
//! A leaf of ids is the format and the ids, 16 bytes each.

use std::ops::ControlFlow;

use twox_hash::XxHash64;

use super::WINDOW_FORMAT;
use super::head::check_format;
use super::place::{Entries, EntriesMut, Place};
use super::tiles::{Parts, write_length};
use crate::error::{Error, Result};
use crate::time::EventTime;

/// How many bytes of the SHA-256 an id is known by.
pub(super) const ID_BYTES: usize = 16;

const MOST_EVENTS: usize = 64;
const MOST_IDS: usize = 256;
const SEED: u64 = 0x6c65_6166;

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeptEvent {
    pub(super) time: EventTime,
    hash: u64,
    /// A part for each measure.
    pub(super) parts: Vec<u8>,
}

impl KeptEvent {
    pub(super) fn new(time: EventTime, parts: Vec<u8>) -> Self {
        Self { time, hash: XxHash64::oneshot(SEED, &parts), parts }
    }

    fn order(&self) -> (i64, u64) {
        (self.time.as_micros(), self.hash)
    }
}

const FIRST_EVENT: (i64, u64) = (i64::MIN, 0);

/// Adds an event. Events up to `expired` in its leaf are dropped.
pub(super) fn add_event(entries: &mut dyn EntriesMut, event: KeptEvent, expired: EventTime) -> Result<()> {
    let first = Place::events(FIRST_EVENT);
    let found = entries.last(&first, &Place::events(event.order()))?;
    let (place, mut events) = match found {
        Some((place, bytes)) => (place, decode_events(bytes)?),
        None => (first, Vec::new()),
    };
    events.retain(|event| event.time > expired);
    events.insert(events.partition_point(|other| *other <= event), event);
    let orders: Vec<_> = events.iter().map(KeptEvent::order).collect();
    match cut(&orders, MOST_EVENTS) {
        Some(at) => {
            entries.put(&Place::events(orders[at]), &encode_events(&events[at..]))?;
            entries.put(&place, &encode_events(&events[..at]))
        }
        None => entries.put(&place, &encode_events(&events)),
    }
}

/// Hands over the events after one time and up to another.
pub(super) fn events_between(
    entries: &dyn Entries,
    after: EventTime,
    until: EventTime,
    each: &mut dyn FnMut(KeptEvent) -> Result<()>,
) -> Result<()> {
    if after >= until {
        return Ok(());
    }
    let first = Place::events(FIRST_EVENT);
    let end = |time: EventTime| Place::events((time.as_micros(), u64::MAX));
    let from = entries.last(&first, &end(after))?.map_or(first, |(place, _)| place);
    entries.scan(&from, &end(until), &mut |_, bytes| {
        let within = decode_events(bytes)?.into_iter().filter(|event| after < event.time && event.time <= until);
        within.into_iter().try_for_each(&mut *each)?;
        Ok(ControlFlow::Continue(()))
    })
}

/// Removes the leaves that only have events up to a time.
pub(super) fn drop_events(entries: &mut dyn EntriesMut, expired: EventTime) -> Result<()> {
    let first = Place::events(FIRST_EVENT);
    let last = entries.last(&first, &Place::events((expired.as_micros(), u64::MAX)))?;
    let Some((place, bytes)) = last else { return Ok(()) };
    let is_expired = decode_events(bytes)?.iter().all(|event| event.time <= expired);
    if is_expired {
        return entries.remove(&first, &place);
    }
    // The leaf itself has later events; those before it have none.
    let (time, hash) = place.order();
    match hash.checked_sub(1).map(|hash| (time, hash)).or_else(|| Some((time.checked_sub(1)?, u64::MAX))) {
        Some(before) => entries.remove(&first, &Place::events(before)),
        None => Ok(()),
    }
}

/// Returns whether a leaf has only events up to a time.
pub(super) fn is_expired(bytes: &[u8], expired: EventTime) -> Result<bool> {
    Ok(decode_events(bytes)?.iter().all(|event| event.time <= expired))
}

fn decode_events(bytes: &[u8]) -> Result<Vec<KeptEvent>> {
    let mut rest = check_format(bytes, "leaf of events")?;
    let damaged = || Error::corrupt("a stored leaf of events ends early");
    let mut events = Vec::new();
    while !rest.is_empty() {
        let (order, after) = rest.split_at_checked(16).ok_or_else(damaged)?;
        let (numbers, _) = order.as_chunks::<8>();
        let mut parts = Parts::new(after);
        let part = parts.next()?;
        events.push(KeptEvent {
            time: EventTime::from_micros(i64::from_le_bytes(numbers[0])),
            hash: u64::from_le_bytes(numbers[1]),
            parts: part.to_vec(),
        });
        rest = parts.rest();
    }
    Ok(events)
}

fn encode_events(events: &[KeptEvent]) -> Vec<u8> {
    let mut bytes = vec![WINDOW_FORMAT];
    for event in events {
        bytes.extend_from_slice(&event.time.as_micros().to_le_bytes());
        bytes.extend_from_slice(&event.hash.to_le_bytes());
        write_length(event.parts.len(), &mut bytes);
        bytes.extend_from_slice(&event.parts);
    }
    bytes
}

/// Returns the eras that have ids.
pub(super) fn eras(entries: &dyn Entries) -> Result<Vec<i64>> {
    let mut eras: Vec<i64> = Vec::new();
    let mut from = Some(Place::ids((i64::MIN, 0)));
    let to = Place::ids((i64::MAX, u64::MAX));
    while let Some(first) = from.take() {
        entries.scan(&first, &to, &mut |place, _| {
            let (era, _) = place.order();
            eras.push(era);
            from = era.checked_add(1).map(|next| Place::ids((next, 0)));
            Ok(ControlFlow::Break(()))
        })?;
    }
    Ok(eras)
}

/// Returns whether an era has an id.
pub(super) fn has_id(entries: &dyn Entries, era: i64, id: &[u8; ID_BYTES]) -> Result<bool> {
    let leaf = entries.last(&Place::ids((era, 0)), &Place::ids((era, prefix(id))))?;
    Ok(leaf.map(|(_, bytes)| decode_ids(bytes)).transpose()?.is_some_and(|ids| ids.binary_search(id).is_ok()))
}

/// Adds an id to an era that does not have it.
pub(super) fn add_id(entries: &mut dyn EntriesMut, era: i64, id: &[u8; ID_BYTES]) -> Result<()> {
    let first = Place::ids((era, 0));
    let (place, mut ids) = match entries.last(&first, &Place::ids((era, prefix(id))))? {
        Some((place, bytes)) => (place, decode_ids(bytes)?.to_vec()),
        None => (first, Vec::new()),
    };
    ids.insert(ids.partition_point(|other| other <= id), *id);
    let orders: Vec<_> = ids.iter().map(|id| (era, prefix(id))).collect();
    match cut(&orders, MOST_IDS) {
        Some(at) => {
            entries.put(&Place::ids(orders[at]), &encode_ids(&ids[at..]))?;
            entries.put(&place, &encode_ids(&ids[..at]))
        }
        None => entries.put(&place, &encode_ids(&ids)),
    }
}

/// Removes the eras before one.
pub(super) fn drop_eras(entries: &mut dyn EntriesMut, before: i64) -> Result<()> {
    match before.checked_sub(1) {
        Some(last) => entries.remove(&Place::ids((i64::MIN, 0)), &Place::ids((last, u64::MAX))),
        None => Ok(()),
    }
}

fn prefix(id: &[u8; ID_BYTES]) -> u64 {
    id[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn decode_ids(bytes: &[u8]) -> Result<&[[u8; ID_BYTES]]> {
    match check_format(bytes, "leaf of ids")?.as_chunks() {
        (ids, []) => Ok(ids),
        _ => Err(Error::corrupt("a stored leaf of ids has half an id")),
    }
}

fn encode_ids(ids: &[[u8; ID_BYTES]]) -> Vec<u8> {
    let mut bytes = vec![WINDOW_FORMAT];
    ids.iter().for_each(|id| bytes.extend_from_slice(id));
    bytes
}

/// Returns where to cut items that are too many: the place nearest to the middle between two different orders.
fn cut(orders: &[(i64, u64)], most: usize) -> Option<usize> {
    if orders.len() <= most {
        return None;
    }
    let middle = orders.len() / 2;
    let places = (1..orders.len()).filter(|&at| orders[at - 1] != orders[at]);
    places.min_by_key(|at| at.abs_diff(middle))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::place::MemoryEntries;
    use super::*;

    fn at(micros: i64) -> EventTime {
        EventTime::from_micros(micros)
    }

    /// Returns a number that looks random.
    fn mixed(number: u64) -> u64 {
        XxHash64::oneshot(1, &number.to_le_bytes())
    }

    fn between(entries: &MemoryEntries, after: i64, until: i64) -> Result<Vec<KeptEvent>> {
        let mut found = Vec::new();
        events_between(entries, at(after), at(until), &mut |event| {
            found.push(event);
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn events_are_found_by_their_times_however_many_there_are() -> Result<()> {
        for (count, times) in [(40, 10), (3_000, 1_000), (3_000, 7), (500, 1)] {
            let mut entries = MemoryEntries::new();
            let mut all = Vec::new();
            for number in 0..count {
                let time = (mixed(number) % times).cast_signed() - 3;
                // Some are equal in all.
                let event = KeptEvent::new(at(time), (number / 2).to_le_bytes().to_vec());
                add_event(&mut entries, event.clone(), EventTime::MIN)?;
                all.push(event);
            }
            all.sort();
            let most = entries.values().map(|leaf| decode_events(leaf).map(|events| events.len()));
            let most = most.collect::<Result<Vec<_>>>()?.into_iter().max().unwrap_or(0);
            // Beside whole orders in one place.
            assert!(most <= MOST_EVENTS + 2, "{most} events in a leaf");
            for (after, until) in [(-9, 2_000), (0, 3), (5, 5), (100, 300), (-3, -2), (999, 2_000)] {
                let expected = all.iter().filter(|event| at(after) < event.time && event.time <= at(until));
                assert_eq!(between(&entries, after, until)?, expected.cloned().collect::<Vec<_>>());
            }
            for expired in [-4, 0, 3, 500] {
                let before = entries.len();
                drop_events(&mut entries, at(expired))?;
                let expected = all.iter().filter(|event| event.time > at(expired));
                assert_eq!(between(&entries, expired, 2_000)?, expected.cloned().collect::<Vec<_>>());
                assert!(entries.len() <= before && (expired < times.cast_signed() || entries.is_empty()));
            }
        }
        Ok(())
    }

    #[test]
    fn ids_are_known_in_their_era_however_many_there_are() -> Result<()> {
        let mut entries = MemoryEntries::new();
        let mut all = BTreeSet::new();
        for number in 0..5_000 {
            let era = (mixed(number) % 3).cast_signed() - 1;
            let mut id = [0; ID_BYTES];
            // Prefixes collide too.
            id[..8].copy_from_slice(&mixed(number % 4_000).to_be_bytes());
            id[8..].copy_from_slice(&number.to_be_bytes());
            assert!(!has_id(&entries, era, &id)?);
            add_id(&mut entries, era, &id)?;
            all.insert((era, id));
        }
        assert_eq!(eras(&entries)?, [-1, 0, 1]);
        for (era, id) in &all {
            for other in -1..2 {
                assert_eq!(has_id(&entries, other, id)?, other == *era);
            }
        }
        let kept = entries.values().map(|leaf| decode_ids(leaf).map(<[_]>::len)).collect::<Result<Vec<_>>>()?;
        assert!(kept.iter().sum::<usize>() == all.len() && kept.iter().all(|ids| *ids <= MOST_IDS + 1));
        drop_eras(&mut entries, 0)?;
        assert_eq!(eras(&entries)?, [0, 1]);
        Ok(())
    }
}
