//! The physical operator of the point-in-time join.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::SchemaRef;
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
use lodestore_core::Result;
use lodestore_core::offline::HistoricalPlan;

use super::index::QuestionIndex;
use super::pass::{ViewScan, Visibility, answer};
use super::winners::Answers;

/// How many questions an output batch answers at the most.
const ANSWERS_IN_A_BATCH: usize = 8192;

/// One view of the join.
#[derive(Debug, Clone)]
pub(crate) struct ViewInput {
    /// The questions by the view's keys; views with the same key columns share one.
    pub(crate) index: Arc<QuestionIndex>,
    /// Reads the features that are asked for.
    pub(crate) scan: ViewScan,
    /// Reads all features, where that is more: for ties that the features asked for don't decide.
    pub(crate) all_features: Option<ViewScan>,
    /// When the view's rows are visible.
    pub(crate) visibility: Visibility,
}

/// Adds to each question the features of the views, as they were known at its time.
///
/// Its children are the questions and, for each view, a scan. Output: one partition with one row a
/// question, in the order asked, the questions' columns untouched and the features after them.
#[derive(Debug)]
pub struct PointInTimeJoinExec {
    plan: Arc<HistoricalPlan>,
    questions: Arc<dyn ExecutionPlan>,
    views: Vec<ViewInput>,
    properties: Arc<PlanProperties>,
}

impl PointInTimeJoinExec {
    pub(crate) fn new(plan: Arc<HistoricalPlan>, questions: Arc<dyn ExecutionPlan>, views: Vec<ViewInput>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(plan.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { plan, questions, views, properties: Arc::new(properties) }
    }
}

impl DisplayAs for PointInTimeJoinExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let views = self.plan.request.views.iter().map(|view| view.version.reference().to_string());
        write!(f, "PointInTimeJoinExec: one pass a view, views=[{}]", views.collect::<Vec<_>>().join(", "))
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
        std::iter::once(&self.questions).chain(self.views.iter().map(|view| &view.scan.plan)).collect()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        std::iter::once(true).chain(self.views.iter().map(|_| false)).collect()
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
        let mut children = children.into_iter();
        let (Some(questions), true) = (children.next(), children.len() == self.views.len()) else {
            return Err(DataFusionError::Internal("PointInTimeJoinExec: wrong number of children".into()));
        };
        let with_scan =
            |(view, plan): (&ViewInput, _)| ViewInput { scan: ViewScan { plan, ..view.scan.clone() }, ..view.clone() };
        let views = self.views.iter().zip(children).map(with_scan).collect();
        Ok(Arc::new(Self::new(Arc::clone(&self.plan), questions, views)))
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
        let schema = self.plan.schema();
        let (plan, questions, views) = (Arc::clone(&self.plan), Arc::clone(&self.questions), self.views.clone());
        let batches = async move {
            let questions = collect(questions, Arc::clone(&context)).await?;
            let external = |error| DataFusionError::External(Box::new(error));
            let mut answers = Vec::with_capacity(views.len());
            for view in &views {
                answers.push(answer_view(view, &context).await.map_err(external)?);
            }
            let output = Output::new(&plan, answers).map_err(external)?;
            let chunks = chunks(questions).map(move |(first, chunk)| output.batch(first, &chunk).map_err(external));
            Ok::<_, DataFusionError>(stream::iter(chunks))
        };
        let batches = stream::once(batches).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, batches.boxed())))
    }
}

/// Which rows answer a view's questions, and the features that were kept of them.
struct ViewAnswers {
    answers: Answers,
    features: Vec<usize>,
}

async fn answer_view(view: &ViewInput, context: &Arc<TaskContext>) -> Result<ViewAnswers> {
    let of = |scan: &ViewScan, answers| ViewAnswers { answers, features: scan.reader.features().to_vec() };
    let answers = answer(&view.index, &view.scan, view.visibility, context).await?;
    match &view.all_features {
        Some(scan) if answers.undecided => Ok(of(scan, answer(&view.index, scan, view.visibility, context).await?)),
        _ => Ok(of(&view.scan, answers)),
    }
}

/// Cuts the questions into chunks, each with the place of its first question.
fn chunks(questions: Vec<RecordBatch>) -> impl Iterator<Item = (usize, RecordBatch)> {
    let mut first = 0;
    questions.into_iter().flat_map(move |batch| {
        let start = first;
        first += batch.num_rows();
        (0..batch.num_rows())
            .step_by(ANSWERS_IN_A_BATCH)
            .map(move |offset| (start + offset, batch.slice(offset, ANSWERS_IN_A_BATCH.min(batch.num_rows() - offset))))
    })
}

/// Everything that the output is put together from.
struct Output {
    schema: SchemaRef,
    columns: Vec<OutputColumn>,
    views: Vec<ViewAnswers>,
}

/// A feature column of the output.
struct OutputColumn {
    view: usize,
    /// Its place among the features that were kept of the view's rows.
    kept: usize,
    /// What stands where no row answers, of length one: null, or the default if that was asked for.
    missing: ArrayRef,
}

impl Output {
    fn new(plan: &HistoricalPlan, views: Vec<ViewAnswers>) -> Result<Self> {
        let columns = plan.request.columns.iter().map(|column| {
            let feature = &plan.request.views[column.view].version.features[column.feature];
            let missing = match &feature.default {
                Some(default) if plan.options.use_defaults => feature.feature_type.array_from_json(default)?,
                _ => new_null_array(&feature.feature_type.to_arrow(), 1),
            };
            let kept = views[column.view].features.partition_point(|&other| other < column.feature);
            Ok(OutputColumn { view: column.view, kept, missing })
        });
        Ok(Self { schema: plan.schema(), columns: columns.collect::<Result<_>>()?, views })
    }

    /// Returns the answers to a chunk of questions, the first of which is question `first`.
    fn batch(&self, first: usize, questions: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = questions.columns().to_vec();
        for column in &self.columns {
            let answers = &self.views[column.view].answers;
            let addresses = &answers.addresses[first..first + questions.num_rows()];
            columns.push(answers.kept.take(column.kept, addresses, &column.missing)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(questions.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}
