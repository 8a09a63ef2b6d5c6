//! What a running job shows on a terminal, and how Ctrl-C stops it.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use lodestore::Progress;
use lodestore::core::definition::ViewVersion;
use lodestore::core::offline::RunReport;
use lodestore::core::online::OnlineView;
use lodestore::core::time::Stopwatch;
use lodestore::core::{Error, Result};

use crate::error::Exit;
use crate::printer::{Format, Printer};

/// How often a retrieval is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A retrieval that takes less is not told of.
const SHOWN_AFTER: Duration = Duration::from_millis(500);

/// How long a retrieval that was told to stop may take to remove what it has begun to write.
const STOPS_WITHIN: Duration = Duration::from_secs(2);

/// The variable that, set to 0, keeps progress away.
const SWITCH: &str = "LODESTORE_PROGRESS";

/// Becomes true with the first Ctrl-C. The second ends the process at once, which the stores survive.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens for Ctrl-C from now on.
    ///
    /// # Errors
    /// `Internal` if the system has no room for a handler.
    pub(crate) fn listen(printer: Printer) -> Result<Self> {
        Self::listen_and_say(printer, "stopping after the batch at hand; Ctrl-C again stops at once")
    }

    /// Listens for Ctrl-C from now on, and says something when it is pressed.
    ///
    /// # Errors
    /// `Internal` if the system has no room for a handler.
    pub(crate) fn listen_and_say(printer: Printer, said: &'static str) -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let in_handler = Arc::clone(&flag);
        let handler = move || {
            if in_handler.swap(true, Ordering::SeqCst) {
                std::process::exit(Exit::Interrupted.status().into());
            }
            printer.note(said);
        };
        ctrlc::set_handler(handler).map_err(|e| Error::internal("listening for Ctrl-C").with_source(e))?;
        Ok(Self(flag))
    }

    /// Returns whether Ctrl-C was pressed.
    #[must_use]
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// A line for one view on the terminal: rows read, and how many a second. Nothing where stderr is no
/// terminal.
#[derive(Debug)]
pub(crate) struct ViewProgress {
    bar: ProgressBar,
    interrupt: Interrupt,
}

impl ViewProgress {
    /// Shows that a view's job begins.
    ///
    /// # Errors
    /// `Internal` if the line's layout is wrong.
    pub(crate) fn start(printer: Printer, view: &ViewVersion, interrupt: &Interrupt) -> Result<Self> {
        let style = ProgressStyle::with_template("{spinner} {msg}: {human_pos} rows read, {rate}/s, {elapsed}")
            .map_err(|e| Error::internal("the layout of the progress line").with_source(e))?
            .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
                let _ = write!(out, "{}", HumanCount(state.per_sec() as u64));
            });
        let bar = ProgressBar::with_draw_target(None, target(printer)).with_style(style);
        bar.set_message(view.reference().to_string());
        bar.enable_steady_tick(Duration::from_millis(100));
        Ok(Self { bar, interrupt: interrupt.clone() })
    }

    /// Takes the line away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for ViewProgress {
    fn rows_read(&self, _: &OnlineView, rows: u64) {
        self.bar.set_position(rows);
    }

    fn is_interrupted(&self) -> bool {
        self.interrupt.is_set()
    }
}

/// Runs a retrieval's work on threads of its own, and shows on the terminal what its report tells. Ctrl-C
/// stops it.
///
/// # Errors
/// What the work says; `Unavailable` if it was interrupted.
pub(crate) async fn watch<T: Send + 'static>(
    printer: Printer,
    report: &RunReport,
    interrupt: &Interrupt,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let (started, mut task) = (Stopwatch::start(), tokio::spawn(work));
    let style = ProgressStyle::with_template("{spinner} {msg}")
        .map_err(|e| Error::internal("the layout of the progress line").with_source(e))?;
    let mut bar: Option<ProgressBar> = None;
    let done = loop {
        if let Ok(done) = tokio::time::timeout(LOOK_EVERY, &mut task).await {
            break done.map_err(|e| Error::internal(format!("the retrieval ended early: {e}")))?;
        }
        if interrupt.is_set() {
            report.cancel();
            let _ = tokio::time::timeout(STOPS_WITHIN, &mut task).await;
            task.abort();
            break Err(Error::unavailable("the retrieval was interrupted; nothing was written"));
        }
        if started.elapsed() < SHOWN_AFTER {
            continue;
        }
        let bar = bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(None, target(printer)).with_style(style.clone());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        bar.set_message(report.progress().unwrap_or_default());
    };
    bar.iter().for_each(ProgressBar::finish_and_clear);
    done
}

/// Returns where progress is drawn: nowhere for programs, and where stderr is no terminal.
fn target(printer: Printer) -> ProgressDrawTarget {
    let is_wanted = std::env::var_os(SWITCH).is_none_or(|set| set != "0");
    match printer.format() {
        Format::Text if is_wanted => ProgressDrawTarget::stderr(),
        _ => ProgressDrawTarget::hidden(),
    }
}
