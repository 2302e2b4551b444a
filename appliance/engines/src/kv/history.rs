//! What is known of a versioned secret besides its values: one record per path, `metadata/<path>`.

use std::collections::BTreeMap;
use std::time::Duration;

use framework::{Context, Error, Secret, Timestamp};
use serde::{Deserialize, Serialize};

/// Settings of a mount, record `config`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Settings {
    pub(super) max_versions: u32,
    pub(super) cas_required: bool,
    pub(super) metadata_cas_required: bool,
    /// Nanoseconds; 0 for never.
    pub(super) delete_version_after: u64,
}

/// One version of a secret. Its value is the record `versions/<path>/<number>`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(super) struct VersionState {
    /// When it was written, in nanoseconds since 1970.
    #[serde(rename = "c")]
    created: i64,
    /// When it is or was deleted; 0 for not at all.
    #[serde(rename = "d", default, skip_serializing_if = "is_zero")]
    deletion: i64,
    /// Whether its value is gone for good.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) destroyed: bool,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

impl VersionState {
    pub(super) fn created(&self) -> Timestamp {
        Timestamp::from_nanos(self.created)
    }

    /// When the version is or was deleted, as text; empty for not at all.
    pub(super) fn deletion_time(&self) -> String {
        if self.deletion == 0 { String::new() } else { Timestamp::from_nanos(self.deletion).to_string() }
    }

    /// Whether its value may be read at `now`.
    pub(super) fn is_readable(&self, now: Timestamp) -> bool {
        !self.destroyed && (self.deletion == 0 || self.deletion > now.nanos())
    }

    /// Deletes it as of `now`; a version that is gone already keeps its time.
    pub(super) fn delete(&mut self, now: Timestamp) {
        if self.is_readable(now) {
            self.deletion = now.nanos();
        }
    }

    pub(super) fn undelete(&mut self) {
        if !self.destroyed {
            self.deletion = 0;
        }
    }
}

/// The history of one path.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct History {
    pub(super) versions: BTreeMap<u64, VersionState>,
    pub(super) current: u64,
    /// The lowest version number that is still known; 0 until one was dropped.
    #[serde(default)]
    pub(super) oldest: u64,
    created: i64,
    updated: i64,
    #[serde(default)]
    pub(super) max_versions: u32,
    #[serde(default)]
    pub(super) cas_required: bool,
    #[serde(default)]
    pub(super) metadata_cas_required: bool,
    /// How often the settings of this path were written.
    #[serde(default)]
    pub(super) metadata_version: u64,
    #[serde(default)]
    pub(super) delete_version_after: u64,
    #[serde(default)]
    pub(super) custom: Option<BTreeMap<String, String>>,
}

/// Versions kept where neither the mount nor the path says how many.
const DEFAULT_VERSIONS: u32 = 10;

impl History {
    pub(super) fn load(cx: &Context<'_>, path: &str) -> Result<Option<Self>, Error> {
        cx.view.read(&format!("metadata/{path}"))
    }

    pub(super) fn load_or_new(cx: &Context<'_>, path: &str) -> Result<Self, Error> {
        let new = || Self { created: cx.now.nanos(), updated: cx.now.nanos(), ..Self::default() };
        Ok(Self::load(cx, path)?.unwrap_or_else(new))
    }

    pub(super) fn save(&mut self, cx: &Context<'_>, path: &str) -> Result<(), Error> {
        self.updated = cx.now.nanos();
        cx.view.write(&format!("metadata/{path}"), self)
    }

    pub(super) fn created(&self) -> Timestamp {
        Timestamp::from_nanos(self.created)
    }

    pub(super) fn updated(&self) -> Timestamp {
        Timestamp::from_nanos(self.updated)
    }

    /// Adds the next version and stages its value; versions beyond the limit are dropped with their values.
    pub(super) fn add(
        &mut self,
        cx: &Context<'_>,
        path: &str,
        settings: &Settings,
        value: Vec<u8>,
    ) -> Result<u64, Error> {
        let number = self.current + 1;
        let after = match (settings.delete_version_after, self.delete_version_after) {
            (0, own) => own,
            (mount, 0) => mount,
            (mount, own) => mount.min(own),
        };
        let deletion = if after == 0 { 0 } else { cx.now.plus(Duration::from_nanos(after)).nanos() };
        self.versions.insert(number, VersionState { created: cx.now.nanos(), deletion, destroyed: false });
        self.current = number;
        cx.view.put(&value_name(path, number), Secret::transient(value))?;
        self.trim(cx, path, settings)?;
        Ok(number)
    }

    fn trim(&mut self, cx: &Context<'_>, path: &str, settings: &Settings) -> Result<(), Error> {
        let limit = match self.max_versions.max(settings.max_versions) {
            0 => DEFAULT_VERSIONS,
            limit => limit,
        };
        let first_kept = (self.current + 1).saturating_sub(u64::from(limit));
        while let Some(entry) = self.versions.first_entry().filter(|entry| *entry.key() < first_kept) {
            cx.view.delete(&value_name(path, *entry.key()))?;
            entry.remove();
            self.oldest = first_kept;
        }
        Ok(())
    }
}

/// The record that holds the value of a version.
pub(super) fn value_name(path: &str, number: u64) -> String {
    format!("versions/{path}/{number}")
}
