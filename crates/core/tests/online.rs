//! Runs the online suite on the store in memory.

use std::sync::Arc;

use async_trait::async_trait;
use lodestore_core::online::{MemoryOnlineStore, OnlineStore};
use lodestore_testkit::online_suite::{self, OnlineHarness};

struct Memory;

#[async_trait]
impl OnlineHarness for Memory {
    async fn open(&self, _place: &str) -> lodestore_core::Result<Arc<dyn OnlineStore>> {
        Ok(Arc::new(MemoryOnlineStore::new()))
    }
}

fn main() {
    let arguments = lodestore_testkit::Arguments::from_args();
    lodestore_testkit::run(&arguments, online_suite::trials(Arc::new(Memory))).exit();
}
