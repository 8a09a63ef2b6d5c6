//! The feature store and its components.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lodestore_core::Result;
use lodestore_core::name::ProjectName;
use lodestore_core::offline::OfflineEngine;
use lodestore_core::online::{OnlineStore, OnlineView};
use lodestore_core::registry::{RegistryStore, Snapshot};
use lodestore_core::time::{Clock, ManualClock, SystemClock};
use lodestore_materialize::JobOptions;
use lodestore_offline::{DataFusionEngine, EngineConfig};
use lodestore_online::embedded::{EmbeddedConfig, EmbeddedStore};
use lodestore_registry::SqliteRegistry;

use crate::live::LiveRegistry;
use crate::settings::{MaterializationSettings, OpenOptions};

/// What a store is made of. Settings choose them; tests put their own in.
#[derive(Debug, Clone)]
pub struct Components {
    /// Keeps the definitions.
    pub registry: Arc<dyn RegistryStore>,
    /// Keeps the online rows.
    pub online: Arc<dyn OnlineStore>,
    /// Computes over tables.
    pub engine: Arc<dyn OfflineEngine>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// A feature store: the definitions of one project and everything that is done with them.
#[derive(Debug)]
pub struct FeatureStore {
    pub(crate) project: ProjectName,
    pub(crate) repo: PathBuf,
    pub(crate) components: Components,
    pub(crate) job_options: JobOptions,
    memory_limit: Option<u64>,
    pub(crate) live: Arc<LiveRegistry>,
}

impl FeatureStore {
    /// Opens the store of a feature repository. No file is made before something is written.
    ///
    /// # Errors
    /// `NotFound` or `Invalid` for settings that are missing or wrong; what the registry or the
    /// online store says of files that are not theirs.
    pub fn open(options: &OpenOptions) -> Result<Self> {
        let (repo, settings) = options.load()?;
        let registry = SqliteRegistry::open(&repo.join(&settings.registry.path))?;
        let mut online = EmbeddedConfig::at(repo.join(&settings.online_store.path));
        if let Some(bytes) = settings.online_store.map_size_bytes {
            online.map_size_bytes = bytes;
        }
        let mut engine = EngineConfig::new(&repo);
        engine.sources.connections = settings.connections(&repo);
        engine.sources.storage_options = settings.storage_options;
        let memory_limit = settings.offline_store.memory_limit.map(|size| size.0);
        engine.memory_limit = memory_limit;
        engine.spill_folder = settings.offline_store.spill_path.map(|path| repo.join(path));
        if let Some(threads) = settings.offline_store.threads {
            engine.threads = threads;
        }
        let components = Components {
            registry: Arc::new(registry),
            online: Arc::new(EmbeddedStore::open(online)?),
            engine: Arc::new(DataFusionEngine::new(engine)),
            clock: match options.now {
                Some(now) => Arc::new(ManualClock::new(now)),
                None => Arc::new(SystemClock),
            },
        };
        let refused = repo.join(&settings.online_store.path).with_extension("refused");
        let job_options = JobOptions { refused_folder: Some(refused), ..job_options(&settings.materialization) };
        Ok(Self { job_options, memory_limit, ..Self::with_components(settings.project, repo, components) })
    }

    /// Returns a store of given components; relative paths count from `repo`.
    #[must_use]
    pub fn with_components(project: ProjectName, repo: PathBuf, components: Components) -> Self {
        let live = LiveRegistry::new(Arc::clone(&components.registry), project.clone());
        Self { project, repo, components, job_options: JobOptions::default(), memory_limit: None, live }
    }

    /// Returns the project's name.
    #[must_use]
    pub fn project(&self) -> &ProjectName {
        &self.project
    }

    /// Returns the feature repository's folder.
    #[must_use]
    pub fn repo(&self) -> &Path {
        &self.repo
    }

    /// Returns how many bytes of memory the process is to hold at the most, by the settings.
    #[must_use]
    pub fn memory_limit(&self) -> Option<u64> {
        self.memory_limit
    }

    /// Returns the registry's present state.
    ///
    /// # Errors
    /// What the registry store says.
    pub async fn snapshot(&self) -> Result<Arc<Snapshot>> {
        Ok(Arc::clone(&self.live.load().await?.snapshot))
    }

    /// Returns the registry's state as requests see it: as of at most a second ago. What this process applies is
    /// seen at once.
    ///
    /// # Errors
    /// What the registry store says, when it is asked first.
    pub async fn recent_snapshot(&self) -> Result<Arc<Snapshot>> {
        Ok(Arc::clone(&self.live.recent().await?.snapshot))
    }

    /// Removes the project: its definitions with their versions and history, and its online rows.
    /// Sources and saved datasets stay where they are.
    ///
    /// # Errors
    /// What the registry or the online store says.
    pub async fn teardown(&self) -> Result<()> {
        let snapshot = self.snapshot().await?;
        let versions = snapshot.views.values().flat_map(|history| history.versions.values());
        let views: Vec<_> =
            versions.map(|version| OnlineView::new(self.project.clone(), Arc::clone(version))).collect();
        self.components.registry.remove_project(&self.project).await?;
        self.components.online.retire(&views).await?;
        self.snapshot().await.map(|_| ())
    }
}

fn job_options(settings: &MaterializationSettings) -> JobOptions {
    let default = JobOptions::default();
    JobOptions {
        batch_bytes: settings.batch_bytes.unwrap_or(default.batch_bytes),
        late_arrival_overlap: settings.late_arrival_overlap.unwrap_or(default.late_arrival_overlap),
        max_refused_rows: settings.max_refused_rows.unwrap_or(default.max_refused_rows),
        refused_folder: default.refused_folder,
    }
}
