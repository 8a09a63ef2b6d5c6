//! Push and WriteToOnlineStore.

use std::collections::BTreeMap;

use lodestore_server::grpc::proto::feast::serving::FieldStatus;
use lodestore_server::grpc::proto::feast::types as wire;
use lodestore_server::grpc::proto::feast::types::value::Val;
use lodestore_server::grpc::proto::{PushRequest, WriteToOnlineStoreRequest};
use tonic::Code;

use crate::world::{NOW, Outcome, World, ago, check_error, columns, ints, text, value};

const UUID: &str = "67e55044-10b1-426f-9247-bb680e5fe0c8";

/// A value of each feature of the view `kinds`, as it is sent and as it comes back.
fn kinds() -> Vec<(&'static str, Val)> {
    let map = |entries: &[(&str, Val)]| wire::Map { val: columns(entries) };
    let string_list = |items: &[&str]| wire::StringList { val: items.iter().map(ToString::to_string).collect() };
    let int_map = wire::ScalarMap {
        val: vec![wire::ScalarMapEntry {
            key: Some(wire::MapKey { key: Some(wire::map_key::Key::Int64Key(-7)) }),
            value: Some(value(Val::StringListVal(string_list(&["x", ""])))),
        }],
    };
    let with_null = wire::RepeatedValue { val: vec![value(Val::Int64Val(1)), wire::Value { val: None }] };
    let lists = wire::RepeatedValue { val: vec![value(Val::Int64ListVal(wire::Int64List { val: vec![1, 2] }))] };
    vec![
        ("f_bool", Val::BoolVal(false)),
        ("f_int32", Val::Int32Val(i32::MIN)),
        ("f_int64", Val::Int64Val(i64::MAX)),
        ("f_float32", Val::FloatVal(f32::MIN_POSITIVE)),
        ("f_float64", Val::DoubleVal(-0.0)),
        ("f_string", text("żółw 🐢")),
        ("f_bytes", Val::BytesVal(vec![0, 255])),
        ("f_timestamp", Val::UnixTimestampVal(-5)),
        ("f_date", Val::UnixTimestampVal(86_400 * 3)),
        ("f_json", Val::JsonVal("{\"a\": [1, null]}".into())),
        ("f_uuid", Val::UuidVal(UUID.into())),
        ("f_decimal", Val::DecimalVal("-12.30".into())),
        ("f_bools", Val::BoolListVal(wire::BoolList { val: vec![true, false] })),
        ("f_int32s", Val::Int32ListVal(wire::Int32List { val: vec![1, -1] })),
        ("f_int64s", Val::ListVal(with_null)),
        ("f_float32s", Val::FloatListVal(wire::FloatList { val: vec![0.5] })),
        ("f_float64s", Val::DoubleListVal(wire::DoubleList { val: vec![f64::INFINITY, 1e-300] })),
        ("f_strings", Val::StringListVal(string_list(&[]))),
        ("f_bytes_list", Val::BytesListVal(wire::BytesList { val: vec![vec![], vec![1]] })),
        ("f_timestamps", Val::UnixTimestampListVal(wire::Int64List { val: vec![0, 9] })),
        ("f_jsons", Val::JsonListVal(string_list(&["1", "{}"]))),
        ("f_uuids", Val::UuidListVal(string_list(&[UUID]))),
        ("f_decimals", Val::DecimalListVal(string_list(&["0.01", "5.00"]))),
        ("f_structs", Val::StructListVal(wire::MapList { val: vec![map(&[("a", Val::Int64Val(1))])] })),
        ("f_maps", Val::MapListVal(wire::MapList { val: vec![map(&[]), map(&[("k", Val::Int64Val(2))])] })),
        ("f_lists", Val::ListVal(lists)),
        ("f_string_set", Val::StringSetVal(wire::StringSet { val: vec!["b".into(), "a".into()] })),
        ("f_int64_set", Val::Int64SetVal(wire::Int64Set { val: vec![2, 1] })),
        ("f_vector32", Val::FloatListVal(wire::FloatList { val: vec![0.25, -1.0] })),
        ("f_vector64", Val::DoubleListVal(wire::DoubleList { val: vec![0.1, 0.2] })),
        ("f_struct", Val::StructVal(map(&[("a", Val::Int64Val(1)), ("b", text("x"))]))),
        ("f_map", Val::MapVal(map(&[("", Val::DoubleVal(1.5)), ("k", Val::DoubleVal(-2.0))]))),
        ("f_int_map", Val::ScalarMapVal(int_map)),
    ]
}

#[tokio::test]
async fn values_of_every_type_come_back_as_they_were_sent() -> Outcome {
    let mut world = World::new().await?;
    let mut row = vec![("user_id", Val::Int64Val(1)), ago(0)];
    row.extend(kinds());
    assert!(world.write("kinds", &row).await?);
    let features: Vec<_> = kinds().iter().map(|(name, _)| format!("kinds:{name}")).collect();
    let features: Vec<_> = features.iter().map(String::as_str).collect();
    let response = world.read(&features, &[("user_id", ints(&[1]))]).await?;
    for ((name, sent), found) in kinds().into_iter().zip(&response.results[1..]) {
        assert_eq!(found.values, [value(sent)], "{name}");
        assert_eq!(found.statuses, [i32::from(FieldStatus::Present)], "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn keys_of_every_type_find_their_rows() -> Outcome {
    let mut world = World::new().await?;
    let keys = [
        ("k_bool", Val::BoolVal(true)),
        ("k_bytes", Val::BytesVal(vec![0])),
        ("k_date", Val::UnixTimestampVal(86_400)),
        ("k_int32", Val::Int32Val(-1)),
        ("k_timestamp", Val::UnixTimestampVal(1)),
        ("k_uuid", Val::UuidVal(UUID.into())),
    ];
    let mut row = keys.to_vec();
    row.extend([ago(0), ("seen", Val::Int64Val(9))]);
    assert!(world.push("devices", &row).await?);
    let asked: Vec<_> = keys.iter().map(|(name, key)| (*name, vec![value(key.clone())])).collect();
    let response = world.read(&["places:seen"], &asked).await?;
    assert_eq!(response.results[6].values, ints(&[9]));
    let echoed: Vec<_> = response.results[..6].iter().flat_map(|vector| vector.values.clone()).collect();
    assert_eq!(echoed, keys.map(|(_, key)| value(key)));
    Ok(())
}

#[tokio::test]
async fn a_push_reaches_every_view_of_its_source() -> Outcome {
    let mut world = World::new().await?;
    let row = [("user_id", Val::Int64Val(1)), ago(0), ("clicks", Val::Int32Val(4)), ("f_bool", Val::BoolVal(true))];
    assert!(world.push("app", &row).await?);
    let response = world.read(&["live:clicks", "kinds:f_bool"], &[("user_id", ints(&[1]))]).await?;
    assert_eq!(response.results[1].values, ints(&[4]));
    assert_eq!(response.results[2].values, [value(Val::BoolVal(true))]);
    let counted = world.state.metrics.encode(0)?;
    let route = "lodestore_requests_total{route=\"/GrpcFeatureServer/Push\",service=\"\",status=\"200\"} 1";
    assert!(counted.contains(route) && counted.contains("lodestore_rows_written_total 2"), "{counted}");
    Ok(())
}

#[tokio::test]
async fn rows_of_text_are_read_as_their_columns_types() -> Outcome {
    let mut world = World::new().await?;
    let row = [
        ("user_id", "1"),
        ("event_timestamp", NOW),
        ("f_bool", "True"),
        ("f_float64", "nan"),
        ("f_int64s", "[1, 2]"),
        ("not_a_column", "x"),
    ];
    let features: BTreeMap<_, _> = row.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
    let request = WriteToOnlineStoreRequest {
        feature_view_name: "kinds".into(),
        features,
        ..WriteToOnlineStoreRequest::default()
    };
    assert!(world.rows.write_to_online_store(request).await?.into_inner().status);
    let features = ["kinds:f_bool", "kinds:f_float64", "kinds:f_int64s"];
    let response = world.read(&features, &[("user_id", ints(&[1]))]).await?;
    assert_eq!(response.results[1].values, [value(Val::BoolVal(true))]);
    assert!(matches!(response.results[2].values[0].val, Some(Val::DoubleVal(number)) if number.is_nan()));
    let list = Val::Int64ListVal(wire::Int64List { val: vec![1, 2] });
    assert_eq!(response.results[3].values, [value(list)]);
    Ok(())
}

#[tokio::test]
async fn wrong_rows_are_refused_and_nothing_is_written() -> Outcome {
    let mut world = World::new().await?;
    let user = || ("user_id", Val::Int64Val(1));
    let clicks = || ("clicks", Val::Int64Val(1));
    let invalid = Code::InvalidArgument;
    let page = ("page", Val::Int64Val(1));
    check_error(world.write("live", &[user(), ago(0), clicks(), page]).await, invalid, "column 'page'");
    check_error(world.write("live", &[user(), clicks()]).await, invalid, "'event_timestamp' is missing");
    check_error(world.write("live", &[user(), ago(0)]).await, invalid, "no feature of view 'live'");
    check_error(world.write("live", &[ago(0), clicks()]).await, invalid, "'user_id'");
    check_error(world.write("live", &[("x", text("y"))]).await, invalid, "no column of view 'live'");
    let null_key = ("user_id", Val::NullVal(0));
    check_error(world.write("live", &[null_key, ago(0), clicks()]).await, invalid, "null");
    check_error(world.write("lives", &[user(), ago(0), clicks()]).await, Code::NotFound, "live");
    check_error(world.push("ap", &[user(), ago(0), clicks()]).await, Code::NotFound, "app");
    let vector = Val::FloatListVal(wire::FloatList { val: vec![1.0] });
    check_error(world.write("kinds", &[user(), ago(0), ("f_vector32", vector)]).await, invalid, "1 items");
    let unknown_field = Val::StructVal(wire::Map { val: columns(&[("z", Val::Int64Val(1))]) });
    check_error(world.write("kinds", &[user(), ago(0), ("f_struct", unknown_field)]).await, invalid, "'z'");

    for (to, code) in [("", invalid), ("bogus", invalid), ("offline", Code::Unimplemented)] {
        let typed_features = columns(&[user(), ago(0), clicks()]);
        let request =
            PushRequest { stream_feature_view: "app".into(), to: to.into(), typed_features, ..PushRequest::default() };
        check_error(world.rows.push(request).await, code, "pushed");
    }
    let both = WriteToOnlineStoreRequest {
        feature_view_name: "live".into(),
        features: BTreeMap::from([("user_id".into(), "1".into())]),
        typed_features: columns(&[clicks()]),
        ..WriteToOnlineStoreRequest::default()
    };
    check_error(world.rows.write_to_online_store(both).await, invalid, "typed_features");

    let response = world.read(&["live:clicks"], &[("user_id", ints(&[1]))]).await?;
    assert_eq!(response.results[1].statuses, [i32::from(FieldStatus::NotFound)]);
    Ok(())
}
