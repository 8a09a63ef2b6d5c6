//! What a running job shows on a terminal, and how Ctrl-C stops it.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use lodestore::Progress;
use lodestore::core::definition::ViewVersion;
use lodestore::core::online::OnlineView;
use lodestore::core::{Error, Result};

use crate::error::Exit;
use crate::printer::{Format, Printer};

/// Becomes true with the first Ctrl-C. The second ends the process at once, which the stores survive.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens for Ctrl-C from now on.
    ///
    /// # Errors
    /// `Internal` if the system has no room for a handler.
    pub(crate) fn listen(printer: Printer) -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let in_handler = Arc::clone(&flag);
        let handler = move || {
            if in_handler.swap(true, Ordering::SeqCst) {
                std::process::exit(Exit::Interrupted.status().into());
            }
            printer.note("stopping after the batch at hand; Ctrl-C again stops at once");
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
        let target = match printer.format() {
            // Hidden by itself where stderr is no terminal.
            Format::Text => ProgressDrawTarget::stderr(),
            Format::Json => ProgressDrawTarget::hidden(),
        };
        let style = ProgressStyle::with_template("{spinner} {msg}: {human_pos} rows read, {rate}/s, {elapsed}")
            .map_err(|e| Error::internal("the layout of the progress line").with_source(e))?
            .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
                let _ = write!(out, "{}", HumanCount(state.per_sec() as u64));
            });
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
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
