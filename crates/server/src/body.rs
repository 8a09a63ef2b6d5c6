//! Bodies of requests, received within limits of size, time and memory, and those of answers while they are sent.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, StatusCode, header::CONTENT_LENGTH};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use lodestore::core::Error;
use tokio::time::timeout;

use crate::error::Refusal;
use crate::state::{AppState, Buffered};

/// A client reads the answer only after it has sent its body: so much more of one that is too large is
/// received, and thrown away.
const THROWN_AWAY: usize = 64 << 20;

/// How long that may take.
const THROWN_AWAY_WITHIN: Duration = Duration::from_secs(2);

/// Receives a body.
pub(crate) async fn receive(state: &Arc<AppState>, headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|bytes| bytes > state.limits.body_bytes as u64) {
        return Err(too_large(state, body).await);
    }
    match timeout(state.limits.transfer_time, parts(state, body)).await {
        Ok(received) => received,
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            Error::invalid(format!("the body did not arrive within {} s", state.limits.transfer_time.as_secs_f64())),
        )),
    }
}

async fn parts(state: &Arc<AppState>, mut body: Body) -> Result<Bytes, Refusal> {
    let mut buffered = state.buffer();
    let (mut first, mut all) = (None::<Bytes>, BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, Error::invalid(error.to_string())))?;
        let Ok(data) = frame.into_data() else { continue };
        buffered.add(data.len())?;
        let received = first.as_ref().map_or(all.len(), Bytes::len) + data.len();
        if received > state.limits.body_bytes {
            return Err(too_large(state, body).await);
        }
        // Most bodies come in one piece, which needs no copy.
        match first.take() {
            None if all.is_empty() => first = Some(data),
            None => all.extend_from_slice(&data),
            Some(before) => {
                all.extend_from_slice(&before);
                all.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}

async fn too_large(state: &AppState, mut body: Body) -> Refusal {
    let rest = async {
        let mut received = 0;
        while let Some(Ok(frame)) = body.frame().await {
            received += frame.data_ref().map_or(0, Bytes::len);
            if received > THROWN_AWAY {
                break;
            }
        }
    };
    // What did not arrive in time is not waited for.
    let _ = timeout(THROWN_AWAY_WITHIN, rest).await;
    let most = state.limits.body_bytes;
    let what = format!("the body is larger than {most} bytes (max_body); send fewer rows at once");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Error::invalid(what))
}

/// Answers up to this size are not counted: the connections are.
const SMALL_ANSWER: usize = 64 << 10;

/// A large answer, sent piece by piece so that it is known how much of it waits for the client.
struct Held {
    body: Body,
    rest: Bytes,
    _counted: Buffered,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                other => return other,
            }
        }
        let length = self.rest.len().min(SMALL_ANSWER);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.body.size_hint().exact() {
            Some(more) => SizeHint::with_exact(more + self.rest.len() as u64),
            None => SizeHint::default(),
        }
    }
}

/// Counts a large answer among the bytes that wait in memory, until the client has taken it.
///
/// # Errors
/// `Unavailable` if all bodies together are too large.
pub(crate) fn held(state: &Arc<AppState>, answer: Response) -> Result<Response, Refusal> {
    let size = answer.body().size_hint().exact().and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
    if size <= SMALL_ANSWER {
        return Ok(answer);
    }
    let mut counted = state.buffer();
    counted.add(size)?;
    Ok(answer.map(|body| Body::new(Held { body, rest: Bytes::new(), _counted: counted })))
}
