//! The binary `lodestore`.

use std::process::ExitCode;

fn main() -> ExitCode {
    lodestore_cli::run(std::env::args_os()).into()
}
