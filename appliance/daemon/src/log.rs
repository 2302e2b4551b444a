//! The server's own log: lines on standard error. It never holds a secret.

use tracing::Level;

/// Starts logging. `json` gives one JSON object a line.
pub(crate) fn start(level: Level, json: bool) {
    let lines = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false);
    // A second start, as in a test, keeps the first.
    let _ = if json { lines.json().try_init() } else { lines.try_init() };
}

/// Logs what was locked and what was not.
pub(crate) fn locks(role: &str, report: &hardening::Report) {
    for item in &report.items {
        match item.state {
            hardening::State::NotSet => tracing::warn!("{role}: {item}"),
            _ => tracing::debug!("{role}: {item}"),
        }
    }
}
