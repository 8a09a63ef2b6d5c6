//! Wrong input: the exit status, what is said, and that nothing was changed.

use std::fs;

use serde_json::Value;

use crate::support::{Repo, run_in};

/// Runs a command that must fail, for people and for programs, and leave the registry as it is.
#[track_caller]
fn check(repo: &Repo, words: &str, kind: &str, expected: &[&str]) {
    let before = repo.registry();
    let answer = repo.run(words).ends_with_status(1);
    assert!(answer.stderr.starts_with("error: ") || answer.stderr.contains("\nerror: "), "{words}: {}", answer.stderr);
    for part in expected {
        assert!(answer.stderr.contains(part), "{words}:\n{}does not contain {part:?}", answer.stderr);
    }
    assert!(!answer.stderr.contains("panicked"), "{}", answer.stderr);
    assert_eq!(answer.stdout, "", "{words}");
    let answer = repo.run(&format!("{words} --json")).ends_with_status(1);
    let last: Value = serde_json::from_str(answer.stderr.lines().last().unwrap_or_default()).unwrap();
    assert_eq!(last["error"]["kind"], kind, "{words}: {last}");
    let message = format!("{} {}", last["error"]["message"].as_str().unwrap_or_default(), last["error"]["context"]);
    assert!(message.contains(expected[0]), "{words}: {message}");
    assert!(repo.registry() == before, "{words} changed the registry");
}

/// Changes a definition file, checks the commands that read it, and changes it back.
#[track_caller]
fn check_definitions(repo: &Repo, from: &str, to: &str, kind: &str, expected: &[&str]) {
    let good = repo.read("features.yaml");
    repo.edit("features.yaml", from, to);
    for words in ["validate", "plan", "apply"] {
        check(repo, words, kind, expected);
    }
    repo.write("features.yaml", &good);
}

#[test]
fn definitions() {
    let repo = Repo::applied();
    check_definitions(&repo, "entities:\n", "entities: [\n", "invalid", &["features.yaml", "line "]);
    check_definitions(
        &repo,
        "entities:\n",
        "entites:\n",
        "invalid",
        &["features.yaml", "entites", "entities", "line 4"],
    );
    check_definitions(&repo, "ttl: 3650d", "tll: 3650d", "invalid", &["features.yaml", "tll", "ttl", "line 23"]);
    check_definitions(
        &repo,
        "type: float32",
        "type: flaot32",
        "invalid",
        &["unknown type", "flaot32", "float32", "line "],
    );
    check_definitions(&repo, "ttl: 3650d", "ttl: ten years", "invalid", &["ten years", "is not a duration", "7d"]);
    check_definitions(
        &repo,
        "entities: [driver]",
        "entities: [drivr]",
        "not_found",
        &["drivr", "did you mean 'driver'"],
    );
    check_definitions(
        &repo,
        "source: driver_stats_file",
        "source: driver_stat_file",
        "not_found",
        &["did you mean 'driver_stats_file'"],
    );
    check_definitions(
        &repo,
        "features: [driver_stats]",
        "features: [driver_stats:rate]",
        "not_found",
        &["unknown feature 'rate'"],
    );
    check_definitions(
        &repo,
        "acc_rate, type",
        "accuracy, type",
        "invalid",
        &["column 'accuracy'", "data/driver_stats.csv", "is missing", "acc_rate"],
    );
    check_definitions(
        &repo,
        "timestamp_field: event_timestamp",
        "timestamp_field: at",
        "invalid",
        &["column 'at'", "event_timestamp"],
    );
    check_definitions(&repo, "version: 1", "version: 7", "invalid", &["version 7", "expected 1"]);

    fs::create_dir(repo.path().join("more")).unwrap();
    repo.write("more/again.yaml", "version: 1\nentities: [{name: driver, description: another}]\n");
    check(&repo, "plan", "already_exists", &["entity 'driver' is defined twice", "more/again.yaml"]);
    repo.write("more/again.yaml", "version: 1\nentities: [{name: 'a:b'}]\n");
    check(&repo, "apply", "invalid", &["must not contain ':'", "more/again.yaml", "line 2"]);
    fs::remove_file(repo.path().join("more/again.yaml")).unwrap();
    repo.write("more/views.py", "");
    check(&repo, "plan", "not_found", &["/no/python", "Python"]);
    fs::remove_file(repo.path().join("more/views.py")).unwrap();
    repo.run("plan").ok();
}

#[test]
fn data() {
    let repo = Repo::init("nyc", "flights");
    check_definitions(
        &repo,
        "seats, type: int64",
        "seats, type: int32",
        "invalid",
        &["column 'seats'", "Int64", "int32", "plane@1"],
    );
    check_definitions(
        &repo,
        "timestamp_field: observed_at",
        "timestamp_field: temp",
        "invalid",
        &["column 'temp'", "Float64", "timestamp"],
    );
    check_definitions(
        &repo,
        "name: tailnum, type: string",
        "name: tailnum, type: int64",
        "invalid",
        &["column 'tailnum'", "Utf8", "int64"],
    );

    let planes = repo.path().join("data/planes.parquet");
    let good = fs::read(&planes).unwrap();
    fs::write(&planes, &good[..good.len() / 2]).unwrap();
    for words in ["validate", "plan", "apply"] {
        check(&repo, words, "corrupt", &["data/planes.parquet", "plane"]);
    }
    fs::remove_file(&planes).unwrap();
    check(&repo, "validate", "not_found", &["data/planes.parquet", "plane"]);
    let planned = repo.run("plan").ends_with_status(2);
    assert!(planned.stderr.starts_with("warning: view 'plane@1'"), "{}", planned.stderr);
    repo.run("apply").ok();
    check(
        &repo,
        "get-historical-features --entities departures.csv -f plane:seats",
        "not_found",
        &["data/planes.parquet"],
    );
    check(&repo, "materialize 2013-01-01 2013-04-02 -v plane", "not_found", &["data/planes.parquet"]);
    fs::write(&planes, &good[..good.len() / 2]).unwrap();
    check(&repo, "materialize 2013-01-01 2013-04-02 -v plane", "corrupt", &["data/planes.parquet"]);
    // The footer is whole, what it points to is not.
    let mut damaged = good.clone();
    damaged[100..8000].fill(0x55);
    fs::write(&planes, &damaged).unwrap();
    check(&repo, "materialize 2013-01-01 2013-04-02 -v plane", "corrupt", &["corruption"]);
}

#[test]
fn requests() {
    let repo = Repo::applied();
    repo.run("materialize 2024-01-01 2024-04-01").ok();
    let online = "get-online-features";
    let historical = "get-historical-features --entities entities.csv";
    check(
        &repo,
        &format!("{online} -f driver_stats:conv_rat -e driver_id=1"),
        "not_found",
        &["conv_rat", "did you mean 'conv_rate'"],
    );
    check(&repo, &format!("{historical} -f driver_stats:conv_rat"), "not_found", &["did you mean 'conv_rate'"]);
    check(
        &repo,
        &format!("{online} -f driver_stat:conv_rate -e driver_id=1"),
        "not_found",
        &["did you mean 'driver_stats'"],
    );
    check(
        &repo,
        &format!("{online} -f driver_stats@2:conv_rate -e driver_id=1"),
        "not_found",
        &["version 2", "known: 1"],
    );
    check(&repo, &format!("{online} -f conv_rate -e driver_id=1"), "invalid", &["conv_rate", "view:feature"]);
    check(
        &repo,
        &format!("{online} -s driver_activty -e driver_id=1"),
        "not_found",
        &["did you mean 'driver_activity'"],
    );
    check(&repo, &format!("{online} -s driver_activity -e driver_id=abc"), "invalid", &["abc", "driver_id", "int64"]);
    check(&repo, &format!("{online} -s driver_activity -e driver_id"), "invalid", &["KEY=VALUE"]);
    check(
        &repo,
        &format!("{online} -s driver_activity -e drivr_id=1"),
        "not_found",
        &["drivr_id", "did you mean 'driver_id'"],
    );
    check(&repo, &format!("{online} -s driver_activity"), "invalid", &["driver_id", "-e driver_id=VALUE"]);
    check(&repo, online, "invalid", &["--features", "--service"]);

    check(&repo, "materialize 2024-01-01 2099-01-01", "invalid", &["lies in the future"]);
    check(&repo, "materialize-incremental 2099-01-01", "invalid", &["lies in the future"]);
    check(&repo, "materialize 2024-02-01 2024-01-01", "invalid", &["is not before the end"]);
    check(&repo, "materialize yesterday 2024-01-01", "invalid", &["the start", "yesterday", "2024-01-31T12:00:00Z"]);
    check(&repo, "materialize 2024-01-01 2024-02-01 -v driver_stat", "not_found", &["did you mean 'driver_stats'"]);
    check(&repo, "describe feature-view driver_stat", "not_found", &["did you mean 'driver_stats'"]);
    check(&repo, "describe entity drvr", "not_found", &["did you mean 'driver'"]);
    check(&repo, "describe history 9", "not_found", &["unknown revision '9'"]);
    check(&repo, "list feature-vews", "invalid", &["feature-vews", "feature-views"]);
    check(&repo, "materialise 2024-01-01 2024-02-01", "invalid", &["materialise", "materialize"]);
    check(&repo, "teardown", "invalid", &["needs --yes"]);
}

#[test]
fn frames() {
    let repo = Repo::applied();
    let ask = |file: &str| format!("get-historical-features -s driver_activity --entities {file}");
    check(&repo, &ask("nothing.csv"), "not_found", &["nothing.csv"]);
    check(&repo, &ask("README.md"), "invalid", &["README.md", "expected .parquet or .csv"]);
    repo.write("a.csv", "driver_id,at\n1001,noon\n");
    check(&repo, &ask("a.csv"), "invalid", &["no time column", "event_timestamp"]);
    repo.write("b.csv", "driver,event_timestamp\n1001,2024-03-02\n");
    check(&repo, &ask("b.csv"), "invalid", &["key column 'driver_id'", "'driver'"]);
    repo.write("c.csv", "driver_id,event_timestamp\n1001,2024-03-02\nx7,2024-03-02\n");
    check(&repo, &ask("c.csv"), "invalid", &["c.csv", "x7"]);
    repo.write("d.csv", "driver_id,event_timestamp\n1001,2024-03-02\n1001,noon\n");
    check(&repo, &ask("d.csv"), "invalid", &["d.csv", "noon"]);
    repo.write("e.parquet", "driver_id,event_timestamp\n1001,2024-03-02\n");
    check(&repo, &ask("e.parquet"), "corrupt", &["e.parquet"]);
    check(&repo, &format!("{} -o out.txt", ask("entities.csv")), "invalid", &["out.txt", "expected .parquet or .csv"]);
    check(&repo, &format!("{} -o README.md/out.csv", ask("entities.csv")), "already_exists", &["README.md"]);
    repo.edit("entities.csv", "took_next_trip", "conv_rate");
    check(&repo, &ask("entities.csv"), "invalid", &["'conv_rate'", "rename it"]);
}

#[test]
fn settings_and_folders() {
    let repo = Repo::applied();
    let good = repo.read("feature_store.yaml");
    let wrong = |text: &str, kind: &str, expected: &[&str]| {
        repo.write("feature_store.yaml", text);
        for words in ["validate", "plan", "apply", "list entities", "materialize-incremental", "teardown --yes"] {
            check(&repo, words, kind, expected);
        }
        repo.write("feature_store.yaml", &good);
    };
    wrong("project: demo\nregistri: a\n", "invalid", &["registri", "registry", "line 2"]);
    wrong("project: [\n", "invalid", &["feature_store.yaml"]);
    wrong("project: demo\nonline_store: {type: redis}\n", "invalid", &["redis", "embedded", "line 2"]);
    wrong("registry: data/registry.db\n", "invalid", &["project"]);
    // A regular file stands where a folder must be; no privilege helps against that.
    wrong("project: demo\nregistry: features.yaml/registry.db\n", "invalid", &["features.yaml/registry.db"]);
    wrong("project: demo\nregistry: features.yaml\n", "corrupt", &["features.yaml"]);

    let empty = tempfile::tempdir().unwrap();
    let answer = run_in(empty.path(), &["plan"]).ends_with_status(1);
    assert!(
        answer.stderr.contains("feature_store.yaml") && answer.stderr.contains("lodestore init"),
        "{}",
        answer.stderr
    );
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn init_spoils_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("empty")).unwrap();
    run_in(folder.path(), &["init", "empty"]).ok();
    let before = fs::read(folder.path().join("empty/features.yaml")).unwrap();
    for (words, expected) in [
        (["init", "empty"], "exists and is not empty"),
        (["init", "empty/features.yaml"], "exists and is not empty"),
        (["init", "a:b"], "must not contain ':'"),
        (["init", "empty/features.yaml/below"], "empty/features.yaml/below"),
    ] {
        let answer = run_in(folder.path(), &words).ends_with_status(1);
        assert!(answer.stderr.contains(expected), "{}", answer.stderr);
    }
    assert_eq!(fs::read(folder.path().join("empty/features.yaml")).unwrap(), before);
    assert!(!folder.path().join("a:b").exists());
    // What YAML would take for a number or a truth is still a name.
    for name in ["2024", "true", "it's"] {
        run_in(folder.path(), &["init", name]).ok();
        run_in(&folder.path().join(name), &["apply"]).ok();
    }
}
