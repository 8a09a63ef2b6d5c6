//! Aggregates against their naive twins: any order, any parts, written and read in between, to the bit.

mod cases;
mod sketches;
mod stored;

use cases::{Columns, events, family, the_state};
use lodestore_core::aggregation::{Aggregate, Event, Outcome as Finished};
use lodestore_core::types::FeatureType;
use lodestore_testkit::generate::{Rng, value};
use lodestore_testkit::oracle::{self, AggregateEvent, Expected, Value, read};
use lodestore_testkit::{Failed, Outcome, check, check_eq};

const NUMBERS: [&str; 6] = ["int32", "int64", "float32", "float64", "decimal(12, 2)", "decimal(38, 0)"];
const PLAIN: [&str; 8] = ["bool", "int64", "float64", "string", "bytes", "timestamp", "date", "uuid"];

fn expected_text(expected: &Expected) -> String {
    format!("{expected:?}")
}

/// Fails unless an outcome is what the twin says, to the bit.
fn check_outcome(aggregate: &Aggregate, found: &Finished, expected: &Expected) -> Outcome {
    let found = match found {
        Finished::Overflow => Expected::Overflow,
        Finished::TooMany(_) => Expected::TooMany,
        value => Expected::Value(read(&aggregate.column(std::slice::from_ref(value))?, aggregate.output())?[0].clone()),
    };
    check_eq!(found, *expected, "{} of {:?}", aggregate.function(), expected_text(expected));
    Ok(())
}

/// Runs one function of one type on random events.
fn case(rng: &mut Rng, seed: u64, function: &str, ty: &str, by: &str) -> Outcome {
    let (ty, by): (FeatureType, FeatureType) = (ty.parse()?, by.parse()?);
    let n = 1 + rng.below(4);
    let limit = 1 + rng.below(8);
    let text = match function {
        "first_n" | "last_n" | "last_n_distinct" => format!("{function}({n})"),
        "count_distinct" | "histogram" => format!("{function}({limit})"),
        "top_k" => format!("top_k({n}, {limit})"),
        "count_rows" => "count".to_owned(),
        _ => function.to_owned(),
    };
    let inputs = match function {
        "count_rows" => vec![],
        "min_by" | "max_by" => vec![ty.clone(), by.clone()],
        _ => vec![ty.clone()],
    };
    let aggregate = Aggregate::new(text.parse()?, &inputs)?;
    let events = events(rng, 1 + (seed as usize).min(24), &ty, &by);
    let state = the_state(rng, &aggregate, &Columns::new(&events, &ty, &by, &[])?)?;
    let expected = oracle::aggregate(function, n, limit, &ty, &events);
    check_outcome(&aggregate, &aggregate.finish(&state, 0), &expected)
        .map_err(|failed| format!("{}\n{text} of {ty}: {events:?}", failed.message().unwrap_or_default()).into())
}

#[test]
fn w2_sums_and_means_equal_their_twins() -> Outcome {
    family("w2_sums_and_means_equal_their_twins", |rng, seed| {
        let (function, ty) = (*rng.pick(&["sum", "mean"]), *rng.pick(&NUMBERS));
        case(rng, seed, function, ty, "int64")
    })
}

#[test]
fn w2_moments_equal_their_twins() -> Outcome {
    family("w2_moments_equal_their_twins", |rng, seed| {
        let functions = ["var_pop", "var_samp", "stddev_pop", "stddev_samp", "skew", "kurtosis"];
        let (function, ty) = (*rng.pick(&functions), *rng.pick(&NUMBERS));
        case(rng, seed.min(10), function, ty, "int64")
    })
}

/// Cases that all end in null, NaN or zero would test nothing.
#[test]
fn random_cases_end_in_numbers_of_all_bits() -> Outcome {
    let (mut numbers, mut all) = (0, 0);
    for seed in 0..600 {
        let rng = &mut Rng::new(seed);
        let ty = FeatureType::Float64;
        let events = events(rng, 12, &ty, &ty);
        for function in ["sum", "mean", "stddev_samp", "kurtosis"] {
            if let Expected::Value(Value::Float64(bits)) = oracle::aggregate(function, 0, 0, &ty, &events) {
                let value = f64::from_bits(bits);
                numbers += usize::from(value.is_finite() && value != 0.0 && bits.trailing_zeros() < 8);
            }
            all += 1;
        }
    }
    check!(3 * numbers > all, "only {numbers} of {all} results have all bits");
    Ok(())
}

#[test]
fn w3_w4_counts_extremes_and_truths_equal_their_twins() -> Outcome {
    family("w3_w4_counts_extremes_and_truths_equal_their_twins", |rng, seed| match rng.below(6) {
        0 => case(rng, seed, "count_rows", "float64", "int64"),
        1 => case(rng, seed, "count", "list<int64>", "int64"),
        2 => case(rng, seed, "any", "bool", "int64"),
        3 => case(rng, seed, "all", "bool", "int64"),
        _ => {
            let ty = *rng.pick(&[&PLAIN[..], &NUMBERS[..]].concat());
            let function = *rng.pick(&["min", "max"]);
            case(rng, seed, function, ty, "int64")
        }
    })
}

#[test]
fn w6_places_equal_their_twins() -> Outcome {
    family("w6_places_equal_their_twins", |rng, seed| {
        let nested =
            ["list<int64>", "vector<float32, 3>", "struct<a: int32, b: list<string>>", "map<string, bytes>", "json"];
        let any = [&PLAIN[..], &NUMBERS[..], &nested[..]].concat();
        let functions = ["first", "last", "first_n", "last_n", "min_by", "max_by", "last_n_distinct"];
        let function = *rng.pick(&functions);
        let types = if function == "last_n_distinct" { &PLAIN[..] } else { &any[..] };
        let (ty, by) = (*rng.pick(types), *rng.pick(&PLAIN));
        case(rng, seed, function, ty, by)
    })
}

#[test]
fn distinct_values_and_their_counts_equal_their_twins() -> Outcome {
    family("distinct_values_and_their_counts_equal_their_twins", |rng, seed| {
        let (function, ty) = (*rng.pick(&["count_distinct", "top_k", "histogram"]), *rng.pick(&PLAIN));
        case(rng, seed, function, ty, "int64")
    })
}

#[test]
fn vectors_are_aggregated_element_by_element() -> Outcome {
    family("vectors_are_aggregated_element_by_element", |rng, _| {
        let function = *rng.pick(&["sum", "mean", "min", "max"]);
        let (item, dim) = (*rng.pick(&["float32", "float64"]), 1 + rng.below(3));
        let (ty, item): (FeatureType, FeatureType) = (format!("vector<{item}, {dim}>").parse()?, item.parse()?);
        let aggregate = Aggregate::new(function.parse()?, std::slice::from_ref(&ty))?;
        let mut events = events(rng, 6, &item, &FeatureType::Bool);
        let rows: Vec<Option<Vec<Value>>> =
            (0..events.len()).map(|_| rng.chance(80).then(|| (0..dim).map(|_| value(rng, &item)).collect())).collect();
        for (event, row) in events.iter_mut().zip(&rows) {
            event.value = row.clone().map_or(Value::Null, Value::List);
        }
        let state = the_state(rng, &aggregate, &Columns::new(&events, &ty, &FeatureType::Bool, &[])?)?;
        let element = |i: usize| {
            let of_element = |(event, row): (&AggregateEvent, &Option<Vec<Value>>)| AggregateEvent {
                value: row.as_ref().map_or(Value::Null, |row| row[i].clone()),
                ..event.clone()
            };
            let elements: Vec<AggregateEvent> = events.iter().zip(&rows).map(of_element).collect();
            match oracle::aggregate(function, 0, 0, &item, &elements) {
                Expected::Value(value) => value,
                other => unreachable!("{other:?}"),
            }
        };
        let elements: Vec<Value> = (0..dim).map(element).collect();
        let none = elements.iter().all(Value::is_null);
        let expected = Expected::Value(if none { Value::Null } else { Value::List(elements) });
        check_outcome(&aggregate, &aggregate.finish(&state, 0), &expected)
    })
}

#[test]
fn groups_are_aggregated_each_by_itself() -> Outcome {
    family("groups_are_aggregated_each_by_itself", |rng, seed| {
        let (function, ty) =
            *rng.pick(&[("sum", "int64"), ("mean", "float64"), ("count", "string"), ("last", "string")]);
        let ty: FeatureType = ty.parse()?;
        let aggregate =
            Aggregate::new(function.parse()?, std::slice::from_ref(&ty))?.grouped_by(&FeatureType::String)?;
        let events = events(rng, 1 + (seed as usize).min(20), &ty, &FeatureType::Bool);
        let groups: Vec<Value> = events
            .iter()
            .map(|_| if rng.chance(15) { Value::Null } else { Value::text(rng.pick(&["", "a", "b"])) })
            .collect();
        let state = the_state(rng, &aggregate, &Columns::new(&events, &ty, &FeatureType::Bool, &groups)?)?;
        let mut entries = Vec::new();
        for group in ["", "a", "b"].map(Value::text) {
            let of_group = |(event, own): (&AggregateEvent, &Value)| (*own == group).then(|| event.clone());
            let of_group: Vec<AggregateEvent> = events.iter().zip(&groups).filter_map(of_group).collect();
            if of_group.iter().all(|event| event.value.is_null()) {
                continue;
            }
            match oracle::aggregate(function, 0, 0, &ty, &of_group) {
                Expected::Value(value) => entries.push((group, value)),
                refused => return check_outcome(&aggregate, &aggregate.finish(&state, 0), &refused),
            }
        }
        let expected = Expected::Value(if entries.is_empty() { Value::Null } else { Value::Map(entries) });
        check_outcome(&aggregate, &aggregate.finish(&state, 0), &expected)
    })
}

#[test]
fn functions_refuse_columns_that_they_can_t_take() -> Outcome {
    let message = |function: &str, types: &[&str]| -> Result<String, Failed> {
        let types = types.iter().map(|ty| ty.parse()).collect::<Result<Vec<FeatureType>, _>>()?;
        Ok(match Aggregate::new(function.parse()?, &types) {
            Ok(aggregate) => aggregate.output().to_string(),
            Err(error) => error.message().to_owned(),
        })
    };
    check_eq!(message("count", &[])?, "int64", "count");
    check_eq!(message("sum", &["int32"])?, "int64", "sum of int32");
    check_eq!(message("sum", &["float32"])?, "float64", "sum of float32");
    check_eq!(message("sum", &["decimal(5, 2)"])?, "decimal(38, 2)", "sum of decimals");
    check_eq!(message("max", &["date"])?, "date", "max");
    check_eq!(message("last_n(2)", &["string"])?, "list<string>", "last_n");
    check_eq!(message("histogram", &["bool"])?, "map<bool, int64>", "histogram");
    check_eq!(message("mean", &["vector<float32, 4>"])?, "vector<float64, 4>", "mean of vectors");
    check_eq!(message("approx_percentile(0.1, 0.2)", &["int64"])?, "list<float64>", "two percentiles");
    check_eq!(message("sum", &[])?, "'sum' takes 1 columns, not 0", "sum without a column");
    check_eq!(
        message("mean", &["string"])?,
        "'mean' of string can't be computed; expected a column of numbers or vectors",
        "mean of strings"
    );
    check_eq!(
        message("max_by", &["int64", "list<int64>"])?,
        "'max_by' by list<int64> can't be computed; expected a type with an order, such as a number, text or time",
        "max_by of a list"
    );
    let histogram = Aggregate::new("histogram".parse()?, &[FeatureType::Bool])?;
    check!(histogram.grouped_by(&FeatureType::String).is_err(), "a map for each group is no single value");
    Ok(())
}

#[test]
fn sums_that_do_not_fit_and_values_past_a_limit_are_errors_that_say_so() -> Outcome {
    let sum = Aggregate::new("sum".parse()?, &[FeatureType::Int64])?;
    let mut state = sum.empty();
    for _ in 0..2 {
        sum.update(&mut state, &Event::new(0, Some(lodestore_core::types::Value::Int64(i64::MAX))))?;
    }
    check_eq!(sum.finish(&state, 0), Finished::Overflow, "a sum past 64 bits");
    let error = sum.column(&[Finished::Null, Finished::Overflow]).err().map(|error| error.to_string());
    let expected = "a sum does not fit into int64; cast the column to a float to have it rounded (row: 1)";
    check_eq!(error.as_deref(), Some(expected), "its error");
    let distinct = Aggregate::new("count_distinct(2)".parse()?, &[FeatureType::Int64])?;
    let error = Finished::TooMany(2).value(&distinct).err().map(|error| error.to_string());
    let expected = "'count_distinct(2)' met more than 2 distinct values; raise its limit";
    check_eq!(error.as_deref(), Some(expected), "its error");
    let last = Aggregate::new("last".parse()?, &[FeatureType::Int64])?;
    let error = last.remove(&mut last.empty(), &Event::new(0, None)).err().map(|error| error.kind());
    check_eq!(error, Some(lodestore_core::ErrorKind::Unsupported), "the last value has no other behind it");
    Ok(())
}
