//! Floor 5: everything of the binary `holdfast`. Only this crate knows all the others: configuration, composition, lock-down,
//! process roles, and the commands that need no server.
#![forbid(unsafe_code)]

mod arguments;
mod commands;
mod compose;
mod config;
mod dev;
mod figures;
mod log;
mod roles;
mod snapshots;

use std::io::Write;
use std::process::ExitCode;

use arguments::Invocation;

/// What a configuration with this text is refused for, if it is; for `appliance/fuzz`.
#[cfg(fuzzing)]
pub fn configuration_fault(text: &str) -> Option<String> {
    config::parse(text).err().map(|error| error.to_string())
}

/// The version of the product, strict semver.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The program: does what its command line asks for.
pub fn main() -> ExitCode {
    let given: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    // A shell asks what may come next, whatever stands on its line.
    if std::env::var_os("COMP_LINE").is_some() {
        return client(&given);
    }
    let outcome = match Invocation::read(&given) {
        Err(message) => Err(message),
        Ok(Invocation::Server(options)) => roles::monitor::run(&options).map_err(|error| error.to_string()),
        Ok(Invocation::ServerRole(options)) => roles::server::run(&options).map_err(|error| error.to_string()),
        Ok(Invocation::HsmRole(role)) => roles::hsm::run(&role).map_err(|error| error.to_string()),
        Ok(Invocation::Hsm(command)) => commands::hsm::run(&command),
        Ok(Invocation::Compliance(command)) => commands::compliance::run(&command),
        Ok(Invocation::Version) => {
            let _ = writeln!(std::io::stdout(), "Holdfast v{VERSION}");
            Ok(ExitCode::SUCCESS)
        }
        Ok(Invocation::Help) => {
            let _ = writeln!(std::io::stdout(), "{}", arguments::help());
            Ok(ExitCode::SUCCESS)
        }
        Ok(Invocation::Client) => return client(&given),
    };
    outcome.unwrap_or_else(|message| {
        let _ = writeln!(std::io::stderr(), "holdfast: {message}");
        ExitCode::FAILURE
    })
}

fn client(given: &[String]) -> ExitCode {
    cli::run(given, &|name| std::env::var(name).ok(), &commands::snapshot::OFFLINE, &arguments::COMMANDS)
}
