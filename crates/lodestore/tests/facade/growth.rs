//! Views that get more aggregations: what is kept online of the others serves on.

use lodestore::core::ErrorKind;
use lodestore::{FeatureStore, Interval, Report, Silent};
use lodestore_testkit::fixture::parse_table;
use lodestore_testkit::{Failed, Outcome};

use crate::{alone, apply, materialize, moment, online_lines, open, plan, refs};

const RIDES: &str = "user_id,at,ride,fare
1,2024-01-05T00:00:00Z,a,1
1,2024-01-09T12:00:00Z,b,2
2,2024-01-09T18:00:00Z,c,4
";
const SOURCES: &str = "
entities: [{name: user, join_keys: [{name: user_id, type: int64}]}]
data_sources:
  - {name: rides_file, type: file, path: rides.csv, timestamp_field: at, event_id: ride}
  - {name: app, type: push, batch_source: rides_file}
";
const COUNT: &str = "{function: count, time_window: 1d}";
const SUM: &str = "{column: fare, function: sum, time_window: 7d}";
const LAST: &str = "{column: ride, function: last, time_window: 30d}";

fn view(aggregations: &[&str]) -> String {
    format!(
        "
feature_views:
  - {{name: rides, entities: [user], source: app, aggregations: [{}]}}
feature_services: [{{name: model, features: ['rides']}}]
",
        aggregations.join(", ")
    )
}

async fn store_of(sources: &str, aggregations: &[&str]) -> Result<(tempfile::TempDir, FeatureStore), Failed> {
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("feature_store.yaml"), "project: growth")?;
    std::fs::write(folder.path().join("rides.csv"), RIDES)?;
    let store = open(folder.path())?;
    apply(&store, &format!("{sources}{}", view(aggregations)), lodestore::Scope::Everything).await?;
    Ok((folder, store))
}

async fn push(store: &FeatureStore, row: &str) -> Outcome {
    let rows = parse_table(&format!("user_id:int64 at:timestamp ride:string fare:int64\n{row}"))?;
    let report = store.push(&"app".parse()?, &rows).await?;
    assert_eq!((report.written, report.skipped), (1, 0), "of the row, however many parts it goes to");
    Ok(())
}

async fn answers(store: &FeatureStore, view: &str, features: &[&str]) -> Result<Vec<String>, Failed> {
    let names: Vec<String> = features.iter().map(|feature| format!("{view}:{feature}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Ok(online_lines(store, &refs(&names)?).await?[..2].to_vec())
}

#[tokio::test]
async fn what_a_view_has_serves_on_when_it_gets_more() -> Outcome {
    let (_folder, store) = store_of(SOURCES, &[COUNT]).await?;
    assert_eq!(materialize(&store, &[]).await?[0].rows_written, 2, "what reaches into the windows");
    let grown = plan(&store, &view(&[SUM, COUNT, LAST]), alone()).await?;
    let printed = grown.to_string();
    assert!(printed.contains("adds version 2 beside version 1; needs materializing"), "{printed}");
    assert!(printed.contains("shares the online rows of version 1: only the new aggregations need"), "{printed}");
    store.apply(&grown).await?;

    // What was there is there; what is new is not yet.
    let features = ["count_24h", "fare_sum_7d", "ride_last_30d"];
    assert_eq!(answers(&store, "rides", &features).await?, ["1 null null", "1 null null"]);
    push(&store, "2 2024-01-09T20:00:00Z d 8").await?;
    assert_eq!(answers(&store, "rides", &features).await?, ["1 null null", "2 8 d"]);
    assert_eq!(answers(&store, "rides@1", &["count_24h"]).await?, ["1", "2"], "a push feeds both versions");

    // The new ones are materialised alone, once, and an event that was pushed counts once.
    let report = materialize(&store, &[]).await?.remove(0);
    assert_eq!((report.view.as_str(), report.rows_read, report.rows_written), ("rides@2", 3, 3));
    assert_eq!(answers(&store, "rides", &features).await?, ["1 3 b", "2 12 d"]);
    let version = store.feature_view(&"rides".parse()?).await?;
    assert_eq!(store.watermark(version).await?.event, Some(moment(crate::NOW)));
    let report = materialize(&store, &[]).await?.remove(0);
    assert_eq!(
        (report.rows_written, report.rows_read),
        (0, report.rows_skipped),
        "the overlap, of both parts: {report:?}"
    );

    // All features of the new version are those of one that had them from the start.
    let (_folder, whole) = store_of(SOURCES, &[SUM, COUNT, LAST]).await?;
    materialize(&whole, &[]).await?;
    push(&whole, "2 2024-01-09T20:00:00Z d 8").await?;
    assert_eq!(answers(&whole, "rides", &features).await?, answers(&store, "rides", &features).await?);

    store.delete_from_online_store(&"rides".parse()?, &parse_table("user_id:int64\n2")?).await?;
    assert_eq!(answers(&store, "rides", &features).await?, ["1 3 b", "0 null null"]);
    Ok(())
}

#[tokio::test]
async fn a_version_grows_from_one_that_has_grown() -> Outcome {
    let (folder, store) = store_of(SOURCES, &[COUNT]).await?;
    materialize(&store, &[]).await?;
    apply(&store, &view(&[COUNT, SUM]), alone()).await?;
    materialize(&store, &[]).await?;
    // It lacks the sum, but has all of the first version, which was kept up to date.
    let last = plan(&store, &view(&[COUNT, LAST]), alone()).await?;
    assert!(last.to_string().contains("shares the online rows of version 1"), "{last}");
    store.apply(&last).await?;
    apply(&store, &view(&[LAST, SUM, COUNT]), alone()).await?;
    drop(store);
    let store = open(folder.path())?;
    let version = store.feature_view(&"rides".parse()?).await?;
    assert_eq!((version.number, version.grown_from), (4, Some(3)));
    let features = ["ride_last_30d", "fare_sum_7d", "count_24h"];
    assert_eq!(answers(&store, "rides", &features).await?, ["null null 1", "null null 1"]);
    let start = moment("2024-01-01T00:00:00Z");
    let between = Interval::Between { start, until: moment(crate::NOW) };
    let report = store.materialize(version, between, &Silent).await?;
    assert_eq!((report.rows_read, report.rows_written), (6, 6), "of two parts");
    assert_eq!(answers(&store, "rides", &features).await?, ["b 3 1", "c 4 1"]);

    // A view that goes back to a version, or takes events from elsewhere, shares nothing new.
    let back = plan(&store, &view(&[COUNT]), alone()).await?.to_string();
    assert!(back.contains("returns from version 4 to version 1") && !back.contains("shares"), "{back}");
    let changed = view(&[COUNT, SUM, LAST, "{column: fare, function: max, time_window: 1d}"]);
    let other = changed.replace("entities: [user], source: app", "entities: [user], source: rides_file");
    assert!(!plan(&store, &other, alone()).await?.to_string().contains("shares"));
    assert!(plan(&store, &changed, alone()).await?.to_string().contains("shares the online rows of version 4"));
    Ok(())
}

#[tokio::test]
async fn events_without_ids_are_taken_once_by_each_part() -> Outcome {
    let (_folder, store) = store_of(&SOURCES.replace(", event_id: ride", ""), &[COUNT]).await?;
    let start = moment("2024-01-01T00:00:00Z");
    let up_to = async |until: &str| -> lodestore::core::Result<Report> {
        let version = store.feature_view(&"rides".parse()?).await?;
        store.materialize(version, Interval::Between { start, until: moment(until) }, &Silent).await
    };
    up_to("2024-01-09T13:00:00Z").await?;
    apply(&store, &view(&[COUNT, SUM]), alone()).await?;
    let report = up_to(crate::NOW).await?;
    assert_eq!((report.rows_read, report.rows_written), (4, 4), "three events for the sum, one more for the count");
    assert_eq!(answers(&store, "rides", &["count_24h", "fare_sum_7d"]).await?, ["1 3", "1 4"]);
    let error = up_to(crate::NOW).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "every event was taken by every part: {error}");
    Ok(())
}

#[tokio::test]
async fn rows_that_a_service_needs_are_not_dropped_with_an_older_version() -> Outcome {
    let (_folder, store) = store_of(SOURCES, &[COUNT]).await?;
    apply(&store, &view(&[COUNT, SUM]), lodestore::Scope::Subset { remove: Vec::new() }).await?;
    let (offline, _) = view(&[COUNT])
        .replace("source: app,", "source: app, online: false,")
        .split_once("feature_services")
        .map(|(view, rest)| (view.to_owned(), rest.to_owned()))
        .unwrap();
    let back = plan(&store, &offline, alone()).await?;
    assert_eq!(back.blockers().len(), 1, "the service reads version 2, which shares the rows of version 1: {back}");
    Ok(())
}
