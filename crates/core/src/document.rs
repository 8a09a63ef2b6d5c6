//! The text form of definitions: what the command line reads without Python, and what the Python
//! objects turn into. One schema for YAML and JSON, with a version, checked on load.
//!
//! ```yaml
//! version: 1
//! entities:
//!   - name: driver
//!     join_keys: [{name: driver_id, type: int64}]
//! data_sources:
//!   - name: driver_stats_source
//!     type: file
//!     path: data/driver_stats.parquet
//!     timestamp_field: event_timestamp
//! feature_views:
//!   - name: driver_stats
//!     entities: [driver]
//!     ttl: 1d
//!     source: driver_stats_source
//!     schema:
//!       - {name: conv_rate, type: float32}
//! feature_services:
//!   - name: driver_activity
//!     features: ['driver_stats:conv_rate']
//! ```

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::definition::{DataSource, Definitions, Entity, FeatureService, FeatureView};
use crate::error::{Error, Result};

/// The version of the schema that this code writes, and the newest that it reads.
pub const DOCUMENT_VERSION: u32 = 1;

/// Definitions as they are written in one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The version of the schema.
    pub version: u32,
    /// Entities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entities: Vec<Entity>,
    /// Data sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_sources: Vec<DataSource>,
    /// Feature views.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feature_views: Vec<FeatureView>,
    /// Feature services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feature_services: Vec<FeatureService>,
}

/// Parses YAML 1.2: only `true` and `false` are booleans. `origin` is what the text is called in messages.
///
/// # Errors
/// `Invalid`, with line and column, for malformed text, an unknown key or a wrong value.
pub fn from_yaml<T: DeserializeOwned>(text: &str, origin: &str) -> Result<T> {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true }).map_err(|e| {
        // The first line says what and where; the rest draws the place in the text.
        let text = e.to_string();
        let first = text.lines().next().unwrap_or_default();
        Error::invalid(format!("{origin}: {}", first.strip_prefix("error: ").unwrap_or(first)))
    })
}

impl Document {
    /// Parses YAML. `origin` is what the file is called in messages.
    ///
    /// # Errors
    /// `Invalid`, with line and column, for malformed text, an unknown key, a wrong value or a
    /// version that this code does not know.
    pub fn parse_yaml(text: &str, origin: &str) -> Result<Self> {
        from_yaml::<Self>(text, origin)?.supported(origin)
    }

    /// Parses JSON. `origin` is what the text is called in messages.
    ///
    /// # Errors
    /// As [`Document::parse_yaml`].
    pub fn parse_json(text: &str, origin: &str) -> Result<Self> {
        let document: Self =
            serde_json::from_str(text).map_err(|e| Error::invalid(format!("{origin}: {e}")).with_source(e))?;
        document.supported(origin)
    }

    fn supported(self, origin: &str) -> Result<Self> {
        if self.version != DOCUMENT_VERSION {
            return Err(Error::invalid(format!(
                "{origin}: version {} of the definition schema is not known; expected {DOCUMENT_VERSION}",
                self.version
            )));
        }
        Ok(self)
    }

    /// Returns the definitions by name.
    ///
    /// # Errors
    /// `AlreadyExists` for two objects of one kind and name.
    pub fn into_definitions(self) -> Result<Definitions> {
        let mut definitions = Definitions::default();
        self.add_to(&mut definitions)?;
        Ok(definitions)
    }

    /// Adds the document's objects to a set, as for a repository of several files.
    ///
    /// # Errors
    /// `AlreadyExists` for an object of a kind and name that the set has.
    pub fn add_to(self, definitions: &mut Definitions) -> Result<()> {
        self.entities.into_iter().try_for_each(|entity| definitions.add_entity(entity))?;
        self.data_sources.into_iter().try_for_each(|source| definitions.add_data_source(source))?;
        self.feature_views.into_iter().try_for_each(|view| definitions.add_feature_view(view))?;
        self.feature_services.into_iter().try_for_each(|service| definitions.add_feature_service(service))
    }

    /// Returns the document of a set, its objects in the order of their names.
    #[must_use]
    pub fn from_definitions(definitions: &Definitions) -> Self {
        Self {
            version: DOCUMENT_VERSION,
            entities: definitions.entities.values().cloned().collect(),
            data_sources: definitions.data_sources.values().cloned().collect(),
            feature_views: definitions.feature_views.values().cloned().collect(),
            feature_services: definitions.feature_services.values().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = r#"{
        "version": 1,
        "entities": [{"name": "driver", "join_keys": ["id", {"name": "city", "type": "string"}], "tags": {"a": "b"}}],
        "data_sources": [
            {"type": "file", "name": "f", "path": "a.csv", "valid_from": "a", "valid_to": "b", "field_mapping": {"x": "y"}},
            {"type": "push", "name": "p", "batch_source": "f"},
            {"type": "request", "name": "r", "schema": [{"name": "amount", "type": "float64"}]}
        ],
        "feature_views": [{"name": "v", "entities": ["driver"], "source": "p", "ttl": "1h 30m", "online": false,
            "schema": [{"name": "id", "type": "int64"}, {"name": "e", "type": "vector<float32, 2>", "default": [0.5, 1]}]}],
        "feature_services": [{"name": "s", "features": ["v", "v:e",
            {"view": "v@2", "features": ["e"], "alias": "w", "join_key_map": {"id": "other_id"}}]}]
    }"#;

    #[test]
    fn what_is_written_is_read_again() -> Result<()> {
        let document = Document::parse_json(ALL, "test")?;
        let json = serde_json::to_string(&document).map_err(|e| Error::internal(e.to_string()))?;
        assert_eq!(Document::parse_json(&json, "again")?, document);
        assert_eq!(Document::parse_yaml(&json, "as yaml")?, document);
        Ok(())
    }

    fn check_error(yaml: &str, expected: &[&str]) {
        let error = Document::parse_yaml(yaml, "features.yaml").unwrap_err().to_string();
        for part in expected {
            assert!(error.contains(part), "{error}\n does not contain {part:?}");
        }
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_refused_with_their_line() {
        check_error("version: 1\nentites: []\n", &["features.yaml", "unknown field `entites`", "line 2"]);
        check_error("version: 2\n", &["version 2 of the definition schema is not known; expected 1"]);
        check_error("entities: []\n", &["missing field `version`"]);
        check_error("version: 1\nentities:\n  - {name: 'a:b'}\n", &["must not contain ':'", "line 3"]);
        check_error(
            "version: 1\nfeature_views:\n  - name: v\n    source: s\n    ttl: 90\n",
            &["\"90\" is not a duration", "line 5"],
        );
        check_error("version: 1\nentities: [\n", &["features.yaml"]);
        check_error(
            "version: 1\ndata_sources:\n  - {type: flie, name: a, path: b}\n",
            &["unknown variant `flie`", "file", "line 3"],
        );
        check_error(
            "version: 1\ndata_sources:\n  - type: file\n    name: a\n    pth: b\n",
            &["unknown field `pth`", "path", "line 3"],
        );
    }
}
