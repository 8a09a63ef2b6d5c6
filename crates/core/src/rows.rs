//! Rows of a feature view on their way into a store.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{concat, take};

use crate::definition::ViewVersion;
use crate::entity_key::EntityKeys;
use crate::error::{Error, Result};
use crate::time::EventTime;
use crate::types::{FeatureType, KeyType, Rounding, event_times, widen};

/// The times of a row that decide which of two rows wins, and when a row is visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RowStamp {
    /// When it happened; [`EventTime::MIN`] for a row of a timeless source.
    pub event: EventTime,
    /// When it was recorded; [`EventTime::MIN`] where the source does not say.
    pub created: EventTime,
    /// From when on it is no longer valid; [`EventTime::MAX`] for always valid.
    pub valid_to: EventTime,
}

impl RowStamp {
    /// Returns the stamp of a row that is valid for ever and was recorded at an unknown time.
    #[must_use]
    pub fn at(event: EventTime) -> Self {
        Self { event, created: EventTime::MIN, valid_to: EventTime::MAX }
    }

    /// Returns what orders rows before their values do (rule P3).
    #[inline]
    #[must_use]
    pub fn order(self) -> (EventTime, EventTime) {
        (self.event, self.created)
    }
}

/// Rows of one view version: keys without nulls, stamps, and the values of some features.
///
/// Row i of each part belongs to row i of the others. A row that has all features of the view is a
/// full row; one that has some is partial and replaces just those (rule O4). Of a view with aggregations the
/// rows are events: their columns are the view's inputs, all of them, and they may have ids (rule W5).
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureRows {
    keys: EntityKeys,
    stamps: Vec<RowStamp>,
    features: Vec<(usize, ArrayRef)>,
    event_ids: Option<BinaryArray>,
}

impl FeatureRows {
    /// Returns rows from their parts; `features` names each column's place in the view's order.
    ///
    /// # Errors
    /// `Internal` if a key is null, lengths differ, or features are not in ascending order.
    pub fn new(keys: EntityKeys, stamps: Vec<RowStamp>, features: Vec<(usize, ArrayRef)>) -> Result<Self> {
        let rows = stamps.len();
        if keys.len() != rows || features.iter().any(|(_, column)| column.len() != rows) {
            return Err(Error::internal("the parts of feature rows have different lengths"));
        }
        if keys.as_array().null_count() > 0 || features.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err(Error::internal("feature rows have null keys or unordered features"));
        }
        Ok(Self { keys, stamps, features, event_ids: None })
    }

    /// Returns no rows.
    #[must_use]
    pub fn none() -> Self {
        let keys = EntityKeys::from_encoded(BinaryArray::new_null(0));
        Self { keys, stamps: Vec::new(), features: Vec::new(), event_ids: None }
    }

    /// Returns the rows as events with these ids. Events of one id count once (rule W5).
    ///
    /// # Errors
    /// `Internal` if there are more or fewer ids than rows, or one is null.
    pub fn with_event_ids(mut self, ids: BinaryArray) -> Result<Self> {
        if ids.len() != self.len() || ids.null_count() > 0 {
            return Err(Error::internal("events and their ids are not as many, or an id is null"));
        }
        self.event_ids = Some(ids);
        Ok(self)
    }

    /// Returns the rows of several, in order. They have the same features.
    ///
    /// # Errors
    /// `Internal` if there are none or they have different features; `Invalid` if they are too large
    /// for one array.
    pub fn concat(parts: &[Self]) -> Result<Self> {
        let first = parts.first().ok_or_else(|| Error::internal("no feature rows to put together"))?;
        let keys: Vec<&dyn Array> = parts.iter().map(|part| part.keys.as_array() as &dyn Array).collect();
        let stamps = parts.iter().flat_map(|part| part.stamps.iter().copied()).collect();
        let column = |place: usize| {
            let arrays = parts.iter().filter_map(|part| part.features.get(place)).map(|(_, a)| a.as_ref());
            Ok((first.features[place].0, concat(&arrays.collect::<Vec<_>>())?))
        };
        let features = (0..first.features.len()).map(column).collect::<Result<_>>()?;
        let all = Self::new(EntityKeys::from_encoded(concat(&keys)?.as_binary().clone()), stamps, features)?;
        let ids: Vec<&dyn Array> = parts.iter().filter_map(|part| part.event_ids.as_ref()).map(|i| i as _).collect();
        if ids.is_empty() { Ok(all) } else { all.with_event_ids(concat(&ids)?.as_binary().clone()) }
    }

    /// Returns the rows with another created time for all of them.
    #[must_use]
    pub fn created_at(mut self, created: EventTime) -> Self {
        self.stamps.iter_mut().for_each(|stamp| stamp.created = created);
        self
    }

    /// Returns about how many bytes the rows take in memory.
    #[must_use]
    pub fn memory_size(&self) -> usize {
        let arrays = self.features.iter().map(|(_, array)| array.get_array_memory_size()).sum::<usize>();
        let ids = self.event_ids.as_ref().map_or(0, Array::get_array_memory_size);
        arrays + ids + self.keys.as_array().get_array_memory_size() + self.stamps.len() * size_of::<RowStamp>()
    }

    /// Returns how many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stamps.len()
    }

    /// Returns whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stamps.is_empty()
    }

    /// Returns the keys; none is null.
    #[must_use]
    pub fn keys(&self) -> &EntityKeys {
        &self.keys
    }

    /// Returns the key of a row.
    #[must_use]
    pub fn key(&self, row: usize) -> &[u8] {
        self.keys.as_array().value(row)
    }

    /// Returns the stamps.
    #[must_use]
    pub fn stamps(&self) -> &[RowStamp] {
        &self.stamps
    }

    /// Returns the ids of events, where they have some.
    #[must_use]
    pub fn event_ids(&self) -> Option<&BinaryArray> {
        self.event_ids.as_ref()
    }

    /// Returns the columns with their places in the view's order, ascending: its features, or where it has
    /// aggregations its inputs.
    #[must_use]
    pub fn features(&self) -> &[(usize, ArrayRef)] {
        &self.features
    }

    /// Returns the rows at `indices`, in that order.
    ///
    /// # Errors
    /// `Internal` if Arrow can't take them.
    pub fn take(&self, indices: &UInt32Array) -> Result<Self> {
        let taken = take(self.keys.as_array(), indices, None)?;
        let keys = EntityKeys::from_encoded(
            taken
                .as_any()
                .downcast_ref::<BinaryArray>()
                .cloned()
                .ok_or_else(|| Error::internal("taking from a binary array gives a binary array"))?,
        );
        let stamps = indices.values().iter().map(|&i| self.stamps[i as usize]).collect();
        let columns = self.features.iter().map(|(i, column)| Ok((*i, take(column, indices, None)?)));
        let ids = self.event_ids.as_ref().map(|ids| take(ids, indices, None)).transpose()?;
        let event_ids = ids.map(|ids| ids.as_binary().clone());
        Ok(Self { keys, stamps, features: columns.collect::<Result<_>>()?, event_ids })
    }
}

/// A row that could not be taken, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// The row's place in the batch it came in.
    pub row: usize,
    /// Why, naming the column.
    pub reason: String,
}

/// What became of a batch of a view's rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalized {
    /// The rows that were taken.
    pub rows: FeatureRows,
    /// For each of them, its place in the batch.
    pub places: UInt32Array,
    /// The rows that were not.
    pub refused: Vec<RefusedRow>,
}

/// Which column of a batch tells which time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TimeColumns {
    /// The event time; `None` for timeless rows.
    pub event: Option<String>,
    /// The created time, where there is one.
    pub created: Option<String>,
    /// The end of validity, where there is one.
    pub valid_to: Option<String>,
}

impl TimeColumns {
    /// Returns the time columns of a view: those of its table, or `event_timestamp` without one.
    #[must_use]
    pub fn of(view: &ViewVersion) -> Self {
        match &view.table {
            Some(table) => Self {
                event: table.times.event_time_column().map(str::to_owned),
                created: table.times.created_timestamp_column.clone(),
                valid_to: table.times.valid_to.clone(),
            },
            None => Self { event: Some("event_timestamp".into()), ..Self::default() },
        }
    }
}

/// Turns a batch with a view's columns into rows of it.
///
/// # Behavior
/// - A row with a null key or without an event time is refused (rules P6 and M3), as is one with a
///   value that does not fit into its declared type (rule V2).
/// - Event and created times finer than a microsecond round up (rule T2).
/// - A feature that the batch has no column for is left out, so that the rows are partial.
/// - Of a view with aggregations the rows are events: every input needs a column. Where the source has an
///   `event_id`, an event without one is refused, for it would count again each time it is delivered.
///
/// # Errors
/// `Invalid`, naming the view, for a missing key, time or event id column, no feature column at all, a missing
/// input, or a column of a type that can't be widened.
pub fn normalize(view: &ViewVersion, times: &TimeColumns, batch: &RecordBatch) -> Result<Normalized> {
    let in_view = |error: Error| error.with_context("view", view.reference());
    let rows = batch.num_rows();
    let mut refusals: Vec<Option<String>> = vec![None; rows];
    let keys = keys_of(view, batch).map_err(in_view)?;
    let stamps = stamps_of(times, batch).map_err(in_view)?;
    for row in 0..rows {
        if keys.get(row).is_none() {
            refusals[row] = Some(format!("a value of its key ({}) is null", key_names(view)));
        } else if stamps[row].is_none() {
            refusals[row] = Some(format!("its event time '{}' is null", times.event.as_deref().unwrap_or_default()));
        }
    }
    let event_ids = event_ids_of(view, batch, &mut refusals).map_err(in_view)?;
    let columns = columns_of(view, batch, &mut refusals).map_err(in_view)?;
    let stamps = stamps.into_iter().map(|stamp| stamp.unwrap_or(RowStamp::at(EventTime::MIN))).collect();
    let all = FeatureRows { keys, stamps, features: columns, event_ids };
    let kept: UInt32Array = (0..rows as u32).filter(|&row| refusals[row as usize].is_none()).collect::<Vec<_>>().into();
    let taken = if kept.len() == rows { all } else { all.take(&kept)? };
    let refused = refusals.into_iter().enumerate().filter_map(|(row, r)| r.map(|reason| RefusedRow { row, reason }));
    Ok(Normalized { rows: taken, places: kept, refused: refused.collect() })
}

/// Returns the columns that a view's values are made of, widened, with their places.
fn columns_of(
    view: &ViewVersion,
    batch: &RecordBatch,
    refusals: &mut [Option<String>],
) -> Result<Vec<(usize, ArrayRef)>> {
    let wanted = view.source_columns();
    let mut columns = Vec::with_capacity(wanted.len());
    for (index, (name, ty)) in wanted.iter().enumerate() {
        match batch.column_by_name(name) {
            Some(column) => columns.push((index, widen_or_refuse(name, column, ty, refusals)?)),
            None if view.definition.is_aggregated() => {
                column(batch, name, "input")?;
            }
            None => {}
        }
    }
    if columns.is_empty() && !view.definition.is_aggregated() {
        return Err(Error::invalid(format!(
            "the rows have no feature of view '{}'; its features: {}",
            view.name(),
            wanted.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
        )));
    }
    Ok(columns)
}

/// Returns the ids of a view's events, where its source has some. An event without one is refused.
fn event_ids_of(
    view: &ViewVersion,
    batch: &RecordBatch,
    refusals: &mut [Option<String>],
) -> Result<Option<BinaryArray>> {
    let Some(name) = &view.event_id else { return Ok(None) };
    let found = column(batch, name, "event id")?;
    let ty = FeatureType::from_arrow(found.data_type()).map(|ty| KeyType::try_from(&ty));
    let Some(Ok(ty)) = ty else {
        return Err(Error::invalid(format!(
            "event id column '{name}' has type {}; expected one that a join key can have, such as a string or an integer",
            found.data_type()
        )));
    };
    let ids = EntityKeys::encode(batch.num_rows(), &[(name, found, ty)])?;
    for (_, refusal) in refusals.iter_mut().enumerate().filter(|(row, _)| ids.get(*row).is_none()) {
        refusal.get_or_insert_with(|| format!("its event id '{name}' is null"));
    }
    Ok(Some(ids.as_array().clone()))
}

/// Returns the keys of a batch with a view's columns, null where a value of the key is null.
///
/// # Errors
/// `Invalid` if a key column is missing or of another type.
pub fn keys_of(view: &ViewVersion, batch: &RecordBatch) -> Result<EntityKeys> {
    let columns = view.keys.iter().map(|key| {
        let name = key.name.as_str();
        Ok((name, column(batch, name, "key")?, key.key_type))
    });
    EntityKeys::encode(batch.num_rows(), &columns.collect::<Result<Vec<_>>>()?)
}

/// Returns the stamp of each row of a batch, `None` where the event time is null.
///
/// # Errors
/// `Invalid` if a time column is missing or of a type that is no time.
pub fn stamps_of(times: &TimeColumns, batch: &RecordBatch) -> Result<Vec<Option<RowStamp>>> {
    let micros = |name: &Option<String>| -> Result<Option<Int64Array>> {
        name.as_deref().map(|name| event_times(name, column(batch, name, "time")?, Rounding::Up)).transpose()
    };
    let (event, created, valid_to) = (micros(&times.event)?, micros(&times.created)?, micros(&times.valid_to)?);
    let at = |array: &Option<Int64Array>, row: usize| {
        array.as_ref().filter(|a| a.is_valid(row)).map(|a| EventTime::from_micros(a.value(row)))
    };
    let stamp = |row: usize| {
        let event = if times.event.is_some() { at(&event, row)? } else { EventTime::MIN };
        let created = at(&created, row).unwrap_or(EventTime::MIN);
        Some(RowStamp { event, created, valid_to: at(&valid_to, row).unwrap_or(EventTime::MAX) })
    };
    Ok((0..batch.num_rows()).map(stamp).collect())
}

fn column<'a>(batch: &'a RecordBatch, name: &str, what: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| {
        let known = batch.schema_ref().fields().iter().map(|f| format!("'{}'", f.name())).collect::<Vec<_>>();
        Error::invalid(format!("{what} column '{name}' is missing; columns: {}", known.join(", ")))
    })
}

fn key_names(view: &ViewVersion) -> String {
    view.keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Widens a column; a row whose value does not fit is refused and becomes null.
fn widen_or_refuse(
    name: &str,
    array: &ArrayRef,
    ty: &FeatureType,
    refusals: &mut [Option<String>],
) -> Result<ArrayRef> {
    if !crate::types::can_widen(array.data_type(), ty) {
        return widen(name, array, ty, 0);
    }
    if let Ok(widened) = widen(name, array, ty, 0) {
        return Ok(widened);
    }
    let mut fits = Vec::with_capacity(array.len());
    for (row, refusal) in refusals.iter_mut().enumerate() {
        match widen(name, &array.slice(row, 1), ty, row) {
            Ok(_) => fits.push(Some(row as u32)),
            Err(error) => {
                refusal.get_or_insert_with(|| error.message().to_owned());
                fits.push(None);
            }
        }
    }
    widen(name, &take(array, &UInt32Array::from(fits), None)?, ty, 0)
}
