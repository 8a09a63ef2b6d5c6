//! The seam to online stores, what they keep for a key, and the store in memory.

mod memory;
mod state;

use std::fmt;
use std::sync::Arc;

use arrow::array::ArrayRef;
use async_trait::async_trait;

use crate::definition::ViewVersion;
use crate::entity_key::EntityKeys;
use crate::error::Result;
use crate::name::ProjectName;
use crate::rows::FeatureRows;
use crate::time::EventTime;

pub use memory::MemoryOnlineStore;
pub use state::{Cells, Entry, FeatureMask, KeyState, Merged, status_of};

/// A view version as a store knows it. Versions live side by side (rule N2).
#[derive(Debug, Clone)]
pub struct OnlineView {
    /// The project that the view belongs to.
    pub project: ProjectName,
    /// The version, with its keys, features, TTL and availability delay.
    pub version: Arc<ViewVersion>,
}

impl OnlineView {
    /// Returns the text that tells this view version from all others in a store: project, view,
    /// version and when the version was made, as in `project/view@3/1700000000000000`. A view that is
    /// removed and defined again counts its versions from 1; its rows are others all the same.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.project, self.version.reference(), self.version.created_at.as_micros())
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

/// How far a view has been materialised. It moves in the same commit as the rows (rule M2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Watermark {
    /// Rows up to this event time were taken.
    pub event: Option<EventTime>,
    /// The latest created time among the rows that were taken.
    pub created: Option<EventTime>,
}

/// How many rows of a write changed the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteReport {
    /// Rows that are now stored.
    pub written: u64,
    /// Rows that lost to what is stored, or to others of the same write.
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

    /// Writes rows and, in the same commit, the watermark if one is given.
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

    /// Reads features, given by their places in the view's order, as of a moment.
    ///
    /// # Behavior
    /// - row_i_answers_key_i_and_columns_are_in_the_order_asked
    /// - a_missing_key_is_not_found_and_a_null_key_too
    /// - a_row_older_than_the_ttl_is_outside_max_age
    /// - reads_during_a_write_see_the_last_commit
    async fn read(
        &self,
        view: &OnlineView,
        keys: &EntityKeys,
        features: &[usize],
        as_of: EventTime,
    ) -> Result<Vec<OnlineColumn>>;

    /// Deletes keys as of a moment. Rows with an event time up to it stay out when they arrive later.
    ///
    /// # Behavior
    /// - a_deleted_key_is_not_found
    /// - older_rows_stay_out_after_a_delete
    /// - deleting_a_missing_key_succeeds
    async fn delete(&self, view: &OnlineView, keys: &EntityKeys, at: EventTime) -> Result<()>;

    /// Returns how far a view was materialised.
    ///
    /// # Behavior
    /// - the_watermark_moves_with_the_rows
    async fn watermark(&self, view: &OnlineView) -> Result<Watermark>;

    /// Drops the rows, watermarks and room of views.
    ///
    /// # Behavior
    /// - a_retired_view_is_empty_and_others_are_untouched
    async fn retire(&self, views: &[OnlineView]) -> Result<()>;
}
