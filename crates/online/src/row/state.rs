//! A key's state: from its stored bytes to core's [`KeyState`], which decides, and back.

use std::borrow::Cow;
use std::cmp::Ordering;

use lodestore_core::online::{Cells, Entry, FeatureMask, KeyState};
use lodestore_core::rows::RowStamp;
use lodestore_core::time::EventTime;
use lodestore_core::types::compare_values;
use lodestore_core::{Error, Result};

use super::column::ColumnBuilder;
use super::layout::{Place, RecordLayout, RowLayout};
use super::value::{Record, array, corrupt};
use super::view::{ROW_HEAD, row_order};
use super::{ONE_ENTRY, ROW_FORMAT, SEVERAL_ENTRIES};

/// A record whose values were all checked.
#[derive(Debug, Clone)]
pub(super) struct RecordCells<'a> {
    layout: &'a RowLayout,
    bytes: Cow<'a, [u8]>,
}

impl<'a> RecordCells<'a> {
    /// Checks every value, so that none can turn out to be damaged in a comparison.
    pub(super) fn new(layout: &'a RowLayout, bytes: Cow<'a, [u8]>) -> Result<Self> {
        let record = Record::new(&layout.record, &bytes)?;
        for (feature, ty) in layout.types.iter().enumerate() {
            let mut column = ColumnBuilder::new(ty, 1);
            column.append(record.slot(feature)?)?;
            column.finish()?;
        }
        Ok(Self { layout, bytes })
    }

    /// Takes a record that was just encoded.
    pub(super) fn encoded(layout: &'a RowLayout, bytes: Vec<u8>) -> Self {
        Self { layout, bytes: Cow::Owned(bytes) }
    }

    pub(super) fn record(&self) -> Result<Record<'_>> {
        Record::new(&self.layout.record, &self.bytes)
    }

    fn slot(&self, feature: usize) -> Option<&[u8]> {
        self.record().and_then(|record| record.slot(feature)).ok().flatten()
    }

    fn try_compare_feature(&self, other: &Self, feature: usize) -> Result<Ordering> {
        let (left, right) = (self.slot(feature), other.slot(feature));
        if left == right {
            return Ok(Ordering::Equal);
        }
        let one = |slot| -> Result<_> {
            let mut column = ColumnBuilder::new(&self.layout.types[feature], 1);
            column.append(slot)?;
            column.finish()
        };
        Ok(compare_values(&one(left)?, 0, &one(right)?, 0))
    }
}

impl Cells for RecordCells<'_> {
    fn compare(&self, other: &Self) -> Ordering {
        if self.bytes == other.bytes {
            return Ordering::Equal;
        }
        let features = 0..self.layout.types.len();
        features.map(|f| self.compare_feature(other, f)).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
    }

    fn compare_feature(&self, other: &Self, feature: usize) -> Ordering {
        self.try_compare_feature(other, feature).unwrap_or(Ordering::Equal)
    }

    fn with_features_of(&self, other: &Self, features: &FeatureMask) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let slot = |f: usize| if features.contains(f) { other.slot(f) } else { self.slot(f) };
        write_record(&self.layout.record, slot, &mut bytes);
        Self { layout: self.layout, bytes: bytes.into() }
    }
}

/// Appends a record with the given values.
fn write_record<'s>(layout: &RecordLayout, slot: impl Fn(usize) -> Option<&'s [u8]>, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + layout.head, 0);
    for (index, field) in layout.fields.iter().enumerate() {
        let value = slot(index);
        if value.is_some() {
            out[start + index / 8] |= 1 << (index % 8);
        }
        match field.place {
            Place::Fixed { at, width } => {
                if let Some(value) = value {
                    out[start + at..start + at + width].copy_from_slice(value);
                }
            }
            Place::Variable { index } => {
                out.extend_from_slice(value.unwrap_or_default());
                let end = (out.len() - start - layout.head) as u32;
                out[start + layout.ends_at + 4 * index..][..4].copy_from_slice(&end.to_le_bytes());
            }
        }
    }
}

/// Reads a row of either form; every value is checked.
pub(super) fn read_state<'a>(layout: &'a RowLayout, bytes: &'a [u8]) -> Result<KeyState<RecordCells<'a>>> {
    match bytes {
        [ROW_FORMAT, ONE_ENTRY, ..] => {
            let (event, created) = row_order(bytes)?;
            let cells = RecordCells::new(layout, Cow::Borrowed(&bytes[ROW_HEAD..]))?;
            let stamp = RowStamp { created, ..RowStamp::at(event) };
            Ok(KeyState { deleted_at: None, entries: vec![Entry { stamp, mask: None, cells }] })
        }
        [ROW_FORMAT, SEVERAL_ENTRIES, rest @ ..] => read_several(layout, &mut Reader(rest)),
        _ => Err(corrupt("its head is not that of a row")),
    }
}

fn read_several<'a>(layout: &'a RowLayout, reader: &mut Reader<'a>) -> Result<KeyState<RecordCells<'a>>> {
    let is_deleted = reader.flag()?;
    let at = reader.time()?;
    let count = reader.length()?;
    let mut state = KeyState { deleted_at: is_deleted.then_some(at), entries: Vec::new() };
    for _ in 0..count {
        let length = reader.length()?;
        state.entries.push(read_entry(layout, &mut Reader(reader.take(length)?))?);
    }
    let newest_first = state.entries.windows(2).all(|pair| pair[0].stamp.order() >= pair[1].stamp.order());
    if !reader.0.is_empty() || !newest_first {
        return Err(corrupt("its entries are not as its head says"));
    }
    Ok(state)
}

fn read_entry<'a>(layout: &'a RowLayout, reader: &mut Reader<'a>) -> Result<Entry<RecordCells<'a>>> {
    let stamp = RowStamp { event: reader.time()?, created: reader.time()?, valid_to: reader.time()? };
    let mask = match reader.flag()? {
        false => None,
        true => {
            let bits = reader.take(layout.types.len().div_ceil(8))?;
            let has = |f: &usize| bits[f / 8] >> (f % 8) & 1 == 1;
            Some((0..layout.types.len()).filter(has).collect())
        }
    };
    Ok(Entry { stamp, mask, cells: RecordCells::new(layout, Cow::Borrowed(reader.0))? })
}

/// Appends a state as a stored row; nothing if the state is empty.
pub(super) fn write_state(layout: &RowLayout, state: &KeyState<RecordCells<'_>>, out: &mut Vec<u8>) -> Result<()> {
    match (state.deleted_at, state.entries.as_slice()) {
        (None, []) => {}
        (None, [Entry { stamp, mask: None, cells }]) if stamp.valid_to == EventTime::MAX => {
            write_row_head(*stamp, out);
            out.extend_from_slice(&cells.bytes);
        }
        (deleted_at, entries) => {
            out.extend_from_slice(&[ROW_FORMAT, SEVERAL_ENTRIES, u8::from(deleted_at.is_some())]);
            write_time(deleted_at.unwrap_or(EventTime::from_micros(0)), out);
            out.extend_from_slice(&size(entries.len())?.to_le_bytes());
            for entry in entries {
                write_entry(layout, entry, out)?;
            }
        }
    }
    Ok(())
}

fn write_entry(layout: &RowLayout, entry: &Entry<RecordCells<'_>>, out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let RowStamp { event, created, valid_to } = entry.stamp;
    [event, created, valid_to].into_iter().for_each(|time| write_time(time, out));
    out.push(u8::from(entry.mask.is_some()));
    if let Some(mask) = &entry.mask {
        let bits = out.len();
        out.resize(bits + layout.types.len().div_ceil(8), 0);
        mask.iter().for_each(|f| out[bits + f / 8] |= 1 << (f % 8));
    }
    out.extend_from_slice(&entry.cells.bytes);
    let length = size(out.len() - start - 4)?;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    Ok(())
}

/// Appends what stands before the record of a single entry.
pub(super) fn write_row_head(stamp: RowStamp, out: &mut Vec<u8>) {
    out.extend_from_slice(&[ROW_FORMAT, ONE_ENTRY]);
    write_time(stamp.event, out);
    write_time(stamp.created, out);
}

fn write_time(time: EventTime, out: &mut Vec<u8>) {
    out.extend_from_slice(&time.as_micros().to_le_bytes());
}

/// Returns a length as it is written.
pub(super) fn size(length: usize) -> Result<u32> {
    u32::try_from(length)
        .map_err(|_| Error::invalid(format!("a row of {length} bytes is too large; the most is {}", u32::MAX)))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(|| corrupt("it is too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn flag(&mut self) -> Result<bool> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(corrupt("a flag is neither 0 nor 1")),
        }
    }

    fn time(&mut self) -> Result<EventTime> {
        Ok(EventTime::from_micros(i64::from_le_bytes(array(self.take(8)?)?)))
    }

    fn length(&mut self) -> Result<usize> {
        Ok(u32::from_le_bytes(array(self.take(4)?)?) as usize)
    }
}
