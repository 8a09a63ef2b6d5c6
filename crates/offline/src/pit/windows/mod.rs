//! Features of a view that aggregates: for each question, what the events of its windows amount to.
//!
//! The events of the keys that are asked about are collected in one pass over the table, whatever the number of
//! windows, and put in order by key and time; questions are so already. Then, key by key, the events of a window are
//! one run of them, found by pointers that only move on, and its value is put together from parts that windows share
//! (see [`evaluate`]). Memory is that of the events, of which only the columns that are looked at are held; over a
//! limit, questions are split by key and the pass is made for each part.

mod collect;
mod evaluate;
mod extremes;
mod runs;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::ArrayRef;
use futures::future;
use lodestore_core::time::Stopwatch;
use lodestore_core::windows::BoundAggregations;
use lodestore_core::{Error, Result};
use tokio::task::spawn_blocking;

use self::collect::Collected;
use self::evaluate::Evaluator;
use super::features::{FeatureStore, Layout, StoredFeatures};
use super::index::Asked;
use super::strategy::Limits;
use super::view::{ViewPlan, ViewRun};
use crate::rows::RowReader;

/// Answers the questions about a view that aggregates.
pub(crate) async fn answer(view: &ViewPlan, run: &ViewRun, asked: &Asked, limits: &Limits) -> Result<StoredFeatures> {
    let bound = Arc::new(BoundAggregations::new(&view.version, &view.features)?);
    let reader = Arc::new(RowReader::of_events(Arc::clone(&view.version), bound.inputs()));
    let types = view.reader().feature_types();
    let store = Arc::new(limits.store(asked.count, asked.count, &types, Layout::Placed)?);
    let rows = match view.table.as_parquet() {
        Some(table) => usize::try_from(table.rows().await?).unwrap_or(usize::MAX),
        None => 0,
    };
    let parts = limits.parts_of_events(rows, asked.count, &reader.feature_types());
    let mut has_place = vec![false; asked.count];
    for index in run.indexes(asked, parts) {
        (0..index.places()).for_each(|place| has_place[index.question(place)] = true);
        let clock = Stopwatch::start();
        let events = collect::events(view, run, &index, &reader, &bound, rows / parts).await?;
        run.report(|view| view.scan_time += clock.elapsed());
        let clock = Stopwatch::start();
        let evaluated = evaluate_parts(run, events, &bound, &store).await;
        evaluated.map_err(|error| error.with_context("view", view.version.reference()))?;
        run.report(|view| view.fetch_time += clock.elapsed());
    }
    // A key with a null has no events, but its windows are there.
    let is_timed =
        |question: usize| asked.times.as_ref().is_some_and(|times| !arrow::array::Array::is_null(times, question));
    let without_key = (0..asked.count).filter(|&question| !has_place[question] && is_timed(question));
    let without_key: Vec<(u32, u32)> = without_key.map(|question| (question as u32, 0)).collect();
    if !without_key.is_empty() {
        let empty =
            bound.as_slice().iter().map(|one| one.aggregate.column(&[one.aggregate.finish(&one.aggregate.empty(), 0)]));
        store.add_all(empty.collect::<Result<Vec<ArrayRef>>>()?, &without_key)?;
    }
    let store = Arc::into_inner(store).ok_or_else(|| Error::internal("an evaluation goes on after its end"))?;
    let stored = store.finish()?;
    run.report(|view| view.bytes_spilled += stored.bytes_spilled());
    Ok(stored)
}

/// Evaluates the questions part by part, on several threads.
async fn evaluate_parts(
    run: &ViewRun,
    events: Collected,
    bound: &Arc<BoundAggregations>,
    store: &Arc<FeatureStore>,
) -> Result<()> {
    let events = Arc::new(events);
    let next = Arc::new(AtomicUsize::new(0));
    let task = |_| {
        let (run, events, next) = (run.clone(), Arc::clone(&events), Arc::clone(&next));
        let (bound, store) = (Arc::clone(bound), Arc::clone(store));
        spawn_blocking(move || {
            let mut evaluator = Evaluator::new(&bound, events.index(), run.visibility.as_known);
            loop {
                let part = next.fetch_add(1, Ordering::Relaxed);
                if part >= events.parts() {
                    return Ok::<_, Error>(());
                }
                run.check_cancelled()?;
                let grouped = events.part(part, &bound, run.visibility.as_known)?;
                let (columns, answers) = evaluator.evaluate(&grouped)?;
                store.add_all(columns, &answers)?;
            }
        })
    };
    let threads = run.threads.clamp(1, events.parts().max(1));
    let mut done = future::join_all((0..threads).map(task).collect::<Vec<_>>()).await.into_iter();
    done.try_for_each(|done| done.map_err(|e| Error::internal(format!("a thread of the windows ended early: {e}")))?)
}
