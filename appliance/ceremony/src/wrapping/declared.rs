//! Which records the seal should wrap: what the engines declare, for the mounts as they are now.

use std::collections::HashMap;

use framework::{Catalog, CoverageRow, Error, Key};
use registry::{Mount, MountClass, Registry};

/// The keyring's record, beside the barrier.
const KEYRING: &str = "_/keyring";
/// Where the records of mounts lie: `logical/<uuid>/`, `auth/<uuid>/`.
const OF_MOUNTS: [&str; 2] = ["logical/", "auth/"];

/// What stands where, and which of it is critical.
#[derive(Default)]
pub(super) struct Declared {
    /// By the folder of a mount's records.
    parts: HashMap<String, Part>,
    /// Of `sys/`, whose folder is the whole store.
    core: Part,
    /// What no mount has: it is being removed.
    nobodys: Part,
    /// The rows of a report, empty.
    pub(super) rows: Vec<CoverageRow>,
}

/// A mount's part of the store, and where it stands in a report.
#[derive(Default)]
struct Part {
    critical: Vec<Critical>,
    /// The row of all else.
    rest: usize,
}

struct Critical {
    prefix: &'static str,
    row: usize,
    /// Only those records are critical that say so themselves.
    asked: bool,
}

/// Whether a record is critical, and to which row of a report it belongs.
pub(super) enum Rule {
    /// By its place.
    Critical(usize),
    /// By its place.
    Ordinary(usize),
    /// The record says it: the row if it is, and the row if it is not.
    Asked(usize, usize),
}

impl Declared {
    pub(super) fn read(registry: &Registry, catalog: &Catalog) -> Result<Self, Error> {
        let mut this = Self::default();
        this.nobodys.rest = this.row("", "", false);
        for class in [MountClass::Secret, MountClass::Auth] {
            for mount in registry.mounts(class)? {
                this.add(&mount, catalog)?;
            }
        }
        Ok(this)
    }

    /// The rule for the record `name`.
    pub(super) fn rule(&self, name: &Key) -> Rule {
        let (part, rest) = self.part(name.as_str());
        match part.critical.iter().find(|critical| rest.starts_with(critical.prefix)) {
            Some(critical) if critical.asked => Rule::Asked(critical.row, part.rest),
            Some(critical) => Rule::Critical(critical.row),
            None => Rule::Ordinary(part.rest),
        }
    }

    /// The row of records that have no name.
    pub(super) fn nobodys(&self) -> usize {
        self.nobodys.rest
    }

    fn add(&mut self, mount: &Mount, catalog: &Catalog) -> Result<(), Error> {
        let kind = mount.entry.kind.as_str();
        // The token mount has the whole store too; `sys/` speaks for it.
        if kind == "token" {
            return Ok(());
        }
        let declared = mount.seal_wrapped(mount.engine(catalog)?).iter().map(|prefix| (*prefix, false));
        let asked = Registry::ASKED.into_iter().filter(|(of, _)| *of == kind).map(|(_, prefix)| (prefix, true));
        let beside = (kind == "system").then_some((KEYRING, false));
        let critical = declared.chain(asked).chain(beside);
        let path = mount.entry.path.as_str();
        let critical =
            critical.map(|(prefix, asked)| Critical { prefix, row: self.row(path, prefix, true), asked }).collect();
        let part = Part { critical, rest: self.row(path, "", false) };
        match mount.folder.as_str() {
            "" => self.core = part,
            folder => drop(self.parts.insert(folder.to_owned(), part)),
        }
        Ok(())
    }

    fn row(&mut self, mount: &str, prefix: &str, critical: bool) -> usize {
        let row =
            CoverageRow { mount: mount.to_owned(), prefix: prefix.to_owned(), critical, ..CoverageRow::default() };
        self.rows.push(row);
        self.rows.len() - 1
    }

    /// The part that a record lies in, and its name there.
    fn part<'n>(&self, name: &'n str) -> (&Part, &'n str) {
        for (at, _) in name.match_indices('/').take(2) {
            let (folder, rest) = name.split_at_checked(at + 1).unwrap_or_default();
            if let Some(part) = self.parts.get(folder) {
                return (part, rest);
            }
        }
        if OF_MOUNTS.iter().any(|folder| name.starts_with(folder)) { (&self.nobodys, name) } else { (&self.core, name) }
    }
}
