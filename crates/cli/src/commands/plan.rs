//! `lodestore plan`

use lodestore::core::Result;
use lodestore::core::definition::Definitions;
use lodestore::{FeatureStore, PlanOptions, PlannedChange, Scope};

use crate::args::PlanArgs;
use crate::error::Exit;
use crate::session::Session;

pub(super) fn run(session: &Session, args: &PlanArgs) -> Result<Exit> {
    let (store, repo) = session.store_and_repo()?;
    let PlannedChange { plan, warnings } = session.block_on(planned(&store, repo.definitions, args))?;
    warnings.iter().for_each(|warning| session.printer.warning(warning));
    session.printer.answer(&plan, &plan.to_json())?;
    Ok(if plan.is_empty() { Exit::Fine } else { Exit::Changes })
}

/// Returns what makes the registry hold the repository's definitions and no others.
pub(super) async fn planned(store: &FeatureStore, wanted: Definitions, args: &PlanArgs) -> Result<PlannedChange> {
    store.plan(wanted, PlanOptions { scope: Scope::Everything, force: args.force }).await
}
