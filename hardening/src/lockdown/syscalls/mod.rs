//! System calls: which each role may make. The tables are data; here they are put together and given to the kernel.
//!
//! A filter is inherited by children and cannot be widened, so the monitor's must cover what the roles it starts need:
//! it is the union of all tables, made from the same data, and each role then adds its own narrower one.

mod common;
mod files;
mod hsm;
mod monitor;
mod network;
mod server;
mod startup;

use std::collections::{BTreeMap, BTreeSet};

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

/// A condition on one argument: its low 32 bits under `mask` equal `value`, or, if `whole`, all 64 bits do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arg {
    index: u8,
    mask: u32,
    value: u64,
    whole: bool,
}

impl Rule {
    const fn new(number: i64, name: &'static str, why: &'static str) -> Rule {
        Rule { number, name, why, when: &[], otherwise: Otherwise::Kill }
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
}

/// `rule!(SYS_read, "why")`.
macro_rules! rule {
    ($number:ident, $why:literal) => {
        crate::lockdown::syscalls::Rule::new(libc::$number, stringify!($number), $why)
    };
}
use rule;

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

/// The tables that apply to a role under its options.
fn tables(lockdown: &Lockdown) -> Vec<&'static [Rule]> {
    let mut tables = vec![common::COMMON, files::FILES];
    match lockdown.role {
        Role::Server => {
            tables.extend([server::SERVER, network::NETWORK]);
            if lockdown.resolves_names {
                tables.push(network::NAMES);
            }
        }
        Role::Hsm => {
            tables.push(hsm::HSM);
            tables.push(if lockdown.writable_code { hsm::WRITABLE_CODE } else { hsm::LOADED_CODE });
            if lockdown.hsm_network {
                tables.extend([network::NETWORK, network::NAMES]);
            }
        }
        Role::Monitor => tables.extend([
            server::SERVER,
            network::NETWORK,
            network::NAMES,
            hsm::HSM,
            hsm::LOADED_CODE,
            hsm::WRITABLE_CODE,
            startup::STARTUP,
            monitor::MONITOR,
        ]),
    }
    tables
}

/// One system call of a role's list, for people to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Allowed {
    /// The kernel's name.
    pub name: &'static str,
    /// What needs it.
    pub why: &'static str,
    /// True if only some arguments are allowed.
    pub limited: bool,
}

pub(super) fn allowed(lockdown: &Lockdown) -> Vec<Allowed> {
    let rules = tables(lockdown).into_iter().flatten();
    let rules = rules.filter(|rule| !matches!(rule.otherwise, Otherwise::Absent | Otherwise::RefuseAll));
    let listed: BTreeSet<Allowed> = rules
        .map(|rule| Allowed {
            name: rule.name.trim_start_matches("SYS_"),
            why: rule.why,
            limited: !rule.when.is_empty(),
        })
        .collect();
    listed.into_iter().collect()
}

/// What all tables together say of one call: no condition in any of them means any arguments.
#[derive(Debug, Default)]
struct Merged {
    any_arguments: bool,
    when: Vec<&'static [Arg]>,
    refuse: bool,
    absent: bool,
}

fn merge(tables: &[&'static [Rule]]) -> BTreeMap<i64, Merged> {
    let mut merged: BTreeMap<i64, Merged> = BTreeMap::new();
    for rule in tables.iter().copied().flatten() {
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
fn compile(tables: &[&'static [Rule]]) -> Result<Vec<BpfProgram>, seccompiler::BackendError> {
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
    use super::super::Mode;
    use super::*;

    const ROLES: [Role; 3] = [Role::Monitor, Role::Server, Role::Hsm];

    #[test]
    fn no_call_is_listed_twice_in_a_table_and_each_has_a_reason() {
        for role in ROLES {
            for table in tables(&Lockdown::new(Mode::Enforce, role)) {
                let numbers: BTreeSet<i64> = table.iter().map(|rule| rule.number).collect();
                assert_eq!(numbers.len(), table.len(), "{role:?}: {table:?}");
                assert!(table.iter().all(|rule| rule.why.len() > 3), "{table:?}");
            }
        }
    }

    #[test]
    fn the_monitor_covers_what_its_children_may_do() {
        let names = |lockdown: &Lockdown| allowed(lockdown).into_iter().map(|rule| rule.name).collect::<BTreeSet<_>>();
        let monitor = names(&Lockdown::new(Mode::Enforce, Role::Monitor));
        let mut hsm = Lockdown::new(Mode::Enforce, Role::Hsm);
        hsm.hsm_network = true;
        hsm.writable_code = true;
        let mut server = Lockdown::new(Mode::Enforce, Role::Server);
        server.resolves_names = true;
        for child in [hsm, server] {
            assert!(names(&child).is_subset(&monitor));
            let merged = (merge(&tables(&child)), merge(&tables(&Lockdown::new(Mode::Enforce, Role::Monitor))));
            for (number, entry) in merged.0 {
                let cover = &merged.1[&number];
                assert!(cover.any_arguments || (!entry.any_arguments && cover.when.len() >= entry.when.len()));
                assert_eq!(cover.absent, entry.absent);
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
