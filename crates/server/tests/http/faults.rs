//! A store that is slow, fails or panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use lodestore::core::entity_key::EntityKeys;
use lodestore::core::offline::MemoryEngine;
use lodestore::core::online::{
    Capability, MemoryOnlineStore, OnlineRows, OnlineStore, OnlineView, ViewKeys, Watermark, WriteReport,
};
use lodestore::core::registry::MemoryRegistry;
use lodestore::core::rows::FeatureRows;
use lodestore::core::time::{EventTime, ManualClock};
use lodestore::core::{Error, Result};
use lodestore::{Components, FeatureStore};
use lodestore_server::{Limits, NoAuth, ServerOptions};
use serde_json::json;

use crate::client::Answer;
use crate::definitions::NOW;
use crate::support::{Running, apply, moment, options, runtime};

const FINE: u8 = 0;
const SLOW: u8 = 1;
const AWAY: u8 = 2;
const DAMAGED: u8 = 3;
const PANICS: u8 = 4;

/// How long a slow read takes.
pub(crate) const SLOWLY: Duration = Duration::from_millis(600);

/// A store in memory whose reads go wrong as it is told.
#[derive(Debug)]
pub(crate) struct Faulty {
    store: MemoryOnlineStore,
    fault: AtomicU8,
}

#[async_trait]
impl OnlineStore for Faulty {
    fn capability(&self) -> Capability {
        self.store.capability()
    }

    async fn prepare(&self, views: &[OnlineView]) -> Result<()> {
        self.store.prepare(views).await
    }

    async fn write(
        &self,
        view: &OnlineView,
        rows: &FeatureRows,
        now: EventTime,
        watermark: Option<Watermark>,
    ) -> Result<WriteReport> {
        self.store.write(view, rows, now, watermark).await
    }

    async fn find(&self, asked: &[ViewKeys<'_>], as_of: EventTime) -> Result<Box<dyn OnlineRows>> {
        match self.fault.load(Ordering::SeqCst) {
            SLOW => tokio::time::sleep(SLOWLY).await,
            AWAY => return Err(Error::unavailable("the store is away")),
            DAMAGED => return Err(Error::corrupt("page 7 is damaged")),
            PANICS => panic!("a bug"),
            _ => {}
        }
        self.store.find(asked, as_of).await
    }

    async fn delete(&self, view: &OnlineView, keys: &EntityKeys, at: EventTime) -> Result<()> {
        self.store.delete(view, keys, at).await
    }

    async fn watermark(&self, view: &OnlineView) -> Result<Watermark> {
        self.store.watermark(view).await
    }

    async fn retire(&self, views: &[OnlineView]) -> Result<()> {
        self.store.retire(views).await
    }
}

const VIEW: &str = "
version: 1
entities: [{name: driver, join_keys: [{name: driver_id, type: int64}]}]
data_sources: [{name: events, type: push}]
feature_views: [{name: stats, entities: [driver], source: events, schema: [{name: trips, type: int64}]}]
";

/// Starts a server over a store that can be told to go wrong.
fn start(options: &ServerOptions) -> (Running, Arc<Faulty>) {
    let faulty = Arc::new(Faulty { store: MemoryOnlineStore::new(), fault: AtomicU8::new(FINE) });
    let components = Components {
        registry: Arc::new(MemoryRegistry::new()),
        online: Arc::clone(&faulty) as Arc<dyn OnlineStore>,
        engine: Arc::new(MemoryEngine::new()),
        clock: Arc::new(ManualClock::new(moment(NOW))),
    };
    let store = FeatureStore::with_components("faulty".parse().unwrap(), "/nowhere".into(), components);
    let (runtime, store) = (runtime(), Arc::new(store));
    runtime.block_on(apply(&store, VIEW));
    (Running::over(runtime, store, options, Arc::new(NoAuth)), faulty)
}

/// Starts a server whose reads are slow.
pub(crate) fn slow(options: &ServerOptions) -> Running {
    let (server, faulty) = start(options);
    faulty.fault.store(SLOW, Ordering::SeqCst);
    server
}

pub(crate) const READ: &str = r#"{"features": ["stats:trips"], "entities": {"driver_id": [1]}}"#;

#[test]
fn faults_of_ours_are_5xx_and_the_server_goes_on() {
    let (server, faulty) = start(&options(Limits::default()));
    let read = |fault: u8| -> Answer {
        faulty.fault.store(fault, Ordering::SeqCst);
        server.post_text("/get-online-features", READ)
    };
    read(FINE).ok();
    let away = read(AWAY).has_status(503);
    assert_eq!(away.header("retry-after"), Some("1"));
    assert!(away.feast_error().1.contains("the store is away"));
    assert!(read(DAMAGED).has_status(500).feast_error().1.contains("page 7 is damaged"));
    let panicked = read(PANICS).has_status(500);
    assert!(panicked.header("x-request-id").is_some());
    assert!(!panicked.feast_error().1.contains("a bug"));
    read(FINE).ok();
    assert_eq!(server.state.in_flight(), 0);
}

#[test]
fn an_answer_that_takes_too_long_is_504() {
    let server = slow(&options(Limits { request_time: Duration::from_millis(50), ..Limits::default() }));
    let late = server.post_text("/get-online-features", READ).has_status(504);
    assert!(late.feast_error().1.contains("request_seconds"));
    let own = server.post_text("/v1/online-features", READ).has_status(504).own_error();
    assert_eq!(own.0, "unavailable");
    assert_eq!(server.state.in_flight(), 0);
}

#[test]
fn requests_beyond_those_that_are_worked_on_are_refused() {
    let server = slow(&options(Limits { in_flight: 1, ..Limits::default() }));
    let address = server.address;
    let first =
        std::thread::spawn(move || crate::client::send(address, "POST", "/get-online-features", &[], READ.as_bytes()));
    while server.state.in_flight() == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    server.post_text("/get-online-features", READ).has_status(503);
    first.join().unwrap().ok();
    server.post_text("/get-online-features", READ).ok();
    assert!(server.state.metrics.encode(0).unwrap().contains("status=\"503\"} 1"));
    // Rows of a request that is gone are not kept.
    assert_eq!(json!(server.state.in_flight()), json!(0));
}
