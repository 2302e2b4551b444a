//! A PIN that came as an environment variable: on its way from the monitor, which is given it, to the hsm process.
//!
//! A process shows its environment as long as it lives, so the hsm process does not get the PIN that way: it is the first
//! thing on the hsm process's socket. The monitor keeps it in guarded memory, for the next hsm process.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use hardening::{Secret, process};

use super::Fatal;
use crate::compose;
use crate::config::{Config, ConfigError, Hsm};

/// More than any PIN has.
const LONGEST: usize = 4096;

/// Takes the PINs out of the environment of this process, one for each HSM; empty if it is not there. `None` if it comes from
/// elsewhere.
///
/// Call it while there is one thread only, and before the process is locked down.
pub(super) fn take(config: &Config) -> Result<Vec<Option<Secret>>, Fatal> {
    if config.hsms.iter().any(|hsm| hsm.pin.environment().is_some()) {
        compose::guarded_memory(config, "monitor")?;
    }
    let full = |full: hardening::ArenaFull| Fatal::Part(full.to_string());
    let mut taken: Vec<(&Hsm, Option<Secret>)> = Vec::new();
    for hsm in &config.hsms {
        let Some(name) = hsm.pin.environment() else {
            taken.push((hsm, None));
            continue;
        };
        // Two of them may have one PIN, and the variable is gone once it was taken.
        let before = taken.iter().find(|(other, _)| other.pin.environment() == Some(name));
        let pin = match before.and_then(|(_, pin)| pin.as_ref()) {
            Some(pin) => pin.try_clone().map_err(full)?,
            None => match process::take_variable(name).map_err(full)? {
                Some(pin) => pin,
                None => Secret::locked(&[]).map_err(full)?,
            },
        };
        taken.push((hsm, Some(pin)));
    }
    Ok(taken.into_iter().map(|(_, pin)| pin).collect())
}

/// Puts the PIN on the socket, before anybody else does.
pub(super) fn hand_over(pin: &Secret, mut socket: &UnixStream) -> io::Result<()> {
    let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "the PIN is too long");
    let length = u16::try_from(pin.len()).map_err(too_long)?;
    socket.write_all(&length.to_be_bytes())?;
    socket.write_all(pin.expose())
}

/// Takes the PIN off the socket. `name` is that of the variable.
pub(super) fn receive(mut socket: &UnixStream, name: &str) -> Result<Secret, Fatal> {
    let lost = |error| Fatal::System("taking over the PIN from the monitor", error);
    let mut length = [0; 2];
    socket.read_exact(&mut length).map_err(lost)?;
    let length = usize::from(u16::from_be_bytes(length));
    if length == 0 || length > LONGEST {
        let what = if length == 0 { "not set" } else { "too long" };
        let message = format!("seal \"pkcs11\": the environment variable {name}, named by pin, is {what}");
        return Err(Fatal::Config(ConfigError(message)));
    }
    let mut read = Ok(());
    let pin = Secret::locked_with(length, |room| read = socket.read_exact(room))
        .map_err(|full| Fatal::Part(full.to_string()))?;
    read.map_err(lost)?;
    Ok(pin)
}
