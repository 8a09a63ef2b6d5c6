//! Saved datasets: training sets that were written down, with what made them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use lodestore_core::name::{DatasetName, unknown};
use lodestore_core::registry::{Change, Mutation, SavedDataset};
use lodestore_core::{Error, ErrorKind, Result};
use lodestore_offline::{Frame, read_frame, write_frame};

use crate::apply::user;
use crate::historical::HistoricalJob;
use crate::store::FeatureStore;

/// Whether something that is there may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Existing {
    /// It stays, and the call fails.
    #[default]
    Keep,
    /// It is replaced.
    Replace,
}

impl FeatureStore {
    /// Runs a job, writes its answer as Parquet and records the plan, versions and source files that
    /// made it.
    ///
    /// # Errors
    /// `AlreadyExists`, unless it may be replaced, for a dataset of that name or a file at the path;
    /// what the engine or the file system says.
    pub async fn create_saved_dataset(
        &self,
        job: &HistoricalJob,
        name: DatasetName,
        path: &str,
        tags: BTreeMap<String, String>,
        existing: Existing,
    ) -> Result<SavedDataset> {
        let file = self.dataset_file(path);
        let before = self.snapshot().await?;
        if existing == Existing::Keep {
            let taken = if before.datasets.contains_key(&name) {
                Some(format!("saved dataset '{name}' exists"))
            } else {
                file.exists().then(|| format!("there is something at '{path}'"))
            };
            if let Some(taken) = taken {
                let message = format!("{taken}; choose another name or path, or allow it to be replaced");
                return Err(Error::new(ErrorKind::AlreadyExists, message));
            }
        }
        let request = &job.plan().request;
        let feature = |column: &lodestore_core::request::RequestedColumn| {
            let version = &request.views[column.view].version;
            format!("{}:{}", version.reference(), version.features[column.feature].name)
        };
        let mut fingerprints = BTreeSet::new();
        for view in &request.views {
            if let Some(table) = &view.version.table {
                fingerprints.insert(self.components.engine.fingerprint(table).await?);
            }
        }
        let plan = job.explain().await?;
        let rows = write_frame(job.run().await?, &file).await?;
        let dataset = SavedDataset {
            name,
            path: path.to_owned(),
            created_at: self.components.clock.now(),
            rows,
            features: request.columns.iter().map(feature).collect(),
            plan,
            fingerprints: fingerprints.into_iter().collect(),
            tags,
        };
        self.record(&dataset).await?;
        Ok(dataset)
    }

    /// Returns a saved dataset.
    ///
    /// # Errors
    /// `NotFound` if there is none of that name.
    pub async fn saved_dataset(&self, name: &DatasetName) -> Result<SavedDataset> {
        let snapshot = self.snapshot().await?;
        snapshot.datasets.get(name).cloned().ok_or_else(|| {
            let known = snapshot.datasets.keys().map(DatasetName::as_str);
            unknown(format!("saved dataset '{name}'"), name.as_str(), known)
        })
    }

    /// Returns the rows of a saved dataset.
    ///
    /// # Errors
    /// `NotFound` if there is none of that name or its file is gone; `Corrupt` if it can't be read.
    pub async fn read_saved_dataset(&self, name: &DatasetName) -> Result<Frame> {
        let dataset = self.saved_dataset(name).await?;
        read_frame(&self.dataset_file(&dataset.path), &BTreeMap::new())
    }

    fn dataset_file(&self, path: &str) -> PathBuf {
        self.repo.join(path)
    }

    /// Records a dataset. Somebody else's apply in between does not concern it: it is tried again.
    async fn record(&self, dataset: &SavedDataset) -> Result<()> {
        const TRIES: usize = 20;
        let change = Change {
            mutations: vec![Mutation::PutDataset(dataset.clone())],
            at: dataset.created_at,
            by: user(),
            lines: vec![format!("+ saved dataset '{}'", dataset.name)],
        };
        let mut outcome = Ok(());
        for _ in 0..TRIES {
            let revision = self.snapshot().await?.revision;
            outcome = self.components.registry.commit(&self.project, revision, &change).await.map(|_| ());
            if !matches!(&outcome, Err(error) if error.kind() == ErrorKind::Conflict) {
                break;
            }
        }
        self.snapshot().await?;
        outcome
    }
}
