//! The command-line client: `holdfast status`, `holdfast kv put …` and the rest, over the HTTP API; what
//! needs no server, [`Offline`] does.
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
mod completion;
mod console;
mod data;
mod duration;
mod failure;
mod flags;
mod hcl;
mod json;
mod needed_policy;
mod offline;
mod output;
mod pgp;
mod prompt;
mod secret;
mod settings;
mod table;
mod tls;
mod token_file;
mod token_helper;
mod transfer;
mod yaml;

use std::process::ExitCode;

use console::Console;
pub use offline::{Offline, Shown};

/// Runs one client command and returns the exit code of the process: 0 done, 1 the command line or this machine is at
/// fault, 2 the server refused or could not be reached. `status` alone answers 2 for a sealed server.
///
/// `arguments` are those after the program's name. `environment` looks a variable up; an empty value counts as unset.
/// `offline` does what needs no server. Reads standard input where a command asks for it (`-`), writes to standard output
/// and standard error.
///
/// Where a shell asks for completion (`COMP_LINE`), prints what may come next; `beside` are the program's other commands.
pub fn run(
    arguments: &[String],
    environment: &dyn Fn(&str) -> Option<String>,
    offline: &Offline,
    beside: &[Beside],
) -> ExitCode {
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    let mut console = Console::new(&mut out, &mut err);
    if let Some(line) = environment("COMP_LINE") {
        let found = completion::suggestions(&line, beside, environment);
        return ExitCode::from(u8::from(found.iter().try_for_each(|choice| console.line(choice)).is_err()));
    }
    ExitCode::from(commands::dispatch(arguments, environment, offline, &mut console))
}

/// A command of the program that is not the client's.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// The words that call it, such as `hsm init`.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Its flags, each with its dash.
    pub flags: &'static [&'static str],
}

/// The list of client commands, one a line with what each does, as `holdfast` with no arguments shows it.
pub fn usage() -> String {
    commands::listing("")
}
