//! Answers as the API's description shows them. They are written by hand elsewhere, without these types.

#![allow(dead_code, reason = "types that only describe")]

use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

/// The API's description: what is not said by the routes.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "Lodestore",
        description = "A feature store's server. The routes tagged feast are those of Feast's feature server; those below /v1 are ours."
    ),
    tags(
        (name = "feast", description = "Routes of Feast's feature server"),
        (name = "v1", description = "Routes of Lodestore"),
        (name = "operation", description = "For whoever runs the server"),
    )
)]
pub(crate) struct Api;

/// Features of some rows. Result i belongs to name i of the metadata.
#[derive(Debug, ToSchema)]
pub(crate) struct OnlineFeaturesResponse {
    metadata: OnlineFeaturesMetadataResponse,
    results: Vec<FeatureVectorResponse>,
}

/// The names of the columns: join keys, then features in the order asked.
#[derive(Debug, ToSchema)]
pub(crate) struct OnlineFeaturesMetadataResponse {
    feature_names: Vec<String>,
    /// Only where it was asked for.
    feature_view_metadata: Option<Vec<FeatureViewMetadataResponse>>,
}

/// A view, and the version of it that answered.
#[derive(Debug, ToSchema)]
pub(crate) struct FeatureViewMetadataResponse {
    name: String,
    version: u32,
}

/// A column; item i is that of row i.
#[derive(Debug, ToSchema)]
pub(crate) struct FeatureVectorResponse {
    values: Vec<Value>,
    statuses: Vec<FeatureStatus>,
    /// RFC 3339; the epoch where there is none.
    event_timestamps: Vec<String>,
}

/// What was found for a value.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum FeatureStatus {
    /// A value.
    Present,
    /// The stored value is null.
    NullValue,
    /// There is no row for the key.
    NotFound,
    /// The row is older than the view's TTL.
    OutsideMaxAge,
}

/// What is wrong with a body.
#[derive(Debug, ToSchema)]
pub(crate) struct Detail {
    detail: Vec<DetailItem>,
}

/// One thing that is wrong.
#[derive(Debug, ToSchema)]
pub(crate) struct DetailItem {
    /// What kind of thing.
    r#type: String,
    /// Where.
    loc: Vec<String>,
    /// What.
    msg: String,
}

/// A job that was started.
#[derive(Debug, ToSchema)]
pub(crate) struct Started {
    /// `accepted`.
    status: String,
    /// The views.
    feature_views: Vec<String>,
}

/// Why a request is not answered.
#[derive(Debug, ToSchema)]
pub(crate) struct ErrorAnswer {
    error: ErrorBody,
}

/// The parts of an error.
#[derive(Debug, ToSchema)]
pub(crate) struct ErrorBody {
    /// What the caller should do: `invalid`, `not_found`, `unavailable`, …
    kind: String,
    /// What is wrong, and what would be right.
    message: String,
    /// What it is about.
    context: std::collections::BTreeMap<String, String>,
}

/// Features of some rows.
#[derive(Debug, ToSchema)]
pub(crate) struct OnlineFeaturesAnswer {
    /// The keys, as they were understood.
    entities: std::collections::BTreeMap<String, Vec<Value>>,
    /// The features, in the order asked.
    features: Vec<FeatureColumn>,
}

/// A feature; item i of each list is that of row i.
#[derive(Debug, ToSchema)]
pub(crate) struct FeatureColumn {
    /// What it is called.
    name: String,
    /// Its type, as in definition files.
    r#type: String,
    values: Vec<Value>,
    statuses: Vec<FeatureStatus>,
    /// RFC 3339; null where there is none.
    event_timestamps: Vec<Option<String>>,
}

/// What became of rows.
#[derive(Debug, ToSchema)]
pub(crate) struct WriteAnswer {
    /// Rows that are now stored.
    written: u64,
    /// Rows that are older than what is stored.
    skipped: u64,
}
