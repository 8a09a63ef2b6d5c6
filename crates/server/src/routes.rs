//! All routes, and the description that is generated from them.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::openapi::Api;
use crate::state::AppState;
use crate::{feast, gate, v1};

fn all() -> OpenApiRouter<Arc<AppState>> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(feast::online::get_online_features))
        .routes(routes!(feast::write::push))
        .routes(routes!(feast::write::write_to_online_store))
        .routes(routes!(feast::materialize::materialize))
        .routes(routes!(feast::materialize::materialize_incremental))
        .routes(routes!(v1::operation::health))
        .routes(routes!(v1::online::online_features))
        .routes(routes!(v1::write::push))
        .routes(routes!(v1::write::write))
        .routes(routes!(v1::registry::list))
        .routes(routes!(v1::registry::describe))
        .routes(routes!(v1::operation::live))
        .routes(routes!(v1::operation::ready))
        .routes(routes!(v1::operation::metrics))
        .routes(routes!(v1::operation::openapi))
}

/// Returns the routes of HTTP, guarded.
pub fn http(state: &Arc<AppState>) -> Router {
    let (router, _) = all().split_for_parts();
    router
        .fallback(gate::no_such_path)
        .method_not_allowed_fallback(gate::no_such_method)
        // Bodies are received by the gate, within its own limits.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::clone(state), gate::pass))
        .with_state(Arc::clone(state))
}

/// Returns the description of the routes of HTTP.
#[must_use]
pub fn document() -> OpenApi {
    all().split_for_parts().1
}
