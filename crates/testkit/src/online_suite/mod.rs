//! What every [`OnlineStore`] must do: each `# Behavior` bullet by its name, the rules by number,
//! and random histories against the oracle.

mod behavior;
mod example;
mod properties;
mod rules;
mod windows;

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::LocalBoxFuture;
use libtest_mimic::{Failed, Trial};
use lodestore_core::online::OnlineStore;

use crate::{Outcome, trials};

/// Opens stores.
#[async_trait]
pub trait OnlineHarness: Send + Sync + 'static {
    /// Opens the store at a place. A place that was never opened is empty; for one that was, a store
    /// that declares itself durable has what was written there.
    ///
    /// # Errors
    /// If the store can't be opened.
    async fn open(&self, place: &str) -> lodestore_core::Result<Arc<dyn OnlineStore>>;

    /// Opens the store at a place such that its next write fails halfway; `None` where failures
    /// can't be caused, and the test that needs them is reported as ignored.
    ///
    /// # Errors
    /// If the store can't be opened.
    async fn open_failing(&self, _place: &str) -> lodestore_core::Result<Option<Arc<dyn OnlineStore>>> {
        Ok(None)
    }

    /// Returns whether [`open_failing`](Self::open_failing) gives a store.
    fn fails_on_demand(&self) -> bool {
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
pub fn trials(harness: Arc<dyn OnlineHarness>) -> Vec<Trial> {
    let failing = trials!("online", harness, behavior::a_failed_write_changes_nothing);
    let mut all = trials!(
        "online",
        harness,
        behavior::preparing_again_changes_nothing,
        behavior::the_winner_does_not_depend_on_the_order_of_writes,
        behavior::writing_twice_changes_nothing,
        behavior::a_row_not_yet_visible_does_not_hide_the_one_before,
        behavior::a_partial_row_replaces_just_its_features,
        behavior::row_i_answers_key_i_and_columns_are_in_the_order_asked,
        behavior::a_missing_key_is_not_found_and_a_null_key_too,
        behavior::a_row_older_than_the_ttl_is_outside_max_age,
        behavior::reads_during_a_write_see_the_last_commit,
        behavior::a_deleted_key_is_not_found,
        behavior::older_rows_stay_out_after_a_delete,
        behavior::deleting_a_missing_key_succeeds,
        behavior::the_watermark_moves_with_the_rows,
        behavior::a_retired_view_is_empty_and_others_are_untouched,
        behavior::a_durable_store_has_its_rows_when_it_is_opened_again,
        rules::o1_created_then_values_decide_between_equal_event_times,
        rules::o1_concurrent_writers_end_in_the_same_state,
        rules::o2_every_status_and_its_value,
        rules::o2_a_row_is_visible_from_its_delay_on,
        rules::o2_validity_ranges_may_overlap,
        rules::o2_a_timeless_row_is_always_present,
        rules::o3_the_ttl_may_change_without_a_write,
        rules::o4_each_feature_has_its_own_event_time,
        rules::o5_a_delete_holds_at_its_moment_and_not_after,
        rules::o6_features_are_answered_in_the_order_requested,
        rules::m3_rows_written_and_skipped_add_up,
        rules::n2_versions_and_projects_live_side_by_side,
        rules::p6_keys_that_run_into_each_other_are_apart,
        rules::v1_every_type_goes_in_and_comes_out_equal,
        windows::an_event_counts_in_the_windows_that_contain_it,
        windows::an_event_with_an_id_counts_once,
        windows::events_without_ids_each_count,
        windows::windows_of_an_unknown_key_are_empty,
        windows::a_deleted_key_has_empty_windows,
        windows::collecting_changes_no_answer,
        windows::w5_of_deliveries_that_differ_the_least_of_a_write_counts,
        windows::w5_concurrent_writers_count_each_event_once,
        windows::w2_property,
        properties::o1_property,
        properties::o4_property,
        properties::o2_answers_are_those_of_the_historical_join,
    );
    all.extend(failing.into_iter().map(|trial| trial.with_ignored_flag(!harness.fails_on_demand())));
    all
}

/// Runs so many writers at the same time, each in a thread of its own.
fn in_threads(harness: &dyn OnlineHarness, writers: i64, writes: impl AsyncFn(i64) -> Outcome + Sync) -> Outcome {
    std::thread::scope(|scope| {
        let writes = &writes;
        let spawn = |writer| scope.spawn(move || harness.block_on(Box::pin(writes(writer))));
        let writers: Vec<_> = (0..writers).map(spawn).collect();
        let joined = writers.into_iter().map(|writer| writer.join().map_err(|_| Failed::from("a writer panicked"))?);
        joined.collect::<Outcome>()
    })
}
