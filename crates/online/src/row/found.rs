//! Stored rows that were found for keys: copied out of a store, and looked at when they are asked for.

use std::ops::Range;
use std::sync::Arc;

use lodestore_core::online::windows::{Asked, FoundKey};
use lodestore_core::online::{FeatureStatus, OnlineCell, OnlineRows, status_of};
use lodestore_core::rows::RowStamp;
use lodestore_core::time::{EventTime, Micros};
use lodestore_core::types::{FeatureType, Value};
use lodestore_core::{Error, Result};

use super::column::ColumnBuilder;
use super::layout::{Field, Place, RowLayout, Shape};
use super::state::read_state;
use super::value::{Record, array, corrupt};
use super::view::{ROW_HEAD, row_order};
use super::{ONE_ENTRY, ROW_FORMAT, SEVERAL_ENTRIES};

/// The most bytes that room is made for before they come.
const MOST_ROOM: usize = 4 << 20;

/// The rows of keys of some views at a moment. A store adds its stored rows, view by view and key by key.
///
/// # Examples
/// ```no_run
/// # use std::sync::Arc;
/// # fn example(layout: &Arc<lodestore_online::row::RowLayout>, stored: &[u8],
/// #     as_of: lodestore_core::time::EventTime) -> lodestore_core::Result<()> {
/// use lodestore_core::online::OnlineRows;
/// let mut found = lodestore_online::row::FoundRows::new(as_of, 1, 2);
/// found.add_view(layout, lodestore_core::time::Micros::ZERO, None);
/// found.add_row(Some(stored))?;
/// found.add_row(None)?;
/// println!("{:?}", found.get(0, 0, 0)?.value);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FoundRows {
    as_of: EventTime,
    views: Vec<Found>,
    /// The rows of all views, view by view.
    rows: Vec<FoundRow>,
    /// The records, one after the other.
    bytes: Vec<u8>,
}

#[derive(Debug)]
enum Found {
    Rows(FoundView),
    Windows(Asked, Vec<FoundKey>),
}

#[derive(Debug)]
struct FoundView {
    layout: Arc<RowLayout>,
    delay: Micros,
    ttl: Option<Micros>,
    /// Where its rows lie.
    rows: Range<usize>,
}

#[derive(Debug)]
enum FoundRow {
    /// No row, or none that is visible.
    Nothing,
    /// The usual form: where its record lies, when its event was, and whether that is past the view's TTL.
    One { record: Range<usize>, event: EventTime, is_outside: bool },
    /// Every other state of a key: for each feature, the stamp and the bytes of what answers.
    Several(Box<[Option<FeatureSlot>]>),
}

type FeatureSlot = (RowStamp, Option<Box<[u8]>>);

impl FoundRows {
    /// Returns no rows yet, for reading as of a moment, with room for so many views and rows of them all.
    #[must_use]
    pub fn new(as_of: EventTime, views: usize, rows: usize) -> Self {
        Self { as_of, bytes: Vec::new(), rows: Vec::with_capacity(rows), views: Vec::with_capacity(views) }
    }

    /// Goes on to the next view, with its availability delay and TTL.
    pub fn add_view(&mut self, layout: &Arc<RowLayout>, delay: Micros, ttl: Option<Micros>) {
        let rows = self.rows.len()..self.rows.len();
        self.views.push(Found::Rows(FoundView { layout: Arc::clone(layout), delay, ttl, rows }));
    }

    /// Returns the moment that the rows are read as of.
    #[must_use]
    pub fn as_of(&self) -> EventTime {
        self.as_of
    }

    /// Adds the next view, one with aggregations, with what was found for each of its keys.
    pub fn add_windows(&mut self, asked: Asked, keys: Vec<FoundKey>) {
        self.views.push(Found::Windows(asked, keys));
    }

    /// Adds what is stored for the next key of the view.
    ///
    /// # Errors
    /// `Corrupt` if the bytes are not a row of the view's layout; `Internal` before there is a view.
    #[inline]
    pub fn add_row(&mut self, stored: Option<&[u8]>) -> Result<()> {
        let Some(Found::Rows(view)) = self.views.last_mut() else {
            return Err(Error::internal("a row was found for no view"));
        };
        let row = match stored {
            None => FoundRow::Nothing,
            Some(bytes @ [ROW_FORMAT, ONE_ENTRY, ..]) => {
                let (event, _) = row_order(bytes)?;
                let record = &bytes[ROW_HEAD..];
                Record::new(&view.layout.record, record)?;
                // A row is valid until the end of time, which is not within.
                if event.plus(view.delay) <= self.as_of && self.as_of < EventTime::MAX {
                    let start = self.bytes.len();
                    if view.rows.is_empty() {
                        // Most rows of a view are about as long as its first.
                        let room = record.len().saturating_mul(self.rows.capacity() - self.rows.len());
                        self.bytes.reserve(room.min(MOST_ROOM));
                    }
                    self.bytes.extend_from_slice(record);
                    let is_outside = status_of(Some((RowStamp::at(event), false)), view.ttl, self.as_of)
                        == FeatureStatus::OutsideMaxAge;
                    FoundRow::One { record: start..self.bytes.len(), event, is_outside }
                } else {
                    FoundRow::Nothing
                }
            }
            Some(bytes @ [ROW_FORMAT, SEVERAL_ENTRIES, ..]) => view.several(bytes, self.as_of)?,
            Some([format, ..]) if *format > ROW_FORMAT => {
                return Err(corrupt(&format!(
                    "it has format {format}, and this version reads formats up to {ROW_FORMAT}"
                )));
            }
            Some(_) => return Err(corrupt("its head is not that of a row")),
        };
        self.rows.push(row);
        view.rows.end = self.rows.len();
        Ok(())
    }
}

impl FoundView {
    #[cold]
    fn several(&self, bytes: &[u8], as_of: EventTime) -> Result<FoundRow> {
        let state = read_state(&self.layout, bytes)?;
        let slot = |feature| {
            let Some(entry) = state.winner(feature, as_of, self.delay) else { return Ok(None) };
            Ok(Some((entry.stamp, entry.cells.record()?.slot(feature)?.map(Box::from))))
        };
        let slots: Vec<Option<FeatureSlot>> = (0..self.layout.types.len()).map(slot).collect::<Result<_>>()?;
        Ok(FoundRow::Several(slots.into()))
    }

    #[cold]
    fn cell_of_several<'a>(
        &'a self,
        slots: &'a [Option<FeatureSlot>],
        feature: usize,
        as_of: EventTime,
    ) -> Result<OnlineCell<'a>> {
        let (ty, field) = self.layout.feature(feature).ok_or_else(none)?;
        let slot = slots[feature].as_ref();
        let row = slot.map(|(stamp, bytes)| (*stamp, bytes.is_none()));
        let read = || field.value(ty, slot.and_then(|(_, bytes)| bytes.as_deref()));
        OnlineCell::of(row, self.ttl, as_of, read)
    }
}

impl FoundRows {
    fn view(&self, view: usize) -> Result<&Found> {
        self.views.get(view).ok_or_else(none)
    }

    /// Returns the cell of a feature in a row; `read` takes its value out of a record.
    #[inline]
    fn cell<'a>(
        &'a self,
        view: &'a FoundView,
        row: &'a FoundRow,
        feature: usize,
        read: impl Fn(Record<'a>) -> Result<Option<Value<'a>>>,
    ) -> Result<OnlineCell<'a>> {
        match row {
            FoundRow::Nothing => Ok(OnlineCell { status: FeatureStatus::NotFound, value: None, event_time: None }),
            FoundRow::One { record, event, is_outside } => {
                let (status, value) = if *is_outside {
                    (FeatureStatus::OutsideMaxAge, None)
                } else {
                    match read(Record::checked(&view.layout.record, &self.bytes[record.clone()]))? {
                        None => (FeatureStatus::NullValue, None),
                        some => (FeatureStatus::Present, some),
                    }
                };
                let event_time = if *event == EventTime::MIN { None } else { Some(*event) };
                Ok(OnlineCell { status, value, event_time })
            }
            FoundRow::Several(slots) => view.cell_of_several(slots, feature, self.as_of),
        }
    }

    fn append<'a>(
        &'a self,
        view: &'a FoundView,
        rows: &'a [FoundRow],
        feature: usize,
        out: &mut Vec<OnlineCell<'a>>,
        read: impl Fn(Record<'a>) -> Result<Option<Value<'a>>>,
    ) -> Result<()> {
        out.reserve(rows.len());
        for row in rows {
            out.push(self.cell(view, row, feature, &read)?);
        }
        Ok(())
    }
}

impl OnlineRows for FoundRows {
    fn get(&self, view: usize, key: usize, feature: usize) -> Result<OnlineCell<'_>> {
        match self.view(view)? {
            Found::Windows(asked, keys) => asked.cell(keys.get(key).ok_or_else(none)?, feature),
            Found::Rows(view) => {
                let (ty, field) = view.layout.feature(feature).ok_or_else(none)?;
                let row = self.rows[view.rows.clone()].get(key).ok_or_else(none)?;
                self.cell(view, row, feature, |record| field.value(ty, record.slot(feature)?))
            }
        }
    }

    fn cells<'a>(
        &'a self,
        view: usize,
        keys: Range<usize>,
        feature: usize,
        out: &mut Vec<OnlineCell<'a>>,
    ) -> Result<()> {
        let view = match self.view(view)? {
            Found::Rows(view) => view,
            Found::Windows(asked, found) => {
                for found in found.get(keys).ok_or_else(none)? {
                    out.push(asked.cell(found, feature)?);
                }
                return Ok(());
            }
        };
        let (ty, field) = view.layout.feature(feature).ok_or_else(none)?;
        let rows = self.rows[view.rows.clone()].get(keys).ok_or_else(none)?;
        // The most usual types have loops of their own, which don't look at type and place row by row.
        match (&field.shape, field.place) {
            (Shape::Int64, Place::Fixed { at, .. }) => self.append(view, rows, feature, out, |record| {
                Ok(record.fixed(feature, at)?.map(|bytes| Value::Int64(i64::from_le_bytes(bytes))))
            }),
            (Shape::Float64, Place::Fixed { at, .. }) => self.append(view, rows, feature, out, |record| {
                Ok(record.fixed(feature, at)?.map(|bytes| Value::Float64(f64::from_le_bytes(bytes))))
            }),
            _ => self.append(view, rows, feature, out, |record| field.value(ty, record.slot(feature)?)),
        }
    }
}

#[cold]
fn none() -> Error {
    Error::internal("there is no such view, key or feature in what was asked")
}

impl Field {
    /// Reads a value by its stored bytes, `None` where it is null.
    #[inline]
    fn value<'a>(&self, ty: &FeatureType, bytes: Option<&'a [u8]>) -> Result<Option<Value<'a>>> {
        bytes.map(|bytes| value(&self.shape, ty, bytes)).transpose()
    }
}

#[inline]
fn value<'a>(shape: &Shape, ty: &FeatureType, bytes: &'a [u8]) -> Result<Value<'a>> {
    Ok(match shape {
        Shape::Bool => match bytes {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            _ => return Err(corrupt("a bool is neither 0 nor 1")),
        },
        Shape::Int32 => Value::Int32(i32::from_le_bytes(array(bytes)?)),
        Shape::Int64 => Value::Int64(i64::from_le_bytes(array(bytes)?)),
        Shape::Float32 => Value::Float32(f32::from_le_bytes(array(bytes)?)),
        Shape::Float64 => Value::Float64(f64::from_le_bytes(array(bytes)?)),
        Shape::Timestamp => Value::Timestamp(i64::from_le_bytes(array(bytes)?)),
        Shape::Date => Value::Date(i32::from_le_bytes(array(bytes)?)),
        Shape::Decimal { scale } => Value::Decimal { unscaled: i128::from_le_bytes(array(bytes)?), scale: *scale },
        Shape::Text => Value::Text(std::str::from_utf8(bytes).map_err(|_| corrupt("a text is not UTF-8"))?),
        Shape::Bytes => Value::Bytes(bytes),
        Shape::List(_) | Shape::Map(_) | Shape::Vector { .. } | Shape::Record(_) => {
            let mut column = ColumnBuilder::new(ty, 1);
            column.append(Some(bytes))?;
            Value::Nested(column.finish()?)
        }
    })
}
