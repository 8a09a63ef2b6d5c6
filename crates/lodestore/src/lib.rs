//! The feature store: settings become components, and one [`FeatureStore`] offers what users do:
//! plan and apply definitions, build training sets, materialise, read and write online.
//!
//! It is not: a surface. The command line, Python and servers convert, call one method here and
//! convert back; what they print or send is theirs.
//!
//! Read first: [`FeatureStore`], [`Settings`], [`HistoricalJob`].
//!
//! # Examples
//! ```
//! use lodestore::{FeatureStore, OpenOptions};
//! use lodestore::core::document::Document;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = std::env::temp_dir().join(format!("lodestore-example-{}", std::process::id()));
//! std::fs::create_dir_all(&folder)?;
//! std::fs::write(folder.join("feature_store.yaml"), "project: demo")?;
//! let store = FeatureStore::open(&OpenOptions::in_folder(&folder))?;
//!
//! let yaml = "{version: 1, entities: [{name: driver, join_keys: [{name: driver_id, type: int64}]}]}";
//! let wanted = Document::parse_yaml(yaml, "features.yaml")?.into_definitions()?;
//! let change = store.plan(wanted, Default::default()).await?;
//! assert_eq!(change.plan.summary(), "1 to add, 0 to change, 0 to remove");
//! store.apply(&change.plan).await?;
//! assert_eq!(store.snapshot().await?.definitions.entities.len(), 1);
//! # std::fs::remove_dir_all(folder)?;
//! # Ok(())
//! # }
//! ```

mod apply;
mod dataset;
mod historical;
mod infer;
mod interval;
mod live;
mod materialize;
mod online;
mod repo;
mod settings;
mod store;
mod write;

pub use apply::PlannedChange;
pub use dataset::Existing;
pub use historical::{HistoricalJob, HistoricalQuestions};
pub use live::AskedFeatures;
pub use lodestore_core as core;
pub use lodestore_materialize::{Interval, Progress, Report, Silent};
pub use lodestore_offline::{Frame, read_frame, write_frame};
pub use lodestore_registry::{Plan, PlanOptions, Scope};
pub use online::{Defaults, OnlineAnswer, OnlinePlan, PlannedColumn, PlannedKey};
pub use repo::{Repo, load_repo};
pub use settings::{
    ApiKeySettings, AuthSettings, ConnectionSettings, FeatureServerSettings, MaterializationSettings, MemorySize,
    OfflineSettings, OnlineSettings, OpenOptions, Settings,
};
pub use store::{Components, FeatureStore};
pub use write::Features;
