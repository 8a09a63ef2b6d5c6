//! Settings of the embedded store.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Settings of an [`EmbeddedStore`](super::EmbeddedStore).
///
/// The settings of the first to open a folder hold for all stores on it in the same process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbeddedConfig {
    /// The folder. It is created by the first write; its name may look like that of a file.
    pub path: PathBuf,
    /// How large the data may become. This much address space is reserved, no disk and no memory:
    /// the file grows as data does. All processes should say the same.
    #[serde(default = "default_map_size")]
    pub map_size_bytes: u64,
    /// How many reads of all processes together may run at the same time.
    #[serde(default = "default_max_readers")]
    pub max_readers: u32,
}

impl EmbeddedConfig {
    /// Returns the default settings for a folder.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), map_size_bytes: default_map_size(), max_readers: default_max_readers() }
    }
}

fn default_map_size() -> u64 {
    if cfg!(target_pointer_width = "64") { 1 << 40 } else { 1 << 30 }
}

fn default_max_readers() -> u32 {
    1024
}
