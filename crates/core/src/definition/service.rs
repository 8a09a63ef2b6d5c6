//! Feature services: what a model reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::{Tags, text_or_map};
use crate::error::Result;
use crate::name::{FeatureName, FeatureRef, JoinKeyName, ServiceName, ViewName, ViewRef};

/// The features that a model reads, in order. It pins the views' versions when it is applied (rule N2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureService {
    /// The service's name.
    pub name: ServiceName,
    /// What of which views it reads.
    pub features: Vec<Projection>,
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

/// Some or all features of a view, perhaps under another name and for other key columns.
///
/// The short forms of a definition file are `view`, for all features, and `view:feature`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Projection {
    /// The view, and the version of it where one is named.
    pub view: ViewRef,
    /// The features, in order; `None` for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<FeatureName>>,
    /// What the view is called in full feature names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<ViewName>,
    /// Join keys that have another column in the entity frame: join key to column.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub join_key_map: BTreeMap<JoinKeyName, String>,
}

impl Projection {
    /// Returns a projection of all features of a view.
    #[must_use]
    pub fn all(view: ViewRef) -> Self {
        Self { view, features: None, alias: None, join_key_map: BTreeMap::new() }
    }

    /// Returns what the view is called in full feature names: the alias, or the view's name, with
    /// its version where one was named.
    #[must_use]
    pub fn shown_name(&self) -> String {
        match (&self.alias, self.view.version) {
            (Some(alias), _) => alias.to_string(),
            (None, Some(version)) => format!("{}@v{version}", self.view.name),
            (None, None) => self.view.name.to_string(),
        }
    }

    fn from_text(text: &str) -> Result<Self> {
        if text.contains(':') {
            let FeatureRef { view, feature } = text.parse()?;
            Ok(Self { features: Some(vec![feature]), ..Self::all(view) })
        } else {
            Ok(Self::all(text.parse()?))
        }
    }
}

impl<'de> Deserialize<'de> for Projection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Long {
            view: ViewRef,
            #[serde(default)]
            features: Option<Vec<FeatureName>>,
            #[serde(default)]
            alias: Option<ViewName>,
            #[serde(default)]
            join_key_map: BTreeMap<JoinKeyName, String>,
        }
        text_or_map(
            deserializer,
            "a view's features: 'view', 'view:feature', or a map with view, features, alias and join_key_map",
            Self::from_text,
            |Long { view, features, alias, join_key_map }| Self { view, features, alias, join_key_map },
        )
    }
}
