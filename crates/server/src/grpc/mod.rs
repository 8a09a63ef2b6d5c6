//! gRPC: Feast's `ServingService` and its `GrpcFeatureServer`, as `proto/` in the root of the repository has them.
//!
//! It is not: a transport. [`routes`] gives the services; whoever serves them chooses the address.
//!
//! # Examples
//! ```no_run
//! # async fn example(state: std::sync::Arc<lodestore_server::AppState>) -> Result<(), tonic::transport::Error> {
//! let address = std::net::SocketAddr::from(([127, 0, 0, 1], 6567));
//! tonic::transport::Server::builder().add_routes(lodestore_server::grpc::routes(&state)).serve(address).await
//! # }
//! ```

mod decode;
mod encode;
pub mod proto;
mod read;
mod receive;
mod status;
mod text;
mod write;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use futures::FutureExt;
use lodestore::core::time::Stopwatch;
use lodestore::core::{Error, Result};
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status};

use crate::auth::{Action, Caller};
use crate::state::AppState;

use proto::feast::serving::serving_service_server::{ServingService, ServingServiceServer};
use proto::feast::serving::{
    GetFeastServingInfoRequest, GetFeastServingInfoResponse, GetOnlineFeaturesRequest, GetOnlineFeaturesResponse,
};
use proto::grpc_feature_server_server::{GrpcFeatureServer, GrpcFeatureServerServer};
use proto::{PushRequest, PushResponse, WriteToOnlineStoreRequest, WriteToOnlineStoreResponse};
use status::to_status;

/// Returns the services. They have the limits of HTTP; a message is as large as a body may be.
#[must_use]
pub fn routes(state: &Arc<AppState>) -> Routes {
    let calls = Calls { state: Arc::clone(state) };
    let most = state.limits.body_bytes;
    let reads = ServingServiceServer::new(calls.clone()).max_decoding_message_size(most);
    let rows = GrpcFeatureServerServer::new(calls).max_decoding_message_size(most);
    let router = Routes::new(reads).add_service(rows).prepare().into_axum_router();
    router.layer(from_fn_with_state(Arc::clone(state), receive::pass)).into()
}

/// An answer, and the feature service that was asked for; empty where it was none.
struct Answer<T> {
    message: T,
    service: String,
}

impl<T> Answer<T> {
    fn of(message: T) -> Self {
        Self { message, service: String::new() }
    }
}

/// The methods of both services.
#[derive(Clone)]
struct Calls {
    state: Arc<AppState>,
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calls").finish_non_exhaustive()
    }
}

impl Calls {
    /// Works on a request if its sender may do that and there is room for it, and counts it.
    async fn answer<R, T, F: Future<Output = Result<Answer<T>>>>(
        &self,
        route: &'static str,
        action: Action,
        request: Request<R>,
        work: impl FnOnce(Arc<AppState>, R) -> F,
    ) -> Result<Response<T>, Status> {
        let watch = Stopwatch::start();
        let (_, extensions, message) = request.into_parts();
        let caller = extensions.get::<Caller>().cloned();
        let answer = async {
            let caller = caller.as_ref().ok_or_else(|| Error::internal("nobody asked who sends this"))?;
            self.state.authorizer.authorize(caller, action)?;
            let _place = self.state.admit()?;
            let limit = self.state.limits.request_time;
            match tokio::time::timeout(limit, work(Arc::clone(&self.state), message)).await {
                Ok(result) => result,
                Err(_) => Err(Error::unavailable(format!("the answer took longer than {} s", limit.as_secs_f64()))),
            }
        };
        // A panic ends the call, not the connection with all of its calls.
        let answer = AssertUnwindSafe(answer).catch_unwind().await;
        let answer = answer.unwrap_or_else(|_| Err(Error::internal("the server failed to answer")));
        let (micros, caller) = (watch.elapsed().as_micros() as u64, caller.and_then(|caller| caller.name));
        match answer {
            Ok(Answer { message, service }) => {
                self.state.metrics.request(route, &service, status::http_status(Code::Ok), watch.elapsed());
                tracing::debug!(route, micros, caller, service, "answered");
                Ok(Response::new(message))
            }
            Err(error) => {
                let refusal = to_status(&error);
                let status = status::http_status(refusal.code());
                self.state.metrics.request(route, "", status, watch.elapsed());
                match status {
                    500.. => tracing::error!(route, status, micros, caller, why = ?error, "failed"),
                    _ => tracing::info!(route, status, micros, caller, why = ?error, "refused"),
                }
                Err(refusal)
            }
        }
    }
}

#[tonic::async_trait]
impl ServingService for Calls {
    async fn get_feast_serving_info(
        &self,
        request: Request<GetFeastServingInfoRequest>,
    ) -> Result<Response<GetFeastServingInfoResponse>, Status> {
        let route = "/feast.serving.ServingService/GetFeastServingInfo";
        let info = |_, _| async {
            Ok(Answer::of(GetFeastServingInfoResponse { version: env!("CARGO_PKG_VERSION").to_owned() }))
        };
        self.answer(route, Action::Describe, request, info).await
    }

    async fn get_online_features(
        &self,
        request: Request<GetOnlineFeaturesRequest>,
    ) -> Result<Response<GetOnlineFeaturesResponse>, Status> {
        let route = "/feast.serving.ServingService/GetOnlineFeatures";
        self.answer(route, Action::Read, request, read::online_features).await
    }
}

#[tonic::async_trait]
impl GrpcFeatureServer for Calls {
    async fn push(&self, request: Request<PushRequest>) -> Result<Response<PushResponse>, Status> {
        self.answer("/GrpcFeatureServer/Push", Action::Write, request, write::push).await
    }

    async fn write_to_online_store(
        &self,
        request: Request<WriteToOnlineStoreRequest>,
    ) -> Result<Response<WriteToOnlineStoreResponse>, Status> {
        self.answer("/GrpcFeatureServer/WriteToOnlineStore", Action::Write, request, write::write).await
    }

    async fn get_online_features(
        &self,
        request: Request<GetOnlineFeaturesRequest>,
    ) -> Result<Response<GetOnlineFeaturesResponse>, Status> {
        self.answer("/GrpcFeatureServer/GetOnlineFeatures", Action::Read, request, read::online_features).await
    }
}
