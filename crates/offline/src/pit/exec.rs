//! The physical operator of the point-in-time join.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, Scalar};
use arrow::compute::kernels::zip::zip;
use arrow::datatypes::SchemaRef;
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as DataFusionResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, collect};
use futures::{StreamExt, TryStreamExt, stream};
use lodestore_core::offline::{HistoricalPlan, RunReport};
use lodestore_core::{Error, Result};

use super::features::{Features, Picked, StoredFeatures};
use super::pass::Visibility;
use super::strategy::Limits;
use super::view::{ViewPlan, ViewRun};
use crate::memory::resident_bytes;
use crate::questions::Questions;

/// How many questions an output batch answers at the most.
const ANSWERS_IN_A_BATCH: usize = 16 * 1024;

/// Adds to each question the features of the views, as they were known at its time.
///
/// Its child are the questions; the views' tables are read by the operator itself, as each strategy
/// needs it. Output: one partition with one row a question, in the order asked, the questions' columns
/// untouched and the features after them.
#[derive(Debug)]
pub struct PointInTimeJoinExec {
    plan: Arc<HistoricalPlan>,
    questions: Arc<dyn ExecutionPlan>,
    views: Arc<[ViewPlan]>,
    limits: Limits,
    threads: usize,
    report: Arc<RunReport>,
    properties: Arc<PlanProperties>,
}

impl PointInTimeJoinExec {
    pub(crate) fn new(
        plan: Arc<HistoricalPlan>,
        questions: Arc<dyn ExecutionPlan>,
        views: Arc<[ViewPlan]>,
        limits: Limits,
        threads: usize,
        report: Arc<RunReport>,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(plan.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { plan, questions, views, limits, threads, report, properties: Arc::new(properties) }
    }
}

impl DisplayAs for PointInTimeJoinExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let views =
            self.views.iter().map(|view| format!("{}: {} ({})", view.version.reference(), view.strategy, view.reason));
        write!(f, "PointInTimeJoinExec: views=[{}]", views.collect::<Vec<_>>().join("; "))
    }
}

impl ExecutionPlan for PointInTimeJoinExec {
    fn name(&self) -> &'static str {
        "PointInTimeJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.questions]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DataFusionResult<TreeNodeRecursion>,
    ) -> DataFusionResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        let [questions] = <[_; 1]>::try_from(children)
            .map_err(|_| DataFusionError::Internal("PointInTimeJoinExec has one child".into()))?;
        let (plan, views, report) = (Arc::clone(&self.plan), Arc::clone(&self.views), Arc::clone(&self.report));
        Ok(Arc::new(Self::new(plan, questions, views, self.limits.clone(), self.threads, report)))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DataFusionResult<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> DataFusionResult<SendableRecordBatchStream> {
        if partition != 0 {
            return Err(DataFusionError::Internal("PointInTimeJoinExec has one partition".into()));
        }
        let (plan, questions, views) = (Arc::clone(&self.plan), Arc::clone(&self.questions), Arc::clone(&self.views));
        let (limits, threads, report) = (self.limits.clone(), self.threads, Arc::clone(&self.report));
        let external = |error| DataFusionError::External(Box::new(error));
        let batches = async move {
            let questions = collect(questions, context).await?;
            let stored = answer(&plan, &questions, &views, &limits, threads, &report).await.map_err(external)?;
            let output = Output::new(&plan, &views, stored, report).map_err(external)?;
            let window = limits.window(count(&questions));
            let batches = output.batches(questions, window, threads);
            Ok::<_, DataFusionError>(batches.map(move |batch| batch.map_err(external)))
        };
        let batches = stream::once(batches).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.plan.schema(), batches.boxed())))
    }
}

/// Answers the questions view by view.
async fn answer(
    plan: &HistoricalPlan,
    batches: &[RecordBatch],
    views: &[ViewPlan],
    limits: &Limits,
    threads: usize,
    report: &Arc<RunReport>,
) -> Result<Vec<StoredFeatures>> {
    let asked = Questions::new(plan, batches)?.shared()?;
    let mut stored = Vec::with_capacity(views.len());
    for (place, (view, asked)) in views.iter().zip(asked).enumerate() {
        let visibility = Visibility::of(&view.version, plan.options.as_known);
        let run = ViewRun::new(place, visibility, threads, report);
        stored.push(view.answer(&run, asked, limits).await?);
        report.memory_held(resident_bytes().unwrap_or(0));
    }
    Ok(stored)
}

/// Everything that the output is put together from.
struct Output {
    schema: SchemaRef,
    columns: Vec<OutputColumn>,
    views: Vec<StoredFeatures>,
    report: Arc<RunReport>,
}

/// A feature column of the output.
struct OutputColumn {
    view: usize,
    /// Its place among the features that were fetched of the view's rows.
    fetched: usize,
    /// What stands where no row answers, of length one, if that is not null.
    missing: Option<ArrayRef>,
}

impl Output {
    fn new(
        plan: &HistoricalPlan,
        views: &[ViewPlan],
        stored: Vec<StoredFeatures>,
        report: Arc<RunReport>,
    ) -> Result<Self> {
        let columns = plan.request.columns.iter().map(|column| {
            let feature = &plan.request.views[column.view].version.features[column.feature];
            let missing = match &feature.default {
                Some(default) if plan.options.use_defaults => Some(feature.feature_type.array_from_json(default)?),
                _ => None,
            };
            let fetched = views[column.view].features.partition_point(|&other| other < column.feature);
            Ok(OutputColumn { view: column.view, fetched, missing })
        });
        Ok(Self { schema: plan.schema(), columns: columns.collect::<Result<_>>()?, views: stored, report })
    }

    /// Returns the answers, window by window: of the features, those of one window are in memory. Batches are
    /// put together on several threads, some ahead of the reader.
    fn batches(
        self,
        questions: Vec<RecordBatch>,
        window: usize,
        threads: usize,
    ) -> impl stream::Stream<Item = Result<RecordBatch>> + Send {
        let count = count(&questions);
        let output = Arc::new(self);
        let mut loaded: Option<(Range<usize>, Arc<[Features]>)> = None;
        let chunks = chunks(questions, window).map(move |(first, chunk)| {
            let start = first / window * window;
            let within = start..(start + window).min(count);
            let features = match loaded.take() {
                Some((known, features)) if known == within => Ok(features),
                _ => output.views.iter().map(|view| view.window(&within)).collect(),
            };
            let features: Result<Arc<[Features]>> = features;
            loaded = features.as_ref().ok().map(|features| (within, Arc::clone(features)));
            let output = Arc::clone(&output);
            SpawnedTask::spawn_blocking(move || output.batch(first, &chunk, &features?))
        });
        let joined = |task: SpawnedTask<_>| async {
            task.await.map_err(|e| Error::internal(format!("a task of the join ended early: {e}")))?
        };
        stream::iter(chunks).map(joined).buffered(threads)
    }

    /// Returns the answers to a chunk of questions, the first of which is question `first`.
    fn batch(&self, first: usize, questions: &RecordBatch, features: &[Features]) -> Result<RecordBatch> {
        let asked = first..first + questions.num_rows();
        let picked: Vec<Picked> = features.iter().map(|features| features.picked(&asked)).collect();
        let mut columns = questions.columns().to_vec();
        for column in &self.columns {
            let picked = &picked[column.view];
            let values = features[column.view].values(column.fetched, picked)?;
            columns.push(match (&column.missing, &picked.answered) {
                (Some(missing), Some(answered)) => zip(answered, &values, &Scalar::new(Arc::clone(missing)))?,
                _ => values,
            });
        }
        self.report.answered(questions.num_rows() as u64);
        let options = RecordBatchOptions::new().with_row_count(Some(questions.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

fn count(questions: &[RecordBatch]) -> usize {
    questions.iter().map(RecordBatch::num_rows).sum()
}

/// Cuts the questions into chunks, each with the place of its first question and within one window.
fn chunks(questions: Vec<RecordBatch>, window: usize) -> impl Iterator<Item = (usize, RecordBatch)> {
    let mut first = 0;
    questions.into_iter().flat_map(move |batch| {
        let start = first;
        first += batch.num_rows();
        let mut offset = 0;
        std::iter::from_fn(move || {
            let place = start + offset;
            let to_window_end = window - place % window;
            let length = ANSWERS_IN_A_BATCH.min(batch.num_rows() - offset).min(to_window_end);
            let chunk = (length > 0).then(|| (place, batch.slice(offset, length)));
            offset += length;
            chunk
        })
    })
}
