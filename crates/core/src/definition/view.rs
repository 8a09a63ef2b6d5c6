//! Feature views and their fields.

use serde::{Deserialize, Serialize};

use super::Tags;
use crate::name::{EntityName, SourceName, ViewName};
use crate::time::Micros;
use crate::types::FeatureType;

/// A group of features of the same entities from the same source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureView {
    /// The view's name.
    pub name: ViewName,
    /// The entities that its rows describe; none for a view with one row for everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<EntityName>,
    /// Features, and fields that give the types of join keys. Empty: inferred from the source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schema: Vec<Field>,
    /// Where its rows come from.
    pub source: SourceName,
    /// How old a row may be when it answers a question; `None` or zero for any age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Micros>,
    /// Whether its features are served online.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub online: bool,
    /// What it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_yes(value: &bool) -> bool {
    *value
}

impl FeatureView {
    /// Returns the TTL; a zero TTL is none.
    #[must_use]
    pub fn max_age(&self) -> Option<Micros> {
        self.ttl.filter(|ttl| !ttl.is_zero())
    }
}

/// A named, typed column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// The column's name.
    pub name: String,
    /// The type of its values.
    #[serde(rename = "type")]
    pub feature_type: FeatureType,
    /// What stands for a missing value where the caller asks for defaults (rule V3), as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
    /// What it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub tags: Tags,
}

impl Field {
    /// Returns a field without default, description and tags.
    #[must_use]
    pub fn new(name: &str, feature_type: FeatureType) -> Self {
        Self { name: name.to_owned(), feature_type, default: None, description: String::new(), tags: Tags::new() }
    }
}
