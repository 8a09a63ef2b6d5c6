//! Historical retrieval: training sets.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use lodestore_core::Result;
use lodestore_core::offline::{BatchStream, HistoricalOptions, HistoricalPlan, OfflineEngine};
use lodestore_core::request::{ColumnNames, FeatureRequest};
use lodestore_core::time::EventTime;

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

    /// Runs the job.
    ///
    /// # Errors
    /// What the engine says, at once or in the stream.
    pub async fn run(&self) -> Result<BatchStream> {
        self.engine.historical(&self.plan, self.questions.clone()).await
    }

    /// Returns how the job would be run.
    ///
    /// # Errors
    /// What the engine says.
    pub async fn explain(&self) -> Result<String> {
        self.engine.explain(&self.plan).await
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
            HistoricalQuestions::Interval { start, end } => {
                let end = end.unwrap_or_else(|| self.components.clock.now());
                let rows = interval::questions(self.components.engine.as_ref(), &request, start, end).await?;
                (rows.schema(), vec![rows])
            }
        };
        let plan = HistoricalPlan::build(request, schema, options)?;
        Ok(HistoricalJob { plan, questions: rows, engine: Arc::clone(&self.components.engine) })
    }
}
