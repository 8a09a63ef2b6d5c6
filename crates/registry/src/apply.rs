//! Applying a plan: one commit on the revision that the plan was made for.

use lodestore_core::registry::{Change, RegistryStore};
use lodestore_core::time::EventTime;
use lodestore_core::{Error, Result};

use crate::plan::Plan;

/// Commits a plan on the revision it was made for, as `by`, and returns the new revision.
///
/// # Behavior
/// - A plan without steps commits nothing and returns the revision it was made for.
///
/// # Errors
/// `Invalid` for a plan with [blockers](Plan::blockers), naming them; `Conflict` if somebody else
/// committed since the plan was made; and what the store says.
pub async fn apply(store: &dyn RegistryStore, plan: &Plan, by: &str, at: EventTime) -> Result<u64> {
    if !plan.blockers().is_empty() {
        let blockers: Vec<_> = plan.blockers().iter().map(ToString::to_string).collect();
        return Err(Error::invalid(format!(
            "the plan drops what feature services pin: {}; change those first, or force the plan",
            blockers.join("; ")
        )));
    }
    if plan.is_empty() {
        return Ok(plan.base_revision);
    }
    let change = Change {
        mutations: plan.steps.iter().map(|step| step.mutation.clone()).collect(),
        at,
        by: by.to_owned(),
        lines: plan.lines(),
    };
    store.commit(&plan.project, plan.base_revision, &change).await
}
