//! `POST /push` and `POST /write-to-online-store` as Feast's clients use them.

use serde_json::{Value, json};

use crate::support::Running;

fn values(server: &Running, features: &[&str], entities: &Value) -> Value {
    let answer = server.online(features, entities).ok().json();
    let results = answer["results"].as_array().unwrap();
    results[results.len() - features.len()..].iter().map(|result| result["values"].clone()).collect()
}

#[test]
fn o1_the_newest_row_wins_whatever_the_order() {
    let server = Running::new();
    let row = |at: &str, trips: i64| json!({"driver_id": [1], "at": [at], "trips": [trips], "conv_rate": [0.5]});
    server.push("stats_push", &row("2024-01-09T12:00:00Z", 2));
    server.push("stats_push", &row("2024-01-09T11:00:00Z", 1));
    assert_eq!(values(&server, &["driver_stats:trips"], &json!({"driver_id": [1]})), json!([[2]]));
    server.write("driver_stats", &row("2024-01-09T13:00:00+00:00", 3));
    assert_eq!(values(&server, &["driver_stats:trips"], &json!({"driver_id": [1]})), json!([[3]]));
}

#[test]
fn a_push_reaches_all_views_of_its_source_and_other_columns_are_left_out() {
    let server = Running::new();
    let at = "2024-01-09T12:00:00Z";
    let df = json!({
        "driver_id": [1], "city": ["oslo"], "conv_rate": [0.1], "count": [3], "total": [9], "\u{e9}tat \u{1f600}": ["x"],
        "a_bool": [true], "event_timestamp": [at], "unknown": [{"a": 1}],
    });
    server.push("events", &df);
    let features = ["driver_more:conv_rate", "visits:count", "totals:total", "every_type:a_bool"];
    let found = values(&server, &features, &json!({"driver_id": [1], "city": ["oslo"]}));
    assert_eq!(found, json!([[0.1], [3], [9], [true]]));
}

/// Feast's client calls the times `event_timestamp` and `created`, whatever the source calls them.
#[test]
fn times_may_have_the_names_of_feasts_client() {
    let server = Running::new();
    let df = json!({
        "driver_id": [1, 1],
        "trips": [1, 2],
        "event_timestamp": ["2024-01-09T12:00:00", "2024-01-09T12:00:00"],
        "created": ["2024-01-09T12:30:00", "2024-01-09T12:20:00"],
    });
    server.write("driver_stats", &df);
    assert_eq!(values(&server, &["driver_stats:trips"], &json!({"driver_id": [1]})), json!([[1]]));
    let no_created = json!({
        "driver_id": [2], "trips": [5], "event_timestamp": ["2024-01-09T12:00:00"], "created": [null],
    });
    server.write("driver_stats", &no_created);
    assert_eq!(values(&server, &["driver_stats:trips"], &json!({"driver_id": [2]})), json!([[5]]));
}

#[test]
fn o4_a_partial_row_replaces_just_its_features() {
    let server = Running::new();
    let at = "2024-01-09T12:00:00Z";
    server.write("driver_stats", &json!({"driver_id": [1], "at": [at], "trips": [1], "conv_rate": [0.5]}));
    server.write("driver_stats", &json!({"driver_id": [1], "at": ["2024-01-09T13:00:00Z"], "trips": [2]}));
    let found = values(&server, &["driver_stats:trips", "driver_stats:conv_rate"], &json!({"driver_id": [1]}));
    assert_eq!(found, json!([[2], [0.5]]));
}

#[test]
fn all_rows_are_written_or_none() {
    let server = Running::new();
    let df = json!({"driver_id": [1, null], "at": ["2024-01-09", "2024-01-09"], "trips": [1, 2]});
    let body = json!({"push_source_name": "stats_push", "df": df});
    server.post("/push", &body).has_status(400);
    assert_eq!(values(&server, &["driver_stats:trips"], &json!({"driver_id": [1]})), json!([[null]]));
}

#[test]
fn no_rows_change_nothing() {
    let server = Running::new();
    server.write("driver_stats", &json!({"driver_id": [], "at": [], "trips": []}));
    assert_eq!(values(&server, &["driver_stats:trips"], &json!({"driver_id": [1]})), json!([[null]]));
}
