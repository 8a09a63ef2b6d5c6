//! What Feast's routes answer to a client's mistakes: never a 500, always a body that its client parses.

use serde_json::json;

use crate::support::Running;

/// Expects an error of Feast's form.
#[track_caller]
fn check(server: &Running, path: &str, body: &str, status: u16, class: &str, part: &str) {
    let answer = server.post_text(path, body);
    assert_eq!(answer.status, status, "{body}\n{}", answer.text());
    let (found, message) = answer.feast_error();
    assert_eq!(found, class, "{message}");
    assert!(message.contains(part), "{message}\ndoes not contain\n{part}");
}

#[track_caller]
fn check_online(server: &Running, body: &str, status: u16, class: &str, part: &str) {
    check(server, "/get-online-features", body, status, class, part);
}

#[test]
fn unknown_names_are_404_with_feasts_class_and_near_names() {
    let server = Running::new();
    let cases = [
        (
            r#"{"features": ["nofv:x"], "entities": {"driver_id": [1]}}"#,
            "FeatureViewNotFoundException",
            "feature view 'nofv'",
        ),
        (
            r#"{"features": ["driver_stats:conv_rat"], "entities": {"driver_id": [1]}}"#,
            "FeastObjectNotFoundException",
            "did you mean 'conv_rate'?",
        ),
        (
            r#"{"features": ["driver_stats@9:trips"], "entities": {"driver_id": [1]}}"#,
            "FeastObjectNotFoundException",
            "version 9",
        ),
        (
            r#"{"feature_service": "activty", "entities": {"driver_id": [1]}}"#,
            "FeatureServiceNotFoundException",
            "did you mean 'activity'?",
        ),
    ];
    for (body, class, part) in cases {
        check_online(&server, body, 404, class, part);
    }
    let push = r#"{"push_source_name": "nosuch", "df": {"driver_id": [1]}}"#;
    check(&server, "/push", push, 404, "PushSourceNotFoundException", "push source 'nosuch'");
    let write = r#"{"feature_view_name": "nosuch", "df": {"driver_id": [1]}}"#;
    check(&server, "/write-to-online-store", write, 404, "FeastObjectNotFoundException", "nosuch");
    let materialize = r#"{"start_ts": "2024-01-01", "end_ts": "2024-01-02", "feature_views": ["nosuch"]}"#;
    check(&server, "/materialize", materialize, 404, "FeastObjectNotFoundException", "nosuch");
}

#[test]
fn what_can_not_be_answered_is_400_and_says_why() {
    let server = Running::new();
    let cases = [
        (
            r#"{"features": ["driver_stats:trips"], "entities": {"wrong": [1]}}"#,
            "join key 'driver_id' is missing; given: 'wrong'",
        ),
        (r#"{"features": ["driver_stats:trips"], "entities": {}}"#, "join key 'driver_id' is missing; given: none"),
        (
            r#"{"features": ["driver_stats:trips"], "entities": {"driver_id": ["abc"]}}"#,
            "\"abc\" in row 0 is not a value of join key 'driver_id', which is int64",
        ),
        (r#"{"features": ["driver_stats:trips"], "entities": {"driver_id": [1, 1.5]}}"#, "1.5 in row 1"),
        (r#"{"features": ["driver_stats:trips"], "entities": {"driver_id": [true]}}"#, "true in row 0"),
        (r#"{"features": ["driver_stats:trips"], "entities": {"driver_id": [[1]]}}"#, "a list in row 0"),
        (r#"{"features": ["driver_stats:trips"], "entities": {"driver_id": [{}]}}"#, "an object in row 0"),
        (
            r#"{"features": ["driver_stats:trips"], "entities": {"driver_id": [99999999999999999999]}}"#,
            "is not a value of join key",
        ),
        (r#"{"features": ["driver_stats:trips"], "entities": {"driver_id": [1e300]}}"#, "is not a value of join key"),
        (r#"{"features": ["driver_stats:trips"], "entities": {"driver_id": [NaN]}}"#, "\"NaN\" in row 0"),
        (
            r#"{"features": ["places:état 😀"], "entities": {"city": [7]}}"#,
            "7 in row 0 is not a value of join key 'city'",
        ),
        (
            r#"{"features": ["visits:count"], "entities": {"driver_id": [1, 2], "city": ["a"]}}"#,
            "'driver_id' has 2 values, but 'city' has 1",
        ),
        (r#"{"features": ["badref"], "entities": {"driver_id": [1]}}"#, "\"badref\" is not a feature reference"),
        (r#"{"features": [], "entities": {"driver_id": [1]}}"#, "no features were asked for"),
        (r#"{"entities": {"driver_id": [1]}}"#, "no features were asked for"),
        (r#"{"feature_service": "", "entities": {"driver_id": [1]}}"#, "must not be empty"),
        (r#"{"features": ["training_only:trips"], "entities": {"driver_id": [1]}}"#, "is not served online"),
    ];
    for (body, part) in cases {
        check_online(&server, body, 400, "FeastError", part);
    }
    let twice = r#"{"features": ["driver_stats:conv_rate", "driver_more:conv_rate"], "entities": {"driver_id": [1]}}"#;
    check_online(&server, twice, 400, "FeatureNameCollisionError", "full_feature_names");
}

#[test]
fn rows_that_can_not_be_written_are_400_and_say_why() {
    let server = Running::new();
    let at = r#""at": ["2024-01-09T00:00:00Z"]"#;
    let cases = [
        (format!(r#"{{"driver_id": ["x"], {at}, "trips": [1]}}"#), "row 0 of column 'driver_id'"),
        (format!(r#"{{"driver_id": [1], {at}, "trips": [1.5]}}"#), "row 0 of column 'trips'"),
        (format!(r#"{{"driver_id": [1], {at}, "trips": 7}}"#), "column 'trips' is not a list"),
        (format!(r#"{{"driver_id": [1, 2], {at}, "trips": [7, 8]}}"#), "column 'at' has 1 values"),
        (format!(r#"{{"driver_id": [null], {at}, "trips": [7]}}"#), "null"),
        (format!(r#"{{"driver_id": [1], {at}}}"#), "no feature of view 'driver_stats'"),
        (r#"{"driver_id": [1], "trips": [7]}"#.to_owned(), "time column 'at' is missing"),
        (r#"{"driver_id": [1], "trips": [7], "at": ["soon"]}"#.to_owned(), "row 0 of column 'at'"),
        (r#"{"driver_id": [1], "trips": [7], "at": [null]}"#.to_owned(), "event time 'at' is null"),
    ];
    for (df, part) in cases {
        let push = format!(r#"{{"push_source_name": "stats_push", "df": {df}}}"#);
        check(&server, "/push", &push, 400, "FeastError", part);
        let write = format!(r#"{{"feature_view_name": "driver_stats", "df": {df}}}"#);
        check(&server, "/write-to-online-store", &write, 400, "FeastError", part);
    }
    for to in ["offline", "online_and_offline", "bogus"] {
        let push = format!(r#"{{"push_source_name": "stats_push", "df": {{}}, "to": "{to}"}}"#);
        check(&server, "/push", &push, 400, "FeastError", "push to");
    }
    check(&server, "/push", r#"{"push_source_name": "lonely", "df": {}}"#, 400, "FeastError", "feeds no feature view");
    check(&server, "/push", r#"{"push_source_name": "stats_file", "df": {}}"#, 400, "FeastError", "not a push source");
    let write = r#"{"feature_view_name": "training_only", "df": {"driver_id": [1]}}"#;
    check(&server, "/write-to-online-store", write, 400, "FeastError", "");
}

#[test]
fn bodies_that_are_not_what_is_expected_are_422_with_a_detail() {
    let server = Running::new();
    let broken = [
        "",
        " ",
        "{",
        "[",
        "null",
        "7",
        "\"text\"",
        "{]",
        "{\"entities\"",
        "{\"entities\": {\"driver_id\": [1]}",
        "{\"entities\": {\"driver_id\": [1}]}",
        "{\"entities\": {\"driver_id\": [1e400]}}",
        "{\"entities\": {'driver_id': [1]}}",
        "\u{feff}{}",
        "{\"entities\": {\"driver_id\": [\"\\ud800\"]}}",
        "{\"a\": 1} x",
    ];
    let wrong = [
        "{}",
        r#"{"entities": 1}"#,
        r#"{"entities": {"driver_id": 7}}"#,
        r#"{"entities": [7]}"#,
        r#"{"entities": {"driver_id": [1]}, "features": "driver_stats:trips"}"#,
        r#"{"entities": {"driver_id": [1]}, "features": [7]}"#,
        r#"{"entities": {"driver_id": [1]}, "feature_service": 7}"#,
        r#"{"entities": {"driver_id": [1]}, "full_feature_names": "maybe"}"#,
        r#"{"entities": {"driver_id": [1], "driver_id": [2]}}"#,
    ];
    for path in ["/get-online-features", "/push", "/write-to-online-store", "/materialize-incremental"] {
        for body in broken.iter().chain(&wrong) {
            let answer = server.post_text(path, body);
            assert_eq!(answer.status, 422, "{path} {body}\n{}", answer.text());
            let detail = &answer.json()["detail"][0];
            assert!(detail["msg"].is_string() && detail["loc"][0] == "body", "{detail}");
        }
    }
    let nested = format!("{{\"entities\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    server.post_text("/get-online-features", &nested).has_status(422);
    let not_text =
        crate::client::send(server.address, "POST", "/get-online-features", &[], b"{\"entities\": {\"\xff\": [1]}}");
    not_text.has_status(422);
}

#[test]
fn paths_and_methods_that_are_not_there_are_told_as_json() {
    let server = Running::new();
    assert_eq!(server.get("/nothing").has_status(404).json(), json!({"detail": "Not Found"}));
    assert_eq!(server.get("/get-online-features").has_status(405).json(), json!({"detail": "Method Not Allowed"}));
    server.post_text("/health", "").has_status(405);
    server.get("/v1/nothing").has_status(404);
    server.post_text("/v1/registry", "").has_status(405);
}
