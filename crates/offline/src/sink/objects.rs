//! Objects of a store that are not there before all of them are complete.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use lodestore_core::{Error, Result};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use tokio::sync::Semaphore;

use super::local::not_empty;
use super::upload::{Aborts, Patience, Upload, Uploads};
use crate::error::from_store;
use crate::source::Place;

/// How many parts are on their way at a time.
const PARTS_AT_A_TIME: usize = 8;

/// How many objects are completed at a time.
const OBJECTS_AT_A_TIME: usize = 8;

/// The least that S3 takes as a part.
const SMALL_PART: usize = 5 << 20;

/// So large that an object can have 156 GiB.
const LARGE_PART: usize = 16 << 20;

/// Uploads below a path.
pub(super) struct Objects {
    place: Place,
    uploads: Uploads,
    /// Those that were completed. They are deleted when this is dropped with them.
    completed: Vec<Path>,
    _patience: Patience,
}

/// Checks that nothing is below a place.
///
/// # Errors
/// `AlreadyExists` if something is.
pub(super) async fn check_empty(place: &Place) -> Result<()> {
    match place.store.list(Some(&place.path)).next().await {
        None => Ok(()),
        Some(Ok(object)) => Err(not_empty(&url(place, ""), object.location.filename().unwrap_or_default())),
        Some(Err(error)) => Err(from_store(&format!("'{}'", url(place, "")), error)),
    }
}

fn url(place: &Place, below: &str) -> String {
    let parts = |path: &str| path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let mut url = place.root.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(parts(place.path.as_ref())).extend(parts(below));
    }
    url.into()
}

/// How many files are written to at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spread {
    /// One after the other, so that much can be held for one.
    OneFile,
    /// One for each partition.
    ManyFiles,
}

impl Objects {
    /// Begins a write to a place.
    pub(super) fn new(place: Place, spread: Spread) -> Self {
        let (aborts, patience) = Aborts::new();
        let part_bytes = if spread == Spread::OneFile { LARGE_PART } else { SMALL_PART };
        let (store, slots) = (Arc::clone(&place.store), Arc::new(Semaphore::new(PARTS_AT_A_TIME)));
        let uploads = Uploads { store, part_bytes, slots, aborts };
        Self { place, uploads, completed: Vec::new(), _patience: patience }
    }

    /// Begins an object, by its path below the place; there is one without a path.
    pub(super) fn create(&self, below: &str) -> Result<Upload> {
        let what = format!("'{}'", self.url(below));
        let path = format!("{}/{below}", self.place.path);
        let location = Path::parse(path).map_err(|e| Error::invalid(format!("{what} is no path: {e}")))?;
        Ok(Upload::new(self.uploads.clone(), location, what))
    }

    /// Returns the URL of an object.
    pub(super) fn url(&self, below: &str) -> String {
        url(&self.place, below)
    }

    /// Completes all objects.
    pub(super) async fn finish(&mut self, uploads: impl Iterator<Item = &mut Upload>) -> Result<()> {
        let completions: Vec<_> = uploads.map(Upload::complete).collect();
        // An object that is the only one may have replaced another, and is whole.
        let is_one = completions.len() == 1;
        let mut completions = stream::iter(completions).buffer_unordered(OBJECTS_AT_A_TIME);
        while let Some(location) = completions.try_next().await? {
            self.completed.extend((!is_one).then_some(location));
        }
        self.completed.clear();
        Ok(())
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        let store = Arc::clone(&self.place.store);
        let completed = std::mem::take(&mut self.completed);
        if !completed.is_empty() {
            self.uploads.aborts.spawn(async move {
                for path in completed {
                    // One that can't be deleted stays: there is nobody left to be told.
                    drop(store.delete(&path).await);
                }
            });
        }
    }
}
