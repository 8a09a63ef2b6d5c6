//! Random cases against the oracle, one family for each group of rules.

use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::util::pretty::pretty_format_batches;
use libtest_mimic::Failed;
use lodestore_core::offline::OfflineEngine;
use lodestore_core::request::FeatureRequest;

use super::EngineHarness;
use crate::fixture::Retrieval;
use crate::generate::{Focus, GeneratedRetrieval, Rng, for_each_seed};
use crate::{Outcome, check, check_eq};

pub(super) async fn t_property(harness: &dyn EngineHarness) -> Outcome {
    family(harness, "t_property", Focus::Time).await
}

pub(super) async fn p2_property(harness: &dyn EngineHarness) -> Outcome {
    family(harness, "p2_property", Focus::Join).await
}

pub(super) async fn p4_property(harness: &dyn EngineHarness) -> Outcome {
    family(harness, "p4_property", Focus::AsKnown).await
}

pub(super) async fn v1_property(harness: &dyn EngineHarness) -> Outcome {
    family(harness, "v1_property", Focus::Types).await
}

pub(super) async fn v3_property(harness: &dyn EngineHarness) -> Outcome {
    family(harness, "v3_property", Focus::Defaults).await
}

/// Runs cases of all families in turn.
pub(super) async fn every_family(harness: &dyn EngineHarness) -> Outcome {
    const FAMILIES: [Focus; 5] = [Focus::Time, Focus::Join, Focus::AsKnown, Focus::Types, Focus::Defaults];
    for_each_seed("every_family", async |seed| case(harness, FAMILIES[seed as usize % FAMILIES.len()], seed).await)
        .await
}

async fn family(harness: &dyn EngineHarness, name: &str, focus: Focus) -> Outcome {
    for_each_seed(name, async |seed| case(harness, focus, seed).await).await
}

async fn case(harness: &dyn EngineHarness, focus: Focus, seed: u64) -> Outcome {
    let GeneratedRetrieval { retrieval, names } = GeneratedRetrieval::from_seed(focus, seed)?;
    let found: Vec<&str> = retrieval.request.columns.iter().map(|column| column.name.as_str()).collect();
    check_eq!(found, names, "the answer columns are not called as asked");
    let judged = async {
        let engine = harness.engine(&retrieval.tables)?;
        let answer = retrieval.ask(engine.as_ref(), 1 + seed as usize % 7).await?;
        retrieval.check_answer(&answer)
    };
    judged.await.map_err(|failed| describe(&retrieval, &failed))
}

/// Adds what was asked to a failure.
fn describe(retrieval: &Retrieval, failed: &Failed) -> Failed {
    let mut text = failed.message().unwrap_or("no message").to_owned();
    if let Ok(plan) = retrieval.plan() {
        text += &format!("\n\n{plan}\n");
    }
    for (table, rows) in &retrieval.tables {
        text += &format!("\n{}\n{}\n", table.path, pretty(rows));
    }
    (text + &format!("\nquestions\n{}", pretty(&retrieval.questions))).into()
}

fn pretty(rows: &RecordBatch) -> String {
    pretty_format_batches(std::slice::from_ref(rows)).map_or_else(|error| error.to_string(), |shown| shown.to_string())
}

async fn ask(engine: &Arc<dyn OfflineEngine>, retrieval: &Retrieval) -> Result<RecordBatch, Failed> {
    retrieval.ask(engine.as_ref(), usize::MAX).await
}

pub(super) async fn p8_views_asked_one_at_a_time_give_the_same_columns(harness: &dyn EngineHarness) -> Outcome {
    for_each_seed("p8_views_asked_one_at_a_time_give_the_same_columns", async |seed| {
        if seed % 4 != 0 {
            return Ok(());
        }
        let retrieval = GeneratedRetrieval::from_seed(Focus::Join, seed)?.retrieval;
        let engine = harness.engine(&retrieval.tables)?;
        let together = ask(&engine, &retrieval).await?;
        let mut reversed = retrieval.clone();
        reversed.request.columns.reverse();
        let backwards = ask(&engine, &reversed).await?;
        for column in &retrieval.request.columns {
            let views = vec![retrieval.request.views[column.view].clone()];
            let columns = vec![lodestore_core::request::RequestedColumn { view: 0, ..column.clone() }];
            let request = FeatureRequest { views, columns };
            let alone = ask(&engine, &Retrieval { request, ..retrieval.clone() }).await?;
            let name = column.name.as_str();
            check!(together[name].to_data() == alone[name].to_data(), "'{name}' is another one when asked for alone");
            check!(together[name].to_data() == backwards[name].to_data(), "'{name}' depends on the order of views");
        }
        Ok(())
    })
    .await
}

pub(super) async fn the_answer_does_not_depend_on_the_order_of_rows(harness: &dyn EngineHarness) -> Outcome {
    for_each_seed("the_answer_does_not_depend_on_the_order_of_rows", async |seed| {
        if seed % 4 != 1 {
            return Ok(());
        }
        let retrieval = GeneratedRetrieval::from_seed(Focus::Types, seed)?.retrieval;
        let mut shuffled = retrieval.clone();
        for (_, rows) in &mut shuffled.tables {
            *rows = reordered(rows, seed)?;
        }
        let first = ask(&harness.engine(&retrieval.tables)?, &retrieval).await?;
        let second = ask(&harness.engine(&shuffled.tables)?, &shuffled).await?;
        for (first, second) in first.columns().iter().zip(second.columns()) {
            check!(first.to_data() == second.to_data(), "the answer depends on the order of rows");
        }
        Ok(())
    })
    .await
}

pub(super) async fn one_row_for_each_question_in_the_order_asked(harness: &dyn EngineHarness) -> Outcome {
    for_each_seed("one_row_for_each_question_in_the_order_asked", async |seed| {
        if seed % 4 != 2 {
            return Ok(());
        }
        let retrieval = GeneratedRetrieval::from_seed(Focus::Join, seed)?.retrieval;
        let questions = reordered(&retrieval.questions, seed)?;
        let other = Retrieval { questions, ..retrieval.clone() };
        let engine = harness.engine(&retrieval.tables)?;
        let expected = reordered(&ask(&engine, &retrieval).await?, seed)?;
        let found = ask(&engine, &other).await?;
        check_eq!(found.num_rows(), retrieval.questions.num_rows(), "one row for each question");
        for (found, expected) in found.columns().iter().zip(expected.columns()) {
            check!(found.to_data() == expected.to_data(), "rows in another order are answered otherwise");
        }
        Ok(())
    })
    .await
}

/// Puts rows into an order that the seed and their number decide.
fn reordered(rows: &RecordBatch, seed: u64) -> Result<RecordBatch, Failed> {
    let mut order: Vec<u32> = (0..u32::try_from(rows.num_rows())?).collect();
    Rng::new(seed).shuffle(&mut order);
    Ok(take_record_batch(rows, &UInt32Array::from(order))?)
}
