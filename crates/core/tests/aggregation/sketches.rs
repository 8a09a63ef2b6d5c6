//! Sketches and decayed values: order-free to the bit, and within the error that they state.

use lodestore_core::aggregation::{Aggregate, Outcome as Finished, OwnedValue};
use lodestore_core::types::FeatureType;
use lodestore_testkit::generate::Rng;
use lodestore_testkit::oracle::{AggregateEvent, Value, decayed};
use lodestore_testkit::{Failed, Outcome, check, check_eq};

use crate::cases::{Columns, events, family, the_state};

/// Returns what an aggregate of values makes, put together in two random ways.
fn finish(rng: &mut Rng, aggregate: &Aggregate, values: Vec<Value>) -> Result<Finished, Failed> {
    let ty = if matches!(values.first(), Some(Value::Int64(_))) { FeatureType::Int64 } else { FeatureType::Float64 };
    let event = |value| AggregateEvent { time: 0, created: None, value, by: Value::Null };
    let events: Vec<AggregateEvent> = values.into_iter().map(event).collect();
    let state = the_state(rng, aggregate, &Columns::new(&events, &ty, &FeatureType::Bool, &[])?)?;
    Ok(aggregate.finish(&state, 0))
}

#[test]
fn w7_few_distinct_values_are_counted_within_the_error() -> Outcome {
    let aggregate = Aggregate::new("approx_count_distinct".parse()?, &[FeatureType::Int64])?;
    family("w7_few_distinct_values_are_counted_within_the_error", |rng, seed| {
        let distinct = rng.below(1 + (seed as usize).min(60));
        let from = rng.bits().cast_signed() >> 8;
        let mut values: Vec<Value> = (0..distinct).map(|i| Value::Int64(from + i as i64)).collect();
        values.extend((0..distinct).map(|_| Value::Int64(from + rng.below(distinct) as i64)));
        let found = finish(rng, &aggregate, values)?;
        let Finished::Value(OwnedValue::Int64(found)) = found else { return Err(format!("{found:?}").into()) };
        // Two values meet in one of 4,096 registers now and then.
        check!(found.abs_diff(distinct as i64) <= 3, "{found} of {distinct}");
        Ok(())
    })
}

#[test]
fn w7_many_distinct_values_are_counted_within_the_error() -> Outcome {
    let aggregate = Aggregate::new("approx_count_distinct".parse()?, &[FeatureType::Int64])?;
    let (mut squares, mut cases) = (0.0, 0.0);
    for (seed, distinct) in (0..60).zip([900, 1_100, 3_000, 10_000, 12_000, 60_000].into_iter().cycle()) {
        let rng = &mut Rng::new(seed);
        let from = rng.bits().cast_signed() >> 8;
        let values = (0..distinct).map(|i| Value::Int64(from + i)).collect();
        let found = finish(rng, &aggregate, values)?;
        let Finished::Value(OwnedValue::Int64(found)) = found else { return Err(format!("{found:?}").into()) };
        let error = (found - distinct) as f64 / distinct as f64;
        check!(error.abs() < 5.0 * 0.01625, "{found} of {distinct}");
        squares += error * error;
        cases += 1.0;
    }
    let deviation: f64 = f64::sqrt(squares / cases);
    check!((0.005..0.02).contains(&deviation), "a standard error of {deviation}");
    Ok(())
}

#[test]
fn w7_percentiles_are_within_the_error() -> Outcome {
    family("w7_percentiles_are_within_the_error", |rng, seed| {
        let fractions = [0.0, 0.1, 0.5, 0.9, 0.99, 1.0];
        let text = "approx_percentile(0, 0.1, 0.5, 0.9, 0.99, 1)";
        let aggregate = Aggregate::new(text.parse()?, &[FeatureType::Float64])?;
        let mut values: Vec<f64> = (0..1 + rng.below(1 + (seed as usize).min(200)))
            .map(|_| match rng.below(5) {
                0 => rng.between(-300, 300) as f64,
                1 => f64::from_bits(rng.bits() & !(0x7ff << 52) | (1 + rng.below(2_046) as u64) << 52),
                2 => *rng.pick(&[0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 5e-324]),
                _ => rng.between(0, 1_000_000) as f64 / 1_000.0,
            })
            .collect();
        let found = finish(rng, &aggregate, values.iter().copied().map(Value::float64).collect())?;
        let Finished::Value(OwnedValue::Items(found)) = found else { return Err(format!("{found:?}").into()) };
        values.sort_by(f64::total_cmp);
        for (fraction, found) in fractions.iter().zip(&found) {
            let Some(OwnedValue::Float64(found)) = *found else { return Err("no value".into()) };
            let rank = ((fraction * values.len() as f64).ceil() as usize).max(1);
            let exact = values[rank - 1];
            let near = found == exact || (exact - found).abs() <= exact.abs() / 128.0 + 2f64.powi(-1029);
            check!(near && found.abs() <= exact.abs(), "{found} for {exact}, at {fraction} of {values:?}");
            let small = exact.fract() == 0.0 && exact.abs() <= 256.0;
            check!(!small || found == exact, "{found} for the small integer {exact}");
        }
        Ok(())
    })
}

#[test]
fn w4_a_percentile_with_nan_is_nan_and_of_nothing_null() -> Outcome {
    let aggregate = Aggregate::new("approx_percentile(0.5)".parse()?, &[FeatureType::Float64])?;
    let rng = &mut Rng::new(1);
    let nan = finish(rng, &aggregate, vec![Value::float64(1.0), Value::float64(f64::NAN)])?;
    check_eq!(nan, Finished::Value(OwnedValue::Float64(f64::NAN)), "with NaN");
    check_eq!(finish(rng, &aggregate, vec![Value::Null])?, Finished::Null, "of nothing");
    Ok(())
}

#[test]
fn decayed_values_equal_their_twins() -> Outcome {
    family("decayed_values_equal_their_twins", |rng, seed| {
        let function = *rng.pick(&["decayed_sum", "decayed_mean"]);
        let half_life = *rng.pick(&[1, 3, 7, 1_000, 86_400_000_000]);
        let aggregate = Aggregate::new(format!("{function}({half_life}us)").parse()?, &[FeatureType::Float64])?;
        let mut events = events(rng, 1 + (seed as usize).min(16), &FeatureType::Float64, &FeatureType::Bool);
        // Sometimes far apart: what is too old must go in any order.
        let spread = *rng.pick(&[1, half_life, 500 * half_life, 1_000 * half_life]);
        events.iter_mut().for_each(|event| event.time = event.time.saturating_mul(spread) + rng.between(-3, 3));
        let at = events.iter().map(|event| event.time).max().unwrap_or(0) + rng.between(0, 9) * half_life / 2;
        let state =
            the_state(rng, &aggregate, &Columns::new(&events, &FeatureType::Float64, &FeatureType::Bool, &[])?)?;
        let float = |event: &AggregateEvent| match event.value {
            Value::Float64(bits) => Some((event.time, f64::from_bits(bits))),
            _ => None,
        };
        let present: Vec<(i64, f64)> = events.iter().filter_map(float).collect();
        let expected = decayed(function, half_life, at, &present).map(OwnedValue::Float64);
        let found = match aggregate.finish(&state, at) {
            Finished::Value(value) => Some(value),
            _ => None,
        };
        check_eq!(found, expected, "{function} by {half_life} at {at} of {present:?}");
        Ok(())
    })
}

/// The twin shares the cells: this is the plain formula.
#[test]
fn decayed_values_are_what_the_formula_says() -> Outcome {
    let hour = 3_600_000_000_i64;
    let aggregate = Aggregate::new("decayed_sum(1h)".parse()?, &[FeatureType::Float64])?;
    let mean = Aggregate::new("decayed_mean(1h)".parse()?, &[FeatureType::Float64])?;
    let rng = &mut Rng::new(7);
    for _ in 0..200 {
        let rows: Vec<(i64, f64)> =
            (0..1 + rng.below(9)).map(|_| (rng.between(-9 * hour, 9 * hour), rng.between(1, 99) as f64)).collect();
        let at = 9 * hour + rng.between(0, 3 * hour);
        let event = |&(time, value): &(i64, f64)| AggregateEvent {
            time,
            created: None,
            value: Value::float64(value),
            by: Value::Null,
        };
        let events: Vec<AggregateEvent> = rows.iter().map(event).collect();
        let columns = Columns::new(&events, &FeatureType::Float64, &FeatureType::Bool, &[])?;
        let weight = |time: i64| 2f64.powf(-((at - time) as f64) / hour as f64);
        let (sum, weights) = rows
            .iter()
            .fold((0.0, 0.0), |(sum, weights), &(time, value)| (sum + value * weight(time), weights + weight(time)));
        for (aggregate, expected) in [(&aggregate, sum), (&mean, sum / weights)] {
            let found = aggregate.finish(&the_state(rng, aggregate, &columns)?, at);
            let Finished::Value(OwnedValue::Float64(found)) = found else { return Err(format!("{found:?}").into()) };
            check!((found / expected - 1.0).abs() < 1e-12, "{found}, not {expected}");
        }
    }
    Ok(())
}
