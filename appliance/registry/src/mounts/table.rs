//! The mount table in memory, and the way from a path to its mount.

use std::collections::HashMap;
use std::sync::Arc;

use framework::{Error, Key, Page, Prefix, Secret, Store};

use super::{Mount, MountEntry};
use crate::{Settings, names};

/// Every mount, by path.
#[derive(Default)]
pub(crate) struct Table {
    /// Without the final `/`, so that a part of a request's path is the key as it stands.
    by_path: HashMap<String, Arc<Mount>>,
    /// Slashes in the longest such path: no need to look further into a request's path.
    deepest: usize,
    /// Whether any mount shows fields in the audit log.
    pub(crate) any_clear: bool,
}

impl Table {
    /// Reads it. `before` is what it was: mounts go on counting where they were.
    pub(crate) fn load(store: &dyn Store<Secret>, settings: &Settings, before: &Self) -> Result<Self, Error> {
        let folder = Prefix::new(names::MOUNTS)?;
        let mut table = Self::default();
        for uuid in store.list(&folder, &Page::default())? {
            let name = format!("{}{uuid}", names::MOUNTS);
            // A mount that was disabled in between is simply not there any more.
            let Some(found) = store.get(&Key::new(&name)?)? else { continue };
            let mut mount = Mount::new(names::decode::<MountEntry>(&name, &found.value)?, settings)?;
            if let Some(before) = before.all().find(|before| before.entry.uuid == mount.entry.uuid) {
                mount.requests = Arc::clone(&before.requests);
            }
            table.insert(mount);
        }
        Ok(table)
    }

    pub(crate) fn insert(&mut self, mount: Mount) {
        let path = mount.entry.path.trim_end_matches('/').to_owned();
        self.deepest = self.deepest.max(slashes(&path));
        let config = &mount.entry.config;
        self.any_clear |=
            !config.audit_non_hmac_request_keys.is_empty() || !config.audit_non_hmac_response_keys.is_empty();
        self.by_path.insert(path, Arc::new(mount));
    }

    /// The mount with the longest path that `path` lies under, and the rest of `path`.
    pub(crate) fn locate<'p>(&self, path: &'p str) -> Option<(&Arc<Mount>, &'p str)> {
        if let Some(mount) = self.by_path.get(path) {
            return Some((mount, ""));
        }
        let mut best = None;
        for (at, _) in path.match_indices('/').take(self.deepest + 1) {
            let (head, rest) = path.split_at_checked(at)?;
            if let Some(mount) = self.by_path.get(head) {
                best = Some((mount, rest.get(1..).unwrap_or_default()));
            }
        }
        best
    }

    /// The mount at exactly `path`, with or without its final `/`.
    pub(crate) fn at(&self, path: &str) -> Option<&Arc<Mount>> {
        self.by_path.get(path.strip_suffix('/').unwrap_or(path))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.by_path.values()
    }
}

fn slashes(path: &str) -> usize {
    path.bytes().filter(|&b| b == b'/').count()
}

#[cfg(test)]
mod tests {
    use framework::{Rng, SystemRng};

    use super::*;
    use crate::mounts::{MountConfig, entry};

    fn mount(path: &str) -> Mount {
        let entry = MountEntry {
            path: path.to_owned(),
            kind: "kv".into(),
            description: String::new(),
            accessor: String::new(),
            uuid: framework::uuid(&SystemRng),
            options: None,
            config: MountConfig::default(),
            local: false,
            seal_wrap: false,
            external_entropy_access: false,
        };
        entry::Mount::new(entry, &Settings::default()).unwrap()
    }

    fn below(bound: usize) -> usize {
        let mut byte = [0u8; 1];
        SystemRng.fill(&mut byte);
        usize::from(byte[0]) % bound
    }

    fn path(longest: usize) -> String {
        (0..1 + below(longest)).map(|_| ["a", "b", "ab", "auth"][below(4)]).collect::<Vec<_>>().join("/")
    }

    #[test]
    fn routing_agrees_with_the_obvious_longest_prefix() {
        for _ in 0..500 {
            let paths: Vec<String> = (0..below(12)).map(|_| path(3) + "/").collect();
            let mut table = Table::default();
            paths.iter().for_each(|path| table.insert(mount(path)));
            for _ in 0..20 {
                let tail = ["", "/", "/x", "x"][below(4)];
                let asked = path(5) + tail;
                let whole = asked.clone() + "/";
                let expected = paths
                    .iter()
                    .filter(|p| asked.starts_with(p.as_str()) || whole == **p)
                    .max_by_key(|p| p.len())
                    .map(|p| (p.clone(), asked.get(p.len()..).unwrap_or_default().to_owned()));
                let found = table.locate(&asked).map(|(m, rest)| (m.entry.path.clone(), rest.to_owned()));
                assert_eq!(found, expected, "{asked} in {paths:?}");
            }
        }
    }
}
