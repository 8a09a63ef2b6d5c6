//! Versions of feature views: what a version fixes, and its content hash (rules N1 and N2).

use arrow::datatypes::Schema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{FeatureView, FileFormat, TableRef};
use crate::error::{Error, Result};
use crate::name::{FeatureName, JoinKeyName, SourceName, ViewName, ViewRef, unknown};
use crate::time::{EventTime, Micros};
use crate::types::{FeatureType, KeyType, can_widen, is_time};

/// A feature of a view version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Feature {
    /// Its name.
    pub name: FeatureName,
    /// Its type.
    #[serde(rename = "type")]
    pub feature_type: FeatureType,
    /// What stands for a missing value where the caller asks for defaults (rule V3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
}

/// A join key of a view version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The column's name.
    pub name: JoinKeyName,
    /// The type of its values.
    #[serde(rename = "type")]
    pub key_type: KeyType,
}

/// One version of a feature view: everything that its values depend on, resolved.
///
/// Two versions with the same [`hash`](Self::hash) have the same values. The definition's TTL,
/// words and labels are those of the latest apply; they may change without a new version.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewVersion {
    /// The version's number, 1 for a view's first.
    pub number: u32,
    /// When it was first applied.
    pub created_at: EventTime,
    /// The view as it was defined.
    pub definition: FeatureView,
    /// The join keys, in ascending order of their names.
    pub keys: Vec<Key>,
    /// The features, in the view's order.
    pub features: Vec<Feature>,
    /// Where history comes from; `None` for a view that is only pushed to.
    pub table: Option<TableRef>,
    /// The push source that feeds the view, if there is one.
    pub push_source: Option<SourceName>,
}

impl ViewVersion {
    /// Returns the view's name.
    #[must_use]
    pub fn name(&self) -> &ViewName {
        &self.definition.name
    }

    /// Returns the reference to exactly this version.
    #[must_use]
    pub fn reference(&self) -> ViewRef {
        ViewRef { name: self.definition.name.clone(), version: Some(self.number) }
    }

    /// Returns the TTL.
    #[must_use]
    pub fn ttl(&self) -> Option<Micros> {
        self.definition.max_age()
    }

    /// Returns whether the view's rows have no event time (rule T5).
    #[must_use]
    pub fn is_timeless(&self) -> bool {
        self.table.as_ref().is_some_and(|table| table.times.event_time_column().is_none())
    }

    /// Returns how long after its event time a row becomes visible.
    #[must_use]
    pub fn availability_delay(&self) -> Micros {
        self.table.as_ref().map_or(Micros::ZERO, |table| table.times.availability_delay)
    }

    /// Returns the place of a feature in the view's order.
    ///
    /// # Errors
    /// `NotFound` if the view has no such feature; it names near ones.
    pub fn feature_index(&self, name: &FeatureName) -> Result<usize> {
        self.features.iter().position(|f| f.name == *name).ok_or_else(|| {
            let what = format!("feature '{name}' in view '{}'", self.name());
            unknown(what, name.as_str(), self.features.iter().map(|f| f.name.as_str()))
        })
    }

    /// Checks that a table's columns, called as in the views, are there and of types that can be widened
    /// to the declared ones (rule V2). Text formats have no types of their own.
    ///
    /// # Errors
    /// `Invalid`, naming the view, the column and both types.
    pub fn check_columns(&self, columns: &Schema) -> Result<()> {
        let Some(table) = &self.table else { return Ok(()) };
        let keys = self.keys.iter().map(|key| (key.name.as_str(), Some(key.key_type.feature_type())));
        let features = self.features.iter().map(|f| (f.name.as_str(), Some(f.feature_type.clone())));
        let times = table.times.columns().map(|name| (name, None));
        for (name, declared) in keys.chain(features).chain(times) {
            let of_view = |problem: &str| {
                Error::invalid(format!("column '{name}' of '{}' {problem} view '{}'", table.path, self.reference()))
            };
            let Ok(field) = columns.field_with_name(name) else {
                let known: Vec<_> = columns.fields().iter().map(|f| format!("'{}'", f.name())).collect();
                return Err(of_view(&format!("is missing (columns: {}), but is used by", known.join(", "))));
            };
            let found = field.data_type();
            match declared {
                _ if table.format != FileFormat::Parquet => {}
                Some(declared) if !can_widen(found, &declared) => {
                    let problem = format!("has type {found}, which can't be widened to {declared} as declared by");
                    return Err(of_view(&problem));
                }
                None if !is_time(found) => {
                    let problem = format!("has type {found}; a timestamp or a date is expected as a time of");
                    return Err(of_view(&problem));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the SHA-256, in hexadecimal, of what the version's values depend on: its table, push
    /// source, keys and features. Words, labels, owner and TTL are not part of it (rule N1).
    ///
    /// # Errors
    /// `Internal` if a part can't be written as JSON.
    pub fn hash(&self) -> Result<String> {
        let parts = serde_json::to_vec(&(&self.table, &self.push_source, &self.keys, &self.features))
            .map_err(|e| Error::internal(format!("writing view '{}' as json", self.name())).with_source(e))?;
        Ok(Sha256::digest(parts).iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
