//! Columns of an answer as JSON.

use lodestore::OnlineAnswer;
use lodestore::core::Result;
use lodestore::core::online::{FeatureStatus, OnlineCell};
use lodestore::core::time::EventTime;

use super::write::{Moments, moment, separator, value};
use crate::metrics::Found;

/// About how many bytes one value with its status and time takes.
pub(crate) const BYTES_OF_VALUE: usize = 56;

/// The time of what has none, as Feast writes it, with a comma behind it.
pub(crate) const EPOCH: &[u8] = b"\"1970-01-01T00:00:00Z\",";

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
pub(crate) struct ColumnWriter<'a> {
    answer: &'a OnlineAnswer,
    moments: Moments,
    no_time: NoTime,
    /// One column after the other uses the same room.
    cells: Vec<OnlineCell<'a>>,
    statuses: LastList<FeatureStatus>,
    times: LastList<Option<EventTime>>,
}

impl<'a> ColumnWriter<'a> {
    pub(crate) fn new(answer: &'a OnlineAnswer, moments: Moments, no_time: NoTime) -> Self {
        let cells = Vec::with_capacity(answer.len());
        Self { answer, moments, no_time, cells, statuses: LastList::default(), times: LastList::default() }
    }

    /// Writes one column of the answer, and counts what was found.
    pub(crate) fn feature(&mut self, out: &mut Vec<u8>, column: usize, found: &mut Found) -> Result<()> {
        self.cells.clear();
        self.answer.cells(column, &mut self.cells)?;
        out.extend_from_slice(b"\"values\":[");
        for (row, cell) in self.cells.iter().enumerate() {
            separator(out, row);
            match &cell.value {
                Some(found) => value(out, found, self.moments)?,
                None => out.extend_from_slice(b"null"),
            }
            found.add(cell.status, cell.event_time);
        }
        out.extend_from_slice(b"],\"statuses\":[");
        let statuses = self.cells.iter().map(|cell| cell.status);
        self.statuses.write(out, statuses, |text, status| text.extend_from_slice(quoted_status(status)));
        out.extend_from_slice(b"],\"event_timestamps\":[");
        let (times, no_time) = (self.cells.iter().map(|cell| cell.event_time), self.no_time);
        self.times.write(out, times, |text, time| quoted_time(text, time, no_time));
        out.push(b']');
        Ok(())
    }
}

/// A list as it was written last. Columns next to each other often have the same one: those of a view have the times
/// of the same rows.
#[derive(Debug)]
struct LastList<T> {
    items: Vec<T>,
    text: Vec<u8>,
}

impl<T> Default for LastList<T> {
    fn default() -> Self {
        Self { items: Vec::new(), text: Vec::new() }
    }
}

impl<T: Copy + PartialEq> LastList<T> {
    /// Writes items with commas between them. `item` writes one, with a comma behind it.
    fn write(
        &mut self,
        out: &mut Vec<u8>,
        items: impl ExactSizeIterator<Item = T> + Clone,
        mut item: impl FnMut(&mut Vec<u8>, T),
    ) {
        if items.len() != self.items.len() || !items.clone().eq(self.items.iter().copied()) {
            self.items.clear();
            self.items.extend(items);
            self.text.clear();
            for same in self.items.chunk_by(PartialEq::eq) {
                let start = self.text.len();
                item(&mut self.text, same[0]);
                repeat_from(&mut self.text, start, same.len());
            }
            self.text.pop();
        }
        out.extend_from_slice(&self.text);
    }
}

fn quoted_time(out: &mut Vec<u8>, time: Option<EventTime>, no_time: NoTime) {
    match (time, no_time) {
        (None, NoTime::Null) => out.extend_from_slice(b"null,"),
        (None, NoTime::Epoch) => out.extend_from_slice(EPOCH),
        (Some(time), _) => {
            out.push(b'"');
            moment(out, time.as_micros());
            out.extend_from_slice(b"\",");
        }
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

/// Writes items of a list that are the same, with commas between them; `unit` has one behind it.
pub(crate) fn repeat(out: &mut Vec<u8>, unit: &[u8], count: usize) {
    if count > 0 {
        let start = out.len();
        out.extend_from_slice(unit);
        repeat_from(out, start, count);
        out.pop();
    }
}

/// Repeats the end of a text, so that it is there so many times, in copies that grow.
fn repeat_from(out: &mut Vec<u8>, start: usize, count: usize) {
    let unit = out.len() - start;
    let mut written = 1;
    while written < count {
        let more = written.min(count - written);
        out.extend_from_within(start..start + more * unit);
        written += more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_items_are_copied_as_often_as_they_occur() {
        for count in [0, 1, 2, 3, 7, 8, 100] {
            let mut list = vec![b'['];
            repeat(&mut list, b"1,", count);
            list.push(b']');
            assert_eq!(serde_json::from_slice::<Vec<i32>>(&list).unwrap(), vec![1; count]);
        }
        for status in
            [FeatureStatus::Present, FeatureStatus::NullValue, FeatureStatus::NotFound, FeatureStatus::OutsideMaxAge]
        {
            assert_eq!(quoted_status(status), format!("\"{}\",", status.as_str()).as_bytes());
        }
    }

    #[test]
    fn lists_are_written_anew_where_they_differ() {
        let mut list = LastList::default();
        for items in [&[1, 1, 2][..], &[1, 1, 2], &[1, 2, 2], &[1, 2], &[], &[], &[3]] {
            let mut out = vec![b'['];
            list.write(&mut out, items.iter().copied(), |text, item| {
                text.extend_from_slice(format!("{item},").as_bytes());
            });
            out.push(b']');
            assert_eq!(serde_json::from_slice::<Vec<i32>>(&out).unwrap(), items);
        }
    }
}
