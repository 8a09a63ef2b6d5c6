//! The suites find known faults: implementations that are wrong in one point, each of which must fail
//! at least one test. A suite that passes them proves nothing.

#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod engine;
mod online;
mod registry;

use std::sync::Arc;

use lodestore_core::definition::ViewVersion;
use lodestore_core::time::Micros;
use lodestore_testkit::{Arguments, Trial, run};

/// Returns how many tests fail, their report put aside.
pub(crate) fn failures(name: &str, trials: Vec<Trial>) -> u64 {
    let log = std::env::temp_dir().join(format!("lodestore-faults-{}-{name}", std::process::id()));
    let arguments = Arguments { logfile: Some(log.to_string_lossy().into_owned()), ..Arguments::default() };
    let failed = run(&arguments, trials).num_failed;
    std::fs::remove_file(log).unwrap();
    failed
}

pub(crate) fn changed(view: &ViewVersion, change: impl FnOnce(&mut ViewVersion)) -> Arc<ViewVersion> {
    let mut view = view.clone();
    change(&mut view);
    Arc::new(view)
}

pub(crate) fn with_ttl(view: &ViewVersion, by: i64) -> Arc<ViewVersion> {
    changed(view, |view| view.definition.ttl = view.ttl().map(|ttl| Micros::new(ttl.as_micros() + by).unwrap()))
}

pub(crate) fn without_delay(view: &ViewVersion) -> Arc<ViewVersion> {
    changed(view, |view| {
        if let Some(table) = &mut view.table {
            table.times.availability_delay = Micros::ZERO;
        }
    })
}
