//! System calls: which each role may make. The tables are data; here they are put together and given to the kernel.
//!
//! A filter is inherited by children and cannot be widened, so the monitor's must cover what the roles it starts need:
//! it is the union of all tables, made from the same data, and each role then adds its own narrower one.

mod common;
mod hsm;
mod monitor;
mod network;
mod server;
mod startup;

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

use super::{Lockdown, Role};

/// One system call that a role may make.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) number: i64,
    /// The kernel's name, with libc's prefix `SYS_`.
    pub(crate) name: &'static str,
    /// What needs it.
    pub(crate) why: &'static str,
    /// Alternatives, each a list of conditions that must all hold; none at all: any arguments.
    pub(crate) when: &'static [&'static [Arg]],
    pub(crate) otherwise: Otherwise,
    pub(crate) called: Called,
}

/// What happens when the arguments are other than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Otherwise {
    /// The process is killed, as for a call that is on no list.
    Kill,
    /// EPERM: libraries try these and do without.
    Refuse,
    /// EPERM whatever the arguments, unless another table of the role allows some.
    RefuseAll,
    /// ENOSYS whatever the arguments: libraries fall back to an older call whose arguments can be judged.
    Absent,
}

/// Whether a locked role makes the call when the suites run it (`softhsm-tests/tests/syscalls.rs` watches).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Called {
    /// Always.
    Always,
    /// Sometimes, by chance or by the kernel's version: when.
    Sometimes(&'static str),
    /// Never: what would make it.
    Never(&'static str),
}

/// A condition on one argument: its low 32 bits under `mask` equal `value`, or, if `whole`, all 64 bits do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arg {
    index: u8,
    mask: u32,
    value: u64,
    whole: bool,
}

impl Rule {
    const fn new(number: i64, name: &'static str, why: &'static str) -> Rule {
        Rule { number, name, why, when: &[], otherwise: Otherwise::Kill, called: Called::Always }
    }

    /// Only with these arguments; killed otherwise.
    const fn only(mut self, when: &'static [&'static [Arg]]) -> Rule {
        self.when = when;
        self
    }

    /// Only with these arguments; EPERM otherwise.
    const fn refuse_unless(mut self, when: &'static [&'static [Arg]]) -> Rule {
        self.when = when;
        self.otherwise = Otherwise::Refuse;
        self
    }

    /// Never; EPERM instead of death, for libraries that try and do without.
    const fn refused(mut self) -> Rule {
        self.otherwise = Otherwise::RefuseAll;
        self
    }

    /// As if the kernel did not have it.
    const fn absent(mut self) -> Rule {
        self.otherwise = Otherwise::Absent;
        self
    }

    /// The suites meet it now and then.
    const fn sometimes(mut self, when: &'static str) -> Rule {
        self.called = Called::Sometimes(when);
        self
    }

    /// What glibc calls where the kernel has no older form of it: on every architecture but x86-64.
    const fn newer_form(self) -> Rule {
        if cfg!(target_arch = "x86_64") { self.never_in_tests("architectures without the old form") } else { self }
    }

    /// The suites do not meet it.
    const fn never_in_tests(mut self, when: &'static str) -> Rule {
        self.called = Called::Never(when);
        self
    }
}

/// `rule!(SYS_read, "why")`.
macro_rules! rule {
    ($number:ident, $why:literal) => {
        crate::lockdown::syscalls::Rule::new(crate::lockdown::syscalls::numbers::$number, stringify!($number), $why)
    };
}
use rule;

/// The calls' numbers: libc's, and those it lacks on aarch64 (Linux 6.1, `include/uapi/asm-generic/unistd.h`).
#[allow(non_upper_case_globals)] // the kernel's names
mod numbers {
    pub(crate) use libc::*;

    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) const SYS_renameat: c_long = 38;
    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) const SYS_sync_file_range: c_long = 84;
}

/// The 32-bit argument `index` is `value`.
const fn is(index: u8, value: i32) -> Arg {
    masked(index, u32::MAX, value)
}

/// Those bits of argument `index` that are in `mask` are as in `value`.
const fn masked(index: u8, mask: u32, value: i32) -> Arg {
    Arg { index, mask, value: value.cast_unsigned() as u64, whole: false }
}

/// The pointer argument `index` is null.
const fn null(index: u8) -> Arg {
    Arg { index, mask: u32::MAX, value: 0, whole: true }
}

impl Arg {
    fn condition(&self) -> Result<SeccompCondition, seccompiler::BackendError> {
        let (length, operator) = match (self.whole, self.mask) {
            (true, _) => (SeccompCmpArgLen::Qword, SeccompCmpOp::Eq),
            (false, u32::MAX) => (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq),
            (false, mask) => (SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(u64::from(mask))),
        };
        SeccompCondition::new(self.index, length, operator, self.value)
    }
}

/// A named part of the lists.
type Table = (&'static str, &'static [Rule]);

const COMMON: Table = ("common", common::COMMON);
const SERVER: [Table; 2] = [("server", server::SERVER), ("server, old forms", server::OLD_FORMS)];
const LOADED_CODE: Table = ("loaded code", hsm::LOADED_CODE);
const WRITABLE_CODE: Table = ("writable code", hsm::WRITABLE_CODE);
const VENDOR: [Table; 2] = [("vendor", hsm::VENDOR), ("vendor, old forms", hsm::VENDOR_OLD_FORMS)];
const NETWORK: [Table; 3] =
    [("outgoing", network::OUTGOING), ("outgoing, old forms", network::OLD_FORMS), ("names", network::NAMES)];
const STARTUP: [Table; 2] = [("startup", startup::STARTUP), ("startup, old forms", startup::OLD_FORMS)];
const MONITOR: Table = ("monitor", monitor::MONITOR);

/// The tables that apply to a role under its options.
fn tables(lockdown: &Lockdown) -> Vec<Table> {
    let mut tables = vec![COMMON];
    match lockdown.role {
        Role::Server => {
            tables.extend(SERVER);
            if lockdown.resolves_names {
                tables.extend(NETWORK);
            }
        }
        Role::Hsm => {
            tables.extend(VENDOR);
            tables.push(if lockdown.writable_code { WRITABLE_CODE } else { LOADED_CODE });
            if lockdown.hsm_network {
                tables.extend(NETWORK);
            }
        }
        // Both children's, under the same options.
        Role::Monitor => {
            tables.extend(SERVER.into_iter().chain(VENDOR).chain([LOADED_CODE]).chain(STARTUP).chain([MONITOR]));
            if lockdown.resolves_names || lockdown.hsm_network {
                tables.extend(NETWORK);
            }
            if lockdown.writable_code {
                tables.push(WRITABLE_CODE);
            }
        }
    }
    tables
}

/// One rule of a role's list, for people to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// The kernel's name of the system call.
    pub name: &'static str,
    /// The part of the list it stands in.
    pub table: &'static str,
    /// What needs it.
    pub why: &'static str,
    /// `any`, `some` (others kill), `some, others refused`, `refused` (EPERM) or `absent` (ENOSYS).
    pub arguments: &'static str,
    /// Whether the suites meet it.
    pub called: Called,
}

pub(super) fn listed(lockdown: &Lockdown) -> Vec<Listed> {
    let list = |(table, rules): Table| {
        rules.iter().map(move |rule| Listed {
            name: rule.name.trim_start_matches("SYS_"),
            table,
            why: rule.why,
            arguments: match rule.otherwise {
                Otherwise::Kill if rule.when.is_empty() => "any",
                Otherwise::Kill => "some",
                Otherwise::Refuse => "some, others refused",
                Otherwise::RefuseAll => "refused",
                Otherwise::Absent => "absent",
            },
            called: rule.called,
        })
    };
    tables(lockdown).into_iter().flat_map(list).collect()
}

/// What all tables together say of one call: no condition in any of them means any arguments.
#[derive(Debug, Default)]
struct Merged {
    any_arguments: bool,
    when: Vec<&'static [Arg]>,
    refuse: bool,
    absent: bool,
}

fn merge(tables: &[Table]) -> BTreeMap<i64, Merged> {
    let mut merged: BTreeMap<i64, Merged> = BTreeMap::new();
    for rule in tables.iter().flat_map(|(_, rules)| rules.iter()) {
        let entry = merged.entry(rule.number).or_default();
        entry.any_arguments |= rule.when.is_empty() && rule.otherwise != Otherwise::RefuseAll;
        entry.when.extend(rule.when);
        entry.refuse |= matches!(rule.otherwise, Otherwise::Refuse | Otherwise::RefuseAll);
        entry.absent |= rule.otherwise == Otherwise::Absent;
    }
    merged
}

impl Merged {
    fn rules(&self) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
        if self.any_arguments {
            return Ok(Vec::new());
        }
        self.when
            .iter()
            .map(|all| SeccompRule::new(all.iter().map(Arg::condition).collect::<Result<Vec<_>, _>>()?))
            .collect()
    }
}

/// A role's programs, in the order in which they must be installed. The kernel runs all and obeys the sternest.
fn compile(tables: &[Table]) -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
    let merged = merge(tables);
    let (mut absent, mut refusing, mut killing) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (&number, entry) in &merged {
        if entry.absent {
            absent.insert(number, Vec::new());
        }
        if entry.refuse && !entry.any_arguments && entry.when.is_empty() {
            // On no list of the refusing filter, so always refused.
            killing.insert(number, Vec::new());
            continue;
        }
        // A call with a soft limit passes the killing filter, so that the refusing one decides; and the reverse.
        let (soft, hard) = if entry.refuse { (entry.rules()?, Vec::new()) } else { (Vec::new(), entry.rules()?) };
        refusing.insert(number, soft);
        killing.insert(number, hard);
    }
    // Still needed to install the third filter, which then ends it.
    refusing.insert(libc::SYS_seccomp, Vec::new());
    let errno = |number: i32| SeccompAction::Errno(number.unsigned_abs());
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    let filters = [
        SeccompFilter::new(absent, SeccompAction::Allow, errno(libc::ENOSYS), architecture)?,
        SeccompFilter::new(refusing, errno(libc::EPERM), SeccompAction::Allow, architecture)?,
        SeccompFilter::new(killing, SeccompAction::KillProcess, SeccompAction::Allow, architecture)?,
    ];
    filters.into_iter().map(BpfProgram::try_from).collect()
}

/// Installs the role's filters on every thread; there is no way back. Returns what was installed, in words.
pub(super) fn install(lockdown: &Lockdown) -> Result<String, String> {
    let tables = tables(lockdown);
    let programs = compile(&tables).map_err(|error| format!("the filter does not compile: {error}"))?;
    for program in &programs {
        seccompiler::apply_filter_all_threads(program).map_err(|error| format!("seccomp(2): {error}"))?;
    }
    Ok(format!("{} system calls allowed to {:?}, on all threads; others kill", merge(&tables).len(), lockdown.role))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Mode;
    use super::*;

    const ROLES: [Role; 3] = [Role::Monitor, Role::Server, Role::Hsm];

    #[test]
    fn no_call_is_listed_twice_in_a_table_and_each_has_a_reason() {
        for role in ROLES {
            for (_, table) in tables(&Lockdown::new(Mode::Enforce, role)) {
                let numbers: BTreeSet<i64> = table.iter().map(|rule| rule.number).collect();
                assert_eq!(numbers.len(), table.len(), "{role:?}: {table:?}");
                assert!(table.iter().all(|rule| rule.why.len() > 3), "{table:?}");
            }
        }
    }

    /// The calls of every architecture that came after the kernel had one list for all, aarch64 among them: name and number,
    /// from `asm-generic/unistd.h` of Linux 6.1, as the preprocessor leaves it for aarch64.
    const GENERIC: &str = include_str!("generic.txt");

    #[test]
    fn every_call_but_the_old_forms_exists_on_aarch64() {
        let generic: BTreeMap<&str, i64> = GENERIC
            .lines()
            .map(|line| line.split_once(' ').unwrap())
            .map(|(name, n)| (name, n.parse().unwrap()))
            .collect();
        let mut lockdown = Lockdown::new(Mode::Enforce, Role::Monitor);
        (lockdown.hsm_network, lockdown.writable_code) = (true, true);
        for (table, rules) in tables(&lockdown) {
            for rule in rules {
                let number = generic.get(rule.name.trim_start_matches("SYS_"));
                assert_eq!(number.is_none(), table.ends_with("old forms"), "{table}: {}", rule.name);
                if cfg!(not(target_arch = "x86_64")) {
                    assert_eq!(number, Some(&rule.number), "{}", rule.name);
                }
            }
        }
    }

    #[test]
    fn the_monitor_covers_what_its_children_may_do() {
        for bits in 0..8 {
            let with_options = |role| Lockdown {
                resolves_names: bits & 1 > 0,
                hsm_network: bits & 2 > 0,
                writable_code: bits & 4 > 0,
                ..Lockdown::new(Mode::Enforce, role)
            };
            let monitor = merge(&tables(&with_options(Role::Monitor)));
            for child in [Role::Hsm, Role::Server] {
                for (number, entry) in merge(&tables(&with_options(child))) {
                    let cover = monitor.get(&number).unwrap();
                    let covered = entry.when.iter().all(|when| cover.when.contains(when));
                    assert!(cover.any_arguments || (!entry.any_arguments && covered));
                    assert_eq!(cover.absent, entry.absent);
                }
            }
        }
    }

    #[test]
    fn no_role_but_the_monitor_can_start_or_trace_a_process() {
        for role in [Role::Server, Role::Hsm] {
            let numbers = merge(&tables(&Lockdown::new(Mode::Enforce, role)));
            for forbidden in [
                libc::SYS_execve,
                libc::SYS_execveat,
                libc::SYS_ptrace,
                libc::SYS_process_vm_readv,
                libc::SYS_io_uring_setup,
                libc::SYS_bpf,
                libc::SYS_seccomp,
                libc::SYS_kill,
                libc::SYS_memfd_create,
                libc::SYS_unshare,
                libc::SYS_setns,
                libc::SYS_mount,
            ] {
                assert!(!numbers.contains_key(&forbidden), "{role:?} {forbidden}");
            }
        }
    }
}
