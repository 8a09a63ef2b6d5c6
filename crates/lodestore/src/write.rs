//! Rows that come from a caller: push, write and delete online.

use std::sync::Arc;

use arrow::array::RecordBatch;
use lodestore_core::definition::{DataSource, ViewVersion};
use lodestore_core::name::{FeatureRef, ServiceName, SourceName, ViewName, ViewRef, unknown};
use lodestore_core::online::{OnlineView, WriteReport};
use lodestore_core::registry::Snapshot;
use lodestore_core::request::{ColumnNames, FeatureRequest};
use lodestore_core::rows::{FeatureRows, TimeColumns, keys_of, normalize};
use lodestore_core::{Error, Result};

use crate::live::AskedFeatures;
use crate::store::FeatureStore;

/// What a caller wants to read: features one by one, or a feature service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Features {
    /// `view:feature` references, in order.
    Refs(Vec<FeatureRef>),
    /// The name of a feature service.
    Service(ServiceName),
}

impl Features {
    /// Parses references.
    ///
    /// # Errors
    /// `Invalid` for text that is no reference.
    pub fn parse<T: AsRef<str>>(refs: &[T]) -> Result<Self> {
        Ok(Self::Refs(refs.iter().map(|text| text.as_ref().parse()).collect::<Result<_>>()?))
    }

    /// Resolves to the views and columns of a registry's state.
    pub(crate) fn resolve(&self, snapshot: &Snapshot, names: ColumnNames) -> Result<FeatureRequest> {
        match self {
            Self::Refs(refs) => FeatureRequest::from_refs(snapshot, refs, names),
            Self::Service(service) => FeatureRequest::from_service(snapshot, service, names),
        }
    }
}

impl TryFrom<AskedFeatures<'_>> for Features {
    type Error = Error;

    fn try_from(asked: AskedFeatures<'_>) -> Result<Self> {
        match asked {
            AskedFeatures::Refs(refs) => Self::parse(refs),
            AskedFeatures::Service(name) => Ok(Self::Service(name.parse()?)),
        }
    }
}

/// Rows that can be written to a view version or a part of one.
type CheckedRows = (Arc<ViewVersion>, FeatureRows);

impl FeatureStore {
    /// Returns the current versions of the views that a push source feeds.
    ///
    /// # Errors
    /// `NotFound` for a push source that is not registered; `Invalid` for a source of another kind or
    /// one that feeds no view.
    pub async fn pushed_views(&self, source: &SourceName) -> Result<Vec<Arc<ViewVersion>>> {
        let snapshot = self.recent_snapshot().await?;
        let sources = &snapshot.definitions.data_sources;
        match sources.get(source) {
            Some(DataSource::Push(_)) => {}
            Some(_) => return Err(Error::invalid(format!("data source '{source}' is not a push source"))),
            None => {
                let push = sources.values().filter(|source| matches!(source, DataSource::Push(_)));
                let known = push.map(|source| source.name().as_str().to_owned());
                return Err(unknown(format!("push source '{source}'"), source.as_str(), known));
            }
        }
        let current = snapshot.views.values().filter_map(|history| history.versions.get(&history.current));
        let fed: Vec<_> = current.filter(|version| version.push_source.as_ref() == Some(source)).cloned().collect();
        if fed.is_empty() {
            return Err(Error::invalid(format!("push source '{source}' feeds no feature view")));
        }
        Ok(fed)
    }

    /// Writes rows to all views of a push source. Every row is checked before any is written.
    ///
    /// # Errors
    /// As [`FeatureStore::pushed_views`] and [`FeatureStore::write_to_online_store`].
    pub async fn push(&self, source: &SourceName, rows: &RecordBatch) -> Result<WriteReport> {
        let views = self.pushed_views(source).await?;
        let mut checked = Vec::with_capacity(views.len());
        for view in views.iter().filter(|view| view.definition.online) {
            checked.push(self.checked_parts(view, rows).await?);
        }
        let mut total = WriteReport::default();
        for parts in checked {
            let report = self.write_parts(parts).await?;
            total.written += report.written;
            total.skipped += report.skipped;
        }
        Ok(total)
    }

    /// Returns the view version that a reference means.
    ///
    /// # Errors
    /// `NotFound` for a view or version that is not registered.
    pub async fn feature_view(&self, reference: &ViewRef) -> Result<Arc<ViewVersion>> {
        Ok(Arc::clone(self.recent_snapshot().await?.view(reference)?))
    }

    /// Writes rows of a view to the online store: keys, times, and all or some features (rule O4).
    /// The rows are written all or none.
    ///
    /// # Errors
    /// `NotFound` for an unknown view; `Invalid`, naming the column or row, for a missing column, a
    /// null key or event time, a value that does not fit, or a view that is not served online.
    pub async fn write_to_online_store(&self, view: &ViewName, rows: &RecordBatch) -> Result<WriteReport> {
        let version = self.feature_view(&ViewRef { name: view.clone(), version: None }).await?;
        check_online(&version)?;
        self.write_parts(self.checked_parts(&version, rows).await?).await
    }

    /// Deletes keys of a view's current version from the online store as of now (rule O5).
    ///
    /// # Errors
    /// `NotFound` for an unknown view; `Invalid` for a missing key column or a null key.
    pub async fn delete_from_online_store(&self, view: &ViewName, keys: &RecordBatch) -> Result<()> {
        let version = self.feature_view(&ViewRef { name: view.clone(), version: None }).await?;
        check_online(&version)?;
        let encoded = keys_of(&version, keys).map_err(|e| e.with_context("view", view))?;
        if let Some(row) = (0..encoded.len()).find(|&row| encoded.get(row).is_none()) {
            return Err(Error::invalid(format!("row {row} has a null in its key")).with_context("view", view));
        }
        let now = self.components.clock.now();
        for part in self.parts(&version).await? {
            self.components.online.delete(&self.online_view(part), &encoded, now).await?;
        }
        Ok(())
    }

    pub(crate) fn online_view(&self, version: Arc<ViewVersion>) -> OnlineView {
        OnlineView::new(self.project.clone(), version)
    }

    /// Returns what is kept online for a version, in parts.
    pub(crate) async fn parts(&self, version: &Arc<ViewVersion>) -> Result<Vec<Arc<ViewVersion>>> {
        self.recent_snapshot().await?.parts(version)
    }

    async fn checked_parts(&self, version: &Arc<ViewVersion>, rows: &RecordBatch) -> Result<Vec<CheckedRows>> {
        self.parts(version).await?.into_iter().map(|part| self.checked_rows(part, rows)).collect()
    }

    /// Writes a view's rows to all of its parts. A row was written if any of them took it.
    async fn write_parts(&self, parts: Vec<CheckedRows>) -> Result<WriteReport> {
        let mut whole = WriteReport::default();
        for (part, rows) in parts {
            let now = self.components.clock.now();
            let report = self.components.online.write(&self.online_view(part), &rows, now, None).await?;
            whole.written = whole.written.max(report.written);
            whole.skipped = rows.len() as u64 - whole.written;
        }
        Ok(whole)
    }

    fn checked_rows(&self, version: Arc<ViewVersion>, rows: &RecordBatch) -> Result<CheckedRows> {
        let mut times = TimeColumns::of(&version);
        // A caller's rows may leave out when they were recorded, and that they stay valid.
        times.created = times.created.filter(|name| rows.column_by_name(name).is_some());
        times.valid_to = times.valid_to.filter(|name| rows.column_by_name(name).is_some());
        let normalized = normalize(&version, &times, rows)?;
        if let Some(refused) = normalized.refused.first() {
            return Err(Error::invalid(format!(
                "{} of {} rows can't be written, nothing was; the first is row {}: {}",
                normalized.refused.len(),
                rows.num_rows(),
                refused.row,
                refused.reason
            ))
            .with_context("view", version.reference()));
        }
        let rows = match (&times.event, &times.created) {
            // Of two rows without any time, the one that was written later wins.
            (None, None) => normalized.rows.created_at(self.components.clock.now()),
            _ => normalized.rows,
        };
        Ok((version, rows))
    }
}

pub(crate) fn check_online(version: &ViewVersion) -> Result<()> {
    if version.definition.online {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "view '{}' is not served online; set online: true in its definition and apply it",
        version.name()
    )))
}
