//! A registry in memory, for tests and notebooks.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use async_trait::async_trait;

use super::{ApplyRecord, Change, RegistryStore, Snapshot};
use crate::error::{Error, ErrorKind, Result};
use crate::name::ProjectName;

/// Keeps projects in memory, for as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryRegistry {
    projects: RwLock<BTreeMap<ProjectName, (Snapshot, Vec<ApplyRecord>)>>,
}

impl MemoryRegistry {
    /// Returns an empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl RegistryStore for MemoryRegistry {
    async fn load(&self, project: &ProjectName) -> Result<Snapshot> {
        let projects = self.projects.read().unwrap_or_else(PoisonError::into_inner);
        Ok(projects.get(project).map_or_else(|| Snapshot::empty(project.clone()), |(snapshot, _)| snapshot.clone()))
    }

    async fn revision(&self, project: &ProjectName) -> Result<u64> {
        let projects = self.projects.read().unwrap_or_else(PoisonError::into_inner);
        Ok(projects.get(project).map_or(0, |(snapshot, _)| snapshot.revision))
    }

    async fn commit(&self, project: &ProjectName, expected: u64, change: &Change) -> Result<u64> {
        let mut projects = self.projects.write().unwrap_or_else(PoisonError::into_inner);
        let (snapshot, records) =
            projects.entry(project.clone()).or_insert_with(|| (Snapshot::empty(project.clone()), Vec::new()));
        if snapshot.revision != expected {
            return Err(conflict(project, expected, snapshot.revision));
        }
        change.mutations.iter().for_each(|mutation| snapshot.apply(mutation));
        snapshot.revision += 1;
        records.push(ApplyRecord {
            revision: snapshot.revision,
            at: change.at,
            by: change.by.clone(),
            changes: change.lines.clone(),
        });
        Ok(snapshot.revision)
    }

    async fn history(&self, project: &ProjectName, limit: usize) -> Result<Vec<ApplyRecord>> {
        let projects = self.projects.read().unwrap_or_else(PoisonError::into_inner);
        let records = projects.get(project).map(|(_, records)| records.as_slice()).unwrap_or_default();
        Ok(records.iter().rev().take(limit).cloned().collect())
    }

    async fn remove_project(&self, project: &ProjectName) -> Result<()> {
        self.projects.write().unwrap_or_else(PoisonError::into_inner).remove(project);
        Ok(())
    }
}

/// Returns the error of a commit on an old revision, the same for every store.
#[must_use]
pub fn conflict(project: &ProjectName, expected: u64, found: u64) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!(
            "the registry of project '{project}' is at revision {found}, but the plan was made at {expected}: \
             somebody else applied in between; plan again"
        ),
    )
}
