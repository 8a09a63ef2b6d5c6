//! Windows of events: the `# Behavior` bullets about them, and random events against the oracle.

use std::sync::Arc;

use libtest_mimic::Failed;
use lodestore_core::online::{FeatureStatus, OnlineStore, Watermark};

use super::example::{NOT_FOUND, NULL, PRESENT, answers, us};
use super::{OnlineHarness, in_threads};
use crate::generate::{Rng, WINDOW_KEYS, WindowCase, for_each_seed, online_keys};
use crate::oracle::{OnlineAnswer, Value, WindowEvent, windowed};
use crate::{Outcome, check, check_eq};

type Harness<'a> = &'a dyn OnlineHarness;

/// A count of each kind of window, and the last value of one.
const COUNTS: &str = r#"[
    {"function": "count", "time_window": "100us", "slide_interval": "10us", "name": "hopping"},
    {"function": "count", "time_window": "100us", "slide_interval": "0s", "name": "exact"},
    {"function": "count", "time_window": "lifetime", "name": "lifetime"},
    {"function": "count", "time_window": "100us", "slide_interval": "10us", "offset": "50us", "name": "earlier"},
    {"function": "last", "column": "city", "time_window": "100us", "slide_interval": "10us", "name": "city"}
]"#;

struct World {
    store: Arc<dyn OnlineStore>,
    case: WindowCase,
}

impl World {
    async fn open(harness: Harness<'_>, place: &str, has_ids: bool) -> Result<Self, Failed> {
        let store = harness.open(place).await?;
        let case = WindowCase::of(place, has_ids, COUNTS)?;
        store.prepare(std::slice::from_ref(&case.view)).await?;
        Ok(Self { store, case })
    }

    /// Writes events of key 0, each a time and an id, as `city` its time; returns how many were written and skipped.
    async fn write(&self, events: &[(i64, i64)], now: i64) -> Result<(u64, u64), Failed> {
        let event = |&(time, id): &(i64, i64)| WindowEvent {
            key: 0,
            time,
            created: None,
            id: Some(id),
            values: vec![Value::Null, Value::Null, Value::text(time.to_string()), Value::Null],
        };
        let events: Vec<WindowEvent> = events.iter().map(event).collect();
        let rows = self.case.rows(&events.iter().collect::<Vec<_>>())?;
        let report = self.store.write(&self.case.view, &rows, us(now), None).await?;
        Ok((report.written, report.skipped))
    }

    /// Checks the counts and the city of key 0, `None` for null; all are found.
    async fn check(&self, at: i64, counts: [i64; 4], city: Option<i64>) -> Outcome {
        let found = answers(&self.store, &self.case.view, &[Some(0)], &[0, 1, 2, 3, 4], us(at)).await?.remove(0);
        let mut expected: Vec<Value> = counts.into_iter().map(Value::Int64).collect();
        expected.push(city.map_or(Value::Null, |city| Value::text(city.to_string())));
        let values: Vec<Value> = found.iter().map(|answer| answer.value.clone()).collect();
        check_eq!(values, expected, "hopping, exact, lifetime, earlier, city at {at}");
        check!(found[..4].iter().all(|answer| answer.status == PRESENT), "a count is present: {found:?}");
        Ok(())
    }
}

pub(super) async fn an_event_counts_in_the_windows_that_contain_it(harness: Harness<'_>) -> Outcome {
    let world = World::open(harness, "windows_contain", false).await?;
    check_eq!(world.write(&[(105, 0), (110, 1), (300, 2)], 120).await?, (3, 0), "written and skipped");
    world.check(120, [2, 2, 2, 0], Some(110)).await?;
    // The end is closed, and a window moves without a write.
    world.check(154, [2, 2, 2, 0], Some(110)).await?;
    world.check(155, [2, 2, 2, 1], Some(110)).await?;
    world.check(160, [2, 2, 2, 2], Some(110)).await?;
    // The start is open, that of a hopping window at a multiple of its hop.
    world.check(204, [2, 2, 2, 2], Some(110)).await?;
    world.check(205, [2, 1, 2, 2], Some(110)).await?;
    world.check(209, [2, 1, 2, 2], Some(110)).await?;
    world.check(210, [0, 0, 2, 2], None).await?;
    world.check(299, [0, 0, 2, 0], None).await?;
    world.check(300, [1, 1, 3, 0], Some(300)).await?;
    // A late event changes the windows that have it, and one too late for most the others.
    check_eq!(world.write(&[(250, 3), (1, 4)], 300).await?, (2, 0), "late events");
    world.check(300, [2, 2, 5, 1], Some(300)).await
}

pub(super) async fn an_event_with_an_id_counts_once(harness: Harness<'_>) -> Outcome {
    let world = World::open(harness, "windows_ids", true).await?;
    check_eq!(world.write(&[(105, 0), (105, 0), (110, 1)], 120).await?, (2, 1), "twice in a write");
    check_eq!(world.write(&[(110, 1), (105, 0), (105, 2)], 130).await?, (1, 2), "twice in two writes");
    check_eq!(world.write(&[(190, 1), (20, 0)], 200).await?, (0, 2), "the first to be told counts");
    world.check(200, [3, 3, 3, 3], Some(110)).await?;
    check_eq!(world.write(&[(110, 1)], 100_000).await?, (0, 1), "beside a lifetime window ids stay");
    world.check(100_000, [0, 0, 3, 0], None).await
}

pub(super) async fn w5_of_deliveries_that_differ_the_least_of_a_write_counts(harness: Harness<'_>) -> Outcome {
    for (place, order) in [[(110, 7), (105, 7)], [(105, 7), (110, 7)]].iter().enumerate() {
        let world = World::open(harness, &format!("windows_differ_{place}"), true).await?;
        check_eq!(world.write(order, 120).await?, (1, 1), "one of two");
        world.check(120, [1, 1, 1, 0], Some(105)).await?;
        // A tile can't give back what it took.
        check_eq!(world.write(&[(101, 7)], 120).await?, (0, 1), "a third");
        world.check(120, [1, 1, 1, 0], Some(105)).await?;
    }
    Ok(())
}

pub(super) async fn w5_concurrent_writers_count_each_event_once(harness: Harness<'_>) -> Outcome {
    const WRITERS: i64 = 4;
    const EVENTS: i64 = 60;
    let world = World::open(harness, "windows_concurrent", true).await?;
    let writes = async |writer: i64| {
        for n in 0..EVENTS {
            // Each writer tells every event, in an order of its own.
            let n = (n * 7 + writer * 13) % EVENTS;
            world.write(&[(100 + n, n), (100 + (n + 1) % EVENTS, (n + 1) % EVENTS)], 160).await?;
        }
        Ok(())
    };
    in_threads(harness, WRITERS, writes)?;
    world.check(160, [EVENTS, EVENTS, EVENTS, 11], Some(159)).await
}

pub(super) async fn events_without_ids_each_count(harness: Harness<'_>) -> Outcome {
    let world = World::open(harness, "windows_no_ids", false).await?;
    check_eq!(world.write(&[(105, 0), (105, 0)], 120).await?, (2, 0), "two equal events");
    check_eq!(world.write(&[(105, 0)], 120).await?, (1, 0), "and a third");
    world.check(120, [3, 3, 3, 0], Some(105)).await
}

pub(super) async fn windows_of_an_unknown_key_are_empty(harness: Harness<'_>) -> Outcome {
    let world = World::open(harness, "windows_unknown", false).await?;
    world.write(&[(105, 0)], 120).await?;
    let keys = [Some(2), None, Some(0)];
    let mut found = answers(&world.store, &world.case.view, &keys, &[4, 0, 2], us(500)).await?;
    let known = found.remove(2);
    for unknown in found {
        let seen: Vec<(Value, FeatureStatus)> = unknown.iter().map(|a| (a.value.clone(), a.status)).collect();
        let zero = || (Value::Int64(0), PRESENT);
        check_eq!(seen, vec![(Value::Null, NOT_FOUND), zero(), zero()], "no event");
        check!(unknown.iter().all(|answer| answer.event_time.is_none()), "no event has no time");
    }
    check_eq!(known[0].status, NULL, "a known key's empty window");
    check_eq!(known[0].event_time, Some(us(105)), "the newest event");
    Ok(())
}

pub(super) async fn a_deleted_key_has_empty_windows(harness: Harness<'_>) -> Outcome {
    let world = World::open(harness, "windows_deleted", true).await?;
    world.write(&[(105, 0), (110, 1), (300, 2)], 120).await?;
    let key = online_keys(&world.case.view, &[Some(0)])?;
    world.store.delete(&world.case.view, &key, us(120)).await?;
    world.check(120, [0, 0, 0, 0], None).await?;
    world.check(300, [0, 0, 0, 0], None).await?;
    // The event that had not entered is the newest.
    check_eq!(world.write(&[(105, 0), (300, 3), (301, 1)], 310).await?, (1, 2), "events up to the newest stay out");
    world.check(310, [1, 1, 1, 0], Some(301)).await
}

pub(super) async fn collecting_changes_no_answer(harness: Harness<'_>) -> Outcome {
    let store = harness.open("windows_collect").await?;
    for_each_seed("collecting_changes_no_answer", async |seed| {
        if seed % 10 != 0 {
            return Ok(());
        }
        let (case, mut rng) = WindowCase::new("collect", seed, 20)?;
        let all: Vec<&WindowEvent> = case.events.iter().collect();
        let mut now = rng.between(0, case.end);
        store.write(&case.view, &case.rows(&all)?, us(now), None).await?;
        for moment in case.moments(&mut rng, now, 6) {
            now = moment;
            store.collect(&case.view, us(now)).await?;
            check_all(&store, &case, &all, now).await?;
        }
        if case.features.iter().all(|feature| feature.length.is_some()) {
            store.collect(&case.view, us(100_000)).await?;
            check_eq!(store.collect(&case.view, us(100_000)).await?, 0, "everything was removed before");
        }
        Ok(store.retire(std::slice::from_ref(&case.view)).await?)
    })
    .await
}

/// Checks each feature of each key against the oracle, which knows the events that were told.
async fn check_all(store: &Arc<dyn OnlineStore>, case: &WindowCase, told: &[&WindowEvent], at: i64) -> Outcome {
    let keys: Vec<Option<usize>> = (0..=WINDOW_KEYS).map(Some).collect();
    let places: Vec<usize> = (0..case.features.len()).collect();
    let found = answers(store, &case.view, &keys, &places, us(at)).await?;
    for (key, found) in found.into_iter().enumerate() {
        let of_key: Vec<&WindowEvent> = told.iter().copied().filter(|event| event.key == key).collect();
        for (place, found) in found.into_iter().enumerate() {
            let expected = windowed(&case.features, place, &case.columns, case.delay, &of_key, at)?;
            check_eq!(
                same_nan(found),
                same_nan(expected),
                "key {key}, feature {place} at {at}\n{:#?}\ndelay {}\n{of_key:#?}",
                case.features,
                case.delay
            );
        }
    }
    Ok(())
}

/// Results that are NaN may be any NaN.
fn same_nan(answer: OnlineAnswer) -> OnlineAnswer {
    let value = match answer.value {
        Value::Float64(bits) if f64::from_bits(bits).is_nan() => Value::float64(f64::NAN),
        other => other,
    };
    OnlineAnswer { value, ..answer }
}

/// All events in one write, then reads as time passes.
async fn in_one_go(store: &Arc<dyn OnlineStore>, case: &WindowCase, rng: &mut Rng) -> Outcome {
    let all: Vec<&WindowEvent> = case.events.iter().collect();
    let now = rng.between(-5, case.end);
    store.write(&case.view, &case.rows(&all)?, us(now), None).await?;
    for moment in case.moments(rng, now, 8) {
        check_all(store, case, &all, moment).await?;
    }
    Ok(())
}

/// One write an event, with the clock moving and reads in between.
async fn one_by_one(store: &Arc<dyn OnlineStore>, case: &WindowCase, rng: &mut Rng) -> Outcome {
    let mut told: Vec<&WindowEvent> = Vec::new();
    let mut now = rng.between(-5, case.end / 4);
    for event in &case.events {
        told.push(event);
        store.write(&case.view, &case.rows(&[event])?, us(now), None).await?;
        if rng.chance(20) {
            check_all(store, case, &told, now).await?;
        }
        if rng.chance(40) {
            now += rng.between(0, 1 + case.end / 6);
        }
        if rng.chance(10) {
            store.collect(&case.view, us(now)).await?;
        }
    }
    for moment in case.moments(rng, now, 5) {
        check_all(store, case, &told, moment).await?;
    }
    Ok(())
}

/// Half of the events in one write with a watermark, as a materialisation makes it, the rest a few at a time; the store is
/// opened again in between where it is durable.
async fn half_and_half(harness: Harness<'_>, place: &str, case: &WindowCase, rng: &mut Rng) -> Outcome {
    let mut store = harness.open(place).await?;
    let all: Vec<&WindowEvent> = case.events.iter().collect();
    let (first, rest) = all.split_at(all.len() / 2);
    let mut now = rng.between(-5, case.end / 2);
    let watermark = Watermark { event: Some(us(now)), created: None };
    store.write(&case.view, &case.rows(first)?, us(now), Some(watermark)).await?;
    check_eq!(store.watermark(&case.view).await?, watermark, "the watermark moves with the events");
    check_all(&store, case, first, now).await?;
    let mut told = first.to_vec();
    for some in rest.chunks(1 + rng.below(3)) {
        if store.capability().durable && rng.chance(20) {
            drop(store);
            store = harness.open(place).await?;
        }
        now += rng.between(0, 1 + case.end / 6);
        store.write(&case.view, &case.rows(some)?, us(now), None).await?;
        told.extend(some);
    }
    for moment in case.moments(rng, now, 4) {
        check_all(&store, case, &told, moment).await?;
    }
    Ok(store.retire(std::slice::from_ref(&case.view)).await?)
}

pub(super) async fn w2_property(harness: Harness<'_>) -> Outcome {
    const PLACE: &str = "w2_property";
    let store = harness.open(PLACE).await?;
    // A store in memory is fast, and loses what it has with the last handle.
    let is_durable = store.capability().durable;
    for_each_seed(PLACE, async |seed| {
        for case in 0..if is_durable { 1 } else { 3 } {
            let seed = 3 * seed + case;
            // A few have more events than a leaf has room for.
            let size = if seed % 500 == 499 { 600 } else { 4 + (seed / 40).min(60) as usize };
            let (case, mut rng) = WindowCase::new("go", seed, size)?;
            in_one_go(&store, &case, &mut rng).await?;
            store.retire(std::slice::from_ref(&case.view)).await?;
            one_by_one(&store, &case, &mut rng).await?;
            store.retire(std::slice::from_ref(&case.view)).await?;
            half_and_half(harness, PLACE, &case, &mut rng).await?;
        }
        Ok(())
    })
    .await
}
