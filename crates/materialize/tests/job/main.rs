//! Batch jobs by rules M1 to M4, O1 and O2, over the engine and the store in memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may end like this")]

mod properties;
mod windows;
mod world;

use lodestore_core::ErrorKind;
use lodestore_core::online::Watermark;
use lodestore_testkit::Outcome;
use world::{Row, StopAfter, World, between, since, us};

const AT: &str = "timestamp_field: at";
const CREATED: &str = "timestamp_field: at, created_timestamp_column: created";

fn watermark(event: i64, created: Option<i64>) -> Watermark {
    Watermark { event: Some(us(event)), created: created.map(us) }
}

#[test]
fn m1_an_interval_is_open_at_its_start_and_closed_at_its_end() -> Outcome {
    let world = World::new(AT, &[(1, 9, 0, 1), (2, 10, 0, 2), (3, 11, 0, 3), (4, 30, 0, 4), (5, 31, 0, 5)])?;
    let report = world.run(between(10, 30))?;
    assert_eq!((report.rows_read, report.rows_written, report.rows_skipped), (2, 2, 0));
    assert_eq!((report.start, report.until), (Some(us(10)), us(30)));
    assert_eq!(world.read(&[1, 2, 3, 4, 5], 1_000)?, [None, None, Some(3), Some(4), None]);
    Ok(())
}

#[test]
fn m1_an_end_in_the_future_is_refused() -> Outcome {
    let world = World::new(AT, &[(1, 10, 0, 1)])?;
    for interval in [between(0, 1_001), since(1_001)] {
        let error = world.run(interval).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains("lies in the future"), "{error}");
    }
    assert_eq!(world.state()?, World::new(AT, &[])?.state()?);
    world.run(since(1_000))?;
    assert_eq!(world.read(&[1], 1_000)?, [Some(1)]);
    Ok(())
}

#[test]
fn m1_a_start_that_is_not_before_the_end_is_refused() -> Outcome {
    let world = World::new(AT, &[(1, 10, 0, 1)])?;
    for (start, until) in [(10, 10), (11, 10)] {
        let error = world.run(between(start, until)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains("is not before the end"), "{error}");
    }
    assert_eq!(world.watermark(), Watermark::default());
    Ok(())
}

#[test]
fn m1_the_first_incremental_run_takes_everything_up_to_its_end() -> Outcome {
    for times in [AT, CREATED] {
        let world = World::new(times, &[(1, 0, 0, 1), (2, 100, 0, 2), (3, 101, 0, 3)])?;
        let report = world.run(since(100))?;
        assert_eq!((report.start, report.rows_read, report.rows_written), (None, 2, 2));
        assert_eq!(world.read(&[1, 2, 3], 1_000)?, [Some(1), Some(2), None]);
        assert_eq!(world.run(since(200))?.rows_written, 1);
        assert_eq!(world.read(&[1, 2, 3], 1_000)?, [Some(1), Some(2), Some(3)]);
    }
    Ok(())
}

#[test]
fn m1_a_late_row_is_found_by_its_created_time_however_old_its_event() -> Outcome {
    let world = World::new(CREATED, &[(1, 90, 95, 1), (4, 95, 80, 4)])?;
    world.run(since(100))?;
    assert_eq!(world.watermark(), watermark(100, Some(95)));
    // The same created time as the newest one so far is late too; an event after the end is not taken.
    world.put(&[(1, 90, 95, 1), (4, 95, 80, 4), (2, 1, 150, 2), (3, 50, 95, 3), (5, 201, 150, 5)]);
    let report = world.run(since(200))?;
    assert_eq!(report.rows_written, 2);
    assert_eq!(world.read(&[1, 2, 3, 4, 5], 1_000)?, [Some(1), Some(2), Some(3), Some(4), None]);
    assert_eq!(world.watermark(), watermark(200, Some(150)));
    Ok(())
}

#[test]
fn m1_a_late_row_is_found_by_its_created_time_after_a_run_that_found_nothing() -> Outcome {
    let world = World::new(CREATED, &[])?;
    world.run(since(100))?;
    assert_eq!(world.watermark(), watermark(100, None));
    world.put(&[(1, 10, 150, 1), (2, 150, 151, 2)]);
    world.run(since(200))?;
    assert_eq!(world.read(&[1, 2], 1_000)?, [Some(1), Some(2)]);
    Ok(())
}

#[test]
fn m1_without_created_times_a_late_row_is_found_within_the_overlap_and_not_beyond() -> Outcome {
    let world = World::new(AT, &[(1, 90, 0, 1)])?;
    world.run(since(100))?;
    // The overlap is 20: the next run starts after 80.
    world.put(&[(1, 90, 0, 1), (2, 81, 0, 2), (3, 80, 0, 3), (4, 150, 0, 4)]);
    let report = world.run(since(200))?;
    assert_eq!((report.start, report.rows_read, report.rows_written, report.rows_skipped), (Some(us(80)), 3, 2, 1));
    assert_eq!(world.read(&[1, 2, 3, 4], 1_000)?, [Some(1), Some(2), None, Some(4)]);
    Ok(())
}

#[test]
fn m2_the_watermark_moves_forward_and_never_back() -> Outcome {
    let world = World::new(CREATED, &[(1, 10, 15, 1), (1, 150, 155, 2), (1, 250, 255, 3)])?;
    assert_eq!(world.watermark(), Watermark::default());
    world.run(since(100))?;
    assert_eq!(world.watermark(), watermark(100, Some(15)));
    world.run(between(50, 200))?;
    // A run over an interval did not look for late rows: the created time stays.
    assert_eq!(world.watermark(), watermark(200, Some(15)));
    world.run(between(0, 50))?;
    world.run(since(120))?;
    assert_eq!(world.watermark().event, Some(us(200)));
    world.run(since(300))?;
    assert_eq!(world.watermark(), watermark(300, Some(255)));
    Ok(())
}

#[test]
fn m2_an_interval_that_leaves_a_gap_does_not_move_the_watermark() -> Outcome {
    let world = World::new(AT, &[(1, 10, 0, 1), (2, 120, 0, 2), (3, 180, 0, 3)])?;
    world.run(since(100))?;
    world.run(between(150, 200))?;
    assert_eq!(world.watermark(), watermark(100, None));
    assert_eq!(world.read(&[1, 2, 3], 1_000)?, [Some(1), None, Some(3)]);
    world.run(since(300))?;
    assert_eq!(world.read(&[1, 2, 3], 1_000)?, [Some(1), Some(2), Some(3)]);
    world.run(between(300, 400))?;
    assert_eq!(world.watermark(), watermark(400, None));
    Ok(())
}

/// Rows of a few keys, some of which lose to others.
fn many() -> Vec<Row> {
    (0..40).map(|i| (i % 7, 100 + i * 13 % 40, 200 + i, i)).collect()
}

#[test]
fn m2_an_interrupted_run_keeps_the_old_watermark_and_the_next_ends_in_the_same_state() -> Outcome {
    for interval in [since(500), between(0, 500), between(110, 500)] {
        let whole = World::new(CREATED, &many())?;
        whole.run(interval)?;
        for batches in 0..15 {
            let mut world = World::new(CREATED, &many())?;
            world.options.batch_bytes = 1;
            let error = world.run_with(interval, &StopAfter::batches(batches)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(error.message().contains("was interrupted"), "{error}");
            assert_eq!(world.watermark(), Watermark::default());
            let some_rows = world.read(&[0, 1, 2, 3, 4, 5, 6], 1_000)?.iter().any(Option::is_some);
            assert_eq!(some_rows, batches > 0, "what was committed stays");
            world.run(interval)?;
            assert_eq!(world.state()?, whole.state()?, "after {batches} batches");
        }
    }
    Ok(())
}

#[test]
fn m3_what_was_read_is_written_skipped_or_refused() -> Outcome {
    let folder = tempfile::tempdir()?;
    let mut world = World::new(AT, &[(1, 10, 0, 1), (1, 20, 0, 2), (-1, 30, 0, 3), (2, 30, 0, 4), (-1, 40, 0, 5)])?;
    world.options.refused_folder = Some(folder.path().join("refused"));
    let report = world.run(since(100))?;
    assert_eq!((report.rows_read, report.rows_refused), (5, 2));
    assert_eq!(report.refused.into_iter().collect::<Vec<_>>(), [("a value of its key (user_id) is null".into(), 2)]);
    assert_eq!(world.read(&[1, 2], 1_000)?, [Some(2), Some(4)]);

    let lines = std::fs::read_to_string(report.refused_file.ok_or("there is a file")?)?;
    let lines = lines.lines().map(serde_json::from_str).collect::<Result<Vec<serde_json::Value>, _>>()?;
    assert_eq!(lines.iter().map(|line| &line["a"]).collect::<Vec<_>>(), [3, 5]);
    assert!(lines.iter().all(|line| line["refused_because"] == "a value of its key (user_id) is null"), "{lines:?}");

    world.put(&[(1, 10, 0, 1)]);
    let report = world.run(between(0, 100))?;
    assert_eq!((report.rows_read, report.rows_skipped, report.refused_file), (1, 1, None));
    Ok(())
}

#[test]
fn m3_more_refused_rows_than_the_limit_fail_the_run_and_the_watermark_stays() -> Outcome {
    let folder = tempfile::tempdir()?;
    let table = [(1, 10, 0, 1), (2, 20, 0, 2), (-1, 30, 0, 3), (3, 30, 0, 4), (-1, 40, 0, 5)];
    let mut world = World::new(AT, &table)?;
    world.options.refused_folder = Some(folder.path().to_owned());
    world.options.max_refused_rows = 1;
    let error = world.run(since(100)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    for part in ["more than 1 rows of view 'v@1' were refused", "2 x a value of its key", "max_refused_rows", ".jsonl"]
    {
        assert!(error.message().contains(part), "{error}\n does not contain {part:?}");
    }
    assert_eq!(world.watermark(), Watermark::default());
    let kept = std::fs::read_dir(folder.path())?.next().ok_or("a file with the refused rows")??;
    assert_eq!(std::fs::read_to_string(kept.path())?.lines().count(), 2);

    world.options.max_refused_rows = 2;
    assert_eq!(world.run(since(100))?.rows_refused, 2);
    assert_eq!(world.read(&[1, 2, 3], 1_000)?, [Some(1), Some(2), Some(4)]);
    Ok(())
}

#[test]
fn m4_small_batches_end_in_the_same_state_as_one() -> Outcome {
    let whole = World::new(CREATED, &many())?;
    let expected = whole.run(since(500))?;
    for (rows, batch_bytes) in [(1, 0), (1, 1), (3, 1), (3, 2_000), (40, 1), (100, 1 << 20)] {
        let mut world = World::new(CREATED, &many())?;
        world.engine.rows = rows;
        world.options.batch_bytes = batch_bytes;
        assert_eq!(world.run(since(500))?.rows_read, expected.rows_read);
        assert_eq!(world.state()?, whole.state()?, "batches of {rows} rows, {batch_bytes} bytes");
    }
    Ok(())
}

#[test]
fn o1_an_older_push_after_a_materialization_loses_and_a_newer_one_wins() -> Outcome {
    let world = World::new(AT, &[(1, 100, 0, 1)])?;
    world.run(since(100))?;
    assert_eq!(world.push(&[(1, 50, 0, 2)])?.skipped, 1);
    assert_eq!(world.read(&[1], 1_000)?, [Some(1)]);
    assert_eq!(world.push(&[(1, 150, 0, 3)])?.written, 1);
    assert_eq!(world.run(between(0, 100))?.rows_skipped, 1);
    assert_eq!(world.read(&[1], 1_000)?, [Some(3)]);
    Ok(())
}

#[test]
fn o1_the_new_values_of_a_changed_timeless_table_win() -> Outcome {
    let world = World::new("", &[(1, 0, 0, 9), (2, 0, 0, 1)])?;
    world.clock.set(us(100));
    world.run(since(100))?;
    world.put(&[(1, 0, 0, 3), (2, 0, 0, 5)]);
    world.clock.set(us(200));
    world.run(since(200))?;
    assert_eq!(world.read(&[1, 2], 1_000)?, [Some(3), Some(5)]);
    world.put(&[(1, 0, 0, 2), (2, 0, 0, 6)]);
    world.clock.set(us(300));
    world.run(between(250, 300))?;
    assert_eq!(world.read(&[1, 2], 1_000)?, [Some(2), Some(6)]);
    Ok(())
}
