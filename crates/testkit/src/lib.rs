//! What Lodestore's parts are judged by: behaviour suites for each seam, naive oracles, seeded random
//! cases and golden cases in text. Dev-dependency only.
//!
//! It is not: a test of any one implementation. Each implementation's `tests/` opens it through a
//! harness and runs every test of the suite unchanged.
//!
//! Read first: [`engine_suite::EngineHarness`], [`oracle::historical`], [`golden::GoldenCase`].
//!
//! A suite runs as a test target without the usual harness (`[[test]] harness = false`):
//!
//! ```
//! use std::sync::Arc;
//! use arrow::array::RecordBatch;
//! use lodestore_core::definition::TableRef;
//! use lodestore_core::offline::{MemoryEngine, OfflineEngine};
//! use lodestore_testkit::engine_suite::{self, EngineHarness};
//!
//! struct Memory;
//!
//! impl EngineHarness for Memory {
//!     fn engine(&self, tables: &[(TableRef, RecordBatch)]) -> lodestore_core::Result<Arc<dyn OfflineEngine>> {
//!         let engine = MemoryEngine::new();
//!         tables.iter().for_each(|(table, rows)| engine.put(&table.path, rows.clone()));
//!         Ok(Arc::new(engine))
//!     }
//! }
//!
//! let trials = engine_suite::trials(Arc::new(Memory));
//! assert!(trials.iter().any(|trial| trial.name() == "engine::p2_property"));
//! // libtest_mimic::run(&libtest_mimic::Arguments::from_args(), trials).exit();
//! ```

pub mod engine_suite;
pub mod fixture;
pub mod generate;
pub mod golden;
pub mod online_suite;
pub mod oracle;
pub mod registry_suite;

pub use libtest_mimic::{Arguments, Failed, Trial, run};

/// What a test of a suite returns.
pub type Outcome = Result<(), Failed>;

/// Fails the test unless a condition holds.
#[macro_export]
macro_rules! check {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::Failed::from(format!($($message)+)));
        }
    };
}

/// Fails the test unless two values are equal; shows both.
#[macro_export]
macro_rules! check_eq {
    ($found:expr, $expected:expr, $($message:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => $crate::check!(
                *found == *expected,
                "{}\n  expected: {expected:?}\n  found:    {found:?}",
                format!($($message)+)
            ),
        }
    };
}

/// Lists the tests of a suite, each run through the harness's `block_on`.
macro_rules! trials {
    ($suite:literal, $harness:expr, $($module:ident :: $name:ident),+ $(,)?) => {
        vec![$({
            let harness = std::sync::Arc::clone(&$harness);
            $crate::Trial::test(concat!($suite, "::", stringify!($name)), move || {
                harness.block_on(Box::pin($module::$name(harness.as_ref())))
            })
        }),+]
    };
}
pub(crate) use trials;
