//! `POST /materialize` and `POST /materialize-incremental`

use std::time::Duration;

use lodestore::core::time::Stopwatch;
use serde_json::{Value, json};

use crate::support::Running;

fn trips(server: &Running) -> Value {
    let entities = json!({"driver_id": [1001, 1002, 1003]});
    server.online(&["driver_stats:trips"], &entities).ok().json()["results"][1].clone()
}

#[test]
fn m1_the_rows_of_an_interval_are_read_afterwards() {
    let server = Running::new();
    let body = json!({"start_ts": "2023-12-31T00:00:00", "end_ts": "2024-01-09T10:30:00+00:00", "feature_views": ["driver_stats"]});
    assert_eq!(server.post("/materialize", &body).ok().text(), "null");
    assert_eq!(trips(&server)["values"], json!([10, null, null]));
    assert_eq!(trips(&server)["statuses"], json!(["PRESENT", "NOT_FOUND", "OUTSIDE_MAX_AGE"]));
    let incremental = json!({"end_ts": "2024-01-10T00:00:00"});
    assert_eq!(server.post("/materialize-incremental", &incremental).ok().text(), "null");
    assert_eq!(trips(&server)["values"], json!([10, 20, null]));
    let versioned = json!({"end_ts": "2024-01-10T00:00:00", "feature_views": ["driver_stats"], "version": "v1"});
    server.post("/materialize-incremental", &versioned).ok();
}

#[test]
fn a_job_in_the_background_is_accepted_and_done_later() {
    let server = Running::new();
    let body = json!({"start_ts": "2023-12-31", "end_ts": "2024-01-10", "feature_views": ["driver_stats"]});
    let accepted = server.post("/materialize?async=true", &body).has_status(202);
    assert_eq!(accepted.json(), json!({"status": "accepted", "feature_views": ["driver_stats"]}));
    let started = Stopwatch::start();
    while trips(&server)["values"][1] != json!(20) {
        assert!(started.elapsed() < Duration::from_secs(10), "the job does not end");
        std::thread::sleep(Duration::from_millis(20));
    }
    server.post("/materialize?async=true&force=true", &body).has_status(202);
}

#[track_caller]
fn check(server: &Running, path: &str, body: &Value, part: &str) {
    let (_, message) = server.post(path, body).has_status(400).feast_error();
    assert!(message.contains(part), "{message}\ndoes not contain\n{part}");
}

#[test]
fn mistakes_are_400_and_say_what_is_wrong() {
    let server = Running::new();
    check(&server, "/materialize", &json!({}), "start_ts and end_ts are needed");
    check(&server, "/materialize", &json!({"start_ts": "2024-01-02", "end_ts": "2024-01-01"}), "is not before");
    check(
        &server,
        "/materialize",
        &json!({"start_ts": "soon", "end_ts": "2024-01-01"}),
        "start_ts: \"soon\" is not a time",
    );
    check(&server, "/materialize", &json!({"start_ts": "2024-01-01", "end_ts": "2024-02-01"}), "future");
    check(&server, "/materialize", &json!({"disable_event_timestamp": true}), "timestamp_field");
    check(&server, "/materialize-incremental", &json!({"end_ts": "2024-02-01"}), "future");
    let no_history = json!({"end_ts": "2024-01-01", "feature_views": ["totals"]});
    check(&server, "/materialize-incremental", &no_history, "no history");
    let two = json!({"end_ts": "2024-01-01", "feature_views": ["totals", "places"], "version": "1"});
    check(&server, "/materialize-incremental", &two, "exactly one view");
    check(&server, "/materialize?async=maybe", &json!({"start_ts": "2024-01-01", "end_ts": "2024-01-02"}), "async");
}
