//! The versions of a view.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::definition::ViewVersion;
use crate::error::{Error, Result};

/// The versions of a feature view, by number, and which is the current one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ViewHistory {
    /// The number of the current version.
    pub current: u32,
    /// All versions that were not yet collected.
    pub versions: BTreeMap<u32, Arc<ViewVersion>>,
    /// Of each version that has grown from another: what it has beyond that one.
    grown: BTreeMap<u32, Arc<ViewVersion>>,
}

impl ViewHistory {
    /// Adds or replaces a version; the one that it has grown from comes first.
    pub fn put(&mut self, version: Arc<ViewVersion>) {
        if let Some(older) = version.grown_from.and_then(|older| self.versions.get(&older)) {
            self.grown.insert(version.number, Arc::new(version.beyond(older)));
        }
        self.versions.insert(version.number, version);
    }

    /// Returns what is kept online for a version, in parts: what it has beyond the version that it has grown from, what
    /// that one has beyond its own, and so on. Most versions have one part, themselves.
    ///
    /// # Errors
    /// `Corrupt` if a version that another has grown from is missing.
    pub fn parts(&self, version: &Arc<ViewVersion>) -> Result<Vec<Arc<ViewVersion>>> {
        let mut parts = Vec::with_capacity(1);
        let mut whole = version;
        while let Some(number) = whole.grown_from {
            let (older, part) = match (self.versions.get(&number), self.grown.get(&whole.number)) {
                (Some(older), Some(part)) if number < whole.number => (older, part),
                _ => {
                    let view = whole.reference();
                    return Err(Error::corrupt(format!("version {number} is missing, which '{view}' has grown from")));
                }
            };
            parts.push(Arc::clone(part));
            whole = older;
        }
        parts.push(Arc::clone(whole));
        Ok(parts)
    }
}
