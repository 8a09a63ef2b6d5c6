//! Events on their way into tiles.

use std::cmp::Ordering;

use arrow::array::{ArrayRef, BinaryArray, Int64Array};
use sha2::{Digest, Sha256};

use super::leaves::ID_BYTES;
use super::plan::WindowPlan;
use super::tiles::{write_length, write_part};
use crate::aggregation::State;
use crate::error::{Error, Result};
use crate::rows::FeatureRows;
use crate::time::EventTime;
use crate::types::compare_rows;
use crate::windows::Events;

/// Rows of a view with aggregations, with its conditions decided for all of them.
#[derive(Debug)]
pub struct EventBatch<'a> {
    pub(super) plan: &'a WindowPlan,
    pub(super) rows: &'a FeatureRows,
    columns: Vec<ArrayRef>,
    events: Events,
}

impl<'a> EventBatch<'a> {
    /// Returns the events of a write.
    ///
    /// # Errors
    /// `Invalid` for rows that lack a column of the events or, where the view has them, ids.
    pub fn new(plan: &'a WindowPlan, rows: &'a FeatureRows) -> Result<Self> {
        let inputs = plan.measures.inputs();
        if rows.features().len() != inputs.len() || rows.features().iter().enumerate().any(|(i, f)| f.0 != i) {
            let names: Vec<_> = inputs.iter().map(|(name, _)| name.as_str()).collect();
            return Err(Error::invalid(format!(
                "events need all columns that the aggregations look at: {}",
                names.join(", ")
            )));
        }
        if plan.has_ids && rows.event_ids().is_none() {
            return Err(Error::invalid("events without ids were given to a view whose source has an event_id"));
        }
        let columns: Vec<ArrayRef> = rows.features().iter().map(|(_, column)| column.clone()).collect();
        let times = Int64Array::from_iter_values(rows.stamps().iter().map(|stamp| stamp.event.as_micros()));
        let known = |created: EventTime| (created != EventTime::MIN).then(|| created.as_micros());
        let created = rows.stamps().iter().map(|stamp| known(stamp.created)).collect();
        let events = plan.measures.events(times, Some(created), columns.clone())?;
        Ok(Self { plan, rows, columns, events })
    }

    pub(super) fn time(&self, row: u32) -> EventTime {
        self.rows.stamps()[row as usize].event
    }

    /// Returns what an event's id is known by.
    pub(super) fn id(&self, row: u32) -> Option<[u8; ID_BYTES]> {
        let ids: &BinaryArray = self.rows.event_ids().filter(|_| self.plan.has_ids)?;
        let digest = Sha256::digest(ids.value(row as usize));
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&digest[..ID_BYTES]);
        Some(id)
    }

    /// Compares events by event time, created time, then values.
    pub(super) fn compare(&self, left: u32, right: u32) -> Ordering {
        let order = |row: u32| self.rows.stamps()[row as usize].order();
        let values = || compare_rows(&self.columns, left as usize, &self.columns, right as usize);
        order(left).cmp(&order(right)).then_with(values)
    }

    /// Adds an event to the state of a measure, if it counts there.
    pub(super) fn update(&self, measure: usize, row: u32, state: &mut Option<State>) -> Result<()> {
        let row = row as usize;
        if !self.events.counts(measure, row) {
            return Ok(());
        }
        let state = state.get_or_insert_with(|| self.plan.aggregate(measure).empty());
        self.events.update(&self.plan.measures, measure, state, row)
    }

    /// Returns an event by itself: a part for each measure.
    pub(super) fn parts(&self, row: u32) -> Result<Vec<u8>> {
        let mut parts = Vec::new();
        for (place, measure) in self.plan.measures.as_slice().iter().enumerate() {
            let mut state = None;
            self.update(place, row, &mut state)?;
            match state {
                Some(state) => write_part(&measure.aggregate, &state, &mut parts),
                None => write_length(0, &mut parts),
            }
        }
        Ok(parts)
    }
}
