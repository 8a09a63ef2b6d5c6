//! The numbered rules for serving, each by small cases made by hand.

use std::sync::Arc;

use lodestore_core::definition::ViewVersion;
use lodestore_core::online::{OnlineStore, OnlineView};
use lodestore_core::rows::{FeatureRows, RowStamp};
use lodestore_core::time::{EventTime, Micros};
use lodestore_core::types::FeatureType;

use super::example::{EXPIRED, NOT_FOUND, NULL, PRESENT, USUAL, answers, check_a, part, row, us, view, view_of, write};
use super::{OnlineHarness, in_threads};
use crate::fixture::{definitions, online_view};
use crate::generate::{Rng, every_type, online_keys, online_rows, value};
use crate::oracle::{OnlineRow, Value, build, read};
use crate::{Failed, Outcome, check_eq};

type Harness<'a> = &'a dyn OnlineHarness;

async fn opened(harness: Harness<'_>, place: &str, view: &OnlineView) -> Result<Arc<dyn OnlineStore>, Failed> {
    let store = harness.open(place).await?;
    store.prepare(std::slice::from_ref(view)).await?;
    Ok(store)
}

fn created(row: OnlineRow, created: i64) -> OnlineRow {
    OnlineRow { stamp: RowStamp { created: us(created), ..row.stamp }, ..row }
}

pub(super) async fn o1_created_then_values_decide_between_equal_event_times(harness: Harness<'_>) -> Outcome {
    let view = view("p", USUAL)?;
    let store = opened(harness, "o1_ties", &view).await?;
    write(&store, &view, &[row(0, 10, 9), created(row(0, 10, 1), 11), created(row(0, 9, 9), 99)], 20).await?;
    check_a(&store, &view, 0, 20, (1, PRESENT, 10)).await?;
    write(&store, &view, &[created(row(0, 10, 3), 11), created(row(0, 10, 2), 11)], 20).await?;
    check_a(&store, &view, 0, 20, (3, PRESENT, 10)).await?;
    // Null is the lowest value: the row with it loses, whatever the features after it are.
    let null = OnlineRow { values: vec![Some(Value::Null), Some(Value::text("z"))], ..created(row(0, 10, 0), 11) };
    write(&store, &view, &[null], 20).await?;
    check_a(&store, &view, 0, 20, (3, PRESENT, 10)).await
}

pub(super) async fn o1_concurrent_writers_end_in_the_same_state(harness: Harness<'_>) -> Outcome {
    const WRITERS: i64 = 4;
    const ROWS: i64 = 50;
    let view = view("p", USUAL)?;
    let store = opened(harness, "o1_concurrent", &view).await?;
    let writes = async |writer: i64| {
        for n in 1..=ROWS {
            let n = (n * 7 + writer * 13) % ROWS + 1;
            write(&store, &view, &[row(0, n, n), row(1, n, writer + 1)], 60).await?;
        }
        Ok(())
    };
    in_threads(harness, WRITERS, writes)?;
    check_a(&store, &view, 0, 60, (ROWS, PRESENT, ROWS)).await?;
    check_a(&store, &view, 1, 60, (WRITERS, PRESENT, ROWS)).await
}

pub(super) async fn o2_every_status_and_its_value(harness: Harness<'_>) -> Outcome {
    let view = view("p", USUAL)?;
    let store = opened(harness, "o2_statuses", &view).await?;
    let null = OnlineRow { values: vec![Some(Value::Null), Some(Value::text("b"))], ..row(1, 10, 0) };
    write(&store, &view, &[row(0, 10, 1), null], 20).await?;
    check_a(&store, &view, 0, 20, (1, PRESENT, 10)).await?;
    check_a(&store, &view, 1, 20, (0, NULL, 10)).await?;
    check_a(&store, &view, 2, 20, (0, NOT_FOUND, 0)).await?;
    check_a(&store, &view, 0, 111, (0, EXPIRED, 10)).await?;
    // A null that is too old is too old.
    check_a(&store, &view, 1, 111, (0, EXPIRED, 10)).await
}

pub(super) async fn o2_a_row_is_visible_from_its_delay_on(harness: Harness<'_>) -> Outcome {
    let view = view("p", "timestamp_field: at, availability_delay: 30us")?;
    let store = opened(harness, "o2_delay", &view).await?;
    write(&store, &view, &[row(0, 10, 1), row(0, 30, 2)], 20).await?;
    check_a(&store, &view, 0, 39, (0, NOT_FOUND, 0)).await?;
    check_a(&store, &view, 0, 40, (1, PRESENT, 10)).await?;
    check_a(&store, &view, 0, 59, (1, PRESENT, 10)).await?;
    check_a(&store, &view, 0, 60, (2, PRESENT, 30)).await?;
    // The age counts from the event time, not from when the row became visible (rule T4).
    check_a(&store, &view, 0, 130, (2, PRESENT, 30)).await?;
    check_a(&store, &view, 0, 131, (0, EXPIRED, 30)).await
}

pub(super) async fn o2_validity_ranges_may_overlap(harness: Harness<'_>) -> Outcome {
    let view = view_of("p", "valid_from: at, valid_to: until", "", "{name: a, type: int64}, {name: b, type: string}")?;
    let store = opened(harness, "o2_validity", &view).await?;
    let until = |row: OnlineRow, end: i64| OnlineRow { stamp: RowStamp { valid_to: us(end), ..row.stamp }, ..row };
    write(&store, &view, &[until(row(0, 10, 1), 100), until(row(0, 20, 2), 30), until(row(0, 50, 3), 60)], 15).await?;
    for (as_of, a, event) in [(19, 1, 10), (20, 2, 20), (29, 2, 20), (30, 1, 10), (50, 3, 50), (60, 1, 10)] {
        check_a(&store, &view, 0, as_of, (a, PRESENT, event)).await?;
    }
    check_a(&store, &view, 0, 100, (0, NOT_FOUND, 0)).await
}

pub(super) async fn o2_a_timeless_row_is_always_present(harness: Harness<'_>) -> Outcome {
    let view = view_of("p", "", "", "{name: a, type: int64}, {name: b, type: string}")?;
    let store = opened(harness, "o2_timeless", &view).await?;
    let timeless = |a: i64| OnlineRow { stamp: RowStamp::at(EventTime::MIN), ..row(0, 0, a) };
    write(&store, &view, &[timeless(2)], 20).await?;
    write(&store, &view, &[timeless(1)], 20).await?;
    check_a(&store, &view, 0, 20, (2, PRESENT, 0)).await?;
    check_a(&store, &view, 0, i64::MAX - 1, (2, PRESENT, 0)).await
}

pub(super) async fn o3_the_ttl_may_change_without_a_write(harness: Harness<'_>) -> Outcome {
    let before = view("p", USUAL)?;
    let store = opened(harness, "o3_ttl", &before).await?;
    write(&store, &before, &[row(0, 10, 1)], 20).await?;
    check_a(&store, &before, 0, 500, (0, EXPIRED, 10)).await?;
    let with_ttl = |ttl: Option<Micros>| {
        let mut version = ViewVersion::clone(&before.version);
        version.definition.ttl = ttl;
        OnlineView::new(before.project.clone(), Arc::new(version))
    };
    for (ttl, expected) in [
        (Some(Micros::new(490)?), (1, PRESENT, 10)),
        (Some(Micros::new(489)?), (0, EXPIRED, 10)),
        (Some(Micros::ZERO), (1, PRESENT, 10)),
        (None, (1, PRESENT, 10)),
    ] {
        let after = with_ttl(ttl);
        store.prepare(std::slice::from_ref(&after)).await?;
        check_a(&store, &after, 0, 500, expected).await?;
    }
    Ok(())
}

pub(super) async fn o4_each_feature_has_its_own_event_time(harness: Harness<'_>) -> Outcome {
    let view = view("p", USUAL)?;
    let store = opened(harness, "o4_times", &view).await?;
    if !store.capability().partial_rows {
        return Ok(());
    }
    // The partial rows come before any full one: the features they don't have are not found.
    write(&store, &view, &[part(0, 10, 0, Value::Int64(1))], 20).await?;
    let found = answers(&store, &view, &[Some(0)], &[0, 1], us(20)).await?.remove(0);
    check_eq!((found[0].status, found[1].status), (PRESENT, NOT_FOUND), "one feature of two");
    write(&store, &view, &[part(0, 60, 1, Value::text("late"))], 60).await?;
    for (as_of, statuses) in [(110, (PRESENT, PRESENT)), (111, (EXPIRED, PRESENT)), (161, (EXPIRED, EXPIRED))] {
        let found = answers(&store, &view, &[Some(0)], &[0, 1], us(as_of)).await?.remove(0);
        check_eq!((found[0].status, found[1].status), statuses, "read at {as_of}");
        check_eq!((found[0].event_time, found[1].event_time), (Some(us(10)), Some(us(60))), "read at {as_of}");
    }
    // A null in a partial row is a value like another: it replaces.
    write(&store, &view, &[part(0, 70, 0, Value::Null)], 70).await?;
    check_a(&store, &view, 0, 70, (0, NULL, 70)).await
}

pub(super) async fn o5_a_delete_holds_at_its_moment_and_not_after(harness: Harness<'_>) -> Outcome {
    let view = view("p", USUAL)?;
    let store = opened(harness, "o5_moment", &view).await?;
    store.delete(&view, &online_keys(&view, &[Some(0)])?, us(20)).await?;
    write(&store, &view, &[row(0, 20, 1)], 25).await?;
    check_a(&store, &view, 0, 25, (0, NOT_FOUND, 0)).await?;
    write(&store, &view, &[row(0, 21, 2)], 25).await?;
    check_a(&store, &view, 0, 25, (2, PRESENT, 21)).await?;
    // Deleted before its newest row: what was stored stays out, what is newer may come.
    store.delete(&view, &online_keys(&view, &[Some(0)])?, us(5)).await?;
    write(&store, &view, &[row(0, 21, 2)], 25).await?;
    check_a(&store, &view, 0, 25, (0, NOT_FOUND, 0)).await?;
    write(&store, &view, &[row(0, 22, 3)], 25).await?;
    check_a(&store, &view, 0, 25, (3, PRESENT, 22)).await
}

pub(super) async fn o6_features_are_answered_in_the_order_requested(harness: Harness<'_>) -> Outcome {
    const FEATURES: usize = 70;
    let features: Vec<String> = (0..FEATURES).map(|i| format!("{{name: f{i}, type: int64}}")).collect();
    let view = view_of("p", USUAL, "", &features.join(", "))?;
    let store = opened(harness, "o6_many", &view).await?;
    let values = (0..FEATURES as i64).map(|i| Some(Value::Int64(i))).collect();
    write(&store, &view, &[OnlineRow { values, ..row(0, 10, 0) }], 20).await?;
    let asked: Vec<usize> = (0..FEATURES).map(|i| i * 31 % FEATURES).collect();
    let found = answers(&store, &view, &[Some(0)], &asked, us(20)).await?.remove(0);
    let expected: Vec<Value> = asked.iter().map(|i| Value::Int64(*i as i64)).collect();
    check_eq!(found.into_iter().map(|answer| answer.value).collect::<Vec<_>>(), expected, "features by place");
    if store.capability().partial_rows {
        let mut values = vec![None; FEATURES];
        values[64] = Some(Value::Int64(-1));
        write(&store, &view, &[OnlineRow { values, ..row(0, 11, 0) }], 20).await?;
        let found = answers(&store, &view, &[Some(0)], &[63, 64, 65, 0], us(20)).await?.remove(0);
        let found: Vec<Value> = found.into_iter().map(|answer| answer.value).collect();
        check_eq!(found, [63, -1, 65, 0].map(Value::Int64), "a partial row of the 65th feature");
    }
    Ok(())
}

pub(super) async fn m3_rows_written_and_skipped_add_up(harness: Harness<'_>) -> Outcome {
    let view = view("p", USUAL)?;
    let store = opened(harness, "m3_reports", &view).await?;
    let rows: Vec<OnlineRow> = (0..10).map(|i| row(i % 2, i as i64, i as i64)).collect();
    check_eq!(write(&store, &view, &rows, 20).await?, (2, 8), "of each key the newest is written");
    check_eq!(write(&store, &view, &[row(0, 3, 1), row(1, 12, 1)], 20).await?, (1, 1), "one older, one newer");
    Ok(())
}

pub(super) async fn n2_versions_and_projects_live_side_by_side(harness: Harness<'_>) -> Outcome {
    let first = view("p", USUAL)?;
    let second_version = ViewVersion { number: 2, ..ViewVersion::clone(&first.version) };
    let second = OnlineView::new(first.project.clone(), Arc::new(second_version));
    let other = view("p2", USUAL)?;
    let store = opened(harness, "n2_versions", &first).await?;
    store.prepare(&[second.clone(), other.clone()]).await?;
    for (view, a) in [(&first, 1), (&second, 2), (&other, 3)] {
        write(&store, view, &[row(0, 10, a)], 20).await?;
    }
    store.delete(&other, &online_keys(&other, &[Some(0)])?, us(20)).await?;
    check_a(&store, &first, 0, 20, (1, PRESENT, 10)).await?;
    check_a(&store, &second, 0, 20, (2, PRESENT, 10)).await?;
    check_a(&store, &other, 0, 20, (0, NOT_FOUND, 0)).await
}

pub(super) async fn p6_keys_that_run_into_each_other_are_apart(harness: Harness<'_>) -> Outcome {
    let definitions = definitions(
        "entities: [{name: user, join_keys: [{name: x, type: string}, {name: y, type: string}]}]
data_sources: [{name: s, type: file, path: s.parquet, timestamp_field: at}]
feature_views:
  - {name: v, entities: [user], source: s, schema: [{name: a, type: int64}]}
  - {name: everything, source: s, schema: [{name: a, type: int64}]}",
    )?;
    let view = online_view(&definitions, "v", "p")?;
    let store = opened(harness, "p6_keys", &view).await?;
    let pairs = [("1", "23"), ("12", "3"), ("", "123"), ("123", ""), ("1\0", "23"), ("1", "\u{0}23"), ("", "")];
    let keys = |pairs: &[(&str, &str)]| {
        let column =
            |values: Vec<&str>| build(&FeatureType::String, &values.into_iter().map(Value::text).collect::<Vec<_>>());
        let (x, y) = pairs.iter().copied().unzip();
        let (x, y) = (column(x)?, column(y)?);
        let ty = lodestore_core::types::KeyType::String;
        Ok::<_, Failed>(lodestore_core::entity_key::EntityKeys::encode(pairs.len(), &[("x", &x, ty), ("y", &y, ty)])?)
    };
    let values: Vec<Value> = (0..pairs.len() as i64).map(Value::Int64).collect();
    let column = build(&FeatureType::Int64, &values)?;
    let stamps = vec![RowStamp::at(us(10)); pairs.len()];
    store.write(&view, &FeatureRows::new(keys(&pairs)?, stamps, vec![(0, column)])?, us(20), None).await?;
    let found = store.read(&view, &keys(&pairs)?, &[0], us(20)).await?;
    check_eq!(read(&found[0].values, &FeatureType::Int64)?, values, "each key has its own row");
    // A view without entities has one row, under the empty key.
    let everything = online_view(&definitions, "everything", "p")?;
    store.prepare(std::slice::from_ref(&everything)).await?;
    write(&store, &everything, &[OnlineRow { values: vec![Some(Value::Int64(7))], ..row(0, 10, 0) }], 20).await?;
    check_a(&store, &everything, 0, 20, (7, PRESENT, 10)).await
}

pub(super) async fn v1_every_type_goes_in_and_comes_out_equal(harness: Harness<'_>) -> Outcome {
    let types = every_type();
    let features: Vec<String> =
        types.iter().enumerate().map(|(i, ty)| format!("{{name: f{i}, type: '{ty}'}}")).collect();
    let view = view_of("p", USUAL, "", &features.join(", "))?;
    let store = opened(harness, "v1_types", &view).await?;
    let all: Vec<usize> = (0..types.len()).collect();
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let values: Vec<Value> = types.iter().map(|ty| value(&mut rng, ty)).collect();
        let event = 10 + seed as i64;
        let row = OnlineRow { values: values.iter().cloned().map(Some).collect(), ..row(0, event, 0) };
        store.write(&view, &online_rows(&view, &[row])?, us(event), None).await?;
        let found = answers(&store, &view, &[Some(0)], &all, us(event)).await?.remove(0);
        for ((found, expected), ty) in found.into_iter().zip(values).zip(&types) {
            check_eq!(found.status, if expected.is_null() { NULL } else { PRESENT }, "type {ty}");
            check_eq!(found.value, expected, "type {ty}");
        }
    }
    Ok(())
}
