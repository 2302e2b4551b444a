//! Which mount a key is in, and which version of the engine that is.

use serde_json::Value;

use crate::call::Call;
use crate::client::{Ask, Client, Fault};
use crate::failure::Failure;
use crate::flags::{Flag, Kind};

use super::logical::clean;

pub(super) const MOUNT: Flag = Flag::new(
    "mount",
    Kind::Text,
    "Path of the key-value engine; the argument is then the key within it. Without it, the argument is the path of the engine and the key together.",
);

/// A key in its mount.
pub(super) struct Located {
    /// The mount, without slashes around it.
    mount: String,
    /// The key below the mount, without slashes around it; empty for the mount itself.
    key: String,
    pub(super) version_2: bool,
}

impl Located {
    /// The API path of one aspect of the key: `data`, `metadata`, `delete`, … Version 1 has none of them.
    pub(super) fn path(&self, aspect: &str) -> String {
        let parts = [self.mount.as_str(), if self.version_2 { aspect } else { "" }, self.key.as_str()];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
    }
}

/// Asks the server for the mount of the command's argument.
pub(super) fn locate(call: &Call<'_, '_>, client: &Client) -> Result<Located, Failure> {
    let key = clean(call.argument(0));
    let mount = call.flags.text("mount").map(clean);
    let asked = mount.as_deref().unwrap_or(&key);
    let answer = client.send_always(&Ask::get(format!("sys/internal/ui/mounts/{asked}")).unwrapped());
    let body = match answer {
        // A server too old to know the endpoint has version 1 alone.
        Err(Fault::Refused { status: 404, .. }) => String::new(),
        answer => answer?,
    };
    let info: Value = serde_json::from_str(&body).unwrap_or_default();
    let info = info.get("data").unwrap_or(&Value::Null);
    let found = info.get("path").and_then(Value::as_str).map(clean);
    let version = info.get("options").and_then(|options| options.get("version"));
    let version_2 = version.is_some_and(|version| version.as_str() == Some("2") || version.as_i64() == Some(2));
    let mount = match (mount, found) {
        // What was asked for may lie below the mount that was found; the rest belongs to the key.
        (Some(asked), Some(found)) => {
            let rest = clean(asked.strip_prefix(found.as_str()).unwrap_or_default());
            let key = [rest, key].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
            return Ok(Located { mount: found, key, version_2 });
        }
        (Some(asked), None) => return Ok(Located { mount: asked, key, version_2 }),
        (None, Some(found)) => found,
        (None, None) => String::new(),
    };
    let below =
        key.strip_prefix(mount.as_str()).filter(|rest| mount.is_empty() || rest.is_empty() || rest.starts_with('/'));
    let below = clean(below.unwrap_or(&key));
    Ok(Located { mount, key: below, version_2 })
}
