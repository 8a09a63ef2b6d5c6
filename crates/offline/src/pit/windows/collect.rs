//! Collects the events of the keys that are asked about, in parts by key, and puts a part in order by key and time.
//!
//! A batch of events is sorted by part when it comes, and stays in one piece; a part is a slice of each. So events are
//! written once while the table is read, a part is small enough to be put in order near the processor, and threads
//! take parts as they come.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array, new_empty_array};
use arrow::compute::{concat, take};
use futures::StreamExt;
use lodestore_core::time::EventTime;
use lodestore_core::types::FeatureType;
use lodestore_core::windows::{BoundAggregations, Deliveries, Events};
use lodestore_core::{Error, ErrorKind, Result};
use tokio::task::JoinSet;

use super::super::index::QuestionIndex;
use super::super::keys::NO_KEY;
use super::super::view::{ViewPlan, ViewRun, bounds};
use crate::rows::RowReader;
use crate::source::TimeBounds;

/// About so many events are in a part.
const EVENTS_OF_A_PART: usize = 64 * 1024;

/// There are no more parts than this.
const MOST_PARTS: usize = 1024;

/// Events by key and, within a key, by time.
pub(super) struct Grouped {
    pub(super) events: Events,
    /// The keys, by their numbers.
    pub(super) keys: Range<usize>,
    /// For each of them, where its events start; one more item at the end.
    starts: Vec<usize>,
    /// Which of them are deliveries of one event, where that depends on the question.
    pub(super) deliveries: Option<Deliveries>,
}

impl Grouped {
    /// Returns where the events of a key are.
    pub(super) fn of(&self, key: usize) -> Range<usize> {
        self.starts[key - self.keys.start]..self.starts[key - self.keys.start + 1]
    }
}

/// Which events matter, and which part they belong to.
struct Sorter {
    index: Arc<QuestionIndex>,
    reader: Arc<RowReader>,
    /// For each key the times of events that matter to one of its questions: after the first, up to the second.
    spans: Vec<(i64, i64)>,
    /// A part has the keys whose numbers are equal but for so many bits at the end.
    bits: u32,
}

/// Events of a batch that matter, by part.
struct Sorted {
    /// For each part, where its events start; one more item at the end.
    starts: Vec<u32>,
    /// The numbers of their keys.
    numbers: Vec<u32>,
    times: Vec<i64>,
    created: Option<ArrayRef>,
    inputs: Vec<ArrayRef>,
    ids: Option<ArrayRef>,
}

/// All events that matter.
pub(super) struct Collected {
    sorter: Sorter,
    batches: Vec<Sorted>,
}

/// Reads the events that some question's window may take.
pub(super) async fn events(
    view: &ViewPlan,
    run: &ViewRun,
    index: &Arc<QuestionIndex>,
    reader: &Arc<RowReader>,
    bound: &BoundAggregations,
    expected: usize,
) -> Result<Collected> {
    let sorter = Arc::new(Sorter::new(Arc::clone(index), Arc::clone(reader), bound, expected));
    let mut batches = Vec::new();
    if let Some((first, last)) = index.time_range() {
        let mut limits = bounds(&view.version, index);
        let times = view.version.table.as_ref().and_then(|table| table.times.event_time_column());
        let ends = bound.as_slice().iter().map(|one| one.end(last));
        limits.times = times.map(|column| TimeBounds {
            column: column.to_owned(),
            // No start is before all.
            earliest: bound.as_slice().iter().map(|one| one.start(first)).min().flatten(),
            latest: Some(ends.max().unwrap_or(last)),
        });
        let scan = view.table.scan(&reader.columns(), &limits, run.threads).await?;
        run.found(scan.found);
        let mut tasks = JoinSet::new();
        for mut rows in scan.streams {
            let (run, sorter) = (run.clone(), Arc::clone(&sorter));
            tasks.spawn(async move {
                let mut all = Vec::new();
                let mut numbers = Vec::new();
                while let Some(batch) = rows.next().await {
                    let batch = batch?;
                    let sorted = sorter.sorted(&batch, &mut numbers)?;
                    run.scanned(batch.num_rows(), sorted.as_ref().map_or(0, |sorted| sorted.numbers.len()))?;
                    all.extend(sorted);
                    tokio::task::yield_now().await;
                }
                Ok::<_, Error>(all)
            });
        }
        while let Some(done) = tasks.join_next().await {
            batches.extend(done.map_err(|e| Error::internal(format!("a task of the windows ended early: {e}")))??);
        }
    }
    let sorter = Arc::into_inner(sorter).ok_or_else(|| Error::internal("a scan goes on after its end"))?;
    Ok(Collected { sorter, batches })
}

impl Sorter {
    fn new(index: Arc<QuestionIndex>, reader: Arc<RowReader>, bound: &BoundAggregations, expected: usize) -> Self {
        let keys = index.keys().len();
        let parts = (expected / EVENTS_OF_A_PART).clamp(1, MOST_PARTS);
        let bits = keys.div_ceil(parts).max(1).next_power_of_two().trailing_zeros();
        let span = |places: Range<usize>| {
            let (first, last) = (index.time(places.start), index.time(places.end - 1));
            let starts = bound.as_slice().iter().map(|one| one.start(first).map_or(i64::MIN, EventTime::as_micros));
            let ends = bound.as_slice().iter().map(|one| one.end(last).as_micros());
            // Times of events are greater than the least of all.
            (starts.min().unwrap_or(i64::MIN), ends.max().unwrap_or(i64::MAX))
        };
        let spans = index.runs().map(span).collect();
        Self { index, reader, spans, bits }
    }

    fn parts(&self) -> usize {
        (self.spans.len() >> self.bits) + 1
    }

    /// Returns the events of a batch that matter.
    fn sorted(&self, batch: &RecordBatch, numbers: &mut Vec<u32>) -> Result<Option<Sorted>> {
        let (keys, stamps) = self.reader.keys_and_stamps(batch)?;
        self.index.keys().find(&keys, batch.num_rows(), numbers);
        let Some(times) = &stamps.event else { return Err(Error::internal("events have times")) };
        let mut starts = vec![0_u32; self.parts() + 1];
        for (row, number) in numbers.iter_mut().enumerate() {
            let span = self.spans.get(*number as usize);
            let matters = span.is_some_and(|(after, until)| {
                let time = times.value(row);
                times.is_valid(row) && (time > *after || *after == i64::MIN) && time <= *until
            });
            if matters {
                starts[(*number >> self.bits) as usize + 1] += 1;
            } else {
                *number = NO_KEY;
            }
        }
        for part in 1..starts.len() {
            starts[part] += starts[part - 1];
        }
        let count = starts[starts.len() - 1] as usize;
        if count == 0 {
            return Ok(None);
        }
        let mut next = starts.clone();
        let mut rows = vec![0_u32; count];
        for (row, number) in numbers.iter().enumerate().filter(|(_, number)| **number != NO_KEY) {
            let place = &mut next[(*number >> self.bits) as usize];
            rows[*place as usize] = row as u32;
            *place += 1;
        }
        let rows = UInt32Array::from(rows);
        let ids = self.reader.event_ids(batch).map(|(_, ids)| take(ids, &rows, None)).transpose()?;
        let created = stamps.created.as_ref().map(|created| take(created, &rows, None)).transpose()?;
        Ok(Some(Sorted {
            starts,
            numbers: rows.values().iter().map(|&row| numbers[row as usize]).collect(),
            times: rows.values().iter().map(|&row| times.value(row as usize)).collect(),
            created,
            inputs: self.reader.features_of_rows(batch, &rows)?,
            ids,
        }))
    }
}

impl Collected {
    /// Returns how many parts there are.
    pub(super) fn parts(&self) -> usize {
        self.sorter.parts()
    }

    /// Returns the index of the questions.
    pub(super) fn index(&self) -> &QuestionIndex {
        &self.sorter.index
    }

    /// Returns a part of the events in order.
    pub(super) fn part(&self, part: usize, bound: &BoundAggregations, as_known: bool) -> Result<Grouped> {
        let keys = part << self.sorter.bits..((part + 1) << self.sorter.bits).min(self.sorter.spans.len());
        let slices: Vec<(&Sorted, Range<usize>)> = self
            .batches
            .iter()
            .map(|batch| (batch, batch.starts[part] as usize..batch.starts[part + 1] as usize))
            .filter(|(_, slice)| !slice.is_empty())
            .collect();
        let count: usize = slices.iter().map(|(_, slice)| slice.len()).sum();
        if u32::try_from(count).is_err() {
            let why = format!("the windows of a few keys take {count} events, which are more than fit at once");
            return Err(Error::new(ErrorKind::Exhausted, why));
        }
        let (starts, placed) = in_order(&slices, &keys, count);
        let times = Int64Array::from_iter_values(placed.iter().map(|(time, _)| *time));
        let order: UInt32Array = placed.into_iter().map(|(_, event)| event).collect::<Vec<_>>().into();
        let column = |column: &dyn Fn(&Sorted) -> Option<ArrayRef>| -> Result<Option<ArrayRef>> {
            let arrays =
                slices.iter().filter_map(|(batch, slice)| Some(column(batch)?.slice(slice.start, slice.len())));
            let arrays: Vec<ArrayRef> = arrays.collect();
            if arrays.is_empty() {
                return Ok(None);
            }
            let whole = concat(&arrays.iter().map(AsRef::as_ref).collect::<Vec<_>>())?;
            Ok(Some(take(&whole, &order, None)?))
        };
        let created = column(&|batch| batch.created.clone())?.map(|created| created.as_primitive().clone());
        let input = |(place, (_, ty)): (usize, &(String, FeatureType))| {
            let found = column(&|batch| Some(Arc::clone(&batch.inputs[place])))?;
            Ok(found.unwrap_or_else(|| new_empty_array(&ty.to_arrow())))
        };
        let inputs = bound.inputs().iter().enumerate().map(input).collect::<Result<Vec<ArrayRef>>>()?;
        let ids = column(&|batch| batch.ids.clone())?;
        let deliveries = match (ids, self.sorter.reader.event_id()) {
            (Some(ids), Some(name)) => {
                Some(Deliveries::new((name, &ids), times.clone(), created.clone(), inputs.clone())?)
            }
            _ => None,
        };
        match deliveries {
            Some(deliveries) if !as_known => first_only(bound, keys, starts, &deliveries, (times, created, inputs)),
            // Of deliveries that are not known yet, the first is another one: each question decides then.
            deliveries => Ok(Grouped { events: bound.events(times, created, inputs)?, keys, starts, deliveries }),
        }
    }
}

/// Returns where each key's events start, and the events' times and places, by key and time.
fn in_order(slices: &[(&Sorted, Range<usize>)], keys: &Range<usize>, count: usize) -> (Vec<usize>, Vec<(i64, u32)>) {
    let mut starts = vec![0_usize; keys.len() + 1];
    for (batch, slice) in slices {
        batch.numbers[slice.clone()].iter().for_each(|number| starts[*number as usize - keys.start + 1] += 1);
    }
    for key in 0..keys.len() {
        starts[key + 1] += starts[key];
    }
    let mut next = starts.clone();
    let mut placed = vec![(0_i64, 0_u32); count];
    let mut event = 0;
    for (batch, slice) in slices {
        for (number, time) in batch.numbers[slice.clone()].iter().zip(&batch.times[slice.clone()]) {
            let place = &mut next[*number as usize - keys.start];
            placed[*place] = (*time, event);
            *place += 1;
            event += 1;
        }
    }
    for key in starts.windows(2) {
        placed[key[0]..key[1]].sort_unstable();
    }
    (starts, placed)
}

/// Leaves out events that were delivered before.
fn first_only(
    bound: &BoundAggregations,
    keys: Range<usize>,
    mut starts: Vec<usize>,
    deliveries: &Deliveries,
    (times, created, inputs): (Int64Array, Option<Int64Array>, Vec<ArrayRef>),
) -> Result<Grouped> {
    let mut firsts: Vec<u32> = Vec::with_capacity(times.len());
    let mut start = 0;
    for end in &mut starts[1..] {
        let rows: Vec<u32> = (start as u32..*end as u32).collect();
        start = *end;
        firsts.extend(deliveries.first(&rows));
        *end = firsts.len();
    }
    let firsts = UInt32Array::from(firsts);
    let times = take(&times, &firsts, None)?.as_primitive().clone();
    let created = created.map(|created| take(&created, &firsts, None)).transpose()?;
    let created = created.map(|created| created.as_primitive().clone());
    let inputs = inputs.iter().map(|input| Ok(take(input, &firsts, None)?)).collect::<Result<_>>()?;
    Ok(Grouped { events: bound.events(times, created, inputs)?, keys, starts, deliveries: None })
}
