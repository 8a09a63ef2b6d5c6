//! The features of a view: those of its rows, or those that its aggregations compute.

use std::collections::BTreeSet;

use super::{Feature, FeatureView, Field, Key, TableRef};
use crate::error::{Error, Result};
use crate::name::{FeatureName, unknown};

/// Returns the features of a view: the fields of its schema that are no join keys, or what its aggregations
/// compute.
///
/// # Errors
/// `Invalid` for a definition that contradicts itself or its table.
pub(super) fn features(view: &FeatureView, keys: &[Key], table: Option<&TableRef>) -> Result<Vec<Feature>> {
    check_fields(&view.schema)?;
    for column in table.into_iter().flat_map(|table| table.times.columns()) {
        if is_key(column, keys) {
            return Err(Error::invalid(format!(
                "column '{column}' of source '{}' is both a join key and a time of view '{}'",
                view.source, view.name
            )));
        }
    }
    if view.is_aggregated() {
        return computed(view, keys, table);
    }
    if let Some(input) = view.inputs.first() {
        return Err(Error::invalid(format!(
            "view '{}' has the input '{}' but no aggregations that look at it; its own features are its schema",
            view.name, input.name
        )));
    }
    let features = view.schema.iter().filter(|field| !is_key(&field.name, keys));
    let features = features
        .map(|field| {
            Ok(Feature {
                name: FeatureName::new(&field.name)?,
                feature_type: field.feature_type.clone(),
                default: field.default.clone(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    if features.is_empty() {
        return Err(Error::invalid(format!("view '{}' has no features: its schema names only join keys", view.name)));
    }
    Ok(features)
}

fn is_key(name: &str, keys: &[Key]) -> bool {
    keys.iter().any(|key| key.name.as_str() == name)
}

/// Returns the features that a view's aggregations compute, in their order.
fn computed(view: &FeatureView, keys: &[Key], table: Option<&TableRef>) -> Result<Vec<Feature>> {
    check_events(view, table)?;
    check_inputs(view)?;
    let mut features: Vec<Feature> = Vec::with_capacity(view.aggregations.len());
    for aggregation in &view.aggregations {
        let name = &aggregation.name;
        if features.iter().any(|other| other.name == *name) {
            return Err(Error::invalid(format!(
                "view '{}' has two aggregations '{name}'; give one of them another name",
                view.name
            )));
        }
        if is_key(name.as_str(), keys) {
            return Err(Error::invalid(format!(
                "aggregation '{name}' of view '{}' has the name of a join key; give it another one",
                view.name
            )));
        }
        let aggregate = aggregation.bind(&view.inputs).map_err(|error| error.with_context("aggregation", name))?;
        let declared = view.schema.iter().find(|field| field.name == name.as_str());
        let default = declared.and_then(|field| field.default.clone());
        let feature_type = aggregate.output().clone();
        features.push(Feature { name: name.clone(), feature_type, default });
    }
    check_schema(view, keys, &features)?;
    Ok(features)
}

/// Checks that the source has events: rows that happen at a time and do not end.
fn check_events(view: &FeatureView, table: Option<&TableRef>) -> Result<()> {
    let FeatureView { name, source, .. } = view;
    if let Some(table) = table.filter(|table| table.times.timestamp_field.is_none()) {
        let has = match &table.times.valid_from {
            Some(column) => format!("has rows that are valid from '{column}' on"),
            None => "has rows without times".to_owned(),
        };
        return Err(Error::invalid(format!(
            "source '{source}' of view '{name}' {has}, but aggregations take events; give the source a timestamp_field"
        )));
    }
    if view.max_age().is_some() {
        return Err(Error::invalid(format!(
            "view '{name}' has a ttl beside aggregations, whose windows say how old an event may be; leave the ttl out"
        )));
    }
    Ok(())
}

/// Checks that each input is given once, without a default, and looked at.
fn check_inputs(view: &FeatureView) -> Result<()> {
    check_fields(&view.inputs)?;
    let columns = view.input_columns();
    for Field { name, default, .. } in &view.inputs {
        if default.is_some() {
            return Err(Error::invalid(format!(
                "input '{name}' of view '{}' has a default, which only features have",
                view.name
            )));
        }
        if !columns.contains(&name.as_str()) {
            let what = format!("input '{name}' of view '{}': no aggregation looks at it", view.name);
            return Err(unknown(what, name, columns));
        }
    }
    Ok(())
}

/// Checks that a schema, where there is one, says what is computed.
fn check_schema(view: &FeatureView, keys: &[Key], features: &[Feature]) -> Result<()> {
    let declared: Vec<&Field> = view.schema.iter().filter(|field| !is_key(&field.name, keys)).collect();
    for field in &declared {
        let Some(feature) = features.iter().find(|feature| feature.name.as_str() == field.name) else {
            let what =
                format!("field '{}' in the schema of view '{}': no aggregation computes it", field.name, view.name);
            return Err(unknown(what, &field.name, features.iter().map(|feature| feature.name.as_str())));
        };
        if feature.feature_type != field.feature_type {
            return Err(Error::invalid(format!(
                "field '{}' in the schema of view '{}' is {}, but its aggregation computes {}",
                field.name, view.name, field.feature_type, feature.feature_type
            )));
        }
    }
    let is_declared = |feature: &&Feature| declared.iter().any(|field| field.name == feature.name.as_str());
    match features.iter().find(|feature| !is_declared(feature)) {
        Some(feature) if !declared.is_empty() => Err(Error::invalid(format!(
            "the schema of view '{}' lacks '{}', which its aggregations compute; add it, or leave the features out of the schema",
            view.name, feature.name
        ))),
        _ => Ok(()),
    }
}

pub(super) fn check_fields(fields: &[Field]) -> Result<()> {
    let mut names = BTreeSet::new();
    for field in fields {
        FeatureName::new(&field.name)?;
        if !names.insert(&field.name) {
            return Err(Error::invalid(format!("field '{}' is given twice", field.name)));
        }
        if let Some(default) = &field.default {
            field.feature_type.array_from_json(default).map_err(|error| {
                Error::invalid(format!("the default of field '{}' is wrong: {}", field.name, error.message()))
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
