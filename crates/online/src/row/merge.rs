//! Merging rows of one key into what is stored for it (rules O1, O4 and O5).

use lodestore_core::Result;
use lodestore_core::definition::ViewVersion;
use lodestore_core::online::{Cells, Entry, FeatureMask, Merged, WriteReport};
use lodestore_core::rows::{FeatureRows, RowStamp};
use lodestore_core::time::{EventTime, Micros};

use super::encode::RowEncoder;
use super::layout::RowLayout;
use super::state::{RecordCells, read_state, write_state};
use super::view::{ROW_HEAD, row_order};
use super::{ONE_ENTRY, ROW_FORMAT};

/// Merges the rows of a batch into stored rows, one key at a time.
///
/// What wins is core's to decide ([`KeyState`](lodestore_core::online::KeyState)). The usual case
/// takes a short way to the same result: full rows, visible and always valid, over one such row.
/// There the greatest times win, and values are looked at only where the times are equal.
#[derive(Debug)]
pub struct RowMerger<'a> {
    layout: &'a RowLayout,
    rows: &'a FeatureRows,
    encoder: RowEncoder<'a>,
    /// Which features the rows have; `None` for all.
    mask: Option<FeatureMask>,
    delay: Micros,
    now: EventTime,
    candidate: Vec<u8>,
}

impl<'a> RowMerger<'a> {
    /// Returns a merger of a batch of a view's rows; `now` is the moment from which on answers matter.
    ///
    /// # Errors
    /// `Internal` if a column is not of its feature's type.
    pub fn new(layout: &'a RowLayout, view: &ViewVersion, rows: &'a FeatureRows, now: EventTime) -> Result<Self> {
        let is_full = rows.features().len() == layout.types().len();
        let mask = (!is_full).then(|| rows.features().iter().map(|(feature, _)| *feature).collect());
        let encoder = RowEncoder::new(layout, rows)?;
        Ok(Self { layout, rows, encoder, mask, delay: view.availability_delay(), now, candidate: Vec::new() })
    }

    /// Merges rows of one key, the newest first, into its stored row. What is to be stored from now
    /// on is left in `out`: nothing if the stored row stays as it is.
    ///
    /// # Errors
    /// `Corrupt` if the stored bytes are not a row of the layout.
    pub fn merge(&mut self, stored: Option<&[u8]>, newest_first: &[u32], out: &mut Vec<u8>) -> Result<WriteReport> {
        out.clear();
        if self.is_usual(stored, newest_first)? {
            self.merge_usual(stored, newest_first, out)
        } else {
            self.merge_any(stored, newest_first, out)
        }
    }

    fn is_usual(&self, stored: Option<&[u8]>, rows: &[u32]) -> Result<bool> {
        let is_visible = |event: EventTime| event.plus(self.delay) <= self.now;
        let is_usual = |row: &u32| {
            let stamp = self.rows.stamps()[*row as usize];
            stamp.valid_to == EventTime::MAX && is_visible(stamp.event)
        };
        let over_usual = match stored {
            None => true,
            Some(stored @ [ROW_FORMAT, ONE_ENTRY, ..]) => is_visible(row_order(stored)?.0),
            Some(_) => false,
        };
        Ok(over_usual && self.mask.is_none() && rows.iter().all(is_usual))
    }

    fn merge_usual(&mut self, stored: Option<&[u8]>, rows: &[u32], out: &mut Vec<u8>) -> Result<WriteReport> {
        let mut best = stored.map(row_order).transpose()?;
        let mut report = WriteReport::default();
        for &row in rows {
            let stamp = self.rows.stamps()[row as usize];
            let wins = match best {
                Some(best) if stamp.order() < best => false,
                Some(best) if stamp.order() == best => {
                    let best = if out.is_empty() { stored.unwrap_or_default() } else { out.as_slice() };
                    self.wins_tie(row, stamp, best)?
                }
                _ => {
                    self.encode_candidate(row, stamp)?;
                    true
                }
            };
            if wins {
                std::mem::swap(&mut self.candidate, out);
                best = Some(stamp.order());
                report.written += 1;
            } else {
                report.skipped += 1;
            }
        }
        Ok(report)
    }

    /// Encodes a row, and returns whether its values are greater than those of one with the same times.
    fn wins_tie(&mut self, row: u32, stamp: RowStamp, best: &[u8]) -> Result<bool> {
        self.encode_candidate(row, stamp)?;
        if self.candidate == best {
            return Ok(false);
        }
        let mine = RecordCells::encoded(self.layout, self.candidate[ROW_HEAD..].to_vec());
        Ok(mine.compare(&RecordCells::new(self.layout, best[ROW_HEAD..].into())?).is_gt())
    }

    fn encode_candidate(&mut self, row: u32, stamp: RowStamp) -> Result<()> {
        self.candidate.clear();
        self.encoder.encode(row as usize, stamp, &mut self.candidate)
    }

    fn merge_any(&mut self, stored: Option<&[u8]>, rows: &[u32], out: &mut Vec<u8>) -> Result<WriteReport> {
        let mut state = stored.map(|stored| read_state(self.layout, stored)).transpose()?.unwrap_or_default();
        let mut report = WriteReport::default();
        for &row in rows {
            let mut cells = Vec::new();
            self.encoder.encode_record(row as usize, &mut cells)?;
            let entry = Entry {
                stamp: self.rows.stamps()[row as usize],
                mask: self.mask.clone(),
                cells: RecordCells::encoded(self.layout, cells),
            };
            match state.merge(entry, self.delay, self.now) {
                Merged::Written => report.written += 1,
                Merged::Skipped => report.skipped += 1,
            }
        }
        write_state(self.layout, &state, out)?;
        if stored == Some(out.as_slice()) {
            out.clear();
        }
        Ok(report)
    }
}

/// Deletes a key as of `at`; what is to be stored from now on is left in `out`.
///
/// # Errors
/// `Corrupt` if the stored bytes are not a row of the layout.
pub fn delete_row(layout: &RowLayout, stored: Option<&[u8]>, at: EventTime, out: &mut Vec<u8>) -> Result<()> {
    out.clear();
    let mut state = stored.map(|stored| read_state(layout, stored)).transpose()?.unwrap_or_default();
    state.delete(at);
    write_state(layout, &state, out)
}
