//! The seam to registry stores, what a registry holds, and the store in memory.

mod history;
mod memory;
mod snapshot;

use std::fmt;

use async_trait::async_trait;

use crate::error::Result;
use crate::name::ProjectName;
use crate::time::EventTime;

pub use history::ViewHistory;
pub use memory::{MemoryRegistry, conflict};
pub use snapshot::{Mutation, SavedDataset, Snapshot};

/// Who changed what, and when: one entry of a registry's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplyRecord {
    /// The registry's revision after the change.
    pub revision: u64,
    /// When it was committed.
    pub at: EventTime,
    /// Who did it, as far as the process knows.
    pub by: String,
    /// What changed, a line each.
    pub changes: Vec<String>,
}

/// A change to a project's registry, to be committed as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What is put and removed, in order.
    pub mutations: Vec<Mutation>,
    /// When the change is made.
    pub at: EventTime,
    /// Who makes it.
    pub by: String,
    /// What changes, a line each.
    pub lines: Vec<String>,
}

/// Keeps the definitions of projects, their versions and their history.
///
/// An implementation stores what it is given. It does not judge it: plans are made and checked
/// before they come here.
#[async_trait]
pub trait RegistryStore: fmt::Debug + Send + Sync + 'static {
    /// Returns a project's present state; revision 0 and empty for a project that was never applied.
    ///
    /// # Behavior
    /// - an_unknown_project_is_empty_at_revision_0
    /// - what_was_committed_is_loaded
    /// - projects_do_not_see_each_other
    async fn load(&self, project: &ProjectName) -> Result<Snapshot>;

    /// Returns the revision of a project's present state, without loading it.
    ///
    /// # Behavior
    /// - the_revision_is_that_of_the_state
    async fn revision(&self, project: &ProjectName) -> Result<u64>;

    /// Commits a change on top of revision `expected`, wholly or not at all; returns the new revision.
    ///
    /// # Behavior
    /// - a_commit_on_an_old_revision_is_a_conflict_and_changes_nothing
    /// - of_many_commits_at_once_on_one_revision_one_succeeds
    /// - every_commit_is_recorded
    ///
    /// # Errors
    /// `Conflict` if the revision is another one by now.
    async fn commit(&self, project: &ProjectName, expected: u64, change: &Change) -> Result<u64>;

    /// Returns the newest `limit` records, the newest first.
    async fn history(&self, project: &ProjectName, limit: usize) -> Result<Vec<ApplyRecord>>;

    /// Removes a project with its versions and history. Removing an unknown one succeeds.
    ///
    /// # Behavior
    /// - a_removed_project_is_empty_and_others_are_untouched
    async fn remove_project(&self, project: &ProjectName) -> Result<()>;
}
