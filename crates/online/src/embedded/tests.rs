use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::online::{FeatureStatus, OnlineRows, OnlineView, Watermark};
use lodestore_core::rows::{FeatureRows, RowStamp};
use lodestore_core::types::KeyType;
use lodestore_core::{Error, ErrorKind, Result};
use tempfile::TempDir;

use super::*;
use crate::fixture::{at, ints, keys, rows, view};
use crate::row::FoundRows;

fn folder() -> Result<TempDir> {
    tempfile::tempdir().map_err(|e| Error::io("making a folder", e))
}

fn open(path: impl AsRef<Path>) -> Result<EmbeddedStore> {
    EmbeddedStore::open(EmbeddedConfig::at(path.as_ref()))
}

fn numbers(number: u32) -> Result<OnlineView> {
    view(number, &["int64"], "0s", "0s")
}

/// Writes a row for each id, its value the id times `factor`.
fn write(store: &EmbeddedStore, view: &OnlineView, ids: &[i64], factor: i64) -> Result<u64> {
    let times: Vec<_> = ids.iter().map(|&id| (id, 10)).collect();
    let values: Vec<_> = ids.iter().map(|id| id * factor).collect();
    Ok(store.write_now(view, &rows(&times, vec![ints(&values)])?, at(20), None)?.written)
}

fn read(store: &EmbeddedStore, view: &OnlineView, ids: &[i64]) -> Result<Vec<Option<i64>>> {
    let column = store.read_now(view, &keys(ids)?, &[0], at(20))?.remove(0);
    let values = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&column.values);
    Ok(values.iter().collect())
}

/// Returns how many entries the folder has, of whatever kind.
fn entries(store: &EmbeddedStore) -> Result<u64> {
    store.snapshot(|snapshot| snapshot.entries())
}

#[test]
fn reading_where_nothing_was_written_creates_nothing() -> Result<()> {
    let folder = folder()?;
    let path = folder.path().join("data").join("online_store.db");
    let (store, view) = (open(&path)?, numbers(1)?);
    let column = store.read_now(&view, &keys(&[1, 2])?, &[0], at(20))?.remove(0);
    assert_eq!(column.statuses, [FeatureStatus::NotFound; 2]);
    assert_eq!(store.watermark_now(&view)?, Watermark::default());
    store.retire_now(std::slice::from_ref(&view))?;
    store.write_now(&view, &rows(&[], vec![ints(&[])])?, at(20), None)?;
    assert!(!folder.path().join("data").exists());

    write(&store, &view, &[1], 7)?;
    assert!(path.is_dir());
    assert_eq!(read(&store, &view, &[1, 2])?, [Some(7), None]);
    Ok(())
}

#[test]
fn a_file_in_the_place_of_the_folder_is_refused_and_not_touched() -> Result<()> {
    let folder = folder()?;
    let path = folder.path().join("online_store.db");
    fs::write(&path, "SQLite format 3\0").map_err(|e| Error::io("writing", e))?;
    let error = open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("online_store.db' is a file"), "{error}");
    assert_eq!(fs::read(&path).ok().as_deref(), Some(&b"SQLite format 3\0"[..]));

    fs::write(folder.path().join("data.mdb"), "not one of ours at all").map_err(|e| Error::io("writing", e))?;
    let error = open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("data.mdb' is no LMDB file"), "{error}");
    assert!(!folder.path().join("lock.mdb").exists());

    // A file further up is found when the folder is to be made.
    assert_eq!(open(path.join("deeper")).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(open("").unwrap_err().kind(), ErrorKind::Invalid);
    Ok(())
}

#[test]
fn stores_on_one_folder_share_the_environment() -> Result<()> {
    let folder = folder()?;
    let path = folder.path().join("store");
    let (first, view) = (open(&path)?, numbers(1)?);
    write(&first, &view, &[1], 2)?;
    let again = open(folder.path().join(".").join("store"))?;
    let link = folder.path().join("link");
    #[cfg(unix)]
    std::os::unix::fs::symlink(&path, &link).map_err(|e| Error::io("linking", e))?;
    let linked = open(if cfg!(unix) { &link } else { &path })?;
    write(&again, &view, &[2], 2)?;
    drop(first);
    assert_eq!(read(&linked, &view, &[1, 2])?, [Some(2), Some(4)]);
    drop((again, linked));
    assert_eq!(read(&open(&path)?, &view, &[1, 2])?, [Some(2), Some(4)]);
    Ok(())
}

#[test]
#[cfg(unix)]
fn a_folder_removed_under_an_open_store_is_noticed_before_anything_is_lost() -> Result<()> {
    let (folder, view) = (folder()?, numbers(1)?);
    let path = folder.path().join("store");
    let store = open(&path)?;
    write(&store, &view, &[1], 1)?;
    fs::remove_dir_all(&path).map_err(|e| Error::io("removing", e))?;
    let error = write(&store, &view, &[2], 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("was removed or replaced while it was open"), "{error}");
    let again = open(&path)?;
    assert_eq!(write(&again, &view, &[2], 1).unwrap_err().kind(), ErrorKind::Unavailable);
    drop(store);
    write(&again, &view, &[2], 1)?;
    assert_eq!(read(&again, &view, &[1, 2])?, [None, Some(2)]);
    Ok(())
}

#[test]
fn threads_may_open_and_close_a_folder_at_the_same_time() -> Result<()> {
    let (folder, view) = (folder()?, numbers(1)?);
    std::thread::scope(|scope| {
        let work = |id: i64| {
            let (folder, view) = (folder.path(), &view);
            move || -> Result<()> {
                for round in 0..20 {
                    let store = open(folder)?;
                    write(&store, view, &[id * 100 + round], 3)?;
                    assert_eq!(read(&store, view, &[id * 100])?, [Some(id * 300)]);
                }
                Ok(())
            }
        };
        let threads: Vec<_> = (1..4).map(|id| scope.spawn(work(id))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })?;
    assert_eq!(read(&open(folder.path())?, &view, &[119, 219, 319])?, [Some(357), Some(657), Some(957)]);
    Ok(())
}

#[test]
fn a_full_map_is_exhausted_and_a_larger_one_takes_the_same_write() -> Result<()> {
    let (folder, view) = (folder()?, view(1, &["string"], "0s", "0s")?);
    let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1 << 19)]));
    let row = |id: i64| rows(&[(id, 10)], vec![Arc::clone(&text)]);
    let mark = |event: i64| Some(Watermark { event: Some(at(event)), created: None });
    let config = EmbeddedConfig { map_size_bytes: 1 << 20, ..EmbeddedConfig::at(folder.path()) };
    let store = EmbeddedStore::open(config)?;
    store.write_now(&view, &row(1)?, at(20), mark(1))?;
    let error = store.write_now(&view, &row(2)?, at(20), mark(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    assert!(error.message().contains("raise map_size_bytes"), "{error}");
    let check = |store: &EmbeddedStore, statuses: [FeatureStatus; 2], event| -> Result<()> {
        assert_eq!(store.read_now(&view, &keys(&[1, 2])?, &[0], at(20))?[0].statuses, statuses);
        assert_eq!(store.watermark_now(&view)?.event, Some(at(event)));
        Ok(())
    };
    check(&store, [FeatureStatus::Present, FeatureStatus::NotFound], 1)?;
    drop(store);
    let store = open(folder.path())?;
    check(&store, [FeatureStatus::Present, FeatureStatus::NotFound], 1)?;
    store.write_now(&view, &row(2)?, at(20), mark(2))?;
    check(&store, [FeatureStatus::Present; 2], 2)
}

#[test]
fn more_reads_than_max_readers_are_exhausted() -> Result<()> {
    let (folder, view) = (folder()?, numbers(1)?);
    let store = EmbeddedStore::open(EmbeddedConfig { max_readers: 2, ..EmbeddedConfig::at(folder.path()) })?;
    write(&store, &view, &[1], 1)?;
    let error = store.snapshot(|_| store.snapshot(|_| store.snapshot(|_| Ok(())))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exhausted);
    assert!(error.message().contains("raise max_readers"), "{error}");
    assert_eq!(read(&store, &view, &[1])?, [Some(1)]);
    Ok(())
}

#[test]
fn a_view_stored_with_other_columns_is_corrupt_until_it_is_retired() -> Result<()> {
    let (folder, view, other) = (folder()?, numbers(1)?, view(1, &["float64"], "0s", "0s")?);
    let store = open(folder.path())?;
    write(&store, &view, &[1], 1)?;
    for error in [
        store.read_now(&other, &keys(&[1])?, &[0], at(20)).map(|_| ()).unwrap_err(),
        store.prepare_now(std::slice::from_ref(&other)).unwrap_err(),
        store.watermark_now(&other).map(|_| ()).unwrap_err(),
        store.delete_now(&other, &keys(&[1])?, at(20)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        let expected = "view 'p/v@1' is stored with (keys: id int64; features: f0 int64), but defined with \
                        (keys: id int64; features: f0 float64)";
        assert!(error.message().contains(expected), "{error}");
    }
    store.retire_now(std::slice::from_ref(&other))?;
    store.prepare_now(std::slice::from_ref(&other))?;
    let column = store.read_now(&other, &keys(&[1])?, &[0], at(20))?.remove(0);
    assert_eq!(column.statuses, [FeatureStatus::NotFound]);
    Ok(())
}

#[test]
fn retired_rows_are_removed_in_parts_and_after_an_interruption() -> Result<()> {
    let (folder, old, new) = (folder()?, numbers(1)?, numbers(2)?);
    let store = open(folder.path())?;
    let ids: Vec<i64> = (0..45_000).collect();
    write(&store, &old, &ids, 1)?;
    write(&store, &new, &[1, 2], 5)?;
    assert_eq!(entries(&store)?, 45_000 + 2 + 3);
    // As if the process had been killed right after the first commit of a retirement.
    let key = store.prepared(&old)?.key.clone();
    store.write_txn(|writer| writer.retire(&key))?;
    assert_eq!(read(&store, &old, &[1])?, [None]);
    assert_eq!(entries(&store)?, 45_000 + 2 + 3);
    // The view may be filled again at once.
    write(&store, &old, &[3], 7)?;
    store.prepare_now(&[old.clone(), new.clone()])?;
    assert_eq!(entries(&store)?, 1 + 2 + 3);
    assert_eq!(read(&store, &old, &[1, 3])?, [None, Some(21)]);
    store.retire_now(std::slice::from_ref(&old))?;
    assert_eq!(entries(&store)?, 2 + 2);
    assert_eq!(read(&store, &new, &[1, 2])?, [Some(5), Some(10)]);
    Ok(())
}

#[test]
fn n2_batches_in_any_order_reach_older_and_newer_versions() -> Result<()> {
    let (folder, old, new) = (folder()?, numbers(1)?, numbers(2)?);
    let store = open(folder.path())?;
    store.prepare_now(&[old.clone(), new.clone()])?;
    write(&store, &new, &[5, 6], 2)?;
    write(&store, &old, &[-3, 9, 1], 1)?;
    write(&store, &new, &[7, -1, 8, 7], 2)?;
    write(&store, &old, &[2, i64::MAX / 2, 0], 1)?;
    assert_eq!(read(&store, &old, &[-3, 0, 1, 2, 5, 9])?, [Some(-3), Some(0), Some(1), Some(2), None, Some(9)]);
    assert_eq!(read(&store, &new, &[-1, 5, 6, 7, 8, 9])?, [Some(-2), Some(10), Some(12), Some(14), Some(16), None]);
    Ok(())
}

#[test]
fn keys_longer_than_those_of_lmdb_are_told_apart() -> Result<()> {
    let folder = folder()?;
    let (store, view) = (open(folder.path())?, numbers(1)?);
    let mut texts: Vec<String> = (490..520).map(|length| "k".repeat(length)).collect();
    texts.extend((0..20).map(|i| format!("{}{i}", "k".repeat(2_000))));
    let column: ArrayRef = Arc::new(StringArray::from(texts.clone()));
    let keys = EntityKeys::encode(texts.len(), &[("id", &column, KeyType::String)])?;
    let values: Vec<i64> = (0..texts.len() as i64).collect();
    let stamps = vec![RowStamp::at(at(10)); texts.len()];
    for _ in 0..2 {
        store.write_now(
            &view,
            &FeatureRows::new(keys.clone(), stamps.clone(), vec![(0, ints(&values))])?,
            at(20),
            None,
        )?;
    }
    let column = store.read_now(&view, &keys, &[0], at(20))?.remove(0);
    assert_eq!(*column.values, *ints(&values));
    assert_eq!(entries(&store)?, texts.len() as u64 + 2);
    Ok(())
}

#[test]
fn o7_reads_see_whole_commits_while_others_write() -> Result<()> {
    let (folder, view) = (folder()?, numbers(1)?);
    let ids: Vec<i64> = (0..500).collect();
    let store = open(folder.path())?;
    let batch = |n: i64| {
        let times: Vec<_> = ids.iter().map(|&id| (id, n)).collect();
        rows(&times, vec![ints(&vec![n; ids.len()])])
    };
    store.write_now(&view, &batch(0)?, at(1_000), None)?;
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| -> Result<i64> {
            let mut last = 0;
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                let found = read_at(&store, &view, &ids)?;
                assert!(found.iter().all(|value| *value == found[0]), "one commit: {found:?}");
                assert!(found[0] >= Some(last));
                last = found[0].unwrap_or_default();
            }
            Ok(last)
        });
        let writes = (1..60).try_for_each(|n| store.write_now(&view, &batch(n)?, at(1_000), None).map(|_| ()));
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().expect("no panic")? > 0);
        writes
    })
}

fn read_at(store: &EmbeddedStore, view: &OnlineView, ids: &[i64]) -> Result<Vec<Option<i64>>> {
    let column = store.read_now(view, &keys(ids)?, &[0], at(1_000))?.remove(0);
    let values = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&column.values);
    Ok(values.iter().collect())
}

#[test]
fn one_snapshot_answers_for_several_views_as_of_one_commit() -> Result<()> {
    let (folder, old, new) = (folder()?, numbers(1)?, numbers(2)?);
    let store = open(folder.path())?;
    write(&store, &old, &[1], 1)?;
    write(&store, &new, &[1], 2)?;
    let key = keys(&[1])?;
    store.snapshot(|snapshot| {
        let value = |view| -> Result<_> {
            let mut found = FoundRows::new(at(20), 1, 1);
            let prepared = store.prepared(view)?;
            snapshot.find(&prepared, &key, &mut found)?;
            let cell = found.get(0, 0, 0)?;
            assert_eq!((cell.status, cell.event_time), (FeatureStatus::Present, Some(at(10))));
            Ok(format!("{:?}", cell.value))
        };
        assert_eq!(value(&old)?, "Some(Int64(1))");
        // What others commit meanwhile is not seen.
        let times = [(1, 15)];
        store.write_now(&new, &rows(&times, vec![ints(&[9])])?, at(20), None)?;
        assert_eq!(value(&new)?, "Some(Int64(2))");
        Ok(())
    })?;
    assert_eq!(read(&store, &new, &[1])?, [Some(9)]);
    Ok(())
}

#[test]
fn writes_that_wait_for_each_other_are_all_made_and_fail_alone() -> Result<()> {
    let (folder, view, other) = (folder()?, numbers(1)?, view(1, &["float64"], "0s", "0s")?);
    let store = open(folder.path())?;
    write(&store, &view, &[0], 1)?;
    std::thread::scope(|scope| {
        let work = |thread: i64| {
            let (store, view, other) = (&store, &view, &other);
            move || -> Result<()> {
                for round in 0..25 {
                    assert_eq!(write(store, view, &[thread * 100 + round], 2)?, 1);
                    // One that can't be made, since the view is stored with other features.
                    let wrong = rows(&[(thread, 10)], vec![Arc::new(arrow::array::Float64Array::from(vec![0.5]))])?;
                    let error = store.write_now(other, &wrong, at(20), None).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Corrupt);
                }
                Ok(())
            }
        };
        let threads: Vec<_> = (1..9).map(|thread| scope.spawn(work(thread))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })?;
    let ids: Vec<i64> = (1..9).flat_map(|thread| (0..25).map(move |round| thread * 100 + round)).collect();
    assert_eq!(read(&store, &view, &ids)?, ids.iter().map(|id| Some(id * 2)).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn a_damaged_row_fails_reads_and_writes_of_its_key_and_names_the_view() -> Result<()> {
    let (folder, view) = (folder()?, numbers(1)?);
    let store = open(folder.path())?;
    write(&store, &view, &[1, 2], 1)?;
    store.write_txn(|writer| writer.overwrite(1, keys(&[1])?.get(0).unwrap_or_default(), &[1, 0, 3]))?;
    for error in [
        store.read_now(&view, &keys(&[1])?, &[0], at(20)).map(|_| ()).unwrap_err(),
        write(&store, &view, &[1, 3], 1).map(|_| ()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("(view: p/v@1)"), "{error}");
    }
    assert_eq!(read(&store, &view, &[2, 3])?, [Some(2), None]);
    Ok(())
}
