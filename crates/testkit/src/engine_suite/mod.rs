//! What every [`OfflineEngine`] must do: the rules by name, random cases against the oracle, and the
//! golden cases.

mod example;
mod joins;
mod properties;
mod scans;
mod times;
mod values;
mod windows;

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::future::LocalBoxFuture;
use libtest_mimic::Trial;
use lodestore_core::definition::TableRef;
use lodestore_core::offline::OfflineEngine;

use crate::{Outcome, golden, trials};

/// Opens an engine over tables.
pub trait EngineHarness: Send + Sync + 'static {
    /// Returns an engine that finds each table at the path of its [`TableRef`], its columns called
    /// as in the files.
    ///
    /// # Errors
    /// If the tables can't be put where the engine reads them.
    fn engine(&self, tables: &[(TableRef, RecordBatch)]) -> lodestore_core::Result<Arc<dyn OfflineEngine>>;

    /// Runs a test to its end, on whatever runtime the engine needs.
    fn block_on(&self, test: LocalBoxFuture<'_, Outcome>) -> Outcome {
        futures::executor::block_on(test)
    }
}

/// Returns every test of the suite.
#[must_use]
#[allow(clippy::needless_pass_by_value, reason = "callers make a harness for this call alone")]
pub fn trials(harness: Arc<dyn EngineHarness>) -> Vec<Trial> {
    let mut all = trials!(
        "engine",
        harness,
        properties::t_property,
        properties::p2_property,
        properties::p4_property,
        properties::v1_property,
        properties::v3_property,
        properties::p8_views_asked_one_at_a_time_give_the_same_columns,
        properties::the_answer_does_not_depend_on_the_order_of_rows,
        properties::one_row_for_each_question_in_the_order_asked,
        times::t1_units_and_zones_name_the_same_moment,
        times::t2_a_finer_time_never_makes_a_value_visible_early,
        times::t4_a_row_is_visible_from_its_delay_on_and_ages_from_its_event_time,
        times::t5_validity_is_closed_at_its_start_and_open_at_its_end,
        times::t5_a_timeless_table_answers_at_every_time,
        joins::p1_columns_of_the_caller_are_untouched,
        joins::p1_no_questions_and_no_rows_are_answered,
        joins::p2_both_ends_of_the_ttl_are_inclusive,
        joins::p3_created_then_values_decide_between_equal_event_times,
        joins::p3_nan_is_above_all_numbers_and_null_below,
        joins::p4_as_known_leaves_out_later_corrections,
        joins::p5_a_question_without_candidate_stays_with_nulls,
        joins::p6_a_null_key_matches_nothing,
        joins::p6_keys_compare_by_value_in_the_declared_type,
        joins::p6_a_key_column_of_another_type_is_an_error_that_names_it,
        joins::p6_composite_keys_do_not_run_into_each_other,
        joins::p7_a_view_without_entities_answers_with_its_latest_row,
        joins::p8_aliases_join_the_same_view_by_other_columns,
        values::v1_every_type_goes_in_and_comes_out_equal,
        values::v2_a_column_that_can_not_be_widened_is_an_error_that_names_it,
        values::v2_a_value_that_does_not_fit_is_an_error_that_names_its_row,
        values::v3_a_default_replaces_what_is_missing_only_where_asked,
        values::a_missing_table_is_not_found,
        values::explain_and_schema_and_fingerprint_describe_the_tables,
        windows::w_property,
        scans::scan_property,
        scans::a_scan_takes_the_rows_of_its_interval,
        scans::m1_rows_created_since_are_taken_however_old,
        scans::p9_the_questions_of_an_interval_are_its_keys_and_times,
    );
    all.extend(golden_trials("engine", &harness));
    all
}

/// Returns the tests of a way to answer that an engine can be made to take: cases of every family
/// against the oracle, and the golden cases. Their names begin with `way`.
#[must_use]
#[allow(clippy::needless_pass_by_value, reason = "callers make a harness for this call alone")]
pub fn trials_of_way(way: &str, harness: Arc<dyn EngineHarness>) -> Vec<Trial> {
    let cases = Arc::clone(&harness);
    let every_family = move || cases.block_on(Box::pin(properties::every_family(cases.as_ref())));
    let mut all = vec![Trial::test(format!("{way}::every_family"), every_family)];
    all.extend(golden_trials(way, &harness));
    all
}

fn golden_trials(way: &str, harness: &Arc<dyn EngineHarness>) -> Vec<Trial> {
    golden::trials(way, harness)
        .unwrap_or_else(|failed| vec![Trial::test(format!("{way}::golden"), move || Err(failed))])
}
