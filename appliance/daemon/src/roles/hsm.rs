//! The hsm process: loads the PKCS#11 module, logs in, and answers the server's questions. The PIN is here and nowhere else.

use std::process::ExitCode;
use std::sync::Arc;

use hardening::Secret;
use hardening::lockdown::{Lockdown, Role};
use hardening::process;

use super::{Doing, Fatal, files, pin};
use crate::arguments::HsmRole;
use crate::config::{self, Hsm, PinSource};
use crate::log;

/// One session holds the login; one more, so that what looks for keys needs not wait for a call to end.
const BESIDE_THE_WORKERS: usize = 2;

/// If an earlier hsm process ended because its PIN was refused, this one does not try it again. The exit code of this one is the `CKR_` number of such a refusal (PKCS#11 v2.40, appendix A), which the monitor keeps.
pub(crate) fn run(role: &HsmRole) -> Result<ExitCode, Fatal> {
    let socket = process::control_socket().doing("taking over the socket from the monitor")?;
    process::die_with_parent(&socket).doing("tying the process to the monitor")?;
    let mut config = config::load(&role.options.config)?;
    log::start(config.log_level, config.log_json);

    // Taken out of the configuration, and dropped with the PIN that may stand in it; the others go at once.
    let hsm = config.take_hsm(Some(&role.seal))?;
    config.hsms.clear();
    let mut lockdown = Lockdown::new(config.hardening, Role::Hsm);
    lockdown.hsm_network = hsm.network;
    lockdown.files = files::hsm(&role.options, &hsm);
    log::locks("hsm", &lockdown.early()?);
    crate::compose::guarded_memory(&config, "hsm")?;
    log::locks("hsm", &lockdown.seal_files()?);
    let pin = match &hsm.pin {
        PinSource::Environment(name) => pin::receive(&socket, name)?,
        elsewhere => elsewhere.resolve()?,
    };
    let (module, workers) = (module(&hsm, pin), hsm.max_parallel);
    drop(hsm);
    // Loads the module and makes its threads; if the token cannot be used now, it is tried again, or the reason is answered.
    let token = Arc::new(match role.pin_refused {
        None => pkcs11_seal::Hsm::start(module),
        Some(code) => pkcs11_seal::Hsm::refused(module, code),
    });
    log::locks("hsm", &lockdown.seal_syscalls()?);
    if token.refused_pin().is_none() {
        pkcs11_seal::serve(&token, socket, workers).doing("answering the server")?;
    }
    Ok(token.refused_pin().map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// What the module is opened with.
pub(crate) fn module(hsm: &Hsm, pin: Secret) -> pkcs11_seal::Config {
    let mut config = pkcs11_seal::Config::new(&hsm.library, hsm.token.clone(), pin, hsm.key_label.clone());
    config.key_id.clone_from(&hsm.key_id);
    config.profile = hsm.how.profile;
    config.mechanism = hsm.how.mechanism;
    config.hmac_key_label.clone_from(&hsm.how.hmac_key_label);
    config.hmac_key_id.clone_from(&hsm.how.hmac_key_id);
    config.oaep_hash = hsm.how.oaep_hash;
    config.max_sessions = hsm.max_parallel + BESIDE_THE_WORKERS;
    config
}
