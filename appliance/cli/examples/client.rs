//! The client alone, without the server around it: `cargo run -p cli --example client -- status`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    cli::run(&arguments, &|name| std::env::var(name).ok(), &[])
}
