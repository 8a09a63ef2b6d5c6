//! `lodestore describe`

use std::sync::Arc;

use lodestore::FeatureStore;
use lodestore::core::definition::{ObjectKind, ViewVersion};
use lodestore::core::name::{DatasetName, EntityName, ServiceName, SourceName, ViewName, unknown};
use lodestore::core::registry::Snapshot;
use lodestore::core::{Error, Result};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::list::{dataset, record};
use crate::args::{DescribeArgs, Kind};
use crate::error::Exit;
use crate::session::Session;

pub(super) fn run(session: &Session, args: &DescribeArgs) -> Result<Exit> {
    let store = session.store()?;
    let document = session.block_on(described(&store, args))?;
    session.printer.document(&document)?;
    Ok(Exit::Fine)
}

async fn described(store: &FeatureStore, args: &DescribeArgs) -> Result<Value> {
    let name = args.name.as_str();
    if args.kind == Kind::History {
        let records = store.history(usize::MAX).await?;
        let found = records.iter().find(|record| record.revision.to_string() == name);
        let known = records.iter().map(|record| record.revision.to_string());
        return found.map(record).ok_or_else(|| unknown(format!("revision '{name}'"), name, known));
    }
    let snapshot = store.snapshot().await?;
    let definitions = &snapshot.definitions;
    match args.kind {
        Kind::Entities => {
            let found = definitions.entities.get(name);
            let readers =
                views(&snapshot, |view| view.definition.entities.iter().any(|entity| entity.as_str() == name));
            with(
                registered(found, ObjectKind::Entity, name, definitions.entities.keys().map(EntityName::as_str))?,
                [("used_by", readers)],
            )
        }
        Kind::DataSources => {
            let found = definitions.data_sources.get(name);
            let readers = views(&snapshot, |view| view.definition.source.as_str() == name);
            let known = definitions.data_sources.keys().map(SourceName::as_str);
            with(registered(found, ObjectKind::DataSource, name, known)?, [("used_by", readers)])
        }
        Kind::FeatureViews => feature_view(store, &snapshot, &name.parse()?).await,
        Kind::FeatureServices => {
            let service = snapshot.service(&name.parse::<ServiceName>()?)?;
            with(service, [("pins", json!(snapshot.pins.get(&service.name)))])
        }
        Kind::SavedDatasets => Ok(dataset(&store.saved_dataset(&name.parse::<DatasetName>()?).await?)),
        Kind::History => Err(Error::internal("the history is no object")),
    }
}

fn registered<'a, T>(
    found: Option<&'a T>,
    kind: ObjectKind,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> Result<&'a T> {
    found.ok_or_else(|| unknown(format!("{kind} '{name}'"), name, known))
}

/// Returns the names of the views whose current version fits.
fn views(snapshot: &Snapshot, fits: impl Fn(&ViewVersion) -> bool) -> Value {
    let current = snapshot.views.values().filter_map(|history| history.versions.get(&history.current));
    current.filter(|version| fits(version)).map(|version| json!(version.name())).collect()
}

/// Returns a definition as JSON, with some more about it.
fn with<const N: usize>(definition: &impl Serialize, more: [(&str, Value); N]) -> Result<Value> {
    let value =
        serde_json::to_value(definition).map_err(|e| Error::internal("writing a definition as JSON").with_source(e))?;
    let mut fields = match value {
        Value::Object(fields) => fields,
        other => Map::from_iter([("definition".to_owned(), other)]),
    };
    fields.extend(more.map(|(key, value)| (key.to_owned(), value)));
    Ok(Value::Object(fields))
}

async fn feature_view(store: &FeatureStore, snapshot: &Snapshot, name: &ViewName) -> Result<Value> {
    let Some(history) = snapshot.views.get(name) else {
        return Err(unknown(
            format!("feature view '{name}'"),
            name.as_str(),
            snapshot.views.keys().map(ViewName::as_str),
        ));
    };
    let mut versions = Vec::new();
    for version in history.versions.values() {
        let readers: Vec<_> =
            snapshot.consumers(name).filter(|(_, pinned)| *pinned == version.number).map(|(name, _)| name).collect();
        let watermark = store.watermark(Arc::clone(version)).await?;
        versions.push(json!({
            "version": version.number,
            "current": version.number == history.current,
            "created_at": version.created_at.to_string(),
            "read_by": readers,
            "materialized_until": watermark.event.map(|time| time.to_string()),
            "hash": version.hash()?,
        }));
    }
    let Some(current) = history.versions.get(&history.current) else {
        return Err(Error::corrupt(format!("the registry lacks version {} of view '{name}'", history.current)));
    };
    let more = [
        ("keys", json!(current.keys)),
        ("features", json!(current.features)),
        ("current_version", history.current.into()),
        ("versions", versions.into()),
    ];
    with(&current.definition, more)
}
