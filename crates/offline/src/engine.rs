//! The engine: tables of files, planned and run by DataFusion.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{Expr, SessionConfig, SessionContext, ident, lit};
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use lodestore_core::definition::{TableRef, ViewVersion};
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::offline::{BatchStream, HistoricalPlan, OfflineEngine, ScanPlan};
use lodestore_core::request::RequestedView;
use lodestore_core::rows::{TimeColumns, stamps_of};
use lodestore_core::time::EventTime;
use lodestore_core::types::{KeyType, Rounding, event_times};
use lodestore_core::{Error, Result};

use crate::error::from_datafusion;
use crate::explain::explain;
use crate::pit::{PointInTimeJoinExec, QuestionIndex, TieColumns, ViewInput, ViewScan, Visibility};
use crate::rows::{RowReader, rename};
use crate::table::{Table, fingerprint};

/// Settings of the engine.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where relative paths of sources start.
    pub base: PathBuf,
    /// How many threads a join or scan uses at the most.
    pub threads: usize,
}

impl EngineConfig {
    /// Returns the settings for sources below `base`, with a thread for each core.
    #[must_use]
    pub fn new(base: impl Into<PathBuf>) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { base: base.into(), threads }
    }
}

/// Joins and scans tables of files with DataFusion, on the tokio runtime of the caller.
///
/// Nothing is kept between two calls: a file that changes is seen as it is.
#[derive(Debug, Clone)]
pub struct DataFusionEngine {
    config: EngineConfig,
}

/// The questions' key columns, each with its type, and whether they are asked at a time: what views
/// must have in common to share an index.
type IndexId = (Vec<(String, KeyType)>, bool);

impl DataFusionEngine {
    /// Returns an engine with these settings.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        Self { config }
    }

    fn base(&self) -> &Path {
        &self.config.base
    }

    fn context(&self) -> SessionContext {
        // Statistics of whole files are not collected: from them DataFusion takes a column whose least and
        // greatest values are equal for constant, although Parquet's statistics leave NaN out. Row groups
        // and pages are pruned by their own statistics all the same.
        let config =
            SessionConfig::new().with_target_partitions(self.config.threads.max(1)).with_collect_statistics(false);
        SessionContext::new_with_config(config)
    }

    async fn plan(
        &self,
        context: &SessionContext,
        plan: &HistoricalPlan,
        questions: Vec<RecordBatch>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut indexes: HashMap<IndexId, Arc<QuestionIndex>> = HashMap::new();
        let asked = Questions::new(plan, &questions)?;
        let mut views = Vec::with_capacity(plan.request.views.len());
        for (i, view) in plan.request.views.iter().enumerate() {
            let index = match indexes.get(&asked.index_id(view)) {
                Some(index) => Arc::clone(index),
                None => Arc::new(asked.index(view)?),
            };
            indexes.insert(asked.index_id(view), Arc::clone(&index));
            views.push(self.view_input(context, plan, i, view, index).await?);
        }
        let schema = Arc::clone(&plan.questions);
        let questions = MemorySourceConfig::try_new_exec(&[questions], schema, None)
            .map_err(|e| from_datafusion("the entity frame", e))?;
        Ok(Arc::new(PointInTimeJoinExec::new(Arc::new(plan.clone()), questions, views)))
    }

    async fn view_input(
        &self,
        context: &SessionContext,
        plan: &HistoricalPlan,
        place: usize,
        view: &RequestedView,
        index: Arc<QuestionIndex>,
    ) -> Result<ViewInput> {
        let version = &view.version;
        let table = self.table(context, version).await?;
        let prune = prune(version, &table, &index);
        let scan = async |features: Vec<usize>, tie_columns| {
            let reader = RowReader::new(Arc::clone(version), features);
            let plan = table.scan(context, &reader.columns(), &prune, self.config.threads).await?;
            Ok::<_, Error>(ViewScan { plan, reader, tie_columns })
        };
        let in_view = |error: Error| error.with_context("view", version.reference());
        let asked = plan.request.features_of(place);
        let all: Vec<usize> = (0..version.features.len()).collect();
        let visibility = Visibility::of(version, plan.options.as_known);
        Ok(if asked == all {
            let scan = scan(all, TieColumns::All).await.map_err(in_view)?;
            ViewInput { index, scan, all_features: None, visibility }
        } else {
            let all_features = Some(scan(all, TieColumns::All).await.map_err(in_view)?);
            ViewInput { index, scan: scan(asked, TieColumns::Some).await.map_err(in_view)?, all_features, visibility }
        })
    }

    async fn table(&self, context: &SessionContext, view: &ViewVersion) -> Result<Table> {
        let in_view = |error: Error| error.with_context("view", view.reference());
        let Some(reference) = &view.table else {
            return Err(Error::invalid(format!("view '{}' has no history to read", view.reference())));
        };
        let table = Table::open(context, self.base(), reference, Some(view)).await.map_err(in_view)?;
        view.check_columns(&table.schema())?;
        Ok(table)
    }
}

#[async_trait]
impl OfflineEngine for DataFusionEngine {
    async fn schema(&self, table: &TableRef) -> Result<SchemaRef> {
        Ok(Table::open(&self.context(), self.base(), table, None).await?.schema())
    }

    async fn historical(&self, plan: &HistoricalPlan, questions: Vec<RecordBatch>) -> Result<BatchStream> {
        let context = self.context();
        let physical = self.plan(&context, plan, questions).await?;
        let in_join = |error| from_datafusion("the sources of the join", error);
        let batches = execute_stream(physical, context.task_ctx()).map_err(in_join)?;
        Ok(BatchStream { schema: plan.schema(), batches: batches.map(move |batch| batch.map_err(in_join)).boxed() })
    }

    async fn scan(&self, plan: &ScanPlan) -> Result<BatchStream> {
        let context = self.context();
        let table = self.table(&context, &plan.view).await?;
        let columns: Vec<String> = plan.column_names().map(str::to_owned).collect();
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        let after = if plan.created_since.is_some() { None } else { plan.after };
        let prune = prune_times(&plan.view, &table, after, plan.until);
        let physical = table.scan(&context, &names, &prune, 1).await?;
        let what = RowReader::new(Arc::clone(&plan.view), Vec::new()).source();
        let in_scan = move |error| from_datafusion(&what, error);
        let batches = execute_stream(physical, context.task_ctx()).map_err(&in_scan)?;
        let plan = plan.clone();
        let times = TimeColumns::of(&plan.view);
        let kept = move |batch: RecordBatch| -> Result<RecordBatch> {
            let names: Vec<&str> = columns.iter().map(String::as_str).collect();
            let batch = rename(&batch, &names, &plan.view)?;
            let stamps = stamps_of(&times, &batch).map_err(|e| e.with_context("view", plan.view.reference()))?;
            let takes = stamps.iter().map(|stamp| Some(stamp.is_some_and(|stamp| plan.takes(stamp))));
            Ok(filter_record_batch(&batch, &takes.collect())?)
        };
        let mut batches = batches.map(move |batch| kept(batch.map_err(&in_scan)?)).boxed().peekable();
        let schema = match std::pin::Pin::new(&mut batches).peek().await {
            Some(Ok(first)) => first.schema(),
            _ => table.schema(),
        };
        Ok(BatchStream { schema, batches: batches.boxed() })
    }

    async fn explain(&self, plan: &HistoricalPlan) -> Result<String> {
        let context = self.context();
        let physical = self.plan(&context, plan, Vec::new()).await?;
        Ok(explain(plan, physical.as_ref()))
    }

    async fn fingerprint(&self, table: &TableRef) -> Result<String> {
        fingerprint(&self.context(), self.base(), table).await
    }
}

/// The key and time columns of the questions, in one piece.
struct Questions<'a> {
    plan: &'a HistoricalPlan,
    columns: RecordBatch,
    times: Option<Int64Array>,
}

impl<'a> Questions<'a> {
    fn new(plan: &'a HistoricalPlan, batches: &[RecordBatch]) -> Result<Self> {
        let mut wanted = plan.request.key_columns().into_keys().collect::<Vec<_>>();
        wanted.extend(plan.time_column.as_deref().filter(|time| !wanted.contains(time)));
        let wanted = wanted.iter().map(|name| Ok(plan.questions.index_of(name)?)).collect::<Result<Vec<_>>>()?;
        let batches = batches.iter().map(|batch| Ok(batch.project(&wanted)?)).collect::<Result<Vec<_>>>()?;
        let columns = concat_batches(&Arc::new(plan.questions.project(&wanted)?), &batches)?;
        let times = match &plan.time_column {
            Some(name) => Some(event_times(name, &columns[name.as_str()], Rounding::Down)?),
            None => None,
        };
        Ok(Self { plan, columns, times })
    }

    /// A timeless view answers every question, even one whose time is null, unless it must have been
    /// known by then.
    fn needs_time(&self, view: &RequestedView) -> bool {
        self.plan.options.as_known || !view.version.is_timeless()
    }

    fn index_id(&self, view: &RequestedView) -> IndexId {
        let keys = view.version.keys.iter().zip(&view.key_columns);
        (keys.map(|(key, column)| (column.clone(), key.key_type)).collect(), self.needs_time(view))
    }

    fn index(&self, view: &RequestedView) -> Result<QuestionIndex> {
        let keys = view.version.keys.iter().zip(&view.key_columns);
        let keys: Vec<_> =
            keys.map(|(key, name)| (name.as_str(), &self.columns[name.as_str()], key.key_type)).collect();
        let keys = EntityKeys::encode(self.columns.num_rows(), &keys)
            .map_err(|e| Error::invalid(format!("entity frame: {}", e.message())))?;
        Ok(QuestionIndex::new(keys, self.times.as_ref().filter(|_| self.needs_time(view))))
    }
}

/// Returns what rules out rows that can answer no question: by their time, and by the range of the
/// keys where there is one join key, an integer.
fn prune(view: &ViewVersion, table: &Table, index: &QuestionIndex) -> Vec<Expr> {
    let mut filters = match index.time_range() {
        Some((earliest, latest)) if !view.is_timeless() => {
            let oldest =
                view.ttl().map(|ttl| EventTime::from_micros(earliest.minus(ttl).as_micros().saturating_sub(1)));
            prune_times(view, table, oldest, Some(latest.minus(view.availability_delay())))
        }
        _ => Vec::new(),
    };
    if let [key] = view.keys.as_slice()
        && matches!(key.key_type, KeyType::Int32 | KeyType::Int64)
        && let Some(ty) = table.column_type(key.name.as_str())
        && let Some((least, greatest)) = index.integer_key_range()
    {
        let column = || ident(file_column(view, key.name.as_str()));
        let literal = |value: i64| ScalarValue::Int64(Some(value)).cast_to(&ty).ok().filter(|v| !v.is_null());
        filters.extend(literal(least).map(|least| column().gt_eq(lit(least))));
        filters.extend(literal(greatest).map(|greatest| column().lt_eq(lit(greatest))));
    }
    filters
}

/// Returns what rules out rows whose event time is not in `(after, until]`, give or take a unit of the column.
fn prune_times(view: &ViewVersion, table: &Table, after: Option<EventTime>, until: Option<EventTime>) -> Vec<Expr> {
    let times = TimeColumns::of(view);
    let Some(event) = times.event.as_deref() else { return Vec::new() };
    let Some(DataType::Timestamp(unit, zone)) = table.column_type(event) else { return Vec::new() };
    let literal = |time: EventTime, margin: i64| {
        let micros = time.as_micros();
        let (value, scalar): (Option<i64>, fn(_, _) -> ScalarValue) = match unit {
            TimeUnit::Second => (micros.div_euclid(1_000_000).checked_add(margin), ScalarValue::TimestampSecond),
            TimeUnit::Millisecond => (micros.div_euclid(1_000).checked_add(margin), ScalarValue::TimestampMillisecond),
            TimeUnit::Microsecond => (micros.checked_add(margin), ScalarValue::TimestampMicrosecond),
            TimeUnit::Nanosecond => (
                micros.checked_mul(1_000).and_then(|ns| ns.checked_add(margin * 1_000)),
                ScalarValue::TimestampNanosecond,
            ),
        };
        value.map(|value| lit(scalar(Some(value), zone.clone())))
    };
    let column = || ident(file_column(view, event));
    let after = after.and_then(|after| literal(after, -1)).map(|after| column().gt_eq(after));
    let until = until.and_then(|until| literal(until, 1)).map(|until| column().lt_eq(until));
    after.into_iter().chain(until).collect()
}

fn file_column<'a>(view: &'a ViewVersion, column: &'a str) -> &'a str {
    view.table.as_ref().map_or(column, |table| table.file_column(column))
}
