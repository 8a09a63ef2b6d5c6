//! What an online store must answer, by rules O1, O2, O4 and O5, from all that was ever written.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use lodestore_core::definition::ViewVersion;
use lodestore_core::online::FeatureStatus;
use lodestore_core::rows::RowStamp;
use lodestore_core::time::EventTime;

use super::{Value, order_all};

/// A row as it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct OnlineRow {
    /// Which key it belongs to.
    pub key: usize,
    /// Its times.
    pub stamp: RowStamp,
    /// The value of each feature in the view's order; `None` for one that a partial row does not have.
    pub values: Vec<Option<Value>>,
}

impl OnlineRow {
    fn full(&self) -> Option<Vec<Value>> {
        self.values.iter().cloned().collect()
    }

    /// Returns whether an answer to a read at `now` may come from this row.
    fn is_visible(&self, view: &ViewVersion, now: EventTime) -> bool {
        let delay = view.table.as_ref().map_or(0, |table| table.times.availability_delay.as_micros());
        let event = self.stamp.event.as_micros();
        let visible_from = if event == i64::MIN { i128::MIN } else { i128::from(event) + i128::from(delay) };
        let is_still_valid = self.stamp.valid_to == EventTime::MAX || now < self.stamp.valid_to;
        visible_from <= i128::from(now.as_micros()) && is_still_valid
    }
}

/// The answer for one feature of one key.
#[derive(Debug, Clone, PartialEq)]
pub struct OnlineAnswer {
    /// The value; null unless the status is `Present`.
    pub value: Value,
    /// What was found.
    pub status: FeatureStatus,
    /// The event time of the row that answered.
    pub event_time: Option<EventTime>,
}

/// Everything that was written and deleted, kept for ever.
#[derive(Debug, Clone, Default)]
pub struct OnlineHistory {
    rows: Vec<OnlineRow>,
    deleted_at: BTreeMap<usize, EventTime>,
}

impl OnlineHistory {
    /// Takes a row, unless a delete keeps it out.
    pub fn write(&mut self, row: OnlineRow) {
        let is_timeless = row.stamp.event == EventTime::MIN;
        if is_timeless || self.deleted_at.get(&row.key).is_none_or(|at| row.stamp.event > *at) {
            self.rows.push(row);
        }
    }

    /// Deletes a key as of `at`, or as of its newest row if that is later.
    pub fn delete(&mut self, key: usize, at: EventTime) {
        let newest = self.rows.iter().filter(|row| row.key == key).map(|row| row.stamp.event).max();
        let until = at.max(newest.unwrap_or(at)).max(self.deleted_at.get(&key).copied().unwrap_or(at));
        self.deleted_at.insert(key, until);
        self.rows.retain(|row| row.key != key);
    }

    /// Answers for one feature of a key at a moment.
    #[must_use]
    pub fn answer(&self, view: &ViewVersion, key: usize, feature: usize, now: EventTime) -> OnlineAnswer {
        let nothing = OnlineAnswer { value: Value::Null, status: FeatureStatus::NotFound, event_time: None };
        let of_key = self.rows.iter().filter(|row| row.key == key && row.values[feature].is_some());
        let visible: Vec<&OnlineRow> = of_key.filter(|row| row.is_visible(view, now)).collect();
        let Some(newest) = visible.iter().map(|row| (row.stamp.event, row.stamp.created)).max() else {
            return nothing;
        };
        let ties: Vec<_> = visible.into_iter().filter(|row| (row.stamp.event, row.stamp.created) == newest).collect();
        // Full rows compare as a whole; then each partial row by its value of this feature.
        let mut best: Option<Vec<Value>> = None;
        for full in ties.iter().filter_map(|row| row.full()) {
            if best.as_ref().is_none_or(|best| order_all(&full, best) == Ordering::Greater) {
                best = Some(full);
            }
        }
        let mut value = best.map(|row| row[feature].clone());
        for partial in ties.iter().filter(|row| row.full().is_none()).filter_map(|row| row.values[feature].as_ref()) {
            if value.as_ref().is_none_or(|value| partial.order(value) == Ordering::Greater) {
                value = Some(partial.clone());
            }
        }
        let value = value.unwrap_or(Value::Null);
        let (event, ttl) = (newest.0, view.definition.ttl.map_or(0, lodestore_core::time::Micros::as_micros));
        let is_old = ttl > 0 && i128::from(event.as_micros()) < i128::from(now.as_micros()) - i128::from(ttl);
        let event_time = (event != EventTime::MIN).then_some(event);
        match (is_old, value.is_null()) {
            (true, _) => OnlineAnswer { value: Value::Null, status: FeatureStatus::OutsideMaxAge, event_time },
            (false, true) => OnlineAnswer { value, status: FeatureStatus::NullValue, event_time },
            (false, false) => OnlineAnswer { value, status: FeatureStatus::Present, event_time },
        }
    }
}
