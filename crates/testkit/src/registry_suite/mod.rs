//! What every [`RegistryStore`] must do: each `# Behavior` bullet by its name, everything that can be
//! stored there and back, and random changes.

mod behavior;
mod example;
mod round_trips;

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::LocalBoxFuture;
use libtest_mimic::Trial;
use lodestore_core::registry::RegistryStore;

use crate::{Outcome, trials};

/// Opens registries.
#[async_trait]
pub trait RegistryHarness: Send + Sync + 'static {
    /// Opens the registry at a place. A place that was never opened is empty; opened again, by this
    /// or another thread, a registry that [outlives](Self::is_durable) its handle is the same one.
    ///
    /// # Errors
    /// If the registry can't be opened.
    async fn open(&self, place: &str) -> lodestore_core::Result<Arc<dyn RegistryStore>>;

    /// Returns whether what is committed outlives the handle that committed it.
    fn is_durable(&self) -> bool {
        false
    }

    /// Runs a test to its end, on whatever runtime the store needs. Tests call it from several threads.
    fn block_on(&self, test: LocalBoxFuture<'_, Outcome>) -> Outcome {
        futures::executor::block_on(test)
    }
}

/// Returns every test of the suite.
#[must_use]
#[allow(clippy::needless_pass_by_value, reason = "callers make a harness for this call alone")]
pub fn trials(harness: Arc<dyn RegistryHarness>) -> Vec<Trial> {
    trials!(
        "registry",
        harness,
        behavior::an_unknown_project_is_empty_at_revision_0,
        behavior::the_revision_is_that_of_the_state,
        behavior::what_was_committed_is_loaded,
        behavior::projects_do_not_see_each_other,
        behavior::a_commit_on_an_old_revision_is_a_conflict_and_changes_nothing,
        behavior::of_many_commits_at_once_on_one_revision_one_succeeds,
        behavior::many_writers_that_plan_again_all_get_their_turn,
        behavior::a_load_during_commits_sees_whole_revisions,
        behavior::every_commit_is_recorded,
        behavior::a_removed_project_is_empty_and_others_are_untouched,
        round_trips::every_kind_of_object_is_loaded_as_it_was_put,
        round_trips::n1_aggregations_are_loaded_as_they_were_put,
        round_trips::objects_are_replaced_and_removed,
        round_trips::n2_versions_and_pins_live_side_by_side,
        round_trips::saved_datasets_are_put_replaced_and_removed,
        round_trips::a_change_is_made_in_the_order_of_its_mutations,
        round_trips::random_changes_amount_to_what_they_say,
    )
}
