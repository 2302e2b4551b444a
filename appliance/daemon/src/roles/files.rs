//! Which files each role may touch. The monitor's are a superset: its children inherit its locks.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use hardening::lockdown::Files;

use super::Fatal;
use crate::arguments::ServerOptions;
use crate::config::{Config, Hsm};

/// The server: configuration and certificates to read, data and audit log to write. Never the HSM's.
pub(crate) fn server(options: &ServerOptions, config: &Config) -> Files {
    let mut files = Files { read_only: options.config.clone(), ..Files::default() };
    for tls in config.listeners.iter().filter_map(|listener| listener.tls.as_ref()) {
        // A renewed certificate often replaces the file, so its folder is what must stay readable.
        files.read_only.extend([folder(&tls.certificate), folder(&tls.key)]);
        if let server::ClientCertificates::Required(authorities) = &tls.clients {
            files.read_only.push(folder(authorities));
        }
    }
    // Tells the storage whether the machine was started anew since it last ran.
    files.read_only.push(PathBuf::from("/proc/sys/kernel/random/boot_id"));
    files.read_write.extend(config.storage.path.clone());
    files.read_write.extend(config.audit_folders());
    files
}

/// The process of one HSM: the library's own files, the PIN file.
pub(crate) fn hsm(options: &ServerOptions, hsm: &Hsm) -> Files {
    let mut files = Files { read_only: options.config.clone(), ..Files::default() };
    files.read_only.push(folder(&hsm.library));
    files.read_only.extend(hsm.pin.file());
    files.read_write.extend(hsm.paths.iter().cloned());
    files.read_write.extend(softhsm_folders());
    files.read_only.extend(softhsm_config());
    files
}

/// The monitor: its own program, and whatever its children need.
pub(crate) fn monitor(options: &ServerOptions, config: &Config, program: &Path) -> Files {
    let mut files = Files { execute: vec![program.to_owned()], ..server(options, config) };
    for hsm in config.hsms.iter().map(|one| hsm(options, one)) {
        files.read_only.extend(hsm.read_only);
        files.read_write.extend(hsm.read_write);
    }
    files
}

/// Makes the folders to be written to, for their owner alone. Landlock names folders that exist, so this comes before it.
pub(crate) fn make_folders(config: &Config) -> Result<(), Fatal> {
    let folders = config.storage.path.iter().cloned().chain(config.audit_folders());
    for folder in folders {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| Fatal::Part(format!("making the folder {}: {error}", folder.display())))?;
    }
    Ok(())
}

/// A path's folder; a bare name lies in the current one.
fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// SoftHSM's configuration file.
fn softhsm_config() -> Option<PathBuf> {
    let named = std::env::var_os("SOFTHSM2_CONF").map(PathBuf::from);
    named.or_else(|| Some(PathBuf::from("/etc/softhsm/softhsm2.conf"))).filter(|path| path.exists())
}

/// Where SoftHSM keeps its tokens: other modules name such folders in the seal stanza's `paths`.
fn softhsm_folders() -> Option<PathBuf> {
    let text = std::fs::read_to_string(softhsm_config()?).ok()?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("directories.tokendir"))?;
    line.trim().strip_prefix('=').map(|path| PathBuf::from(path.trim()))
}
