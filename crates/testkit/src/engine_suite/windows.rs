//! Aggregations over windows of events, against the oracle (rules W1 to W8).

use libtest_mimic::Failed;

use super::EngineHarness;
use crate::generate::{WindowedRetrieval, for_each_seed};
use crate::oracle::{Expected, Value, history_events, history_window, key_values, read};
use crate::{Outcome, check, check_eq};

/// How many cases a seed runs: with 2,000 seeds more than 5,000.
const CASES: u64 = 3;

/// Returns whether a value is above zero, NaN being above all numbers.
fn is_positive(value: &Value) -> bool {
    match value {
        Value::Float64(bits) => f64::from_bits(*bits) > 0.0 || f64::from_bits(*bits).is_nan(),
        Value::Int64(value) => *value > 0,
        _ => false,
    }
}

pub(super) async fn w_property(harness: &dyn EngineHarness) -> Outcome {
    for_each_seed("w_property", async |seed| {
        for case_of_seed in 0..CASES {
            case(harness, CASES * seed + case_of_seed).await?;
        }
        Ok(())
    })
    .await
}

async fn case(harness: &dyn EngineHarness, seed: u64) -> Outcome {
    let WindowedRetrieval { retrieval, conditions } = WindowedRetrieval::from_seed(seed)?;
    let plan = retrieval.plan()?;
    let [view] = plan.request.views.as_slice() else { return Err("a case asks one view".into()) };
    let version = &view.version;
    let events = history_events(version, &retrieval.tables)?;
    let rows = retrieval.questions.num_rows();
    let keys: Vec<_> = version.keys.iter().map(|key| (&retrieval.questions["user_id"], key.key_type)).collect();
    let keys = key_values(rows, &keys)?;
    let times = read(&retrieval.questions["event_timestamp"], &"timestamp".parse()?)?;
    let passes = |feature: usize, inputs: &[Value]| {
        let name = ["amount", "n"];
        conditions[feature].is_none_or(|input| {
            let place = version.inputs().iter().position(|column| column.name == name[input]);
            place.is_some_and(|place| is_positive(&inputs[place]))
        })
    };
    let expected = |feature: usize, row: usize| match times[row] {
        Value::Timestamp(at) => {
            let known = retrieval.options.as_known;
            history_window(version, feature, &events, keys[row].as_ref(), i128::from(at), known, &passes)
        }
        _ => Expected::Value(Value::Null),
    };
    let columns = &retrieval.request.columns;
    let expected: Vec<Vec<Expected>> =
        columns.iter().map(|column| (0..rows).map(|row| expected(column.feature, row)).collect()).collect();
    let engine = harness.engine(&retrieval.tables)?;
    let fails = expected.iter().flatten().any(|value| !matches!(value, Expected::Value(_)));
    let answer = match retrieval.ask(engine.as_ref(), 1 + seed as usize % 5).await {
        Ok(answer) => answer,
        Err(error) => {
            check!(fails, "it fails though every value fits: {}", error.message().unwrap_or_default());
            return Ok(());
        }
    };
    check!(!fails, "a value does not fit, and it does not fail");
    check_eq!(answer.num_rows(), rows, "P1: one row for each question");
    for (place, column) in columns.iter().enumerate() {
        let ty = &version.features[column.feature].feature_type;
        let found = read(answer.column(retrieval.questions.num_columns() + place), ty)?;
        for (row, (found, expected)) in found.iter().zip(&expected[place]).enumerate() {
            let Expected::Value(expected) = expected else { continue };
            check!(same(found, expected), "{}", describe(&retrieval, column.feature, row, found, expected)?);
        }
    }
    Ok(())
}

/// Returns whether values are equal to the bit; any NaN is NaN.
fn same(found: &Value, expected: &Value) -> bool {
    let nan = |value: &Value| matches!(value, Value::Float64(bits) if f64::from_bits(*bits).is_nan());
    found == expected || (nan(found) && nan(expected))
}

fn describe(
    retrieval: &crate::fixture::Retrieval,
    feature: usize,
    row: usize,
    found: &Value,
    expected: &Value,
) -> Result<String, Failed> {
    let version = &retrieval.request.views[0].version;
    let shown =
        |rows| arrow::util::pretty::pretty_format_batches(std::slice::from_ref(rows)).map(|text| text.to_string());
    Ok(format!(
        "{} in row {row}\n  expected: {expected:?}\n  found:    {found:?}\n{:?}\ndelay {:?}, {:?}\n{}\n{}",
        version.features[feature].name,
        version.aggregations()[feature],
        version.availability_delay(),
        retrieval.options,
        shown(&retrieval.tables[0].1)?,
        shown(&retrieval.questions)?
    ))
}
