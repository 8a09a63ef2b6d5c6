//! The behaviour suite of online stores, run on each store of this crate.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use async_trait::async_trait;
use lodestore_core::Result;
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::online::{OnlineStore, OnlineView};
use lodestore_core::rows::{FeatureRows, RowStamp};
use lodestore_core::time::EventTime;
use lodestore_core::types::KeyType;
use lodestore_online::embedded::{EmbeddedConfig, EmbeddedStore};
use lodestore_testkit::fixture::{definitions, online_view};
use lodestore_testkit::online_suite::{self, OnlineHarness};
use lodestore_testkit::{Arguments, run};

struct Embedded {
    folder: tempfile::TempDir,
}

impl Embedded {
    /// Returns settings that leave no room for more than a few rows.
    fn tiny(&self, place: &str) -> EmbeddedConfig {
        EmbeddedConfig { map_size_bytes: 1 << 16, ..EmbeddedConfig::at(self.path(place)) }
    }

    fn path(&self, place: &str) -> PathBuf {
        self.folder.path().join(place).join("online_store.db")
    }
}

#[async_trait]
impl OnlineHarness for Embedded {
    async fn open(&self, place: &str) -> Result<Arc<dyn OnlineStore>> {
        Ok(Arc::new(EmbeddedStore::open(EmbeddedConfig::at(self.path(place)))?))
    }

    async fn open_failing(&self, place: &str) -> Result<Option<Arc<dyn OnlineStore>>> {
        let store = EmbeddedStore::open(self.tiny(place))?;
        fill(&store)?;
        Ok(Some(Arc::new(store)))
    }

    fn fails_on_demand(&self) -> bool {
        true
    }
}

/// Writes smaller and smaller rows of another view until not even the smallest has room.
fn fill(store: &EmbeddedStore) -> Result<()> {
    let view = filler()?;
    let mut id = 0_i64;
    for length in [8_000, 1_000, 100, 1] {
        loop {
            id += 1;
            let ids: ArrayRef = Arc::new(arrow::array::Int64Array::from(vec![id]));
            let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(length)]));
            let keys = EntityKeys::encode(1, &[("id", &ids, KeyType::Int64)])?;
            let rows = FeatureRows::new(keys, vec![RowStamp::at(EventTime::from_micros(0))], vec![(0, text)])?;
            if store.write_now(&view, &rows, EventTime::from_micros(1), None).is_err() {
                break;
            }
        }
    }
    Ok(())
}

fn filler() -> Result<OnlineView> {
    let definitions = definitions(
        "entities: [{name: e, join_keys: [{name: id, type: int64}]}]
data_sources: [{name: s, type: file, path: s.parquet, timestamp_field: at}]
feature_views: [{name: filler, entities: [e], source: s, schema: [{name: text, type: string}]}]",
    );
    let view = definitions.and_then(|definitions| online_view(&definitions, "filler", "filler"));
    view.map_err(|failed| lodestore_core::Error::internal(failed.message().unwrap_or_default()))
}

fn main() -> std::io::Result<()> {
    // The suite commits many thousands of times, and none of its tests is about the disk.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
    let embedded = Arc::new(Embedded { folder });
    run(&Arguments::from_args(), online_suite::trials(embedded)).exit()
}
