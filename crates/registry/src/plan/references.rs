//! Who refers to whom: objects to the objects they use, feature services to the versions they read.

use std::collections::{BTreeMap, BTreeSet};

use lodestore_core::definition::{DataSource, Definitions, FeatureService, FeatureView, ObjectId, ObjectKind};
use lodestore_core::name::{ServiceName, SourceName, ViewName, unknown};
use lodestore_core::registry::Snapshot;
use lodestore_core::{Error, Result};

/// Returns the objects that a view's values depend on: entities, its source, and that one's batch source.
pub(super) fn uses(definitions: &Definitions, view: &FeatureView) -> Vec<ObjectId> {
    let mut uses: Vec<_> = view.entities.iter().map(|name| ObjectId::new(ObjectKind::Entity, name)).collect();
    uses.push(ObjectId::new(ObjectKind::DataSource, &view.source));
    let batch = definitions.data_sources.get(&view.source).and_then(batch_source);
    uses.extend(batch.map(|name| ObjectId::new(ObjectKind::DataSource, name)));
    uses
}

fn batch_source(source: &DataSource) -> Option<&SourceName> {
    match source {
        DataSource::Push(push) => push.batch_source.as_ref(),
        DataSource::File(_) | DataSource::Postgres(_) | DataSource::Memory(_) | DataSource::Request(_) => None,
    }
}

/// Checks that nothing in `definitions` uses an entity or data source that is removed.
///
/// # Errors
/// `Invalid`, naming the object and its users.
pub(super) fn check_unused(definitions: &Definitions, removed: &BTreeSet<ObjectId>) -> Result<()> {
    for id in removed.iter().filter(|id| matches!(id.kind, ObjectKind::Entity | ObjectKind::DataSource)) {
        let sources = definitions.data_sources.values().filter(|_| id.kind == ObjectKind::DataSource);
        let sources = sources.filter(|source| batch_source(source).is_some_and(|name| name.as_str() == id.name));
        let sources = sources.map(|source| ObjectId::new(ObjectKind::DataSource, source.name()));
        let views = definitions.feature_views.values().filter(|view| uses(definitions, view).contains(id));
        let views = views.map(|view| ObjectId::new(ObjectKind::FeatureView, &view.name));
        let users: Vec<_> = sources.chain(views).map(|user| user.to_string()).collect();
        if !users.is_empty() {
            return Err(Error::invalid(format!(
                "{id} can't be removed: used by {}; remove or change that too",
                users.join(", ")
            )));
        }
    }
    Ok(())
}

/// Returns the versions of a view that a registered service reads: those it names and the one it pinned.
pub(super) fn versions_read(snapshot: &Snapshot, service: &ServiceName, view: &ViewName) -> BTreeSet<u32> {
    let Some(definition) = snapshot.definitions.feature_services.get(service) else { return BTreeSet::new() };
    let pinned = snapshot.pins.get(service).and_then(|pins| pins.get(view)).copied();
    let of_view = definition.features.iter().filter(|projection| projection.view.name == *view);
    of_view.filter_map(|projection| projection.view.version.or(pinned)).collect()
}

/// Returns whether a service's definition names a version of a view.
pub(super) fn names_version(service: &FeatureService, view: &ViewName, version: u32) -> bool {
    service.features.iter().any(|p| p.view.name == *view && p.view.version == Some(version))
}

/// Returns what a service pins when it is applied to a registry: of each view the current version,
/// or, where it only names versions, the latest of them.
///
/// # Errors
/// `NotFound` for a version, feature or join key that is not there.
pub(super) fn pins(snapshot: &Snapshot, service: &FeatureService) -> Result<BTreeMap<ViewName, u32>> {
    let mut pins = BTreeMap::new();
    for projection in &service.features {
        let in_service = |error: Error| error.with_context("feature service", &service.name);
        let version = snapshot.view(&projection.view).map_err(in_service)?;
        for feature in projection.features.iter().flatten() {
            version.feature_index(feature).map_err(|e| in_service(e.with_context("version", version.number)))?;
        }
        if let Some(key) = projection.join_key_map.keys().find(|key| version.keys.iter().all(|k| k.name != **key)) {
            let what = format!("join key '{key}' in the join_key_map of view '{}'", projection.view);
            return Err(in_service(unknown(what, key.as_str(), version.keys.iter().map(|k| k.name.as_str()))));
        }
        let pin = (projection.view.version.is_none(), version.number);
        let best = pins.entry(&projection.view.name).or_insert(pin);
        *best = pin.max(*best);
    }
    Ok(pins.into_iter().map(|(view, (_, version))| (view.clone(), version)).collect())
}
