//! One view over one table, for tests made by hand.

use std::sync::Arc;

use arrow::array::RecordBatch;
use libtest_mimic::Failed;
use lodestore_core::ErrorKind;
use lodestore_core::offline::HistoricalOptions;
use lodestore_core::request::{ColumnNames, FeatureRequest};

use super::EngineHarness;
use crate::check_eq;
use crate::fixture::{Retrieval, definitions, parse_table, snapshot};

pub(super) fn one_view(features: &str) -> Result<FeatureRequest, Failed> {
    let definitions = definitions(&format!(
        "entities: [{{name: user, join_keys: [{{name: k, type: int64}}]}}]
data_sources: [{{name: s, type: file, path: s.parquet, timestamp_field: at}}]
feature_views: [{{name: v, entities: [user], source: s, schema: [{features}]}}]"
    ))?;
    let view = &definitions.feature_views["v"];
    let refs = view.schema.iter().map(|field| format!("v:{}", field.name).parse()).collect::<Result<Vec<_>, _>>()?;
    Ok(FeatureRequest::from_refs(&snapshot(&definitions)?, &refs, ColumnNames::Feature)?)
}

pub(super) fn one_table(request: &FeatureRequest, text: &str) -> Result<Retrieval, Failed> {
    let table = request.views[0].version.table.clone().ok_or("the view has a table")?;
    let questions = parse_table("k:int64 event_timestamp:timestamp\n1 2024-01-02T00:00:00Z\n2 2024-01-02T00:00:00Z")?;
    Ok(Retrieval {
        tables: vec![(table, parse_table(text)?)],
        request: request.clone(),
        questions,
        options: HistoricalOptions::default(),
    })
}

pub(super) async fn run(harness: &dyn EngineHarness, retrieval: &Retrieval) -> Result<RecordBatch, Failed> {
    retrieval.ask(harness.engine(&retrieval.tables)?.as_ref(), usize::MAX).await
}

/// Returns the error that a retrieval ends in, at once or while it is read.
pub(super) async fn refused(
    harness: &dyn EngineHarness,
    retrieval: &Retrieval,
) -> Result<lodestore_core::Error, Failed> {
    use futures::TryStreamExt;
    let engine = harness.engine(&retrieval.tables)?;
    let asked = engine.historical(&retrieval.plan()?, vec![retrieval.questions.clone()], &Arc::default()).await;
    let error = match asked {
        Err(error) => error,
        Ok(stream) => match stream.batches.try_collect::<Vec<_>>().await {
            Err(error) => error,
            Ok(batches) => return Err(format!("expected an error, found {batches:?}").into()),
        },
    };
    check_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    Ok(error)
}
