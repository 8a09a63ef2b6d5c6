//! Writes and deletes of one key.

use std::collections::{BTreeMap, BTreeSet};

use super::batch::EventBatch;
use super::head::Head;
use super::leaves::{ID_BYTES, KeptEvent, add_event, add_id, drop_eras, drop_events, eras, events_between, has_id};
use super::place::{Entries, EntriesMut, Place};
use super::plan::{Group, WindowPlan};
use super::tiles::{LEVEL_BITS, Parts, States, add_to_tile, merge_state};
use crate::aggregation::State;
use crate::error::Result;
use crate::online::WriteReport;
use crate::time::{EventTime, Micros};

/// What is to be added to the tiles of a hop, by group and number.
type Added = BTreeMap<(usize, i64), States>;

impl EventBatch<'_> {
    /// Writes events, given by their rows, which all have one key, into the entries of that key. `now` says which events
    /// have entered the windows, and which have left them for good.
    ///
    /// Written are the events that count; skipped are those that are too old for every window, were told before, or
    /// are kept out by a delete.
    ///
    /// # Errors
    /// `Corrupt` if an entry is damaged, and what the store says. The entries may have changed then.
    pub fn write_key(&self, rows: &[u32], entries: &mut dyn EntriesMut, now: EventTime) -> Result<WriteReport> {
        let stored = Head::read(entries)?;
        let mut head = stored.unwrap_or(Head::new(now));
        let before = head.folded;
        head.folded = before.max(now);
        let rows = self.taken(rows, &head, entries)?;
        let report = WriteReport { written: rows.taken.len() as u64, skipped: rows.skipped };
        if rows.taken.is_empty() {
            return Ok(report);
        }
        let mut added = Added::new();
        if stored.is_some() {
            self.plan.fold(before, &mut head, entries, &mut added)?;
        }
        for row in rows.taken {
            self.add(row, &mut head, entries, &mut added)?;
        }
        self.plan.put_tiles(added, entries)?;
        self.plan.drop_expired(before, head.folded, entries)?;
        if stored != Some(head) {
            head.write(entries)?;
        }
        Ok(report)
    }

    /// Returns which events count; the ids of these are stored from now on.
    fn taken(&self, rows: &[u32], head: &Head, entries: &mut dyn EntriesMut) -> Result<Taken> {
        let kept_out = self.plan.expired(head.folded).max(head.deleted);
        let mut taken: Vec<u32> = rows.iter().copied().filter(|row| self.time(*row) > kept_out).collect();
        if self.plan.has_ids && !taken.is_empty() {
            taken.sort_by(|left, right| self.compare(*left, *right));
            let mut known = Known { eras: eras(entries)? };
            let mut new = Vec::with_capacity(taken.len());
            for row in taken {
                let Some(id) = self.id(row) else { continue };
                if known.insert(entries, self.plan.era(self.time(row)), &id)? {
                    new.push(row);
                }
            }
            taken = new;
        }
        let skipped = (rows.len() - taken.len()) as u64;
        Ok(Taken { taken, skipped })
    }

    fn add(&self, row: u32, head: &mut Head, entries: &mut dyn EntriesMut, added: &mut Added) -> Result<()> {
        let (plan, time) = (self.plan, self.time(row));
        head.newest = head.newest.max(time);
        if time <= head.folded.minus(plan.delay) {
            head.visible = head.visible.max(time);
        }
        for (place, group) in plan.groups.iter().enumerate() {
            let tile = group.tile(time);
            if time <= head.folded.minus(group.lag) && tile >= group.first(head.folded) {
                let states = added.entry((place, tile)).or_insert_with(|| vec![None; group.measures.len()]);
                for (measure, state) in group.measures.iter().zip(states) {
                    self.update(*measure, row, state)?;
                }
            }
        }
        let kept_after = plan.kept_after(head.folded);
        if time > kept_after {
            add_event(entries, KeptEvent::new(time, self.parts(row)?), kept_after)?;
        }
        Ok(())
    }
}

/// Which events of a write count.
struct Taken {
    taken: Vec<u32>,
    skipped: u64,
}

/// The ids that a key has.
struct Known {
    eras: Vec<i64>,
}

impl Known {
    /// Adds an id to an era unless any era has it; returns whether it was added.
    fn insert(&mut self, entries: &mut dyn EntriesMut, era: i64, id: &[u8; ID_BYTES]) -> Result<bool> {
        for known in &self.eras {
            if has_id(entries, *known, id)? {
                return Ok(false);
            }
        }
        add_id(entries, era, id)?;
        if !self.eras.contains(&era) {
            self.eras.push(era);
        }
        Ok(true)
    }
}

impl WindowPlan {
    /// Deletes a key as of `at`, or as of its newest event if that is later.
    ///
    /// # Errors
    /// `Corrupt` if the head is damaged, and what the store says.
    pub fn delete_key(&self, entries: &mut dyn EntriesMut, at: EventTime) -> Result<()> {
        let old = Head::read(entries)?.unwrap_or(Head::new(EventTime::MIN));
        let deleted = old.deleted.max(old.newest).max(at);
        entries.remove(&Place::FIRST, &Place::LAST)?;
        Head { deleted, ..Head::new(old.folded) }.write(entries)
    }

    /// Adds the kept events that have entered windows since the last fold.
    fn fold(&self, before: EventTime, head: &mut Head, entries: &dyn Entries, added: &mut Added) -> Result<()> {
        let lags: BTreeSet<Micros> = self.groups.iter().map(|group| group.lag).chain([self.delay]).collect();
        for lag in lags {
            let (after, until) = (before.minus(lag), head.folded.minus(lag));
            if head.newest <= after {
                continue;
            }
            let groups = self.groups.iter().enumerate().filter(|(_, group)| group.lag == lag);
            let groups: Vec<(usize, &Group)> = groups.collect();
            let (folded, mut visible) = (head.folded, head.visible);
            events_between(entries, after, until, &mut |event| {
                if lag == self.delay {
                    visible = visible.max(event.time);
                }
                for (place, group) in &groups {
                    let tile = group.tile(event.time);
                    if tile < group.first(folded) {
                        continue;
                    }
                    let states = added.entry((*place, tile)).or_insert_with(|| vec![None; group.measures.len()]);
                    for (measure, state) in group.measures.iter().zip(states) {
                        self.merge_part(*measure, Parts::new(&event.parts).at(*measure)?, state)?;
                    }
                }
                Ok(())
            })?;
            head.visible = visible;
        }
        Ok(())
    }

    /// Adds a stored state to another.
    pub(super) fn merge_part(&self, measure: usize, part: &[u8], into: &mut Option<State>) -> Result<()> {
        if part.is_empty() {
            return Ok(());
        }
        let aggregate = self.aggregate(measure);
        let state = aggregate.decode(part)?;
        match into {
            Some(into) => aggregate.merge(into, &state),
            None => {
                *into = Some(state);
                Ok(())
            }
        }
    }

    /// Adds states to the tiles of all levels.
    fn put_tiles(&self, added: Added, entries: &mut dyn EntriesMut) -> Result<()> {
        let mut level_of = added;
        for level in 0..u8::MAX {
            let mut above = Added::new();
            for ((place, tile), states) in level_of {
                let group = &self.groups[place];
                let aggregates = self.aggregates(group);
                let at = Place::tile(place as u16, level, tile);
                let bytes = add_to_tile(&aggregates, entries.get(&at)?, &states)?;
                entries.put(&at, &bytes)?;
                if level + 1 < group.levels {
                    let merged = above.entry((place, tile >> LEVEL_BITS)).or_insert_with(|| vec![None; states.len()]);
                    for ((aggregate, into), state) in aggregates.iter().zip(merged).zip(&states) {
                        state.iter().try_for_each(|state| merge_state(aggregate, into, state))?;
                    }
                }
            }
            if above.is_empty() {
                break;
            }
            level_of = above;
        }
        Ok(())
    }

    /// Removes what reads after the new fold can't ask for and those after the old one could.
    fn drop_expired(&self, before: EventTime, folded: EventTime, entries: &mut dyn EntriesMut) -> Result<()> {
        if !self.kept.is_zero() || before != folded {
            drop_events(entries, self.kept_after(folded))?;
        }
        if self.has_ids && self.first_era(before) != self.first_era(folded) {
            drop_eras(entries, self.first_era(folded))?;
        }
        for (place, group) in self.groups.iter().enumerate() {
            let first = group.first(folded);
            if first == group.first(before) {
                continue;
            }
            for level in 0..group.levels {
                let expired = Group::last_expired(first, level);
                entries
                    .remove(&Place::tile(place as u16, level, i64::MIN), &Place::tile(place as u16, level, expired))?;
            }
        }
        Ok(())
    }
}

impl Group {
    /// Returns the last tile of a level that has nothing of a tile and those after it.
    pub(super) fn last_expired(first: i64, level: u8) -> i64 {
        (first >> (LEVEL_BITS * u32::from(level))).saturating_sub(1)
    }
}
