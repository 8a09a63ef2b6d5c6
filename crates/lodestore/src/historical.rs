//! Historical retrieval: training sets.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use futures::{StreamExt, TryStreamExt};
use lodestore_core::definition::TableRef;
use lodestore_core::offline::{
    BatchStream, HistoricalOptions, HistoricalPlan, OfflineEngine, RunReport, WriteTarget, Written,
};
use lodestore_core::request::{ColumnNames, FeatureRequest};
use lodestore_core::time::EventTime;
use lodestore_core::types::timestamp_type;
use lodestore_core::{Error, Result};
use lodestore_offline::read_frame;

use crate::interval;
use crate::store::FeatureStore;
use crate::write::Features;

/// What a training set is asked about.
#[derive(Debug, Clone)]
pub enum HistoricalQuestions {
    /// The rows of an entity frame.
    Frame {
        /// The frame's schema.
        schema: SchemaRef,
        /// Its rows.
        rows: Vec<RecordBatch>,
    },
    /// The rows of a Parquet or CSV file, relative to the repository.
    File(PathBuf),
    /// The answer to an SQL query over the project's data sources, each of which is a table of its name.
    Sql(String),
    /// Every row of the views with an event time in (start, end] (rule P9).
    Interval {
        /// Only later rows; `None` from the beginning.
        start: Option<EventTime>,
        /// Only rows up to here; `None` up to now.
        end: Option<EventTime>,
    },
}

/// A historical retrieval that was planned. It runs when it is asked to, each time anew.
#[derive(Debug, Clone)]
pub struct HistoricalJob {
    plan: HistoricalPlan,
    questions: Vec<RecordBatch>,
    engine: Arc<dyn OfflineEngine>,
}

impl HistoricalJob {
    /// Returns the plan.
    #[must_use]
    pub fn plan(&self) -> &HistoricalPlan {
        &self.plan
    }

    /// Returns how many questions are asked.
    #[must_use]
    pub fn questions(&self) -> usize {
        self.questions.iter().map(RecordBatch::num_rows).sum()
    }

    /// Runs the job. The work is done as the stream is read, and ends when it is dropped.
    ///
    /// # Errors
    /// What the engine says, at once or in the stream.
    pub async fn run(&self) -> Result<BatchStream> {
        self.run_reporting(&Arc::default()).await
    }

    /// Runs the job, and tells `report` how it goes.
    ///
    /// # Errors
    /// What the engine says, at once or in the stream.
    pub async fn run_reporting(&self, report: &Arc<RunReport>) -> Result<BatchStream> {
        self.engine.historical(&self.plan, self.questions.clone(), report).await
    }

    /// Runs the job, writes its answer as it comes, and tells `report` how it goes. What is written is there
    /// wholly or, if this fails or is dropped, not at all. A relative path starts at the current folder.
    ///
    /// # Errors
    /// `AlreadyExists` for a folder that has files in it or a Delta table that is there; what the engine says.
    pub async fn write(&self, target: &WriteTarget, report: &Arc<RunReport>) -> Result<Written> {
        let mut target = target.clone();
        if !target.path.contains("://") {
            let absolute = std::path::absolute(&target.path);
            let absolute = absolute.map_err(|e| Error::io(format!("finding '{}'", target.path), e))?;
            target.path = absolute.to_string_lossy().into_owned();
        }
        let answer = report.until_cancelled(self.run_reporting(report).await?);
        self.engine.write(answer, &target).await
    }

    /// Returns how the job would be run.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn explain(&self) -> Result<String> {
        self.engine.explain(&self.plan, &self.questions).await
    }

    /// Runs the job, throws its answer away, and returns how it was run and what it took: for each view
    /// the strategy, what was read and pruned, rows, bytes, times and spill.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn explain_analyze(&self) -> Result<String> {
        let explained = self.explain().await?;
        let report = Arc::new(RunReport::default());
        let mut answer = self.run_reporting(&report).await?;
        while answer.batches.next().await.transpose()?.is_some() {}
        Ok(format!("{explained}\n\n{report}"))
    }
}

impl FeatureStore {
    /// Resolves the features of a training set.
    ///
    /// # Errors
    /// `NotFound` or `Invalid` for what can't be resolved.
    pub async fn historical_request(&self, features: &Features, names: ColumnNames) -> Result<FeatureRequest> {
        features.resolve(self.snapshot().await?.as_ref(), names)
    }

    /// Plans a historical retrieval.
    ///
    /// # Errors
    /// `Invalid` for questions without a key or time column; what the engine says of a source.
    pub async fn historical_features(
        &self,
        request: FeatureRequest,
        questions: HistoricalQuestions,
        options: HistoricalOptions,
    ) -> Result<HistoricalJob> {
        let (schema, rows) = match questions {
            HistoricalQuestions::Frame { schema, rows } => (schema, rows),
            HistoricalQuestions::File(path) => {
                let frame = read_frame(&self.repo.join(path), &question_types(&request))?;
                (frame.schema, frame.batches)
            }
            HistoricalQuestions::Sql(sql) => {
                let answer = self.components.engine.query(&sql, &self.tables().await?).await?;
                (answer.schema, answer.batches.try_collect().await?)
            }
            HistoricalQuestions::Interval { start, end } => {
                let end = end.unwrap_or_else(|| self.components.clock.now());
                let rows = interval::questions(self.components.engine.as_ref(), &request, start, end).await?;
                (rows.schema(), vec![rows])
            }
        };
        let plan = HistoricalPlan::build(request, schema, options)?;
        Ok(HistoricalJob { plan, questions: rows, engine: Arc::clone(&self.components.engine) })
    }

    /// Returns the tables that SQL can name: one for each data source with history, called as that.
    async fn tables(&self) -> Result<Vec<(String, TableRef)>> {
        let snapshot = self.snapshot().await?;
        let sources = snapshot.definitions.data_sources.values();
        let tables = sources.map(|source| Ok(source.table()?.map(|table| (source.name().to_string(), table))));
        tables.filter_map(Result::transpose).collect()
    }

    /// Keeps a frame in memory as the table of the memory source of this name.
    pub fn keep_frame(&self, source: &str, schema: SchemaRef, rows: Vec<RecordBatch>) {
        self.components.engine.keep_frame(source, schema, rows);
    }
}

/// Returns the types of those columns of a CSV file of questions that must not be guessed.
fn question_types(request: &FeatureRequest) -> BTreeMap<String, DataType> {
    let mut types = BTreeMap::from([("event_timestamp".to_owned(), timestamp_type())]);
    for view in &request.views {
        let keys = view.version.keys.iter().zip(&view.key_columns);
        types.extend(keys.map(|(key, column)| (column.clone(), key.key_type.feature_type().to_arrow())));
    }
    types
}
