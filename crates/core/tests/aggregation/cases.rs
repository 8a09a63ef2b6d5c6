//! Random events, and ways to put them into one state.

use arrow::array::ArrayRef;
use lodestore_core::aggregation::{Aggregate, Event, State};
use lodestore_core::types::{FeatureType, Value as CoreValue};
use lodestore_testkit::generate::{Rng, value};
use lodestore_testkit::oracle::{AggregateEvent, Value, build};
use lodestore_testkit::{Failed, Outcome, check};

/// How many cases a seed runs: with 2,000 seeds more than 5,000 a family.
pub(crate) const CASES: u64 = 3;

/// Returns random events of up to `size`: times collide, and values do.
pub(crate) fn events(rng: &mut Rng, size: usize, ty: &FeatureType, by: &FeatureType) -> Vec<AggregateEvent> {
    let kind = rng.below(4);
    let length = rng.below(size + 1);
    (0..length)
        .map(|_| AggregateEvent {
            time: rng.between(-4, 4),
            created: rng.chance(50).then(|| rng.between(0, 2)),
            value: if rng.chance(10) { Value::Null } else { number(rng, ty, kind) },
            by: value(rng, by),
        })
        .collect()
}

/// Returns a value; `kind` says what sort of numbers a case has.
fn number(rng: &mut Rng, ty: &FeatureType, kind: usize) -> Value {
    match (ty, kind) {
        (FeatureType::Float64, 0) => {
            let extremes = [1e300, -1e300, 1e-300, 5e-324, f64::MAX, f64::MIN, 1.0, -1.0, 0.1, -0.0, 2f64.powi(53)];
            Value::float64(*rng.pick(&extremes))
        }
        (FeatureType::Float64, 1) => Value::float64(rng.between(-10_000, 10_000) as f64 / 100.0),
        (FeatureType::Float64, 2) => {
            let any = f64::from_bits(rng.bits());
            Value::float64(if any.is_finite() { any } else { 1.5 })
        }
        (FeatureType::Float32, 1) => Value::float32(rng.between(-100, 100) as f32 / 8.0),
        (FeatureType::Int64, 1) => Value::Int64(rng.between(-1_000, 1_000)),
        (FeatureType::Int64, 2) => Value::Int64(rng.bits().cast_signed()),
        _ => loop {
            let value = value(rng, ty);
            if !value.is_null() {
                break value;
            }
        },
    }
}

/// Events as columns, as they reach an aggregate.
pub(crate) struct Columns {
    events: Vec<AggregateEvent>,
    values: ArrayRef,
    by: ArrayRef,
    groups: ArrayRef,
}

impl Columns {
    pub(crate) fn new(
        events: &[AggregateEvent],
        ty: &FeatureType,
        by: &FeatureType,
        groups: &[Value],
    ) -> Result<Self, Failed> {
        let of = |value: fn(&AggregateEvent) -> Value| events.iter().map(value).collect::<Vec<_>>();
        Ok(Self {
            values: build(ty, &of(|event| event.value.clone()))?,
            by: build(by, &of(|event| event.by.clone()))?,
            groups: build(&FeatureType::String, groups)?,
            events: events.to_vec(),
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn event(&self, row: usize) -> Result<Event<'_>, Failed> {
        let AggregateEvent { time, created, .. } = self.events[row];
        let group = if row < self.groups.len() { CoreValue::of(&self.groups, row)? } else { None };
        Ok(Event { time, created, value: CoreValue::of(&self.values, row)?, by: CoreValue::of(&self.by, row)?, group })
    }
}

/// Returns the state of some rows: in a random order, in parts that are merged, written and read, and with
/// others added and taken off again where that is possible.
pub(crate) fn state_of(
    rng: &mut Rng,
    aggregate: &Aggregate,
    columns: &Columns,
    rows: &[usize],
) -> Result<State, Failed> {
    let mut rows = rows.to_vec();
    rng.shuffle(&mut rows);
    let mut parts = vec![aggregate.empty(); 1 + rng.below(4)];
    for &row in &rows {
        let part = rng.below(parts.len());
        aggregate.update(&mut parts[part], &columns.event(row)?)?;
        if rng.chance(10) {
            parts[part] = stored(aggregate, &parts[part])?;
        }
    }
    if aggregate.is_invertible() && columns.rows() > 0 {
        let others: Vec<usize> = (0..rng.below(4)).map(|_| rng.below(columns.rows())).collect();
        let mut removed = aggregate.empty();
        for &row in &others {
            aggregate.update(&mut removed, &columns.event(row)?)?;
        }
        let part = rng.below(parts.len());
        for &row in &others {
            aggregate.update(&mut parts[part], &columns.event(row)?)?;
        }
        let last = parts.len() - 1;
        if rng.chance(50) {
            aggregate.subtract(&mut parts[last], &removed)?;
        } else {
            for &row in &others {
                aggregate.remove(&mut parts[last], &columns.event(row)?)?;
            }
        }
    }
    rng.shuffle(&mut parts);
    let mut all = aggregate.empty();
    for part in &parts {
        aggregate.merge(&mut all, part)?;
    }
    Ok(if rng.chance(30) { stored(aggregate, &all)? } else { all })
}

/// Writes a state and reads it again.
pub(crate) fn stored(aggregate: &Aggregate, state: &State) -> Result<State, Failed> {
    let bytes = bytes(aggregate, state);
    let read = aggregate.decode(&bytes)?;
    check!(read == *state, "another state is read than was written: {read:?}, not {state:?}");
    Ok(read)
}

pub(crate) fn bytes(aggregate: &Aggregate, state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    aggregate.encode(state, &mut bytes);
    bytes
}

/// Fails unless the same rows give the same state and bytes twice; returns the state.
pub(crate) fn the_state(rng: &mut Rng, aggregate: &Aggregate, columns: &Columns) -> Result<State, Failed> {
    let rows: Vec<usize> = (0..columns.rows()).collect();
    let (one, other) = (state_of(rng, aggregate, columns, &rows)?, state_of(rng, aggregate, columns, &rows)?);
    check!(one == other, "two ways lead to different states:\n{one:?}\n{other:?}");
    check!(
        bytes(aggregate, &one) == bytes(aggregate, &other),
        "equal states have different bytes:\n{one:?}\n{other:?}"
    );
    Ok(one)
}

/// Runs a family of cases.
pub(crate) fn family(name: &str, case: impl Fn(&mut Rng, u64) -> Outcome) -> Outcome {
    futures::executor::block_on(lodestore_testkit::generate::for_each_seed(name, async |seed| {
        (0..CASES).try_for_each(|i| case(&mut Rng::new(seed * CASES + i), seed))
    }))
}
