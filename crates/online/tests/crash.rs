//! Several processes on one folder, some of them killed: what is read is always one whole commit.

use std::hash::{BuildHasher, RandomState};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, ListArray, StringArray};
use arrow::datatypes::{Float64Type, Int64Type};
use lodestore_core::entity_key::EntityKeys;
use lodestore_core::online::{FeatureStatus, OnlineView, Watermark};
use lodestore_core::rows::{FeatureRows, RowStamp};
use lodestore_core::time::{EventTime, Stopwatch};
use lodestore_core::types::KeyType;
use lodestore_online::embedded::{EmbeddedConfig, EmbeddedStore};
use lodestore_testkit::fixture::{definitions, online_view};
use lodestore_testkit::{Failed, Outcome, check, check_eq};

/// The folder that a process started by a test works in.
const FOLDER: &str = "LODESTORE_CRASH_TEST_FOLDER";
const KEYS: i64 = 300;
const KILLS: usize = 60;
const BATCHES: i64 = 150;

fn view() -> Result<OnlineView, Failed> {
    let definitions = definitions(
        "entities: [{name: e, join_keys: [{name: id, type: int64}]}]
data_sources: [{name: s, type: file, path: s.parquet, timestamp_field: at}]
feature_views:
  - {name: v, entities: [e], source: s, schema: [{name: a, type: int64}, {name: b, type: float64},
     {name: c, type: string}, {name: d, type: list<int64>}]}",
    )?;
    online_view(&definitions, "v", "p")
}

fn keys() -> Result<EntityKeys, Failed> {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..KEYS));
    Ok(EntityKeys::encode(ids.len(), &[("id", &ids, KeyType::Int64)])?)
}

/// Writes batch n: a row for every key, with n in each of its features, and n as the watermark.
fn write_batch(store: &EmbeddedStore, view: &OnlineView, n: i64) -> Outcome {
    let count = KEYS as usize;
    let columns: [ArrayRef; 4] = [
        Arc::new(Int64Array::from(vec![n; count])),
        Arc::new(Float64Array::from(vec![n as f64; count])),
        Arc::new(StringArray::from(vec![n.to_string(); count])),
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(list(n)); count])),
    ];
    let event = EventTime::from_micros(n);
    let rows = FeatureRows::new(keys()?, vec![RowStamp::at(event); count], columns.into_iter().enumerate().collect())?;
    let watermark = Watermark { event: Some(event), created: None };
    store.write_now(view, &rows, EventTime::from_micros(i64::MAX - 1), Some(watermark))?;
    Ok(())
}

/// Returns a list that is longer for some batches, so that rows change their size.
fn list(n: i64) -> Vec<Option<i64>> {
    vec![Some(n); (n % 50) as usize]
}

/// Reads every key, checks that all are of one batch, and returns which; 0 for none.
fn read_batch(store: &EmbeddedStore, view: &OnlineView) -> Result<i64, Failed> {
    let columns = store.read_now(view, &keys()?, &[0, 1, 2, 3], EventTime::from_micros(i64::MAX - 1))?;
    if columns[0].statuses[0] == FeatureStatus::NotFound {
        let missing = columns.iter().flat_map(|c| &c.statuses).all(|status| *status == FeatureStatus::NotFound);
        check!(missing, "one key is there and another is not");
        return Ok(0);
    }
    let (numbers, floats) =
        (columns[0].values.as_primitive::<Int64Type>(), columns[1].values.as_primitive::<Float64Type>());
    let (texts, lists) = (columns[2].values.as_string::<i32>(), columns[3].values.as_list::<i32>());
    let n = numbers.value(0);
    for key in 0..KEYS as usize {
        let statuses = columns.iter().all(|column| column.statuses[key] == FeatureStatus::Present);
        let times = columns.iter().all(|column| column.event_times[key] == Some(EventTime::from_micros(n)));
        let values = (numbers.value(key), floats.value(key), texts.value(key));
        check!(statuses && times, "key {key} of batch {n} is of another commit");
        check_eq!(values, (n, n as f64, n.to_string().as_str()), "key {key} of batch {n}");
        let found: Vec<_> = lists.value(key).as_primitive::<Int64Type>().iter().collect();
        check_eq!(found, list(n), "the list of key {key} of batch {n}");
    }
    Ok(n)
}

/// Starts this executable on one of the tests that are another process's part.
fn start(part: &str, folder: &std::path::Path) -> Result<Child, Failed> {
    let executable = std::env::current_exe()?;
    let mut command = Command::new(executable);
    command.args(["--exact", part, "--ignored", "--quiet"]).env(FOLDER, folder);
    Ok(command.stdout(std::process::Stdio::null()).spawn()?)
}

fn folder_of_parent() -> Result<EmbeddedStore, Failed> {
    let folder = std::env::var_os(FOLDER).ok_or("this test is started by others, in a process of its own")?;
    Ok(EmbeddedStore::open(EmbeddedConfig::at(folder))?)
}

#[test]
#[ignore = "the part of a process that another test starts"]
fn writes_until_it_is_killed() -> Outcome {
    let (store, view) = (folder_of_parent()?, view()?);
    let mut n = read_batch(&store, &view)?;
    loop {
        n += 1;
        write_batch(&store, &view, n)?;
    }
}

#[test]
#[ignore = "the part of a process that another test starts"]
fn reads_until_the_last_batch() -> Outcome {
    let (store, view) = (folder_of_parent()?, view()?);
    let (mut last, waited) = (0, Stopwatch::start());
    while last < BATCHES {
        let n = read_batch(&store, &view)?;
        check!(n >= last, "batch {n} was read after batch {last}");
        check!(waited.elapsed() < Duration::from_secs(120), "batch {BATCHES} never came");
        last = n;
    }
    Ok(())
}

#[test]
#[ignore = "the part of a process that another test starts"]
fn reads_one_snapshot_until_it_is_killed() -> Outcome {
    let store = folder_of_parent()?;
    let ready = store.path().join("ready");
    store.snapshot(|_| {
        std::fs::write(&ready, "").map_err(|e| lodestore_core::Error::io("saying that it reads", e))?;
        std::thread::sleep(Duration::from_secs(600));
        Ok(())
    })?;
    Ok(())
}

#[test]
fn a_reader_that_was_killed_does_not_keep_old_pages() -> Outcome {
    let folder = tempfile::tempdir()?;
    let view = view()?;
    let store = EmbeddedStore::open(EmbeddedConfig::at(folder.path()))?;
    let size = || folder.path().join("data.mdb").metadata().map(|file| file.len());
    (1..=10).try_for_each(|n| write_batch(&store, &view, n))?;
    let before = size()?;

    let mut reader = start("reads_one_snapshot_until_it_is_killed", folder.path())?;
    let waited = Stopwatch::start();
    while !folder.path().join("ready").exists() {
        check!(waited.elapsed() < Duration::from_secs(60), "the reader did not start");
        std::thread::sleep(Duration::from_millis(5));
    }
    (11..=30).try_for_each(|n| write_batch(&store, &view, n))?;
    let while_read = size()?;
    check!(while_read > 2 * before, "pages that are read are kept: {before} then {while_read} bytes");
    reader.kill()?;
    reader.wait()?;
    (31..=90).try_for_each(|n| write_batch(&store, &view, n))?;
    check!(size()? <= while_read + before, "{while_read} then {} bytes", size()?);
    check_eq!(read_batch(&store, &view)?, 90, "the last batch");
    Ok(())
}

#[test]
fn m2_killed_at_any_instant_the_last_commit_is_there_and_whole() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (path, view) = (folder.path().join("store"), view()?);
    let mut last = 0;
    for round in 0..KILLS {
        let mut writer = start("writes_until_it_is_killed", &path)?;
        // Long enough for the process to start; within that, any instant.
        let life = Duration::from_micros(5_000 + RandomState::new().hash_one(round) % 60_000);
        let lived = Stopwatch::start();
        let reader = EmbeddedStore::open(EmbeddedConfig::at(&path))?;
        while lived.elapsed() < life {
            let n = read_batch(&reader, &view)?;
            check!(n >= last, "batch {n} was read after batch {last}");
            last = n;
        }
        writer.kill()?;
        writer.wait()?;
        drop(reader);

        let store = EmbeddedStore::open(EmbeddedConfig::at(&path))?;
        let n = read_batch(&store, &view)?;
        check!(n >= last, "after kill {round}, batch {n} was read after batch {last}");
        let watermark = store.watermark_now(&view)?.event.map_or(0, EventTime::as_micros);
        check_eq!(watermark, n, "the watermark after kill {round}");
        last = n;
        // The dead process's hold on the store does not stop others.
        if round % 7 == 0 {
            last += 1;
            write_batch(&store, &view, last)?;
        }
    }
    check!(last > KILLS as i64, "{last} batches are too few for the writers to have been killed while writing");
    Ok(())
}

#[test]
fn o7_other_processes_read_whole_commits_while_one_writes() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (path, view) = (folder.path().join("store"), view()?);
    // The readers come first: they find nothing, and make nothing.
    let readers = [start("reads_until_the_last_batch", &path)?, start("reads_until_the_last_batch", &path)?];
    std::thread::sleep(Duration::from_millis(50));
    check!(!path.exists(), "a reader made the folder");
    let store = EmbeddedStore::open(EmbeddedConfig::at(&path))?;
    (1..=BATCHES).try_for_each(|n| write_batch(&store, &view, n))?;
    for mut reader in readers {
        check!(reader.wait()?.success(), "a reader saw something else than whole commits");
    }
    Ok(())
}
