//! `POST /get-online-features` as Feast's clients use it.

use serde_json::{Value, json};

use crate::client::{connect, read_one, send};
use crate::support::Running;

/// Two drivers: one with a null, one that is too old.
fn with_stats() -> Running {
    let server = Running::new();
    server.push(
        "stats_push",
        &json!({
            "driver_id": [1001, 1002, 1003],
            "at": ["2024-01-09T10:00:00", "2024-01-09T11:30:00.250Z", "2024-01-01T00:00:00Z"],
            "conv_rate": [0.9076488018035889, 0.5, 0.1],
            "trips": [10, null, 30],
        }),
    );
    server
}

#[test]
fn the_answer_has_the_bytes_that_feast_would_send() {
    let server = with_stats();
    let answer = server.online(
        &["driver_stats:conv_rate", "driver_stats:trips"],
        &json!({"driver_id": [1001, 1002, 1003, 9999, 1001]}),
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let epoch = r#""1970-01-01T00:00:00Z""#;
    let times = format!(
        r#"["2024-01-09T10:00:00Z","2024-01-09T11:30:00.250Z","2024-01-01T00:00:00Z",{epoch},"2024-01-09T10:00:00Z"]"#
    );
    let present = r#""PRESENT""#;
    let expected = format!(
        concat!(
            r#"{{"results":[{{"values":[1001,1002,1003,9999,1001],"statuses":[{p},{p},{p},{p},{p}],"#,
            r#""event_timestamps":[{e},{e},{e},{e},{e}]}},"#,
            r#"{{"values":[0.9076488018035889,0.5,null,null,0.9076488018035889],"#,
            r#""statuses":[{p},{p},"OUTSIDE_MAX_AGE","NOT_FOUND",{p}],"event_timestamps":{t}}},"#,
            r#"{{"values":[10,null,null,null,10],"#,
            r#""statuses":[{p},"NULL_VALUE","OUTSIDE_MAX_AGE","NOT_FOUND",{p}],"event_timestamps":{t}}}],"#,
            r#""metadata":{{"feature_names":["driver_id","conv_rate","trips"]}}}}"#,
        ),
        p = present,
        e = epoch,
        t = times,
    );
    assert_eq!(answer.ok().text(), expected);
}

#[test]
fn o6_features_come_in_the_order_asked_under_the_names_asked() {
    let server = with_stats();
    let body = json!({
        "features": ["driver_stats:trips", "driver_more:conv_rate", "driver_stats:conv_rate"],
        "entities": {"driver_id": [1001]},
        "full_feature_names": true,
        "include_feature_view_version_metadata": true,
        "something_that_feast_may_add": 1,
    });
    let metadata = &server.post("/get-online-features", &body).ok().json()["metadata"];
    let expected = json!(["driver_id", "driver_stats__trips", "driver_more__conv_rate", "driver_stats__conv_rate"]);
    assert_eq!(metadata["feature_names"], expected);
    let views = json!([{"name": "driver_stats", "version": 1}, {"name": "driver_more", "version": 1}]);
    assert_eq!(metadata["feature_view_metadata"], views);
}

#[test]
fn a_service_is_read_as_a_list_of_features() {
    let server = with_stats();
    let service = server
        .post("/get-online-features", &json!({"feature_service": "activity", "entities": {"driver_id": [1001, null]}}));
    let features =
        server.online(&["driver_stats:conv_rate", "driver_stats:trips"], &json!({"driver_id": [1001, null]}));
    assert_eq!(service.ok().text(), features.ok().text());
}

/// Values and statuses of `driver_stats:trips` for some keys.
fn trips(server: &Running, entities: &str) -> Value {
    let body = format!(r#"{{"features": ["driver_stats:trips"], "entities": {entities}}}"#);
    let results = server.post_text("/get-online-features", &body).ok().json()["results"].clone();
    json!([results[0]["values"], results[1]["values"], results[1]["statuses"]])
}

#[test]
fn keys_may_be_written_in_other_ways() {
    let server = with_stats();
    let found = json!([[1001], [10], ["PRESENT"]]);
    for key in ["1001", "\"1001\"", "\" 1001 \"", "1001.0", "1.001e3"] {
        assert_eq!(trips(&server, &format!("{{\"driver_id\": [{key}]}}")), found, "{key}");
    }
    let rows = trips(&server, r#"[{"driver_id": 1001}, {}]"#);
    assert_eq!(rows, json!([[1001, null], [10, null], ["PRESENT", "NOT_FOUND"]]));
}

#[test]
fn null_keys_are_not_found_and_no_keys_are_no_rows() {
    let server = with_stats();
    assert_eq!(trips(&server, r#"{"driver_id": [null]}"#), json!([[null], [null], ["NOT_FOUND"]]));
    assert_eq!(trips(&server, r#"{"driver_id": []}"#), json!([[], [], []]));
    assert_eq!(trips(&server, "[]"), json!([[], [], []]));
    let key = server.online(&["driver_stats:trips"], &json!({"driver_id": [null]})).json()["results"][0].clone();
    assert_eq!(key["statuses"], json!(["NULL_VALUE"]));
}

#[test]
fn views_of_several_keys_and_of_none_are_read() {
    let server = Running::new();
    let at = "2024-01-09T00:00:00Z";
    server.write(
        "visits",
        &json!({"driver_id": [1, 1], "city": ["oslo", "rome"], "count": [3, 4], "event_timestamp": [at, at]}),
    );
    server.write("totals", &json!({"total": [77], "event_timestamp": [at]}));
    let entities = json!({"city": ["rome", "oslo", "rome"], "unused": [1, 2, 3], "driver_id": ["1", 1, 2]});
    let results = server.online(&["visits:count", "totals:total"], &entities).ok().json();
    assert_eq!(results["metadata"]["feature_names"], json!(["city", "driver_id", "count", "total"]));
    assert_eq!(results["results"][2]["values"], json!([4, 3, null]));
    assert_eq!(results["results"][3]["values"], json!([77, 77, 77]));
    let alone = server.online(&["totals:total"], &json!({})).ok().json();
    assert_eq!(alone["results"], json!([{"values": [77], "statuses": ["PRESENT"], "event_timestamps": [at]}]));
}

#[test]
fn names_and_texts_may_have_any_characters() {
    let server = Running::new();
    let (feature, city) = ("\u{e9}tat \u{1f600}", "S\u{e3}o \"Paulo\"\\\n\t\u{1}\u{1f600}");
    let at = json!(["2024-01-09T00:00:00Z"]);
    server
        .write("places", &json!({"city": [city], feature: ["\u{0}\u{7f} \u{2028} </script>"], "event_timestamp": at}));
    let answer = server.online(&[&format!("places:{feature}")], &json!({"city": [city]})).ok().json();
    assert_eq!(answer["results"][0]["values"], json!([city]));
    assert_eq!(answer["results"][1]["values"], json!(["\u{0}\u{7f} \u{2028} </script>"]));
    assert_eq!(answer["metadata"]["feature_names"], json!(["city", feature]));
}

#[test]
fn ten_thousand_keys_are_answered_in_one_request() {
    let server = with_stats();
    let keys: Vec<i64> = (0..10_000).collect();
    let answer = server.online(&["driver_stats:trips"], &json!({"driver_id": keys})).ok().json();
    let statuses = answer["results"][1]["statuses"].as_array().unwrap();
    assert_eq!(statuses.len(), 10_000);
    assert_eq!(statuses.iter().filter(|status| *status == "NOT_FOUND").count(), 9_997);
}

#[test]
fn a_connection_answers_one_request_after_the_other() {
    use std::io::Write;
    let server = with_stats();
    let mut stream = connect(server.address);
    let body = r#"{"features": ["driver_stats:trips"], "entities": {"driver_id": [1001]}}"#;
    let request =
        format!("POST /get-online-features HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    for _ in 0..3 {
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(read_one(&mut stream).ok().json()["results"][1]["values"], json!([10]));
    }
    // curl sends no JSON type where it is not told to.
    let form = [("content-type", "application/x-www-form-urlencoded")];
    send(server.address, "POST", "/get-online-features", &form, body.as_bytes()).ok();
}

#[test]
fn the_current_registry_is_seen_within_a_second_and_no_request_fails() {
    use std::time::Duration;

    use lodestore::core::time::Stopwatch;
    let server = with_stats();
    let other = crate::support::open(server.folder());
    let more = crate::definitions::DEFINITIONS.replacen(
        "feature_services:\n",
        crate::definitions::ONE_MORE.trim_start_matches('\n'),
        1,
    );
    server.online(&["added:added_feature"], &json!({"driver_id": [1001]})).has_status(404);
    crate::support::runtime().block_on(crate::support::apply(&other, &more));
    let applied = Stopwatch::start();
    loop {
        server.online(&["driver_stats:trips"], &json!({"driver_id": [1001]})).ok();
        if server.online(&["added:added_feature"], &json!({"driver_id": [1001]})).status == 200 {
            break;
        }
        assert!(applied.elapsed() < Duration::from_millis(1_500), "the new view is not seen");
    }
}
