//! GetOnlineFeatures and GetFeastServingInfo.

use lodestore_server::grpc::proto::feast::serving::get_online_features_request::Kind;
use lodestore_server::grpc::proto::feast::serving::{
    FieldStatus, GetFeastServingInfoRequest, GetOnlineFeaturesRequest, GetOnlineFeaturesResponse,
};
use lodestore_server::grpc::proto::feast::types::Value;
use lodestore_server::grpc::proto::feast::types::value::Val;
use lodestore_server::{Limits, NoAuth};
use tonic::Code;

use crate::world::{NOW_SECONDS, Outcome, World, ago, asked, check_error, ints, text, value};

fn names(response: &GetOnlineFeaturesResponse) -> Vec<String> {
    response.metadata.clone().unwrap_or_default().feature_names.unwrap_or_default().val
}

fn statuses(response: &GetOnlineFeaturesResponse, column: usize) -> Vec<FieldStatus> {
    response.results[column].statuses().collect()
}

/// A world in which user 1 has a fresh row, user 2 an old one, and user 3 one without a page.
async fn world() -> Outcome<World> {
    let mut world = World::new().await?;
    let (clicks, user) = (|n| ("clicks", Val::Int64Val(n)), |n| ("user_id", Val::Int64Val(n)));
    assert!(world.write("live", &[user(1), ago(5), clicks(10), ("page", text("home"))]).await?);
    assert!(world.write("live", &[user(2), ago(2 * 86_400), clicks(20), ("page", text("old"))]).await?);
    assert!(world.write("live", &[user(3), ago(7), clicks(30), ("page", Val::NullVal(0))]).await?);
    Ok(world)
}

#[tokio::test]
async fn keys_come_first_and_features_in_the_order_asked() -> Outcome {
    let mut world = world().await?;
    let response = world.read(&["live:page", "live:clicks"], &[("user_id", ints(&[3, 2, 1, 4, 1]))]).await?;
    assert_eq!(names(&response), ["user_id", "page", "clicks"]);
    assert!(response.status);
    use FieldStatus::{NotFound, NullValue, OutsideMaxAge, Present};
    assert_eq!(statuses(&response, 0), [Present; 5]);
    assert_eq!(statuses(&response, 1), [NullValue, OutsideMaxAge, Present, NotFound, Present]);
    assert_eq!(statuses(&response, 2), [Present, OutsideMaxAge, Present, NotFound, Present]);
    assert_eq!(response.results[0].values, ints(&[3, 2, 1, 4, 1]));
    let null = || Value { val: None };
    let home = || value(text("home"));
    assert_eq!(response.results[1].values, [null(), null(), home(), null(), home()]);
    let seconds: Vec<i64> = response.results[2].event_timestamps.iter().map(|time| time.seconds).collect();
    assert_eq!(seconds, [NOW_SECONDS - 7, NOW_SECONDS - 2 * 86_400, NOW_SECONDS - 5, 0, NOW_SECONDS - 5]);
    Ok(())
}

#[tokio::test]
async fn a_service_is_asked_by_its_name_and_versions_are_told() -> Outcome {
    let mut world = world().await?;
    let visit = [("user_id", Val::Int64Val(1)), ("shop_id", text("a")), ago(1), ("visits", Val::Int32Val(3))];
    assert!(world.write("visits", &visit).await?);
    let request = GetOnlineFeaturesRequest {
        kind: Some(Kind::FeatureService("model".into())),
        full_feature_names: true,
        include_feature_view_version_metadata: true,
        ..asked(&[], &[("user_id", ints(&[1])), ("shop_id", vec![value(text("a"))])])
    };
    // Both services answer alike.
    let response = world.reads.get_online_features(request.clone()).await?.into_inner();
    assert_eq!(world.rows.get_online_features(request).await?.into_inner(), response);
    let features = names(&response);
    assert_eq!(&features[2..], ["live__page", "visits__visits"]);
    assert_eq!(response.results[3].values, [value(Val::Int32Val(3))]);
    let metadata = response.metadata.unwrap_or_default().feature_view_metadata;
    let versions: Vec<_> = metadata.iter().map(|view| (view.name.as_str(), view.version)).collect();
    assert_eq!(versions, [("live", 1), ("visits", 1)]);
    let counted = world.state.metrics.encode(0)?;
    assert!(counted.contains("service=\"model\",status=\"200\"} 1"), "{counted}");
    Ok(())
}

#[tokio::test]
async fn null_keys_are_not_found_and_no_keys_are_no_rows() -> Outcome {
    let mut world = world().await?;
    let keys = vec![Value { val: None }, value(Val::NullVal(0)), value(Val::Int32Val(1))];
    let response = world.read(&["live:clicks"], &[("user_id", keys)]).await?;
    use FieldStatus::{NotFound, NullValue, Present};
    assert_eq!(statuses(&response, 0), [NullValue, NullValue, Present]);
    assert_eq!(statuses(&response, 1), [NotFound, NotFound, Present]);
    let response = world.read(&["live:clicks"], &[("user_id", vec![])]).await?;
    assert_eq!((names(&response).len(), response.results[1].values.len()), (2, 0));
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_is_named() -> Outcome {
    let mut world = world().await?;
    let one = [("user_id", ints(&[1]))];
    check_error(world.read(&["live:clik"], &one).await, Code::NotFound, "clicks");
    check_error(world.read(&["lives:clicks"], &one).await, Code::NotFound, "live");
    check_error(world.read(&["clicks"], &one).await, Code::InvalidArgument, "clicks");
    check_error(world.read(&["live:clicks", "live:clicks"], &one).await, Code::InvalidArgument, "clicks");
    check_error(world.read(&[], &one).await, Code::InvalidArgument, "no features were asked for");
    check_error(world.read(&["live:clicks"], &[]).await, Code::InvalidArgument, "'user_id' of view 'live' is missing");
    let wrong = [("user_id", vec![value(Val::Int64Val(1)), value(text("1"))])];
    check_error(world.read(&["live:clicks"], &wrong).await, Code::InvalidArgument, "row 1 of column 'user_id'");
    let uneven = [("user_id", ints(&[1, 2])), ("shop_id", vec![value(text("a"))])];
    check_error(world.read(&["visits:visits"], &uneven).await, Code::InvalidArgument, "each row needs a value");
    let nothing = world.reads.get_online_features(GetOnlineFeaturesRequest::default()).await;
    check_error(nothing, Code::InvalidArgument, "no features were asked for");
    let service = GetOnlineFeaturesRequest { kind: Some(Kind::FeatureService("modl".into())), ..asked(&[], &one) };
    check_error(world.reads.get_online_features(service).await, Code::NotFound, "model");
    Ok(())
}

#[tokio::test]
async fn limits_hold() -> Outcome {
    let limits = Limits { entities: 2, body_bytes: 1_000, ..Limits::default() };
    let mut world = World::with(limits, std::sync::Arc::new(NoAuth)).await?;
    let features = ["live:clicks"];
    assert!(world.read(&features, &[("user_id", ints(&[1, 2]))]).await.is_ok());
    check_error(world.read(&features, &[("user_id", ints(&[1, 2, 3]))]).await, Code::InvalidArgument, "max_entities");
    check_error(world.read(&features, &[("user_id", ints(&[7; 1_000]))]).await, Code::InvalidArgument, "max_body");

    let limits = Limits { in_flight: 0, ..Limits::default() };
    let mut world = World::with(limits, std::sync::Arc::new(NoAuth)).await?;
    check_error(world.read(&features, &[("user_id", ints(&[1]))]).await, Code::Unavailable, "try again");
    Ok(())
}

#[tokio::test]
async fn the_version_is_told() -> Outcome {
    let mut world = World::new().await?;
    let info = world.reads.get_feast_serving_info(GetFeastServingInfoRequest {}).await?.into_inner();
    assert_eq!(info.version, env!("CARGO_PKG_VERSION"));
    Ok(())
}
