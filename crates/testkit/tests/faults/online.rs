//! Online stores that are wrong in one point.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::array::{Array, BinaryArray, new_null_array};
use async_trait::async_trait;
use lodestore_core::Result;
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::online::{
    Capability, FeatureStatus, MemoryOnlineStore, OnlineCell, OnlineRows, OnlineStore, OnlineView, ViewKeys, Watermark,
    WriteReport,
};
use lodestore_core::rows::{FeatureRows, RowStamp};
use lodestore_core::time::{EventTime, Micros};
use lodestore_testkit::Trial;
use lodestore_testkit::online_suite::{self, OnlineHarness};

use crate::{failures, with_ttl, without_delay};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoreFault {
    None,
    TtlTooLong,
    NoDelay,
    ForgetsDeletes,
    DeletesOnlyWhatIsThere,
    PartialRowsFillWithNulls,
    ArrivalDecides,
    NoValidity,
    KeepsTheNewestAlone,
    ReadsLater,
    NullIsNotFound,
    LosesWatermarks,
    ProjectsShareRows,
    CountsEverythingAsWritten,
    ForgetsEventIds,
    DropsLateEvents,
    CollectsTooMuch,
    AnswersAtWholeHops,
}

#[derive(Debug)]
struct FaultyStore {
    fault: StoreFault,
    store: MemoryOnlineStore,
    arrivals: AtomicI64,
}

impl FaultyStore {
    fn view(&self, view: &OnlineView) -> OnlineView {
        let mut view = view.clone();
        match self.fault {
            StoreFault::TtlTooLong => view.version = with_ttl(&view.version, 1),
            StoreFault::NoDelay => view.version = without_delay(&view.version),
            StoreFault::ProjectsShareRows => view = OnlineView::new("all".parse().unwrap(), view.version),
            _ => {}
        }
        view
    }

    fn stamp(&self, stamp: RowStamp) -> RowStamp {
        match self.fault {
            StoreFault::ArrivalDecides => {
                let created = EventTime::from_micros(self.arrivals.fetch_add(1, Ordering::SeqCst));
                RowStamp { created, ..stamp }
            }
            StoreFault::NoValidity => RowStamp { valid_to: EventTime::MAX, ..stamp },
            _ => stamp,
        }
    }

    fn rows(&self, view: &OnlineView, rows: &FeatureRows) -> FeatureRows {
        let stamps = rows.stamps().iter().map(|stamp| self.stamp(*stamp)).collect();
        let mut features = rows.features().to_vec();
        if self.fault == StoreFault::PartialRowsFillWithNulls && !view.version.definition.is_aggregated() {
            let column = |place: usize| {
                let given = rows.features().iter().find(|(other, _)| *other == place);
                let ty = view.version.features[place].feature_type.to_arrow();
                (place, given.map_or_else(|| new_null_array(&ty, rows.len()), |(_, column)| Arc::clone(column)))
            };
            features = (0..view.version.features.len()).map(column).collect();
        }
        let all = FeatureRows::new(rows.keys().clone(), stamps, features).unwrap();
        let Some(ids) = rows.event_ids() else { return all };
        let new = (0..ids.len()).map(|_| self.arrivals.fetch_add(1, Ordering::SeqCst).to_le_bytes());
        let ids = match self.fault {
            StoreFault::ForgetsEventIds => BinaryArray::from_iter_values(new),
            _ => ids.clone(),
        };
        all.with_event_ids(ids).unwrap()
    }

    /// Leaves out the events that happened before others of earlier writes.
    fn in_time(&self, view: &OnlineView, rows: FeatureRows) -> FeatureRows {
        if self.fault != StoreFault::DropsLateEvents || !view.version.definition.is_aggregated() {
            return rows;
        }
        let newest = rows.stamps().iter().map(|stamp| stamp.event.as_micros()).max().unwrap_or(0);
        let before = self.arrivals.fetch_max(newest, Ordering::SeqCst);
        let is_late = |row: &u32| rows.stamps()[*row as usize].event.as_micros() < before;
        let kept: Vec<u32> = (0..rows.len() as u32).filter(|row| !is_late(row)).collect();
        rows.take(&kept.into()).unwrap()
    }
}

#[async_trait]
impl OnlineStore for FaultyStore {
    fn capability(&self) -> Capability {
        self.store.capability()
    }

    async fn prepare(&self, views: &[OnlineView]) -> Result<()> {
        self.store.prepare(&views.iter().map(|view| self.view(view)).collect::<Vec<_>>()).await
    }

    async fn write(
        &self,
        view: &OnlineView,
        rows: &FeatureRows,
        now: EventTime,
        watermark: Option<Watermark>,
    ) -> Result<WriteReport> {
        let far = EventTime::MAX.minus(Micros::from_seconds(1));
        let now = if self.fault == StoreFault::KeepsTheNewestAlone { far } else { now };
        let watermark = watermark.filter(|_| self.fault != StoreFault::LosesWatermarks);
        let report =
            self.store.write(&self.view(view), &self.in_time(view, self.rows(view, rows)), now, watermark).await?;
        Ok(match self.fault {
            StoreFault::CountsEverythingAsWritten => WriteReport { written: rows.len() as u64, skipped: 0 },
            _ => report,
        })
    }

    async fn find(&self, asked: &[ViewKeys<'_>], as_of: EventTime) -> Result<Box<dyn OnlineRows>> {
        let later = if self.fault == StoreFault::ReadsLater { 1 } else { 0 };
        let views: Vec<_> = asked.iter().map(|asked| self.view(asked.view)).collect();
        let asked: Vec<_> = views.iter().zip(asked).map(|(view, asked)| ViewKeys { view, keys: asked.keys }).collect();
        let over = as_of.as_micros().rem_euclid(10);
        let is_windowed = asked.iter().any(|asked| asked.view.version.definition.is_aggregated());
        let early = if self.fault == StoreFault::AnswersAtWholeHops && is_windowed { over } else { 0 };
        let found = self.store.find(&asked, as_of.plus(Micros::new(later)?).minus(Micros::new(early)?)).await?;
        Ok(if self.fault == StoreFault::NullIsNotFound { Box::new(NullIsNotFound(found)) } else { found })
    }

    async fn delete(&self, view: &OnlineView, keys: &EntityKeys, at: EventTime) -> Result<()> {
        match self.fault {
            StoreFault::ForgetsDeletes => Ok(()),
            StoreFault::DeletesOnlyWhatIsThere => self.store.delete(&self.view(view), keys, EventTime::MIN).await,
            _ => self.store.delete(&self.view(view), keys, at).await,
        }
    }

    async fn watermark(&self, view: &OnlineView) -> Result<Watermark> {
        self.store.watermark(&self.view(view)).await
    }

    async fn collect(&self, view: &OnlineView, now: EventTime) -> Result<u64> {
        let late = if self.fault == StoreFault::CollectsTooMuch { 30 } else { 0 };
        self.store.collect(&self.view(view), now.plus(Micros::new(late)?)).await
    }

    async fn retire(&self, views: &[OnlineView]) -> Result<()> {
        self.store.retire(&views.iter().map(|view| self.view(view)).collect::<Vec<_>>()).await
    }
}

#[derive(Debug)]
struct NullIsNotFound(Box<dyn OnlineRows>);

impl OnlineRows for NullIsNotFound {
    fn get(&self, view: usize, key: usize, feature: usize) -> Result<OnlineCell<'_>> {
        let cell = self.0.get(view, key, feature)?;
        let status = if cell.status == FeatureStatus::NullValue { FeatureStatus::NotFound } else { cell.status };
        Ok(OnlineCell { status, ..cell })
    }
}

#[async_trait]
impl OnlineHarness for StoreFault {
    async fn open(&self, _place: &str) -> Result<Arc<dyn OnlineStore>> {
        let store = MemoryOnlineStore::new();
        Ok(Arc::new(FaultyStore { fault: *self, store, arrivals: AtomicI64::new(0) }))
    }
}

/// Returns the tests of the suite: the random windows, which take longest, and the others.
fn trials(fault: StoreFault) -> (Vec<Trial>, Vec<Trial>) {
    let trials = online_suite::trials(Arc::new(fault));
    trials.into_iter().partition(|trial| trial.name() == "online::w2_property")
}

#[test]
fn the_online_suite_finds_known_faults() {
    assert_eq!(failures("online", online_suite::trials(Arc::new(StoreFault::None))), 0);
    let found = |fault, trials| {
        assert!(failures("online", trials) > 0, "no test finds the fault {fault:?}");
    };
    for fault in [
        StoreFault::TtlTooLong,
        StoreFault::NoDelay,
        StoreFault::ForgetsDeletes,
        StoreFault::DeletesOnlyWhatIsThere,
        StoreFault::PartialRowsFillWithNulls,
        StoreFault::ArrivalDecides,
        StoreFault::NoValidity,
        StoreFault::KeepsTheNewestAlone,
        StoreFault::ReadsLater,
        StoreFault::NullIsNotFound,
        StoreFault::LosesWatermarks,
        StoreFault::ProjectsShareRows,
        StoreFault::CountsEverythingAsWritten,
    ] {
        found(fault, trials(fault).1);
    }
    // The random windows find these alone, and others do.
    for fault in [
        StoreFault::ForgetsEventIds,
        StoreFault::DropsLateEvents,
        StoreFault::CollectsTooMuch,
        StoreFault::AnswersAtWholeHops,
    ] {
        let (random, others) = trials(fault);
        found(fault, random);
        found(fault, others);
    }
}
