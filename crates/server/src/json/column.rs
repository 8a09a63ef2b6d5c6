//! Columns of an answer as JSON.

use lodestore::OnlineAnswer;
use lodestore::core::Result;
use lodestore::core::online::FeatureStatus;
use lodestore::core::time::EventTime;

use super::write::{Moments, moment, separator, value};
use crate::metrics::Found;

/// About how many bytes one value with its status and time takes.
pub(crate) const BYTES_OF_VALUE: usize = 56;

/// The time of what has none, as Feast writes it.
const EPOCH: &[u8] = b"1970-01-01T00:00:00Z";

/// What stands for the event time of what has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoTime {
    /// Feast's: the epoch.
    Epoch,
    /// Null.
    Null,
}

/// Writes the columns of an answer, a value, a status and an event time for each row:
/// `"values":[...],"statuses":[...],"event_timestamps":[...]`.
#[derive(Debug)]
pub(crate) struct ColumnWriter {
    moments: Moments,
    no_time: NoTime,
    /// One column after the other uses the same room.
    statuses: Vec<FeatureStatus>,
    times: Vec<i64>,
    /// A time and its text with a comma: rows and columns next to each other often have the same.
    last_time: (i64, Vec<u8>),
}

impl ColumnWriter {
    pub(crate) fn new(moments: Moments, no_time: NoTime, rows: usize) -> Self {
        let (statuses, times) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
        let mut writer = Self { moments, no_time, statuses, times, last_time: (i64::MIN, Vec::with_capacity(32)) };
        writer.format_time(i64::MIN);
        writer
    }

    /// Writes one column of an answer, and counts what was found.
    pub(crate) fn feature(
        &mut self,
        out: &mut Vec<u8>,
        answer: &OnlineAnswer,
        column: usize,
        found: &mut Found,
    ) -> Result<()> {
        self.statuses.clear();
        self.times.clear();
        out.extend_from_slice(b"\"values\":[");
        for row in 0..answer.len() {
            let cell = answer.cell(column, row)?;
            separator(out, row);
            match &cell.value {
                Some(found) => value(out, found, self.moments)?,
                None => out.extend_from_slice(b"null"),
            }
            found.add(cell.status, cell.event_time);
            self.statuses.push(cell.status);
            self.times.push(cell.event_time.map_or(i64::MIN, EventTime::as_micros));
        }
        out.extend_from_slice(b"],\"statuses\":[");
        for same in self.statuses.chunk_by(PartialEq::eq) {
            repeat(out, quoted_status(same[0]), same.len());
        }
        end_list(out);
        out.extend_from_slice(b",\"event_timestamps\":[");
        let times = std::mem::take(&mut self.times);
        for same in times.chunk_by(PartialEq::eq) {
            if self.last_time.0 != same[0] {
                self.format_time(same[0]);
            }
            repeat(out, &self.last_time.1, same.len());
        }
        self.times = times;
        end_list(out);
        Ok(())
    }

    fn format_time(&mut self, micros: i64) {
        let (known, text) = &mut self.last_time;
        *known = micros;
        text.clear();
        match (micros, self.no_time) {
            (i64::MIN, NoTime::Null) => text.extend_from_slice(b"null"),
            (i64::MIN, NoTime::Epoch) => {
                text.push(b'"');
                text.extend_from_slice(EPOCH);
                text.push(b'"');
            }
            _ => {
                text.push(b'"');
                moment(text, micros);
                text.push(b'"');
            }
        }
        text.push(b',');
    }
}

fn quoted_status(status: FeatureStatus) -> &'static [u8] {
    match status {
        FeatureStatus::Present => b"\"PRESENT\",",
        FeatureStatus::NullValue => b"\"NULL_VALUE\",",
        FeatureStatus::NotFound => b"\"NOT_FOUND\",",
        FeatureStatus::OutsideMaxAge => b"\"OUTSIDE_MAX_AGE\",",
    }
}

/// Writes items of a list that are the same, each with a comma behind it, in copies that grow.
pub(crate) fn repeat(out: &mut Vec<u8>, unit: &[u8], count: usize) {
    if count == 0 {
        return;
    }
    let start = out.len();
    out.extend_from_slice(unit);
    let mut written = 1;
    while written < count {
        let more = written.min(count - written);
        out.extend_from_within(start..start + more * unit.len());
        written += more;
    }
}

/// Ends a list whose items have commas behind them.
pub(crate) fn end_list(out: &mut Vec<u8>) {
    if out.last() == Some(&b',') {
        out.pop();
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_items_are_copied_as_often_as_they_occur() {
        for count in [0, 1, 2, 3, 7, 8, 100] {
            let mut list = vec![b'['];
            repeat(&mut list, b"1,", count);
            end_list(&mut list);
            assert_eq!(serde_json::from_slice::<Vec<i32>>(&list).unwrap(), vec![1; count]);
        }
        for status in
            [FeatureStatus::Present, FeatureStatus::NullValue, FeatureStatus::NotFound, FeatureStatus::OutsideMaxAge]
        {
            assert_eq!(quoted_status(status), format!("\"{}\",", status.as_str()).as_bytes());
        }
    }
}
