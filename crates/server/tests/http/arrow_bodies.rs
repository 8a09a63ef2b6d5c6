//! Arrow IPC streams as bodies.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::Int64Type;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde_json::json;

use crate::client::{Answer, send};
use crate::support::{Running, moment};

const STREAM: &str = "application/vnd.apache.arrow.stream";

fn bytes(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

fn post(server: &Running, path: &str, body: &[u8]) -> Answer {
    send(server.address, "POST", path, &[("content-type", STREAM), ("accept", STREAM)], body)
}

#[track_caller]
fn batch(answer: &Answer) -> RecordBatch {
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some(STREAM)),
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    StreamReader::try_new(Cursor::new(&answer.body), None).unwrap().next().unwrap().unwrap()
}

#[test]
fn rows_go_in_and_features_come_out() {
    let server = Running::new();
    let at = moment("2024-01-09T12:00:00Z").as_micros();
    let rows = bytes(vec![
        ("driver_id", Arc::new(Int64Array::from(vec![1, 2]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![at, at]).with_timezone("UTC"))),
        ("trips", Arc::new(Int64Array::from(vec![Some(10), None]))),
    ]);
    let written = post(&server, "/v1/write?feature_view=driver_stats", &rows).ok();
    assert_eq!(written.json(), json!({"written": 2, "skipped": 0}));
    assert_eq!(
        post(&server, "/v1/push?push_source=stats_push", &rows).ok().json(),
        json!({"written": 0, "skipped": 2})
    );

    let keys = bytes(vec![
        ("driver_id", Arc::new(Int64Array::from(vec![Some(2), Some(1), None, Some(3)]))),
        ("mine", Arc::new(StringArray::from(vec!["a", "b", "c", "d"]))),
    ]);
    let path = "/v1/online-features?features=driver_stats:trips&statuses=true";
    let found = batch(&post(&server, path, &keys));
    let names: Vec<_> = found.schema_ref().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["driver_id", "mine", "trips", "trips__status", "trips__event_timestamp"]);
    assert_eq!(found["trips"].as_primitive::<Int64Type>(), &Int64Array::from(vec![None, Some(10), None, None]));
    let statuses: Vec<_> = found["trips__status"].as_string::<i32>().iter().flatten().collect();
    assert_eq!(statuses, ["NULL_VALUE", "PRESENT", "NOT_FOUND", "NOT_FOUND"]);
    let plain = batch(&post(&server, "/v1/online-features?feature_service=activity&use_defaults=true", &keys));
    assert_eq!(plain["trips"].as_primitive::<Int64Type>(), &Int64Array::from(vec![None, Some(10), Some(7), Some(7)]));
}

#[test]
fn a_stream_may_be_answered_with_json_and_json_with_a_stream() {
    let server = Running::new();
    let keys = bytes(vec![("driver_id", Arc::new(Int64Array::from(vec![1])))]);
    let path = "/v1/online-features?features=driver_stats:trips";
    let json = send(server.address, "POST", path, &[("content-type", STREAM)], &keys).ok().json();
    assert_eq!(json["entities"], json!({"driver_id": [1]}));
    let body = json!({"features": ["driver_stats:trips"], "entities": {"driver_id": [1]}}).to_string();
    let stream = send(server.address, "POST", "/v1/online-features", &[("accept", STREAM)], body.as_bytes());
    assert_eq!(batch(&stream).num_columns(), 2);
}

#[test]
fn streams_that_are_none_or_lack_something_are_refused() {
    let server = Running::new();
    let keys = bytes(vec![("driver_id", Arc::new(Int64Array::from(vec![1])))]);
    let features = "/v1/online-features?features=driver_stats:trips";
    for body in [&b""[..], b"{}", &keys[..keys.len() / 2], &[0xff; 64]] {
        post(&server, features, body).has_status(422).own_error();
    }
    let text = bytes(vec![("driver_id", Arc::new(StringArray::from(vec!["1"])))]);
    assert!(post(&server, features, &text).has_status(400).own_error().1.contains("column 'driver_id' has type Utf8"));
    let other = bytes(vec![("x", Arc::new(Int64Array::from(vec![1])))]);
    assert!(post(&server, features, &other).has_status(400).own_error().1.contains("key column 'driver_id'"));
    assert!(post(&server, "/v1/online-features", &keys).has_status(400).own_error().1.contains("no features"));
    assert!(post(&server, "/v1/write", &keys).has_status(400).own_error().1.contains("feature_view"));
    assert!(post(&server, "/v1/push", &keys).has_status(400).own_error().1.contains("push_source"));
    assert!(post(&server, "/v1/online-features?statuses=7", &keys).has_status(400).own_error().1.contains("statuses"));
}
