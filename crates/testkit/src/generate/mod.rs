//! Random cases from seeds. Domains are small, so that keys and times collide often, and hold the
//! values that go wrong: extremes, NaN, -0.0, empty and null lists, keys that run into each other.
//!
//! A family runs the seeds 0, 1, 2, …, the small cases first. `LODESTORE_TEST_CASES` says how many,
//! 2,000 unless it is set; `LODESTORE_TEST_SEED` runs exactly one.

mod aggregations;
mod definitions;
mod history;
mod predicate;
mod retrieval;
mod rng;
mod types;
mod window_events;
mod windows;

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use libtest_mimic::Failed;

pub use aggregations::aggregated_view;
pub use history::{Batch, History, Operation, key_columns, online_keys, online_rows};
pub use predicate::GeneratedPredicate;
pub use retrieval::{Focus, GeneratedRetrieval};
pub use rng::Rng;
pub use types::{every_type, feature_type, value};
pub use window_events::{WINDOW_KEYS, WindowCase};
pub use windows::WindowedRetrieval;

use crate::Outcome;

/// Runs a test with each seed in turn, until one fails; the failure says how to replay it.
///
/// # Errors
/// The first failure, or panic, of the test.
pub async fn for_each_seed(family: &str, test: impl AsyncFn(u64) -> Outcome) -> Outcome {
    for seed in seeds()? {
        let outcome = AssertUnwindSafe(test(seed)).catch_unwind().await;
        let why = match outcome {
            Ok(Ok(())) => continue,
            Ok(Err(failed)) => failed.message().unwrap_or("no message").to_owned(),
            Err(panic) => match panic.downcast_ref::<String>() {
                Some(text) => format!("panicked: {text}"),
                None => format!("panicked: {}", panic.downcast_ref::<&str>().unwrap_or(&"no message")),
            },
        };
        return Err(format!("{why}\n\nreplay with: LODESTORE_TEST_SEED={seed} cargo test -- {family}").into());
    }
    Ok(())
}

fn seeds() -> Result<std::ops::Range<u64>, Failed> {
    let number = |name: &str| -> Result<Option<u64>, Failed> {
        match std::env::var(name) {
            Ok(text) => Ok(Some(text.parse().map_err(|_| format!("{name}={text} is not a number"))?)),
            Err(_) => Ok(None),
        }
    };
    Ok(match number("LODESTORE_TEST_SEED")? {
        Some(seed) => seed..seed + 1,
        None => 0..number("LODESTORE_TEST_CASES")?.unwrap_or(2_000),
    })
}

/// Returns how big a seed's case is: 1 to 12, the first seeds small.
fn size_of_case(seed: u64) -> usize {
    1 + (seed / 8).min(seed % 12) as usize
}
