//! Training sets: questions by SQL, explanations, and Ctrl-C.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use insta::assert_snapshot;
use lodestore::core::time::Stopwatch;
use serde_json::json;

use crate::support::{Repo, lodestore, run_in};

const FEATURES: &str = "driver_stats:avg_daily_trips";

/// Runs `get-historical-features` with words that may have spaces in them.
fn ask(repo: &Repo, words: &[&str]) -> crate::support::Answer {
    run_in(&repo.path(), &[&["get-historical-features", "-f", FEATURES], words].concat())
}

#[test]
fn questions_are_asked_by_sql() {
    let repo = Repo::applied();
    let sql = "SELECT driver_id, max(event_timestamp) AS event_timestamp FROM driver_stats_file GROUP BY 1 ORDER BY 1";
    assert_snapshot!("historical_sql", ask(&repo, &["--entities-sql", sql]).ok().shown());
    for (words, says) in [
        (vec!["--entities-sql", "SELECT * FROM nowhere"], "nowhere"),
        (vec!["--entities-sql", sql, "--entities", "entities.csv"], "cannot be used with"),
        (vec!["--entities-sql", sql, "--start", "2024-01-01"], "cannot be used with"),
        (vec![], "required"),
    ] {
        let answer = ask(&repo, &words).ends_with_status(1);
        assert!(answer.stderr.contains(says), "{words:?}: {}", answer.stderr);
    }
}

#[test]
fn a_retrieval_is_explained_by_running_it_or_by_its_plan_alone() {
    let repo = Repo::applied();
    let explained = ask(&repo, &["--entities", "entities.csv", "--explain"]).ok().stdout;
    assert_snapshot!("historical_explain", without_measures(&explained));
    let plan = ask(&repo, &["--entities", "entities.csv", "--explain=plan"]).ok().stdout;
    assert!(explained.starts_with(plan.trim_end()), "{plan}");
    assert!(!plan.contains("answered"), "{plan}");
    let shown = repo.json(&format!("get-historical-features -f {FEATURES} --entities entities.csv --explain=plan"));
    assert_eq!(shown, json!({"plan": plan.trim_end()}));
    let wrong = ask(&repo, &["--entities", "entities.csv", "--explain=wholly"]).ends_with_status(1);
    assert!(wrong.stderr.contains("[possible values: analyze, plan]"), "{}", wrong.stderr);
}

/// Replaces what differs from run to run: times and memory.
fn without_measures(text: &str) -> String {
    let line = |line: &str| match line.split_once("peak memory ") {
        Some((before, _)) => format!("{before}peak memory [bytes]\n"),
        None if line.starts_with("  time ") => "  time        [times]\n".to_owned(),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// Makes the repository's file large, and read by many views.
fn long_run() -> Repo {
    let repo = Repo::init("demo", "minimal");
    let mut text = "driver_id,event_timestamp,created,conv_rate,acc_rate,avg_daily_trips\n".to_owned();
    for i in 0..400_000 {
        let _ = writeln!(text, "{i},2024-03-01T00:{:02}:00Z,2024-03-02T00:00:00Z,0.5,0.25,{i}", i % 60);
    }
    repo.write("data/driver_stats.csv", &text);
    let views: Vec<_> = (0..30).map(|n| format!("  - {{name: v{n}, entities: [driver], source: driver_stats_file, schema: [{{name: acc_rate, type: float32}}]}}\n")).collect();
    repo.write("views.yaml", &format!("version: 1\nfeature_views:\n{}", views.concat()));
    repo.run("apply").ok();
    repo
}

fn files(repo: &Repo) -> Vec<PathBuf> {
    let mut folders = vec![repo.path()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    files
}

#[test]
fn ctrl_c_stops_a_retrieval_at_once_and_leaves_no_file() {
    let repo = long_run();
    let before = files(&repo);
    let features: Vec<_> = (0..30).flat_map(|n| ["-f".to_owned(), format!("v{n}:acc_rate")]).collect();
    for (output, json) in [("-o=training.parquet", false), ("-o=training.csv", true)] {
        let mut command = lodestore(&repo.path());
        command
            .args(["get-historical-features", "--full-feature-names", "--entities=entities.csv", output])
            .args(&features);
        if json {
            command.arg("--json");
        }
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(700));
        let pressed = Stopwatch::start();
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let ended = child.wait_with_output().unwrap();
        let (stderr, took) = (String::from_utf8(ended.stderr).unwrap(), pressed.elapsed());
        assert_eq!(ended.status.code(), Some(130), "{stderr}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert!(stderr.contains("the retrieval was interrupted; nothing was written"), "{stderr}");
        assert_eq!(stderr.contains("stopping"), !json, "{stderr}");
        assert!(ended.stdout.is_empty());
        assert_eq!(files(&repo), before);
    }
}
