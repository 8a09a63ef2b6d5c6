//! Collects the events of the keys that are asked about, in order by key and time.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, UInt32Array};
use arrow::compute::{concat, filter, take};
use futures::StreamExt;
use lodestore_core::time::EventTime;
use lodestore_core::windows::{BoundAggregations, Deliveries, Events};
use lodestore_core::{Error, ErrorKind, Result};
use tokio::task::JoinSet;

use super::super::index::QuestionIndex;
use super::super::keys::NO_KEY;
use super::super::view::{ViewPlan, ViewRun, bounds};
use crate::rows::RowReader;
use crate::source::TimeBounds;

/// Events by key and, within a key, by time.
pub(super) struct Grouped {
    pub(super) events: Events,
    /// For each key number, where its events start; one more item at the end.
    pub(super) starts: Vec<usize>,
    /// Which of them are deliveries of one event, where that depends on the question.
    pub(super) deliveries: Option<Deliveries>,
}

/// The times of events that matter to some question: after the first, up to the last.
#[derive(Debug, Clone, Copy)]
struct Span {
    after: Option<EventTime>,
    until: EventTime,
}

/// Events of some batches, with the numbers of their keys.
#[derive(Default)]
struct Piece {
    numbers: Vec<u32>,
    times: Vec<i64>,
    created: Vec<ArrayRef>,
    inputs: Vec<Vec<ArrayRef>>,
    ids: Vec<ArrayRef>,
}

/// Reads the events that some question's window may take.
pub(super) async fn events(
    view: &ViewPlan,
    run: &ViewRun,
    index: &Arc<QuestionIndex>,
    reader: &Arc<RowReader>,
    bound: &Arc<BoundAggregations>,
) -> Result<Grouped> {
    let Some((first, last)) = index.time_range() else {
        return Grouped::new(Vec::new(), index, reader, bound, run.visibility.as_known);
    };
    let starts = bound.as_slice().iter().map(|one| one.start(first));
    let ends = bound.as_slice().iter().map(|one| one.end(last));
    let span = Span {
        // No start is before all.
        after: starts.min().flatten(),
        until: ends.max().unwrap_or(last),
    };
    let mut limits = bounds(&view.version, index);
    let times = view.version.table.as_ref().and_then(|table| table.times.event_time_column());
    limits.times =
        times.map(|column| TimeBounds { column: column.to_owned(), earliest: span.after, latest: Some(span.until) });
    let scan = view.table.scan(&reader.columns(), &limits, run.threads).await?;
    run.found(scan.found);
    let mut tasks = JoinSet::new();
    for mut rows in scan.streams {
        let (run, index, reader) = (run.clone(), Arc::clone(index), Arc::clone(reader));
        tasks.spawn(async move {
            let mut piece = Piece::default();
            let mut numbers = Vec::new();
            while let Some(batch) = rows.next().await {
                let batch = batch?;
                let taken = piece.add(&batch, &index, &reader, span, &mut numbers)?;
                run.scanned(batch.num_rows(), taken)?;
                tokio::task::yield_now().await;
            }
            Ok::<_, Error>(piece)
        });
    }
    let mut pieces = Vec::new();
    while let Some(done) = tasks.join_next().await {
        pieces.push(done.map_err(|e| Error::internal(format!("a task of the windows ended early: {e}")))??);
    }
    let grouped = Grouped::new(pieces, index, reader, bound, run.visibility.as_known);
    grouped.map_err(|error| error.with_context("view", view.version.reference()))
}

impl Piece {
    /// Takes the events of a batch that matter; returns how many these are.
    fn add(
        &mut self,
        batch: &arrow::array::RecordBatch,
        index: &QuestionIndex,
        reader: &RowReader,
        span: Span,
        numbers: &mut Vec<u32>,
    ) -> Result<usize> {
        let (keys, stamps) = reader.keys_and_stamps(batch)?;
        index.keys().find(&keys, batch.num_rows(), numbers);
        let Some(times) = &stamps.event else { return Err(Error::internal("events have times")) };
        let after = span.after.unwrap_or(EventTime::MIN).as_micros();
        let matters = |row: usize| {
            numbers[row] != NO_KEY
                && times.is_valid(row)
                && (span.after.is_none() || times.value(row) > after)
                && times.value(row) <= span.until.as_micros()
        };
        let kept: BooleanArray = (0..batch.num_rows()).map(|row| Some(matters(row))).collect();
        let count = kept.true_count();
        if count == 0 {
            return Ok(0);
        }
        let is_all = count == batch.num_rows();
        let chosen = |array: &dyn Array| -> Result<ArrayRef> {
            if is_all { Ok(array.slice(0, array.len())) } else { Ok(filter(array, &kept)?) }
        };
        // A value that does not fit is an error in a row that matters, and in no other.
        let rows = if is_all { batch.clone() } else { arrow::compute::filter_record_batch(batch, &kept)? };
        self.inputs.push(reader.features_of(&rows)?);
        for row in (0..batch.num_rows()).filter(|&row| kept.value(row)) {
            self.numbers.push(numbers[row]);
            self.times.push(times.value(row));
        }
        if let Some(created) = &stamps.created {
            self.created.push(chosen(created)?);
        }
        if let Some((_, ids)) = reader.event_ids(batch) {
            self.ids.push(chosen(ids)?);
        }
        Ok(count)
    }
}

impl Grouped {
    fn new(
        pieces: Vec<Piece>,
        index: &QuestionIndex,
        reader: &RowReader,
        bound: &BoundAggregations,
        as_known: bool,
    ) -> Result<Self> {
        let count: usize = pieces.iter().map(|piece| piece.numbers.len()).sum();
        if u32::try_from(count).is_err() {
            let why = format!("{count} events are in the windows, more than fit at once; set a memory_limit");
            return Err(Error::new(ErrorKind::Exhausted, why));
        }
        let keys = index.keys().len();
        let (mut starts, order) = in_order(&pieces, keys, count);
        let (mut created, mut ids) = (Vec::new(), Vec::new());
        let mut inputs: Vec<Vec<ArrayRef>> = vec![Vec::new(); bound.inputs().len()];
        let mut times = Vec::with_capacity(count);
        for piece in pieces {
            drop(piece.numbers);
            times.extend_from_slice(&piece.times);
            created.extend(piece.created);
            ids.extend(piece.ids);
            for columns in piece.inputs {
                inputs.iter_mut().zip(columns).for_each(|(all, column)| all.push(column));
            }
        }
        let order = UInt32Array::from(order);
        let sorted = |arrays: Vec<ArrayRef>| -> Result<Option<ArrayRef>> {
            if arrays.is_empty() {
                return Ok(None);
            }
            let whole = concat(&arrays.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
            drop(arrays);
            Ok(Some(take(&whole, &order, None)?))
        };
        let times = Int64Array::from_iter_values(order.values().iter().map(|&row| times[row as usize]));
        let created = sorted(created)?.map(|created| arrow::array::AsArray::as_primitive(&created).clone());
        let empty =
            |(_, ty): &(String, lodestore_core::types::FeatureType)| arrow::array::new_empty_array(&ty.to_arrow());
        let mut columns = Vec::with_capacity(inputs.len());
        for (arrays, input) in inputs.into_iter().zip(bound.inputs()) {
            columns.push(sorted(arrays)?.unwrap_or_else(|| empty(input)));
        }
        let deliveries = match (sorted(ids)?, reader.event_id()) {
            (Some(ids), Some(name)) => {
                Some(Deliveries::new((name, &ids), times.clone(), created.clone(), columns.clone())?)
            }
            _ => None,
        };
        // Of deliveries that are not known yet, the first is another one: each question decides then.
        let deliveries = match deliveries {
            Some(deliveries) if !as_known => deliveries,
            deliveries => return Ok(Self { events: bound.events(times, created, columns)?, starts, deliveries }),
        };
        let mut firsts: Vec<u32> = Vec::with_capacity(times.len());
        let mut start = 0;
        for key in 0..keys {
            let rows: Vec<u32> = (start as u32..starts[key + 1] as u32).collect();
            start = starts[key + 1];
            firsts.extend(deliveries.first(&rows));
            starts[key + 1] = firsts.len();
        }
        let firsts = UInt32Array::from(firsts);
        let chosen = |array: &dyn Array| take(array, &firsts, None);
        let created = created.map(|created: Int64Array| chosen(&created)).transpose()?;
        let columns = columns.iter().map(|column| Ok(chosen(column)?)).collect::<Result<Vec<_>>>()?;
        let times = arrow::array::AsArray::as_primitive(&chosen(&times)?).clone();
        let created = created.map(|created| arrow::array::AsArray::as_primitive(&created).clone());
        Ok(Self { events: bound.events(times, created, columns)?, starts, deliveries: None })
    }
}

/// Returns where each key's events start, and the events by key and time.
fn in_order(pieces: &[Piece], keys: usize, count: usize) -> (Vec<usize>, Vec<u32>) {
    let mut starts = vec![0_usize; keys + 1];
    for piece in pieces {
        piece.numbers.iter().for_each(|number| starts[*number as usize + 1] += 1);
    }
    for key in 0..keys {
        starts[key + 1] += starts[key];
    }
    let mut next = starts.clone();
    let mut placed = vec![(0_i64, 0_u32); count];
    let stamped = pieces.iter().flat_map(|piece| piece.numbers.iter().zip(&piece.times));
    for (event, (number, time)) in stamped.enumerate() {
        let place = &mut next[*number as usize];
        placed[*place] = (*time, event as u32);
        *place += 1;
    }
    for key in starts.windows(2) {
        placed[key[0]..key[1]].sort_unstable();
    }
    (starts, placed.into_iter().map(|(_, event)| event).collect())
}
