//! `sys/audit` and `sys/audit-hash`. The sentences of refusals are OpenBao's.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use framework::{Error, Json, Map, Page, Secret, View};

use super::device::{DeviceRecord, Options, salt_name};
use super::json::hashed;
use crate::names;
use crate::registry::Registry;

/// A device to be enabled.
#[derive(Clone, Debug, Default)]
pub struct AuditSpec {
    /// Its path in `sys/audit`. Slashes at the ends do not matter.
    pub path: String,
    /// Its type: `file`.
    pub kind: String,
    /// Free text.
    pub description: String,
    /// `file_path` (a path, `stdout` or `discard`), `mode`, `prefix`, `hmac_accessor`, `log_raw`, `elide_list_responses`,
    /// `format` (`json`).
    pub options: BTreeMap<String, String>,
    /// Not replicated to other clusters.
    pub local: bool,
}

/// A device, as `sys/audit` shows it.
#[derive(Clone, Debug)]
pub struct AuditDevice {
    /// Its path with a final `/`.
    pub path: String,
    /// Its type.
    pub kind: String,
    /// Free text.
    pub description: String,
    /// Its options.
    pub options: BTreeMap<String, String>,
    /// Not replicated to other clusters.
    pub local: bool,
}

impl AuditDevice {
    /// As `sys/audit` shows it.
    pub fn to_json(&self) -> Map<String, Json> {
        let options = self.options.iter().map(|(k, v)| (k.clone(), Json::from(v.as_str()))).collect();
        let mut map = Map::new();
        map.insert("path".into(), self.path.as_str().into());
        map.insert("type".into(), self.kind.as_str().into());
        map.insert("description".into(), self.description.as_str().into());
        map.insert("options".into(), Json::Object(options));
        map.insert("local".into(), self.local.into());
        map
    }
}

impl Registry {
    /// Enables a device. Its file is created here, so that a path that cannot be written is refused; it takes lines from the
    /// commit on, the answer's first.
    pub fn enable_audit(&self, view: &View<'_>, spec: AuditSpec) -> Result<(), Error> {
        let path = with_slash(&spec.path);
        if path == "/" {
            return Err(Error::field("path", "the device needs a path"));
        }
        let declared = self.settings.audit.iter().map(|device| with_slash(&device.path));
        let enabled =
            view.list(names::AUDIT, &Page::default())?.into_iter().map(|name| with_slash(&names::unsegment(&name)));
        if declared.chain(enabled).any(|other| other.starts_with(&path) || path.starts_with(&other)) {
            return Err(Error::field("path", "path already in use"));
        }
        let parsed = Options::parse(&spec.kind, &spec.options)?;
        parsed.target.probe().map_err(|error| {
            Error::field("options", format!("sanity check failed; unable to open the audit file for writing: {error}"))
        })?;
        let mut salt = vec![0; 32];
        self.rng.fill(&mut salt);
        let record = DeviceRecord {
            kind: spec.kind,
            description: spec.description,
            options: spec.options,
            local: spec.local,
            uuid: framework::uuid(&*self.rng),
            salt: STANDARD.encode(&salt),
            path,
        };
        drop(Secret::transient(salt));
        names::write(view, &device_name(&record.path), &record)
    }

    /// Disables a device; one that is not there is no error, one of the configuration is.
    pub fn disable_audit(&self, view: &View<'_>, path: &str) -> Result<(), Error> {
        let path = with_slash(path);
        if self.settings.audit.iter().any(|device| with_slash(&device.path) == path) {
            return Err(Error::field("path", "cannot disable configuration-managed audit device"));
        }
        view.delete(&device_name(&path))
    }

    /// Every device: those of the configuration, then those of the API.
    pub fn audit_devices(&self) -> Result<Vec<AuditDevice>, Error> {
        let shown = |device: &std::sync::Arc<super::device::Device>| AuditDevice {
            path: device.path.clone(),
            kind: device.kind.clone(),
            description: device.description.clone(),
            options: device.options.clone(),
            local: device.local,
        };
        Ok(self.open()?.devices.get().all.iter().map(shown).collect())
    }

    /// What stands in a device's log for `input`.
    pub fn audit_hash(&self, path: &str, input: &Secret) -> Result<String, Error> {
        let path = with_slash(path);
        let devices = self.open()?.devices.get();
        let Some(device) = devices.all.iter().find(|device| device.path == path) else {
            return Err(Error::field("path", format!("unknown audit backend {path:?}")));
        };
        let mut text = Vec::new();
        hashed(&device.key, input.expose(), &mut text);
        Ok(String::from_utf8(text).unwrap_or_default())
    }

    /// Opens every device's file anew at its next line: for SIGHUP, after a rotation. No effect while sealed.
    pub fn reopen_audit(&self) {
        if let Ok(open) = self.open() {
            open.devices.get().all.iter().for_each(|device| device.reopen());
        }
    }

    /// Whether the devices of the configuration are sound and their files can be written; for the start of the server,
    /// sealed or not. The error names the device.
    pub fn check_declared_audit(&self) -> Result<(), Error> {
        for device in &self.settings.audit {
            let named =
                |error: &dyn std::fmt::Display| Error::invalid(format!("audit device {:?}: {error}", device.path));
            let parsed = Options::parse(&device.kind, &device.options).map_err(|error| named(&error))?;
            parsed.target.probe().map_err(|error| named(&error))?;
        }
        Ok(())
    }

    /// Stages salts for declared devices that have none yet.
    pub(crate) fn add_salts(&self, view: &View<'_>) -> Result<(), Error> {
        for device in &self.settings.audit {
            let name = salt_name(&device.path);
            if view.get(&name)?.is_none() {
                let mut salt = vec![0; 32];
                self.rng.fill(&mut salt);
                view.put(&name, Secret::transient(salt))?;
            }
        }
        Ok(())
    }
}

fn with_slash(path: &str) -> String {
    format!("{}/", path.trim_matches('/'))
}

fn device_name(path: &str) -> String {
    format!("{}{}", names::AUDIT, names::segment(path.trim_matches('/')))
}
