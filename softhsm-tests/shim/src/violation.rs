//! What a client must never do. Written down loudly: on standard error, and in a file that the harness looks for.

use std::fs::File;
use std::io::Write;

use crate::settings;

/// The file's name, in the folder `state`.
pub const FILE: &str = "violations";

/// Writes down that the client did `what`.
#[allow(clippy::print_stderr, reason = "a test tool: loud is what this is for")]
pub(crate) fn report(what: &str) {
    let line = format!("violation in process {}: {what}\n", std::process::id());
    eprint!("cloudhsm-shim: {line}");
    let Ok(settings) = settings::get() else { return };
    let file = File::options().create(true).append(true).open(settings.state.join(FILE));
    if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
        eprintln!("cloudhsm-shim: cannot be written down: {error}");
    }
}
