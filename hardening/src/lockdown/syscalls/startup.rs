//! What a role calls between execve and its own filter: the dynamic loader, the runtime, and the locks themselves.
//!
//! Only in the monitor's filter, which its children inherit.

use super::{Rule, rule};

pub(super) const STARTUP: &[Rule] = &[
    #[cfg(target_arch = "x86_64")]
    rule!(SYS_arch_prctl, "loader: thread pointer"),
    rule!(SYS_set_tid_address, "loader: main thread"),
    rule!(SYS_mlock, "guarded memory"),
    rule!(SYS_memfd_secret, "guarded memory"),
    rule!(SYS_prlimit64, "core and locked-memory limits"),
    rule!(SYS_prctl, "dumpable, death signal, no_new_privs, bounding and ambient capabilities, MDWE"),
    rule!(SYS_capget, "reading capabilities"),
    rule!(SYS_capset, "dropping capabilities"),
    rule!(SYS_landlock_create_ruleset, "Landlock"),
    rule!(SYS_landlock_add_rule, "Landlock"),
    rule!(SYS_landlock_restrict_self, "Landlock"),
    #[cfg(target_arch = "x86_64")]
    rule!(SYS_dup2, "standard streams of a child; the control socket leaves standard input"),
    rule!(SYS_dup3, "standard streams of a child; the control socket leaves standard input"),
    rule!(SYS_seccomp, "the role's own filter"),
];
