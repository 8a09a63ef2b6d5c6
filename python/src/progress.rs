//! Progress of long work, on standard error.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use lodestore::Progress;
use lodestore::core::online::OnlineView;
use lodestore::core::time::Stopwatch;
use pyo3::prelude::*;

/// Work that takes less is not told of.
const FIRST_AFTER: Duration = Duration::from_millis(500);

/// How often the line is drawn anew.
const REDRAW_EVERY: Duration = Duration::from_millis(200);

/// The variable that, set to 0, keeps the line away.
const SWITCH: &str = "LODESTORE_PROGRESS";

/// A line that is drawn over itself while work goes on, if anybody is there to see it.
pub(crate) struct Line {
    wish: Option<bool>,
    is_seen: OnceLock<bool>,
    drawn: Mutex<Drawn>,
}

struct Drawn {
    started: Stopwatch,
    last: Option<Stopwatch>,
    width: usize,
}

impl Line {
    /// Returns a line that is drawn as wished; without a wish, in the main thread of a terminal or notebook.
    pub(crate) fn new(wish: Option<bool>) -> Self {
        Self { wish, is_seen: OnceLock::new(), drawn: Mutex::new(Drawn::nothing()) }
    }

    /// Draws the line, if it is time to; `text` is given how long the work goes on. To be called without the GIL.
    pub(crate) fn show(&self, text: impl FnOnce(Duration) -> Option<String>) {
        let mut drawn = self.drawn();
        let is_due = match drawn.last {
            Some(last) => last.elapsed() >= REDRAW_EVERY,
            None => self.wish == Some(true) || drawn.started.elapsed() >= FIRST_AFTER,
        };
        if !is_due || !*self.is_seen.get_or_init(|| self.wish.unwrap_or_else(|| Python::attach(is_seen))) {
            return;
        }
        if let Some(text) = text(drawn.started.elapsed()) {
            let width = drawn.width;
            Python::attach(|py| write(py, &format!("\r{text:<width$}")));
            (drawn.last, drawn.width) = (Some(Stopwatch::start()), text.chars().count());
        }
    }

    /// Takes the line away; the next one begins anew.
    pub(crate) fn clear(&self) {
        let Drawn { width, .. } = std::mem::replace(&mut *self.drawn(), Drawn::nothing());
        if width > 0 {
            Python::attach(|py| write(py, &format!("\r{:width$}\r", "")));
        }
    }

    fn drawn(&self) -> MutexGuard<'_, Drawn> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drawn {
    fn nothing() -> Self {
        Self { started: Stopwatch::start(), last: None, width: 0 }
    }
}

/// A materialisation tells of its rows, and stops when its future is dropped.
impl Progress for Line {
    fn rows_read(&self, view: &OnlineView, rows: u64) {
        self.show(|elapsed| {
            let rate = rows as f64 / elapsed.as_secs_f64().max(0.001);
            Some(format!("{}: {rows} rows read, {rate:.0} rows/s", view.version.reference()))
        });
    }

    fn is_interrupted(&self) -> bool {
        false
    }
}

/// Returns whether somebody waits and looks: in the main thread, at a terminal or a notebook.
fn is_seen(py: Python<'_>) -> bool {
    let look = || -> PyResult<bool> {
        let threading = py.import("threading")?;
        let is_main = threading.call_method0("current_thread")?.is(&threading.call_method0("main_thread")?);
        let stderr = stderr(py)?;
        // A notebook's stream is no terminal, but draws over a line as one does.
        let is_notebook = stderr.get_type().getattr("__module__")?.extract::<String>()?.starts_with("ipykernel");
        Ok(is_main && (is_notebook || stderr.call_method0("isatty")?.is_truthy()?))
    };
    std::env::var_os(SWITCH).is_none_or(|set| set != "0") && look().unwrap_or(false)
}

fn write(py: Python<'_>, text: &str) {
    // A terminal that went away is no reason to stop the work.
    let _ = stderr(py).and_then(|stderr| {
        stderr.call_method1("write", (text,))?;
        stderr.call_method0("flush")
    });
}

/// Returns Python's stream, which in a notebook is not the process's.
fn stderr(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("sys")?.getattr("stderr")
}
