//! The client alone, without the server around it: `cargo run -p cli --example client -- status`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use cli::{Offline, Shown};

/// It knows no files.
const NOTHING: Offline = Offline {
    inspect: |_| nothing(),
    restore: |_, _| nothing(),
    span: |_| nothing(),
    rewind: |_, _| nothing(),
    undo: |_| nothing(),
};

fn nothing() -> Shown {
    Err("this client knows neither snapshots nor data directories".to_owned())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    cli::run(&arguments, &|name| std::env::var(name).ok(), &NOTHING, &[])
}
