//! Online stores: where the latest rows of each key are kept and read with low latency. Each store is
//! a folder of the same shape, and what a key's rows amount to is core's to decide, the same for all.
//!
//! It is not: a server, a cache, or a place that knows registries, feature services or who may read.
//!
//! Read first: [`embedded::EmbeddedStore`], [`row::FoundRows`], [`row::RowMerger`].
//!
//! # Examples
//! ```
//! use std::sync::Arc;
//! use arrow::array::{ArrayRef, AsArray, Int64Array};
//! use lodestore_core::document::Document;
//! use lodestore_core::entity_key::EntityKeys;
//! use lodestore_core::name::ProjectName;
//! use lodestore_core::online::{FeatureStatus, OnlineStore, OnlineView};
//! use lodestore_core::rows::{FeatureRows, RowStamp};
//! use lodestore_core::time::EventTime;
//! use lodestore_core::types::KeyType;
//! use lodestore_online::embedded::{EmbeddedConfig, EmbeddedStore};
//!
//! # let yaml = "
//! # version: 1
//! # entities: [{name: driver, join_keys: [{name: driver_id, type: int64}]}]
//! # data_sources: [{name: stats, type: file, path: stats.parquet, timestamp_field: at}]
//! # feature_views: [{name: driver_stats, entities: [driver], source: stats, schema: [{name: trips, type: int64}]}]
//! # ";
//! # let definitions = Document::parse_yaml(yaml, "features.yaml")?.into_definitions()?;
//! # let view = definitions.feature_views.values().next().unwrap();
//! # let version = definitions.resolve(view, EventTime::from_micros(0), 1)?;
//! # let folder = tempfile::tempdir().unwrap();
//! let view = OnlineView::new(ProjectName::new("rides")?, Arc::new(version));
//! let drivers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
//! let keys = EntityKeys::encode(2, &[("driver_id", &drivers, KeyType::Int64)])?;
//! let trips: ArrayRef = Arc::new(Int64Array::from(vec![10, 20]));
//! let stamp = RowStamp::at(EventTime::parse("2024-01-01")?);
//! let now = EventTime::parse("2024-01-02")?;
//!
//! let store = EmbeddedStore::open(EmbeddedConfig::at(folder.path().join("online_store.db")))?;
//! store.write_now(&view, &FeatureRows::new(keys.clone(), vec![stamp; 2], vec![(0, trips)])?, now, None)?;
//!
//! let columns = store.read_now(&view, &keys, &[0], now)?;
//! assert_eq!(columns[0].statuses, [FeatureStatus::Present; 2]);
//! assert_eq!(columns[0].values.as_primitive::<arrow::datatypes::Int64Type>().values(), &[10, 20]);
//! # Ok::<(), lodestore_core::Error>(())
//! ```

pub mod embedded;
pub mod row;

#[cfg(test)]
mod fixture;
