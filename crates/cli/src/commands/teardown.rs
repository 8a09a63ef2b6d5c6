//! `lodestore teardown`

use std::io::IsTerminal;

use lodestore::core::{Error, Result};
use serde_json::json;

use crate::args::TeardownArgs;
use crate::error::Exit;
use crate::session::Session;

pub(super) fn run(session: &Session, args: &TeardownArgs) -> Result<Exit> {
    let store = session.store()?;
    let project = store.project();
    if !args.yes {
        if !std::io::stdin().is_terminal() {
            let what =
                format!("teardown removes project '{project}' for good; without a terminal to ask on it needs --yes");
            return Err(Error::invalid(what));
        }
        let question = format!("Remove all definitions and online rows of project '{project}' for good? Type 'yes':");
        if session.printer.ask(question)? != "yes" {
            session.printer.note("nothing was removed");
            return Ok(Exit::Failed);
        }
    }
    session.block_on(store.teardown())?;
    session.printer.answer(format!("Removed project '{project}'"), &json!({"removed": project}))?;
    Ok(Exit::Fine)
}
