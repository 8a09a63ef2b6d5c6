//! The `# Behavior` bullets of [`OnlineStore`], each by its name.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lodestore_core::ErrorKind;
use lodestore_core::online::{OnlineStore, OnlineView, Watermark};

use super::OnlineHarness;
use super::example::{EXPIRED, NOT_FOUND, PRESENT, USUAL, answers, check_a, part, row, us, view, write};
use crate::generate::{online_keys, online_rows};
use crate::oracle::{OnlineRow, Value};
use crate::{Failed, Outcome, check, check_eq};

type Harness<'a> = &'a dyn OnlineHarness;
type Opened = (Arc<dyn OnlineStore>, OnlineView);

async fn opened(harness: Harness<'_>, place: &str) -> Result<Opened, Failed> {
    let (store, view) = (harness.open(place).await?, view("p", USUAL)?);
    store.prepare(std::slice::from_ref(&view)).await?;
    Ok((store, view))
}

pub(super) async fn preparing_again_changes_nothing(harness: Harness<'_>) -> Outcome {
    let (store, view) = opened(harness, "preparing_again").await?;
    let watermark = Watermark { event: Some(us(50)), created: None };
    store.write(&view, &online_rows(&view, &[row(0, 10, 1)])?, us(20), Some(watermark)).await?;
    store.prepare(&[view.clone(), view.clone()]).await?;
    check_a(&store, &view, 0, 20, (1, PRESENT, 10)).await?;
    check_eq!(store.watermark(&view).await?, watermark, "the watermark");
    Ok(())
}

pub(super) async fn the_winner_does_not_depend_on_the_order_of_writes(harness: Harness<'_>) -> Outcome {
    let rows = [row(0, 10, 3), row(0, 12, 1), row(0, 11, 2), row(0, 12, 2)];
    let orders = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]];
    for (i, order) in orders.iter().enumerate() {
        let (store, view) = opened(harness, &format!("order_{i}")).await?;
        for &place in order {
            write(&store, &view, &[rows[place].clone()], 20).await?;
        }
        check_a(&store, &view, 0, 20, (2, PRESENT, 12)).await?;
    }
    let (store, view) = opened(harness, "order_together").await?;
    write(&store, &view, &rows, 20).await?;
    check_a(&store, &view, 0, 20, (2, PRESENT, 12)).await
}

pub(super) async fn writing_twice_changes_nothing(harness: Harness<'_>) -> Outcome {
    let (store, view) = opened(harness, "twice").await?;
    let rows = [row(0, 10, 1), row(0, 11, 2), row(1, 30, 3)];
    write(&store, &view, &rows, 20).await?;
    check_eq!(write(&store, &view, &rows, 20).await?, (0, 3), "written and skipped the second time");
    check_a(&store, &view, 0, 20, (2, PRESENT, 11)).await?;
    check_a(&store, &view, 1, 20, (0, NOT_FOUND, 0)).await?;
    check_a(&store, &view, 1, 30, (3, PRESENT, 30)).await
}

pub(super) async fn a_row_not_yet_visible_does_not_hide_the_one_before(harness: Harness<'_>) -> Outcome {
    let (store, view) = opened(harness, "future").await?;
    write(&store, &view, &[row(0, 10, 1), row(0, 40, 4)], 20).await?;
    write(&store, &view, &[row(0, 30, 3), row(0, 5, 9)], 20).await?;
    for (as_of, a, event) in [(20, 1, 10), (29, 1, 10), (30, 3, 30), (39, 3, 30), (40, 4, 40)] {
        check_a(&store, &view, 0, as_of, (a, PRESENT, event)).await?;
    }
    Ok(())
}

pub(super) async fn a_partial_row_replaces_just_its_features(harness: Harness<'_>) -> Outcome {
    let (store, view) = opened(harness, "partial").await?;
    write(&store, &view, &[row(0, 10, 1)], 20).await?;
    let partial = [part(0, 15, 1, Value::text("new"))];
    if !store.capability().partial_rows {
        let refused = store.write(&view, &online_rows(&view, &partial)?, us(20), None).await;
        let kind = refused.map(|_| ()).map_err(|error| error.kind());
        check_eq!(kind, Err(ErrorKind::Unsupported), "a store without partial rows");
        return check_a(&store, &view, 0, 20, (1, PRESENT, 10)).await;
    }
    write(&store, &view, &partial, 20).await?;
    let found = answers(&store, &view, &[Some(0)], &[0, 1], us(20)).await?.remove(0);
    check_eq!(found[0].value, Value::Int64(1), "the feature that the partial row does not have");
    check_eq!(found[1].value, Value::text("new"), "the feature that it has");
    // A full row in between: older than the partial row, newer than the first.
    write(&store, &view, &[row(0, 12, 2)], 20).await?;
    let found = answers(&store, &view, &[Some(0)], &[0, 1], us(20)).await?.remove(0);
    check_eq!(found[0].value, Value::Int64(2), "the newer full row");
    check_eq!(found[1].value, Value::text("new"), "the partial row is newer still");
    Ok(())
}

pub(super) async fn a_failed_write_changes_nothing(harness: Harness<'_>) -> Outcome {
    let (store, view) = opened(harness, "failing").await?;
    let before = Watermark { event: Some(us(10)), created: None };
    store.write(&view, &online_rows(&view, &[row(0, 10, 1)])?, us(20), Some(before)).await?;
    drop(store);
    let store = harness.open_failing("failing").await?.ok_or("the harness says that it can fail writes")?;
    let many: Vec<OnlineRow> = (0..4).map(|key| row(key, 15, 2)).collect();
    let after = Watermark { event: Some(us(15)), created: None };
    let failed = store.write(&view, &online_rows(&view, &many)?, us(20), Some(after)).await;
    check!(failed.is_err(), "the write was to fail");
    check_a(&store, &view, 0, 20, (1, PRESENT, 10)).await?;
    check_a(&store, &view, 1, 20, (0, NOT_FOUND, 0)).await?;
    check_eq!(store.watermark(&view).await?, before, "the watermark");
    Ok(())
}

pub(super) async fn row_i_answers_key_i_and_columns_are_in_the_order_asked(harness: Harness<'_>) -> Outcome {
    let (store, view) = opened(harness, "order_asked").await?;
    write(&store, &view, &[row(0, 10, 5), row(1, 10, 6), row(2, 10, 7)], 20).await?;
    let keys = [Some(2), Some(4), Some(0), Some(2), None, Some(1)];
    let found = answers(&store, &view, &keys, &[1, 0, 1], us(20)).await?;
    let shown: Vec<Vec<Value>> = found.into_iter().map(|row| row.into_iter().map(|a| a.value).collect()).collect();
    let both = |a: i64| vec![Value::text(a.to_string()), Value::Int64(a), Value::text(a.to_string())];
    let nulls = || vec![Value::Null; 3];
    check_eq!(shown, vec![both(7), nulls(), both(5), both(7), nulls(), both(6)], "values by key and feature");
    check_eq!(answers(&store, &view, &[], &[0], us(20)).await?.len(), 0, "no keys, no answers");
    Ok(())
}

pub(super) async fn a_missing_key_is_not_found_and_a_null_key_too(harness: Harness<'_>) -> Outcome {
    let (store, view) = opened(harness, "missing").await?;
    let check = async || {
        for answer in answers(&store, &view, &[Some(4), None], &[0, 1], us(20)).await?.concat() {
            check_eq!((answer.value, answer.status, answer.event_time), (Value::Null, NOT_FOUND, None), "no row");
        }
        Ok(())
    };
    check().await?;
    write(&store, &view, &[row(0, 10, 1)], 20).await?;
    check().await
}

pub(super) async fn a_row_older_than_the_ttl_is_outside_max_age(harness: Harness<'_>) -> Outcome {
    let (store, view) = opened(harness, "ttl").await?;
    write(&store, &view, &[row(0, 10, 1)], 20).await?;
    check_a(&store, &view, 0, 110, (1, PRESENT, 10)).await?;
    check_a(&store, &view, 0, 111, (0, EXPIRED, 10)).await?;
    check_a(&store, &view, 0, i64::MAX - 1, (0, EXPIRED, 10)).await
}

pub(super) async fn reads_during_a_write_see_the_last_commit(harness: Harness<'_>) -> Outcome {
    const KEYS: usize = 4;
    const WRITES: i64 = 200;
    let (store, view) = opened(harness, "during_a_write").await?;
    let is_done = AtomicBool::new(false);
    let writes = async || {
        for n in 1..=WRITES {
            let rows: Vec<OnlineRow> = (0..KEYS).map(|key| row(key, n, n)).collect();
            write(&store, &view, &rows, WRITES).await?;
        }
        Ok(())
    };
    let reads = async || {
        let keys: Vec<Option<usize>> = (0..KEYS).map(Some).collect();
        let mut last = None;
        loop {
            let was_done = is_done.load(Ordering::SeqCst);
            let found = answers(&store, &view, &keys, &[0], us(WRITES)).await?.concat();
            let times: Vec<_> = found.iter().map(|answer| answer.event_time).collect();
            check!(times.iter().all(|time| *time == times[0]), "a read saw half a write: {times:?}");
            check!(times[0] >= last, "a read went back from {last:?} to {:?}", times[0]);
            last = times[0];
            if was_done {
                return Ok(());
            }
        }
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let outcome = harness.block_on(Box::pin(writes()));
            is_done.store(true, Ordering::SeqCst);
            outcome
        });
        let reader = scope.spawn(|| harness.block_on(Box::pin(reads())));
        let joined = [writer.join(), reader.join()];
        joined.into_iter().try_for_each(|outcome| outcome.map_err(|_| Failed::from("a thread panicked"))?)
    })
}

pub(super) async fn a_deleted_key_is_not_found(harness: Harness<'_>) -> Outcome {
    let (store, view) = opened(harness, "deleted").await?;
    write(&store, &view, &[row(0, 10, 1), row(0, 30, 2), row(1, 10, 3)], 20).await?;
    store.delete(&view, &online_keys(&view, &[Some(0)])?, us(20)).await?;
    check_a(&store, &view, 0, 20, (0, NOT_FOUND, 0)).await?;
    // The row that was not yet visible is deleted too.
    check_a(&store, &view, 0, 30, (0, NOT_FOUND, 0)).await?;
    check_a(&store, &view, 1, 20, (3, PRESENT, 10)).await
}

pub(super) async fn older_rows_stay_out_after_a_delete(harness: Harness<'_>) -> Outcome {
    let (store, view) = opened(harness, "stay_out").await?;
    write(&store, &view, &[row(0, 10, 1)], 20).await?;
    store.delete(&view, &online_keys(&view, &[Some(0), Some(1)])?, us(20)).await?;
    let late = [row(0, 10, 1), row(0, 20, 2), row(1, 19, 3)];
    check_eq!(write(&store, &view, &late, 25).await?, (0, 3), "written and skipped after the delete");
    check_a(&store, &view, 0, 25, (0, NOT_FOUND, 0)).await?;
    check_a(&store, &view, 1, 25, (0, NOT_FOUND, 0)).await?;
    // An earlier delete that arrives late takes nothing back.
    store.delete(&view, &online_keys(&view, &[Some(0)])?, us(5)).await?;
    write(&store, &view, &[row(0, 20, 2)], 25).await?;
    check_a(&store, &view, 0, 25, (0, NOT_FOUND, 0)).await?;
    write(&store, &view, &[row(0, 21, 4)], 25).await?;
    check_a(&store, &view, 0, 25, (4, PRESENT, 21)).await
}

pub(super) async fn deleting_a_missing_key_succeeds(harness: Harness<'_>) -> Outcome {
    let (store, view) = opened(harness, "delete_missing").await?;
    store.delete(&view, &online_keys(&view, &[Some(4), None])?, us(20)).await?;
    store.delete(&view, &online_keys(&view, &[])?, us(20)).await?;
    check_a(&store, &view, 4, 20, (0, NOT_FOUND, 0)).await
}

pub(super) async fn the_watermark_moves_with_the_rows(harness: Harness<'_>) -> Outcome {
    let (store, view) = opened(harness, "watermark").await?;
    check_eq!(store.watermark(&view).await?, Watermark::default(), "a view that was never materialised");
    let first = Watermark { event: Some(us(15)), created: None };
    store.write(&view, &online_rows(&view, &[row(0, 10, 1)])?, us(20), Some(first)).await?;
    check_eq!(store.watermark(&view).await?, first, "after a write with a watermark");
    write(&store, &view, &[row(0, 16, 2)], 20).await?;
    check_eq!(store.watermark(&view).await?, first, "a write without one leaves it");
    let second = Watermark { event: Some(us(i64::MAX - 1)), created: Some(us(-5)) };
    let none: [OnlineRow; 0] = [];
    let rows = online_rows(&view, &[row(0, 17, 3)])?.take(&arrow::array::UInt32Array::from(Vec::<u32>::new()))?;
    check_eq!(rows.len(), none.len(), "no rows");
    store.write(&view, &rows, us(20), Some(second)).await?;
    check_eq!(store.watermark(&view).await?, second, "a write of no rows moves it too");
    store.delete(&view, &online_keys(&view, &[Some(0)])?, us(20)).await?;
    check_eq!(store.watermark(&view).await?, second, "a delete leaves it");
    Ok(())
}

pub(super) async fn a_retired_view_is_empty_and_others_are_untouched(harness: Harness<'_>) -> Outcome {
    let (store, first) = opened(harness, "retired").await?;
    let other = view("p2", USUAL)?;
    store.prepare(std::slice::from_ref(&other)).await?;
    let watermark = Watermark { event: Some(us(10)), created: Some(us(11)) };
    for view in [&first, &other] {
        store.write(view, &online_rows(view, &[row(0, 10, 1)])?, us(20), Some(watermark)).await?;
        store.delete(view, &online_keys(view, &[Some(1)])?, us(20)).await?;
    }
    store.retire(std::slice::from_ref(&first)).await?;
    store.retire(std::slice::from_ref(&first)).await?;
    store.prepare(std::slice::from_ref(&first)).await?;
    check_a(&store, &first, 0, 20, (0, NOT_FOUND, 0)).await?;
    check_eq!(store.watermark(&first).await?, Watermark::default(), "the watermark is gone");
    // What was deleted before is forgotten with the rest.
    write(&store, &first, &[row(1, 10, 2)], 20).await?;
    check_a(&store, &first, 1, 20, (2, PRESENT, 10)).await?;
    check_a(&store, &other, 0, 20, (1, PRESENT, 10)).await?;
    write(&store, &other, &[row(1, 10, 2)], 20).await?;
    check_a(&store, &other, 1, 20, (0, NOT_FOUND, 0)).await?;
    check_eq!(store.watermark(&other).await?, watermark, "the other view's watermark");
    Ok(())
}

pub(super) async fn a_durable_store_has_its_rows_when_it_is_opened_again(harness: Harness<'_>) -> Outcome {
    let (store, view) = opened(harness, "durable").await?;
    let is_durable = store.capability().durable;
    let watermark = Watermark { event: Some(us(12)), created: Some(us(13)) };
    let rows = [row(0, 10, 1), row(0, 30, 3), row(1, 10, 2)];
    store.write(&view, &online_rows(&view, &rows)?, us(20), Some(watermark)).await?;
    store.delete(&view, &online_keys(&view, &[Some(1)])?, us(20)).await?;
    drop(store);
    if !is_durable {
        return Ok(());
    }
    let store = harness.open("durable").await?;
    store.prepare(std::slice::from_ref(&view)).await?;
    check_a(&store, &view, 0, 20, (1, PRESENT, 10)).await?;
    check_a(&store, &view, 0, 30, (3, PRESENT, 30)).await?;
    check_eq!(store.watermark(&view).await?, watermark, "the watermark");
    write(&store, &view, &[row(1, 15, 2)], 20).await?;
    check_a(&store, &view, 1, 20, (0, NOT_FOUND, 0)).await
}
