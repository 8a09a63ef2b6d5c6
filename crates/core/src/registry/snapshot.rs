//! The state of a project's registry at one revision.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ViewHistory;
use crate::definition::{DataSource, Definitions, Entity, FeatureService, ObjectId, ObjectKind, ViewVersion};
use crate::error::{Error, Result};
use crate::name::{DatasetName, ProjectName, ServiceName, ViewName, ViewRef, unknown};
use crate::time::EventTime;

/// A training set that was written down, and what made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedDataset {
    /// Its name.
    pub name: DatasetName,
    /// Where its Parquet file is.
    pub path: String,
    /// When it was made.
    pub created_at: EventTime,
    /// How many rows it has.
    pub rows: u64,
    /// The features, as `view@version:feature`, in order.
    pub features: Vec<String>,
    /// The plan that made it, as explained.
    pub plan: String,
    /// What the sources' files were: for each source a line that changes when a file does.
    pub fingerprints: Vec<String>,
    /// Labels.
    pub tags: BTreeMap<String, String>,
}

/// What a project's registry holds at one revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The project.
    pub project: ProjectName,
    /// Grows by one with each commit; 0 for a project that was never applied.
    pub revision: u64,
    /// The definitions as last applied.
    pub definitions: Definitions,
    /// The versions of each view.
    pub views: BTreeMap<ViewName, ViewHistory>,
    /// For each feature service, the versions that it pinned when it was applied (rule N2).
    pub pins: BTreeMap<ServiceName, BTreeMap<ViewName, u32>>,
    /// Saved datasets.
    pub datasets: BTreeMap<DatasetName, SavedDataset>,
}

/// One step of a change to a registry.
#[derive(Debug, Clone, PartialEq)]
pub enum Mutation {
    /// Adds or replaces an entity.
    PutEntity(Entity),
    /// Adds or replaces a data source.
    PutDataSource(DataSource),
    /// Adds or replaces a view version and makes it the current one; its definition is the view's.
    PutView(Arc<ViewVersion>),
    /// Adds or replaces a feature service and what it pins.
    PutFeatureService(FeatureService, BTreeMap<ViewName, u32>),
    /// Removes an object; of a view, all versions.
    Remove(ObjectId),
    /// Adds or replaces a saved dataset.
    PutDataset(SavedDataset),
    /// Removes a saved dataset's record; its file stays.
    RemoveDataset(DatasetName),
}

impl Snapshot {
    /// Returns the state of a project that was never applied.
    #[must_use]
    pub fn empty(project: ProjectName) -> Self {
        Self {
            project,
            revision: 0,
            definitions: Definitions::default(),
            views: BTreeMap::new(),
            pins: BTreeMap::new(),
            datasets: BTreeMap::new(),
        }
    }

    /// Returns the version that a reference means: the one it names, else the current one.
    ///
    /// # Errors
    /// `NotFound` for a view or version that is not registered; it names near or known ones.
    pub fn view(&self, reference: &ViewRef) -> Result<&Arc<ViewVersion>> {
        let name = &reference.name;
        let history = self.views.get(name).ok_or_else(|| {
            unknown(format!("feature view '{name}'"), name.as_str(), self.views.keys().map(ViewName::as_str))
        })?;
        let number = reference.version.unwrap_or(history.current);
        history.versions.get(&number).ok_or_else(|| {
            let known: Vec<_> = history.versions.keys().map(u32::to_string).collect();
            Error::not_found(format!("unknown version {number} of view '{name}'; known: {}", known.join(", ")))
        })
    }

    /// Returns what is kept online for a version of a view, in [parts](ViewHistory::parts).
    ///
    /// # Errors
    /// `NotFound` if the version shares its rows with one that is no longer registered.
    pub fn parts(&self, version: &Arc<ViewVersion>) -> Result<Vec<Arc<ViewVersion>>> {
        if version.grown_from.is_none() {
            return Ok(vec![Arc::clone(version)]);
        }
        let registered = self.view(&version.reference())?;
        if registered.created_at != version.created_at {
            let view = version.reference();
            return Err(Error::not_found(format!("view '{view}' was removed and another one defined in its place")));
        }
        self.views.get(version.name()).map_or_else(|| Ok(Vec::new()), |history| history.parts(registered))
    }

    /// Returns a feature service.
    ///
    /// # Errors
    /// `NotFound` if it is not registered; it names near ones.
    pub fn service(&self, name: &ServiceName) -> Result<&FeatureService> {
        let services = &self.definitions.feature_services;
        services.get(name).ok_or_else(|| {
            unknown(format!("feature service '{name}'"), name.as_str(), services.keys().map(ServiceName::as_str))
        })
    }

    /// Returns the feature services that read a view, with the version each of them pins.
    pub fn consumers(&self, view: &ViewName) -> impl Iterator<Item = (&ServiceName, u32)> {
        self.pins.iter().filter_map(move |(service, pins)| pins.get(view).map(|version| (service, *version)))
    }

    /// Makes one step of a change.
    pub fn apply(&mut self, mutation: &Mutation) {
        match mutation {
            Mutation::PutEntity(entity) => {
                self.definitions.entities.insert(entity.name.clone(), entity.clone());
            }
            Mutation::PutDataSource(source) => {
                self.definitions.data_sources.insert(source.name().clone(), source.clone());
            }
            Mutation::PutView(version) => {
                let name = version.name().clone();
                self.definitions.feature_views.insert(name.clone(), version.definition.clone());
                let history = self.views.entry(name).or_default();
                history.current = version.number;
                history.put(Arc::clone(version));
            }
            Mutation::PutFeatureService(service, pins) => {
                self.pins.insert(service.name.clone(), pins.clone());
                self.definitions.feature_services.insert(service.name.clone(), service.clone());
            }
            Mutation::Remove(id) => {
                self.definitions.remove(id);
                match id.kind {
                    ObjectKind::FeatureView => drop(self.views.remove(id.name.as_str())),
                    ObjectKind::FeatureService => drop(self.pins.remove(id.name.as_str())),
                    ObjectKind::Entity | ObjectKind::DataSource => {}
                }
            }
            Mutation::PutDataset(dataset) => {
                self.datasets.insert(dataset.name.clone(), dataset.clone());
            }
            Mutation::RemoveDataset(name) => {
                self.datasets.remove(name);
            }
        }
    }
}
