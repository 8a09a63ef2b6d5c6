//! The rows of a view in memory, by key and time: for tables that are small beside the questions.
//!
//! A key's rows are sorted by the moment from which they are visible; each is marked with the best of
//! the rows up to it. A question finds the last row that is visible at its time by binary search, and
//! takes the best that is marked there. Memory is that of the rows; the questions need none.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat_batches;
use futures::StreamExt;
use lodestore_core::Result;
use lodestore_core::entity_key::KeyColumn;
use lodestore_core::time::{EventTime, Stopwatch};
use lodestore_core::types::compare_rows;

use super::features::{Layout, StoredFeatures};
use super::index::Asked;
use super::keys::{Keys, NO_KEY};
use super::pass::Visibility;
use super::strategy::Limits;
use super::view::{ViewPlan, ViewRun};
use crate::rows::Stamps;
use crate::source::Bounds;

/// The rows of a view, found by key and time.
#[derive(Debug)]
struct RowIndex {
    keys: Keys,
    /// For each key number, where its rows start; one more item at the end.
    starts: Vec<usize>,
    /// By key and the moment from which a row is visible: the best row up to then.
    rows: Vec<Best>,
}

#[derive(Debug, Clone, Copy)]
struct Best {
    /// From when on some row is visible.
    from: EventTime,
    /// The order of the best row that is visible then.
    order: (EventTime, EventTime),
    /// That row.
    row: u32,
}

/// Reads all rows of a view's table and answers the questions from them.
pub(crate) async fn answer(view: &ViewPlan, run: &ViewRun, asked: &Asked, limits: &Limits) -> Result<StoredFeatures> {
    let clock = Stopwatch::start();
    let reader = view.reader_of_all();
    let scan = view.table.scan(&reader.columns(), &Bounds::default(), 1).await?;
    run.found(scan.found);
    let mut batches = Vec::new();
    for mut stream in scan.streams {
        while let Some(batch) = stream.next().await {
            let batch = batch?;
            run.scanned(batch.num_rows(), 0)?;
            batches.push(batch);
        }
    }
    run.report(|report| {
        report.parts = 1;
        report.scan_time += clock.elapsed();
    });
    let clock = Stopwatch::start();
    let types = view.reader().feature_types();
    let store = limits.store(asked.count, asked.count, &types, Layout::Pieces)?;
    if let Some(first) = batches.first() {
        let rows = concat_batches(&first.schema(), &batches)?;
        drop(batches);
        let (keys, stamps) = reader.keys_and_stamps(&rows)?;
        let features = reader.features_of(&rows)?;
        let index = RowIndex::new(&keys, &stamps, &features, rows.num_rows(), run.visibility);
        run.report(|report| report.index_time += clock.elapsed());
        let answers = index.answers(asked, run.visibility);
        run.report(|report| report.rows_matched = answers.len() as u64);
        let asked_for = view.features.iter().map(|&feature| Arc::clone(&features[feature]));
        store.add_all(asked_for.collect(), &answers)?;
    }
    let stored = store.finish()?;
    run.report(|report| report.bytes_spilled += stored.bytes_spilled());
    Ok(stored)
}

impl RowIndex {
    fn new(keys: &[KeyColumn], stamps: &Stamps, features: &[ArrayRef], count: usize, visibility: Visibility) -> Self {
        let (keys, numbers) = Keys::number(keys, count, |row| stamps.at(row).is_some());
        let mut placed: Vec<(u32, Best)> = Vec::with_capacity(count);
        for (row, number) in numbers.into_iter().enumerate().filter(|(_, number)| *number != NO_KEY) {
            if let Some(stamp) = stamps.at(row) {
                placed.push((number, Best { order: stamp.order(), row: row as u32, from: visibility.from(stamp) }));
            }
        }
        placed.sort_unstable_by_key(|(number, best)| (*number, best.from));
        let mut starts = vec![0; keys.len() + 1];
        for (number, _) in &placed {
            starts[*number as usize + 1] += 1;
        }
        for number in 0..keys.len() {
            starts[number + 1] += starts[number];
        }
        let mut rows: Vec<Best> = placed.into_iter().map(|(_, best)| best).collect();
        let values = |a: &Best, b: &Best| compare_rows(features, a.row as usize, features, b.row as usize);
        for key in starts.windows(2) {
            for place in key[0] + 1..key[1] {
                let (before, this) = (rows[place - 1], rows[place]);
                if before.order.cmp(&this.order).then_with(|| values(&before, &this)).is_gt() {
                    rows[place] = Best { from: this.from, ..before };
                }
            }
        }
        Self { keys, starts, rows }
    }

    /// Returns the questions that some row answers, each with its row.
    fn answers(&self, asked: &Asked, visibility: Visibility) -> Vec<(u32, u32)> {
        let mut numbers = Vec::new();
        self.keys.find(&asked.keys, asked.count, &mut numbers);
        let answer = |(question, number): (usize, u32)| {
            let time = match &asked.times {
                Some(times) if times.is_null(question) => return None,
                Some(times) => EventTime::from_micros(times.value(question)),
                None => EventTime::MAX,
            };
            let rows = &self.rows[self.starts[number as usize]..self.starts[number as usize + 1]];
            let best = rows[..rows.partition_point(|row| row.from <= time)].last()?;
            (!visibility.is_too_old(best.order.0, time)).then_some((question as u32, best.row))
        };
        numbers.into_iter().enumerate().filter(|(_, number)| *number != NO_KEY).filter_map(answer).collect()
    }
}
