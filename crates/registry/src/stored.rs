//! Stored forms: what the registry writes for each kind of object, and reads from every past form.
//!
//! Form 1 of an entity, data source, feature view and feature service is its text form in definition
//! files. A change to what is written is a new form; the code that reads the old ones stays.

use std::collections::BTreeMap;
use std::sync::Arc;

use lodestore_core::definition::{Feature, FeatureService, FeatureView, Key, TableRef, ViewVersion};
use lodestore_core::name::{DatasetName, SourceName, ViewName};
use lodestore_core::registry::SavedDataset;
use lodestore_core::time::EventTime;
use lodestore_core::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The form that is written, and the newest that is read.
pub(crate) const FORM: u32 = 1;

/// Which version of a view is the current one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredView {
    pub(crate) current: u32,
}

/// A view version; its number and time of creation are columns.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredViewVersion {
    definition: FeatureView,
    keys: Vec<Key>,
    features: Vec<Feature>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    table: Option<TableRef>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    push_source: Option<SourceName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grown_from: Option<u32>,
}

impl StoredViewVersion {
    pub(crate) fn new(version: &ViewVersion) -> Self {
        Self {
            definition: version.definition.clone(),
            keys: version.keys.clone(),
            features: version.features.clone(),
            table: version.table.clone(),
            push_source: version.push_source.clone(),
            event_id: version.event_id.clone(),
            grown_from: version.grown_from,
        }
    }

    pub(crate) fn into_version(self, number: u32, created_at: EventTime) -> Arc<ViewVersion> {
        let Self { definition, keys, features, table, push_source, event_id, grown_from } = self;
        let version =
            ViewVersion { number, created_at, definition, keys, features, table, push_source, event_id, grown_from };
        Arc::new(version)
    }
}

/// A feature service and what it pins.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredService {
    pub(crate) definition: FeatureService,
    pub(crate) pins: BTreeMap<ViewName, u32>,
}

/// A saved dataset; its name is a column.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredDataset {
    path: String,
    created_at_us: i64,
    rows: u64,
    features: Vec<String>,
    plan: String,
    fingerprints: Vec<String>,
    tags: BTreeMap<String, String>,
}

impl StoredDataset {
    pub(crate) fn new(dataset: &SavedDataset) -> Self {
        Self {
            path: dataset.path.clone(),
            created_at_us: dataset.created_at.as_micros(),
            rows: dataset.rows,
            features: dataset.features.clone(),
            plan: dataset.plan.clone(),
            fingerprints: dataset.fingerprints.clone(),
            tags: dataset.tags.clone(),
        }
    }

    pub(crate) fn into_dataset(self, name: DatasetName) -> SavedDataset {
        let Self { path, created_at_us, rows, features, plan, fingerprints, tags } = self;
        let created_at = EventTime::from_micros(created_at_us);
        SavedDataset { name, path, created_at, rows, features, plan, fingerprints, tags }
    }
}

/// Returns an object's payload in the present form. `what` names it in errors.
pub(crate) fn encode<T: Serialize>(what: &str, object: &T) -> Result<String> {
    serde_json::to_string(object).map_err(|e| Error::internal(format!("writing {what} as json")).with_source(e))
}

/// Returns an object from its payload in a form. `what` names it in errors.
///
/// # Errors
/// `Unsupported` for a form that is newer than this code, `Corrupt` for what can't be read.
pub(crate) fn decode<T: DeserializeOwned>(what: &str, form: u32, payload: &str) -> Result<T> {
    match form {
        1 => serde_json::from_str(payload)
            .map_err(|e| Error::corrupt(format!("the registry's record of {what} can't be read: {e}")).with_source(e)),
        newer if newer > FORM => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the registry's record of {what} has form {newer}, but this Lodestore reads up to {FORM}; upgrade it"
            ),
        )),
        other => Err(Error::corrupt(format!("the registry's record of {what} has the unknown form {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_or_unreadable_form_is_refused() {
        let kind = |form, payload| decode::<StoredView>("view 'v'", form, payload).unwrap_err();
        assert_eq!(kind(2, "{}").kind(), ErrorKind::Unsupported);
        assert!(kind(2, "{}").message().contains("view 'v' has form 2, but this Lodestore reads up to 1; upgrade"));
        assert_eq!(kind(0, "{}").kind(), ErrorKind::Corrupt);
        assert_eq!(kind(1, "{").kind(), ErrorKind::Corrupt);
        assert_eq!(kind(1, "{\"current\": 1, \"more\": 2}").kind(), ErrorKind::Corrupt);
    }
}
