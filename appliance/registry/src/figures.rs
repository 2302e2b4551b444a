//! What the registry tells of itself to `sys/metrics`.

use std::collections::BTreeMap;

use framework::metrics::{Measured, Page};
use framework::{Error, Prefix, Secret, Store};

use crate::mounts::MountClass;
use crate::names;
use crate::registry::Registry;

/// What costs a look at many records to count.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Service tokens.
    pub tokens: u64,
    /// What has a deadline: leased secrets, and tokens that end.
    pub leases: u64,
    /// Secrets that could not be taken back.
    pub irrevocable: u64,
}

impl Registry {
    /// Counts. Lists every token's and every lease's name, so it is not for every request.
    pub fn usage(&self, store: &dyn Store<Secret>) -> Result<Usage, Error> {
        Ok(Usage {
            tokens: below(store, names::TOKENS)?,
            leases: below(store, names::DEADLINES)?,
            irrevocable: below(store, names::IRREVOCABLE)?,
        })
    }
}

/// The records below a folder, however deep.
fn below(store: &dyn Store<Secret>, folder: &str) -> Result<u64, Error> {
    let (mut records, mut folders) = (0, vec![Prefix::new(folder)?]);
    while let Some(folder) = folders.pop() {
        for name in store.list(&folder, &Default::default())? {
            match name.strip_suffix('/') {
                Some(_) => folders.push(folder.folder(&name)?),
                None => records += 1,
            }
        }
    }
    Ok(records)
}

impl Measured for Registry {
    fn measure(&self, page: &mut Page) {
        let mut entries = BTreeMap::from([(("auth", false), 0u32), (("logical", false), 0)]);
        for (class, table) in [(MountClass::Secret, "logical"), (MountClass::Auth, "auth")] {
            for mount in self.mounts(class).unwrap_or_default() {
                *entries.entry((table, mount.entry.local)).or_default() += 1;
                for (operation, number) in mount.requests.classes() {
                    page.counter(
                        "holdfast.requests_total",
                        "Requests by mount and class of operation, whatever became of them.",
                        &[("mount", &mount.entry.path), ("type", &mount.entry.kind), ("operation", operation)],
                        number,
                    );
                }
            }
        }
        for ((table, local), number) in entries {
            let labels = [("type", table), ("local", if local { "true" } else { "false" })];
            page.gauge("vault.core.mount_table.num_entries", "Mounts.", &labels, number.into());
        }
    }
}
