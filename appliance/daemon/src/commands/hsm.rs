//! `holdfast hsm …`: the HSM without a server.

use std::io::Write;
use std::process::ExitCode;

use hardening::lockdown::Mode;
use pkcs11_seal::{bench, ceremony, doctor};

use crate::arguments::{HsmCommand, HsmVerb};
use crate::config;
use crate::{compose, log, roles};

pub(crate) fn run(command: &HsmCommand) -> Result<ExitCode, String> {
    let mut config = config::load(&command.config).map_err(|error| error.to_string())?;
    log::start(tracing::Level::WARN, false);
    config.hardening = Mode::Report;
    compose::guarded_memory(&config, "hsm").map_err(|error| error.to_string())?;
    let hsm = config.take_hsm(command.seal.as_deref()).map_err(|error| format!("hsm: {error}"))?;
    let pin = hsm.pin.resolve().map_err(|error| error.to_string())?;
    let module = roles::hsm::module(&hsm, pin);
    let mut passed = true;
    let (json, text) = match command.verb {
        HsmVerb::Init => {
            let report = ceremony::init(&module, ceremony::Options { dry_run: command.dry_run })
                .map_err(|error| error.to_string())?;
            (report.to_json(), report.to_string())
        }
        HsmVerb::Status => {
            let report = ceremony::status(&module).map_err(|error| error.to_string())?;
            (report.to_json(), report.to_string())
        }
        HsmVerb::Keys => {
            let keys = ceremony::keys(&module).map_err(|error| error.to_string())?;
            let text = keys.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            (keys.iter().map(pkcs11_seal::KeyReport::to_json).collect(), text)
        }
        HsmVerb::Doctor => {
            let examination = doctor::examine(&module, command.profile.or(hsm.how.profile));
            passed = examination.passed();
            (examination.to_json(), examination.to_string())
        }
        HsmVerb::Bench => {
            let options = bench::Options { time: command.time, threads: command.threads.unwrap_or(hsm.max_parallel) };
            let measured = bench::run(module, options)?;
            (measured.to_json(), measured.to_string())
        }
    };
    let mut out = std::io::stdout();
    let _ = if command.json { writeln!(out, "{json:#}") } else { writeln!(out, "{text}") };
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
