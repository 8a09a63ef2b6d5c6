//! `lodestore validate`

use lodestore::core::Result;
use serde_json::json;

use crate::error::Exit;
use crate::session::Session;

pub(super) fn run(session: &Session) -> Result<Exit> {
    let (store, repo) = session.store_and_repo()?;
    let objects = repo.definitions.ids().count();
    let problems = session.block_on(store.validate(repo.definitions))?;
    if !problems.is_empty() {
        problems.iter().for_each(|problem| session.printer.error(problem));
        return Ok(Exit::Failed);
    }
    let text = format!("{objects} definitions of project '{}' and their data sources are fine", store.project());
    session.printer.answer(text, &json!({"project": store.project(), "definitions": objects}))?;
    Ok(Exit::Fine)
}
