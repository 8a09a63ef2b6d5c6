//! A process that pushes events is killed at any instant: no event is lost or counted twice.

use std::hash::{BuildHasher, RandomState};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use lodestore_core::time::EventTime;
use lodestore_online::embedded::{EmbeddedConfig, EmbeddedStore};
use lodestore_testkit::generate::{WindowCase, online_keys};
use lodestore_testkit::oracle::{Value, WindowEvent};
use lodestore_testkit::{Failed, Outcome, check, check_eq};

/// The folder that a process started by a test works in.
const FOLDER: &str = "LODESTORE_WINDOW_CRASH_TEST_FOLDER";
const KILLS: usize = 30;
const WINDOWS: &str = r#"[
    {"function": "count", "time_window": "lifetime", "name": "count"},
    {"function": "sum", "column": "n", "time_window": "lifetime", "name": "sum"},
    {"function": "count", "time_window": "50us", "slide_interval": "5us", "name": "hopping"},
    {"function": "count", "time_window": "20us", "slide_interval": "0s", "name": "exact"}
]"#;

fn case() -> Result<WindowCase, Failed> {
    WindowCase::of("crash", true, WINDOWS)
}

/// Pushes event k, which happens at k and has the value k.
fn push(store: &EmbeddedStore, case: &WindowCase, k: i64) -> Outcome {
    let values = vec![Value::Null, Value::Int64(k), Value::Null, Value::Null];
    let event = WindowEvent { key: 0, time: k, created: None, id: Some(k), values };
    store.write_now(&case.view, &case.rows(&[&event])?, EventTime::from_micros(k), None)?;
    Ok(())
}

fn read(store: &EmbeddedStore, case: &WindowCase, at: i64) -> Result<[i64; 4], Failed> {
    let keys = online_keys(&case.view, &[Some(0)])?;
    let columns = store.read_now(&case.view, &keys, &[0, 1, 2, 3], EventTime::from_micros(at))?;
    let value = |place: usize| columns[place].values.as_primitive::<Int64Type>().value(0);
    Ok([0, 1, 2, 3].map(value))
}

/// Returns how many events are there: 1, 2, 3 and so on, each once.
fn count(store: &EmbeddedStore, case: &WindowCase) -> Result<i64, Failed> {
    let [count, sum, ..] = read(store, case, i64::MAX - 1)?;
    check_eq!(sum, count * (count + 1) / 2, "the sum of {count} events");
    let start = (count - 50).div_euclid(5) * 5;
    let expected = [count, sum, count - start.max(0), count.min(20)];
    check_eq!(read(store, case, count)?, expected, "the windows of {count} events");
    Ok(count)
}

#[test]
#[ignore = "the part of a process that another test starts"]
fn pushes_until_it_is_killed() -> Outcome {
    let folder = std::env::var_os(FOLDER).ok_or("this test is started by others, in a process of its own")?;
    let (store, case) = (EmbeddedStore::open(EmbeddedConfig::at(folder))?, case()?);
    // The last events are told again, as by a caller who does not know which arrived.
    let mut k = (count(&store, &case)? - 10).max(0);
    loop {
        k += 1;
        push(&store, &case, k)?;
    }
}

fn start(folder: &std::path::Path) -> Result<Child, Failed> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--exact", "pushes_until_it_is_killed", "--ignored", "--quiet"]).env(FOLDER, folder);
    Ok(command.stdout(Stdio::null()).spawn()?)
}

#[test]
fn w5_killed_at_any_instant_each_event_counts_once() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (path, case) = (folder.path().join("store"), case()?);
    let mut last = 0;
    for round in 0..KILLS {
        let mut writer = start(&path)?;
        std::thread::sleep(Duration::from_micros(8_000 + RandomState::new().hash_one(round) % 50_000));
        writer.kill()?;
        writer.wait()?;
        let store = EmbeddedStore::open(EmbeddedConfig::at(&path))?;
        let found = count(&store, &case)?;
        check!(found >= last, "after kill {round} there are {found} events, and {last} before");
        last = found;
    }
    check!(last > KILLS as i64, "{last} events are too few for the writers to have been killed while writing");
    Ok(())
}
