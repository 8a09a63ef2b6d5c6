//! Jobs over events of views with aggregations: rules M1 to M4, W2 and W5.

use futures::FutureExt;
use futures::executor::block_on;
use lodestore_core::offline::MemoryEngine;
use lodestore_core::online::{MemoryOnlineStore, OnlineStore, Watermark};
use lodestore_core::time::{ManualClock, Micros};
use lodestore_core::{ErrorKind, Result};
use lodestore_materialize::{Interval, JobOptions, MaterializationJob, Progress, Report, Silent};
use lodestore_testkit::generate::{Rng, WINDOW_KEYS, WindowCase, for_each_seed, online_keys};
use lodestore_testkit::oracle::{Value, WindowEvent, read, windowed};
use lodestore_testkit::{Failed, Outcome, check, check_eq};

use crate::world::{Batched, StopAfter, between, since, us};

/// The path of the table of events.
const PATH: &str = "events.parquet";

struct World {
    case: WindowCase,
    engine: Batched,
    store: MemoryOnlineStore,
    clock: ManualClock,
    options: JobOptions,
}

impl World {
    fn new(case: WindowCase, rows: usize, batch_bytes: usize) -> Result<Self, Failed> {
        let late_arrival_overlap = Micros::new(20)?;
        Ok(Self {
            case,
            engine: Batched { memory: MemoryEngine::new(), rows },
            store: MemoryOnlineStore::new(),
            clock: ManualClock::new(us(0)),
            options: JobOptions { batch_bytes, late_arrival_overlap, ..JobOptions::default() },
        })
    }

    fn put(&self, events: &[&WindowEvent]) -> Outcome {
        self.engine.memory.put(PATH, self.case.batch(events)?);
        Ok(())
    }

    fn run_with(&self, interval: Interval, progress: &dyn Progress) -> Result<Report> {
        let job = MaterializationJob::new(self.case.view.clone(), interval).with_options(self.options.clone());
        let report = block_on(job.run(&self.engine, &self.store, &self.clock, progress))?;
        assert_eq!(report.rows_read, report.rows_written + report.rows_skipped + report.rows_refused, "M3: {report:?}");
        assert_eq!(report.watermark, self.watermark());
        Ok(report)
    }

    fn run(&self, interval: Interval) -> Result<Report> {
        self.run_with(interval, &Silent)
    }

    fn push(&self, events: &[&WindowEvent], now: i64) -> Outcome {
        block_on(self.store.write(&self.case.view, &self.case.rows(events)?, us(now), None))?;
        Ok(())
    }

    fn watermark(&self) -> Watermark {
        block_on(self.store.watermark(&self.case.view)).unwrap()
    }

    /// Returns the first feature of key 0.
    fn count(&self, at: i64) -> Result<Value, Failed> {
        let columns =
            block_on(self.store.read(&self.case.view, &online_keys(&self.case.view, &[Some(0)])?, &[0], us(at)))?;
        Ok(read(&columns[0].values, &self.case.view.version.features[0].feature_type)?.remove(0))
    }

    fn check_all(&self, told: &[&WindowEvent], at: i64) -> Outcome {
        let keys: Vec<Option<usize>> = (0..WINDOW_KEYS).map(Some).collect();
        let places: Vec<usize> = (0..self.case.features.len()).collect();
        let keys = online_keys(&self.case.view, &keys)?;
        let found = block_on(self.store.read(&self.case.view, &keys, &places, us(at)))?;
        for (place, column) in found.iter().enumerate() {
            let values = read(&column.values, &self.case.view.version.features[place].feature_type)?;
            for (key, found) in values.into_iter().enumerate() {
                let of_key: Vec<&WindowEvent> = told.iter().copied().filter(|event| event.key == key).collect();
                let case = &self.case;
                let expected = windowed(&case.features, place, &case.columns, case.delay, &of_key, at)?;
                let is_nan = |value: &Value| matches!(value, Value::Float64(bits) if f64::from_bits(*bits).is_nan());
                check!(
                    found == expected.value || (is_nan(&found) && is_nan(&expected.value)),
                    "key {key}, feature {place} at {at}: {found:?}, not {expected:?}\n{:#?}\n{of_key:#?}",
                    case.features
                );
                check_eq!(column.statuses[key], expected.status, "key {key}, feature {place} at {at}");
            }
        }
        Ok(())
    }
}

/// A history that is taken in several runs, some of which are interrupted. Events with ids are pushed as well, before
/// or after they are materialised.
#[test]
fn m2_w2_property() -> Outcome {
    // Nothing in it waits: the calls within run to their ends.
    let cases = for_each_seed("m2_w2_property", async |seed| {
        let (case, mut rng) = WindowCase::new("job", seed, 4 + (seed / 40).min(40) as usize)?;
        let has_ids = case.view.version.event_id.is_some();
        let ends = ends(&mut rng, case.end);
        let batch_bytes = *rng.pick(&[0, 1, 3_000, 1 << 20]);
        let world = World::new(case, 1 + rng.below(5), batch_bytes)?;
        let all: Vec<&WindowEvent> = world.case.events.iter().collect();
        world.put(&all)?;
        let mut pushed: Vec<&WindowEvent> = Vec::new();
        for &end in &ends {
            world.clock.set(us(end));
            if has_ids && rng.chance(50) && !all.is_empty() {
                let some: Vec<&WindowEvent> = (0..rng.below(4)).map(|_| *rng.pick(&all)).collect();
                world.push(&some, end)?;
                pushed.extend(some);
            }
            if rng.chance(30) {
                // Whether it got to its end or not, the next run ends in the same state.
                let _ = world.run_with(since(end), &StopAfter::batches(rng.below(6)));
            }
            let report = world.run(since(end))?;
            check_eq!(report.watermark.event, Some(us(end)), "the watermark");
            let mut told: Vec<&WindowEvent> = all.iter().copied().filter(|event| event.time <= end).collect();
            told.extend(&pushed);
            for moment in [end, end + rng.between(0, 20)] {
                world.check_all(&told, moment)?;
            }
            world.clock.set(us(end + 20));
        }
        Ok(())
    });
    cases.now_or_never().ok_or("a case waited")?
}

fn ends(rng: &mut Rng, end: i64) -> Vec<i64> {
    let mut at = 0;
    let next = |_| {
        at += 21 + rng.between(0, end / 2);
        at
    };
    (0..3).map(next).collect()
}

const COUNT: &str = r#"[{"function": "count", "time_window": "lifetime", "name": "count"}]"#;
const SHORT: &str = r#"[{"function": "count", "time_window": "10us", "slide_interval": "5us", "name": "count"}]"#;

fn event(time: i64, created: i64, id: i64) -> WindowEvent {
    WindowEvent { key: 0, time, created: (created > 0).then_some(created), id: Some(id), values: vec![Value::Null; 4] }
}

fn world(has_ids: bool, aggregations: &str, batch_bytes: usize) -> Result<World, Failed> {
    let world = World::new(WindowCase::of("job", has_ids, aggregations)?, 2, batch_bytes)?;
    world.clock.set(us(1_000));
    Ok(world)
}

#[test]
fn m1_events_without_ids_are_taken_once() -> Outcome {
    let world = world(false, COUNT, 1 << 20)?;
    let mut events = vec![event(10, 15, 0), event(10, 15, 0), event(90, 0, 0), event(200, 5, 0)];
    world.put(&events.iter().collect::<Vec<_>>())?;
    check_eq!(world.run(since(100))?.rows_written, 3, "the first run");
    check_eq!(world.run(since(100))?.rows_read, 0, "the same again");
    check_eq!(world.run(since(150))?.rows_read, 0, "no overlap");
    // Late ones are found by their created time; that of 15 is taken for known.
    events.extend([event(20, 16, 0), event(30, 15, 0), event(40, 0, 0)]);
    world.put(&events.iter().collect::<Vec<_>>())?;
    check_eq!(world.run(between(150, 250))?.rows_written, 2, "one late, one new");
    check_eq!(world.watermark(), Watermark { event: Some(us(250)), created: Some(us(16)) }, "the watermark");
    check_eq!(world.run(since(300))?.rows_read, 0, "nothing new");
    check_eq!(world.count(1_000)?, Value::Int64(5), "the count");
    // An end before the watermark takes what is late up to the watermark.
    events.push(event(240, 17, 0));
    world.put(&events.iter().collect::<Vec<_>>())?;
    check_eq!(world.run(since(100))?.rows_written, 1, "a late event");
    check_eq!(world.watermark().event, Some(us(300)), "the watermark never moves back");
    Ok(())
}

#[test]
fn m1_an_interval_of_events_without_ids_begins_at_the_watermark() -> Outcome {
    let world = world(false, COUNT, 1 << 20)?;
    let events = [event(5, 30, 0), event(10, 0, 0), event(120, 0, 0)];
    world.put(&events.iter().collect::<Vec<_>>())?;
    check_eq!(world.run(between(5, 100))?.rows_written, 1, "the first run begins where it is told to");
    for interval in [between(0, 200), between(50, 200), between(150, 200)] {
        let error = world.run(interval).map(|_| ()).unwrap_err();
        check_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        check!(error.message().contains("have no ids") && error.message().contains("event_id"), "{error}");
    }
    check_eq!(world.watermark().event, Some(us(100)), "the watermark");
    check_eq!(world.count(1_000)?, Value::Int64(1), "nothing more was written");
    check_eq!(world.run(between(100, 200))?.rows_read, 2, "the rest, and an event recorded since");
    Ok(())
}

#[test]
fn m2_passes_are_committed_one_by_one_and_taken_up_again() -> Outcome {
    let all: Vec<WindowEvent> = (0..40).map(|i| event(i * 13 % 40, 100 + i, 0)).collect();
    let mut passes = std::collections::BTreeSet::new();
    for batches in 0..150 {
        let world = world(false, COUNT, 2_000)?;
        world.put(&all.iter().collect::<Vec<_>>())?;
        if let Err(error) = world.run_with(since(500), &StopAfter::batches(batches)) {
            check_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            let up_to = world.watermark().event;
            let counted = all.iter().filter(|event| up_to.is_some_and(|up_to| us(event.time) <= up_to)).count();
            check_eq!(world.count(1_000)?, Value::Int64(counted as i64), "what the watermark covers");
            passes.insert(up_to);
            world.run(since(500))?;
        }
        check_eq!(world.count(1_000)?, Value::Int64(40), "each event once");
    }
    check!(passes.len() > 2, "the events were taken in passes: {passes:?}");
    Ok(())
}

#[test]
fn m2_passes_of_a_first_run_leave_out_what_is_before_its_start() -> Outcome {
    let world = world(false, COUNT, 2_000)?;
    // It was recorded after all others, as a late event is.
    let mut all = vec![event(5, 900, 0)];
    all.extend((0..40).map(|i| event(10 + i * 13 % 40, 100 + i, 0)));
    world.put(&all.iter().collect::<Vec<_>>())?;
    check_eq!(world.run(between(9, 500))?.rows_written, 40, "those after the start");
    check_eq!(world.count(1_000)?, Value::Int64(40), "the count");
    Ok(())
}

#[test]
fn w5_events_with_ids_are_pushed_and_materialized_without_a_gap_or_a_double() -> Outcome {
    let world = world(true, COUNT, 1)?;
    let events: Vec<WindowEvent> = (0..20).map(|i| event(i * 7 % 20 * 10, 0, i)).collect();
    world.put(&events.iter().collect::<Vec<_>>())?;
    world.push(&events[..5].iter().collect::<Vec<_>>(), 1_000)?;
    check_eq!(
        world.run(since(100))?.rows_skipped,
        events[..5].iter().filter(|e| e.time <= 100).count() as u64,
        "known"
    );
    world.push(&events[3..].iter().collect::<Vec<_>>(), 1_000)?;
    for interval in [since(200), between(0, 150), between(-1, 300)] {
        check_eq!(world.run(interval)?.rows_written, 0, "all are known");
    }
    check_eq!(world.count(1_000)?, Value::Int64(20), "each event once");
    Ok(())
}

#[test]
fn m4_events_that_no_window_reaches_are_not_read() -> Outcome {
    for has_ids in [false, true] {
        let world = world(has_ids, SHORT, 1 << 20)?;
        let events = [event(10, 0, 0), event(984, 0, 1), event(991, 0, 2), event(995, 0, 3)];
        world.put(&events.iter().collect::<Vec<_>>())?;
        let report = world.run(since(1_000))?;
        check_eq!((report.rows_read, report.rows_written), (2, 2), "of the last 15 us");
        check_eq!(report.start, Some(us(985)), "where it began");
        check_eq!(world.count(1_000)?, Value::Int64(2), "the count");
        world.clock.set(us(2_000));
        world.run(since(2_000))?;
        check_eq!(block_on(world.store.collect(&world.case.view, us(2_000)))?, 0, "the run removed what is old");
    }
    Ok(())
}

#[test]
fn m3_events_without_an_id_are_refused_where_events_have_one() -> Outcome {
    let world = world(true, COUNT, 1 << 20)?;
    let events = [WindowEvent { id: None, ..event(10, 0, 0) }, event(20, 0, 1)];
    world.put(&events.iter().collect::<Vec<_>>())?;
    let report = world.run(since(100))?;
    check_eq!((report.rows_read, report.rows_written, report.rows_refused), (2, 1, 1), "read, written, refused");
    check_eq!(report.refused.keys().collect::<Vec<_>>(), ["its event id 'id' is null"], "why");
    Ok(())
}
