//! `lodestore materialize` and `lodestore materialize-incremental`

use std::sync::Arc;

use lodestore::core::definition::ViewVersion;
use lodestore::core::name::ViewRef;
use lodestore::core::time::{Clock, EventTime, SystemClock};
use lodestore::core::{Error, Result};
use lodestore::{FeatureStore, Interval, Report};
use serde_json::{Value, json};

use crate::args::{MaterializeArgs, MaterializeIncrementalArgs, ViewArgs};
use crate::error::Exit;
use crate::printer::{Column, Printer};
use crate::progress::{Interrupt, ViewProgress};
use crate::session::Session;

const COLUMNS: [Column; 8] = [
    ("view", "view"),
    ("after", "start"),
    ("until", "until"),
    ("read", "rows_read"),
    ("written", "rows_written"),
    ("skipped", "rows_skipped"),
    ("refused", "rows_refused"),
    ("seconds", "seconds"),
];

pub(super) fn run(session: &Session, args: &MaterializeArgs) -> Result<Exit> {
    let interval = Interval::Between { start: time(&args.start, "start")?, until: time(&args.end, "end")? };
    materialize(session, &args.views, interval)
}

pub(super) fn run_incremental(session: &Session, args: &MaterializeIncrementalArgs) -> Result<Exit> {
    let until = match &args.end {
        Some(end) => time(end, "end")?,
        None => SystemClock.now(),
    };
    materialize(session, &args.views, Interval::Since { until })
}

fn time(text: &str, what: &str) -> Result<EventTime> {
    EventTime::parse(text).map_err(|error| Error::invalid(format!("the {what}: {}", error.message())))
}

fn materialize(session: &Session, views: &ViewArgs, interval: Interval) -> Result<Exit> {
    let printer = session.printer;
    let named = views.views.iter().map(|view| view.parse()).collect::<Result<Vec<ViewRef>>>()?;
    let store = session.store()?;
    let interrupt = Interrupt::listen(printer)?;
    session.block_on(async {
        let views = store.materializable(&named).await?;
        if views.is_empty() {
            printer.note(format!(
                "project '{}' has no views to materialize; 'lodestore apply' registers them",
                store.project()
            ));
        }
        let (reports, outcome) = run_views(&store, views, interval, printer, &interrupt).await;
        let rows: Vec<_> = reports.iter().map(to_json).collect();
        // What was done before something went wrong is done.
        if outcome.is_ok() || !rows.is_empty() {
            printer.rows(&COLUMNS, &rows)?;
        }
        reports.iter().for_each(|report| warn_of_refused(printer, report));
        match outcome {
            Err(error) if interrupt.is_set() => {
                printer.error(&error);
                Ok(Exit::Interrupted)
            }
            Err(error) => Err(error),
            Ok(()) => Ok(Exit::Fine),
        }
    })
}

/// Runs one view after the other; returns the reports of those that are done.
async fn run_views(
    store: &FeatureStore,
    views: Vec<Arc<ViewVersion>>,
    interval: Interval,
    printer: Printer,
    interrupt: &Interrupt,
) -> (Vec<Report>, Result<()>) {
    let mut reports = Vec::with_capacity(views.len());
    for view in views {
        if interrupt.is_set() {
            let what = format!("interrupted before view '{}'; running it again goes on", view.reference());
            return (reports, Err(Error::unavailable(what)));
        }
        let progress = match ViewProgress::start(printer, &view, interrupt) {
            Ok(progress) => progress,
            Err(error) => return (reports, Err(error)),
        };
        let report = store.materialize(view, interval, &progress).await;
        progress.finish();
        match report {
            Ok(report) => reports.push(report),
            Err(error) => return (reports, Err(error)),
        }
    }
    (reports, Ok(()))
}

fn to_json(report: &Report) -> Value {
    let text = |time: Option<EventTime>| time.map(|time| time.to_string());
    json!({
        "view": report.view,
        "start": text(report.start),
        "until": report.until.to_string(),
        "rows_read": report.rows_read,
        "rows_written": report.rows_written,
        "rows_skipped": report.rows_skipped,
        "rows_refused": report.rows_refused,
        "refused": report.refused,
        "refused_file": report.refused_file,
        "watermark": {"event": text(report.watermark.event), "created": text(report.watermark.created)},
        "seconds": (report.seconds * 1000.0).round() / 1000.0,
    })
}

fn warn_of_refused(printer: Printer, report: &Report) {
    if report.rows_refused > 0 {
        let reasons: Vec<_> = report.refused.iter().map(|(reason, count)| format!("{count} x {reason}")).collect();
        let file = report.refused_file.as_ref().map(|file| format!("; they are in '{}'", file.display()));
        printer.warning(format!(
            "{} rows of view '{}' were refused: {}{}",
            report.rows_refused,
            report.view,
            reasons.join("; "),
            file.unwrap_or_default()
        ));
    }
}
