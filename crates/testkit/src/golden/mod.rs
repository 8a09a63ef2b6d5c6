//! Golden cases: small text files of sources, views, questions and the answer, run on every engine.
//!
//! ```text
//! # A value exactly ttl old is kept; one microsecond older is null.
//! source orders time=at
//!   user_id:int64  at:timestamp          amount:float64
//!   1              2024-01-01T00:00:00Z  10
//!
//! view user_orders source=orders keys=user_id features=amount ttl=1d
//!
//! entities
//!   user_id:int64  event_timestamp:timestamp
//!   1              2024-01-02T00:00:00Z
//!   1              2024-01-02T00:00:00.000001Z
//! ----
//! user_id:int64  event_timestamp:timestamp    amount:float64
//! 1              2024-01-02T00:00:00Z         10
//! 1              2024-01-02T00:00:00.000001Z  null
//! ```
//!
//! - `source NAME [time=] [created=] [delay=] [valid_from=] [valid_to=] [map=file_name>name,…]`
//! - `view NAME source= [keys=a,b] features=a,b [ttl=]`; a name may be followed by its type, as in
//!   `a:int64`, which is the column's own unless it is said. Below it: `default FEATURE JSON`.
//! - `ask view:feature …`: what is asked for; every feature of every view unless it is said.
//! - `service VIEW [alias=] [keys=key>column,…] [features=a,b]`: one projection of a feature
//!   service, which is asked for then.
//! - `options [as_known] [defaults] [full_names]`
//! - After `----` the answer, or `error KIND: words that the message contains`.
//!
//! `LODESTORE_UPDATE=1` writes the answers of the run into the files whose answers differ.

mod parse;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use libtest_mimic::{Failed, Trial};

use crate::engine_suite::EngineHarness;
use crate::fixture::{Retrieval, parse_table, render_table};
use crate::{Outcome, oracle};

/// A case that was read from text.
#[derive(Debug, Clone)]
pub struct GoldenCase {
    /// What is above the line, as it was written.
    pub given: String,
    /// What is below it.
    pub expected: String,
    /// The retrieval, or the kind and message of the error that asking for it is.
    pub retrieval: Result<Retrieval, String>,
}

/// Returns a test for each `.case` file of this crate; their names begin with `prefix`.
///
/// # Errors
/// If the folder can't be read.
pub fn trials(prefix: &str, harness: &Arc<dyn EngineHarness>) -> Result<Vec<Trial>, Failed> {
    let trial = |path: PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let harness = Arc::clone(harness);
        Trial::test(format!("{prefix}::golden::{name}"), move || {
            harness.block_on(Box::pin(check_file(harness.as_ref(), &path)))
        })
    };
    Ok(case_files()?.into_iter().map(trial).collect())
}

/// Returns the paths of all cases, in order.
///
/// # Errors
/// If the folder can't be read.
pub fn case_files() -> Result<Vec<PathBuf>, Failed> {
    // Cargo runs the tests of a crate in its folder. The folder of compile time may be that of another clone.
    let files = std::fs::read_dir("../testkit/cases")?.map(|entry| Ok(entry?.path()));
    let mut files = files.collect::<Result<Vec<PathBuf>, std::io::Error>>()?;
    files.retain(|path| path.extension().is_some_and(|ending| ending == "case"));
    files.sort();
    Ok(files)
}

async fn check_file(harness: &dyn EngineHarness, path: &Path) -> Outcome {
    let case = GoldenCase::parse(&std::fs::read_to_string(path)?)?;
    let outcome = case.check(harness).await;
    if outcome.is_err() && std::env::var("LODESTORE_UPDATE").is_ok_and(|value| value == "1") {
        let answer = case.answer(harness).await?;
        return Ok(std::fs::write(path, format!("{}----\n{answer}", case.given))?);
    }
    outcome
}

impl GoldenCase {
    /// Asks an engine and compares its answer, and the oracle's, with what is expected.
    ///
    /// # Errors
    /// The difference, line by line.
    pub async fn check(&self, harness: &dyn EngineHarness) -> Outcome {
        same(&self.answer(harness).await?, &self.expected)?;
        self.check_oracle()
    }

    /// Compares the oracle's answer with what is expected.
    ///
    /// # Errors
    /// The difference, line by line.
    pub fn check_oracle(&self) -> Outcome {
        let Ok(retrieval) = &self.retrieval else { return Ok(()) };
        if self.expected.starts_with("error ") {
            return Ok(());
        }
        let plan = retrieval.plan()?;
        let mut columns = retrieval.questions.columns().to_vec();
        let features = oracle::historical(&plan, &retrieval.tables, &retrieval.questions)?;
        for (column, values) in plan.request.columns.iter().zip(features) {
            let feature = &plan.request.views[column.view].version.features[column.feature];
            columns.push(oracle::build(&feature.feature_type, &values)?);
        }
        let answer = arrow::array::RecordBatch::try_new(plan.schema(), columns)?;
        same(&render_table(&answer)?, &self.expected)
            .map_err(|e| format!("the oracle: {}", e.message().unwrap_or("")))?;
        Ok(())
    }

    async fn answer(&self, harness: &dyn EngineHarness) -> Result<String, Failed> {
        let shown = |error: &lodestore_core::Error| format!("error {}: {error}\n", error.kind());
        let retrieval = match &self.retrieval {
            Ok(retrieval) => retrieval,
            Err(error) => return Ok(format!("{error}\n")),
        };
        let plan = match retrieval.plan() {
            Ok(plan) => plan,
            Err(error) => return Ok(shown(&error)),
        };
        let engine = harness.engine(&retrieval.tables)?;
        let stream = match engine.historical(&plan, vec![retrieval.questions.clone()], &Arc::default()).await {
            Ok(stream) => stream,
            Err(error) => return Ok(shown(&error)),
        };
        let schema = Arc::clone(&stream.schema);
        match futures::TryStreamExt::try_collect::<Vec<_>>(stream.batches).await {
            Ok(batches) => render_table(&arrow::compute::concat_batches(&schema, &batches)?),
            Err(error) => Ok(shown(&error)),
        }
    }
}

/// Runs a case that is written where it is tested.
///
/// # Errors
/// The difference between the answer and what is expected.
pub async fn check_case(harness: &dyn EngineHarness, text: &str) -> Outcome {
    GoldenCase::parse(text)?.check(harness).await
}

/// Compares answers; of an error, the kind must be equal and the message contain the words.
fn same(found: &str, expected: &str) -> Outcome {
    if let Some((kind, words)) = expected.trim().split_once(": ").filter(|(kind, _)| kind.starts_with("error ")) {
        if found.starts_with(&format!("{kind}: ")) && found.contains(words) {
            return Ok(());
        }
    } else if !found.starts_with("error ") {
        let expected = render_table(&parse_table(expected)?)?;
        if expected == found {
            return Ok(());
        }
        return Err(difference(found, &expected).into());
    }
    Err(difference(found, expected).into())
}

/// Shows two texts, the lines that differ marked by what they are: - expected, + found.
fn difference(found: &str, expected: &str) -> String {
    let (found, expected): (Vec<_>, Vec<_>) = (found.lines().collect(), expected.lines().collect());
    let mut shown = String::from("the answer differs (- expected, + found; LODESTORE_UPDATE=1 rewrites it)\n");
    for i in 0..found.len().max(expected.len()) {
        match (expected.get(i), found.get(i)) {
            (Some(e), Some(f)) if e == f => shown += &format!("  {e}\n"),
            (e, f) => {
                shown += &e.map_or_else(String::new, |e| format!("- {e}\n"));
                shown += &f.map_or_else(String::new, |f| format!("+ {f}\n"));
            }
        }
    }
    shown
}
