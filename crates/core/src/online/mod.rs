//! The seam to online stores, what they keep for a key, and the store in memory.

mod memory;
mod state;
pub mod windows;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::ArrayRef;
use async_trait::async_trait;

use crate::definition::ViewVersion;
use crate::entity_key::EntityKeys;
use crate::error::{Error, Result};
use crate::name::ProjectName;
use crate::rows::{FeatureRows, RowStamp};
use crate::time::{EventTime, Micros};
use crate::types::{FeatureType, Value, ValueBuilder};

pub use memory::MemoryOnlineStore;
pub use state::{Cells, Entry, FeatureMask, KeyState, Merged, status_of};

/// A view version as a store knows it. Versions live side by side (rule N2).
#[derive(Debug, Clone)]
pub struct OnlineView {
    /// The project that the view belongs to.
    pub project: ProjectName,
    /// The version, with its keys, features, TTL and availability delay.
    pub version: Arc<ViewVersion>,
    id: Arc<str>,
}

impl OnlineView {
    /// Returns a version of a view of a project.
    #[must_use]
    pub fn new(project: ProjectName, version: Arc<ViewVersion>) -> Self {
        let id = format!("{project}/{}/{}", version.reference(), version.created_at.as_micros());
        Self { project, version, id: id.into() }
    }

    /// Returns the text that tells this view version from all others in a store: project, view,
    /// version and when the version was made, as in `project/view@3/1700000000000000`. A view that is
    /// removed and defined again counts its versions from 1; its rows are others all the same.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns features as columns, given by their places in the view's order, of what was found when this
    /// view alone was asked for so many keys.
    ///
    /// # Errors
    /// As [`OnlineRows::get`].
    pub fn columns(&self, found: &dyn OnlineRows, keys: usize, features: &[usize]) -> Result<Vec<OnlineColumn>> {
        let column = |&feature: &usize| {
            let ty = self.version.features.get(feature).map(|feature| &feature.feature_type);
            let ty = ty.ok_or_else(|| Error::internal(format!("there is no feature {feature}")))?;
            OnlineColumn::of(found, 0, keys, feature, ty)
        };
        features.iter().map(column).collect::<Result<_>>().map_err(|error| error.with_context("view", self))
    }
}

impl fmt::Display for OnlineView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.version.reference())
    }
}

/// What a store can do. All off until a store says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capability {
    /// Rows outlive the process.
    pub durable: bool,
    /// Several processes may use the same data.
    pub shared_between_processes: bool,
    /// Rows with some of a view's features can be written (rule O4).
    pub partial_rows: bool,
}

/// What was found for one feature of one key (rule O2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FeatureStatus {
    /// A value.
    Present,
    /// A row whose value is null.
    NullValue,
    /// No visible row for the key.
    NotFound,
    /// A row older than the view's TTL; the value is null.
    OutsideMaxAge,
}

impl FeatureStatus {
    /// Returns the name that clients see: `PRESENT`, `NULL_VALUE`, `NOT_FOUND` or `OUTSIDE_MAX_AGE`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Present => "PRESENT",
            Self::NullValue => "NULL_VALUE",
            Self::NotFound => "NOT_FOUND",
            Self::OutsideMaxAge => "OUTSIDE_MAX_AGE",
        }
    }
}

/// One feature of the keys that were asked for: item i of each part answers key i.
#[derive(Debug, Clone)]
pub struct OnlineColumn {
    /// The values, in the feature's Arrow type; null unless the status is `Present`.
    pub values: ArrayRef,
    /// What was found.
    pub statuses: Vec<FeatureStatus>,
    /// The event time of the row that answered, also where its value is too old; `None` where there
    /// is no row or the row is timeless.
    pub event_times: Vec<Option<EventTime>>,
}

impl OnlineColumn {
    /// Takes a feature of a view that was asked for out of what was found.
    ///
    /// # Errors
    /// `Corrupt` if a stored row is damaged; `Internal` if there is no such view or feature.
    pub fn of(found: &dyn OnlineRows, view: usize, keys: usize, feature: usize, ty: &FeatureType) -> Result<Self> {
        let mut cells = Vec::with_capacity(keys);
        found.cells(view, 0..keys, feature, &mut cells)?;
        Self::from_cells(ty, cells)
    }

    /// Returns the column of cells with values of a type.
    ///
    /// # Errors
    /// `Internal` for a value of another type.
    pub fn from_cells(ty: &FeatureType, cells: Vec<OnlineCell<'_>>) -> Result<Self> {
        let mut values = ValueBuilder::new(ty, cells.len());
        let (mut statuses, mut event_times) = (Vec::with_capacity(cells.len()), Vec::with_capacity(cells.len()));
        for cell in cells {
            values.push(cell.value)?;
            statuses.push(cell.status);
            event_times.push(cell.event_time);
        }
        Ok(Self { values: values.finish()?, statuses, event_times })
    }
}

/// Keys that a view is asked for. Row i of what is found is that of key i.
#[derive(Debug, Clone, Copy)]
pub struct ViewKeys<'a> {
    /// The view.
    pub view: &'a OnlineView,
    /// The keys.
    pub keys: &'a EntityKeys,
}

/// What was found for one feature of one key.
#[derive(Debug, Clone, PartialEq)]
pub struct OnlineCell<'a> {
    /// What was found.
    pub status: FeatureStatus,
    /// The value; there if and only if the status is `Present`.
    pub value: Option<Value<'a>>,
    /// The event time of the row that answered, also where its value is too old; `None` where there
    /// is no row or the row is timeless.
    pub event_time: Option<EventTime>,
}

impl<'a> OnlineCell<'a> {
    /// Returns the cell of the row that answers, given by its stamp and whether its value is null; the value is
    /// looked at only if it is `Present`.
    ///
    /// # Errors
    /// Those of `value`.
    #[inline]
    pub fn of(
        row: Option<(RowStamp, bool)>,
        ttl: Option<Micros>,
        as_of: EventTime,
        value: impl FnOnce() -> Result<Option<Value<'a>>>,
    ) -> Result<Self> {
        let status = status_of(row, ttl, as_of);
        let event_time = row.map(|(stamp, _)| stamp.event).filter(|&event| event != EventTime::MIN);
        let value = if status == FeatureStatus::Present { value()? } else { None };
        Ok(Self { status, value, event_time })
    }
}

/// The rows that were found at one moment, as they are stored: a value is looked at when it is asked for.
pub trait OnlineRows: fmt::Debug + Send + Sync {
    /// Returns what was found for a feature, given by its place in the view's order, of a key of a view,
    /// given by their places in what was asked.
    ///
    /// # Errors
    /// `Corrupt` if the stored row is damaged; `Internal` if there is no such view, key or feature.
    fn get(&self, view: usize, key: usize, feature: usize) -> Result<OnlineCell<'_>>;

    /// Appends what was found for a feature of some keys, key by key. A store may find its way to the feature once
    /// rather than for each key; the cells are those of [`OnlineRows::get`].
    ///
    /// # Errors
    /// As [`OnlineRows::get`].
    fn cells<'a>(
        &'a self,
        view: usize,
        keys: Range<usize>,
        feature: usize,
        out: &mut Vec<OnlineCell<'a>>,
    ) -> Result<()> {
        for key in keys {
            out.push(self.get(view, key, feature)?);
        }
        Ok(())
    }
}

/// How far a view has been materialised. It moves in the same commit as the rows (rule M2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Watermark {
    /// Rows up to this event time were taken.
    pub event: Option<EventTime>,
    /// The latest created time among the rows that were taken.
    pub created: Option<EventTime>,
}

impl Watermark {
    /// Returns how far both of two parts of a view have been materialised.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self { event: self.event.min(other.event), created: self.created.min(other.created) }
    }
}

/// How many rows of a write changed the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteReport {
    /// Rows that are now stored.
    pub written: u64,
    /// Rows that lost to what is stored, or to others of the same write; of events, those that were told
    /// before, are too old for every window, or are kept out by a delete.
    pub skipped: u64,
}

/// Keeps, for each view version and key, the rows that answer questions from now on.
///
/// An implementation knows keys, rows and times. It knows nothing of registries, feature services,
/// names of features asked for, or access control. What a key's rows amount to is decided by
/// [`KeyState`], the same for every store.
#[async_trait]
pub trait OnlineStore: fmt::Debug + Send + Sync + 'static {
    /// Returns what this store can do; constant for its life.
    fn capability(&self) -> Capability;

    /// Makes room for views. Called when definitions are applied.
    ///
    /// # Behavior
    /// - preparing_again_changes_nothing
    async fn prepare(&self, views: &[OnlineView]) -> Result<()>;

    /// Writes rows and, in the same commit, the watermark if one is given. Rows of a view with aggregations are
    /// events, which count in its windows; what is kept of them is decided by [`windows`].
    ///
    /// `now` decides which of two visible rows can be dropped: an answer for an earlier moment is
    /// not kept.
    ///
    /// # Behavior
    /// - the_winner_does_not_depend_on_the_order_of_writes
    /// - writing_twice_changes_nothing
    /// - a_row_not_yet_visible_does_not_hide_the_one_before
    /// - a_partial_row_replaces_just_its_features
    /// - a_failed_write_changes_nothing
    /// - an_event_counts_in_the_windows_that_contain_it
    /// - an_event_with_an_id_counts_once
    /// - events_without_ids_each_count
    ///
    /// # Errors
    /// `Unavailable` or `Exhausted` if nothing is known to be written; retrying is safe.
    async fn write(
        &self,
        view: &OnlineView,
        rows: &FeatureRows,
        now: EventTime,
        watermark: Option<Watermark>,
    ) -> Result<WriteReport>;

    /// Finds the rows of keys of some views as of a moment; where a store can, all in one commit.
    ///
    /// # Behavior
    /// - row_i_answers_key_i_and_columns_are_in_the_order_asked
    /// - a_missing_key_is_not_found_and_a_null_key_too
    /// - a_row_older_than_the_ttl_is_outside_max_age
    /// - windows_of_an_unknown_key_are_empty
    /// - reads_during_a_write_see_the_last_commit
    async fn find(&self, asked: &[ViewKeys<'_>], as_of: EventTime) -> Result<Box<dyn OnlineRows>>;

    /// Reads features of one view, given by their places in the view's order, as columns.
    ///
    /// # Errors
    /// As [`OnlineStore::find`]; `Internal` if there is no such feature.
    async fn read(
        &self,
        view: &OnlineView,
        keys: &EntityKeys,
        features: &[usize],
        as_of: EventTime,
    ) -> Result<Vec<OnlineColumn>> {
        let found = self.find(&[ViewKeys { view, keys }], as_of).await?;
        view.columns(found.as_ref(), keys.len(), features)
    }

    /// Deletes keys as of a moment. Rows with an event time up to it stay out when they arrive later.
    ///
    /// # Behavior
    /// - a_deleted_key_is_not_found
    /// - older_rows_stay_out_after_a_delete
    /// - deleting_a_missing_key_succeeds
    /// - a_deleted_key_has_empty_windows
    async fn delete(&self, view: &OnlineView, keys: &EntityKeys, at: EventTime) -> Result<()>;

    /// Returns how far a view was materialised.
    ///
    /// # Behavior
    /// - the_watermark_moves_with_the_rows
    async fn watermark(&self, view: &OnlineView) -> Result<Watermark>;

    /// Removes what no read at `now` or later can ask for, as the old events of windows, of keys that nobody
    /// writes; returns how many entries it removed. A store that keeps nothing longer than that has nothing to do.
    ///
    /// # Behavior
    /// - collecting_changes_no_answer
    async fn collect(&self, _view: &OnlineView, _now: EventTime) -> Result<u64> {
        Ok(0)
    }

    /// Drops the rows, watermarks and room of views.
    ///
    /// # Behavior
    /// - a_retired_view_is_empty_and_others_are_untouched
    async fn retire(&self, views: &[OnlineView]) -> Result<()>;
}
