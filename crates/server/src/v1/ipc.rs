//! Arrow IPC streams as bodies of requests and answers.

use std::io::Cursor;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use lodestore::core::Result;

use crate::error::Refusal;

/// The media type of an Arrow IPC stream.
pub(crate) const STREAM: &str = "application/vnd.apache.arrow.stream";

/// Returns whether a body is a stream.
pub(crate) fn is_sent(headers: &HeaderMap) -> bool {
    has(headers, &CONTENT_TYPE)
}

/// Returns whether the answer should be one.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    has(headers, &ACCEPT)
}

fn has(headers: &HeaderMap, name: &HeaderName) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let mut types = values.flat_map(|value| value.split(',')).map(|one| one.split(';').next().unwrap_or_default());
    types.any(|one| one.trim().eq_ignore_ascii_case(STREAM))
}

/// Reads the rows of a stream.
pub(crate) fn read(body: &[u8]) -> std::result::Result<RecordBatch, Refusal> {
    let wrong = |error: arrow::error::ArrowError| Refusal::body(format!("the body is no Arrow IPC stream: {error}"));
    let reader = StreamReader::try_new(Cursor::new(body), None).map_err(wrong)?;
    let schema = reader.schema();
    let batches = reader.collect::<std::result::Result<Vec<_>, _>>().map_err(wrong)?;
    concat_batches(&schema, &batches).map_err(wrong)
}

/// Returns the response with rows.
pub(crate) fn respond(batch: &RecordBatch) -> Result<Response> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
    writer.write(batch)?;
    let bytes = writer.into_inner()?;
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(STREAM));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_found_among_others() {
        let check = |value: &str, expected: bool| {
            let headers = HeaderMap::from_iter([(ACCEPT, value.parse().unwrap())]);
            assert_eq!(is_wanted(&headers), expected, "{value}");
        };
        check("application/vnd.apache.arrow.stream", true);
        check("application/json;q=0.5, Application/vnd.apache.arrow.stream;q=1", true);
        check("*/*", false);
        check("application/vnd.apache.arrow.file", false);
    }
}
