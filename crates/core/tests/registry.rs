//! Runs the registry suite on the registry in memory.

use std::sync::Arc;

use async_trait::async_trait;
use lodestore_core::registry::{MemoryRegistry, RegistryStore};
use lodestore_testkit::registry_suite::{self, RegistryHarness};

struct Memory;

#[async_trait]
impl RegistryHarness for Memory {
    async fn open(&self, _place: &str) -> lodestore_core::Result<Arc<dyn RegistryStore>> {
        Ok(Arc::new(MemoryRegistry::new()))
    }
}

fn main() {
    let arguments = lodestore_testkit::Arguments::from_args();
    lodestore_testkit::run(&arguments, registry_suite::trials(Arc::new(Memory))).exit();
}
