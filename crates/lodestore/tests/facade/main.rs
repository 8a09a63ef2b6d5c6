//! The feature store as its users have it: a folder with settings, definitions and files, real components.
#![allow(clippy::unwrap_used, reason = "a test may end like this")]

mod growth;

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::RecordBatch;
use futures::{StreamExt, stream};
use lodestore::core::ErrorKind;
use lodestore::core::document::Document;
use lodestore::core::offline::{BatchStream, HistoricalOptions};
use lodestore::core::request::ColumnNames;
use lodestore::core::time::EventTime;
use lodestore::{
    Defaults, Existing, FeatureStore, Features, HistoricalJob, HistoricalQuestions, Interval, OpenOptions, PlanOptions,
    Report, Scope, Silent, write_frame,
};
use lodestore_testkit::fixture::{collect, parse_table, render_table};
use lodestore_testkit::{Failed, Outcome};

const NOW: &str = "2024-01-10T00:00:00Z";
const USERS: &str = "user_id,at,trips,city
1,2024-01-08T00:00:00Z,10,oslo
1,2024-01-09T00:00:00Z,20,rome
2,2024-01-09T12:00:00Z,,lima
3,2023-12-01T00:00:00Z,30,kyiv
";
const MORE_USERS: &str = "user_id,at,trips,city
1,2024-01-09T00:00:00Z,21,bern
";
const CARDS: &str = "
user_id:int64 at:timestamp         created:timestamp    score:float64
1             2024-01-09T00:00:00Z 2024-01-09T01:00:00Z 0.5
1             2024-01-09T00:00:00Z 2024-01-09T02:00:00Z 0.25
4             2024-01-09T18:00:00Z 2024-01-09T18:00:00Z NaN
2             2024-01-01T00:00:00Z 2024-01-01T00:00:00Z 1.5
";
const DEFINITIONS: &str = "
entities: [{name: user, join_keys: [{name: user_id, type: int64}]}]
data_sources:
  - {name: users_file, type: file, path: users.csv, timestamp_field: at}
  - {name: more_users_file, type: file, path: more_users.csv, timestamp_field: at}
  - {name: cards_file, type: file, path: cards.parquet, timestamp_field: at, created_timestamp_column: created,
     availability_delay: 6h}
  - {name: app, type: push}
feature_views:
  - {name: users, entities: [user], source: users_file, ttl: 7d,
     schema: [{name: trips, type: int64, default: 7}, {name: city, type: string}]}
  - {name: cards, entities: [user], source: cards_file, schema: [{name: score, type: float64}]}
  - {name: live, entities: [user], source: app, schema: [{name: clicks, type: int64}, {name: page, type: string}]}
feature_services: [{name: model, features: ['users', 'cards:score']}]
";
/// The view `users` from another source: a new version.
const CHANGED_USERS: &str = "
feature_views:
  - {name: users, entities: [user], source: more_users_file, ttl: 7d,
     schema: [{name: trips, type: int64, default: 7}, {name: city, type: string}]}
";
const KEYS: &str = "user_id:int64 event_timestamp:timestamp
1 2024-01-10T00:00:00Z
2 2024-01-10T00:00:00Z
3 2024-01-10T00:00:00Z
4 2024-01-10T00:00:00Z
null 2024-01-10T00:00:00Z
";

/// Makes a repository with its files, and opens it.
async fn repository() -> Result<(tempfile::TempDir, FeatureStore), Failed> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("feature_store.yaml"), "project: facade")?;
    std::fs::write(folder.path().join("users.csv"), USERS)?;
    std::fs::write(folder.path().join("more_users.csv"), MORE_USERS)?;
    let cards = parse_table(CARDS)?;
    let cards = BatchStream { schema: cards.schema(), batches: stream::iter([Ok(cards)]).boxed() };
    write_frame(cards, &folder.path().join("cards.parquet")).await?;
    let store = open(folder.path())?;
    Ok((folder, store))
}

/// Makes a repository whose definitions are applied and materialised.
async fn materialized() -> Result<(tempfile::TempDir, FeatureStore), Failed> {
    let (folder, store) = repository().await?;
    apply(&store, DEFINITIONS, Scope::Everything).await?;
    materialize(&store, &[]).await?;
    Ok((folder, store))
}

fn open(folder: &Path) -> Result<FeatureStore, Failed> {
    Ok(FeatureStore::open(&OpenOptions { now: Some(moment(NOW)), ..OpenOptions::in_folder(folder) })?)
}

fn moment(text: &str) -> EventTime {
    EventTime::parse(text).unwrap()
}

async fn plan(store: &FeatureStore, yaml: &str, scope: Scope) -> Result<lodestore::Plan, Failed> {
    let wanted = Document::parse_yaml(&format!("version: 1\n{yaml}"), "test.yaml")?.into_definitions()?;
    let change = store.plan(wanted, PlanOptions { scope, force: false }).await?;
    assert_eq!(change.warnings, Vec::<String>::new());
    Ok(change.plan)
}

async fn apply(store: &FeatureStore, yaml: &str, scope: Scope) -> Result<String, Failed> {
    let plan = plan(store, yaml, scope).await?;
    store.apply(&plan).await?;
    Ok(plan.summary())
}

/// The scope of an apply that leaves what it does not name.
fn alone() -> Scope {
    Scope::Subset { remove: Vec::new() }
}

async fn materialize(store: &FeatureStore, views: &[&str]) -> Result<Vec<Report>, Failed> {
    let views = views.iter().map(|view| view.parse()).collect::<Result<Vec<_>, _>>()?;
    let mut reports = Vec::new();
    for version in store.materializable(&views).await? {
        reports.push(store.materialize(version, Interval::Since { until: moment(NOW) }, &Silent).await?);
    }
    Ok(reports)
}

fn refs(refs: &[&str]) -> Result<Features, Failed> {
    Ok(Features::parse(refs)?)
}

fn service() -> Result<Features, Failed> {
    Ok(Features::Service("model".parse()?))
}

async fn job(store: &FeatureStore, features: &Features, use_defaults: bool) -> Result<HistoricalJob, Failed> {
    let request = store.historical_request(features, ColumnNames::Feature).await?;
    let frame = parse_table(KEYS)?;
    let questions = HistoricalQuestions::Frame { schema: frame.schema(), rows: vec![frame] };
    let options = HistoricalOptions { use_defaults, ..HistoricalOptions::default() };
    Ok(store.historical_features(request, questions, options).await?)
}

async fn historical(store: &FeatureStore, features: &Features) -> Result<RecordBatch, Failed> {
    collect(job(store, features, false).await?.run().await?).await
}

/// Returns the online answer for the keys, and the statuses of each feature.
async fn online(
    store: &FeatureStore,
    features: &Features,
    defaults: Defaults,
) -> Result<(RecordBatch, Vec<String>), Failed> {
    let plan = store.new_online_plan(features, ColumnNames::Feature).await?;
    let answer = store.online_features(&plan, parse_table(KEYS)?, defaults).await?;
    let statuses = |column| -> Result<String, Failed> {
        let statuses = answer.column(column)?.statuses;
        Ok(statuses.iter().map(|status| status.as_str()).collect::<Vec<_>>().join(" "))
    };
    let statuses = (0..plan.columns().len()).map(statuses).collect::<Result<_, _>>()?;
    Ok((answer.to_batch()?, statuses))
}

/// Returns the rows of a batch without its first `skipped` columns, cells apart by one space.
fn lines(batch: &RecordBatch, skipped: usize) -> Result<Vec<String>, Failed> {
    let kept: Vec<usize> = (skipped..batch.num_columns()).collect();
    let text = render_table(&batch.project(&kept)?)?;
    Ok(text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
}

async fn online_lines(store: &FeatureStore, features: &Features) -> Result<Vec<String>, Failed> {
    lines(&online(store, features, Defaults::None).await?.0, 2)
}

#[tokio::test]
async fn o2_online_answers_are_those_of_the_historical_join_at_now() -> Outcome {
    let (_folder, store) = repository().await?;
    assert_eq!(apply(&store, DEFINITIONS, Scope::Everything).await?, "9 to add, 0 to change, 0 to remove");
    let features = service()?;
    let trained = historical(&store, &features).await?;
    // A delayed row of key 4 is seen just in time; key 3 is older than the TTL.
    assert_eq!(
        lines(&trained, 2)?,
        ["20 rome 0.25", "null lima 1.5", "null null null", "null null NaN", "null null null"]
    );

    let before = online(&store, &features, Defaults::None).await?.1;
    assert!(before.iter().all(|of_feature| of_feature.split(' ').all(|status| status == "NOT_FOUND")), "{before:?}");
    let reports = materialize(&store, &[]).await?;
    let counts: Vec<_> =
        reports.iter().map(|r| (r.view.as_str(), r.rows_read, r.rows_written, r.rows_skipped)).collect();
    assert_eq!(counts, [("cards@1", 4, 3, 1), ("users@1", 4, 3, 1)]);
    assert!(reports.iter().all(|report| report.watermark.event == Some(moment(NOW))));

    let (served, statuses) = online(&store, &features, Defaults::None).await?;
    assert_eq!(served.columns(), trained.columns());
    assert_eq!(
        statuses,
        [
            "PRESENT NULL_VALUE OUTSIDE_MAX_AGE NOT_FOUND NOT_FOUND",
            "PRESENT PRESENT OUTSIDE_MAX_AGE NOT_FOUND NOT_FOUND",
            "PRESENT PRESENT NOT_FOUND PRESENT NOT_FOUND",
        ]
    );
    Ok(())
}

#[tokio::test]
async fn o1_rows_are_there_when_the_store_is_opened_again() -> Outcome {
    let (folder, store) = materialized().await?;
    let features = service()?;
    let before = online_lines(&store, &features).await?;
    drop(store);
    let store = open(folder.path())?;
    assert_eq!(online_lines(&store, &features).await?, before);
    assert!(materialize(&store, &["users"]).await?.iter().all(|report| report.rows_written == 0));
    Ok(())
}

#[tokio::test]
async fn n2_a_service_serves_what_it_pinned_until_it_is_applied_again() -> Outcome {
    let (_folder, store) = materialized().await?;
    assert_eq!(apply(&store, CHANGED_USERS, alone()).await?, "0 to add, 1 to change, 0 to remove");
    materialize(&store, &["users@2"]).await?;
    let (old, new) = ("20 rome", "21 bern");
    for (features, expected) in [
        (Features::Service("model".parse()?), old),
        (refs(&["users@1:trips", "users@1:city"])?, old),
        (refs(&["users@2:trips", "users@2:city"])?, new),
        (refs(&["users:trips", "users:city"])?, new),
    ] {
        let served = online_lines(&store, &features).await?;
        assert!(served[0].starts_with(expected), "{features:?}: {served:?}");
        assert_eq!(lines(&historical(&store, &features).await?, 2)?, served, "{features:?}");
    }
    let again = "feature_services: [{name: model, features: ['users', 'cards:score']}]";
    apply(&store, again, alone()).await?;
    assert_eq!(online_lines(&store, &service()?).await?[0], "21 bern 0.25");
    Ok(())
}

#[tokio::test]
async fn n2_a_partial_apply_touches_nothing_else() -> Outcome {
    let (_folder, store) = materialized().await?;
    let before = store.snapshot().await?;
    apply(&store, CHANGED_USERS, alone()).await?;
    let after = store.snapshot().await?;
    let mut expected = before.as_ref().clone();
    expected.revision = after.revision;
    expected.definitions.feature_views.insert("users".parse()?, after.definitions.feature_views["users"].clone());
    assert_eq!(after.definitions, expected.definitions);
    assert_eq!((&after.pins, &after.datasets), (&before.pins, &before.datasets));
    for name in ["cards", "live"] {
        assert_eq!(after.views[name], before.views[name]);
    }
    assert_eq!(after.views["users"].versions[&1], before.views["users"].versions[&1]);
    assert_eq!(online_lines(&store, &refs(&["cards:score"])?).await?, ["0.25", "1.5", "null", "NaN", "null"]);
    Ok(())
}

#[tokio::test]
async fn of_two_stores_that_apply_at_once_one_is_told_of_a_conflict() -> Outcome {
    let (folder, first) = repository().await?;
    let second = open(folder.path())?;
    let mine = plan(&first, DEFINITIONS, Scope::Everything).await?;
    let yours = plan(&second, "entities: [{name: shop}]", Scope::Everything).await?;
    first.apply(&mine).await?;
    let error = second.apply(&yours).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    let snapshot = second.snapshot().await?;
    assert_eq!((snapshot.definitions.entities.len(), snapshot.definitions.feature_views.len()), (1, 3));
    assert_eq!(second.history(10).await?.len(), 1);
    Ok(())
}

async fn live(store: &FeatureStore) -> Result<Vec<String>, Failed> {
    online_lines(store, &refs(&["live:clicks", "live:page"])?).await
}

#[tokio::test]
async fn o4_o5_pushed_written_and_deleted_rows() -> Outcome {
    let (_folder, store) = materialized().await?;
    let (source, view) = ("app".parse()?, "live".parse()?);
    let header = "user_id:int64 event_timestamp:timestamp clicks:int64 page:string\n";
    let rows = |text: &str| parse_table(&format!("{header}{text}"));
    let report = store.push(&source, &rows("1 2024-01-09T00:00:00Z 5 home\n2 2024-01-09T00:00:00Z 6 cart")?).await?;
    assert_eq!((report.written, report.skipped), (2, 0));
    assert_eq!(store.push(&source, &rows("1 2024-01-08T00:00:00Z 1 old")?).await?.skipped, 1);
    let part = parse_table("user_id:int64 event_timestamp:timestamp clicks:int64\n1 2024-01-09T01:00:00Z 8")?;
    store.write_to_online_store(&view, &part).await?;
    assert_eq!(live(&store).await?[..2], ["8 home", "6 cart"]);

    let error =
        store.push(&source, &rows("1 2024-01-09T09:00:00Z 9 x\nnull 2024-01-09T09:00:00Z 9 x")?).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("1 of 2 rows can't be written, nothing was; the first is row 1"), "{error}");
    assert_eq!(live(&store).await?[..2], ["8 home", "6 cart"]);

    store.delete_from_online_store(&view, &parse_table("user_id:int64\n1")?).await?;
    store.push(&source, &rows("1 2024-01-09T12:00:00Z 9 late")?).await?;
    assert_eq!(live(&store).await?[..2], ["null null", "6 cart"]);
    let (_, statuses) = online(&store, &refs(&["live:clicks"])?, Defaults::None).await?;
    assert_eq!(statuses, ["NOT_FOUND PRESENT NOT_FOUND NOT_FOUND NOT_FOUND"]);

    assert_eq!(store.push(&"ap".parse()?, &part).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.push(&"users_file".parse()?, &part).await.unwrap_err().kind(), ErrorKind::Invalid);
    Ok(())
}

#[tokio::test]
async fn v3_defaults_stand_for_what_is_missing_and_not_for_a_stored_null() -> Outcome {
    let (_folder, store) = materialized().await?;
    let features = refs(&["users:trips", "users:city"])?;
    let (served, statuses) = online(&store, &features, Defaults::ForMissing).await?;
    assert_eq!(lines(&served, 2)?, ["20 rome", "null lima", "7 null", "7 null", "7 null"]);
    assert_eq!(statuses[0], "PRESENT NULL_VALUE OUTSIDE_MAX_AGE NOT_FOUND NOT_FOUND");
    let trained = collect(job(&store, &features, true).await?.run().await?).await?;
    assert_eq!(trained.columns(), served.columns());
    Ok(())
}

#[tokio::test]
async fn p9_without_a_frame_every_row_of_the_interval_is_asked_for() -> Outcome {
    let (_folder, store) = materialized().await?;
    let request = store.historical_request(&refs(&["users:trips"])?, ColumnNames::Feature).await?;
    let interval = |start: Option<&str>, end: Option<&str>| HistoricalQuestions::Interval {
        start: start.map(moment),
        end: end.map(moment),
    };
    for (questions, expected) in [
        (interval(None, None), vec!["3 30", "1 10", "1 20", "2 null"]),
        (interval(Some("2024-01-08T00:00:00Z"), Some("2024-01-09T00:00:00Z")), vec!["1 20"]),
        (interval(Some("2024-01-09T12:00:00Z"), None), vec![]),
    ] {
        let job = store.historical_features(request.clone(), questions, HistoricalOptions::default()).await?;
        let found = collect(job.run().await?).await?;
        assert_eq!(found.schema().field(0).name(), "event_timestamp");
        assert_eq!(lines(&found, 1)?, expected);
    }
    let day = Some("2024-01-09T00:00:00Z");
    let error = store.historical_features(request, interval(day, day), HistoricalOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    Ok(())
}

#[tokio::test]
async fn a_saved_dataset_is_read_as_it_was_answered() -> Outcome {
    let (_folder, store) = materialized().await?;
    let job = job(&store, &service()?, false).await?;
    let (name, tags) = ("week_1".parse()?, BTreeMap::from([("for".to_owned(), "test".to_owned())]));
    let path = "datasets/week_1.parquet";
    let saved = store.create_saved_dataset(&job, "week_1".parse()?, path, tags.clone(), Existing::Keep).await?;
    assert_eq!((saved.rows, saved.created_at, &saved.tags), (5, moment(NOW), &tags));
    assert_eq!(saved.features, ["users@1:trips", "users@1:city", "cards@1:score"]);
    assert_eq!(saved.fingerprints.len(), 2);
    assert_eq!(store.saved_dataset(&name).await?, saved);
    let read = store.read_saved_dataset(&name).await?;
    let read = arrow::compute::concat_batches(&read.schema, &read.batches)?;
    assert_eq!(read.columns(), collect(job.run().await?).await?.columns());

    let again =
        store.create_saved_dataset(&job, "week_1".parse()?, "other.parquet", tags.clone(), Existing::Keep).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    let again = store.create_saved_dataset(&job, "week_2".parse()?, path, tags.clone(), Existing::Keep).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    store.create_saved_dataset(&job, "week_1".parse()?, path, BTreeMap::new(), Existing::Replace).await?;
    assert!(store.saved_dataset(&name).await?.tags.is_empty());
    assert_eq!(store.saved_dataset(&"week_3".parse()?).await.unwrap_err().kind(), ErrorKind::NotFound);
    Ok(())
}

#[tokio::test]
async fn after_a_teardown_the_project_is_empty_and_its_files_stay() -> Outcome {
    let (folder, store) = materialized().await?;
    store.teardown().await?;
    let snapshot = store.snapshot().await?;
    assert_eq!((snapshot.definitions.ids().count(), snapshot.views.len(), snapshot.pins.len()), (0, 0, 0));
    let gone = store.new_online_plan(&service()?, ColumnNames::Feature).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert!(folder.path().join("users.csv").exists() && folder.path().join("cards.parquet").exists());

    apply(&store, DEFINITIONS, Scope::Everything).await?;
    let (_, statuses) = online(&store, &refs(&["users:trips"])?, Defaults::None).await?;
    assert_eq!(statuses, ["NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND"]);
    assert_eq!(materialize(&store, &["users"]).await?[0].rows_read, 4);
    Ok(())
}

#[tokio::test]
async fn m1_only_views_with_history_that_are_served_online_are_materialized() -> Outcome {
    let (_folder, store) = materialized().await?;
    let all: Vec<_> = store.materializable(&[]).await?.iter().map(|v| v.reference().to_string()).collect();
    assert_eq!(all, ["cards@1", "users@1"]);
    assert_eq!(store.materializable(&["live".parse()?]).await.unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(store.materializable(&["user".parse()?]).await.unwrap_err().kind(), ErrorKind::NotFound);
    let future = Interval::Since { until: moment("2024-01-10T00:00:00.000001Z") };
    let version = store.feature_view(&"users".parse()?).await?;
    assert_eq!(store.materialize(version, future, &Silent).await.unwrap_err().kind(), ErrorKind::Invalid);
    Ok(())
}
