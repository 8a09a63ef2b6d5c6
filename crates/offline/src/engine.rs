//! The engine: tables from anywhere, joined and scanned on the tokio runtime of the caller.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::{StreamExt, stream};
use lodestore_core::definition::{TableRef, ViewVersion};
use lodestore_core::offline::{BatchStream, HistoricalPlan, OfflineEngine, RunReport, ScanPlan, WriteTarget, Written};
use lodestore_core::rows::{TimeColumns, stamps_of};
use lodestore_core::time::Stopwatch;
use lodestore_core::{Error, Result};

use crate::error::from_datafusion;
use crate::explain::explain;
use crate::memory::budget;
use crate::pit::{Known, Limits, PointInTimeJoinExec, Strategy, Tuning, ViewPlan, Visibility, choose, interval, width};
use crate::rows::rename;
use crate::sink;
use crate::source::{SourceConfig, Sources, SqlTable, Table};

/// Settings of the engine.
#[derive(Debug, Clone, Default)]
pub struct EngineConfig {
    /// Where sources are and how they are reached.
    pub sources: SourceConfig,
    /// How many threads a join or scan uses at the most.
    pub threads: usize,
    /// How many bytes the process should have resident at the most while it joins: over that, work is split
    /// and features are written to temporary files.
    pub memory_limit: Option<u64>,
    /// Where temporary files are made; the system's place for them where it is left out.
    pub spill_folder: Option<PathBuf>,
    /// Choices that are otherwise made by statistics.
    pub tuning: Tuning,
}

impl EngineConfig {
    /// Returns the settings for sources below `base`, with a thread for each core.
    #[must_use]
    pub fn new(base: impl Into<PathBuf>) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let sources = SourceConfig { base: base.into(), ..SourceConfig::default() };
        Self { sources, threads, ..Self::default() }
    }
}

/// Joins and scans tables with DataFusion and the operators of this crate.
///
/// But for frames in memory nothing is kept between two calls: a file that changes is seen as it is.
#[derive(Debug, Clone)]
pub struct DataFusionEngine {
    config: EngineConfig,
    sources: Arc<Sources>,
}

impl DataFusionEngine {
    /// Returns an engine with these settings.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        let sources = Arc::new(Sources::new(config.sources.clone(), Arc::new(RuntimeEnv::default())));
        Self { config, sources }
    }

    fn threads(&self) -> usize {
        self.config.threads.max(1)
    }

    fn context(&self) -> SessionContext {
        let config = SessionConfig::new().with_target_partitions(self.threads()).with_information_schema(false);
        SessionContext::new_with_config(config)
    }

    /// Plans a retrieval: opens the tables and chooses how each view is answered.
    async fn plan(
        &self,
        plan: &HistoricalPlan,
        questions: Vec<RecordBatch>,
        report: &Arc<RunReport>,
    ) -> Result<PointInTimeJoinExec> {
        let count = questions.iter().map(RecordBatch::num_rows).sum();
        let mut views: Vec<ViewPlan> = Vec::with_capacity(plan.request.views.len());
        for (place, view) in plan.request.views.iter().enumerate() {
            let features = plan.request.features_of(place);
            // A table is opened once for all views that read it.
            let same =
                |other: &&ViewPlan| other.version.table == view.version.table && !other.table.has_declared_types();
            let opened = views.iter().find(same).map(|other| Arc::clone(&other.table));
            views.push(self.view(&view.version, features, count, plan.options.as_known, opened).await?);
        }
        let types = plan.request.columns.iter().map(|column| plan.request.field(column).data_type().clone());
        let limits = Limits {
            memory: budget(self.config.memory_limit, self.threads()),
            answer_width: width(&types.collect::<Vec<_>>()),
            spill_folder: self.config.spill_folder.clone(),
            tuning: self.config.tuning.clone(),
        };
        let schema = Arc::clone(&plan.questions);
        let questions = MemorySourceConfig::try_new_exec(&[questions], schema, None)
            .map_err(|e| from_datafusion("the entity frame", e))?;
        let (plan, report) = (Arc::new(plan.clone()), Arc::clone(report));
        Ok(PointInTimeJoinExec::new(plan, questions, views.into(), limits, self.threads(), report))
    }

    async fn view(
        &self,
        version: &Arc<ViewVersion>,
        features: Vec<usize>,
        questions: usize,
        as_known: bool,
        opened: Option<Arc<dyn Table>>,
    ) -> Result<ViewPlan> {
        let clock = Stopwatch::start();
        let table = match opened {
            Some(table) => table,
            None => self.open(version).await?,
        };
        version.check_columns(&table.schema())?;
        let rows = match table.as_parquet() {
            Some(parquet) => Some(parquet.rows().await?),
            None => None,
        };
        let known = Known {
            is_addressable: table.as_parquet().is_some(),
            is_to_the_end: Visibility::of(version, as_known).is_to_the_end(),
            rows,
            questions,
        };
        let (strategy, mut reason) = if version.definition.is_aggregated() {
            (Strategy::Windows, windows_reason(version, &features))
        } else {
            choose(known, self.config.tuning.strategy)
        };
        if version.table.as_ref().is_some_and(|table| table.format.has_versions()) {
            reason = format!("{reason}; {}", table.fingerprint().await?);
        }
        let open_time = clock.elapsed();
        Ok(ViewPlan { version: Arc::clone(version), table, features, strategy, reason, open_time })
    }

    async fn open(&self, view: &ViewVersion) -> Result<Arc<dyn Table>> {
        let in_view = |error: Error| error.with_context("view", view.reference());
        let Some(reference) = &view.table else {
            return Err(Error::invalid(format!("view '{}' has no history to read", view.reference())));
        };
        self.sources.open(reference, Some(view)).await.map_err(in_view)
    }
}

/// Says what a view's features are computed of.
fn windows_reason(view: &ViewVersion, features: &[usize]) -> String {
    let mut windows: Vec<String> = Vec::new();
    for &feature in features {
        let window = view.aggregations()[feature].window.to_string();
        if !windows.contains(&window) {
            windows.push(window);
        }
    }
    format!("{} aggregations over {}", features.len(), windows.join(", "))
}

#[async_trait]
impl OfflineEngine for DataFusionEngine {
    async fn schema(&self, table: &TableRef) -> Result<SchemaRef> {
        Ok(self.sources.open(table, None).await?.schema())
    }

    async fn historical(
        &self,
        plan: &HistoricalPlan,
        questions: Vec<RecordBatch>,
        report: &Arc<RunReport>,
    ) -> Result<BatchStream> {
        let physical: Arc<dyn ExecutionPlan> = Arc::new(self.plan(plan, questions, report).await?);
        let in_join = |error| from_datafusion("the sources of the join", error);
        let batches = execute_stream(physical, self.context().task_ctx()).map_err(in_join)?;
        Ok(BatchStream { schema: plan.schema(), batches: batches.map(move |batch| batch.map_err(in_join)).boxed() })
    }

    async fn scan(&self, plan: &ScanPlan) -> Result<BatchStream> {
        let table = self.open(&plan.view).await?;
        plan.view.check_columns(&table.schema())?;
        let columns: Vec<String> = plan.column_names().map(str::to_owned).collect();
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        let after = if plan.created_since.is_some() { None } else { plan.after };
        let scan = table.scan(&names, &interval(&plan.view, after, plan.until), self.threads()).await?;
        let plan = plan.clone();
        let times = TimeColumns::of(&plan.view);
        let kept = move |batch: RecordBatch| -> Result<RecordBatch> {
            let names: Vec<&str> = columns.iter().map(String::as_str).collect();
            let batch = rename(&batch, &names, &plan.view)?;
            let stamps = stamps_of(&times, &batch).map_err(|e| e.with_context("view", plan.view.reference()))?;
            let takes = stamps.iter().map(|stamp| Some(stamp.is_some_and(|stamp| plan.takes(stamp))));
            Ok(filter_record_batch(&batch, &takes.collect())?)
        };
        let batches = stream::select_all(scan.streams);
        let mut batches = batches.map(move |batch| kept(batch?)).boxed().peekable();
        let schema = match std::pin::Pin::new(&mut batches).peek().await {
            Some(Ok(first)) => first.schema(),
            _ => table.schema(),
        };
        Ok(BatchStream { schema, batches: batches.boxed() })
    }

    async fn explain(&self, plan: &HistoricalPlan, questions: &[RecordBatch]) -> Result<String> {
        let physical = self.plan(plan, questions.to_vec(), &Arc::default()).await?;
        Ok(explain(plan, &physical))
    }

    async fn fingerprint(&self, table: &TableRef) -> Result<String> {
        self.sources.open(table, None).await?.fingerprint().await
    }

    async fn query(&self, sql: &str, tables: &[(String, TableRef)]) -> Result<BatchStream> {
        let context = self.context();
        let in_query = |error| from_datafusion("the query", error);
        for (name, reference) in tables {
            // Only tables that the query names are opened.
            if !sql.to_lowercase().contains(&name.to_lowercase()) {
                continue;
            }
            let table: Arc<dyn TableProvider> = Arc::new(SqlTable(self.sources.open(reference, None).await?));
            context.register_table(datafusion::common::TableReference::bare(name.as_str()), table).map_err(in_query)?;
        }
        let reading = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let answer = context.sql_with_options(sql, reading).await.map_err(in_query)?;
        let batches = answer.execute_stream().await.map_err(in_query)?;
        Ok(BatchStream { schema: batches.schema(), batches: batches.map(move |batch| batch.map_err(in_query)).boxed() })
    }

    async fn write(&self, answer: BatchStream, target: &WriteTarget) -> Result<Written> {
        sink::write(self.sources.stores(), answer, target).await
    }

    fn keep_frame(&self, source: &str, schema: SchemaRef, rows: Vec<RecordBatch>) {
        self.sources.frames().keep(source, schema, rows);
    }
}
