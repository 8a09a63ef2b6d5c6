//! Waiting for the facade's futures without holding up Python.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lodestore::core::Error;
use pyo3::prelude::*;
use tokio::runtime::Runtime;

use crate::error::Result;

/// How often a wait looks for Ctrl-C.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

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
