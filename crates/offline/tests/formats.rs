//! Tables in CSV and JSON, globs and partitioned folders, and files that are wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, Schema};
use futures::TryStreamExt;
use lodestore_core::document::Document;
use lodestore_core::offline::{HistoricalOptions, HistoricalPlan, OfflineEngine};
use lodestore_core::registry::{Mutation, Snapshot};
use lodestore_core::request::{ColumnNames, FeatureRequest};
use lodestore_core::time::EventTime;
use lodestore_core::types::timestamp_type;
use lodestore_core::{ErrorKind, Result};
use lodestore_offline::{DataFusionEngine, EngineConfig};

/// Asks for `fare` of keys 1 and 2 at noon of 2024-01-02, from the source at `path`.
async fn fares(folder: &Path, path: &str) -> Result<RecordBatch> {
    let yaml = format!(
        "version: 1
entities: [{{name: driver, join_keys: [{{name: driver_id, type: int64}}]}}]
data_sources: [{{name: fares, type: file, path: '{path}', timestamp_field: at}}]
feature_views:
  - {{name: fares, entities: [driver], source: fares, schema: [{{name: fare, type: float64}}, {{name: city, type: string}}]}}
"
    );
    let definitions = Document::parse_yaml(&yaml, "test")?.into_definitions()?;
    let mut snapshot = Snapshot::empty("test".parse()?);
    let view = definitions.resolve(&definitions.feature_views["fares"], EventTime::MIN, 1)?;
    snapshot.apply(&Mutation::PutView(Arc::new(view)));
    let refs = ["fares:fare".parse()?, "fares:city".parse()?];
    let request = FeatureRequest::from_refs(&snapshot, &refs, ColumnNames::Feature)?;
    let noon = EventTime::parse("2024-01-02T12:00:00Z")?.as_micros();
    let schema = Arc::new(Schema::new(vec![
        Field::new("driver_id", DataType::Int64, false),
        Field::new("event_timestamp", timestamp_type(), false),
    ]));
    let times = TimestampMicrosecondArray::from(vec![noon; 2]).with_timezone("UTC");
    let questions =
        RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Int64Array::from(vec![1, 2])), Arc::new(times)])?;
    let plan = HistoricalPlan::build(request, schema, HistoricalOptions::default())?;
    let engine = DataFusionEngine::new(EngineConfig::new(folder));
    let answer = engine.historical(&plan, vec![questions], &Arc::default()).await?;
    let schema = Arc::clone(&answer.schema);
    Ok(arrow::compute::concat_batches(&schema, &answer.batches.try_collect::<Vec<_>>().await?)?)
}

fn file(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn check(answer: &RecordBatch, expected: [Option<f64>; 2]) {
    let fares = answer["fare"].as_primitive::<Float64Type>();
    assert_eq!([0, 1].map(|row| fares.is_valid(row).then(|| fares.value(row))), expected);
    assert_eq!(answer["driver_id"].as_primitive::<Int64Type>().values(), &[1, 2]);
}

const FIRST: &str = "driver_id,at,fare,city\n1,2024-01-01T00:00:00Z,10,Rome\n1,2024-01-02T12:00:00,11.5,\n";
const SECOND: &str =
    "driver_id,at,fare,city\n2,2024-01-02 13:00:00+02:00,7,Oslo\n1,2024-01-02T12:00:00.0000001Z,99,x\n";

#[tokio::test]
async fn csv_files_are_read_as_the_declared_types_and_their_times_as_utc() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "fares.csv", FIRST);
    file(folder.path(), "more/a.csv", FIRST);
    file(folder.path(), "more/b.csv", SECOND);
    check(&fares(folder.path(), "fares.csv").await?, [Some(11.5), None]);
    let answer = fares(folder.path(), "more/*.csv").await?;
    check(&answer, [Some(11.5), Some(7.0)]);
    assert!(answer["city"].is_null(0));
    Ok(())
}

#[tokio::test]
async fn csv_files_with_other_columns_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "more/a.csv", FIRST);
    file(folder.path(), "more/b.csv", "at,driver_id,fare,city\n2024-01-01T00:00:00Z,1,10,Rome\n");
    let error = fares(folder.path(), "more/*.csv").await.unwrap_err();
    assert!(error.to_string().contains("b.csv has the columns"), "{error}");
    file(folder.path(), "bad.csv", "driver_id,at,fare,city\n1,2024-01-01,ten,Rome\n");
    let error = fares(folder.path(), "bad.csv").await.unwrap_err();
    assert!(error.to_string().contains("ten"), "{error}");
    file(folder.path(), "time.csv", "driver_id,at,fare,city\n1,yesterday,10,Rome\n");
    let error = fares(folder.path(), "time.csv").await.unwrap_err();
    assert!(error.to_string().contains("row 0 of time column 'at': \"yesterday\" is not a time"), "{error}");
}

#[tokio::test]
async fn newline_json_is_read() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let rows = "{\"driver_id\": 1, \"at\": \"2024-01-01T00:00:00Z\", \"fare\": 3, \"city\": \"Rome\"}\n\
                {\"driver_id\": 2, \"at\": \"2024-01-02T12:00:01Z\", \"fare\": 4.5}\n";
    file(folder.path(), "fares.jsonl", rows);
    check(&fares(folder.path(), "fares.jsonl").await?, [Some(3.0), None]);
    Ok(())
}

#[tokio::test]
async fn the_values_of_hive_partitions_are_columns_of_the_declared_types() -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    for (id, fare) in [(1, 10.0), (2, 20.0)] {
        let at = EventTime::parse("2024-01-01")?.as_micros();
        let batch = RecordBatch::try_from_iter([
            ("at", Arc::new(TimestampMicrosecondArray::from(vec![at])) as Arc<dyn Array>),
            ("fare", Arc::new(arrow::array::Float64Array::from(vec![fare]))),
        ])?;
        let path = folder.path().join(format!("fares/driver_id={id}/city=Rome"));
        std::fs::create_dir_all(&path).unwrap();
        let out = std::fs::File::create(path.join("part.parquet")).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(out, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }
    let answer = fares(folder.path(), "fares").await?;
    check(&answer, [Some(10.0), Some(20.0)]);
    assert_eq!(answer["city"].as_string::<i32>().value(1), "Rome");
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_read_is_named_with_the_kind_of_error() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "corrupt.parquet", "PAR1 this is no Parquet file PAR1");
    file(folder.path(), "empty/readme.txt", "");
    file(folder.path(), "columns.csv", "driver_id,at\n1,2024-01-01\n");
    for (path, kind, words) in [
        ("missing.parquet", ErrorKind::NotFound, "'missing.parquet'"),
        ("missing/*.parquet", ErrorKind::NotFound, "'missing/*.parquet'"),
        ("empty", ErrorKind::NotFound, "no .parquet file is at 'empty'"),
        ("corrupt.parquet", ErrorKind::Corrupt, "corrupt.parquet'"),
        (
            "columns.csv",
            ErrorKind::Invalid,
            "column 'fare' is missing; columns: 'driver_id', 'at' (view: fares@1, source: columns.csv)",
        ),
        ("ftp://host/a.parquet", ErrorKind::Unsupported, "ftp://"),
    ] {
        let error = fares(folder.path(), path).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{path}: {error}");
        assert!(error.to_string().contains(words), "{path}: {error}");
    }
}
