//! Ctrl-C, a full disk, and two who apply at once.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::{Repo, lodestore};

const ROWS: usize = 600_000;

/// Makes the repository's file large, and its commits many.
fn many_rows() -> Repo {
    let repo = Repo::applied();
    let mut text = "driver_id,event_timestamp,created,conv_rate,acc_rate,avg_daily_trips\n".to_owned();
    for i in 0..ROWS {
        let minute = i % 60;
        let _ = writeln!(text, "{i},2024-03-01T00:{minute:02}:00Z,2024-03-02T00:00:00Z,0.5,0.25,{i}");
    }
    repo.write("data/driver_stats.csv", &text);
    let settings = repo.read("feature_store.yaml");
    repo.write("feature_store.yaml", &format!("{settings}materialization: {{batch_bytes: 10000}}\n"));
    repo
}

fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Starts to materialize, and waits until something was committed.
fn in_the_middle(repo: &Repo) -> Child {
    let store = repo.path().join("data/online_store/data.mdb");
    let size = || fs::metadata(&store).map_or(0, |found| found.len());
    let before = size();
    let mut child = materializing(repo);
    for _ in 0..3000 {
        if size() > before {
            return child;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended before anything was committed");
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("nothing was committed");
}

fn materializing(repo: &Repo) -> Child {
    let words = ["materialize", "2024-01-01", "2024-04-01"];
    lodestore(&repo.path()).args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn ctrl_c_leaves_what_was_committed_and_the_next_run_goes_on() {
    let repo = many_rows();
    let child = in_the_middle(&repo);
    interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("stopping after the batch at hand"), "{stderr}");
    assert!(stderr.contains("was interrupted after") && stderr.contains("running it again goes on"), "{stderr}");
    assert!(output.stdout.is_empty());

    let until =
        |repo: &Repo| repo.json("describe feature-view driver_stats")["versions"][0]["materialized_until"].clone();
    assert!(until(&repo).is_null(), "the watermark moved");
    let reports = repo.json("materialize 2024-01-01 2024-04-01");
    assert_eq!(reports[0]["rows_read"], ROWS);
    assert_eq!(until(&repo), "2024-04-01T00:00:00Z");
    let last = ROWS - 1;
    let online = repo.json(&format!("get-online-features -s driver_activity -e driver_id=0 -e driver_id={last}"));
    assert_eq!(online["values"]["avg_daily_trips"], serde_json::json!([0, last]));
}

#[test]
fn a_run_that_is_killed_is_run_again() {
    let repo = many_rows();
    let mut child = in_the_middle(&repo);
    child.kill().unwrap();
    child.wait().unwrap();
    let reports = repo.json("materialize 2024-01-01 2024-04-01");
    assert_eq!(reports[0]["rows_read"], ROWS);
    let online = repo.json("get-online-features -s driver_activity -e driver_id=599999");
    assert_eq!(online["values"]["avg_daily_trips"], serde_json::json!([599_999]));
}

/// Both have planned on one revision when the first of them commits.
#[test]
fn of_two_applies_at_once_one_wins_and_the_other_is_told() {
    let repo = Repo::applied();
    repo.edit("features.yaml", "ttl: 3650d", "ttl: 30d");
    let registry = rusqlite::Connection::open(repo.path().join("data/registry.db")).unwrap();
    registry.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut children: Vec<_> = (0..2)
        .map(|_| {
            let mut command = lodestore(&repo.path());
            command.arg("apply").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    // An apply prints its plan before it commits.
    let mut outputs: Vec<_> = children.iter_mut().map(|child| BufReader::new(child.stdout.take().unwrap())).collect();
    for output in &mut outputs {
        let mut line = String::new();
        while !line.contains("1 to change") {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "no plan was printed");
        }
    }
    registry.execute_batch("COMMIT").unwrap();
    drop(registry);
    let mut ends: Vec<(i32, String)> = Vec::new();
    for mut child in children {
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        ends.push((child.wait().unwrap().code().unwrap_or(-1), stderr));
    }
    ends.sort();
    assert_eq!(ends.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [0, 1], "{ends:?}");
    assert!(
        ends[1].1.starts_with("error: ") && ends[1].1.contains("somebody else applied in between; plan again"),
        "{ends:?}"
    );
    assert_eq!(repo.json("list history").as_array().map(Vec::len), Some(2));
    repo.run("plan").ok();
}

/// A file system of its own, taken away at the end.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(path: &'a Path, bytes: u64) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_is_said_and_what_was_there_stays() {
    let repo = Repo::init("demo", "minimal");
    let small = repo.path().join("small");
    let Some(_disk) = SmallDisk::mount(&small, 400 << 10) else {
        println!("skipped: mounting a small file system is not allowed here");
        return;
    };
    let settings = repo.read("feature_store.yaml").replace("data/", "small/");
    repo.write("feature_store.yaml", &settings);
    repo.run("apply").ok();
    let registry = fs::read(small.join("registry.db")).unwrap();

    fs::write(small.join("ballast"), vec![7; 8 << 20]).unwrap_err();
    repo.edit("features.yaml", "ttl: 3650d", "ttl: 30d");
    for words in [
        "apply",
        "materialize 2024-01-01 2024-04-01",
        "get-historical-features --entities entities.csv -s driver_activity -o small/t.parquet",
    ] {
        let answer = repo.run(words).ends_with_status(1);
        let says = ["disk", "full", "space"].iter().any(|word| answer.stderr.contains(word));
        assert!(answer.stderr.starts_with("error: ") && says, "{words}: {}", answer.stderr);
    }
    assert!(fs::read(small.join("registry.db")).unwrap() == registry, "the registry changed");
    let left: Vec<_> = fs::read_dir(&small).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("t.parquet")), "{left:?}");

    fs::remove_file(small.join("ballast")).unwrap();
    repo.run("apply").ok();
    assert_eq!(repo.json("materialize 2024-01-01 2024-04-01")[0]["rows_written"], 4);
}
