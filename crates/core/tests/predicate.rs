//! Conditions against the twin that decides them row by row.

use std::cell::Cell;

use lodestore_core::predicate::Predicate;
use lodestore_testkit::generate::{GeneratedPredicate, for_each_seed};
use lodestore_testkit::{Outcome, check, check_eq};

#[test]
fn a_condition_is_true_where_the_twin_says_so() -> Outcome {
    let seen = Cell::new([0, 0, 0]);
    futures::executor::block_on(for_each_seed("a_condition_is_true_where_the_twin_says_so", async |seed| {
        let case = GeneratedPredicate::new(seed)?;
        let shown = || format!("{}\n{:?}\n{:#?}", case.text, case.condition, case.rows);
        let wrong = |error| format!("{error}\n{}", shown());
        let predicate = Predicate::parse(&case.text).map_err(wrong)?;
        let found =
            predicate.bind(case.batch.schema_ref()).and_then(|bound| bound.evaluate(&case.batch)).map_err(wrong)?;
        let expected: Vec<_> = case.rows.iter().map(|row| case.condition.decide(row, &case.scales)).collect();
        let count = |wanted| expected.iter().filter(|answer| **answer == wanted).count();
        let [yes, no, unknown] = seen.get();
        seen.set([yes + count(Some(true)), no + count(Some(false)), unknown + count(None)]);
        let expected: Vec<_> = expected.into_iter().map(|answer| Some(answer == Some(true))).collect();
        check_eq!(found.iter().collect::<Vec<_>>(), expected, "{}", shown());
        Ok(())
    }))?;
    let seeded = std::env::var("LODESTORE_TEST_SEED").is_ok();
    check!(seeded || seen.get().iter().all(|n| *n > 500), "{:?} true, false and unknown: too few of one", seen.get());
    Ok(())
}
