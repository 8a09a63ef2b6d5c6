//! The whole path with the smallest template, and what is printed on it.

use std::io::Read;
use std::process::Stdio;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Repo, lodestore, run_in};

#[test]
fn from_init_to_training_and_serving() {
    let repo = Repo::init("demo", "minimal");
    assert_snapshot!("validate", repo.run("validate").ok().shown());
    assert_eq!(repo.registry(), None, "validate writes nothing");
    assert_snapshot!("plan", repo.run("plan").ends_with_status(2).shown());
    assert_eq!(repo.registry(), None, "plan writes nothing");
    assert_snapshot!("apply", repo.run("apply").ok().shown());
    assert_snapshot!("plan_again", repo.run("plan").ok().shown());
    assert_snapshot!("apply_again", repo.run("apply").ok().shown());

    let table = repo.run("materialize 2024-01-01 2024-04-01").ok().shown();
    let without_seconds: Vec<_> =
        table.lines().filter_map(|line| line.rsplit_once("  ")).map(|(l, _)| l.trim_end()).collect();
    assert_snapshot!("materialize", without_seconds.join("\n"));
    let online = repo.run("get-online-features -s driver_activity -e driver_id=1001 -e driver_id=1004 -e driver_id=7");
    assert_snapshot!("online", online.ok().shown());
    let named = repo.run("get-online-features -f driver_stats:acc_rate -f driver_stats@1:conv_rate -e driver_id=1002 --full-feature-names");
    assert_snapshot!("online_full_names", named.ok().shown());

    let historical = "get-historical-features --entities entities.csv -s driver_activity";
    assert_snapshot!("historical", repo.run(historical).ok().shown());
    assert_snapshot!("historical_as_known", repo.run(&format!("{historical} --as-known --use-defaults")).ok().shown());
    let interval = "get-historical-features --start 2024-03-02 --end 2024-03-03 -f driver_stats:conv_rate";
    assert_snapshot!("historical_interval", repo.run(interval).ok().shown());
    repo.run(&format!("{historical} -o out/training.csv")).ok();
    assert_snapshot!("historical_csv", repo.read("out/training.csv"));
    let explained = repo.run(&format!("{historical} --explain")).ok().shown();
    assert!(explained.contains("View: driver_stats@1, keys [driver_id]"), "{explained}");
}

#[test]
fn a_changed_definition_is_planned_and_applied_as_a_version() {
    let repo = Repo::applied();
    repo.edit("features.yaml", "avg_daily_trips, type: int64", "avg_daily_trips, type: float64");
    assert_snapshot!("plan_version", repo.run("plan").ends_with_status(2).shown());
    repo.run("apply").ok();
    assert_snapshot!("describe_versions", repo.run("describe feature-view driver_stats").ok().shown());
    let history = repo.json("list history");
    assert_eq!(history.as_array().map(Vec::len), Some(2));
    assert_eq!(history[0]["by"], "ada");

    repo.write("features.yaml", "version: 1\n");
    let plan = repo.json_of_plan("plan");
    assert_eq!(plan["summary"], json!({"add": 0, "change": 0, "remove": 4}));
    repo.run("apply").ok();
    assert_eq!(repo.json("list feature-views"), json!([]));
}

#[test]
fn what_is_registered_is_listed_and_described() {
    let repo = Repo::applied();
    repo.run("materialize 2024-01-01 2024-04-01").ok();
    for kind in ["entities", "data-sources", "feature-views", "feature-services", "saved-datasets"] {
        assert_snapshot!(format!("list_{kind}"), repo.run(&format!("list {kind}")).ok().shown());
    }
    for words in [
        "entity driver",
        "data-source driver_stats_file",
        "feature-view driver_stats",
        "feature-services driver_activity",
    ] {
        let name = format!("describe_{}", words.split(' ').next().unwrap_or_default());
        assert_snapshot!(name, repo.run(&format!("describe {words}")).ok().shown());
    }
    let feast = repo.run("feature-views list").ok();
    assert_eq!(feast.stdout, repo.run("list feature-views").ok().stdout);
    assert_snapshot!("describe_history", repo.run("describe history 1").ok().shown());
    let described = repo.json("feature-views describe driver_stats");
    assert_eq!(described["versions"][0]["materialized_until"], "2024-04-01T00:00:00Z");
}

impl Repo {
    fn json_of_plan(&self, words: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{words} --json")).ends_with_status(2).stdout).unwrap()
    }
}

#[test]
fn every_answer_is_there_as_json() {
    let repo = Repo::init("demo", "minimal");
    assert_eq!(repo.json("validate"), json!({"project": "demo", "definitions": 4}));
    assert_eq!(repo.json_of_plan("plan")["summary"]["add"], 4);
    let applied = repo.json("apply");
    assert_eq!((&applied["applied"], &applied["revision"]), (&json!(true), &json!(1)));
    assert_eq!(repo.json("apply")["applied"], false);
    let reports = repo.json("materialize 2024-01-01 2024-04-01 -v driver_stats");
    assert_eq!((&reports[0]["rows_read"], &reports[0]["rows_written"]), (&json!(10), &json!(4)));
    let again = repo.json("materialize-incremental");
    assert_eq!(again[0]["rows_written"], 0);
    let online = repo.json("get-online-features -s driver_activity -e driver_id=1002 -e driver_id=7 --use-defaults");
    let expected = json!({
        "values": {"driver_id": [1002, 7], "conv_rate": [0.38, null], "acc_rate": [0.88, null], "avg_daily_trips": [9, 0]},
        "statuses": {
            "conv_rate": ["PRESENT", "NOT_FOUND"],
            "acc_rate": ["PRESENT", "NOT_FOUND"],
            "avg_daily_trips": ["PRESENT", "NOT_FOUND"],
        },
        "event_timestamps": {
            "conv_rate": ["2024-03-03T00:00:00Z", null],
            "acc_rate": ["2024-03-03T00:00:00Z", null],
            "avg_daily_trips": ["2024-03-03T00:00:00Z", null],
        },
    });
    assert_eq!(online, expected);
    let historical = repo.json("get-historical-features --entities entities.csv -f driver_stats:conv_rate");
    assert_eq!(historical["total_rows"], 5);
    assert_eq!(
        historical["rows"][3],
        json!({
            "driver_id": 1004, "event_timestamp": "2024-03-02T12:00:00Z", "took_next_trip": false, "conv_rate": null
        })
    );
    let written = repo.json("get-historical-features --entities entities.csv -s driver_activity -o t.parquet");
    let file = repo.path().join("t.parquet");
    assert_eq!(written, json!({"file": "t.parquet", "files": [file], "rows": 5}));
    assert_eq!(repo.json("version"), json!({"version": env!("CARGO_PKG_VERSION")}));
    assert_eq!(repo.json("teardown --yes"), json!({"removed": "demo"}));
    assert_eq!(repo.json("list history"), json!([]));
}

#[test]
fn the_repository_is_found_from_elsewhere() {
    let repo = Repo::applied();
    let elsewhere = tempfile::tempdir().unwrap();
    let path = repo.path();
    let folder = path.to_str().unwrap();
    let expected = repo.run("list entities").ok().stdout;
    let settings = format!("{folder}/feature_store.yaml");
    for words in [
        ["-C", folder, "list", "entities"],
        ["-c", folder, "list", "entities"],
        ["list", "entities", "--chdir", folder],
        ["-f", &settings, "list", "entities"],
    ] {
        assert_eq!(run_in(elsewhere.path(), &words).ok().stdout, expected, "{words:?}");
    }
    let output = lodestore(elsewhere.path()).args(["list", "entities"]).env("LODESTORE_REPO", folder).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    let made = run_in(elsewhere.path(), &["init", "other", "-m"]).ok();
    assert_snapshot!("init", made.shown());
}

#[test]
fn a_reader_that_goes_away_stops_no_apply() {
    let repo = Repo::init("demo", "minimal");
    let mut child = lodestore(&repo.path()).arg("apply").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(child.wait().unwrap().success(), "{stderr}");
    assert_eq!(repo.json("list history").as_array().map(Vec::len), Some(1));
}
