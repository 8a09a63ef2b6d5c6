//! What all requests share.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::RecordBatch;
use axum::http::HeaderMap;
use lodestore::core::time::Stopwatch;
use lodestore::core::{Error, Result};
use lodestore::{Defaults, FeatureStore, OnlineAnswer, OnlinePlan};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::auth::{Action, Authorizer, Caller, credential};
use crate::limits::Limits;
use crate::metrics::Metrics;

/// Answers of so many values take about a millisecond: a thread that answers others too may not be held up for longer.
const VALUES_AT_ONCE: usize = 10_000;

/// To find a key's row in a view takes as long as to write so many values.
const VALUES_A_ROW: usize = 8;

/// What all requests of a server share: HTTP and gRPC alike.
#[derive(Debug)]
pub struct AppState {
    /// The feature store.
    pub store: Arc<FeatureStore>,
    /// What is counted and measured.
    pub metrics: Metrics,
    /// What a request may take.
    pub limits: Limits,
    /// Who may do what.
    pub authorizer: Arc<dyn Authorizer>,
    in_flight: Semaphore,
    long_answers: Semaphore,
    buffered: AtomicUsize,
    is_draining: AtomicBool,
    pub(crate) materializing: Mutex<BTreeSet<String>>,
}

impl AppState {
    /// Returns the state of a server that begins.
    #[must_use]
    pub fn new(store: Arc<FeatureStore>, limits: Limits, authorizer: Arc<dyn Authorizer>) -> Self {
        Self {
            store,
            metrics: Metrics::new(),
            in_flight: Semaphore::new(limits.in_flight),
            long_answers: Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)),
            limits,
            authorizer,
            buffered: AtomicUsize::new(0),
            is_draining: AtomicBool::new(false),
            materializing: Mutex::new(BTreeSet::new()),
        }
    }

    /// Returns who sends a request, if they may do this. The key is taken from `Authorization: Bearer`
    /// or `X-API-Key`; gRPC's metadata has the same names.
    ///
    /// # Errors
    /// `Unauthenticated` without a valid key where one is needed; `PermissionDenied` if it does not do.
    pub fn authorize(&self, headers: &HeaderMap, action: Action) -> Result<Caller> {
        let caller = self.authorizer.authenticate(credential(headers))?;
        self.authorizer.authorize(&caller, action)?;
        Ok(caller)
    }

    /// Returns a place among the requests that are worked on. Hold it until the answer is made.
    ///
    /// # Errors
    /// `Unavailable` if there are too many already.
    pub fn admit(&self) -> Result<SemaphorePermit<'_>> {
        self.in_flight.try_acquire().map_err(|_| {
            Error::unavailable(format!(
                "the server works on {} requests already; try again, or raise max_in_flight",
                self.limits.in_flight
            ))
        })
    }

    /// Returns how many requests are worked on.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.limits.in_flight.saturating_sub(self.in_flight.available_permits())
    }

    /// Checks how many keys or rows a request has.
    ///
    /// # Errors
    /// `Invalid` for too many, naming the limit.
    pub fn check_entities(&self, count: usize) -> Result<()> {
        if count <= self.limits.entities {
            return Ok(());
        }
        let most = self.limits.entities;
        Err(Error::invalid(format!("the request has {count} rows; at most {most} are taken (max_entities)")))
    }

    /// Writes with the store on a thread that may wait for the disk: those that answer requests go on.
    ///
    /// # Errors
    /// Those of the work; `Internal` if it panicked.
    pub(crate) async fn writing<T, W>(&self, work: impl FnOnce(Arc<FeatureStore>) -> W) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        apart(work(Arc::clone(&self.store))).await
    }

    /// Reads features, measures how long that takes, and makes of them what is sent. What is much work is done on
    /// another thread, at most one for each core: those that answer requests go on.
    ///
    /// # Errors
    /// `Invalid` for more values than an answer may have; else as [`FeatureStore::online_features`], and those of
    /// `make`.
    pub(crate) async fn answer<T: Send + 'static>(
        self: &Arc<Self>,
        plan: &Arc<OnlinePlan>,
        keys: RecordBatch,
        defaults: Defaults,
        make: impl FnOnce(&Self, &OnlineAnswer) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (rows, columns, most) = (keys.num_rows(), plan.columns().len(), self.limits.values);
        if rows.saturating_mul(columns) > most {
            return Err(Error::invalid(format!(
                "the request asks for {columns} features of {rows} rows; at most {most} values are answered at once"
            )));
        }
        let is_long = rows * columns.max(plan.request().views.len() * VALUES_A_ROW) > VALUES_AT_ONCE;
        let (state, plan) = (Arc::clone(self), Arc::clone(plan));
        let work = async move {
            let reading = Stopwatch::start();
            let answer = state.store.online_features(&plan, keys, defaults).await?;
            state.metrics.store_read(reading.elapsed());
            make(&state, &answer)
        };
        if !is_long {
            return work.await;
        }
        let _turn = self.long_answers.acquire().await;
        apart(work).await
    }

    /// Counts bytes that are being received or sent, until the answer is dropped.
    pub(crate) fn buffer(self: &Arc<Self>) -> Buffered {
        Buffered { state: Arc::clone(self), bytes: 0 }
    }

    /// Returns whether the server is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Relaxed)
    }

    /// Tells all that the server is about to stop: it is no longer ready, and jobs end after the batch at hand.
    pub(crate) fn drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }
}

/// Works on a thread that may take its time.
async fn apart<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let runtime = Handle::current();
    let done = tokio::task::spawn_blocking(move || runtime.block_on(work)).await;
    done.map_err(|e| Error::internal("a request's work ended early").with_source(e))?
}

/// Bytes of a body that is being received or sent.
pub(crate) struct Buffered {
    state: Arc<AppState>,
    bytes: usize,
}

impl Buffered {
    /// Counts more bytes.
    ///
    /// # Errors
    /// `Unavailable` if all bodies together are too large.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<()> {
        self.bytes += bytes;
        let all = self.state.buffered.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if all > self.state.limits.buffered_bytes {
            return Err(Error::unavailable(
                "the server receives or sends too many large bodies at the same time; try again",
            ));
        }
        Ok(())
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        self.state.buffered.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
