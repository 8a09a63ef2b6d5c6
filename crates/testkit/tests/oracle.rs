//! The testkit's own parts: the oracle answers the golden cases, text and JSON are read as they are
//! written, and the random cases reach what they are for.

use std::cmp::Ordering;

use lodestore_testkit::fixture::{parse_table, render_table};
use lodestore_testkit::generate::{Focus, GeneratedRetrieval, History, Operation, Rng, every_type, value};
use lodestore_testkit::golden::{GoldenCase, case_files};
use lodestore_testkit::oracle::{Value, build, from_json, historical, read, to_json};
use lodestore_testkit::{Failed, Outcome, check, check_eq};

const FAMILIES: [Focus; 5] = [Focus::Time, Focus::Join, Focus::AsKnown, Focus::Types, Focus::Defaults];

#[test]
fn the_oracle_answers_the_golden_cases() -> Outcome {
    let files = case_files()?;
    check!(files.len() >= 15, "only {} cases were found", files.len());
    for path in files {
        let case = GoldenCase::parse(&std::fs::read_to_string(&path)?)?;
        case.check_oracle().map_err(|e| format!("{}: {}", path.display(), e.message().unwrap_or_default()))?;
    }
    Ok(())
}

#[test]
fn values_go_through_arrow_and_come_back() -> Outcome {
    let mut rng = Rng::new(3);
    for ty in every_type() {
        let values: Vec<Value> = (0..50).map(|_| value(&mut rng, &ty)).collect();
        check_eq!(read(&build(&ty, &values)?, &ty)?, values, "type {ty}");
    }
    Ok(())
}

#[test]
fn values_go_through_json_and_come_back() -> Outcome {
    let mut rng = Rng::new(4);
    for ty in every_type() {
        for _ in 0..50 {
            let value = value(&mut rng, &ty);
            let json = to_json(&value, &ty);
            if !json.to_string().contains("nan:") {
                check_eq!(from_json(&json, &ty)?, value, "type {ty} as {json}");
            }
        }
    }
    Ok(())
}

#[test]
fn values_are_in_a_total_order_with_null_lowest_and_nan_highest() -> Outcome {
    let nan = f64::from_bits(f64::NAN.to_bits() | 1 << 63);
    let floats = [f64::NEG_INFINITY, -1.0, -0.0, 0.0, 1.0, f64::INFINITY, f64::NAN, nan].map(Value::float64);
    let ascending: Vec<Value> = std::iter::once(Value::Null).chain(floats).collect();
    for (i, a) in ascending.iter().enumerate() {
        for (j, b) in ascending.iter().enumerate() {
            check_eq!(a.order(b), i.cmp(&j), "{a:?} and {b:?}");
        }
    }
    let list = |items: &[i64]| Value::List(items.iter().copied().map(Value::Int64).collect());
    check_eq!(list(&[1]).order(&list(&[1, 0])), Ordering::Less, "the shorter of two lists that begin alike");
    check_eq!(list(&[2]).order(&list(&[1, 9])), Ordering::Greater, "the first item decides");
    Ok(())
}

#[test]
fn text_tables_are_read_as_they_are_written() -> Outcome {
    let text = "\
k:int32  at:timestamp[ns]                label:dictionary  xs:list<int64>  note:string  big:uint64
-1       2024-01-01T00:00:00.000000001Z  a                 []              \"two words\"  7
null     null                            null              null            null         null
0        1969-12-31T23:59:59.999999999Z  \"\"                [1,null]        \"null\"       0
";
    check_eq!(render_table(&parse_table(text)?)?, text, "the same text");
    for wrong in ["k", "k:int", "k:int64\n1 2", "k:int64\nx", "k:list<int64>\n[1"] {
        check!(parse_table(wrong).is_err(), "{wrong:?} is no table");
    }
    Ok(())
}

#[test]
fn a_seed_gives_the_same_case_each_time() -> Outcome {
    for focus in FAMILIES {
        let case = |seed| GeneratedRetrieval::from_seed(focus, seed).map(|case| format!("{:?}", case.retrieval));
        check_eq!(case(700)?, case(700)?, "seed 700 of {focus:?}");
        check!(case(700)? != case(701)?, "two seeds give one case");
    }
    Ok(())
}

/// A family whose questions find nothing, or whose winners are never contested, would test nothing.
#[test]
fn random_cases_find_rows_and_miss_some() -> Outcome {
    for focus in FAMILIES {
        let (mut found, mut all, mut empty_frames, mut empty_tables) = (0, 0, 0, 0);
        for seed in 0..500 {
            let case = GeneratedRetrieval::from_seed(focus, seed)?.retrieval;
            empty_frames += usize::from(case.questions.num_rows() == 0);
            empty_tables += usize::from(case.tables.iter().any(|(_, rows)| rows.num_rows() == 0));
            let columns = historical(&case.plan()?, &case.tables, &case.questions)?;
            found += columns.iter().flatten().filter(|value| !value.is_null()).count();
            all += columns.iter().flatten().count();
        }
        let percent = 100 * found / all;
        check!((15..=85).contains(&percent), "{percent} of 100 values of {focus:?} are not null");
        check!(empty_frames > 5 && empty_tables > 5, "{empty_frames} empty frames, {empty_tables} empty tables");
    }
    Ok(())
}

#[test]
fn random_histories_reach_every_status() -> Outcome {
    let mut statuses = std::collections::HashMap::new();
    let mut deletes = 0;
    for seed in 0..500 {
        let history = History::from_seed("reach", 50, seed)?;
        deletes += history.operations.iter().filter(|op| matches!(op, Operation::Delete(..))).count();
        for key in History::keys_to_read().into_iter().flatten() {
            for (&moment, &feature) in history.moments.iter().zip(history.features.iter().cycle()) {
                let answer = history.expected.answer(&history.view.version, key, feature, moment);
                *statuses.entry(answer.status).or_insert(0) += 1;
            }
        }
    }
    check_eq!(statuses.len(), 4, "statuses: {statuses:?}");
    check!(statuses.values().all(|&count| count > 100) && deletes > 100, "{statuses:?}, {deletes} deletes");
    Ok(())
}

#[test]
fn a_golden_case_that_is_wrong_says_where() -> Outcome {
    let text = "source s time=at\n  k:int64 at:timestamp y:int64\nview v source=s keys=k features=y\n";
    for (case, part) in [
        (text.to_owned(), "----"),
        (format!("{text}\n----\n"), "entities"),
        (format!("{text}nonsense\n----\n"), "unknown statement 'nonsense'"),
        (format!("{text}view w source=s feature=y\n----\n"), "no option 'feature=y'"),
        (format!("{text}view w source=s features=z\n----\n"), "no column 'z'"),
    ] {
        let failed = GoldenCase::parse(&case).map(|_| ()).err().unwrap_or_else(|| Failed::from("parsed"));
        let message = failed.message().unwrap_or_default();
        check!(message.contains(part), "{message:?} does not contain {part:?}");
    }
    Ok(())
}
