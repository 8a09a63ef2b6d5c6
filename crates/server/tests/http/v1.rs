//! Our own routes with JSON.

use serde_json::json;

use crate::support::Running;

#[test]
fn features_have_types_and_missing_times_are_null() {
    let server = Running::new();
    let rows = json!([{"driver_id": 1, "at": "2024-01-09T12:00:00Z", "trips": 5, "conv_rate": 0.5}]);
    let written = server.post("/v1/push", &json!({"push_source": "stats_push", "rows": rows})).ok();
    assert_eq!(written.json(), json!({"written": 1, "skipped": 0}));
    let body = json!({"features": ["driver_stats:trips"], "entities": [{"driver_id": 1}, {"driver_id": "2"}]});
    let expected = json!({
        "entities": {"driver_id": [1, 2]},
        "features": [{
            "name": "trips", "type": "int64", "values": [5, null], "statuses": ["PRESENT", "NOT_FOUND"],
            "event_timestamps": ["2024-01-09T12:00:00Z", null],
        }],
    });
    assert_eq!(server.post("/v1/online-features", &body).ok().json(), expected);
}

#[test]
fn v3_defaults_stand_for_missing_values_where_they_are_asked_for() {
    let server = Running::new();
    let body = json!({"feature_service": "activity", "entities": {"driver_id": [1]}, "use_defaults": true, "full_feature_names": true});
    let features = server.post("/v1/online-features", &body).ok().json()["features"].clone();
    assert_eq!(features[1]["name"], "driver_stats__trips");
    assert_eq!((&features[1]["values"], &features[1]["statuses"]), (&json!([7]), &json!(["NOT_FOUND"])));
    assert_eq!(features[0]["values"], json!([null]));
}

#[test]
fn rows_are_written_to_one_view_and_older_ones_are_skipped() {
    let server = Running::new();
    let at = "2024-01-09T12:00:00Z";
    let rows = json!({"driver_id": [1, 2], "at": [at, at], "trips": [5, 6]});
    let body = json!({"feature_view": "driver_stats", "rows": rows});
    assert_eq!(server.post("/v1/write", &body).ok().json()["written"], 2);
    assert_eq!(server.post("/v1/write", &body).ok().json(), json!({"written": 0, "skipped": 2}));
}

#[track_caller]
fn check(server: &Running, path: &str, body: &str, status: u16, kind: &str, part: &str) {
    let answer = server.post_text(path, body);
    assert_eq!(answer.status, status, "{body}\n{}", answer.text());
    let (found, message) = answer.own_error();
    assert_eq!(found, kind, "{message}");
    assert!(message.contains(part), "{message}\ndoes not contain\n{part}");
}

#[test]
fn mistakes_are_told_in_our_form() {
    let server = Running::new();
    let online = "/v1/online-features";
    check(&server, online, r#"{"features": ["x:y"], "entities": {}}"#, 404, "not_found", "feature view 'x'");
    check(
        &server,
        online,
        r#"{"features": ["driver_stats:trips"], "entities": {}}"#,
        400,
        "invalid",
        "'driver_id' is missing",
    );
    check(&server, online, r#"{"feature": [], "entities": {}}"#, 422, "invalid", "unknown field `feature`");
    check(
        &server,
        online,
        r#"{"features": ["a:b"], "feature_service": "c", "entities": {}}"#,
        400,
        "invalid",
        "not both",
    );
    check(&server, online, "{", 422, "invalid", "EOF");
    let misspelt = r#"{"feature_view": "driver_stats", "rows": {"driver_id": [1], "at": ["2024-01-01"], "trip": [1]}}"#;
    check(&server, "/v1/write", misspelt, 400, "invalid", "did you mean 'trips'?");
    check(&server, "/v1/push", r#"{"push_source": "event", "rows": []}"#, 404, "not_found", "did you mean 'events'?");
    check(&server, "/v1/push", r#"{"push_source": "events", "rows": 7}"#, 422, "invalid", "");
    check(&server, "/v1/write", r#"{"feature_view": "a/b", "rows": []}"#, 400, "invalid", "must not contain '/'");
}

#[test]
fn the_registry_is_listed_and_described() {
    let server = Running::new();
    let all = server.get("/v1/registry").ok().json();
    assert_eq!(all["project"], "served");
    assert_eq!(all["entities"], json!(["driver", "place"]));
    assert_eq!(all["feature_services"], json!(["activity"]));
    let view = server.get("/v1/registry/feature-views/driver_stats").ok().json();
    assert_eq!((&view["name"], &view["current_version"]), (&json!("driver_stats"), &json!(1)));
    assert_eq!(view["versions"][0]["read_by"], json!(["activity"]));
    assert_eq!(view["features"][1]["name"], "trips");
    assert_eq!(server.get("/v1/registry/entities/driver").ok().json()["join_keys"][0]["name"], "driver_id");
    assert_eq!(server.get("/v1/registry/data-sources/events").ok().json()["type"], "push");
    assert_eq!(server.get("/v1/registry/feature-services/activity").ok().json()["pins"], json!({"driver_stats": 1}));
    for (path, part) in [
        ("feature-views/driver_stat", "did you mean 'driver_stats'?"),
        ("feature-services/x", "known: 'activity'"),
        ("entities/%F0%9F%98%80", "\u{1f600}"),
        ("saved-datasets/x", "none is known"),
        ("feature_views/driver_stats", "did you mean 'feature-views'?"),
    ] {
        let (kind, message) = server.get(&format!("/v1/registry/{path}")).has_status(404).own_error();
        assert!(kind == "not_found" && message.contains(part), "{message}");
    }
    server.get("/v1/registry/entities/%ff").has_status(400).own_error();
}
