//! Values of every type, in and out, on Feast's route and ours (rule V1).

use serde_json::{Value, json};

use crate::support::Running;

/// Name, what is written, what Feast's route answers, what ours does.
fn cases() -> Vec<(&'static str, Value, Value, Value)> {
    let same = |name: &'static str, value: Value| (name, value.clone(), value.clone(), value);
    let uuid = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    vec![
        same("a_bool", json!(true)),
        same("an_int32", json!(i32::MIN)),
        same("an_int64", json!(i64::MAX)),
        ("a_float32", json!(0.1), json!(0.10000000149011612), json!(0.10000000149011612)),
        same("a_float64", json!(0.1)),
        same("a_string", json!("é\"\\\n")),
        same("some_bytes", json!("AP/+")),
        ("a_timestamp", json!("2024-01-09T12:00:00.5Z"), json!(1_704_801_600), json!("2024-01-09T12:00:00.500Z")),
        same("a_date", json!("2024-02-29")),
        ("a_json", json!({"a": [1, null]}), json!("{\"a\":[1,null]}"), json!("{\"a\":[1,null]}")),
        same("a_uuid", json!(uuid)),
        same("a_decimal", json!("-12.30")),
        same("a_list", json!([1, null, 3])),
        same("a_set", json!(["x", "y"])),
        same("a_vector", json!([0.5, -1.0])),
        same("a_struct", json!({"x": 1, "y": ["a", null]})),
        same("a_map", json!({"k": 0.5, "l": null})),
    ]
}

#[test]
fn v1_what_goes_in_comes_out() {
    let server = Running::new();
    let mut df = json!({"city": ["full", "empty"], "event_timestamp": ["2024-01-09", "2024-01-09"]});
    for (name, written, _, _) in cases() {
        df[name] = json!([written, null]);
    }
    server.write("every_type", &df);
    let features: Vec<String> = cases().iter().map(|(name, ..)| format!("every_type:{name}")).collect();
    let body = json!({"features": features, "entities": {"city": ["full", "empty", "none"]}});
    let feast = server.post("/get-online-features", &body).ok().json();
    let own = server.post("/v1/online-features", &body).ok().json();
    for (place, (name, _, from_feast, from_own)) in cases().into_iter().enumerate() {
        let statuses = json!(["PRESENT", "NULL_VALUE", "NOT_FOUND"]);
        let result = &feast["results"][place + 1];
        assert_eq!(result["values"], json!([from_feast, null, null]), "{name}");
        assert_eq!(result["statuses"], statuses, "{name}");
        let feature = &own["features"][place];
        assert_eq!(feature["name"], name);
        assert_eq!(feature["values"], json!([from_own, null, null]), "{name}");
        assert_eq!(feature["statuses"], statuses, "{name}");
        let times = json!(["2024-01-09T00:00:00Z", "2024-01-09T00:00:00Z", null]);
        assert_eq!(feature["event_timestamps"], times, "{name}");
    }
}

#[test]
fn numbers_that_json_lacks_are_texts_both_ways() {
    let server = Running::new();
    let df = r#"{"city": ["a", "b", "c"], "event_timestamp": ["2024-01-09", "2024-01-09", "2024-01-09"],
        "a_float64": [NaN, Infinity, "-Infinity"], "a_float32": ["NaN", -Infinity, 3.5], "a_string": ["NaN", "x", null]}"#;
    server.post_text("/write-to-online-store", &format!(r#"{{"feature_view_name": "every_type", "df": {df}}}"#)).ok();
    let features = ["every_type:a_float64", "every_type:a_float32", "every_type:a_string"];
    let results = server.online(&features, &json!({"city": ["a", "b", "c"]})).ok().json()["results"].clone();
    assert_eq!(results[1]["values"], json!(["NaN", "Infinity", "-Infinity"]));
    assert_eq!(results[2]["values"], json!(["NaN", "-Infinity", 3.5]));
    assert_eq!(results[3]["values"], json!(["NaN", "x", null]));
    assert_eq!(results[1]["statuses"], json!(["PRESENT", "PRESENT", "PRESENT"]));
}

/// Feast's client sends maps as JSON text, and moments as seconds.
#[test]
fn the_forms_of_feasts_client_are_taken() {
    let server = Running::new();
    let df = json!({
        "city": ["a"], "event_timestamp": [1_704_801_600], "a_map": ["{\"k\": 1}"], "a_struct": ["{\"x\": 2}"],
        "a_timestamp": [1_704_801_600], "an_int64": [7.0],
    });
    server.write("every_type", &df);
    let features = ["every_type:a_map", "every_type:a_struct", "every_type:a_timestamp", "every_type:an_int64"];
    let results = server.online(&features, &json!({"city": ["a"]})).ok().json()["results"].clone();
    let values: Vec<Value> = (1..=4).map(|place| results[place]["values"][0].clone()).collect();
    assert_eq!(values, [json!({"k": 1.0}), json!({"x": 2, "y": null}), json!(1_704_801_600), json!(7)]);
    assert_eq!(results[1]["event_timestamps"], json!(["2024-01-09T12:00:00Z"]));
}
