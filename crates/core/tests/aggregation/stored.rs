//! Stored states: read in every later program, and never trusted.

use lodestore_core::aggregation::{Aggregate, Function, State};
use lodestore_core::types::FeatureType;
use lodestore_testkit::generate::Rng;
use lodestore_testkit::oracle::Value;
use lodestore_testkit::{Failed, Outcome, check, check_eq};

use crate::cases::{Columns, bytes, events, the_state};

/// One function of each kind with the type of its column.
const EACH: [(&str, &str); 22] = [
    ("count", "int64"),
    ("any", "bool"),
    ("sum", "int64"),
    ("sum", "float64"),
    ("mean", "decimal(12, 2)"),
    ("var_pop", "float64"),
    ("skew", "float64"),
    ("kurtosis", "int64"),
    ("min", "string"),
    ("max", "float64"),
    ("last", "struct<a: int32, b: list<string>>"),
    ("first_n(3)", "map<string, bytes>"),
    ("last_n_distinct(2)", "string"),
    ("max_by", "vector<float32, 3>"),
    ("count_distinct", "uuid"),
    ("top_k(2)", "bytes"),
    ("approx_count_distinct", "int64"),
    ("approx_percentile(0.5, 0.9)", "float64"),
    ("decayed_sum(3us)", "float64"),
    ("decayed_mean(3us)", "float64"),
    ("sum", "vector<float64, 3>"),
    ("min", "vector<float32, 3>"),
];

#[test]
fn damaged_bytes_are_refused_or_read_without_a_panic() -> Outcome {
    let mut refused = 0;
    for seed in 0..12_000_u64 {
        let rng = &mut Rng::new(seed);
        let (function, ty) = EACH[seed as usize % EACH.len()];
        let function: Function = function.parse()?;
        let (ty, by): (FeatureType, FeatureType) = (ty.parse()?, FeatureType::Float64);
        let inputs = if function.needs_by() { vec![ty.clone(), by.clone()] } else { vec![ty.clone()] };
        let mut aggregate = Aggregate::new(function, &inputs)?;
        let events = events(rng, 12, &ty, &by);
        let groups: Vec<Value> = events.iter().map(|_| Value::text(rng.pick(&["a", "b"]))).collect();
        if rng.chance(10)
            && let Ok(grouped) = aggregate.clone().grouped_by(&FeatureType::String)
        {
            aggregate = grouped;
        }
        let state = the_state(rng, &aggregate, &Columns::new(&events, &ty, &by, &groups)?)?;
        let mut damaged = bytes(&aggregate, &state);
        for _ in 0..1 + rng.below(3) {
            let place = rng.below(damaged.len());
            match rng.below(4) {
                0 => damaged.truncate(place.max(1)),
                1 => damaged.insert(place, rng.bits() as u8),
                2 => damaged[place] = rng.bits() as u8,
                _ => damaged[place] ^= 1 << rng.below(8),
            }
        }
        match aggregate.decode(&damaged) {
            Err(error) => {
                check_eq!(error.kind(), lodestore_core::ErrorKind::Corrupt, "{error}");
                refused += 1;
            }
            Ok(mut read) => {
                let _ = aggregate.finish(&read, i64::MAX);
                aggregate.merge(&mut read, &state)?;
                let _ = aggregate.finish(&read, 0);
                bytes(&aggregate, &read);
            }
        }
    }
    check!(refused > 2_000, "only {refused} damaged states were refused");
    Ok(())
}

/// Returns the state of a few events that are the same in every program.
fn example(number: usize) -> Result<(Aggregate, State), Failed> {
    let (function, ty) = EACH[number];
    let (ty, by): (FeatureType, FeatureType) = (ty.parse()?, FeatureType::Float64);
    let inputs = if function == "max_by" { vec![ty.clone(), by.clone()] } else { vec![ty.clone()] };
    let aggregate = Aggregate::new(function.parse()?, &inputs)?;
    let rng = &mut Rng::new(40 + number as u64);
    let events = events(rng, 30, &ty, &by);
    let state = the_state(rng, &aggregate, &Columns::new(&events, &ty, &by, &[])?)?;
    Ok((aggregate, state))
}

/// The file has a line for each function: its name, its column's type and the bytes of the state of its example.
#[test]
fn states_are_stored_as_ever() -> Outcome {
    let path = "test-data/aggregates-1.txt";
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut written = String::new();
    for (number, (function, ty)) in EACH.iter().enumerate() {
        let (aggregate, state) = example(number)?;
        written += &format!("{function} | {ty} | {}\n", hex(&bytes(&aggregate, &state)));
    }
    if std::env::var_os("LODESTORE_UPDATE").is_some() {
        std::fs::write(path, &written)?;
    }
    let expected = std::fs::read_to_string(path)?;
    check_eq!(written.lines().count(), expected.lines().count(), "as many states");
    for (number, (written, expected)) in written.lines().zip(expected.lines()).enumerate() {
        check_eq!(written, expected, "what is written");
        let (aggregate, state) = example(number)?;
        let digits = expected.rsplit(' ').next().unwrap_or_default();
        let byte = |place: usize| u8::from_str_radix(&digits[place..place + 2], 16);
        let bytes = (0..digits.len()).step_by(2).map(byte).collect::<Result<Vec<u8>, _>>()?;
        check_eq!(aggregate.decode(&bytes)?, state, "what is read");
    }
    Ok(())
}
