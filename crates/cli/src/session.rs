//! What every command has at hand. Nothing is opened before it is asked for.

use std::future::Future;
use std::path::{Path, PathBuf};

use lodestore::core::{Error, Result};
use lodestore::{FeatureStore, OpenOptions, Repo, Settings, load_repo};
use tokio::runtime::Builder;

use crate::args::Cli;
use crate::printer::Printer;

/// Where a command works, and where it prints.
#[derive(Debug)]
pub struct Session {
    /// Where to print.
    pub printer: Printer,
    settings: OpenOptions,
}

impl Session {
    /// Returns the session of a command line.
    #[must_use]
    pub fn new(cli: &Cli, printer: Printer) -> Self {
        let settings = OpenOptions {
            repo_path: cli.chdir.clone(),
            settings_file: cli.feature_store_yaml.clone(),
            ..OpenOptions::default()
        };
        Self { printer, settings }
    }

    /// Returns where a path in the folder that `-C` names is, else in the current folder.
    #[must_use]
    pub fn in_folder(&self, path: &Path) -> PathBuf {
        self.settings.repo_path.as_deref().unwrap_or(Path::new("")).join(path)
    }

    /// Opens the store of the feature repository.
    ///
    /// # Errors
    /// As [`FeatureStore::open`].
    pub fn store(&self) -> Result<FeatureStore> {
        let store = FeatureStore::open(&self.settings)?;
        if store.memory_limit().is_some() {
            lodestore_allocator::give_back_at_once();
        }
        Ok(store)
    }

    /// Returns the settings of the feature repository.
    ///
    /// # Errors
    /// As [`OpenOptions::load`].
    pub fn settings(&self) -> Result<Settings> {
        self.settings.load().map(|(_, settings)| settings)
    }

    /// Opens the store and reads the definition files of its repository.
    ///
    /// # Errors
    /// As [`FeatureStore::open`] and [`load_repo`].
    pub fn store_and_repo(&self) -> Result<(FeatureStore, Repo)> {
        let store = self.store()?;
        let repo = load_repo(store.repo(), None)?;
        Ok((store, repo))
    }

    /// Runs asynchronous work on a runtime that is built for it.
    ///
    /// # Errors
    /// What the work says; `Unavailable` if the system has no room for the runtime's threads.
    pub fn block_on<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let runtime = Builder::new_multi_thread().enable_all().build();
        runtime.map_err(|e| Error::io("starting threads", e))?.block_on(work)
    }
}
