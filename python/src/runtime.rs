//! Waiting for the facade's futures without holding up Python.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lodestore::core::Error;
use lodestore::core::offline::RunReport;
use pyo3::prelude::*;
use tokio::runtime::Runtime;

use crate::error::Result;
use crate::progress::Line;

/// How often a wait looks for Ctrl-C.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

/// How long work that was told to stop may take to clean up before the caller goes on without it.
const STOPS_WITHIN: Duration = Duration::from_millis(150);

/// The process's runtime. A forked child has none of its parent's threads and makes its own.
static RUNTIME: Mutex<Option<(u32, Arc<Runtime>)>> = Mutex::new(None);

fn runtime() -> Result<Arc<Runtime>> {
    let mut current = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    if let Some((owner, runtime)) = current.as_ref()
        && *owner == process
    {
        return Ok(Arc::clone(runtime));
    }
    let made = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("lodestore").build();
    let made = Arc::new(made.map_err(|e| Error::io("starting threads", e))?);
    if let Some(inherited) = current.replace((process, Arc::clone(&made))) {
        // Dropping it would wait for threads that the child does not have.
        std::mem::forget(inherited);
    }
    Ok(made)
}

/// Waits for a future with the GIL released, unless it is there at once, as what is read from memory is. Ctrl-C
/// drops the future and raises `KeyboardInterrupt`.
pub(crate) fn wait_if_needed<T: Send, E: Send>(
    py: Python<'_>,
    future: impl Future<Output = std::result::Result<T, E>> + Send,
) -> Result<T>
where
    crate::error::PyError: From<E>,
{
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(done) => Ok(done?),
        Poll::Pending => wait(py, future),
    }
}

/// Waits for a future with the GIL released. Ctrl-C drops the future and raises `KeyboardInterrupt`.
pub(crate) fn wait<T: Send, E: Send>(
    py: Python<'_>,
    future: impl Future<Output = std::result::Result<T, E>> + Send,
) -> Result<T>
where
    crate::error::PyError: From<E>,
{
    let runtime = runtime()?;
    py.detach(|| {
        runtime.block_on(async {
            let mut future = std::pin::pin!(future);
            loop {
                match tokio::time::timeout(SIGNALS_EVERY, &mut future).await {
                    Ok(done) => return Ok(done?),
                    Err(_) => Python::attach(|py| py.check_signals())?,
                }
            }
        })
    })
}

/// Waits for a retrieval, which runs on other threads, with the GIL released, and draws what its report tells.
/// Ctrl-C stops it, wherever it is, and raises `KeyboardInterrupt`.
pub(crate) fn run<T: Send + 'static>(
    py: Python<'_>,
    report: &RunReport,
    work: impl Future<Output = lodestore::core::Result<T>> + Send + 'static,
) -> Result<T> {
    let runtime = runtime()?;
    let mut task = runtime.spawn(work);
    let line = Line::new(None);
    py.detach(|| {
        let mut until = |limit| runtime.block_on(async { tokio::time::timeout(limit, &mut task).await });
        let done = loop {
            if let Ok(done) = until(SIGNALS_EVERY) {
                break done;
            }
            if let Err(interrupt) = Python::attach(|py| py.check_signals()) {
                report.cancel();
                let _ = until(STOPS_WITHIN);
                task.abort();
                line.clear();
                return Err(interrupt.into());
            }
            line.show(|_| report.progress());
        };
        line.clear();
        Ok(done.map_err(|e| Error::internal(format!("a retrieval ended early: {e}")))??)
    })
}
