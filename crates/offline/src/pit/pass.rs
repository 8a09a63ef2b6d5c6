//! One pass over the rows of a view: each row is offered to the questions it may answer.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use lodestore_core::definition::ViewVersion;
use lodestore_core::entity_key::KeyColumn;
use lodestore_core::rows::RowStamp;
use lodestore_core::time::{EventTime, Micros};
use lodestore_core::{Error, ErrorKind, Result};
use tokio::task::JoinSet;

use super::index::QuestionIndex;
use super::keys::NO_KEY;
use super::view::ViewRun;
use super::winners::{Spread, TieColumns, Winners};
use crate::rows::{RowReader, Stamps};
use crate::source::{Chunk, RowNumbers, Scan, TableScan};

/// When a view's rows are visible.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visibility {
    pub(crate) delay: Micros,
    pub(crate) ttl: Option<Micros>,
    pub(crate) spread: Spread,
    pub(crate) as_known: bool,
}

impl Visibility {
    /// Returns when the rows of a view are visible; `as_known` adds rule P4.
    pub(crate) fn of(view: &ViewVersion, as_known: bool) -> Self {
        let ends = view.table.as_ref().is_some_and(|table| table.times.valid_to.is_some());
        let spread = if ends { Spread::OverRuns } else { Spread::ToTheEnd };
        Self { delay: view.availability_delay(), ttl: view.ttl(), spread, as_known }
    }

    /// Returns whether rows stay candidates once they are.
    pub(crate) fn is_to_the_end(&self) -> bool {
        self.spread == Spread::ToTheEnd
    }

    /// Returns whether a row is too old for a question at a time (rule P2): TTL counts from its event time, and
    /// a row as old as that is still young enough.
    pub(crate) fn is_too_old(&self, event: EventTime, asked: EventTime) -> bool {
        self.ttl.is_some_and(|ttl| event < asked.minus(ttl))
    }

    /// Returns the moment from which a row is visible.
    pub(crate) fn from(&self, stamp: RowStamp) -> EventTime {
        let known = if self.as_known { stamp.created } else { EventTime::MIN };
        stamp.event.plus(self.delay).max(known)
    }
}

/// A row that may answer some questions.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// Its place in its batch.
    pub(crate) row: usize,
    /// Its times.
    pub(crate) stamp: RowStamp,
    /// The places of its key.
    pub(crate) places: Range<usize>,
    /// Those among them whose questions it may answer; at least one.
    pub(crate) run: Range<usize>,
}

/// Finds the candidates among the rows of a batch.
fn candidates<'a>(
    index: &'a QuestionIndex,
    visibility: Visibility,
    stamps: &'a Stamps,
    numbers: &'a [u32],
) -> impl Iterator<Item = Candidate> + 'a {
    numbers.iter().enumerate().filter(|(_, number)| **number != NO_KEY).filter_map(move |(row, number)| {
        let stamp = stamps.at(row)?;
        let places = index.places_of(*number);
        let first = index.first_from(&places, visibility.from(stamp));
        // A row that is too old for the first question at or after it is too old for all.
        if first == places.end || visibility.is_too_old(stamp.event, index.time(first)) {
            return None;
        }
        let end = match stamp.valid_to {
            EventTime::MAX => places.end,
            valid_to => index.first_from(&places, valid_to),
        };
        (first < end).then_some(Candidate { row, stamp, places, run: first..end })
    })
}

/// What a thread of a pass has.
struct State {
    winners: Winners,
    numbers: Vec<u32>,
    hits: Vec<Hit>,
}

/// Passes over keys and times of a table of files; returns the winners by their addresses, or nothing
/// if so many rows are tied that their values must be seen at once.
pub(crate) async fn by_address(
    run: &ViewRun,
    index: &Arc<QuestionIndex>,
    scan: &TableScan,
    reader: &Arc<RowReader>,
) -> Result<Option<Winners>> {
    let too_many = Arc::new(AtomicBool::new(false));
    let places = index.places();
    let each = {
        let (index, reader, too_many, run) =
            (Arc::clone(index), Arc::clone(reader), Arc::clone(&too_many), run.clone());
        move |state: &mut State, Chunk { batch, rows, .. }: Chunk| {
            let (keys, stamps) = reader.keys_and_stamps(&batch)?;
            let matched = offer_addresses(&index, run.visibility, &keys, &stamps, &rows, state, batch.num_rows());
            run.scanned(batch.num_rows(), matched)?;
            if state.winners.has_too_many_ties() {
                too_many.store(true, Ordering::Relaxed);
                return Err(Error::new(ErrorKind::Exhausted, format!("too many rows of {} are tied", reader.source())));
            }
            Ok(())
        }
    };
    let start = || State { winners: Winners::by_address(places), numbers: Vec::new(), hits: Vec::new() };
    match scan.for_each(run.threads, start, each).await {
        Ok(states) => Ok(merged(states.into_iter().map(|state| state.winners))),
        Err(_) if too_many.load(Ordering::Relaxed) => Ok(None),
        Err(error) => Err(error),
    }
}

/// How many rows are searched for at a time.
const ROWS_AT_A_TIME: usize = 1024;

/// A row whose key is asked for. Many are looked at in turns, so they are small.
#[derive(Debug, Clone, Copy)]
struct Hit {
    row: u32,
    /// The number of its key; then the first place whose question it may answer.
    found: u32,
    event: EventTime,
    created: EventTime,
}

impl Hit {
    /// Returns the row's times; it is known to be a candidate to the end of time.
    fn stamp(&self) -> RowStamp {
        RowStamp { event: self.event, created: self.created, valid_to: EventTime::MAX }
    }
}

/// Offers the rows of a batch by their addresses; returns how many were candidates.
///
/// Keys, times and winners are far apart in memory, and each is found by way of the one before. So rows
/// take each step together: what the next step needs is asked for beforehand, and the machine waits
/// for many reads at once.
fn offer_addresses(
    index: &QuestionIndex,
    visibility: Visibility,
    keys: &[KeyColumn],
    stamps: &Stamps,
    rows: &RowNumbers,
    state: &mut State,
    count: usize,
) -> usize {
    index.keys().find(keys, count, &mut state.numbers);
    let (winners, hits) = (&mut state.winners, &mut state.hits);
    let mut matched = 0;
    for (block, numbers) in state.numbers.chunks(ROWS_AT_A_TIME).enumerate() {
        hits.clear();
        for (place, &found) in numbers.iter().enumerate().filter(|(_, number)| **number != NO_KEY) {
            let row = block * ROWS_AT_A_TIME + place;
            let Some(RowStamp { event, created, .. }) = stamps.at(row) else { continue };
            index.prefetch(&index.places_of(found));
            hits.push(Hit { row: row as u32, found, event, created });
        }
        hits.retain_mut(|hit| {
            let places = index.places_of(hit.found);
            let first = index.first_from(&places, visibility.from(hit.stamp()));
            hit.found = first as u32;
            // A row that is too old for the first question at or after it is too old for all.
            let matches = first < places.end && !visibility.is_too_old(hit.event, index.time(first));
            if matches {
                winners.prefetch(first);
            }
            matches
        });
        matched += hits.len();
        for hit in hits.iter() {
            winners.offer_address(hit.found as usize, hit.stamp(), rows.at(hit.row as usize));
        }
    }
    matched
}

/// Passes over the streams of any table, and keeps the features of the winners.
pub(crate) async fn keeping(
    run: &ViewRun,
    index: &Arc<QuestionIndex>,
    scan: Scan,
    reader: &Arc<RowReader>,
    columns: TieColumns,
) -> Result<Winners> {
    let mut tasks = JoinSet::new();
    for mut rows in scan.streams {
        let (run, index, reader) = (run.clone(), Arc::clone(index), Arc::clone(reader));
        tasks.spawn(async move {
            let mut winners = Winners::keeping(index.places(), run.visibility.spread, columns);
            let mut numbers = Vec::new();
            while let Some(batch) = rows.next().await {
                let batch = batch?;
                let (keys, stamps) = reader.keys_and_stamps(&batch)?;
                index.keys().find(&keys, batch.num_rows(), &mut numbers);
                let mut matched = 0;
                let found = candidates(&index, run.visibility, &stamps, &numbers).inspect(|_| matched += 1);
                winners.offer_batch(reader.features_of(&batch)?, batch.num_rows(), found)?;
                run.scanned(batch.num_rows(), matched)?;
                // Other work of the runtime gets its turn, and a dropped pass ends here.
                tokio::task::yield_now().await;
            }
            Ok::<_, Error>(winners)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.push(done.map_err(|e| Error::internal(format!("a task of the join ended early: {e}")))??);
    }
    let none = || Winners::keeping(index.places(), run.visibility.spread, columns);
    Ok(merged(all.into_iter()).unwrap_or_else(none))
}

fn merged(mut winners: impl Iterator<Item = Winners>) -> Option<Winners> {
    let mut first = winners.next()?;
    winners.for_each(|other| first.merge(other));
    Some(first)
}
