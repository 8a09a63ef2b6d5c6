use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StringViewArray, TimestampMicrosecondArray, TimestampNanosecondArray, UInt32Array,
};
use arrow::compute::{concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Int64Type};
use futures::{TryStreamExt, future, stream};
use lodestore_core::definition::{RowTimes, TableFormat, TableRef};
use tempfile::TempDir;

use super::*;
use crate::source::{Bounds, Table, delta};

fn stores(folder: &TempDir) -> Stores {
    Stores::new(folder.path().to_owned(), BTreeMap::new())
}

fn rows(ids: std::ops::Range<i64>) -> RecordBatch {
    let cities = ids.clone().map(|id| [Some("bern"), Some("a b/c=d%é"), None][id as usize % 3]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter_values(ids.clone()))),
        ("city", Arc::new(StringArray::from_iter(cities))),
        ("day", Arc::new(Date32Array::from_iter(ids.clone().map(|id| (id != 4).then_some(19_000 + id as i32))))),
        ("at", Arc::new(TimestampMicrosecondArray::from_iter_values(ids.clone()).with_timezone("UTC"))),
        ("rate", Arc::new(Float32Array::from_iter(ids.map(|id| (id != 1).then_some(id as f32 / 3.0))))),
    ];
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

fn answer(batches: Vec<Result<RecordBatch>>) -> BatchStream {
    BatchStream { schema: rows(0..1).schema(), batches: stream::iter(batches).boxed() }
}

async fn write(stores: &Stores, batch: RecordBatch, partition_by: &[&str], mode: WriteMode) -> Result<u64> {
    let partition_by: Vec<String> = partition_by.iter().map(|&name| name.to_owned()).collect();
    let answer = BatchStream { schema: batch.schema(), batches: stream::iter([Ok(batch)]).boxed() };
    write_delta(stores, "t", answer, &partition_by, mode).await
}

/// Reads the table back, its rows in the order of their ids.
async fn read(stores: &Stores) -> (String, RecordBatch) {
    let reference = TableRef {
        path: "t".to_owned(),
        format: TableFormat::Delta,
        times: RowTimes::default(),
        field_mapping: BTreeMap::new(),
        version: None,
        timestamp: None,
        connection: None,
        query: None,
    };
    let table = Arc::new(delta::open(stores, &reference).await.unwrap());
    let schema = table.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let scan = table.scan(&names, &Bounds::default(), 2).await.unwrap();
    let batches: Vec<RecordBatch> = stream::iter(scan.streams).flatten().try_collect().await.unwrap();
    let rows = concat_batches(&schema, &batches).unwrap();
    let order = sort_to_indices(&rows["id"], None, None).unwrap();
    (table.fingerprint().await.unwrap(), take_record_batch(&rows, &order).unwrap())
}

fn data_files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let count = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        if path.is_dir() { data_files(&path) } else { usize::from(path.extension().is_some_and(|e| e == "parquet")) }
    };
    entries.map(count).sum()
}

#[tokio::test]
async fn what_was_written_is_read_back_equal() {
    let folder = TempDir::new().unwrap();
    let stores = stores(&folder);
    assert_eq!(write(&stores, rows(0..7), &[], WriteMode::Create).await.unwrap(), 7);
    assert_eq!(read(&stores).await, ("delta version 0".to_owned(), rows(0..7)));
}

#[tokio::test]
async fn partitions_have_folders_and_come_back_with_their_types() {
    let folder = TempDir::new().unwrap();
    let stores = stores(&folder);
    write(&stores, rows(0..9), &["city", "day"], WriteMode::Create).await.unwrap();
    assert_eq!(read(&stores).await.1, rows(0..9));
    assert_eq!(data_files(folder.path()), 9);
    assert!(folder.path().join("t/city=bern/day=2022-01-08").is_dir());
    assert!(folder.path().join("t/city=__HIVE_DEFAULT_PARTITION__").is_dir());
}

#[tokio::test]
async fn types_that_delta_has_not_are_widened_or_refused() {
    let folder = TempDir::new().unwrap();
    let stores = stores(&folder);
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(UInt32Array::from(vec![0, u32::MAX]))),
        ("text", Arc::new(StringViewArray::from(vec![Some("a"), None]))),
        ("wall", Arc::new(TimestampNanosecondArray::from(vec![1_000, 2_000]))),
        ("flag", Arc::new(BooleanArray::from(vec![None, Some(true)]))),
        ("list", Arc::new(list.clone())),
    ];
    write(&stores, RecordBatch::try_from_iter(columns).unwrap(), &[], WriteMode::Create).await.unwrap();
    let (_, read) = read(&stores).await;
    assert_eq!(read["id"].as_ref(), &Int64Array::from(vec![0, i64::from(u32::MAX)]));
    assert_eq!(read["text"].as_ref(), &StringArray::from(vec![Some("a"), None]));
    assert_eq!(read["wall"].as_ref(), &TimestampMicrosecondArray::from(vec![1, 2]));
    assert_eq!(arrow::compute::cast(&read["list"], Array::data_type(&list)).unwrap().as_ref(), &list);

    let refuse = async |name: &str, column: ArrayRef| {
        let batch = RecordBatch::try_from_iter([(name, column)]).unwrap();
        let answer = BatchStream { schema: batch.schema(), batches: stream::iter([Ok(batch)]).boxed() };
        write_delta(&stores, "other", answer, &[], WriteMode::Create).await.unwrap_err()
    };
    let error = refuse("n", arrow::array::new_null_array(&DataType::Null, 1)).await;
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Invalid, "column 'n' is of type Null, which delta tables have not")
    );
    let error = refuse("a b", Arc::new(Int64Array::from(vec![1]))).await;
    assert!(error.message().contains(r#"column "a b" can't be in a delta table"#), "{error}");
    assert!(!folder.path().join("other").exists());
}

#[tokio::test]
async fn a_table_that_is_there_is_not_created_again_and_takes_more_rows() {
    let folder = TempDir::new().unwrap();
    let stores = stores(&folder);
    assert_eq!(write(&stores, rows(0..3), &["city"], WriteMode::Append).await.unwrap(), 3);
    let error = write(&stores, rows(3..5), &[], WriteMode::Create).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.message().contains("'t'"), "{error}");
    assert_eq!(write(&stores, rows(3..5), &[], WriteMode::Append).await.unwrap(), 2);
    assert_eq!(write(&stores, rows(5..5), &["city"], WriteMode::Append).await.unwrap(), 0);
    assert_eq!(read(&stores).await.1, rows(0..5));
    let error = write(&stores, rows(5..6), &["day"], WriteMode::Append).await.unwrap_err();
    assert!(error.message().contains(r#"is partitioned by ["city"], not by ["day"]"#), "{error}");
}

#[tokio::test]
async fn columns_must_fit_into_the_table() {
    let folder = TempDir::new().unwrap();
    let stores = stores(&folder);
    write(&stores, rows(0..3), &[], WriteMode::Create).await.unwrap();
    let other = RecordBatch::try_from_iter([("id", Arc::new(StringArray::from(vec!["1"])) as ArrayRef)]).unwrap();
    let error = write(&stores, other, &[], WriteMode::Append).await.unwrap_err();
    assert!(error.message().contains("has column 'id' of type Int64, and no room in it for Utf8"), "{error}");
    let other = RecordBatch::try_from_iter([("ids", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
    let error = write(&stores, other, &[], WriteMode::Append).await.unwrap_err();
    assert!(error.message().contains("has no column 'ids'; columns: 'id', 'city'"), "{error}");
    let fewer = rows(3..4).project(&[0, 4]).unwrap();
    write(&stores, fewer, &[], WriteMode::Append).await.unwrap();
    assert_eq!(read(&stores).await.1["city"].null_count(), 2);
}

#[tokio::test]
async fn nothing_is_left_of_an_answer_that_fails() {
    let folder = TempDir::new().unwrap();
    let stores = stores(&folder);
    let failing = answer(vec![Ok(rows(0..3)), Err(Error::invalid("a wrong row"))]);
    let error = write_delta(&stores, "t", failing, &["city".to_owned()], WriteMode::Create).await.unwrap_err();
    assert_eq!(error.message(), "a wrong row");
    assert_eq!(data_files(folder.path()), 0);
    assert!(!folder.path().join("t/_delta_log").exists());
    assert_eq!(write(&stores, rows(0..3), &[], WriteMode::Create).await.unwrap(), 3);
}

#[tokio::test]
async fn nothing_is_left_of_a_write_that_is_given_up() {
    let folder = TempDir::new().unwrap();
    let stores = stores(&folder);
    // Enough partitions that files are completed before the end.
    let batches = stream::iter([Ok(rows(0..200))]).chain(stream::pending());
    let unending = BatchStream { schema: rows(0..1).schema(), batches: batches.boxed() };
    let by_day = ["day".to_owned()];
    let write = write_delta(&stores, "t", unending, &by_day, WriteMode::Create);
    assert!(tokio::time::timeout(Duration::from_secs(5), write).await.is_err());
    assert_eq!(data_files(folder.path()), 0);
    assert!(!folder.path().join("t/_delta_log").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_at_the_same_time_lose_no_rows() {
    let folder = TempDir::new().unwrap();
    let stores = stores(&folder);
    let creates = (0..4).map(|i| write(&stores, rows(i * 10..i * 10 + 10), &[], WriteMode::Create));
    let created = future::join_all(creates).await;
    assert_eq!(created.iter().filter(|written| written.is_ok()).count(), 1);
    let errors = created.iter().filter_map(|written| written.as_ref().err());
    assert!(errors.map(Error::kind).all(|kind| kind == ErrorKind::AlreadyExists));
    assert_eq!(read(&stores).await.1.num_rows(), 10);

    let appends = (4..12).map(|i| write(&stores, rows(i * 10..i * 10 + 10), &[], WriteMode::Append));
    assert!(future::join_all(appends).await.into_iter().all(|written| written.is_ok_and(|rows| rows == 10)));
    let (version, all) = read(&stores).await;
    assert_eq!((version.as_str(), all.num_rows()), ("delta version 8", 90));
}
