//! A process that forks, as Python's multiprocessing does, and its children use the store.
#![cfg(unix)]
#![allow(unsafe_code, reason = "the standard library has no fork")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::online::OnlineView;
use lodestore_core::rows::{FeatureRows, RowStamp};
use lodestore_core::time::EventTime;
use lodestore_core::types::KeyType;
use lodestore_online::embedded::{EmbeddedConfig, EmbeddedStore};
use lodestore_testkit::fixture::{definitions, online_view};
use lodestore_testkit::{Failed, Outcome, check, check_eq};

/// Runs a function in a forked child; fails if it fails there.
fn in_child(what: &str, run: impl FnOnce() -> Outcome) -> Outcome {
    // SAFETY: the child runs the function and exits at once, without the parent's clean-up.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        let status = match outcome {
            Ok(Ok(())) => 0,
            Ok(Err(_)) => 1,
            Err(_) => 2,
        };
        // SAFETY: it only ends the process.
        unsafe { libc::_exit(status) }
    }
    let mut status = 0;
    // SAFETY: the status outlives the call.
    check_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid, "waiting for the child");
    check_eq!(status, 0, "the exit status of {what}");
    Ok(())
}

fn view() -> Result<OnlineView, Failed> {
    let definitions = definitions(
        "entities: [{name: e, join_keys: [{name: id, type: int64}]}]
data_sources: [{name: s, type: file, path: s.parquet, timestamp_field: at}]
feature_views: [{name: v, entities: [e], source: s, schema: [{name: a, type: int64}]}]",
    )?;
    online_view(&definitions, "v", "p")
}

fn keys(ids: &[i64]) -> Result<EntityKeys, Failed> {
    let ids: ArrayRef = Arc::new(Int64Array::from(ids.to_vec()));
    Ok(EntityKeys::encode(ids.len(), &[("id", &ids, KeyType::Int64)])?)
}

fn write(store: &EmbeddedStore, view: &OnlineView, id: i64, value: i64) -> Outcome {
    let values: ArrayRef = Arc::new(Int64Array::from(vec![value]));
    let rows = FeatureRows::new(keys(&[id])?, vec![RowStamp::at(EventTime::from_micros(1))], vec![(0, values)])?;
    store.write_now(view, &rows, EventTime::from_micros(2), None)?;
    Ok(())
}

fn read(store: &EmbeddedStore, view: &OnlineView, ids: &[i64]) -> Result<Vec<Option<i64>>, Failed> {
    let column = store.read_now(view, &keys(ids)?, &[0], EventTime::from_micros(2))?.remove(0);
    Ok(column.values.as_primitive::<Int64Type>().iter().collect())
}

#[test]
fn children_open_an_environment_of_their_own() -> Outcome {
    let folder = tempfile::tempdir()?;
    let view = view()?;
    let store = EmbeddedStore::open(EmbeddedConfig::at(folder.path()))?;
    write(&store, &view, 1, 10)?;
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Forks happen while another thread is anywhere inside a read.
        let busy = scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                check_eq!(read(&store, &view, &[1])?, [Some(10)], "read while forking");
            }
            Ok(())
        });
        let forks = (0..20).try_for_each(|round| {
            let id = 100 + round;
            in_child("a child that uses its parent's store", || {
                check_eq!(read(&store, &view, &[1])?, [Some(10)], "read in the child");
                write(&store, &view, id, round)?;
                in_child("a child of a child", || {
                    check_eq!(read(&store, &view, &[1, id])?, [Some(10), Some(round)], "read in its child");
                    Ok(())
                })?;
                check_eq!(read(&store, &view, &[id])?, [Some(round)], "read in the child again");
                Ok(())
            })?;
            in_child("a child that opens the folder again", || {
                let again = EmbeddedStore::open(EmbeddedConfig::at(folder.path()))?;
                check_eq!(read(&again, &view, &[id])?, [Some(round)], "read by another store");
                write(&store, &view, id + 100, round)
            })?;
            check_eq!(read(&store, &view, &[id, id + 100])?, [Some(round); 2], "what the children wrote");
            write(&store, &view, id + 200, round)
        });
        is_done.store(true, Ordering::Relaxed);
        let busy: Outcome = busy.join().map_err(|_| "the busy thread panicked")?;
        forks.and(busy)
    })?;
    check!(read(&store, &view, &[319])? == [Some(19)], "the parent's last write is there");
    Ok(())
}
