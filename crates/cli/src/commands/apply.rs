//! `lodestore apply`

use lodestore::PlannedChange;
use lodestore::core::Result;
use serde_json::{Value, json};

use super::plan::planned;
use crate::args::PlanArgs;
use crate::error::Exit;
use crate::printer::Format;
use crate::session::Session;

pub(super) fn run(session: &Session, args: &PlanArgs) -> Result<Exit> {
    let printer = session.printer;
    let (store, repo) = session.store_and_repo()?;
    session.block_on(async {
        let PlannedChange { plan, warnings } = planned(&store, repo.definitions, args).await?;
        warnings.iter().for_each(|warning| printer.warning(warning));
        if plan.is_empty() {
            let answer = json!({"applied": false, "revision": plan.base_revision, "plan": plan.to_json()});
            printer.answer(format!("No changes: project '{}' is as defined", plan.project), &answer)?;
            return Ok(Exit::Fine);
        }
        if printer.format() == Format::Text {
            printer.answer(&plan, &Value::Null)?;
        }
        let revision = store.apply(&plan).await?;
        let text = format!("\nApplied to project '{}', now at revision {revision}", plan.project);
        printer.answer(text, &json!({"applied": true, "revision": revision, "plan": plan.to_json()}))?;
        Ok(Exit::Fine)
    })
}
