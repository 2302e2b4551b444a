//! Audit devices: every request and every answer, a line each, before the answer goes out.

mod device;
mod file;
mod headers;
mod json;
mod line;
mod manage;

use framework::{Ask, AuditSink, Error, Output};

pub use device::DeclaredDevice;
pub(crate) use device::Devices;
pub use manage::{AuditDevice, AuditSpec};

use crate::registry::Registry;
use json::Writer;
use line::Line;

impl AuditSink for Registry {
    fn request(&self, ask: &Ask<'_>, refusal: Option<&Error>) -> Result<(), Error> {
        self.record(ask, &|line| line.request(ask, refusal))
    }

    fn response(&self, ask: &Ask<'_>, answer: &Result<Output, Error>) -> Result<(), Error> {
        self.record(ask, &|line| line.response(ask, answer))
    }
}

impl Registry {
    /// Gives a line to every device. Enough if one takes it; an error if there are devices and none does.
    fn record(&self, ask: &Ask<'_>, write: &dyn Fn(Line<'_>) -> Vec<u8>) -> Result<(), Error> {
        let open = self.open()?;
        let devices = open.devices.get();
        if devices.all.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let table = open.mounts.get();
        let shown = if table.any_clear {
            ask.mount.and_then(|mount| table.at(&mount.path)).map(|mount| &mount.entry.config)
        } else {
            None
        };
        let mut taken = false;
        let mut refused = String::new();
        for device in &devices.all {
            let line = Line {
                w: Writer::new(&device.key, device.format().raw),
                format: device.format(),
                now,
                version: self.settings.running_version,
                shown,
                headers: &devices.headers,
            };
            match device.write(now, || write(line)) {
                Ok(()) => taken = true,
                Err(error) => refused = format!("{refused} {}: {error};", device.path),
            }
        }
        if taken {
            return Ok(());
        }
        Err(Error::internal(format!("no audit device took the record:{}", refused.trim_end_matches(';'))))
    }
}
