//! The command-line client: `holdfast status`, `holdfast kv put …` and the rest, over the HTTP API and nothing else.
//!
//! Commands, flags, output and exit codes follow the `bao` and `vault` clients, so scripts written for them run unchanged.
//! Each command is one declaration ([`command::Command`]): name, arguments, flags and help come from it, so what `-help`
//! prints is what the parser takes, and a flag that is not declared is refused.
//!
//! What goes in and out passes through [`console::Console`] alone, and every request through [`client::Client`].
#![forbid(unsafe_code)]

mod address;
mod call;
mod client;
mod command;
mod commands;
mod console;
mod data;
mod duration;
mod failure;
mod flags;
mod hcl;
mod json;
mod output;
mod pgp;
mod prompt;
mod secret;
mod settings;
mod table;
mod tls;
mod token_file;
mod yaml;

use std::process::ExitCode;

use console::Console;

/// Runs one client command and returns the exit code of the process: 0 done, 1 the command line or this machine is at
/// fault, 2 the server refused or could not be reached. `status` alone answers 2 for a sealed server.
///
/// `arguments` are those after the program's name. `environment` looks a variable up; an empty value counts as unset.
/// Reads standard input where a command asks for it (`-`), writes to standard output and standard error.
pub fn run(arguments: &[String], environment: &dyn Fn(&str) -> Option<String>) -> ExitCode {
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    let mut console = Console::new(&mut out, &mut err);
    ExitCode::from(commands::dispatch(arguments, environment, &mut console))
}

/// The list of client commands, one a line with what each does, as `holdfast` with no arguments shows it.
pub fn usage() -> String {
    commands::listing("")
}
