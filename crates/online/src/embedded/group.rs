//! Small writes that wait for each other are committed together.
//!
//! A commit waits for the disk, and LMDB has one writer at a time. Whoever gets the turn takes along all who came to
//! wait meanwhile: under load a commit carries many writes, and a write that comes alone waits for nobody.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lodestore_core::online::{Watermark, WriteReport};
use lodestore_core::rows::FeatureRows;
use lodestore_core::time::EventTime;
use lodestore_core::{Error, Result};

use super::codec::PreparedView;
use super::environment::Live;
use super::write::Writer;

/// Writes of more rows are made alone: copying them costs more than what is saved.
const SMALL: usize = 1024;

/// The writes of one view that are to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Write<'a> {
    pub(super) view: &'a Arc<PreparedView>,
    pub(super) rows: &'a FeatureRows,
    pub(super) now: EventTime,
    pub(super) watermark: Option<Watermark>,
}

/// Writes that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct Group {
    waiting: Mutex<Vec<Arc<Waiting>>>,
    turn: Mutex<()>,
}

#[derive(Debug)]
struct Waiting {
    view: Arc<PreparedView>,
    rows: FeatureRows,
    now: EventTime,
    watermark: Option<Watermark>,
    done: Mutex<Option<Result<WriteReport>>>,
}

impl Waiting {
    fn write(&self) -> Write<'_> {
        Write { view: &self.view, rows: &self.rows, now: self.now, watermark: self.watermark }
    }

    fn end(&self, done: Result<WriteReport>) {
        *lock(&self.done) = Some(done);
    }
}

impl Group {
    /// Makes a write; it is committed when this returns, together with others or alone.
    ///
    /// # Errors
    /// What is wrong with this write: one that fails does not touch the others.
    pub(super) fn write(&self, environment: Live<'_>, write: Write<'_>) -> Result<WriteReport> {
        let Write { view, rows, now, watermark } = write;
        if rows.len() > SMALL {
            return alone(environment, write);
        }
        let (view, rows) = (Arc::clone(view), rows.clone());
        let mine = Arc::new(Waiting { view, rows, now, watermark, done: Mutex::default() });
        lock(&self.waiting).push(Arc::clone(&mine));
        let _turn = lock(&self.turn);
        // Whoever had the turn before may have taken this one along.
        if let Some(done) = lock(&mine.done).take() {
            return done;
        }
        let all = std::mem::take(&mut *lock(&self.waiting));
        match together(environment, &all) {
            Ok(reports) => all.iter().zip(reports).for_each(|(one, report)| one.end(Ok(report))),
            // Nothing was written. Each alone: those fail that are wrong, the others don't.
            Err(_) => all.iter().for_each(|one| one.end(alone(environment, one.write()))),
        }
        let done = lock(&mine.done).take();
        done.unwrap_or_else(|| Err(Error::internal("a write was forgotten by those that it was committed with")))
    }
}

fn together(environment: Live<'_>, writes: &[Arc<Waiting>]) -> Result<Vec<WriteReport>> {
    environment.write(|txn| {
        let mut writer = Writer::new(environment, txn);
        writes.iter().map(|one| writer.write(&one.view, &one.rows, one.now, one.watermark)).collect()
    })
}

fn alone(environment: Live<'_>, write: Write<'_>) -> Result<WriteReport> {
    let Write { view, rows, now, watermark } = write;
    environment.write(|txn| Writer::new(environment, txn).write(view, rows, now, watermark))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
