//! The registry under many processes: applied by twenty at once, killed in mid-commit, on a full disk.
//!
//! The test binary runs itself again as the processes: `<binary> child <role> <registry> <number>`.

mod shop;

use std::env::current_exe;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use lodestore_core::{Error, ErrorKind, Result};
use lodestore_registry::{PlanOptions, Scope, SqliteRegistry};
use shop::{SHOP, Shop};
use tempfile::TempDir;

const PROCESSES: usize = 20;
const KILLS: u64 = 40;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, child, role, path, number] = arguments.as_slice()
        && child == "child"
    {
        return match run_child(role, Path::new(path), number) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                let told = writeln!(std::io::stderr(), "{error:?}");
                ExitCode::from(if told.is_ok() { 1 } else { 2 })
            }
        };
    }
    let arguments = Arguments::from_args();
    let trials = vec![
        Trial::test("twenty_processes_that_apply_at_once_are_all_there", || {
            twenty_apply_at_once(|path| shop(path)?.applied().map(drop))
        }),
        Trial::test("twenty_processes_that_create_the_registry_at_once_are_all_there", || {
            twenty_apply_at_once(|_| Ok(()))
        }),
        Trial::test("a_process_that_is_killed_leaves_whole_commits_only", killed_while_committing),
        small_disk_trial(&arguments, "a_full_disk_is_exhausted_and_what_was_committed_stays", full_disk),
        small_disk_trial(&arguments, "a_disk_that_can_only_be_read_is_read", read_only_disk),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run_child(role: &str, path: &Path, number: &str) -> Result<()> {
    let shop = shop(path)?;
    match role {
        "apply" => loop {
            match shop.apply(&view(number), &subset()) {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                other => return other.map(drop),
            }
        },
        "apply-forever" => loop {
            let revision = shop.apply(&view(&(shop.load()?.revision + 1).to_string()), &subset())?;
            let mut out = std::io::stdout();
            let written = writeln!(out, "{revision}").and_then(|()| out.flush());
            written.map_err(|e| Error::io("reporting a commit", e))?;
        },
        other => Err(Error::invalid(format!("no role '{other}'"))),
    }
}

fn shop(path: &Path) -> Result<Shop<SqliteRegistry>> {
    Ok(Shop::new(SqliteRegistry::open(path)?))
}

fn subset() -> PlanOptions {
    PlanOptions { scope: Scope::Subset { remove: Vec::new() }, force: false }
}

/// Definitions of one view, with what it refers to, so that it can be the first of a registry.
fn view(number: &str) -> String {
    format!(
        "
version: 1
entities: [{{name: driver, join_keys: [{{name: driver_id, type: int64}}]}}]
data_sources: [{{type: file, name: stats, path: stats.parquet, timestamp_field: at}}]
feature_views:
  - {{name: view_{number}, entities: [driver], source: stats, schema: [{{name: f, type: int64}}]}}
"
    )
}

fn child(role: &str, path: &Path, number: usize) -> std::io::Result<Child> {
    let mut command = Command::new(current_exe()?);
    command.args(["child", role]).arg(path).arg(number.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

fn twenty_apply_at_once(prepare: impl FnOnce(&Path) -> Result<()>) -> Result<(), Failed> {
    let folder = TempDir::new()?;
    let path = folder.path().join("new/registry.db");
    prepare(&path)?;
    let before = shop(&path)?.load()?;
    let children = (0..PROCESSES).map(|n| child("apply", &path, n)).collect::<Result<Vec<_>, _>>()?;
    for child in children {
        let output = child.wait_with_output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
    }
    let shop = shop(&path)?;
    let snapshot = shop.load()?;
    let missing = (0..PROCESSES).find(|n| !snapshot.views.contains_key(format!("view_{n}").as_str()));
    check(missing.is_none(), || format!("view {missing:?} is missing"))?;
    let expected = before.revision + PROCESSES as u64;
    check(snapshot.revision == expected, || format!("revision {} is not {expected}", snapshot.revision))?;
    let records = shop.history()?;
    check(records.len() as u64 == expected, || format!("{} records", records.len()))
}

fn killed_while_committing() -> Result<(), Failed> {
    let folder = TempDir::new()?;
    let path = folder.path().join("registry.db");
    let mut acknowledged = 0;
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    for round in 0..KILLS {
        let mut child = child("apply-forever", &path, 0)?;
        // A xorshift generator: instants all over a commit, the same in every run.
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        std::thread::sleep(Duration::from_micros(seed % 60_000));
        child.kill()?;
        let output = child.wait_with_output()?;
        check(output.stderr.is_empty(), || String::from_utf8_lossy(&output.stderr).into_owned())?;
        let reported = BufReader::new(output.stdout.as_slice()).lines();
        let whole = reported.map_while(Result::ok).filter_map(|line| line.parse::<u64>().ok());
        acknowledged = whole.last().unwrap_or(acknowledged).max(acknowledged);
        check_whole(&path, acknowledged)
            .map_err(|e| format!("after kill {round}: {}", e.message().unwrap_or_default()))?;
        acknowledged = shop(&path)?.load()?.revision;
    }
    check(acknowledged > KILLS, || format!("only {acknowledged} commits in {KILLS} rounds: they tell little"))
}

/// Checks that the registry holds exactly the commits of its revision, all that were reported among them.
fn check_whole(path: &Path, acknowledged: u64) -> Result<(), Failed> {
    let shop = shop(path)?;
    let snapshot = shop.load()?;
    let revision = snapshot.revision;
    check((acknowledged..=acknowledged + 1).contains(&revision), || {
        format!("revision {revision} after {acknowledged} was reported")
    })?;
    let records: Vec<u64> = shop.history()?.iter().rev().map(|record| record.revision).collect();
    check(records == (1..=revision).collect::<Vec<_>>(), || format!("records {records:?} of {revision}"))?;
    let all_there = (1..=revision).all(|n| snapshot.views.contains_key(format!("view_{n}").as_str()));
    check(all_there && snapshot.views.len() as u64 == revision, || format!("{} views", snapshot.views.len()))?;
    Ok(snapshot.definitions.check()?)
}

fn check(holds: bool, message: impl FnOnce() -> String) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(message().into()) }
}

/// A file system of half a megabyte, if this process may mount one.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = TempDir::new().ok()?;
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=512k", "none"]).arg(folder.path()).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0.path()).status();
        debug_assert!(unmounted.is_ok_and(|status| status.success()));
    }
}

/// A trial on a small disk; reported as ignored where none can be mounted.
fn small_disk_trial(arguments: &Arguments, name: &str, run: fn(&SmallDisk) -> Result<(), Failed>) -> Trial {
    let disk = if arguments.list { None } else { SmallDisk::mount() };
    let ignored = disk.is_none() && !arguments.list;
    let trial = Trial::test(name, move || match disk {
        Some(disk) => run(&disk),
        None => Err("a small disk can't be mounted".into()),
    });
    trial.with_ignored_flag(ignored)
}

fn full_disk(disk: &SmallDisk) -> Result<(), Failed> {
    let shop = shop(&disk.0.path().join("registry.db"))?.applied()?;
    let mut revision = 1;
    let error = loop {
        let description = "x".repeat(20_000);
        let text =
            view(&revision.to_string()).replace("{name: view", &format!("{{description: {description}, name: view"));
        match shop.apply(&text, &subset()) {
            Ok(next) => revision = next,
            Err(error) => break error,
        }
        check(revision < 1_000, || "the disk is never full".into())?;
    };
    check(error.kind() == ErrorKind::Exhausted, || format!("{error:?}"))?;
    check(shop.load()?.revision == revision, || "a commit was lost or half made".into())?;
    check(shop.plan(SHOP, &subset())?.is_empty(), || "the first commit is damaged".into())
}

fn read_only_disk(disk: &SmallDisk) -> Result<(), Failed> {
    let path = disk.0.path().join("a registry?.db");
    let before = shop(&path)?.applied()?.load()?;
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(disk.0.path()).status()?;
    check(remounted.success(), || "the disk can't be made read-only".into())?;
    let shop = shop(&path)?;
    check(shop.load()? == before, || "what was committed is not what is read".into())?;
    let kind = match shop.apply(&view("1"), &subset()) {
        Ok(_) => None,
        Err(error) => Some(error.kind()),
    };
    check(kind == Some(ErrorKind::PermissionDenied), || format!("{kind:?}"))
}
