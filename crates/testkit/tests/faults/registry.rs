//! Registries that are wrong in one point.

use std::sync::Arc;

use async_trait::async_trait;
use lodestore_core::Result;
use lodestore_core::name::ProjectName;
use lodestore_core::registry::{ApplyRecord, Change, MemoryRegistry, RegistryStore, Snapshot};
use lodestore_testkit::registry_suite::{self, RegistryHarness};

use crate::failures;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RegistryFault {
    None,
    LastCommitWins,
    LosesPins,
    KeepsTheCurrentVersionAlone,
    OldestFirst,
    KeepsRemovedProjects,
}

#[derive(Debug)]
struct FaultyRegistry(RegistryFault, MemoryRegistry);

#[async_trait]
impl RegistryStore for FaultyRegistry {
    async fn load(&self, project: &ProjectName) -> Result<Snapshot> {
        let mut snapshot = self.1.load(project).await?;
        match self.0 {
            RegistryFault::LosesPins => snapshot.pins.clear(),
            RegistryFault::KeepsTheCurrentVersionAlone => {
                snapshot.views.values_mut().for_each(|view| view.versions.retain(|number, _| *number == view.current));
            }
            _ => {}
        }
        Ok(snapshot)
    }

    async fn revision(&self, project: &ProjectName) -> Result<u64> {
        Ok(self.load(project).await?.revision)
    }

    async fn commit(&self, project: &ProjectName, expected: u64, change: &Change) -> Result<u64> {
        if self.0 != RegistryFault::LastCommitWins {
            return self.1.commit(project, expected, change).await;
        }
        loop {
            let found = self.1.load(project).await?.revision;
            if let Ok(revision) = self.1.commit(project, found, change).await {
                return Ok(revision);
            }
        }
    }

    async fn history(&self, project: &ProjectName, limit: usize) -> Result<Vec<ApplyRecord>> {
        let mut records = self.1.history(project, limit).await?;
        if self.0 == RegistryFault::OldestFirst {
            records.reverse();
        }
        Ok(records)
    }

    async fn remove_project(&self, project: &ProjectName) -> Result<()> {
        if self.0 == RegistryFault::KeepsRemovedProjects { Ok(()) } else { self.1.remove_project(project).await }
    }
}

#[async_trait]
impl RegistryHarness for RegistryFault {
    async fn open(&self, _place: &str) -> Result<Arc<dyn RegistryStore>> {
        Ok(Arc::new(FaultyRegistry(*self, MemoryRegistry::new())))
    }
}

#[test]
fn the_registry_suite_finds_known_faults() {
    assert_eq!(failures("registry", registry_suite::trials(Arc::new(RegistryFault::None))), 0);
    for fault in [
        RegistryFault::LastCommitWins,
        RegistryFault::LosesPins,
        RegistryFault::KeepsTheCurrentVersionAlone,
        RegistryFault::OldestFirst,
        RegistryFault::KeepsRemovedProjects,
    ] {
        let failed = failures("registry", registry_suite::trials(Arc::new(fault)));
        assert!(failed > 0, "no test finds the fault {fault:?}");
    }
}
