//! Progress of a materialisation on standard error.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lodestore::Progress;
use lodestore::core::online::OnlineView;
use lodestore::core::time::Stopwatch;

/// How often the line is drawn anew.
const REDRAW_EVERY: Duration = Duration::from_millis(200);

/// Draws a line for each view, if anybody is there to see it.
pub(crate) struct Drawn {
    is_drawn: bool,
    is_interrupted: AtomicBool,
    last: Mutex<Option<(Stopwatch, Stopwatch)>>,
}

impl Drawn {
    pub(crate) fn new(wish: Option<bool>) -> Self {
        let is_drawn = wish.unwrap_or_else(|| std::io::stderr().is_terminal());
        Self { is_drawn, is_interrupted: AtomicBool::new(false), last: Mutex::new(None) }
    }

    /// Ends the line of a view.
    pub(crate) fn end_of_view(&self) {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if self.is_drawn && last.take().is_some() {
            let _ = writeln!(std::io::stderr());
        }
    }
}

impl Progress for Drawn {
    fn rows_read(&self, view: &OnlineView, rows: u64) {
        if !self.is_drawn {
            return;
        }
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let started = match *last {
            Some((_, drawn)) if drawn.elapsed() < REDRAW_EVERY => return,
            Some((started, _)) => started,
            None => Stopwatch::start(),
        };
        let seconds = started.elapsed().as_secs_f64().max(0.001);
        let rate = rows as f64 / seconds;
        // A terminal that went away is no reason to stop the work.
        let _ = write!(std::io::stderr(), "\r{}: {rows} rows read, {rate:.0} rows/s", view.version.reference());
        *last = Some((started, Stopwatch::start()));
    }

    fn is_interrupted(&self) -> bool {
        self.is_interrupted.load(Ordering::Relaxed)
    }
}
