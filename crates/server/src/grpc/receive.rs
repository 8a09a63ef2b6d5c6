//! What happens to a call before its method: its sender is found out, and its message received within limits.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use lodestore::core::time::Stopwatch;
use lodestore::core::{Error, Result};
use tokio::time::timeout;

use super::status::{http_status, to_status};
use crate::auth::credential;
use crate::state::AppState;

/// What a call is counted as that does not reach a method.
const REFUSED: &str = "grpc";

/// Lets a call through, with its sender among its extensions. A message is received before it is decoded and before
/// the call is admitted, so that a slow client takes nobody's place.
pub(super) async fn pass(State(state): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let watch = Stopwatch::start();
    match received(&state, request).await {
        Ok(request) => next.run(request).await,
        Err(error) => {
            let status = to_status(&error);
            state.metrics.request(REFUSED, "", http_status(status.code()), watch.elapsed());
            tracing::info!(code = ?status.code(), why = ?error, "refused a gRPC call");
            status.into_http()
        }
    }
}

async fn received(state: &Arc<AppState>, request: Request) -> Result<Request> {
    let (mut parts, body) = request.into_parts();
    let caller = state.authorizer.authenticate(credential(&parts.headers))?;
    parts.extensions.insert(caller);
    let limit = state.limits.transfer_time;
    let Ok(received) = timeout(limit, whole(state, body)).await else {
        return Err(Error::unavailable(format!("the message did not arrive within {} s", limit.as_secs_f64())));
    };
    Ok(Request::from_parts(parts, Body::from(received?)))
}

async fn whole(state: &Arc<AppState>, mut body: Body) -> Result<Bytes> {
    let (mut buffered, mut all) = (state.buffer(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::unavailable("the client did not send all").with_source(error))?;
        let Ok(data) = frame.into_data() else { continue };
        buffered.add(data.len())?;
        all.extend_from_slice(&data);
        if all.len() > state.limits.body_bytes {
            let most = state.limits.body_bytes;
            let what = format!("the message is larger than {most} bytes (max_body); send fewer rows at once");
            return Err(Error::invalid(what));
        }
    }
    Ok(all.freeze())
}
