//! `lodestore list`

use lodestore::FeatureStore;
use lodestore::core::Result;
use lodestore::core::definition::{DataSource, FeatureService, Projection};
use lodestore::core::registry::{ApplyRecord, SavedDataset, Snapshot};
use serde_json::{Value, json};

use crate::args::{Kind, ListArgs};
use crate::error::Exit;
use crate::printer::Column;
use crate::session::Session;

pub(super) fn run(session: &Session, args: &ListArgs) -> Result<Exit> {
    let store = session.store()?;
    let (columns, rows) = session.block_on(listed(&store, args.kind))?;
    session.printer.rows(columns, &rows)?;
    if rows.is_empty() {
        session.printer.note(format!("nothing of this kind is registered in project '{}'", store.project()));
    }
    Ok(Exit::Fine)
}

async fn listed(store: &FeatureStore, kind: Kind) -> Result<(&'static [Column], Vec<Value>)> {
    if kind == Kind::History {
        let records = store.history(usize::MAX).await?;
        let columns = &[("revision", "revision"), ("at", "at"), ("by", "by"), ("changes", "summary")];
        return Ok((columns, records.iter().map(record).collect()));
    }
    let snapshot = store.snapshot().await?;
    let definitions = &snapshot.definitions;
    Ok(match kind {
        Kind::Entities => {
            let row = |e: &lodestore::core::definition::Entity| {
                let keys: Vec<_> = e.join_keys.iter().map(|key| key.name.as_str()).collect();
                json!({"name": e.name, "join_keys": keys, "description": e.description})
            };
            (&ENTITIES, definitions.entities.values().map(row).collect())
        }
        Kind::DataSources => (&DATA_SOURCES, definitions.data_sources.values().map(data_source).collect()),
        Kind::FeatureViews => (&FEATURE_VIEWS, feature_views(&snapshot)),
        Kind::FeatureServices => {
            let row = |service| feature_service(&snapshot, service);
            (&FEATURE_SERVICES, definitions.feature_services.values().map(row).collect())
        }
        Kind::SavedDatasets => (&SAVED_DATASETS, snapshot.datasets.values().map(dataset).collect()),
        Kind::History => (&[], Vec::new()),
    })
}

const ENTITIES: [Column; 3] = [("name", "name"), ("join keys", "join_keys"), ("description", "description")];
const DATA_SOURCES: [Column; 4] = [("name", "name"), ("type", "type"), ("from", "from"), ("time", "time")];
const FEATURE_VIEWS: [Column; 7] = [
    ("name", "name"),
    ("version", "version"),
    ("entities", "entities"),
    ("features", "features"),
    ("source", "source"),
    ("ttl", "ttl"),
    ("online", "online"),
];
const FEATURE_SERVICES: [Column; 3] = [("name", "name"), ("reads", "reads"), ("description", "description")];
const SAVED_DATASETS: [Column; 4] =
    [("name", "name"), ("rows", "rows"), ("created at", "created_at"), ("path", "path")];

fn data_source(source: &DataSource) -> Value {
    match source {
        DataSource::File(file) => {
            let time = file.timestamp_field.as_ref().or(file.valid_from.as_ref());
            json!({"name": file.name, "type": "file", "from": file.path, "time": time, "description": file.description})
        }
        DataSource::Postgres(source) => {
            let from = source.table.as_ref().or(source.query.as_ref());
            let time = source.timestamp_field.as_ref().or(source.valid_from.as_ref());
            json!({"name": source.name, "type": "postgres", "from": from, "time": time, "description": source.description})
        }
        DataSource::Memory(source) => {
            let time = source.timestamp_field.as_ref().or(source.valid_from.as_ref());
            json!({"name": source.name, "type": "memory", "from": null, "time": time, "description": source.description})
        }
        DataSource::Push(push) => {
            json!({"name": push.name, "type": "push", "from": push.batch_source, "time": null, "description": push.description})
        }
        DataSource::Request(request) => {
            json!({"name": request.name, "type": "request", "from": null, "time": null, "description": request.description})
        }
    }
}

fn feature_views(snapshot: &Snapshot) -> Vec<Value> {
    let current = snapshot.views.values().filter_map(|history| history.versions.get(&history.current));
    let row = |version: &std::sync::Arc<lodestore::core::definition::ViewVersion>| {
        let definition = &version.definition;
        json!({
            "name": definition.name,
            "version": version.number,
            "entities": definition.entities,
            "features": version.features.len(),
            "source": definition.source,
            "ttl": version.ttl(),
            "online": definition.online,
            "description": definition.description,
        })
    };
    current.map(row).collect()
}

fn feature_service(snapshot: &Snapshot, service: &FeatureService) -> Value {
    let pins = snapshot.pins.get(&service.name);
    let reads = service.features.iter().map(|projection: &Projection| {
        let mut view = projection.view.clone();
        view.version = view.version.or_else(|| pins.and_then(|pins| pins.get(&view.name)).copied());
        view.to_string()
    });
    let mut reads: Vec<_> = reads.collect();
    reads.dedup();
    json!({"name": service.name, "reads": reads, "description": service.description})
}

/// Returns a saved dataset as JSON.
pub(super) fn dataset(dataset: &SavedDataset) -> Value {
    json!({
        "name": dataset.name,
        "path": dataset.path,
        "created_at": dataset.created_at.to_string(),
        "rows": dataset.rows,
        "features": dataset.features,
        "plan": dataset.plan,
        "fingerprints": dataset.fingerprints,
        "tags": dataset.tags,
    })
}

/// Returns an apply as JSON.
pub(super) fn record(record: &ApplyRecord) -> Value {
    json!({
        "revision": record.revision,
        "at": record.at.to_string(),
        "by": record.by,
        "summary": summary(&record.changes),
        "changes": record.changes,
    })
}

/// Returns the first change, and how many there are besides.
fn summary(changes: &[String]) -> String {
    const LONGEST: usize = 80;
    let Some(first) = changes.first() else { return String::new() };
    let mut text: String = first.chars().take(LONGEST).collect();
    if text.len() < first.len() {
        text.push('…');
    }
    match changes.len() {
        1 => text,
        all => format!("{text} (and {} more)", all - 1),
    }
}
