//! `lodestore version`

use lodestore::core::Result;
use serde_json::json;

use crate::error::Exit;
use crate::session::Session;

pub(super) fn run(session: &Session) -> Result<Exit> {
    let version = env!("CARGO_PKG_VERSION");
    session.printer.answer(format!("lodestore {version}"), &json!({"version": version}))?;
    Ok(Exit::Fine)
}
