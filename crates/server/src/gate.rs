//! What happens to every request before and after its route: an id, a check of who sends it, limits, metrics, a line in
//! the log. A panic in a route ends the request, not the server.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt;
use lodestore::core::Error;
use lodestore::core::time::Stopwatch;
use tokio::time::timeout;
use tracing::Instrument;

use crate::auth::Action;
use crate::body;
use crate::error::{Refusal, Why};
use crate::state::AppState;
use crate::trace;

/// The feature service that a request asked for; put among the extensions of its response.
#[derive(Debug, Clone)]
pub(crate) struct AskedService(pub(crate) String);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken from a client.
const LONGEST_ID: usize = 128;

/// How a route is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guard {
    /// Not at all: whoever watches the server must get through when it is busy.
    Open,
    /// Who may do it, limits of time and of requests at the same time.
    Limited(Action),
    /// As `Limited`, but it may take its time.
    Patient(Action),
}

/// The routes, with what guards them.
const ROUTES: [(&str, Guard); 16] = [
    ("/get-online-features", Guard::Limited(Action::Read)),
    ("/push", Guard::Limited(Action::Write)),
    ("/write-to-online-store", Guard::Limited(Action::Write)),
    ("/materialize", Guard::Patient(Action::Materialize)),
    ("/materialize-incremental", Guard::Patient(Action::Materialize)),
    ("/health", Guard::Open),
    ("/v1/online-features", Guard::Limited(Action::Read)),
    ("/v1/push", Guard::Limited(Action::Write)),
    ("/v1/write", Guard::Limited(Action::Write)),
    ("/v1/health/live", Guard::Open),
    ("/v1/health/ready", Guard::Open),
    ("/v1/registry", Guard::Limited(Action::Describe)),
    ("/v1/registry/{kind}/{name}", Guard::Limited(Action::Describe)),
    ("/openapi.json", Guard::Limited(Action::Describe)),
    ("/metrics", Guard::Limited(Action::Describe)),
    (OTHER, Guard::Limited(Action::Describe)),
];

/// What a path is called that no route has.
const OTHER: &str = "other";

fn route(request: &Request) -> (&'static str, Guard) {
    let path = request.extensions().get::<MatchedPath>().map_or(OTHER, MatchedPath::as_str);
    *ROUTES.iter().find(|(known, _)| *known == path).unwrap_or(&ROUTES[ROUTES.len() - 1])
}

/// Lets a request through to its route, or refuses it.
pub(crate) async fn pass(State(state): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let started = Stopwatch::start();
    let (route, guard) = route(&request);
    let id = request_id(request.headers());
    let method = request.method().clone();
    let is_own = request.uri().path().starts_with("/v1/");
    let span = trace::request_span(&method, route, &id, request.headers());
    let (caller, answer) = guarded(&state, guard, request, next).instrument(span.clone()).await;
    let mut response = answer.unwrap_or_else(|refusal| if is_own { refusal.to_own() } else { refusal.to_feast() });
    let (status, took) = (response.status(), started.elapsed());
    span.record("http.response.status_code", status.as_u16());
    let service = response.extensions_mut().remove::<AskedService>().map_or(String::new(), |service| service.0);
    state.metrics.request(route, &service, status.as_u16(), took);
    let why = response.extensions_mut().remove::<Why>().map_or(String::new(), |why| why.0);
    let (request_id, status, micros) = (id.to_str().unwrap_or_default(), status.as_u16(), took.as_micros() as u64);
    match status {
        500.. => tracing::error!(request_id, %method, route, status, micros, caller, service, why, "failed"),
        400.. => tracing::info!(request_id, %method, route, status, micros, caller, service, why, "refused"),
        _ => tracing::debug!(request_id, %method, route, status, micros, caller, service, "answered"),
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// Returns the name of the caller, and the answer.
async fn guarded(
    state: &Arc<AppState>,
    guard: Guard,
    request: Request,
    next: Next,
) -> (Option<String>, Result<Response, Refusal>) {
    let (Guard::Limited(action) | Guard::Patient(action)) = guard else {
        return (None, caught(next.run(request)).await);
    };
    match state.authorize(request.headers(), action) {
        Ok(caller) => (caller.name, limited(state, guard, request, next).await),
        Err(error) => (None, Err(error.into())),
    }
}

async fn limited(state: &Arc<AppState>, guard: Guard, request: Request, next: Next) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    // Received before the request is admitted: a slow client takes nobody's place.
    let body = body::receive(state, &parts.headers, body).await?;
    let _place = state.admit()?;
    let answer = caught(next.run(Request::from_parts(parts, Body::from(body))));
    if matches!(guard, Guard::Patient(_)) {
        return body::held(state, answer.await?);
    }
    match timeout(state.limits.request_time, answer).await {
        Ok(answer) => body::held(state, answer?),
        Err(_) => Err(Refusal::new(
            StatusCode::GATEWAY_TIMEOUT,
            Error::unavailable(format!(
                "the answer took longer than {} s (request_seconds)",
                state.limits.request_time.as_secs_f64()
            )),
        )),
    }
}

async fn caught(answer: impl Future<Output = Response>) -> Result<Response, Refusal> {
    AssertUnwindSafe(answer).catch_unwind().await.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        tracing::error!(panic = text, "a request panicked");
        Refusal::from(Error::internal("the server failed to answer; its log tells more under the request's id"))
    })
}

/// Returns the id that the client gave the request, or a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_fine =
        |id: &&HeaderValue| (1..=LONGEST_ID).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic);
    match headers.get(REQUEST_ID).filter(is_fine) {
        Some(id) => id.clone(),
        None => new_id(),
    }
}

/// Returns 16 hexadecimal digits that no other request of this process has, from a random start.
fn new_id() -> HeaderValue {
    static NEXT: OnceLock<AtomicU64> = OnceLock::new();
    let next = NEXT.get_or_init(|| {
        let mut seed = [0; 8];
        // Without random numbers, ids are still distinct within the process.
        let _ = getrandom::fill(&mut seed);
        AtomicU64::new(u64::from_le_bytes(seed))
    });
    // An odd factor makes each number another one, far from its neighbours.
    let id = next.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    HeaderValue::from_str(&format!("{id:016x}")).unwrap_or(HeaderValue::from_static("-"))
}

/// Answers paths that are not there.
pub(crate) async fn no_such_path() -> Response {
    Refusal::new(StatusCode::NOT_FOUND, Error::not_found("Not Found")).with_class("").to_feast()
}

/// Answers methods that a path does not have.
pub(crate) async fn no_such_method() -> Response {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Error::invalid("Method Not Allowed")).with_class("").to_feast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_its_id_unless_it_is_odd() {
        let check = |id: &str, is_kept: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, id.parse().unwrap());
            assert_eq!(request_id(&headers) == id, is_kept, "{id}");
        };
        check("abc-1", true);
        check("a b", false);
        check("", false);
        check(&"x".repeat(129), false);
        assert_ne!(new_id(), new_id());
    }
}
