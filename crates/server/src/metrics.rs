//! What is counted and measured, and its form for Prometheus.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use lodestore::core::online::FeatureStatus;
use lodestore::core::request::FeatureRequest;
use lodestore::core::time::{Clock, EventTime, SystemClock};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper ends of the buckets of latencies, in seconds.
const BUCKETS: [f64; 16] =
    [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// What a request was about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    service: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TimeLabels {
    route: &'static str,
    service: String,
}

fn latencies() -> Histogram {
    Histogram::new(BUCKETS)
}

/// The statuses in the order of the counters.
const STATUSES: [FeatureStatus; 4] =
    [FeatureStatus::Present, FeatureStatus::NullValue, FeatureStatus::NotFound, FeatureStatus::OutsideMaxAge];

fn place(status: FeatureStatus) -> usize {
    match status {
        FeatureStatus::Present => 0,
        FeatureStatus::NullValue => 1,
        FeatureStatus::NotFound => 2,
        FeatureStatus::OutsideMaxAge => 3,
    }
}

/// What was found in one view for one request: how many values of each status, and the newest event.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    counts: [u64; 4],
    newest: EventTime,
}

impl Default for Found {
    fn default() -> Self {
        Self { counts: [0; 4], newest: EventTime::MIN }
    }
}

impl Found {
    /// Counts one value.
    #[inline]
    pub fn add(&mut self, status: FeatureStatus, event_time: Option<EventTime>) {
        self.counts[place(status)] += 1;
        if let Some(time) = event_time {
            self.newest = self.newest.max(time);
        }
    }
}

/// What was found in one view so far.
#[derive(Debug)]
struct ViewCounts {
    counts: [AtomicU64; 4],
    newest: AtomicI64,
}

impl Default for ViewCounts {
    fn default() -> Self {
        Self { counts: Default::default(), newest: AtomicI64::new(i64::MIN) }
    }
}

impl ViewCounts {
    fn add(&self, found: &Found) {
        for (all, more) in self.counts.iter().zip(found.counts) {
            if more > 0 {
                all.fetch_add(more, Ordering::Relaxed);
            }
        }
        // Most requests see nothing newer: a plain load is cheaper than a write to a shared line.
        if self.newest.load(Ordering::Relaxed) < found.newest.as_micros() {
            self.newest.fetch_max(found.newest.as_micros(), Ordering::Relaxed);
        }
    }
}

#[derive(Debug, Default)]
struct Views(RwLock<HashMap<String, Arc<ViewCounts>>>);

impl Views {
    fn get(&self, name: &str) -> Arc<ViewCounts> {
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(known);
        }
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(name.to_owned()).or_default())
    }
}

/// What is counted and measured.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    seconds: Family<TimeLabels, Histogram, fn() -> Histogram>,
    store_seconds: Histogram,
    rows_written: Counter,
    views: Arc<Views>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Returns metrics that count from zero.
    #[must_use]
    pub fn new() -> Self {
        let requests = Family::default();
        let seconds = Family::new_with_constructor(latencies as fn() -> Histogram);
        let (store_seconds, rows_written) = (latencies(), Counter::default());
        let views = Arc::new(Views::default());
        let mut registry = Registry::with_prefix("lodestore");
        registry.register("requests", "Requests that were answered", requests.clone());
        registry.register_with_unit(
            "request_duration",
            "How long answers took",
            Unit::Seconds,
            Family::clone(&seconds),
        );
        registry.register_with_unit(
            "store_read_duration",
            "How long the online store took to read features for a request",
            Unit::Seconds,
            store_seconds.clone(),
        );
        registry.register("rows_written", "Rows that pushes and writes stored", rows_written.clone());
        registry.register_collector(Box::new(ViewCollector(Arc::clone(&views))));
        Self { registry, requests, seconds, store_seconds, rows_written, views }
    }

    /// Counts an answered request. `service` is the feature service that was asked for, else empty; only
    /// names that are registered, so that clients can't make up more and more.
    pub fn request(&self, route: &'static str, service: &str, status: u16, took: Duration) {
        self.requests.get_or_create(&RequestLabels { route, service: service.to_owned(), status }).inc();
        let labels = TimeLabels { route, service: service.to_owned() };
        self.seconds.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Measures a read of the online store.
    pub fn store_read(&self, took: Duration) {
        self.store_seconds.observe(took.as_secs_f64());
    }

    /// Counts rows that a push or write stored.
    pub fn rows_written(&self, rows: u64) {
        self.rows_written.inc_by(rows);
    }

    /// Counts what was found in each view of a request.
    pub fn found_in_views(&self, request: &FeatureRequest, found: &[Found]) {
        // Looked up under one lock: all requests come by here.
        let known = self.views.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut new = Vec::new();
        for (view, found) in request.views.iter().zip(found) {
            let name = view.version.name().as_str();
            match known.get(name) {
                Some(counts) => counts.add(found),
                None => new.push((name, found)),
            }
        }
        drop(known);
        new.into_iter().for_each(|(name, found)| self.found(name, found));
    }

    /// Counts what was found in a view.
    pub fn found(&self, view: &str, found: &Found) {
        self.views.get(view).add(found);
    }

    /// Returns all in the text form of OpenMetrics.
    ///
    /// # Errors
    /// Only if text can't be written to memory.
    pub fn encode(&self, in_flight: usize) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode_registry(&mut text, &self.registry)?;
        let mut now = Registry::with_prefix("lodestore");
        let gauge: prometheus_client::metrics::gauge::Gauge = Default::default();
        gauge.set(in_flight as i64);
        now.register("requests_in_flight", "Requests that are worked on", gauge);
        prometheus_client::encoding::text::encode_registry(&mut text, &now)?;
        // What any process has goes by the name that all exporters give it.
        let mut process = Registry::default();
        process.register_collector(Box::new(ProcessCollector));
        prometheus_client::encoding::text::encode_registry(&mut text, &process)?;
        prometheus_client::encoding::text::encode_eof(&mut text)?;
        Ok(text)
    }
}

/// What was found by view and status, and how old the newest event is that was seen.
#[derive(Debug)]
struct ViewCollector(Arc<Views>);

impl Collector for ViewCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let views = self.0.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut views: Vec<_> = views.iter().collect();
        views.sort_by_key(|(name, _)| name.as_str());
        let counter = ConstCounter::new(0_u64);
        let mut family = encoder.encode_descriptor(
            "values_read",
            "Values that were asked for, by what was found.",
            None,
            counter.metric_type(),
        )?;
        for (view, counts) in &views {
            for (status, count) in STATUSES.iter().zip(&counts.counts) {
                let labels = [("view", view.as_str()), ("status", status.as_str())];
                ConstCounter::new(count.load(Ordering::Relaxed)).encode(family.encode_family(&labels)?)?;
            }
        }
        let gauge = ConstGauge::new(0.0);
        let mut family = encoder.encode_descriptor(
            "newest_event_age",
            "How long ago the newest event happened that was read of a view.",
            Some(&Unit::Seconds),
            gauge.metric_type(),
        )?;
        let now = SystemClock.now().as_micros();
        for (view, counts) in &views {
            let newest = counts.newest.load(Ordering::Relaxed);
            if newest != i64::MIN {
                let age = now.saturating_sub(newest) as f64 / 1e6;
                ConstGauge::new(age).encode(family.encode_family(&[("view", view.as_str())])?)?;
            }
        }
        Ok(())
    }
}

/// What the process takes.
#[derive(Debug)]
struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(bytes) = resident_bytes() else { return Ok(()) };
        let gauge = ConstGauge::new(bytes);
        let family = encoder.encode_descriptor(
            "process_resident_memory",
            "Memory of the process that is resident.",
            Some(&Unit::Bytes),
            gauge.metric_type(),
        )?;
        gauge.encode(family)
    }
}

/// Returns the resident memory, where the system tells it in `/proc`.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_told() {
        let metrics = Metrics::new();
        metrics.request("/push", "", 200, Duration::from_millis(3));
        metrics.request("/get-online-features", "activity", 404, Duration::from_micros(70));
        metrics.rows_written(5);
        let mut found = Found::default();
        found.add(FeatureStatus::Present, Some(EventTime::from_micros(0)));
        found.add(FeatureStatus::NotFound, None);
        metrics.found("driver_stats", &found);
        let text = metrics.encode(7).unwrap();
        for line in [
            "lodestore_requests_total{route=\"/push\",service=\"\",status=\"200\"} 1",
            "lodestore_requests_total{route=\"/get-online-features\",service=\"activity\",status=\"404\"} 1",
            "lodestore_request_duration_seconds_bucket{le=\"0.0025\",route=\"/push\",service=\"\"} 0",
            "lodestore_request_duration_seconds_bucket{le=\"0.005\",route=\"/push\",service=\"\"} 1",
            "lodestore_rows_written_total 5",
            "lodestore_values_read_total{view=\"driver_stats\",status=\"PRESENT\"} 1",
            "lodestore_values_read_total{view=\"driver_stats\",status=\"NOT_FOUND\"} 1",
            "lodestore_requests_in_flight 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
        }
        let age = text
            .lines()
            .find_map(|line| line.strip_prefix("lodestore_newest_event_age_seconds{view=\"driver_stats\"} "));
        assert!(age.unwrap().parse::<f64>().unwrap() > 1e9);
        assert!(text.ends_with("# EOF\n"));
    }
}
