//! Stored rows that were found for keys: copied out of a store, and looked at when they are asked for.

use std::ops::Range;
use std::sync::Arc;

use lodestore_core::online::windows::{Asked, FoundKey};
use lodestore_core::online::{OnlineCell, OnlineRows};
use lodestore_core::rows::RowStamp;
use lodestore_core::time::{EventTime, Micros};
use lodestore_core::types::{FeatureType, Value};
use lodestore_core::{Error, Result};

use super::column::ColumnBuilder;
use super::layout::{RowLayout, Shape};
use super::state::read_state;
use super::value::{Record, array, corrupt};
use super::view::{ROW_HEAD, row_order};
use super::{ONE_ENTRY, ROW_FORMAT, SEVERAL_ENTRIES};

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
    /// The records, one after the other.
    bytes: Vec<u8>,
    /// The rows of all views, view by view.
    rows: Vec<FoundRow>,
    views: Vec<Found>,
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
    /// The usual form: where its record lies.
    One { stamp: RowStamp, record: Range<usize> },
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
                let (event, created) = row_order(bytes)?;
                let record = &bytes[ROW_HEAD..];
                Record::new(&view.layout.record, record)?;
                // A row is valid until the end of time, which is not within.
                if event.plus(view.delay) <= self.as_of && self.as_of < EventTime::MAX {
                    let start = self.bytes.len();
                    self.bytes.extend_from_slice(record);
                    let stamp = RowStamp { created, ..RowStamp::at(event) };
                    FoundRow::One { stamp, record: start..self.bytes.len() }
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

    fn cell<'a>(
        &'a self,
        feature: usize,
        found: Option<(RowStamp, Option<&'a [u8]>)>,
        as_of: EventTime,
    ) -> Result<OnlineCell<'a>> {
        let (shape, ty) = (&self.layout.record.fields[feature].shape, &self.layout.types[feature]);
        let read = || found.and_then(|(_, slot)| slot).map(|bytes| value(shape, ty, bytes)).transpose();
        OnlineCell::of(found.map(|(stamp, slot)| (stamp, slot.is_none())), self.ttl, as_of, read)
    }
}

impl OnlineRows for FoundRows {
    #[inline]
    fn get(&self, view: usize, key: usize, feature: usize) -> Result<OnlineCell<'_>> {
        let none = || Error::internal("there is no such view, key or feature in what was asked");
        let view = match self.views.get(view).ok_or_else(none)? {
            Found::Rows(view) => view,
            Found::Windows(asked, keys) => return asked.cell(keys.get(key).ok_or_else(none)?, feature),
        };
        let found = match self.rows[view.rows.clone()].get(key).ok_or_else(none)? {
            _ if feature >= view.layout.types.len() => return Err(none()),
            FoundRow::Nothing => None,
            FoundRow::One { stamp, record } => {
                let record = Record::checked(&view.layout.record, &self.bytes[record.clone()]);
                Some((*stamp, record.slot(feature)?))
            }
            FoundRow::Several(slots) => slots[feature].as_ref().map(|(stamp, slot)| (*stamp, slot.as_deref())),
        };
        view.cell(feature, found, self.as_of)
    }
}

/// Reads a value by its stored bytes.
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
