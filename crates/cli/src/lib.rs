//! The command line: arguments become calls of one `FeatureStore` method, answers become tables or JSON.
//!
//! It is not: a place for meaning. What a value, a plan or an error is, the facade says.
//!
//! Read first: [`Cli`], [`Session`], [`Printer`].
//!
//! # Examples
//! ```
//! use lodestore_cli::{Exit, run};
//! assert_eq!(run(["lodestore", "version"]), Exit::Fine);
//! ```

pub mod args;
mod commands;
mod error;
mod printer;
mod progress;
mod session;

use std::ffi::OsString;

use clap::Parser;
use lodestore::core::Error;

pub use args::Cli;
pub use error::Exit;
pub use printer::{Column, Format, Printer};
pub use session::Session;

/// Runs a command line; the first word is the program's name.
pub fn run<I, T>(words: I) -> Exit
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => return not_parsed(&error, &words),
    };
    let printer = Printer::new(if cli.json { Format::Json } else { Format::Text });
    match commands::run(&Session::new(&cli, printer), cli.command) {
        Ok(exit) => exit,
        Err(error) => {
            printer.error(&error);
            Exit::Failed
        }
    }
}

/// Prints the help or version that was asked for, or what is wrong with the words.
fn not_parsed(error: &clap::Error, words: &[OsString]) -> Exit {
    if error.use_stderr() && words.iter().any(|word| word == "--json") {
        let text = error.render().to_string();
        let message = text.trim().trim_start_matches("error: ");
        Printer::new(Format::Json).error(&Error::invalid(message));
        return Exit::Failed;
    }
    // Whoever asked may have gone away, as `head` does.
    let _ = error.print();
    if error.use_stderr() { Exit::Failed } else { Exit::Fine }
}
