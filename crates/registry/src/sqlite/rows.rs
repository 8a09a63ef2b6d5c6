//! The registry's rows: objects, view versions and records, read and written.

use std::path::Path;
use std::str::FromStr;

use lodestore_core::definition::{ObjectId, ObjectKind};
use lodestore_core::name::{ProjectName, ViewName};
use lodestore_core::registry::{ApplyRecord, Mutation, Snapshot};
use lodestore_core::time::EventTime;
use lodestore_core::{Error, Result};
use rusqlite::{Connection, OptionalExtension, Params, Row};
use serde::Serialize;

use super::error::from_sqlite;
use crate::stored::{FORM, StoredDataset, StoredService, StoredView, StoredViewVersion, decode, encode};

const ENTITY: &str = "entity";
const DATA_SOURCE: &str = "data_source";
const FEATURE_VIEW: &str = "feature_view";
const FEATURE_SERVICE: &str = "feature_service";
const SAVED_DATASET: &str = "saved_dataset";

/// Returns a project's revision; 0 for an unknown one.
pub(super) fn revision(connection: &Connection, project: &ProjectName) -> rusqlite::Result<u64> {
    let query = "SELECT revision FROM project WHERE name = ?1";
    Ok(connection.query_row(query, [project.as_str()], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Sets a project's revision.
pub(super) fn set_revision(connection: &Connection, project: &ProjectName, revision: u64) -> rusqlite::Result<()> {
    let statement = "INSERT INTO project (name, revision) VALUES (?1, ?2) \
                     ON CONFLICT (name) DO UPDATE SET revision = excluded.revision";
    connection.execute(statement, (project.as_str(), revision)).map(drop)
}

/// Adds a record: project, revision, time, author and changes.
pub(super) fn add_record(connection: &Connection, record: (&str, u64, i64, &String, String)) -> rusqlite::Result<()> {
    let statement = "INSERT INTO record (project, revision, at_us, author, changes) VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.execute(statement, record).map(drop)
}

/// Removes a project and, by its foreign keys, all its rows.
pub(super) fn remove_project(connection: &Connection, project: &ProjectName) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM project WHERE name = ?1", [project.as_str()]).map(drop)
}

/// Writes one step of a change.
pub(super) fn apply(path: &Path, connection: &Connection, project: &ProjectName, mutation: &Mutation) -> Result<()> {
    let rows = Rows { path, connection, project };
    match mutation {
        Mutation::PutEntity(entity) => rows.put(ENTITY, entity.name.as_str(), entity),
        Mutation::PutDataSource(source) => rows.put(DATA_SOURCE, source.name().as_str(), source),
        Mutation::PutView(version) => {
            let name = version.name().as_str();
            rows.put(FEATURE_VIEW, name, &StoredView { current: version.number })?;
            let payload = encode(&format!("view '{name}'"), &StoredViewVersion::new(version))?;
            rows.execute(
                "INSERT OR REPLACE INTO view_version (project, view, number, created_at_us, form, payload) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (project.as_str(), name, version.number, version.created_at.as_micros(), FORM, payload),
            )
        }
        Mutation::PutFeatureService(service, pins) => {
            let stored = StoredService { definition: service.clone(), pins: pins.clone() };
            rows.put(FEATURE_SERVICE, service.name.as_str(), &stored)
        }
        Mutation::Remove(ObjectId { kind, name }) => {
            let kind = match kind {
                ObjectKind::Entity => ENTITY,
                ObjectKind::DataSource => DATA_SOURCE,
                ObjectKind::FeatureService => FEATURE_SERVICE,
                ObjectKind::FeatureView => {
                    let statement = "DELETE FROM view_version WHERE project = ?1 AND view = ?2";
                    rows.execute(statement, (project.as_str(), name))?;
                    FEATURE_VIEW
                }
            };
            rows.remove(kind, name)
        }
        Mutation::PutDataset(dataset) => rows.put(SAVED_DATASET, dataset.name.as_str(), &StoredDataset::new(dataset)),
        Mutation::RemoveDataset(name) => rows.remove(SAVED_DATASET, name.as_str()),
    }
}

/// Reads a project's state.
pub(super) fn snapshot(path: &Path, connection: &Connection, project: &ProjectName) -> Result<Snapshot> {
    let rows = Rows { path, connection, project };
    let mut snapshot = Snapshot::empty(project.clone());
    snapshot.revision = revision(connection, project).map_err(|e| rows.failed(e))?;
    rows.read_versions(&mut snapshot)?;
    rows.read_objects(&mut snapshot)?;
    Ok(snapshot)
}

/// Reads the newest `limit` records of a project, the newest first.
pub(super) fn records(
    path: &Path,
    connection: &Connection,
    project: &ProjectName,
    limit: usize,
) -> Result<Vec<ApplyRecord>> {
    let rows = Rows { path, connection, project };
    let query =
        "SELECT revision, at_us, author, changes FROM record WHERE project = ?1 ORDER BY revision DESC LIMIT ?2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let found: Vec<(u64, i64, String, String)> =
        rows.select(query, (project.as_str(), limit), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let record = |(revision, at_us, by, changes): (u64, i64, String, String)| {
        let changes = decode(&format!("revision {revision}"), FORM, &changes)?;
        Ok(ApplyRecord { revision, at: EventTime::from_micros(at_us), by, changes })
    };
    found.into_iter().map(record).collect()
}

/// A project's rows within a transaction.
struct Rows<'a> {
    path: &'a Path,
    connection: &'a Connection,
    project: &'a ProjectName,
}

impl Rows<'_> {
    fn put(&self, kind: &str, name: &str, object: &impl Serialize) -> Result<()> {
        let payload = encode(&format!("{kind} '{name}'"), object)?;
        self.execute(
            "INSERT OR REPLACE INTO object (project, kind, name, form, payload) VALUES (?1, ?2, ?3, ?4, ?5)",
            (self.project.as_str(), kind, name, FORM, payload),
        )
    }

    fn remove(&self, kind: &str, name: &str) -> Result<()> {
        let statement = "DELETE FROM object WHERE project = ?1 AND kind = ?2 AND name = ?3";
        self.execute(statement, (self.project.as_str(), kind, name))
    }

    fn read_versions(&self, snapshot: &mut Snapshot) -> Result<()> {
        let query =
            "SELECT view, number, created_at_us, form, payload FROM view_version WHERE project = ?1 ORDER BY number";
        type Found = (String, u32, i64, u32, String);
        let found: Vec<Found> = self.select(query, [self.project.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?;
        for (view, number, created_at_us, form, payload) in found {
            let stored: StoredViewVersion = decode(&format!("version {number} of view '{view}'"), form, &payload)?;
            let history = snapshot.views.entry(stored_name::<ViewName>(&view)?).or_default();
            history.put(stored.into_version(number, EventTime::from_micros(created_at_us)));
        }
        Ok(())
    }

    /// Reads the objects. The versions must have been read: a view's definition is that of its current one.
    fn read_objects(&self, snapshot: &mut Snapshot) -> Result<()> {
        let query = "SELECT kind, name, form, payload FROM object WHERE project = ?1";
        let found: Vec<(String, String, u32, String)> = self
            .select(query, [self.project.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        for (kind, name, form, payload) in found {
            let what = format!("{kind} '{name}'");
            let definitions = &mut snapshot.definitions;
            match kind.as_str() {
                ENTITY => drop(definitions.entities.insert(stored_name(&name)?, decode(&what, form, &payload)?)),
                DATA_SOURCE => {
                    definitions.data_sources.insert(stored_name(&name)?, decode(&what, form, &payload)?);
                }
                FEATURE_VIEW => {
                    let StoredView { current } = decode(&what, form, &payload)?;
                    let missing = || Error::corrupt(format!("the registry lacks version {current} of view '{name}'"));
                    let history = snapshot.views.get_mut(name.as_str()).ok_or_else(missing)?;
                    history.current = current;
                    let version = history.versions.get(&current).ok_or_else(missing)?;
                    definitions.feature_views.insert(stored_name(&name)?, version.definition.clone());
                }
                FEATURE_SERVICE => {
                    let StoredService { definition, pins } = decode(&what, form, &payload)?;
                    snapshot.pins.insert(definition.name.clone(), pins);
                    definitions.feature_services.insert(stored_name(&name)?, definition);
                }
                SAVED_DATASET => {
                    let stored: StoredDataset = decode(&what, form, &payload)?;
                    snapshot.datasets.insert(stored_name(&name)?, stored.into_dataset(stored_name(&name)?));
                }
                _ => return Err(Error::corrupt(format!("the registry has a record of an unknown kind, {what}"))),
            }
        }
        Ok(())
    }

    fn select<T>(
        &self,
        query: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let rows = || self.connection.prepare_cached(query)?.query_map(params, read)?.collect::<rusqlite::Result<_>>();
        rows().map_err(|e| self.failed(e))
    }

    fn execute(&self, statement: &str, params: impl Params) -> Result<()> {
        let run = || self.connection.prepare_cached(statement)?.execute(params);
        run().map(drop).map_err(|e| self.failed(e))
    }

    fn failed(&self, error: rusqlite::Error) -> Error {
        from_sqlite(self.path, error)
    }
}

fn stored_name<N: FromStr<Err = Error>>(text: &str) -> Result<N> {
    text.parse().map_err(|e: Error| Error::corrupt(format!("the registry has a wrong name: {}", e.message())))
}
