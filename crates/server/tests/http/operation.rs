//! Health, metrics, request ids and the API's description.

use serde_json::{Value, json};

use crate::client::send;
use crate::support::Running;

#[test]
fn health_is_told_in_feasts_form_and_ours() {
    let server = Running::new();
    assert_eq!(server.get("/health").ok().body, b"");
    assert_eq!(server.get("/v1/health/live").ok().json(), json!({"status": "live"}));
    assert_eq!(server.get("/v1/health/ready").ok().json(), json!({"status": "ready"}));
    send(server.address, "HEAD", "/health", &[], b"").ok();
}

#[test]
fn a_request_has_an_id_its_own_or_a_new_one() {
    let server = Running::new();
    let own = send(server.address, "GET", "/health", &[("x-request-id", "abc-1")], b"");
    assert_eq!(own.header("x-request-id"), Some("abc-1"));
    let (first, second) = (server.get("/health"), server.get("/nothing"));
    let id = first.header("x-request-id").unwrap();
    assert!(id.len() == 16 && id.bytes().all(|c| c.is_ascii_hexdigit()), "{id}");
    assert_ne!(Some(id), second.header("x-request-id"));
}

#[test]
fn metrics_tell_what_was_asked_and_found() {
    let server = Running::new();
    server.push("stats_push", &json!({"driver_id": [1], "at": ["2024-01-09T12:00:00Z"], "trips": [5]}));
    let body = json!({"feature_service": "activity", "entities": {"driver_id": [1, 2, 2]}});
    server.post("/get-online-features", &body).ok();
    server.post("/v1/online-features", &body).ok();
    server.post("/get-online-features", &json!({"feature_service": "made_up", "entities": {}})).has_status(404);
    let answer = server.get("/metrics").ok();
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = answer.text();
    for line in [
        "lodestore_requests_total{route=\"/get-online-features\",service=\"activity\",status=\"200\"} 1",
        "lodestore_requests_total{route=\"/v1/online-features\",service=\"activity\",status=\"200\"} 1",
        "lodestore_requests_total{route=\"/get-online-features\",service=\"\",status=\"404\"} 1",
        "lodestore_request_duration_seconds_count{route=\"/push\",service=\"\"} 1",
        "lodestore_store_read_duration_seconds_count 2",
        "lodestore_rows_written_total 1",
        "lodestore_values_read_total{view=\"driver_stats\",status=\"PRESENT\"} 2",
        "lodestore_values_read_total{view=\"driver_stats\",status=\"NOT_FOUND\"} 10",
        "lodestore_newest_event_age_seconds{view=\"driver_stats\"} ",
        "process_resident_memory_bytes ",
        "lodestore_requests_in_flight 1",
        "# TYPE lodestore_request_duration_seconds histogram",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line}\nis not in\n{text}");
    }
    assert!(!text.contains("made_up"));
}

#[test]
fn the_description_has_every_route_and_all_that_it_refers_to() {
    let server = Running::new();
    let document = server.get("/openapi.json").ok().json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let paths: Vec<_> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    for path in [
        "/get-online-features",
        "/push",
        "/write-to-online-store",
        "/materialize",
        "/materialize-incremental",
        "/health",
        "/v1/online-features",
        "/v1/push",
        "/v1/write",
        "/v1/registry",
        "/v1/registry/{kind}/{name}",
        "/v1/health/live",
        "/v1/health/ready",
        "/metrics",
        "/openapi.json",
    ] {
        assert!(paths.contains(&path), "{path} is not in {paths:?}");
    }
    let request = &document["components"]["schemas"]["GetOnlineFeaturesRequest"];
    assert_eq!(request["required"], json!(["entities"]));
    let mut refs = Vec::new();
    find_refs(&document, &mut refs);
    assert!(!refs.is_empty());
    for reference in refs {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} is not there");
    }
}

fn find_refs(value: &Value, refs: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(text) if key == "$ref" => refs.push(text.clone()),
                    other => find_refs(other, refs),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| find_refs(item, refs)),
        _ => {}
    }
}
