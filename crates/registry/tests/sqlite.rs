//! The registry in a real SQLite file: other files, other versions, stored forms, many threads.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking, in its helping functions too")]

mod shop;

use std::fs;
use std::path::{Path, PathBuf};

use futures::executor::block_on;
use lodestore_core::definition::Definitions;
use lodestore_core::registry::{Change, Mutation, RegistryStore, SavedDataset, Snapshot};
use lodestore_core::{Error, ErrorKind, Result};
use lodestore_registry::{PlanOptions, Scope, SqliteRegistry};
use rusqlite::Connection;
use shop::{SHOP, Shop, at, definitions};
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("the folder is there");
        let mut names: Vec<_> =
            entries.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn shop(path: &Path) -> Result<Shop<SqliteRegistry>> {
    Ok(Shop::new(SqliteRegistry::open(path)?))
}

fn subset() -> PlanOptions {
    PlanOptions { scope: Scope::Subset { remove: Vec::new() }, force: false }
}

#[test]
fn reading_what_is_not_there_gives_nothing_and_creates_nothing() -> Result<()> {
    let folder = Folder::new();
    let shop = shop(&folder.path("data/registry.db"))?;
    assert_eq!(shop.load()?, Snapshot::empty(shop.project.clone()));
    assert_eq!(shop.history()?, []);
    block_on(shop.store.remove_project(&shop.project))?;
    assert_eq!(folder.names(), [""; 0]);
    Ok(())
}

#[test]
fn the_first_commit_creates_folders_and_file_and_another_opening_sees_it() -> Result<()> {
    let folder = Folder::new();
    let path = folder.path("some/folders/registry.db");
    let first = shop(&path)?.applied()?;
    let again = shop(&path)?;
    assert_eq!(again.load()?, first.load()?);
    assert_eq!(again.history()?.len(), 1);
    assert!(again.plan(SHOP, &PlanOptions::default())?.is_empty());
    Ok(())
}

#[test]
fn a_registry_that_was_removed_in_between_is_empty() -> Result<()> {
    let folder = Folder::new();
    let path = folder.path("registry.db");
    let shop = shop(&path)?.applied()?;
    fs::remove_file(&path).expect("it is there");
    assert_eq!(shop.load()?.revision, 0);
    assert_eq!(shop.apply(SHOP, &PlanOptions::default())?, 1);
    Ok(())
}

#[test]
fn an_empty_file_is_an_empty_registry() -> Result<()> {
    let folder = Folder::new();
    let path = folder.path("registry.db");
    fs::write(&path, "").expect("it can be written");
    let shop = shop(&path)?;
    assert_eq!(shop.load()?.revision, 0);
    assert_eq!(fs::read(&path).expect("a file"), b"");
    assert_eq!(shop.apply(SHOP, &PlanOptions::default())?, 1);
    Ok(())
}

#[test]
fn a_name_that_means_memory_to_sqlite_is_a_file() -> Result<()> {
    let registry = SqliteRegistry::open(Path::new(":memory:"))?;
    assert!(registry.path().is_absolute() && registry.path().ends_with(":memory:"));
    Ok(())
}

/// Checks that a file is refused with such an error by every method, and stays as it is.
fn check_refused(path: &Path, kind: ErrorKind, message: &str) {
    let before = fs::read(path).expect("a file");
    let check = |error: Error| {
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(message), "{error}\n does not contain {message}");
        assert!(error.message().contains(&path.display().to_string()), "{error}");
    };
    check(SqliteRegistry::open(path).unwrap_err());

    // The file may also have come after the opening.
    let aside = path.with_extension("aside");
    fs::rename(path, &aside).expect("it can be moved");
    let shop = shop(path).expect("nothing is there");
    let plan = shop.plan(SHOP, &PlanOptions::default()).expect("an empty registry");
    fs::rename(&aside, path).expect("it can be moved back");
    check(shop.load().unwrap_err());
    check(shop.history().unwrap_err());
    check(shop.apply_plan(&plan).unwrap_err());
    check(block_on(shop.store.remove_project(&shop.project)).unwrap_err());
    assert!(fs::read(path).expect("a file") == before, "{} was changed", path.display());
}

#[test]
fn a_file_that_is_no_sqlite_file_is_refused_and_left_alone() {
    let folder = Folder::new();
    let protobuf: Vec<u8> = (0..5_000_u32).flat_map(|n| [0x0a, 0x12, (n % 251) as u8, b'f']).collect();
    for (name, bytes) in [("feast.db", protobuf.as_slice()), ("short.db", b"\n\x05shop"), ("text.db", b"hello\n")] {
        let path = folder.path(name);
        fs::write(&path, bytes).expect("it can be written");
        check_refused(&path, ErrorKind::Corrupt, "is not a Lodestore registry");
    }
}

#[test]
fn an_sqlite_file_of_something_else_is_refused_and_left_alone() {
    let folder = Folder::new();
    let path = folder.path("other.db");
    let other = Connection::open(&path).and_then(|c| c.execute_batch("CREATE TABLE project (name TEXT)"));
    assert!(other.is_ok());
    check_refused(&path, ErrorKind::Invalid, "is an SQLite file of something else");
    assert_eq!(folder.names(), ["other.db"]);
}

#[test]
fn a_registry_of_a_newer_lodestore_is_refused_and_left_alone() -> Result<()> {
    let folder = Folder::new();
    let path = folder.path("registry.db");
    shop(&path)?.applied()?;
    let raise = Connection::open(&path).and_then(|c| c.execute_batch("PRAGMA user_version = 2"));
    assert!(raise.is_ok());
    check_refused(&path, ErrorKind::Unsupported, "has version 2, but this Lodestore reads up to 1; upgrade it");
    Ok(())
}

#[test]
fn a_damaged_registry_is_corrupt() -> Result<()> {
    let folder = Folder::new();
    let path = folder.path("registry.db");
    shop(&path)?.applied()?;
    let mut bytes = fs::read(&path).expect("a file");
    let length = bytes.len();
    bytes[4096..length].fill(0x5a);
    fs::write(&path, bytes).expect("it can be written");
    assert_eq!(shop(&path)?.load().unwrap_err().kind(), ErrorKind::Corrupt);
    Ok(())
}

#[test]
fn a_path_that_can_not_be_a_file_is_refused() -> Result<()> {
    let folder = Folder::new();
    let error = SqliteRegistry::open(folder.0.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("is a folder; name a file in it"), "{error}");

    let file = folder.path("file");
    let shop = shop(&file.join("registry.db"))?;
    let plan = shop.plan(SHOP, &PlanOptions::default())?;
    fs::write(&file, "").expect("it can be written");
    assert_eq!(shop.load().unwrap_err().kind(), ErrorKind::Invalid);
    assert_ne!(shop.apply_plan(&plan).unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(fs::read(&file).expect("a file"), b"");
    Ok(())
}

#[test]
fn a_registry_that_another_connection_writes_is_read_as_it_was() -> Result<()> {
    let folder = Folder::new();
    let path = folder.path("registry.db");
    let shop = shop(&path)?.applied()?;
    let writer = Connection::open(&path).expect("it is there");
    let begun = writer.execute_batch("BEGIN IMMEDIATE; UPDATE project SET revision = 99");
    assert!(begun.is_ok());
    assert_eq!(shop.load()?.revision, 1);
    Ok(())
}

#[test]
fn what_is_stored_is_loaded_to_the_last_bit() -> Result<()> {
    let folder = Folder::new();
    let shop = shop(&folder.path("registry.db"))?;
    let mut wanted = definitions(SHOP)?;
    let view = wanted.feature_views.get_mut("driver_stats").expect("the shop has it");
    // Multiples of an odd number modulo 2^53 are floats of all digits; a sloppy reader gets a tenth wrong.
    let floats = (1..500_u64).map(|n| (n * 0x001b_a5e5_7a11_c0de_u64 % (1 << 53)) as f64 / (1_u64 << 53) as f64);
    view.schema[0].feature_type = "list<float64>".parse()?;
    view.schema[0].default = Some(floats.collect::<Vec<_>>().into());
    view.schema[1].default = Some(serde_json::Value::Null);
    shop.apply_definitions(&wanted, &PlanOptions::default())?;
    let plan = shop.plan_definitions(&wanted, &PlanOptions::default())?;
    assert!(plan.is_empty(), "{plan}");
    Ok(())
}

fn view(n: usize) -> String {
    format!(
        "
version: 1
feature_views:
  - {{name: view_{n}, entities: [driver], source: stats, schema: [{{name: f, type: int64}}]}}
"
    )
}

#[test]
fn threads_that_apply_at_once_all_succeed_or_conflict_and_nothing_is_lost() -> Result<()> {
    const THREADS: usize = 8;
    let folder = Folder::new();
    let path = folder.path("registry.db");
    shop(&path)?.applied()?;
    let conflicts: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|n| {
                let path = &path;
                scope.spawn(move || -> Result<usize> {
                    let shop = shop(path)?;
                    let mut conflicts = 0;
                    loop {
                        match shop.apply(&view(n), &subset()) {
                            Ok(_) => return Ok(conflicts),
                            Err(error) if error.kind() == ErrorKind::Conflict => conflicts += 1,
                            Err(error) => return Err(error),
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum::<Result<usize>>()
    })?;
    let shop = shop(&path)?;
    let snapshot = shop.load()?;
    assert_eq!(snapshot.revision, 1 + THREADS as u64, "after {conflicts} conflicts");
    assert_eq!(shop.history()?.len(), 1 + THREADS);
    assert!((0..THREADS).all(|n| snapshot.views.contains_key(format!("view_{n}").as_str())));
    Ok(())
}

#[test]
fn a_commit_that_fails_half_way_changes_nothing() -> Result<()> {
    let folder = Folder::new();
    let path = folder.path("registry.db");
    let shop = shop(&path)?.applied()?;
    let before = (shop.load()?, shop.history()?);
    let trigger = "CREATE TRIGGER stop BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'stop'); END";
    let connection = Connection::open(&path).expect("it is there");
    assert!(connection.execute_batch(trigger).is_ok());
    assert!(shop.apply(&view(1), &subset()).is_err());
    assert_eq!((shop.load()?, shop.history()?), before);
    assert!(connection.execute_batch("DROP TRIGGER stop").is_ok());
    assert_eq!(shop.apply(&view(1), &subset())?, 2);
    Ok(())
}

/// Every kind of object: two versions of a view, a service that pins the older one, a saved dataset.
fn everything(shop: &Shop<SqliteRegistry>) -> Result<()> {
    shop.apply(EVERYTHING, &PlanOptions::default())?;
    let changed = EVERYTHING.replace("path: stats.parquet", "path: stats_v2.parquet");
    let mut wanted: Definitions = definitions(&changed)?;
    wanted.feature_services.clear();
    shop.apply_definitions(&wanted, &subset())?;
    let dataset = SavedDataset {
        name: "training".parse()?,
        path: "training.parquet".into(),
        created_at: at(2),
        rows: 7,
        features: vec!["driver_stats@1:conv_rate".into()],
        plan: "one line\nanother".into(),
        fingerprints: vec!["stats.parquet 4 bytes".into()],
        tags: [("model".to_owned(), "v1".to_owned())].into(),
    };
    let mutations = vec![Mutation::PutDataset(dataset)];
    let change = Change { mutations, at: at(2), by: "tester".into(), lines: vec!["+ saved dataset 'training'".into()] };
    block_on(shop.store.commit(&shop.project, 2, &change)).map(drop)
}

const EVERYTHING: &str = "
version: 1
entities:
  - {name: driver, join_keys: [{name: driver_id, type: int64}, region], description: d, tags: {a: b}, owner: o}
data_sources:
  - {type: file, name: stats, path: stats.parquet, format: parquet, timestamp_field: at, created_timestamp_column: made,
     availability_delay: 1h, field_mapping: {c: conv_rate}, description: d, tags: {a: b}, owner: o}
  - {type: file, name: prices, path: prices.csv, valid_from: from, valid_to: to}
  - {type: push, name: live, batch_source: stats, description: d, tags: {a: b}, owner: o}
  - {type: request, name: asked, schema: [{name: amount, type: float64}], description: d, tags: {a: b}, owner: o}
feature_views:
  - name: driver_stats
    entities: [driver]
    source: live
    ttl: 1d 12h
    online: false
    schema:
      - {name: region, type: string}
      - {name: conv_rate, type: float32, default: 0.5, description: d, tags: {a: b}}
      - {name: all, type: 'struct<a: list<int64>, b: map<string, decimal(10, 2)>>'}
    description: d
    tags: {a: b}
    owner: o
  - {name: price, source: prices, schema: [{name: amount, type: 'vector<float32, 3>'}]}
feature_services:
  - name: model_v1
    features:
      - {view: driver_stats, features: [conv_rate], alias: stats, join_key_map: {driver_id: chauffeur}}
      - price@1:amount
    description: d
    tags: {a: b}
    owner: o
";

/// Returns every row of a registry, a line each.
fn dump(path: &Path) -> rusqlite::Result<String> {
    let connection = Connection::open(path)?;
    let mut text = String::new();
    let tables = [
        ("project", "name"),
        ("object", "project, kind, name"),
        ("view_version", "project, view, number"),
        ("record", "project, revision"),
    ];
    for (table, key) in tables {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY {key}"))?;
        let width = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let values = (0..width).map(|i| {
                let value: rusqlite::types::Value = row.get(i)?;
                Ok(match value {
                    rusqlite::types::Value::Integer(n) => n.to_string(),
                    rusqlite::types::Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
                    other => format!("{other:?}"),
                })
            });
            let values = values.collect::<rusqlite::Result<Vec<_>>>()?.join(", ");
            text += &format!("INSERT INTO {table} VALUES ({values});\n");
        }
    }
    Ok(text)
}

fn golden() -> String {
    fs::read_to_string("test-data/form-1.sql").expect("the golden file is there")
}

#[test]
fn form_1_is_what_is_written() -> Result<()> {
    let folder = Folder::new();
    let path = folder.path("registry.db");
    everything(&shop(&path)?)?;
    let written = dump(&path).expect("a registry");
    // A difference is a new stored form: keep the golden file and the code that reads it, and add another.
    assert_eq!(rows_of(&golden()), written);
    Ok(())
}

/// Returns the rows of a dump without its schema.
fn rows_of(dump: &str) -> String {
    dump.lines().filter(|line| line.starts_with("INSERT")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn form_1_is_loaded() -> Result<()> {
    let folder = Folder::new();
    let (old, new) = (folder.path("old.db"), folder.path("new.db"));
    let filled = Connection::open(&old).and_then(|connection| connection.execute_batch(&golden()));
    assert!(filled.is_ok(), "{filled:?}");
    everything(&shop(&new)?)?;
    let (old, new) = (shop(&old)?, shop(&new)?);
    assert_eq!(old.load()?, new.load()?);
    assert_eq!(old.history()?, new.history()?);
    assert_eq!(old.load()?.pins["model_v1"]["driver_stats"], 1);
    assert_eq!(old.load()?.views["driver_stats"].current, 2);
    let next = view(1).replace("schema: [", "schema: [{name: region, type: string}, ");
    assert_eq!(old.apply(&next, &subset())?, 4);
    Ok(())
}

#[test]
fn five_hundred_views_are_stored_and_loaded() -> Result<()> {
    let folder = Folder::new();
    let shop = shop(&folder.path("registry.db"))?.applied()?;
    let fields: Vec<_> = (0..20).map(|n| format!("{{name: f{n}, type: float64}}")).collect();
    let views: String = (0..500)
        .map(|n| format!("  - {{name: v{n}, entities: [driver], source: stats, schema: [{}]}}\n", fields.join(", ")))
        .collect();
    let text = format!("version: 1\nfeature_views:\n{views}");
    assert_eq!(shop.apply(&text, &subset())?, 2);
    assert_eq!(shop.load()?.views.len(), 502);
    assert!(shop.plan(&text, &subset())?.is_empty());
    Ok(())
}
