//! One audit device, and all of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fmt, io};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use framework::{Error, Key, Page, Prefix, Secret, Store, Timestamp};
use serde::{Deserialize, Serialize};

use super::file::Target;
use super::headers::AuditedHeaders;
use crate::names;
use crate::registry::{HmacKey, hmac_key};

/// An audit device from the configuration. It cannot be disabled by the API.
#[derive(Clone, Debug)]
pub struct DeclaredDevice {
    /// Its name, which is its path in `sys/audit`.
    pub path: String,
    /// Its type: `file`.
    pub kind: String,
    /// Free text.
    pub description: String,
    /// Its options; the file's may be called `path` or `file_path`.
    pub options: BTreeMap<String, String>,
}

/// The record of a device that was enabled by the API.
#[derive(Deserialize, Serialize)]
pub(crate) struct DeviceRecord {
    /// With a final `/`.
    pub(crate) path: String,
    pub(crate) kind: String,
    pub(crate) description: String,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) local: bool,
    /// Tells a device from one that had the same path before.
    pub(crate) uuid: String,
    /// Base64 of 32 random bytes: the key of its HMACs.
    pub(crate) salt: String,
}

/// What a device's options say about its lines.
#[derive(Clone, Debug)]
pub(crate) struct Format {
    pub(crate) hmac_accessor: bool,
    pub(crate) raw: bool,
    pub(crate) elide_lists: bool,
    pub(crate) prefix: String,
}

/// Options, checked.
pub(crate) struct Options {
    pub(crate) format: Format,
    pub(crate) target: Target,
}

impl Options {
    /// Reads the options of a file device. The sentences are OpenBao's where it has one; what it would ignore is refused.
    pub(crate) fn parse(kind: &str, options: &BTreeMap<String, String>) -> Result<Self, Error> {
        if kind != "file" {
            return Err(Error::field("type", format!("unknown backend type: {kind:?}; this server has \"file\"")));
        }
        let wrong = |message: String| Error::field("options", message);
        let mut format = Format { hmac_accessor: true, raw: false, elide_lists: false, prefix: String::new() };
        let (mut path, mut mode) = (None, 0o600);
        for (name, value) in options {
            let flag = || truth(value).ok_or_else(|| wrong(format!("option {name:?} is true or false, not {value:?}")));
            match name.as_str() {
                "file_path" | "path" => path = Some(value.as_str()),
                "hmac_accessor" => format.hmac_accessor = flag()?,
                "log_raw" => format.raw = flag()?,
                "elide_list_responses" => format.elide_lists = flag()?,
                "prefix" => format.prefix.clone_from(value),
                "mode" => {
                    let octal = u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o7777);
                    mode = octal.ok_or_else(|| wrong(format!("mode is octal such as \"0600\", not {value:?}")))?;
                }
                "format" if value == "json" => {}
                "format" => return Err(wrong(format!("unknown format type {value:?}"))),
                "skip_test" => {}
                _ => return Err(wrong(format!("unknown option {name:?} of a file audit device"))),
            }
        }
        let path = path.filter(|path| !path.is_empty()).ok_or_else(|| wrong("file_path is required".to_owned()))?;
        Ok(Self { format, target: Target::new(path, mode) })
    }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// A device in use.
pub(crate) struct Device {
    /// With a final `/`.
    pub(crate) path: String,
    pub(crate) kind: String,
    pub(crate) description: String,
    pub(crate) options: BTreeMap<String, String>,
    pub(crate) local: bool,
    pub(crate) declared: bool,
    pub(crate) key: HmacKey,
    uuid: String,
    parsed: Options,
    failing: AtomicBool,
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Device({})", self.path)
    }
}

impl Device {
    pub(crate) fn format(&self) -> &Format {
        &self.parsed.format
    }

    /// Writes what `line` gives. The first failure, and the end of failing, are logged.
    pub(crate) fn write(&self, now: Timestamp, line: impl FnOnce() -> Vec<u8>) -> io::Result<()> {
        let result = self.parsed.target.write(now, line);
        match &result {
            Ok(()) => {
                if self.failing.load(Ordering::Relaxed) && self.failing.swap(false, Ordering::Relaxed) {
                    tracing::warn!(device = %self.path, "audit device takes records again");
                }
            }
            Err(error) => {
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::error!(device = %self.path, %error, "audit device takes no records");
                }
            }
        }
        result
    }

    pub(crate) fn reopen(&self) {
        self.parsed.target.reopen();
    }
}

/// Every device.
#[derive(Default)]
pub(crate) struct Devices {
    pub(crate) all: Vec<Arc<Device>>,
    /// What all of them record of requests' headers.
    pub(crate) headers: AuditedHeaders,
}

impl Devices {
    /// Reads the table, and declared devices' salts. A device of `old` that is still there stays as it is, with its file open.
    pub(crate) fn load(store: &dyn Store<Secret>, declared: &[DeclaredDevice], old: &Self) -> Result<Self, Error> {
        let mut all = Vec::new();
        for device in declared {
            let path = format!("{}/", device.path.trim_matches('/'));
            if let Some(kept) = old.all.iter().find(|old| old.declared && old.path == path) {
                all.push(Arc::clone(kept));
                continue;
            }
            let Some(salt) = store.get(&Key::new(salt_name(&device.path))?)? else { continue };
            all.push(Arc::new(Device {
                path,
                kind: device.kind.clone(),
                description: device.description.clone(),
                options: device.options.clone(),
                local: false,
                declared: true,
                key: hmac_key(salt.value.expose())?,
                uuid: String::new(),
                parsed: Options::parse(&device.kind, &device.options)?,
                failing: AtomicBool::new(false),
            }));
        }
        let folder = Prefix::new(names::AUDIT)?;
        for name in store.list(&folder, &Page::default())? {
            let Some(found) = store.get(&folder.key(&name)?)? else { continue };
            let record: DeviceRecord = names::decode(names::AUDIT, &found.value)?;
            if let Some(kept) = old.all.iter().find(|old| !old.declared && old.uuid == record.uuid) {
                all.push(Arc::clone(kept));
                continue;
            }
            let salt = Secret::transient(STANDARD.decode(&record.salt).map_err(Error::internal)?);
            all.push(Arc::new(Device {
                parsed: Options::parse(&record.kind, &record.options)?,
                path: record.path,
                kind: record.kind,
                description: record.description,
                options: record.options,
                local: record.local,
                declared: false,
                key: hmac_key(salt.expose())?,
                uuid: record.uuid,
                failing: AtomicBool::new(false),
            }));
        }
        Ok(Self { all, headers: AuditedHeaders::load(store)? })
    }
}

/// The record of a declared device's salt.
pub(crate) fn salt_name(path: &str) -> String {
    format!("{}{}", names::AUDIT_SALTS, names::segment(path.trim_matches('/')))
}
