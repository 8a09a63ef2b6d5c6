//! What a caller asks for: features of view versions, resolved once, for training and serving alike.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};

use crate::definition::{Projection, ViewVersion};
use crate::error::{Error, Result};
use crate::name::{FeatureRef, JoinKeyName, ServiceName, ViewName};
use crate::registry::Snapshot;

/// How answer columns are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColumnNames {
    /// By the feature: `conv_rate`.
    #[default]
    Feature,
    /// By view and feature: `driver_stats__conv_rate`.
    ViewAndFeature,
}

/// A view version as a request uses it.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestedView {
    /// The version.
    pub version: Arc<ViewVersion>,
    /// What the view is called in full feature names.
    pub shown_name: String,
    /// For each of the version's keys, in their order, the caller's column that holds it.
    pub key_columns: Vec<String>,
}

/// One answer column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedColumn {
    /// What it is called.
    pub name: String,
    /// The view it comes from: a place in [`FeatureRequest::views`].
    pub view: usize,
    /// The feature: a place in the view's order.
    pub feature: usize,
}

/// The features that a caller asks for, in order.
///
/// # Examples
/// ```no_run
/// # fn example(snapshot: &lodestore_core::registry::Snapshot) -> lodestore_core::Result<()> {
/// use lodestore_core::request::{ColumnNames, FeatureRequest};
/// let request = FeatureRequest::from_refs(snapshot, &["driver_stats:conv_rate".parse()?], ColumnNames::Feature)?;
/// assert_eq!(request.columns[0].name, "conv_rate");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureRequest {
    /// The views, each once for every alias and set of key columns.
    pub views: Vec<RequestedView>,
    /// The answer columns, in the order asked.
    pub columns: Vec<RequestedColumn>,
}

impl FeatureRequest {
    /// Resolves feature references.
    ///
    /// # Errors
    /// `NotFound` for a view, version or feature that is not registered; `Invalid` for no feature at
    /// all or two answer columns of one name.
    pub fn from_refs(snapshot: &Snapshot, refs: &[FeatureRef], names: ColumnNames) -> Result<Self> {
        let mut request = Self { views: Vec::new(), columns: Vec::new() };
        for reference in refs {
            let projection = Projection {
                features: Some(vec![reference.feature.clone()]),
                ..Projection::all(reference.view.clone())
            };
            request.add(Arc::clone(snapshot.view(&reference.view)?), &projection, names)?;
        }
        request.checked()
    }

    /// Resolves a feature service, with the versions that it pinned when it was applied.
    ///
    /// # Errors
    /// `NotFound` for a service that is not registered; `Invalid` for two answer columns of one name.
    pub fn from_service(snapshot: &Snapshot, service: &ServiceName, names: ColumnNames) -> Result<Self> {
        let definition = snapshot.service(service)?;
        let pins = snapshot.pins.get(service);
        let mut request = Self { views: Vec::new(), columns: Vec::new() };
        for projection in &definition.features {
            let mut reference = projection.view.clone();
            reference.version = reference.version.or_else(|| pins.and_then(|pins| pins.get(&reference.name)).copied());
            request.add(Arc::clone(snapshot.view(&reference)?), projection, names)?;
        }
        request.checked()
    }

    fn add(&mut self, version: Arc<ViewVersion>, projection: &Projection, names: ColumnNames) -> Result<()> {
        let shown_name = projection.shown_name();
        let key_columns = key_columns(&version, &projection.join_key_map)?;
        let wanted = match &projection.features {
            None => (0..version.features.len()).collect(),
            Some(features) => features.iter().map(|f| version.feature_index(f)).collect::<Result<Vec<_>>>()?,
        };
        let requested = RequestedView { version, shown_name, key_columns };
        let view = self.views.iter().position(|other| *other == requested).unwrap_or(self.views.len());
        for feature in wanted {
            let feature_name = requested.version.features[feature].name.as_str();
            let name = match names {
                ColumnNames::Feature => feature_name.to_owned(),
                ColumnNames::ViewAndFeature => format!("{}__{feature_name}", requested.shown_name),
            };
            self.columns.push(RequestedColumn { name, view, feature });
        }
        if view == self.views.len() {
            self.views.push(requested);
        }
        Ok(())
    }

    fn checked(self) -> Result<Self> {
        if self.columns.is_empty() {
            return Err(Error::invalid(
                "no features were asked for; name some as 'view:feature', or a feature service",
            ));
        }
        let mut seen = BTreeMap::new();
        for column in &self.columns {
            if let Some(first) = seen.insert(&column.name, column.view) {
                let (a, b) = (&self.views[first].shown_name, &self.views[column.view].shown_name);
                let cure = if a == b { "ask for it once" } else { "ask with full_feature_names, or for one of them" };
                return Err(Error::invalid(format!(
                    "two answer columns are called '{}', of views '{a}' and '{b}'; {cure}",
                    column.name
                )));
            }
        }
        Ok(self)
    }

    /// Returns the field of an answer column: its name and the feature's Arrow type, nullable.
    #[must_use]
    pub fn field(&self, column: &RequestedColumn) -> Field {
        let feature = &self.views[column.view].version.features[column.feature];
        Field::new(&column.name, feature.feature_type.to_arrow(), true)
    }

    /// Returns the features of one view that are asked for, ascending and each once.
    #[must_use]
    pub fn features_of(&self, view: usize) -> Vec<usize> {
        let features: BTreeSet<usize> = self.columns.iter().filter(|c| c.view == view).map(|c| c.feature).collect();
        features.into_iter().collect()
    }

    /// Returns the key columns that callers must bring, each once, with the names of the views that need it.
    #[must_use]
    pub fn key_columns(&self) -> BTreeMap<&str, Vec<&ViewName>> {
        let mut columns: BTreeMap<&str, Vec<&ViewName>> = BTreeMap::new();
        for view in &self.views {
            for column in &view.key_columns {
                columns.entry(column).or_default().push(view.version.name());
            }
        }
        columns
    }

    /// Checks that a frame has every key column.
    ///
    /// # Errors
    /// `Invalid`, naming the column and the views that need it.
    pub fn check_keys(&self, frame: &Schema) -> Result<()> {
        for (column, views) in self.key_columns() {
            if frame.field_with_name(column).is_err() {
                let views: Vec<_> = views.iter().map(|v| format!("'{v}'")).collect();
                let known: Vec<_> = frame.fields().iter().map(|f| format!("'{}'", f.name())).collect();
                return Err(Error::invalid(format!(
                    "key column '{column}' of view {} is missing; columns: {}",
                    views.join(", "),
                    known.join(", ")
                )));
            }
        }
        Ok(())
    }
}

fn key_columns(version: &ViewVersion, map: &BTreeMap<JoinKeyName, String>) -> Result<Vec<String>> {
    if let Some(unknown) = map.keys().find(|key| version.keys.iter().all(|known| known.name != **key)) {
        let known: Vec<_> = version.keys.iter().map(|k| k.name.as_str()).collect();
        return Err(Error::invalid(format!(
            "'{unknown}' in a join_key_map is no join key of view '{}'; its join keys: {}",
            version.reference(),
            known.join(", ")
        )));
    }
    let column = |key: &crate::definition::Key| map.get(&key.name).cloned().unwrap_or_else(|| key.name.to_string());
    Ok(version.keys.iter().map(column).collect())
}
