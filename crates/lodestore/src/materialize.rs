//! Materialisation of views into the online store.

use std::sync::Arc;

use lodestore_core::definition::ViewVersion;
use lodestore_core::name::ViewRef;
use lodestore_core::online::Watermark;
use lodestore_core::registry::Snapshot;
use lodestore_core::{Error, Result};
use lodestore_materialize::{Interval, MaterializationJob, Progress, Report};

use crate::store::FeatureStore;
use crate::write::check_online;

impl FeatureStore {
    /// Returns the view versions that a materialisation of `views` is about, in order: for none named,
    /// the current versions of all views that are served online and have a source with history.
    ///
    /// # Errors
    /// `NotFound` for a view that is not registered; `Invalid` for one that is not served online or
    /// has no history.
    pub async fn materializable(&self, views: &[ViewRef]) -> Result<Vec<Arc<ViewVersion>>> {
        let snapshot = self.snapshot().await?;
        if views.is_empty() {
            return Ok(current(&snapshot).filter(|v| v.definition.online && v.table.is_some()).cloned().collect());
        }
        let named = views.iter().map(|reference| {
            let version = snapshot.view(reference)?;
            check_online(version)?;
            if version.table.is_none() {
                return Err(Error::invalid(format!(
                    "view '{reference}' has no history to materialize: its push source has no batch_source"
                )));
            }
            Ok(Arc::clone(version))
        });
        named.collect()
    }

    /// Writes the rows of an interval of a view version to the online store.
    ///
    /// # Errors
    /// `Invalid` for an end in the future; `Unavailable` when it was interrupted; see
    /// [`MaterializationJob::run`].
    pub async fn materialize(
        &self,
        version: Arc<ViewVersion>,
        interval: Interval,
        progress: &dyn Progress,
    ) -> Result<Report> {
        let job = MaterializationJob::new(self.online_view(version), interval).with_options(self.job_options.clone());
        let components = &self.components;
        job.run(components.engine.as_ref(), components.online.as_ref(), components.clock.as_ref(), progress).await
    }

    /// Returns how far a view version was materialised.
    ///
    /// # Errors
    /// What the online store says.
    pub async fn watermark(&self, version: Arc<ViewVersion>) -> Result<Watermark> {
        self.components.online.watermark(&self.online_view(version)).await
    }
}

fn current(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<ViewVersion>> {
    snapshot.views.values().filter_map(|history| history.versions.get(&history.current))
}
