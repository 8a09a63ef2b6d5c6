//! Feature views and their fields.

use std::collections::BTreeSet;

use arrow::datatypes::Schema;
use serde::{Deserialize, Serialize};

use super::{Aggregation, Tags};
use crate::error::{Error, Result};
use crate::name::{EntityName, SourceName, ViewName, unknown};
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
    /// What is computed over windows of events. These are then the view's features, and its source has
    /// the events; the schema, where there is one, says the same features.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aggregations: Vec<Aggregation>,
    /// The columns that the aggregations look at, with their types. Those left out are inferred from the
    /// source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Field>,
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

    /// Returns whether the view's features are computed over windows of events.
    #[must_use]
    pub fn is_aggregated(&self) -> bool {
        !self.aggregations.is_empty()
    }

    /// Returns the columns of the source that the aggregations look at, each once, in the order they are named.
    #[must_use]
    pub fn input_columns(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.aggregations.iter().flat_map(Aggregation::columns).filter(|name| seen.insert(*name)).collect()
    }

    /// Returns those of the columns that the aggregations look at whose types are not given.
    #[must_use]
    pub fn untyped_inputs(&self) -> Vec<&str> {
        let is_typed = |name: &str| self.inputs.iter().any(|input| input.name == name);
        self.input_columns().into_iter().filter(|name| !is_typed(name)).collect()
    }

    /// Completes the inputs: those whose types are not given get the types of the source's columns, called
    /// as in the views.
    ///
    /// # Errors
    /// `NotFound`, with near names, for a column that the source does not have; `Invalid` for one of a type
    /// that no feature has.
    pub fn infer_inputs(&mut self, columns: &Schema) -> Result<()> {
        let inferred = self.untyped_inputs().into_iter().map(|name| {
            let column = columns.field_with_name(name).map_err(|_| {
                let what = format!("column '{name}' in the aggregations of view '{}'", self.name);
                unknown(what, name, columns.fields().iter().map(|field| field.name()))
            })?;
            let ty = FeatureType::from_arrow(column.data_type()).ok_or_else(|| {
                Error::invalid(format!(
                    "column '{name}' in the aggregations of view '{}' has type {}, which no feature has",
                    self.name,
                    column.data_type()
                ))
            })?;
            Ok(Field::new(name, ty))
        });
        let inferred = inferred.collect::<Result<Vec<_>>>()?;
        self.inputs.extend(inferred);
        Ok(())
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
