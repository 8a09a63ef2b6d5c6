//! Conditions against the twin that decides them row by row.

use std::cell::Cell;

use lodestore_core::predicate::Predicate;
use lodestore_testkit::generate::{GeneratedPredicate, Rng, for_each_seed};
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

#[test]
fn a_damaged_condition_is_read_or_refused() -> Outcome {
    let refused = Cell::new(0);
    futures::executor::block_on(for_each_seed("a_damaged_condition_is_read_or_refused", async |seed| {
        let case = GeneratedPredicate::new(seed)?;
        let mut rng = Rng::new(seed);
        let mut text: Vec<char> = case.text.chars().collect();
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(text.len() + 1);
            match rng.below(3) {
                0 => text.truncate(at),
                1 => text.insert(at, *rng.pick(&['(', ')', '\'', '"', '=', '-', '.', 'e', '9', ' ', 'é', '\0', ','])),
                _ if at < text.len() => drop(text.remove(at)),
                _ => {}
            }
        }
        let text: String = text.into_iter().collect();
        // What can still be read has an answer for each row, or says which value is in the way.
        match Predicate::parse(&text).and_then(|predicate| predicate.bind(case.batch.schema_ref())) {
            Ok(bound) => check_eq!(bound.evaluate(&case.batch)?.len(), case.rows.len(), "{text}"),
            Err(error) => {
                check!(error.to_string().contains("condition"), "{error} does not name the condition");
                refused.set(refused.get() + 1);
            }
        }
        Ok(())
    }))?;
    let seeded = std::env::var("LODESTORE_TEST_SEED").is_ok();
    check!(seeded || refused.get() > 500, "only {} were refused", refused.get());
    Ok(())
}
