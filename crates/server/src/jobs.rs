//! Materialisation on behalf of a request, on threads of its own: reads go on meanwhile.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use lodestore::core::definition::ViewVersion;
use lodestore::core::online::OnlineView;
use lodestore::core::{Error, Result};
use lodestore::{Interval, Progress, Report};
use tokio::sync::oneshot;

use crate::state::AppState;

/// How many threads a job has.
const THREADS: usize = 2;

/// The views of a job that runs. They are free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    state: Arc<AppState>,
    views: Vec<String>,
}

impl Claim {
    /// Claims views for a job.
    ///
    /// # Errors
    /// The names of views that another job has.
    pub(crate) fn new(state: &Arc<AppState>, views: &[Arc<ViewVersion>]) -> std::result::Result<Self, Vec<String>> {
        let names: BTreeSet<String> = views.iter().map(|view| view.reference().to_string()).collect();
        let mut running = state.materializing.lock().unwrap_or_else(PoisonError::into_inner);
        let busy = views.iter().filter(|view| running.contains(&view.reference().to_string()));
        let busy: Vec<_> = busy.map(|view| view.name().to_string()).collect();
        if !busy.is_empty() {
            return Err(busy);
        }
        running.extend(names.iter().cloned());
        Ok(Self { state: Arc::clone(state), views: names.into_iter().collect() })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut running = self.state.materializing.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|view| !self.views.contains(view));
    }
}

/// Stops between batches when the server does: what was committed stays, and the next run goes on.
#[derive(Debug)]
struct UntilDrained(Arc<AppState>);

impl Progress for UntilDrained {
    fn rows_read(&self, _: &OnlineView, _: u64) {}

    fn is_interrupted(&self) -> bool {
        self.0.is_draining()
    }
}

/// Starts to materialize views, one after the other; the reports arrive when all are done.
///
/// # Errors
/// `Unavailable` if the system has no room for threads.
pub(crate) fn start(
    state: &Arc<AppState>,
    views: Vec<Arc<ViewVersion>>,
    interval: Interval,
    claim: Option<Claim>,
) -> Result<oneshot::Receiver<Result<Vec<Report>>>> {
    let (done, receiver) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    let runtime = runtime.map_err(|e| Error::io("starting threads for a job", e))?;
    let state = Arc::clone(state);
    let work = move || {
        let outcome = runtime.block_on(run(&state, views, interval));
        if let Err(error) = &outcome {
            tracing::error!(why = ?error, "materializing failed");
        }
        drop(claim);
        // A client that went away has no use for it; what was written stays.
        let _ = done.send(outcome);
    };
    let thread = std::thread::Builder::new().name("lodestore-job".into()).spawn(work);
    thread.map_err(|e| Error::io("starting a thread for a job", e))?;
    Ok(receiver)
}

async fn run(state: &Arc<AppState>, views: Vec<Arc<ViewVersion>>, interval: Interval) -> Result<Vec<Report>> {
    let progress = UntilDrained(Arc::clone(state));
    let mut reports = Vec::with_capacity(views.len());
    for view in views {
        let report = state.store.materialize(view, interval, &progress).await?;
        tracing::info!(
            view = report.view,
            read = report.rows_read,
            written = report.rows_written,
            refused = report.rows_refused,
            seconds = report.seconds,
            "materialized"
        );
        reports.push(report);
    }
    Ok(reports)
}
