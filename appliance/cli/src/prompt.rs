//! Secrets asked for at the terminal, never echoed.

use std::io::IsTerminal;

use rpassword::ConfigBuilder;

use crate::failure::Failure;
use crate::flags::Parsed;

/// Asks for a secret. Without a terminal, or with `-non-interactive`, fails and names the way around (`instead`).
pub(crate) fn secret(flags: &Parsed, label: &str, instead: &str) -> Result<String, Failure> {
    let refuse =
        |reason: &str| Err(Failure::local(format!("cannot ask for the {}: {reason}. {instead}", label.to_lowercase())));
    if flags.on("non-interactive") {
        return refuse("-non-interactive is set");
    }
    if !std::io::stdin().is_terminal() {
        return refuse("standard input is not a terminal");
    }
    let config = ConfigBuilder::new().password_feedback_hide().build();
    match rpassword::prompt_password_with_config(format!("{label} (will be hidden): "), config) {
        Ok(answer) => Ok(answer.trim().to_owned()),
        Err(error) => refuse(&error.to_string()),
    }
}
