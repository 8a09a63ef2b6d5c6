//! Materialisation of views into the online store.

use std::sync::Arc;

use lodestore_core::definition::ViewVersion;
use lodestore_core::name::ViewRef;
use lodestore_core::online::{OnlineView, Watermark};
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
    /// Of a version that shares rows with those before it, what has not come as far as the end of the interval is brought
    /// there, such as the aggregations that the version added; the interval is taken again for all when all have.
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
        let parts = self.parts_with_watermarks(&version).await?;
        let lacks = |watermark: &Watermark| watermark.event.is_none_or(|event| event < interval.until());
        let is_behind = parts.len() > 1 && parts.iter().any(|(_, watermark)| lacks(watermark));
        let mut reports = Vec::with_capacity(parts.len());
        for (part, watermark) in parts {
            if !is_behind {
                reports.push(self.run_job(part, interval, progress).await?);
            } else if lacks(&watermark) {
                reports.push(self.run_job(part, interval.beyond(watermark), progress).await?);
            }
        }
        let report = reports.into_iter().reduce(Report::and);
        let report = report.ok_or_else(|| Error::internal("a view version has no parts"))?;
        let view = version.reference().to_string();
        Ok(Report { view, watermark: self.watermark(version).await?, ..report })
    }

    async fn run_job(&self, part: OnlineView, interval: Interval, progress: &dyn Progress) -> Result<Report> {
        let job = MaterializationJob::new(part, interval).with_options(self.job_options.clone());
        let components = &self.components;
        job.run(components.engine.as_ref(), components.online.as_ref(), components.clock.as_ref(), progress).await
    }

    async fn parts_with_watermarks(&self, version: &Arc<ViewVersion>) -> Result<Vec<(OnlineView, Watermark)>> {
        let mut found = Vec::with_capacity(1);
        for part in self.parts(version).await? {
            let part = self.online_view(part);
            let watermark = self.components.online.watermark(&part).await?;
            found.push((part, watermark));
        }
        Ok(found)
    }

    /// Returns how far a view version was materialised: all of its parts.
    ///
    /// # Errors
    /// What the online store says.
    pub async fn watermark(&self, version: Arc<ViewVersion>) -> Result<Watermark> {
        let parts = self.parts_with_watermarks(&version).await?.into_iter().map(|(_, watermark)| watermark);
        Ok(parts.reduce(Watermark::min).unwrap_or_default())
    }
}

fn current(snapshot: &Snapshot) -> impl Iterator<Item = &Arc<ViewVersion>> {
    snapshot.views.values().filter_map(|history| history.versions.get(&history.current))
}
