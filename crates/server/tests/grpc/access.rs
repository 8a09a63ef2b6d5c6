//! API keys in the metadata of calls.

use std::sync::Arc;

use lodestore::ApiKeySettings;
use lodestore_server::grpc::proto::feast::serving::GetFeastServingInfoRequest;
use lodestore_server::{ApiKeys, Limits, hash_key};
use tonic::{Code, Request};

use crate::world::{Outcome, World, ago, check_error, ints};

#[tokio::test]
async fn a_key_is_asked_for_in_either_header() -> Outcome {
    let keys = [ApiKeySettings { name: "model".into(), sha256: hash_key("secret") }];
    let mut world = World::with(Limits::default(), Arc::new(ApiKeys::new(&keys)?)).await?;
    for (header, value) in [("authorization", "Bearer secret"), ("x-api-key", "secret")] {
        let mut request = Request::new(GetFeastServingInfoRequest {});
        request.metadata_mut().insert(header, value.parse()?);
        assert!(world.reads.get_feast_serving_info(request).await.is_ok(), "{header}");
    }
    let mut request = Request::new(GetFeastServingInfoRequest {});
    request.metadata_mut().insert("authorization", "Bearer wrong".parse()?);
    check_error(world.reads.get_feast_serving_info(request).await, Code::Unauthenticated, "not known");
    check_error(world.read(&["live:clicks"], &[("user_id", ints(&[1]))]).await, Code::Unauthenticated, "API key");
    check_error(world.push("app", &[ago(0)]).await, Code::Unauthenticated, "API key");
    check_error(world.write("live", &[ago(0)]).await, Code::Unauthenticated, "API key");
    Ok(())
}
