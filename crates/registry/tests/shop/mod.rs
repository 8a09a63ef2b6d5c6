//! A small project that tests apply and change.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    reason = "a module of several test crates, each of which uses a part of it"
)]

use futures::executor::block_on;
use lodestore_core::Result;
use lodestore_core::definition::Definitions;
use lodestore_core::document::Document;
use lodestore_core::name::ProjectName;
use lodestore_core::registry::{ApplyRecord, RegistryStore, Snapshot};
use lodestore_core::time::EventTime;
use lodestore_registry::{Plan, PlanOptions, apply, plan};

pub const SHOP: &str = "
version: 1
entities:
  - {name: driver, join_keys: [{name: driver_id, type: int64}]}
data_sources:
  - {type: file, name: stats, path: stats.parquet, timestamp_field: at}
  - {type: file, name: trip_log, path: trips.csv, timestamp_field: at}
  - {type: push, name: live_trips, batch_source: trip_log}
feature_views:
  - name: driver_stats
    entities: [driver]
    source: stats
    ttl: 1d
    schema: [{name: conv_rate, type: float32}, {name: trips, type: int64}]
  - name: trips
    entities: [driver]
    source: live_trips
    schema: [{name: fare, type: float64, default: 0}]
feature_services:
  - {name: model_v1, features: ['driver_stats:conv_rate']}
";

/// The moment of revision `n`, so that times tell in which commit something was made.
pub fn at(n: u64) -> EventTime {
    EventTime::from_micros(1_700_000_000_000_000 + i64::try_from(n).unwrap_or_default())
}

pub fn definitions(text: &str) -> Result<Definitions> {
    Document::parse_yaml(text, "shop.yaml")?.into_definitions()
}

/// The project in a registry.
pub struct Shop<S> {
    pub store: S,
    pub project: ProjectName,
}

impl<S: RegistryStore> Shop<S> {
    pub fn new(store: S) -> Self {
        Self { store, project: "shop".parse().expect("a name") }
    }

    pub fn applied(self) -> Result<Self> {
        self.apply(SHOP, &PlanOptions::default())?;
        Ok(self)
    }

    pub fn load(&self) -> Result<Snapshot> {
        block_on(self.store.load(&self.project))
    }

    pub fn history(&self) -> Result<Vec<ApplyRecord>> {
        block_on(self.store.history(&self.project, usize::MAX))
    }

    pub fn plan_definitions(&self, wanted: &Definitions, options: &PlanOptions) -> Result<Plan> {
        let current = self.load()?;
        plan(&current, wanted, options, at(current.revision))
    }

    pub fn plan(&self, text: &str, options: &PlanOptions) -> Result<Plan> {
        self.plan_definitions(&definitions(text)?, options)
    }

    pub fn apply_plan(&self, plan: &Plan) -> Result<u64> {
        block_on(apply(&self.store, plan, "tester", at(plan.base_revision)))
    }

    pub fn apply_definitions(&self, wanted: &Definitions, options: &PlanOptions) -> Result<u64> {
        self.apply_plan(&self.plan_definitions(wanted, options)?)
    }

    pub fn apply(&self, text: &str, options: &PlanOptions) -> Result<u64> {
        self.apply_definitions(&definitions(text)?, options)
    }
}
