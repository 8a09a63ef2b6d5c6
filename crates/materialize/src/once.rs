//! Jobs over events without ids: each event is written exactly once (rules W5 and M2).
//!
//! Nothing tells two deliveries of such an event apart, so a write and the watermark that says so are one commit, and what
//! the watermark covers is not taken again. Events that do not fit into memory are taken in *passes*: each reads the interval,
//! keeps the earliest that fit, and commits these with a watermark at the latest of them. A run that is killed goes on behind its
//! last pass.

use arrow::array::UInt32Array;
use futures::StreamExt;
use lodestore_core::offline::{OfflineEngine, ScanPlan};
use lodestore_core::online::Watermark;
use lodestore_core::rows::{FeatureRows, RowStamp};
use lodestore_core::time::EventTime;
use lodestore_core::{Error, Result};

use crate::job::{Interval, Refusals, Run};
use crate::progress::Progress;

/// What is taken in one pass.
struct Pass {
    before: Watermark,
    /// Only events after this, also of those that are late.
    floor: Option<EventTime>,
    /// Only events up to here.
    until: EventTime,
    events: Vec<FeatureRows>,
    bytes: usize,
    /// Fewer bytes than these are kept as they are.
    limit: usize,
    newest_created: Option<EventTime>,
}

impl Pass {
    /// Returns whether an event has arrived since the watermark.
    fn is_new(&self, event: EventTime, created: EventTime) -> bool {
        let Watermark { event: up_to, created: known } = self.before;
        let is_late = created != EventTime::MIN && known.is_none_or(|known| created > known);
        self.floor.is_none_or(|floor| event > floor) && (is_late || up_to.is_none_or(|up_to| event > up_to))
    }

    fn add(&mut self, rows: FeatureRows) -> Result<()> {
        let created = rows.stamps().iter().map(|stamp| stamp.created).filter(|&created| created != EventTime::MIN);
        self.newest_created = self.newest_created.max(created.max());
        let rows = self.kept(rows)?;
        self.bytes += rows.memory_size();
        self.events.push(rows);
        if self.bytes > self.limit { self.cut() } else { Ok(()) }
    }

    fn kept(&self, rows: FeatureRows) -> Result<FeatureRows> {
        let is_kept = |stamp: &RowStamp| stamp.event <= self.until && self.is_new(stamp.event, stamp.created);
        let places = rows.stamps().iter().enumerate().filter(|(_, stamp)| is_kept(stamp));
        let places: Vec<u32> = places.map(|(place, _)| place as u32).collect();
        if places.len() == rows.len() { Ok(rows) } else { rows.take(&UInt32Array::from(places)) }
    }

    /// Leaves the later half of the events to the next pass. Those that are late are all of this one, for the
    /// watermark of created times can't stop between them.
    fn cut(&mut self) -> Result<()> {
        let times = self.events.iter().flat_map(|rows| rows.stamps()).map(|stamp| stamp.event);
        let mut times: Vec<EventTime> =
            times.filter(|event| self.before.event.is_none_or(|up_to| *event > up_to)).collect();
        let middle = times.len().saturating_sub(1) / 2;
        if !times.is_empty() {
            let (_, middle, _) = times.select_nth_unstable(middle);
            self.until = self.until.min(*middle);
        }
        let events = std::mem::take(&mut self.events);
        self.events = events.into_iter().map(|rows| self.kept(rows)).collect::<Result<_>>()?;
        self.events.retain(|rows| !rows.is_empty());
        self.bytes = self.events.iter().map(FeatureRows::memory_size).sum();
        // Many events of one time stay together.
        self.limit = self.limit.max(2 * self.bytes);
        Ok(())
    }
}

impl Run<'_> {
    /// Returns the end of the events to take, and checks that none is taken twice.
    ///
    /// # Errors
    /// `Invalid` for an interval that does not begin at the watermark.
    pub(crate) fn once_until(&self, before: Watermark) -> Result<EventTime> {
        match (self.job.interval(), before.event) {
            (Interval::Between { start, .. }, Some(event)) if start != event => Err(Error::invalid(format!(
                "view '{}' was materialized up to {event}, and its events have no ids, so that each must be taken once: \
                 start at {event}, or give the source an event_id, or remove the view's online data and materialize \
                 from the start",
                self.job.view().version.reference()
            ))),
            (interval, event) => Ok(event.map_or(interval.until(), |event| event.max(interval.until()))),
        }
    }

    /// Takes the events since the watermark, a pass after the other; returns the new watermark.
    pub(crate) async fn take_once(
        &mut self,
        engine: &dyn OfflineEngine,
        scan: &ScanPlan,
        before: Watermark,
        progress: &dyn Progress,
    ) -> Result<Watermark> {
        let until = self.once_until(before)?;
        // What was before the start of a first run stays out of its later passes too.
        let floor = scan.after.filter(|_| before.event.is_none());
        let mut watermark = before;
        let mut refusals = Refusals::Reported;
        loop {
            let late = watermark.event.filter(|_| self.has_created());
            let created_since = late.map(|_| watermark.created.unwrap_or(EventTime::MIN));
            let after = scan.after.max(watermark.event);
            let scan = ScanPlan { after, until: Some(until), created_since, ..scan.clone() };
            let limit = self.job.options().batch_bytes;
            let mut pass =
                Pass { before: watermark, floor, until, events: Vec::new(), bytes: 0, limit, newest_created: None };
            let mut batches = engine.scan(&scan).await?.batches;
            while let Some(batch) = batches.next().await {
                if progress.is_interrupted() {
                    return Err(self.interrupted());
                }
                let normalized = self.normalized(&batch?, refusals)?;
                pass.add(normalized)?;
                let read = pass.events.iter().map(FeatureRows::len).sum::<usize>() as u64;
                progress.rows_read(self.job.view(), self.rows_read + read);
            }
            let Pass { events, until: taken, newest_created, .. } = pass;
            watermark =
                Watermark { event: watermark.event.max(Some(taken)), created: watermark.created.max(newest_created) };
            if refusals == Refusals::Reported {
                self.refused.finish()?;
            }
            refusals = Refusals::Known;
            self.rows_read += events.iter().map(FeatureRows::len).sum::<usize>() as u64;
            self.put(events, Some(watermark)).await?;
            if taken >= until {
                self.rows_read += self.refused.count;
                return Ok(watermark);
            }
        }
    }
}
