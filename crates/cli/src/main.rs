//! The binary `lodestore`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    lodestore_cli::run(std::env::args_os()).into()
}
