//! One pass over the rows of a view: each row is offered to the questions it may answer.

use std::sync::Arc;

use datafusion::common::runtime::SpawnedTask;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::{StreamExt, future};
use lodestore_core::definition::ViewVersion;
use lodestore_core::time::{EventTime, Micros};
use lodestore_core::{Error, Result};

use super::index::QuestionIndex;
use super::winners::{Answers, Spread, TieColumns, Winners};
use crate::error::from_datafusion;
use crate::rows::{RowReader, Rows};

/// A scan of a view's rows, and how they are read.
#[derive(Debug, Clone)]
pub(crate) struct ViewScan {
    /// Brings the reader's columns, in any order of rows, in any number of partitions.
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    /// Turns batches into rows.
    pub(crate) reader: RowReader,
    /// Whether the reader reads all of the view's features.
    pub(crate) tie_columns: TieColumns,
}

/// When a view's rows are visible.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visibility {
    delay: Micros,
    ttl: Option<Micros>,
    spread: Spread,
    as_known: bool,
}

impl Visibility {
    /// Returns when the rows of a view are visible; `as_known` adds rule P4.
    pub(crate) fn of(view: &ViewVersion, as_known: bool) -> Self {
        let ends = view.table.as_ref().is_some_and(|table| table.times.valid_to.is_some());
        let spread = if ends { Spread::OverRuns } else { Spread::ToTheEnd };
        Self { delay: view.availability_delay(), ttl: view.ttl(), spread, as_known }
    }
}

/// Answers the questions of an index from the rows of a view: a task for each partition, merged.
pub(crate) async fn answer(
    index: &Arc<QuestionIndex>,
    scan: &ViewScan,
    visibility: Visibility,
    context: &Arc<TaskContext>,
) -> Result<Answers> {
    let partitions = scan.plan.output_partitioning().partition_count();
    let tasks = (0..partitions).map(|partition| {
        let (index, scan, context) = (Arc::clone(index), scan.clone(), Arc::clone(context));
        SpawnedTask::spawn(async move { pass(&index, &scan, visibility, partition, context).await })
    });
    let mut winners = Winners::new(index.places(), visibility.spread, scan.tie_columns);
    for done in future::join_all(tasks.map(SpawnedTask::join)).await {
        winners.merge(done.map_err(|e| Error::internal(format!("a task of the join ended early: {e}")))??);
    }
    Ok(winners.resolve(index, visibility.ttl))
}

async fn pass(
    index: &QuestionIndex,
    scan: &ViewScan,
    visibility: Visibility,
    partition: usize,
    context: Arc<TaskContext>,
) -> Result<Winners> {
    let in_scan = |error| from_datafusion(&scan.reader.source(), error);
    let mut winners = Winners::new(index.places(), visibility.spread, scan.tie_columns);
    let mut batches = scan.plan.execute(partition, context).map_err(in_scan)?;
    while let Some(batch) = batches.next().await {
        let batch = batch.map_err(in_scan)?;
        let Rows { keys, stamps, features } = scan.reader.rows(&batch)?;
        let candidates = stamps.iter().enumerate().filter_map(|(row, stamp)| {
            let stamp = (*stamp)?;
            let places = index.places_of(keys.get(row)?)?;
            let known = if visibility.as_known { stamp.created } else { EventTime::MIN };
            let run = index.between(places.clone(), stamp.event.plus(visibility.delay).max(known), stamp.valid_to);
            Some((row, stamp, places, run))
        });
        winners.offer_batch(features, batch.num_rows(), candidates)?;
    }
    Ok(winners)
}
