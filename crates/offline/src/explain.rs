//! How a plan would be run, as text.

use std::fmt::Write as _;

use datafusion::physical_plan::{ExecutionPlan, displayable};
use lodestore_core::offline::HistoricalPlan;

/// Returns the plan and, below it, the tree of physical operators.
pub(crate) fn explain(plan: &HistoricalPlan, physical: &dyn ExecutionPlan) -> String {
    let mut text = plan.to_string();
    for line in displayable(physical).indent(false).to_string().lines() {
        let _ = write!(text, "\n  {line}");
    }
    text
}
