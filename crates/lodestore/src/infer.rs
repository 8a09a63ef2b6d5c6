//! Schemas and key types that a definition leaves to its source.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use lodestore_core::definition::{DataSource, Definitions, FeatureView, Field, JoinKey, TableRef};
use lodestore_core::name::ViewName;
use lodestore_core::offline::OfflineEngine;
use lodestore_core::types::FeatureType;
use lodestore_core::{Error, Result};

/// Completes the views of `wanted`: a view without a schema gets the columns of its source, and a
/// join key without a type gets that of its column. `all` is what the views may refer to.
pub(crate) async fn infer(engine: &dyn OfflineEngine, wanted: &mut Definitions, all: &Definitions) -> Result<()> {
    // A table of many files takes a while to look at: it is looked at once for all views of it.
    let mut seen: Vec<(TableRef, SchemaRef)> = Vec::new();
    for view in wanted.feature_views.values_mut() {
        let untyped = untyped_keys(view, all);
        let has_features = view.is_aggregated()
            || view.schema.iter().any(|field| !join_keys(view, all).any(|k| k.name.as_str() == field.name));
        if untyped.is_empty() && has_features && view.untyped_inputs().is_empty() {
            continue;
        }
        // What is wrong with a reference is said by the check of the definitions.
        let Some(table) = table_of(view, all)? else { continue };
        let columns = match seen.iter().find(|(known, _)| *known == table) {
            Some((_, columns)) => Arc::clone(columns),
            None => {
                let columns = engine.schema(&table).await.map_err(|e| e.with_context("view", &view.name))?;
                seen.push((table.clone(), Arc::clone(&columns)));
                columns
            }
        };
        for key in untyped {
            view.schema.push(field(&key, &columns, view)?);
        }
        view.infer_inputs(&columns)?;
        if !has_features {
            let keys: BTreeSet<String> = join_keys(view, all).map(|key| key.name.to_string()).collect();
            let times: BTreeSet<&str> = table.times.columns().collect();
            let is_feature = |name: &str| !keys.contains(name) && !times.contains(name);
            let names = columns.fields().iter().map(|f| f.name().as_str()).filter(|name| is_feature(name));
            let fields = names.map(|name| field(name, &columns, view)).collect::<Result<Vec<_>>>()?;
            view.schema.extend(fields);
        }
    }
    Ok(())
}

/// Returns the views, not among `wanted`, whose join keys have no type any more once `wanted` is applied.
pub(crate) fn left_without_key_types(wanted: &Definitions, all: &Definitions) -> Vec<(ViewName, FeatureView)> {
    let others = all.feature_views.iter().filter(|(name, _)| !wanted.feature_views.contains_key(*name));
    let untyped = others.filter(|(_, view)| !untyped_keys(view, all).is_empty());
    untyped.map(|(name, view)| (name.clone(), view.clone())).collect()
}

fn join_keys<'a>(view: &'a FeatureView, all: &'a Definitions) -> impl Iterator<Item = &'a JoinKey> {
    view.entities.iter().filter_map(|name| all.entities.get(name)).flat_map(|entity| &entity.join_keys)
}

fn untyped_keys(view: &FeatureView, all: &Definitions) -> Vec<String> {
    let has_field = |key: &JoinKey| view.schema.iter().any(|field| field.name == key.name.as_str());
    join_keys(view, all)
        .filter(|key| key.key_type.is_none() && !has_field(key))
        .map(|key| key.name.to_string())
        .collect()
}

fn table_of(view: &FeatureView, all: &Definitions) -> Result<Option<TableRef>> {
    let source = match all.data_sources.get(&view.source) {
        Some(DataSource::Push(push)) => push.batch_source.as_ref().and_then(|batch| all.data_sources.get(batch)),
        other => other,
    };
    match source {
        Some(source) => source.table(),
        None => Ok(None),
    }
}

fn field(name: &str, columns: &Schema, view: &FeatureView) -> Result<Field> {
    let known = || columns.fields().iter().map(|f| format!("'{}'", f.name())).collect::<Vec<_>>().join(", ");
    let column = columns.field_with_name(name).map_err(|_| {
        Error::invalid(format!("the source of view '{}' has no column '{name}'; columns: {}", view.name, known()))
    })?;
    let ty = FeatureType::from_arrow(column.data_type()).ok_or_else(|| {
        Error::invalid(format!(
            "column '{name}' of the source of view '{}' has type {}, which no feature has; give the view a schema without it",
            view.name,
            column.data_type()
        ))
    })?;
    Ok(Field::new(name, ty))
}
