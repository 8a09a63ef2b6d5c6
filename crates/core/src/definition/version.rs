//! Versions of feature views: what a version fixes, and its content hash (rules N1 and N2).

use arrow::datatypes::Schema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Aggregation, FeatureView, Field, TableRef};
use crate::entity_key::can_be_key;
use crate::error::{Error, Result};
use crate::name::{FeatureName, JoinKeyName, SourceName, ViewName, ViewRef, unknown};
use crate::time::{EventTime, Micros};
use crate::types::{FeatureType, KeyType, can_widen, is_time};

/// The key in the metadata of a table's column that is text only because nobody declared its type: it is
/// read as what a view declares.
pub const UNTYPED: &str = "lodestore:untyped";

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
    /// The column that identifies an event, where the view has aggregations and its source names one (rule W5).
    pub event_id: Option<String>,
    /// The number of the version whose online rows this one shares: it has all of that one's aggregations, and more.
    pub grown_from: Option<u32>,
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

    /// Returns the aggregations that compute the features, in their order; none where the features are the rows' own.
    #[must_use]
    pub fn aggregations(&self) -> &[Aggregation] {
        &self.definition.aggregations
    }

    /// Returns the columns that the aggregations look at, with their types.
    #[must_use]
    pub fn inputs(&self) -> &[Field] {
        &self.definition.inputs
    }

    /// Returns the columns that the view's values are made of, with their types: its features, or where it has
    /// aggregations their inputs.
    #[must_use]
    pub fn source_columns(&self) -> Vec<(&str, &FeatureType)> {
        if self.definition.is_aggregated() {
            self.inputs().iter().map(|input| (input.name.as_str(), &input.feature_type)).collect()
        } else {
            self.features.iter().map(|feature| (feature.name.as_str(), &feature.feature_type)).collect()
        }
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
    /// to the declared ones (rule V2). Text formats have no types of their own, nor have columns marked
    /// [`UNTYPED`].
    ///
    /// # Errors
    /// `Invalid`, naming the view, the column and both types.
    pub fn check_columns(&self, columns: &Schema) -> Result<()> {
        let Some(table) = &self.table else { return Ok(()) };
        let typed = |name: &str| {
            let is_text = columns.field_with_name(name).is_ok_and(|field| field.metadata().contains_key(UNTYPED));
            table.format.is_typed() && !is_text
        };
        let column = |name: &str| {
            columns.field_with_name(name).map(|field| field.data_type()).map_err(|_| {
                let known: Vec<_> = columns.fields().iter().map(|f| format!("'{}'", f.name())).collect();
                Error::invalid(format!("column '{name}' is missing; columns: {}", known.join(", ")))
            })
        };
        let of_view = |error: Error| error.with_context("view", self.reference()).with_context("source", &table.path);
        let key = |key: &Key| match column(key.name.as_str())? {
            found if typed(key.name.as_str()) && !can_be_key(found, key.key_type) => Err(Error::invalid(format!(
                "column '{}' has type {found}, but join key '{}' is {}",
                key.name, key.name, key.key_type
            ))),
            _ => Ok(()),
        };
        let value = |(name, ty): (&str, &FeatureType)| match column(name)? {
            found if typed(name) && !can_widen(found, ty) => Err(Error::invalid(format!(
                "column '{name}' has type {found}, which can't be widened to {ty} without loss"
            ))),
            _ => Ok(()),
        };
        let time = |name: &str| match column(name)? {
            found if typed(name) && !is_time(found) => {
                Err(Error::invalid(format!("time column '{name}' has type {found}; expected a timestamp or a date")))
            }
            _ => Ok(()),
        };
        let event_id = |name: &str| {
            let found = column(name)?;
            match FeatureType::from_arrow(found).map(|ty| KeyType::try_from(&ty)) {
                Some(Ok(_)) => Ok(()),
                _ => Err(Error::invalid(format!(
                    "event id column '{name}' has type {found}; expected one that a join key can have, such as a string or an integer"
                ))),
            }
        };
        let checked = || {
            self.keys.iter().try_for_each(key)?;
            self.source_columns().into_iter().try_for_each(value)?;
            self.event_id.as_deref().map_or(Ok(()), event_id)?;
            table.times.columns().try_for_each(time)
        };
        checked().map_err(of_view)
    }

    /// Returns the SHA-256, in hexadecimal, of what the version's values depend on: its table, push
    /// source, keys and features, and where it has aggregations these, their inputs and the event id. Words,
    /// labels, owner and TTL are not part of it (rule N1).
    ///
    /// # Errors
    /// `Internal` if a part can't be written as JSON.
    pub fn hash(&self) -> Result<String> {
        let rows = (&self.table, &self.push_source, &self.keys, &self.features);
        let parts = if self.definition.is_aggregated() {
            let aggregations: Vec<_> = self.aggregations().iter().map(Aggregation::without_words).collect();
            let mut inputs = self.source_columns();
            inputs.sort_by_key(|(name, _)| *name);
            serde_json::to_vec(&(rows, aggregations, inputs, &self.event_id))
        } else {
            serde_json::to_vec(&rows)
        };
        let parts =
            parts.map_err(|e| Error::internal(format!("writing view '{}' as json", self.name())).with_source(e))?;
        Ok(Sha256::digest(parts).iter().map(|byte| format!("{byte:02x}")).collect())
    }
}
