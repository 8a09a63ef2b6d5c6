//! `lodestore hash-key`

use std::io::BufRead;

use lodestore::core::{Error, Result};
use lodestore_server::{generate_key, hash_key};
use serde_json::json;

use crate::args::HashKeyArgs;
use crate::error::Exit;
use crate::session::Session;

pub(super) fn run(session: &Session, args: &HashKeyArgs) -> Result<Exit> {
    if args.generate {
        let key = generate_key()?;
        let hash = hash_key(&key);
        session.printer.answer(format!("key: {key}\nsha256: {hash}"), &json!({"key": key, "sha256": hash}))?;
        session
            .printer
            .note("keep the key, which is stored nowhere; put the hash among the keys of the setting 'auth'");
        return Ok(Exit::Fine);
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|e| Error::io("reading the key from stdin", e))?;
    let key = line.trim_end_matches(['\r', '\n']);
    if key.is_empty() {
        return Err(Error::invalid("there is no key on stdin; give one, or --generate"));
    }
    let hash = hash_key(key);
    session.printer.answer(&hash, &json!({"sha256": hash}))?;
    Ok(Exit::Fine)
}
